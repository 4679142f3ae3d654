//! How a program takes its input: it reads bytes when it wants them, and events do not wait for that.

use bytes::Bytes;

use super::{CAUGHT, InputItem, InputQueue, Item};
use crate::channel::buffer::Buffer;
use crate::session_types::{ChannelEvent, SignalName};

/// What a read of standard input finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StdinRead {
    /// Bytes, at least one.
    Bytes(Bytes),
    /// Nothing has arrived.
    Nothing,
    /// No more will come.
    End,
}

impl InputQueue {
    /// Takes the oldest event. Data and EOF stay where they are.
    pub(in crate::channel) fn next_event(&mut self) -> Option<ChannelEvent> {
        let position = self.items.iter().position(|item| !is_stream(item))?;
        match self.take_event(position)? {
            InputItem::ChannelEvent(event) => Some(event),
            InputItem::Data { .. } => None,
        }
    }

    /// Raises a signal. True if the process catches it: then the signal waits, unless it waits already.
    pub(in crate::channel) fn raise_caught(&mut self, name: &SignalName) -> bool {
        let is_caught = self.catches.contains(name);
        if is_caught && !self.caught.contains(name) && self.caught.len() < CAUGHT {
            self.caught.push_back(name.clone());
        }
        is_caught
    }

    /// A program leaves a signal that it has caught to the process that takes the session over.
    pub(in crate::channel) fn leave_caught(&mut self, name: SignalName) {
        if !self.caught.contains(&name) && self.caught.len() < CAUGHT {
            self.caught.push_back(name);
        }
    }

    /// Reads at most `most` bytes of standard input. Data of other streams that come first are dropped: a program has
    /// no descriptor for them. Returns how many bytes have left the queue, too.
    pub(in crate::channel) fn read(&mut self, most: usize) -> (StdinRead, usize) {
        let dropped = self.drop_extended();
        let Some(position) = self.items.iter().position(is_stream) else { return (StdinRead::Nothing, dropped) };
        let Some(Item::Data { len, .. }) = self.items.get_mut(position) else { return (StdinRead::End, dropped) };
        let piece = most.min(*len);
        if piece == 0 {
            return (StdinRead::Nothing, dropped);
        }
        *len -= piece;
        if *len == 0 {
            self.items.remove(position);
            self.runs -= 1;
        }
        let bytes = Bytes::copy_from_slice(self.bytes.front(piece));
        self.bytes.take(piece);
        if self.bytes.len() == 0 {
            self.relax();
        }
        (StdinRead::Bytes(bytes), dropped + piece)
    }

    /// Whether a read would find bytes or the end. Returns how many bytes of other streams were dropped, too.
    pub(in crate::channel) fn has_stdin(&mut self) -> (bool, usize) {
        let dropped = self.drop_extended();
        (self.items.iter().any(is_stream), dropped)
    }

    /// Puts data back that a handler has not taken, before everything else.
    pub(in crate::channel) fn put_back(&mut self, kind: Option<u32>, mut bytes: Buffer) {
        let len = bytes.len();
        self.lent = 0;
        if len > 0 {
            bytes.push(self.bytes.front(self.bytes.len()));
            self.bytes = bytes;
            self.items.push_front(Item::Data { kind, len });
            self.runs += 1;
            self.merge_runs(1);
        }
    }

    /// Drops the extended data before the next byte of standard input. Returns how many bytes.
    pub(in crate::channel) fn drop_extended(&mut self) -> usize {
        let mut dropped = 0;
        while let Some(position) = self.items.iter().position(is_stream)
            && let Some(Item::Data { kind: Some(_), len }) = self.items.get(position)
        {
            let len = *len;
            self.bytes.take(len);
            self.items.remove(position);
            self.runs -= 1;
            dropped += len;
        }
        dropped
    }
}

/// Whether an entry belongs to a stream of input and not to the events beside it.
fn is_stream(item: &Item) -> bool {
    match item {
        Item::Data { .. } | Item::Eof => true,
        Item::Request(_) | Item::Close | Item::Size => false,
    }
}
