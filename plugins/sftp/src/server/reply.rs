//! Replies that wait to be sent, one behind the other.

use crate::attributes::put_none;
use crate::request::kind;
use crate::status::{Failure, Status};
use crate::wire::{PutFields, length};

/// The replies, and how many of their bytes were sent.
#[derive(Default)]
pub(super) struct Replies {
    bytes: Vec<u8>,
    sent: usize,
}

impl Replies {
    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent = self.bytes.len().min(self.sent + bytes);
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets what was written behind this place.
    pub(super) fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }

    /// Writes a reply with the fields that `write` appends. If that fails, nothing was written.
    pub(super) fn try_put<E>(
        &mut self,
        kind: u8,
        id: u32,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let begin = self.bytes.len();
        self.bytes.put_u32(0);
        self.bytes.put_u8(kind);
        self.bytes.put_u32(id);
        let result = write(&mut self.bytes);
        match result {
            Ok(()) => set_length(&mut self.bytes, begin),
            Err(_) => self.bytes.truncate(begin),
        }
        result
    }

    /// Writes a reply with the fields that `write` appends.
    pub(super) fn put(&mut self, kind: u8, id: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let written: Result<(), std::convert::Infallible> = self.try_put(kind, id, |bytes| {
            write(bytes);
            Ok(())
        });
        let Ok(()) = written;
    }

    /// Writes a reply of status OK.
    pub(super) fn put_ok(&mut self, id: u32) {
        self.put_status(id, Failure { status: Status::Ok, message: "" });
    }

    /// Writes a reply with a status, a message and an empty language tag.
    pub(super) fn put_status(&mut self, id: u32, failure: Failure) {
        self.put(kind::STATUS, id, |reply| {
            reply.put_u32(failure.status as u32);
            reply.put_string(failure.message.as_bytes());
            reply.put_string(b"");
        });
    }

    /// Writes a reply with one path, without attributes.
    pub(super) fn put_path(&mut self, id: u32, path: &str) {
        self.put(kind::NAME, id, |reply| {
            reply.put_u32(1);
            reply.put_string(path.as_bytes());
            reply.put_string(path.as_bytes());
            put_none(reply);
        });
    }
}

/// Writes the length of what follows into the 4 bytes at this place.
pub(super) fn set_length(bytes: &mut [u8], at: usize) {
    let follows = length(bytes.len() - at - 4);
    bytes[at..at + 4].copy_from_slice(&follows.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: usize = 9;

    #[test]
    fn replies_have_their_length_and_leave_in_pieces() {
        let mut replies = Replies::default();
        replies.put_ok(7);
        let status = [0, 0, 0, 17, 101, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(replies.waiting(), status);
        assert_eq!(replies.try_put(kind::DATA, 8, |_| Err(5)), Err(5));
        replies.sent(HEADER);
        assert_eq!(replies.waiting(), &status[HEADER..]);
        replies.put_path(9, "/a");
        assert_eq!(replies.len(), status.len() + HEADER + 4 + 6 + 6 + 4);
        replies.sent(100);
        assert_eq!(replies.waiting(), b"");
        assert_eq!(replies.len(), 0);
    }
}
