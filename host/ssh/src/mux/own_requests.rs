//! RFC 4254 §4, §5.4: our own requests, global ones or those of one channel: sent in order, answered in order.

use std::collections::VecDeque;

/// A request that waits to be sent.
#[derive(Debug)]
pub(super) struct OwnRequest {
    /// Its name.
    pub(super) kind: Box<[u8]>,
    /// What follows in the message.
    pub(super) body: Box<[u8]>,
    /// Whether the peer is to answer.
    pub(super) want_reply: bool,
}

/// Our requests: all global ones, or all of one channel.
#[derive(Debug, Default)]
pub(super) struct OwnRequests {
    /// Not sent yet.
    waiting: VecDeque<OwnRequest>,
    /// Sent and unanswered.
    unanswered: usize,
}

impl OwnRequests {
    /// The most requests that wait to be sent. Our limit: they wait for a key exchange at most, and no caller makes
    /// more in that time.
    const MOST: usize = 16;

    /// Adds a request of at most `most_bytes`. False if it is longer or too many wait already.
    pub(super) fn add(&mut self, kind: &[u8], body: &[u8], want_reply: bool, most_bytes: u32) -> bool {
        let bytes = kind.len().saturating_add(body.len());
        let fits = self.waiting.len() < Self::MOST && u32::try_from(bytes).is_ok_and(|bytes| bytes <= most_bytes);
        if fits {
            self.waiting.push_back(OwnRequest { kind: kind.into(), body: body.into(), want_reply });
        }
        fits
    }

    /// Whether any waits to be sent.
    pub(super) fn owes(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next request to write.
    pub(super) fn next(&mut self) -> Option<OwnRequest> {
        let request = self.waiting.pop_front()?;
        if request.want_reply {
            self.unanswered = self.unanswered.saturating_add(1);
        }
        Some(request)
    }

    /// An answer arrived. Returns whether a request was waiting for it.
    pub(super) fn answered(&mut self) -> bool {
        let asked = self.unanswered > 0;
        self.unanswered = self.unanswered.saturating_sub(1);
        asked
    }
}
