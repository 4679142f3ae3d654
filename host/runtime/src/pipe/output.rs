//! What waits to be sent to the client, in order: the rules of the outbox, without locks or wakers.
//!
//! Bytes lie in a ring of fixed capacity that grows as it is used; replies, EOF, requests and the exit stand between them. After the
//! exit there is nothing.

use std::collections::VecDeque;

use crate::happening::{Exit, Output};

/// What a ring keeps when it is given back.
const KEPT: usize = 4 << 10;
/// Most debug notes that may wait; more are dropped.
const NOTES: usize = 16;
/// Most requests to the client that may wait; more are refused.
const REQUESTS: usize = 16;

/// Where the connection takes a session's output to. Called by [`Outbox::drain`](crate::Outbox::drain).
pub trait Sink {
    /// Whether the plugin takes the session. First, and once.
    fn opened(&mut self, accepted: bool);
    /// The answer to the oldest request that has none yet.
    fn reply(&mut self, success: bool);
    /// Offers output; the answer is how many bytes were taken, 0 if there is no room.
    fn bytes(&mut self, to: Output, data: &[u8]) -> usize;
    /// No more output will come.
    fn eof(&mut self);
    /// A request to the client; the answer goes to [`Inbox::answered`](crate::Inbox::answered). At most 64 and 32,000 bytes.
    fn request(&mut self, name: &str, payload: &[u8]);
    /// The program has ended. Last: nothing comes after it.
    fn exit(&mut self, exit: &Exit);
    /// The plugin ends the whole connection. `text` is escaped and at most 1 KiB.
    fn disconnect(&mut self, reason: u32, text: &str);
    /// A note for the client. `text` is at most 1 KiB.
    fn debug(&mut self, text: &str, always_display: bool);
}

/// Whether [`Outbox::drain`](crate::Outbox::drain) left anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Nothing is left; the next message wakes.
    Empty,
    /// Something is left: call again, at once or when the sink has room. No wake comes for it.
    More,
}

/// What is said to the connection beside bytes.
#[derive(Debug)]
pub(crate) enum Message {
    Opened(bool),
    Reply(bool),
    Eof,
    Request(Box<(String, Vec<u8>)>),
    Exit(Box<Exit>),
    Disconnect(Box<(u32, String)>),
    Debug(Box<(String, bool)>),
}

/// One entry of the queue.
enum Entry {
    /// A run of bytes; they lie in the ring, in the order of the runs.
    Bytes {
        to: Output,
        len: usize,
    },
    Message(Message),
}

pub(super) struct Queue {
    entries: VecDeque<Entry>,
    ring: VecDeque<u8>,
    capacity: usize,
    opened: bool,
    exited: bool,
    disconnected: bool,
    notes: usize,
    requests: usize,
    /// The ring has been more than half full since the plugin was last told that it is writable.
    owes_writable: bool,
    /// The session wants to know when the ring is at most half full.
    pub(super) watched: bool,
    /// The session has been quiet for a while: the ring is given back as soon as it is empty.
    pub(super) quiet: bool,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            ring: VecDeque::new(),
            capacity,
            opened: false,
            exited: false,
            disconnected: false,
            notes: 0,
            requests: 0,
            owes_writable: false,
            watched: false,
            quiet: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn was_opened(&self) -> bool {
        self.opened
    }

    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.ring.len())
    }

    pub(super) fn is_at_most_half_full(&self) -> bool {
        self.ring.len() <= self.capacity / 2
    }

    /// Queues a message that is not bytes; false if it was dropped because the session has exited or too many like it wait.
    pub(super) fn say(&mut self, message: Message) -> bool {
        if self.exited {
            return false;
        }
        match &message {
            Message::Opened(accepted) => {
                self.opened = true;
                self.exited = !accepted;
            }
            Message::Exit(_) => self.exited = true,
            Message::Disconnect(_) if self.disconnected => return false,
            Message::Disconnect(_) => self.disconnected = true,
            Message::Debug(_) if self.notes == NOTES => return false,
            Message::Debug(_) => self.notes += 1,
            Message::Request(_) if self.requests == REQUESTS => return false,
            Message::Request(_) => self.requests += 1,
            Message::Reply(_) | Message::Eof => {}
        }
        self.entries.push_back(Entry::Message(message));
        true
    }

    /// Queues as many of the bytes as there is room for and says how many those were.
    pub(super) fn push(&mut self, to: Output, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        self.push_whole(to, &bytes[..taken]);
        taken
    }

    /// Queues all of the bytes, whatever the room: for the few that the host itself has to say.
    pub(super) fn push_whole(&mut self, to: Output, bytes: &[u8]) {
        if bytes.is_empty() || self.exited {
            return;
        }
        self.quiet = false;
        self.ring.extend(bytes);
        self.owes_writable |= !self.is_at_most_half_full();
        match self.entries.back_mut() {
            Some(Entry::Bytes { to: before, len }) if *before == to => *len += bytes.len(),
            Some(_) | None => self.entries.push_back(Entry::Bytes { to, len: bytes.len() }),
        }
    }

    pub(super) fn has_writable(&self) -> bool {
        self.owes_writable && self.is_at_most_half_full()
    }

    pub(super) fn owes_writable(&self) -> bool {
        self.owes_writable
    }

    pub(super) fn take_writable(&mut self) -> bool {
        let ready = self.has_writable();
        if ready {
            self.owes_writable = false;
        }
        ready
    }

    pub(super) fn drain(&mut self, sink: &mut impl Sink) -> Drained {
        while let Some(entry) = self.entries.pop_front() {
            match entry {
                Entry::Message(message) => self.deliver(message, sink),
                Entry::Bytes { to, len } => {
                    let (front, _) = self.ring.as_slices();
                    let offered = &front[..front.len().min(len)];
                    let taken = sink.bytes(to, offered).min(offered.len());
                    self.ring.drain(..taken);
                    if taken < len {
                        self.entries.push_front(Entry::Bytes { to, len: len - taken });
                    }
                    break;
                }
            }
        }
        if !self.entries.is_empty() {
            return Drained::More;
        }
        if self.quiet || self.exited {
            self.relax();
        }
        Drained::Empty
    }

    /// Hands over one small message.
    fn deliver(&mut self, message: Message, sink: &mut impl Sink) {
        match message {
            Message::Opened(accepted) => sink.opened(accepted),
            Message::Reply(success) => sink.reply(success),
            Message::Eof => sink.eof(),
            Message::Request(request) => {
                self.requests -= 1;
                sink.request(&request.0, &request.1);
            }
            Message::Exit(exit) => sink.exit(&exit),
            Message::Disconnect(note) => sink.disconnect(note.0, &note.1),
            Message::Debug(note) => {
                self.notes -= 1;
                sink.debug(&note.0, note.1);
            }
        }
    }

    pub(super) fn relax(&mut self) {
        if self.ring.is_empty() && self.ring.capacity() > KEPT {
            self.ring = VecDeque::new();
        }
        if self.entries.is_empty() {
            self.entries.shrink_to(4);
        }
    }

    pub(super) fn has_grown(&self) -> bool {
        !self.quiet && self.ring.capacity() > KEPT
    }
}
