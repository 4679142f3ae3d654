//! What waits to be delivered to the plugin, and in which order: the rules of the inbox, without locks or wakers.
//!
//! * Until a start request has been accepted, data and EOF stay where they are and later happenings pass them.
//! * After it the order is the client's, strictly.
//! * Small pieces of data merge; so do answers that need no call. The queue is therefore bounded by its requests (64), whatever the
//!   client sends between them.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use super::buffer::Buffer;
use crate::happening::{Ending, Happening, SignalName, WindowSize};

/// Most requests that may wait.
const REQUESTS: usize = 64;
/// Most bytes of names and payloads that may wait.
const WEIGHT: usize = 256 << 10;
/// Most signals that may wait, caught ones included.
const SIGNALS: usize = 16;
/// Most names of signals that a plugin may catch.
const CATCHES: usize = 64;
/// Most runs of data that may wait. Only extended data of ever-changing kinds can make so many, and no client does that.
const RUNS: usize = 1024;
/// Answers to our own requests that nobody has taken.
const ANSWERS: usize = 64;

/// Entries for which an empty queue keeps room.
const KEPT: usize = 16;

/// One entry of the queue.
enum Item {
    /// A run of bytes; they lie in the buffer, in the order of the runs.
    Data {
        kind: Option<u32>,
        len: usize,
    },
    /// Boxed, since most of a busy queue is data.
    Request(Box<Happening>),
    Eof,
    Close,
    /// The window's size changed; the newest size is kept apart.
    Size,
    /// Requests that need no call, only their answer in its turn.
    Answered {
        success: bool,
        times: u32,
    },
}

/// What comes next for the session.
pub(crate) enum Next {
    /// Bytes were moved to the caller's buffer, for stdin or a numbered stream.
    Data {
        kind: Option<u32>,
    },
    Happening(Happening),
    /// Requests that need no call, only their answer.
    Answered {
        success: bool,
        times: u32,
    },
}

#[derive(Default)]
pub(super) struct Input {
    items: VecDeque<Item>,
    /// The bytes of all `Item::Data`.
    bytes: Buffer,
    /// A start request was accepted.
    started: bool,
    /// The newest size since the terminal was asked for.
    size: Option<WindowSize>,
    /// EOF has come, and CLOSE: each counts once.
    eof: bool,
    close: bool,
    /// How many entries are requests.
    requests: usize,
    /// The bytes that they hold.
    weight: usize,
    /// How many entries are signals.
    signals: usize,
    /// Signals that the plugin wants to catch.
    catches: Vec<SignalName>,
    /// Caught, not yet taken.
    caught: VecDeque<SignalName>,
    /// The client's answers to our requests.
    answers: VecDeque<bool>,
    /// Answers that are still to come and that nobody waits for any more.
    unwanted: usize,
    /// How many runs of data wait.
    runs: usize,
    ended: Option<(Ending, Instant)>,
    /// What the client is to be told about that end.
    words: Option<Arc<str>>,
}

impl Input {
    pub(super) fn data(&mut self, kind: Option<u32>, bytes: &[u8]) {
        if bytes.is_empty() || self.ended.is_some() {
            return;
        }
        // An answer has no place among the bytes, only among the answers: data may join the run before it.
        let last = self.items.len().checked_sub(1);
        let run = match last.map(|last| &self.items[last]) {
            Some(Item::Answered { .. }) => last.and_then(|last| last.checked_sub(1)),
            Some(Item::Data { .. } | Item::Request(_) | Item::Eof | Item::Close | Item::Size) | None => last,
        };
        if let Some(Item::Data { kind: before, len }) = run.map(|run| &mut self.items[run])
            && *before == kind
        {
            *len += bytes.len();
        } else if self.runs < RUNS {
            self.runs += 1;
            self.items.push_back(Item::Data { kind, len: bytes.len() });
        } else {
            return;
        }
        self.bytes.push(bytes);
    }

    pub(super) fn happening(&mut self, happening: Happening) {
        if self.ended.is_some() {
            return;
        }
        match happening {
            Happening::WindowChange(size) => self.resize(size),
            Happening::Signal(name) => self.signal(name),
            Happening::PtyReq(ref pty) => {
                self.size = Some(pty.size);
                self.queue(happening);
            }
            Happening::Env { .. }
            | Happening::Shell
            | Happening::Exec(_)
            | Happening::Subsystem(_)
            | Happening::Break { .. }
            | Happening::Request { .. } => self.queue(happening),
            Happening::Eof => {
                if !std::mem::replace(&mut self.eof, true) {
                    self.items.push_back(Item::Eof);
                }
            }
            Happening::Close => {
                if !std::mem::replace(&mut self.close, true) {
                    self.items.push_back(Item::Close);
                }
            }
        }
    }

    /// A request that is refused without a call.
    pub(super) fn refuse(&mut self) {
        if self.ended.is_none() {
            self.answer(false);
        }
    }

    /// Queues a request, or its refusal if too many wait.
    fn queue(&mut self, happening: Happening) {
        let weight = weight(&happening);
        if self.requests >= REQUESTS || self.weight + weight > WEIGHT {
            return self.answer(false);
        }
        self.requests += 1;
        self.weight += weight;
        self.signals += usize::from(matches!(happening, Happening::Signal(_)));
        self.items.push_back(Item::Request(Box::new(happening)));
    }

    fn resize(&mut self, size: WindowSize) {
        self.size = Some(size);
        let winch = SignalName::Other("WINCH".to_owned());
        if self.catches.contains(&winch) {
            if !self.caught.contains(&winch) {
                self.caught.push_back(winch);
            }
            self.answer(true);
        } else if self.items.iter().any(|item| matches!(item, Item::Size)) {
            self.answer(true);
        } else {
            self.items.push_back(Item::Size);
        }
    }

    fn signal(&mut self, name: SignalName) {
        if self.signals + self.caught.len() >= SIGNALS {
            self.answer(true);
        } else if self.catches.contains(&name) {
            self.caught.push_back(name);
            self.answer(true);
        } else {
            self.queue(Happening::Signal(name));
        }
    }

    /// A request that is answered without a call, after those before it.
    fn answer(&mut self, success: bool) {
        let last = self.items.len().checked_sub(1);
        let before = match last.map(|last| &self.items[last]) {
            Some(Item::Data { .. }) => last.and_then(|last| last.checked_sub(1)),
            Some(Item::Answered { .. } | Item::Request(_) | Item::Eof | Item::Close | Item::Size) | None => last,
        };
        if let Some(Item::Answered { success: same, times }) = before.map(|before| &mut self.items[before])
            && *same == success
        {
            *times = times.saturating_add(1);
        } else {
            self.items.push_back(Item::Answered { success, times: 1 });
        }
    }

    pub(super) fn answered(&mut self, success: bool) {
        if self.unwanted > 0 {
            self.unwanted -= 1;
        } else if self.answers.len() < ANSWERS {
            self.answers.push_back(success);
        }
    }

    pub(super) fn end(&mut self, why: Ending) {
        if self.ended.is_none() {
            self.ended = Some((why, Instant::now()));
        }
    }

    /// The plugin's version has reached its last day.
    pub(super) fn recall(&mut self, words: &Arc<str>) {
        if self.ended.is_none() {
            self.words = Some(Arc::clone(words));
        }
        self.end(Ending::Drained);
    }

    pub(super) fn words(&self) -> Option<Arc<str>> {
        self.words.clone()
    }

    /// The session is gone: nobody will take what waits.
    pub(super) fn abandon(&mut self) {
        self.end(Ending::Finished);
        self.items = VecDeque::new();
        self.bytes.take(self.bytes.len());
        self.bytes.relax();
    }

    pub(super) fn start(&mut self) {
        self.started = true;
    }

    pub(super) fn is_started(&self) -> bool {
        self.started
    }

    pub(super) fn ended(&self) -> Option<(Ending, Instant)> {
        self.ended
    }

    pub(super) fn size(&self) -> Option<WindowSize> {
        self.size
    }

    pub(super) fn catch(&mut self, mut names: Vec<SignalName>) {
        names.truncate(CATCHES);
        self.catches = names;
    }

    pub(super) fn has_caught(&self) -> bool {
        !self.caught.is_empty()
    }

    /// Whether a signal is there that should interrupt a call that waits. One that an earlier plugin caught interrupts nobody.
    pub(super) fn interrupts(&self) -> bool {
        self.caught.iter().any(|name| self.catches.contains(name))
    }

    pub(super) fn take_caught(&mut self) -> Option<SignalName> {
        self.caught.pop_front()
    }

    pub(super) fn take_answer(&mut self) -> Option<bool> {
        self.answers.pop_front()
    }

    /// Nobody waits any more for the answer to a request that was sent.
    pub(super) fn forget_answer(&mut self) {
        self.unwanted += 1;
    }

    /// Where the next deliverable entry stands.
    fn position(&self) -> Option<usize> {
        if self.started {
            return (!self.items.is_empty()).then_some(0);
        }
        self.items.iter().position(|item| match item {
            Item::Data { .. } | Item::Eof => false,
            Item::Request(_) | Item::Close | Item::Size | Item::Answered { .. } => true,
        })
    }

    pub(super) fn has_next(&self) -> bool {
        self.position().is_some()
    }

    /// Takes the next entry. Data is moved to `into`, which must be empty: all of the buffer if it is one run, else at most `piece` bytes.
    pub(super) fn next(&mut self, into: &mut Buffer, piece: usize) -> Option<Next> {
        let Some(position) = self.position() else {
            self.relax();
            return None;
        };
        if let Some(Item::Data { kind, len }) = self.items.get_mut(position) {
            let kind = *kind;
            if *len == self.bytes.len() {
                // The buffers change places: nothing is copied, and the emptied one serves for what arrives now.
                std::mem::swap(&mut self.bytes, into);
                *len = 0;
            } else {
                let piece = piece.min(*len);
                into.push(self.bytes.front(piece));
                self.bytes.take(piece);
                *len -= piece;
            }
            if *len == 0 {
                self.items.remove(position);
                self.runs -= 1;
            }
            return Some(Next::Data { kind });
        }
        match self.items.remove(position)? {
            Item::Data { .. } => None,
            Item::Answered { success, times } => Some(Next::Answered { success, times }),
            Item::Size => self.size.map(|size| Next::Happening(Happening::WindowChange(size))),
            Item::Eof => Some(Next::Happening(Happening::Eof)),
            Item::Close => Some(Next::Happening(Happening::Close)),
            Item::Request(happening) => {
                self.requests -= 1;
                self.weight -= weight(&happening);
                self.signals -= usize::from(matches!(*happening, Happening::Signal(_)));
                Some(Next::Happening(*happening))
            }
        }
    }

    /// Nothing is left: memory that is not needed now is given back.
    fn relax(&mut self) {
        self.bytes.relax();
        if self.items.is_empty() && self.items.capacity() > KEPT {
            self.items = VecDeque::new();
        }
    }
}

/// The bytes that a waiting happening holds.
fn weight(happening: &Happening) -> usize {
    match happening {
        Happening::Env { name, value } => name.len() + value.len(),
        Happening::PtyReq(pty) => pty.term.len() + pty.modes.len() * size_of::<(u8, u32)>(),
        Happening::Exec(command) => command.len(),
        Happening::Subsystem(name) => name.len(),
        Happening::Request { name, payload } => name.len() + payload.len(),
        Happening::Signal(name) => name.as_str().len(),
        Happening::Shell | Happening::WindowChange(_) | Happening::Break { .. } | Happening::Eof | Happening::Close => {
            0
        }
    }
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;
