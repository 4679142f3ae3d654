//! The queue to the process: the rules of the inbox, without locks or wakers.
//!
//! * Until a program request is accepted, data and EOF wait and later events overtake them.
//! * After that, everything is delivered in the client's order.
//! * Small pieces of data merge. The queue is therefore bounded by its requests, whatever the client sends between
//!   them.
//! * A request that needs no call is not queued: the caller is told the answer and queues it in its turn.

pub(super) mod stdin;

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use super::buffer::Buffer;
use super::lifecycle::Lifecycle;
use crate::posix::signal::{DefaultAction, Signal};
use crate::session_types::{ChannelEvent, Ending, SignalName, WindowSize};
use crate::terminal::TerminalFeed;

/// Most requests that may wait, variables not counted.
const REQUESTS: usize = 64;
/// Most variables that may wait: the highest configurable limit.
const VARIABLES: usize = 1024;
/// Most bytes of names and payloads that may wait: a command and all the variables of a session, and room for more.
const WEIGHT: usize = 1 << 20;
/// Most signals that may wait to be delivered. Of one with a default action that is not to ignore it, one more may.
const SIGNALS: usize = 16;
/// Most caught signals that may wait: as many as a plugin may catch at once.
const CAUGHT: usize = 64;
/// Most runs of data that may wait: more than the events that may lie between them. Only a client that changes the type
/// of its extended data all the time reaches this limit, and none does.
const RUNS: usize = 2048;
/// Why a session ends that has as many.
const TOO_MANY_RUNS: &str = "the input changes its type too often";
/// Most answers to our own requests that may wait.
const ANSWERS: usize = 64;

/// Capacity, in entries, that an empty queue keeps.
const KEPT: usize = 16;

/// One entry of the queue.
enum Item {
    /// A run of bytes; they lie in the buffer, in the order of the runs.
    Data {
        kind: Option<u32>,
        len: usize,
    },
    /// Boxed, because most entries of a busy queue are data.
    Request(Box<ChannelEvent>),
    Eof,
    Close,
    /// The window size changed; the newest size is kept apart.
    Size,
}

/// One thing from the client to deliver to the plugin.
pub(crate) enum InputItem {
    /// Bytes were moved to the caller's buffer, for stdin or a numbered stream.
    Data {
        kind: Option<u32>,
    },
    ChannelEvent(ChannelEvent),
}

/// Who answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nobody: it is no request, or the session has ended.
    None,
    /// The session, when it has been delivered.
    Session,
    /// The host, with this answer, after all earlier requests are answered.
    Host(bool),
}

/// Bytes that are kept of a command that arrives after a program has started: more than the log shows, so that it says
/// that the command was longer.
const REFUSED_COMMAND: usize = 256;

/// Optional handlers that the current process lacks. Their requests are refused without a call, even during one.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct MissingHandlers {
    /// The `request-handler`.
    pub(crate) requests: bool,
    /// The `break-handler`.
    pub(crate) breaks: bool,
}

#[derive(Default)]
pub(super) struct InputQueue {
    items: VecDeque<Item>,
    /// The bytes of all `Item::Data`.
    bytes: Buffer,
    /// The newest window size since the terminal was requested.
    size: Option<WindowSize>,
    /// EOF and CLOSE have arrived: each counts once.
    eof: bool,
    close: bool,
    /// How many entries are requests, variables not counted.
    requests: usize,
    /// How many entries are variables.
    variables: usize,
    /// The bytes that they hold.
    weight: usize,
    /// How many entries are signals.
    signals: usize,
    /// Signals that the plugin wants to catch.
    catches: Vec<SignalName>,
    /// Caught signals that the plugin has not taken, each once.
    caught: VecDeque<SignalName>,
    /// The client's answers to our requests.
    answers: VecDeque<bool>,
    /// Answers to come for which nobody waits any more.
    unwanted: usize,
    /// How many runs of data wait.
    runs: usize,
    /// How many bytes of data were moved to the session half last.
    lent: usize,
    missing: MissingHandlers,
}

/// The queue to the process, the terminal, and the session's lifecycle, which decides what is queued and delivered. One
/// lock holds all.
#[derive(Default)]
pub(super) struct Inbound {
    pub(super) lifecycle: Lifecycle,
    pub(super) queue: InputQueue,
    /// The line discipline. None as long as no process has wanted one.
    pub(super) terminal: Option<Box<TerminalFeed>>,
}

impl Inbound {
    pub(super) fn data(&mut self, kind: Option<u32>, bytes: &[u8]) {
        if self.lifecycle.ended().is_none() && !self.queue.data(kind, bytes) {
            self.retire(&Arc::from(TOO_MANY_RUNS));
        }
    }

    /// Queues an event. Returns who answers it.
    pub(super) fn event(&mut self, event: ChannelEvent) -> Answer {
        if self.lifecycle.ended().is_some() {
            return match event {
                ChannelEvent::HostVariable { .. } | ChannelEvent::Eof | ChannelEvent::Close => Answer::None,
                _ => self.refuse(),
            };
        }
        self.queue.event(event, self.lifecycle.has_accepted())
    }

    /// Queues a program request, and before it a variable that belongs to it. The variable is dropped where the request
    /// will be refused. Returns who answers the request.
    pub(super) fn event_with_variable(&mut self, variable: ChannelEvent, event: ChannelEvent) -> Answer {
        if self.lifecycle.ended().is_some() || self.lifecycle.has_accepted() {
            return self.event(event);
        }
        self.queue.event_with_variable(variable, event)
    }

    /// Who answers a request that is refused without a call.
    pub(super) fn refuse(&self) -> Answer {
        match self.lifecycle.ended() {
            Some((Ending::ClientClosed | Ending::ConnectionLost, _)) => Answer::None,
            // The client may still be there, reading the last output.
            _ => Answer::Host(false),
        }
    }

    /// Takes the next entry. Data is moved to `into`, which must be empty.
    pub(super) fn next(&mut self, into: &mut Buffer, piece: usize) -> Option<InputItem> {
        self.queue.next(into, piece, self.lifecycle.has_accepted())
    }

    pub(super) fn has_next(&self) -> bool {
        self.queue.has_next(self.lifecycle.has_accepted())
    }

    pub(super) fn request_end(&mut self, why: Ending) {
        self.lifecycle.request_end(why, Instant::now());
    }

    pub(super) fn retire(&mut self, notice: &Arc<str>) {
        self.lifecycle.retire(notice, Instant::now());
    }

    /// Retires the session, unless it is ending already or has exited.
    pub(super) fn end_by_operator(&mut self, notice: &Arc<str>) -> bool {
        let is_live = self.lifecycle.is_live();
        if is_live {
            self.retire(notice);
        }
        is_live
    }

    /// The session half was dropped: frees the queue and drops what still arrives.
    pub(super) fn discard_input(&mut self) {
        self.request_end(Ending::Finished);
        self.queue.clear();
        self.terminal = None;
    }
}

impl InputQueue {
    /// False if there is no room for one more run.
    fn data(&mut self, kind: Option<u32>, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        if let Some(Item::Data { kind: before, len }) = self.items.back_mut()
            && *before == kind
        {
            *len += bytes.len();
        } else if self.runs < RUNS {
            self.runs += 1;
            self.items.push_back(Item::Data { kind, len: bytes.len() });
        } else {
            return false;
        }
        self.bytes.push(bytes);
        true
    }

    /// `started`: a program request was accepted.
    fn event(&mut self, event: ChannelEvent, started: bool) -> Answer {
        match event {
            ChannelEvent::WindowChange(size) => self.resize(size),
            ChannelEvent::Signal(name) => self.signal(name),
            ChannelEvent::Request { .. } if self.missing.requests => Answer::Host(false),
            ChannelEvent::Break { .. } if self.missing.breaks => Answer::Host(false),
            ChannelEvent::PtyReq(ref pty) => {
                self.size = Some(pty.size);
                self.queue(event)
            }
            ChannelEvent::Exec(mut command) if started => {
                // It will be refused, and only the log shows it.
                command.truncate(REFUSED_COMMAND);
                command.shrink_to_fit();
                self.queue(ChannelEvent::Exec(command))
            }
            ChannelEvent::Env { .. }
            | ChannelEvent::Shell
            | ChannelEvent::Exec(_)
            | ChannelEvent::Subsystem(_)
            | ChannelEvent::Break { .. }
            | ChannelEvent::Request { .. } => self.queue(event),
            ChannelEvent::HostVariable { .. } => {
                self.push_request(event);
                Answer::None
            }
            ChannelEvent::Eof => {
                if !std::mem::replace(&mut self.eof, true) {
                    self.items.push_back(Item::Eof);
                }
                Answer::None
            }
            ChannelEvent::Close => {
                if !std::mem::replace(&mut self.close, true) {
                    self.items.push_back(Item::Close);
                }
                Answer::None
            }
        }
    }

    /// Queues both or, if there is no room for both, neither. No program request was accepted.
    fn event_with_variable(&mut self, variable: ChannelEvent, event: ChannelEvent) -> Answer {
        let (place, weight) = (self.items.len(), weight(&variable));
        // Counted first, so that the event is refused if there is no room for both.
        self.weight += weight;
        let answer = self.event(event, false);
        if answer == Answer::Session {
            self.variables += 1;
            self.items.insert(place, Item::Request(Box::new(variable)));
        } else {
            self.weight -= weight;
        }
        answer
    }

    pub(super) fn set_missing_handlers(&mut self, missing: MissingHandlers) {
        self.missing = missing;
    }

    /// Queues a request, or refuses it if too many wait.
    fn queue(&mut self, event: ChannelEvent) -> Answer {
        let (weight, variable) = (weight(&event), matches!(event, ChannelEvent::Env { .. }));
        let (count, most) = if variable { (self.variables, VARIABLES) } else { (self.requests, REQUESTS) };
        if count >= most || self.weight + weight > WEIGHT {
            return Answer::Host(false);
        }
        self.push_request(event);
        Answer::Session
    }

    fn push_request(&mut self, event: ChannelEvent) {
        let variable = matches!(event, ChannelEvent::Env { .. } | ChannelEvent::HostVariable { .. });
        *(if variable { &mut self.variables } else { &mut self.requests }) += 1;
        self.weight += weight(&event);
        self.signals += usize::from(matches!(event, ChannelEvent::Signal(_)));
        self.items.push_back(Item::Request(Box::new(event)));
    }

    fn resize(&mut self, size: WindowSize) -> Answer {
        self.size = Some(size);
        if self.raise_caught(&SignalName::Other("WINCH".to_owned())) {
            return Answer::Host(true);
        }
        if self.items.iter().any(|item| matches!(item, Item::Size)) {
            return Answer::Host(true);
        }
        self.items.push_back(Item::Size);
        Answer::Session
    }

    fn signal(&mut self, name: SignalName) -> Answer {
        if self.raise_caught(&name) {
            return Answer::Host(true);
        }
        // Names that no Unix knows do nothing.
        let action = Signal::from_name(name.as_str()).map_or(DefaultAction::Ignore, Signal::default_action);
        let event = ChannelEvent::Signal(name);
        let has_room = self.signals < SIGNALS && self.requests < REQUESTS && self.weight + weight(&event) <= WEIGHT;
        if !has_room && (action == DefaultAction::Ignore || self.waits(&event)) {
            return Answer::Host(true);
        }
        // Nothing that can be ignored keeps one out that ends the process, stops it or lets it continue.
        self.push_request(event);
        Answer::Session
    }

    fn waits(&self, event: &ChannelEvent) -> bool {
        self.items.iter().any(|item| matches!(item, Item::Request(waiting) if **waiting == *event))
    }

    pub(super) fn answered(&mut self, success: bool) {
        if self.unwanted > 0 {
            self.unwanted -= 1;
        } else if self.answers.len() < ANSWERS {
            self.answers.push_back(success);
        }
    }

    /// Frees what waits.
    fn clear(&mut self) {
        self.items = VecDeque::new();
        self.bytes.take(self.bytes.len());
        self.bytes.relax();
    }

    pub(super) fn size(&self) -> Option<WindowSize> {
        self.size
    }

    pub(super) fn catch(&mut self, names: Vec<SignalName>) {
        self.catches = names;
    }

    /// Nobody catches signals any more.
    pub(super) fn discard_caught(&mut self) {
        self.catches = Vec::new();
        self.caught.clear();
    }

    pub(super) fn has_caught(&self) -> bool {
        !self.caught.is_empty()
    }

    /// Whether a caught signal must interrupt a waiting import. One that only an earlier process caught does not.
    pub(super) fn interrupts(&self) -> bool {
        self.caught.iter().any(|name| self.catches.contains(name))
    }

    pub(super) fn take_caught(&mut self) -> Option<SignalName> {
        self.caught.pop_front()
    }

    pub(super) fn take_answer(&mut self) -> Option<bool> {
        self.answers.pop_front()
    }

    /// Drops the next answer when it comes: nobody waits for it any more.
    pub(super) fn forget_answer(&mut self) {
        self.unwanted += 1;
    }

    /// The index of the next entry that may be delivered.
    fn position(&self, started: bool) -> Option<usize> {
        if started {
            return (!self.items.is_empty()).then_some(0);
        }
        self.items.iter().position(|item| match item {
            Item::Data { .. } | Item::Eof => false,
            Item::Request(_) | Item::Close | Item::Size => true,
        })
    }

    fn has_next(&self, started: bool) -> bool {
        self.position(started).is_some()
    }

    /// The ordinary data at the front: the first that have arrived of all data, if they are that, up to an event.
    pub(super) fn typed(&self) -> &[u8] {
        match self.items.iter().find(|item| matches!(item, Item::Data { .. } | Item::Eof)) {
            Some(Item::Data { kind: None, len }) => self.bytes.front(*len),
            _ => &[],
        }
    }

    /// Removes so many of [`typed`](Self::typed).
    pub(super) fn take_typed(&mut self, count: usize) {
        let Some(position) = self.items.iter().position(|item| matches!(item, Item::Data { .. })) else { return };
        let Some(Item::Data { kind: None, len }) = self.items.get_mut(position) else { return };
        let count = count.min(*len);
        *len -= count;
        if *len == 0 {
            self.items.remove(position);
            self.runs -= 1;
        }
        self.bytes.take(count);
        if self.items.is_empty() {
            self.relax();
        }
    }

    /// Whether EOF is all that is left of the data.
    pub(super) fn ends(&self) -> bool {
        let first = self.items.iter().find(|item| matches!(item, Item::Data { .. } | Item::Eof));
        matches!(first, Some(Item::Eof))
    }

    /// How many bytes of data were moved to the session half last.
    pub(super) fn lent(&self) -> usize {
        self.lent
    }

    /// Takes the oldest request or change of size, whatever data come before it.
    pub(super) fn next_beside_data(&mut self) -> Option<InputItem> {
        let position = self.items.iter().position(|item| matches!(item, Item::Request(_) | Item::Size))?;
        self.take_event(position)
    }

    /// Whether there is an entry that need not wait for ordinary data.
    pub(super) fn has_other_than_typed(&self) -> bool {
        let is_typed = |item: &Item| matches!(item, Item::Data { kind: None, .. });
        let first = self.items.front();
        first.is_some_and(|item| !is_typed(item))
            || self.items.iter().any(|item| matches!(item, Item::Request(_) | Item::Size))
    }

    /// Takes the next entry. Data is moved to `into`, which must be empty: all of the buffer if it is one run, else
    /// at most `piece` bytes.
    fn next(&mut self, into: &mut Buffer, piece: usize, started: bool) -> Option<InputItem> {
        let Some(position) = self.position(started) else {
            self.relax();
            return None;
        };
        if let Some(Item::Data { kind, len }) = self.items.get_mut(position) {
            let kind = *kind;
            if *len == self.bytes.len() {
                // Swapped, not copied; the emptied buffer takes what arrives next.
                std::mem::swap(&mut self.bytes, into);
                *len = 0;
            } else {
                let piece = piece.min(*len);
                into.push(self.bytes.front(piece));
                self.bytes.take(piece);
                *len -= piece;
            }
            self.lent = into.len();
            if *len == 0 {
                self.items.remove(position);
                self.runs -= 1;
            }
            return Some(InputItem::Data { kind });
        }
        self.take_event(position)
    }

    /// Takes the entry at this place, which is not data. The runs before and after it become one.
    fn take_event(&mut self, position: usize) -> Option<InputItem> {
        let item = self.items.remove(position)?;
        self.merge_runs(position);
        match item {
            Item::Data { .. } => None,
            Item::Size => self.size.map(|size| InputItem::ChannelEvent(ChannelEvent::WindowChange(size))),
            Item::Eof => Some(InputItem::ChannelEvent(ChannelEvent::Eof)),
            Item::Close => Some(InputItem::ChannelEvent(ChannelEvent::Close)),
            Item::Request(event) => {
                let variable = matches!(*event, ChannelEvent::Env { .. } | ChannelEvent::HostVariable { .. });
                *(if variable { &mut self.variables } else { &mut self.requests }) -= 1;
                self.weight -= weight(&event);
                self.signals -= usize::from(matches!(*event, ChannelEvent::Signal(_)));
                Some(InputItem::ChannelEvent(*event))
            }
        }
    }

    /// Makes one run of the two that meet at this place, if they are of one kind.
    fn merge_runs(&mut self, position: usize) {
        let Some(before) = position.checked_sub(1) else { return };
        let (Some(Item::Data { kind, .. }), Some(Item::Data { kind: next, len })) =
            (self.items.get(before), self.items.get(position))
        else {
            return;
        };
        if kind != next {
            return;
        }
        let added = *len;
        self.items.remove(position);
        self.runs -= 1;
        if let Some(Item::Data { len, .. }) = self.items.get_mut(before) {
            *len += added;
        }
    }

    /// The queue is empty: gives large memory back.
    fn relax(&mut self) {
        self.bytes.relax();
        if self.items.is_empty() && self.items.capacity() > KEPT {
            self.items = VecDeque::new();
        }
    }
}

/// Bytes that a waiting event holds.
fn weight(event: &ChannelEvent) -> usize {
    match event {
        ChannelEvent::Env { name, value } | ChannelEvent::HostVariable { name, value } => name.len() + value.len(),
        ChannelEvent::PtyReq(pty) => pty.term.len() + pty.modes.len() * size_of::<(u8, u32)>(),
        ChannelEvent::Exec(command) => command.len(),
        ChannelEvent::Subsystem(name) => name.len(),
        ChannelEvent::Request { name, payload } => name.len() + payload.len(),
        ChannelEvent::Signal(name) => name.as_str().len(),
        ChannelEvent::Shell
        | ChannelEvent::WindowChange(_)
        | ChannelEvent::Break { .. }
        | ChannelEvent::Eof
        | ChannelEvent::Close => 0,
    }
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;
