//! The queue to the client: the rules of the outbox, without locks or wakers.
//!
//! Bytes lie in a ring that grows with use up to a fixed capacity; replies, EOF, requests and the exit keep their place
//! between them. Nothing follows the exit.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::answer_order::AnswerOrder;
use super::spare;
use crate::session_types::{Exit, Output};

/// Capacity, in entries, that an empty queue keeps.
const KEPT: usize = 16;
/// Most debug messages that may wait; more are dropped.
const DEBUG_MESSAGES: usize = 16;
/// Bytes that each run of output counts beside its content, from the 17th run on: otherwise one-byte writes to two
/// streams in turn would hold many times the memory that a plugin is allowed.
const RUN: usize = size_of::<Entry>();
/// Runs that count only their content.
const FREE_RUNS: usize = 16;
/// Most requests to the client that may wait, and most bytes of them; more are refused. A plugin has several when
/// signals interrupt its calls.
const REQUESTS: usize = 16;
const REQUEST_BYTES: usize = 64 << 10;

/// Receives a session's output for the connection. Called by [`Outbox::drain`](crate::Outbox::drain).
pub trait Sink {
    /// The answer to the channel open. Called first, and once.
    fn opened(&mut self, reply: OpenReply);
    /// Answers the `times` oldest requests that have no answer yet.
    fn reply(&mut self, success: bool, times: u32);
    /// Offers output. Returns how many bytes were taken, 0 if there is no room.
    fn bytes(&mut self, to: Output, data: &[u8]) -> usize;
    /// No more output will come.
    fn eof(&mut self);
    /// A request to the client; the answer goes to [`Inbox::answered`](crate::Inbox::answered). Its name has at most 64
    /// bytes and its payload at most 32,000.
    fn request(&mut self, name: &str, payload: &[u8]);
    /// The program has ended. Called last.
    fn exit(&mut self, exit: &Exit);
    /// The plugin ends the whole connection. `text` is escaped and at most 1 KiB.
    fn disconnect(&mut self, reason: u32, text: &str);
    /// A debug message for the client. `text` is at most 1 KiB.
    fn debug(&mut self, text: &str, always_display: bool);
}

/// The answer to the opening of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenReply {
    /// The plugin takes it.
    Accepted,
    /// The plugin does not, or cannot be started.
    Refused,
    /// There is no room for an instance of the plugin.
    Full,
}

/// Whether [`Outbox::drain`](crate::Outbox::drain) left anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Nothing is left; the next message wakes.
    Empty,
    /// Something is left: call again, at once or when the sink has room. No wake comes for it.
    More,
}

/// What is queued for the connection beside bytes.
#[derive(Debug)]
pub(crate) enum Message {
    Opened(OpenReply),
    /// The same answer to several requests in a row.
    Reply {
        success: bool,
        times: u32,
    },
    Eof,
    Request(Box<(String, Vec<u8>)>),
    Exit(Box<Exit>),
    Disconnect(Box<(u32, String)>),
    Debug(Box<(String, bool)>),
}

impl Message {
    /// The answer to one request.
    pub(crate) fn reply(success: bool) -> Self {
        Message::Reply { success, times: 1 }
    }
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

pub(super) struct OutputQueue {
    entries: VecDeque<Entry>,
    ring: VecDeque<u8>,
    /// How many entries are runs of bytes.
    runs: usize,
    /// How many of the bytes are charged to the session's user, its tenant and the server.
    charged: usize,
    /// The channel open and the requests, as far as they have no answer yet.
    order: AnswerOrder,
    /// Set once the exit or the refusal of the channel open is queued, behind which nothing but answers is: when the
    /// client last took bytes since, or when that was queued.
    last_progress: Option<Instant>,
    capacity: usize,
    eof: bool,
    /// A process has accepted the client's terminal.
    pub(super) has_terminal: bool,
    /// The program request is for a subsystem.
    pub(super) is_subsystem: bool,
    /// The client has been told that its program request succeeded.
    program_accepted: bool,
    /// The newest line of the host's for the terminal that came before that.
    early_line: Option<String>,
    disconnected: bool,
    debug_messages: usize,
    requests: usize,
    request_bytes: usize,
    /// The ring has been more than half full since the plugin was last told that it is writable.
    owes_writable: bool,
    /// The session wants to know when the ring is at most half full.
    pub(super) watched: bool,
    /// The stop character of the terminal holds output: there is no room for the process.
    is_held: bool,
}

impl OutputQueue {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            ring: VecDeque::new(),
            runs: 0,
            charged: 0,
            order: AnswerOrder::opening(),
            last_progress: None,
            capacity,
            eof: false,
            has_terminal: false,
            is_subsystem: false,
            program_accepted: false,
            early_line: None,
            disconnected: false,
            debug_messages: 0,
            requests: 0,
            request_bytes: 0,
            owes_writable: false,
            watched: false,
            is_held: false,
        }
    }

    /// The stop character of the terminal holds output, or no longer does.
    pub(super) fn hold_process(&mut self, is_held: bool) {
        // A plugin that finds no room is told when there is.
        self.owes_writable |= is_held && !self.is_held;
        self.is_held = is_held;
    }

    /// The answer to the program request is queued: what had to wait for it follows.
    pub(super) fn program_accepted(&mut self) {
        self.program_accepted = true;
        if let Some(line) = self.early_line.take() {
            self.terminal_line(line);
        }
    }

    /// Queues a line on the terminal, at once or behind the answer to the program request.
    pub(super) fn terminal_line(&mut self, line: String) {
        if !self.program_accepted {
            self.early_line = Some(line);
        } else if self.has_terminal && !self.is_subsystem {
            self.push_whole(Output::Stdout, line.as_bytes());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the exit or the refusal of the channel open is queued.
    pub(super) fn has_ended(&self) -> bool {
        self.last_progress.is_some()
    }

    /// When the client last took bytes since the exit was queued, or when that was queued. None before.
    pub(super) fn last_progress(&self) -> Option<Instant> {
        self.last_progress
    }

    /// Discards the waiting bytes and keeps the messages. Returns how many bytes.
    pub(super) fn discard_bytes(&mut self) -> usize {
        let bytes = self.ring.len();
        self.entries.retain(|entry| !matches!(entry, Entry::Bytes { .. }));
        self.ring = VecDeque::new();
        self.runs = 0;
        bytes
    }

    /// Discards the waiting bytes of a session that has ended. The client gets `text` on stderr and `exit` in place of
    /// the queued exit. None if no bytes wait.
    pub(super) fn cut(&mut self, text: &[u8], exit: Exit) -> Option<usize> {
        if !self.has_ended() || self.ring.is_empty() {
            return None;
        }
        let bytes = self.discard_bytes();
        // `text` must not be discarded next.
        self.last_progress = Some(Instant::now());
        self.entries.retain(|entry| !matches!(entry, Entry::Message(Message::Eof | Message::Exit(_))));
        self.ring.extend(text);
        self.runs = 1;
        self.entries.push_back(Entry::Bytes { to: Output::Stderr, len: text.len() });
        self.entries.push_back(Entry::Message(Message::Exit(Box::new(exit))));
        Some(bytes)
    }

    /// A request goes to the session, or is refused if that has ended. Returns whether an answer was queued.
    pub(super) fn queue_request(&mut self) -> bool {
        if self.has_ended() {
            return self.push_answer(false);
        }
        self.order.push_request();
        false
    }

    /// The host answers a request in its turn. Returns whether an answer was queued.
    pub(super) fn push_answer(&mut self, success: bool) -> bool {
        self.order.push_answer(success);
        self.push_answers()
    }

    /// The host refuses a request with this text before the answer, if its turn has come.
    pub(super) fn refuse(&mut self, text: &[u8]) {
        self.push_whole(Output::Stderr, text);
        if self.order.is_empty() && !self.has_ended() {
            self.push_reply(false, 1);
        } else {
            self.push_answer(false);
        }
    }

    /// Queues the host's answers to requests whose predecessors have theirs. Returns whether there were any.
    fn push_answers(&mut self) -> bool {
        let mut was_queued = false;
        while let Some((success, times)) = self.order.next_answers() {
            // After the exit was drained, and after a refused channel open, there is no channel to answer on.
            if !self.has_ended() || matches!(self.entries.back(), Some(Entry::Message(Message::Exit(_)))) {
                self.push_answer_before_output(success, times);
                was_queued = true;
            }
        }
        was_queued
    }

    /// Queues an answer after earlier answers and before waiting output: a client whose window is full takes answers
    /// but no output.
    fn push_answer_before_output(&mut self, success: bool, times: u32) {
        let before = |entry: &Entry| matches!(entry, Entry::Message(Message::Reply { .. } | Message::Opened(_)));
        let place = self.entries.iter().rposition(before).map_or(0, |last| last + 1);
        if let Some(Entry::Message(Message::Reply { success: same, times: before })) =
            place.checked_sub(1).and_then(|last| self.entries.get_mut(last))
            && *same == success
        {
            *before = before.saturating_add(times);
        } else {
            self.entries.insert(place, Entry::Message(Message::Reply { success, times }));
        }
    }

    /// Queues an answer of the session's.
    fn push_reply(&mut self, success: bool, times: u32) {
        // Merged: a client that asks without end and reads nothing must not make the queue grow.
        if let Some(Entry::Message(Message::Reply { success: same, times: before })) = self.entries.back_mut()
            && *same == success
        {
            *before = before.saturating_add(times);
        } else {
            self.entries.push_back(Entry::Message(Message::Reply { success, times }));
        }
    }

    /// Bytes that the process may add.
    pub(super) fn room(&self) -> usize {
        if self.is_held { 0 } else { self.room_for_echo() }
    }

    /// Bytes that the terminal's echo may add.
    pub(super) fn room_for_echo(&self) -> usize {
        self.capacity.saturating_sub(self.used())
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether the process may add half of what fits.
    pub(super) fn has_much_room(&self) -> bool {
        !self.is_held && self.is_at_most_half_full()
    }

    fn is_at_most_half_full(&self) -> bool {
        self.used() <= self.capacity / 2
    }

    /// Bytes that count against the capacity.
    fn used(&self) -> usize {
        self.ring.len() + self.runs.saturating_sub(FREE_RUNS) * RUN
    }

    /// Notes that `bytes` more of the waiting bytes are charged.
    pub(super) fn charge(&mut self, bytes: usize) {
        self.charged += bytes;
    }

    /// Charged bytes that have left the queue since the last call.
    pub(super) fn take_uncharged(&mut self) -> usize {
        let gone = self.charged.saturating_sub(self.ring.len());
        self.charged -= gone;
        gone
    }

    /// Queues a message that is not bytes; false if it was dropped because the session has exited or too many like it
    /// wait.
    pub(super) fn push_message(&mut self, message: Message) -> bool {
        if self.has_ended() {
            return false;
        }
        match &message {
            Message::Reply { success, times } => {
                self.push_reply(*success, *times);
                self.order.session_answered(*times);
                self.push_answers();
                return true;
            }
            Message::Opened(reply) => {
                self.order.session_answered(1);
                if *reply != OpenReply::Accepted {
                    self.last_progress = Some(Instant::now());
                }
                self.entries.push_back(Entry::Message(message));
                self.push_answers();
                return true;
            }
            Message::Exit(_) => {
                self.last_progress = Some(Instant::now());
                // The session answers nothing after its exit.
                self.order = AnswerOrder::default();
            }
            // EOF is sent once.
            Message::Eof if self.eof => return true,
            Message::Eof => self.eof = true,
            Message::Disconnect(_) if self.disconnected => return false,
            Message::Disconnect(_) => self.disconnected = true,
            Message::Debug(_) if self.debug_messages == DEBUG_MESSAGES => return false,
            Message::Debug(_) => self.debug_messages += 1,
            Message::Request(_) if self.requests == REQUESTS => return false,
            Message::Request(request) => {
                let bytes = self.request_bytes + request.0.len() + request.1.len();
                if bytes > REQUEST_BYTES {
                    return false;
                }
                self.requests += 1;
                self.request_bytes = bytes;
            }
        }
        self.entries.push_back(Entry::Message(message));
        true
    }

    /// Queues as many of the bytes as there is room for. Returns how many.
    pub(super) fn push(&mut self, to: Output, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        self.push_whole(to, &bytes[..taken]);
        taken
    }

    /// Queues all of the bytes, even beyond the capacity: for the host's own lines and for held output.
    pub(super) fn push_whole(&mut self, to: Output, bytes: &[u8]) {
        if bytes.is_empty() || self.eof || self.has_ended() {
            return;
        }
        if self.ring.capacity() <= spare::SMALL && self.ring.len() + bytes.len() > spare::SMALL {
            let mut larger = VecDeque::from(spare::take());
            larger.append(&mut self.ring);
            self.ring = larger;
        }
        self.ring.extend(bytes);
        match self.entries.back_mut() {
            Some(Entry::Bytes { to: before, len }) if *before == to => *len += bytes.len(),
            Some(_) | None => {
                self.runs += 1;
                self.entries.push_back(Entry::Bytes { to, len: bytes.len() });
            }
        }
        self.owes_writable |= !self.is_at_most_half_full();
    }

    /// Whether the session waits for room, and has it now.
    pub(super) fn take_watched(&mut self) -> bool {
        let wakes = self.watched && self.has_much_room();
        self.watched &= !wakes;
        wakes
    }

    pub(super) fn has_writable(&self) -> bool {
        self.owes_writable && self.has_much_room()
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
                    if self.has_ended() && taken > 0 {
                        self.last_progress = Some(Instant::now());
                    }
                    if taken < len {
                        self.entries.push_front(Entry::Bytes { to, len: len - taken });
                    } else {
                        self.runs -= 1;
                    }
                    break;
                }
            }
        }
        if !self.entries.is_empty() {
            return Drained::More;
        }
        self.relax();
        Drained::Empty
    }

    /// Hands over one small message.
    fn deliver(&mut self, message: Message, sink: &mut impl Sink) {
        match message {
            Message::Opened(reply) => sink.opened(reply),
            Message::Reply { success, times } => sink.reply(success, times),
            Message::Eof => sink.eof(),
            Message::Request(request) => {
                self.requests -= 1;
                self.request_bytes -= request.0.len() + request.1.len();
                sink.request(&request.0, &request.1);
            }
            Message::Exit(exit) => sink.exit(&exit),
            Message::Disconnect(note) => sink.disconnect(note.0, &note.1),
            Message::Debug(note) => {
                self.debug_messages -= 1;
                sink.debug(&note.0, note.1);
            }
        }
    }

    /// The queue is empty: gives large memory back.
    fn relax(&mut self) {
        if self.ring.capacity() > spare::SMALL {
            spare::give(std::mem::take(&mut self.ring).into());
        }
        if self.entries.capacity() > KEPT {
            self.entries = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records what it receives and takes `piece` bytes a call.
    struct Pen {
        heard: Vec<String>,
        piece: usize,
    }

    impl Sink for Pen {
        fn opened(&mut self, reply: OpenReply) {
            self.heard.push(format!("opened {reply:?}"));
        }
        fn reply(&mut self, success: bool, times: u32) {
            (0..times).for_each(|_| self.heard.push(format!("reply {success}")));
        }
        fn bytes(&mut self, _: Output, data: &[u8]) -> usize {
            let taken = data.len().min(self.piece);
            self.heard.push(String::from_utf8_lossy(&data[..taken]).into_owned());
            taken
        }
        fn eof(&mut self) {
            self.heard.push("eof".to_owned());
        }
        fn request(&mut self, name: &str, _: &[u8]) {
            self.heard.push(name.to_owned());
        }
        fn exit(&mut self, exit: &Exit) {
            self.heard.push(if let Exit::Signal { .. } = exit { "signal" } else { "exit" }.to_owned());
        }
        fn disconnect(&mut self, _: u32, text: &str) {
            self.heard.push(text.to_owned());
        }
        fn debug(&mut self, text: &str, _: bool) {
            self.heard.push(text.to_owned());
        }
    }

    fn drained(queue: &mut OutputQueue, piece: usize) -> Vec<String> {
        let mut pen = Pen { heard: Vec::new(), piece };
        while queue.drain(&mut pen) == Drained::More {}
        pen.heard
    }

    #[test]
    fn bytes_go_round_the_ring_in_order_and_never_beyond_its_capacity() {
        let mut queue = OutputQueue::new(10);
        let mut sent = 0_u8;
        let mut heard = String::new();
        for _ in 0..200 {
            let letters: Vec<u8> = (0..7).map(|at| b'a' + (sent + at) % 26).collect();
            let taken = queue.push(Output::Stdout, &letters);
            sent = (sent + u8::try_from(taken).unwrap()) % 26;
            assert!(queue.ring.len() <= 10);
            let mut pen = Pen { heard: Vec::new(), piece: 3 };
            queue.drain(&mut pen);
            heard += &pen.heard.concat();
        }
        heard += &drained(&mut queue, 3).concat();
        assert!(heard.bytes().enumerate().all(|(at, letter)| usize::from(letter - b'a') == at % 26));
    }

    #[test]
    fn messages_keep_their_place_among_the_bytes_and_nothing_follows_the_exit() {
        let mut queue = OutputQueue::new(100);
        queue.push_message(Message::Opened(OpenReply::Accepted));
        queue.push(Output::Stdout, b"ab");
        queue.push(Output::Stdout, b"cd");
        queue.push_message(Message::reply(true));
        queue.push(Output::Stderr, b"ef");
        queue.push(Output::Stdout, b"gh");
        queue.push_message(Message::Eof);
        assert!(queue.push_message(Message::Exit(Box::new(Exit::Status(0)))));
        assert!(!queue.push_message(Message::reply(true)));
        queue.push_whole(Output::Stdout, b"late");
        assert_eq!(drained(&mut queue, 100), ["opened Accepted", "abcd", "reply true", "ef", "gh", "eof", "exit"]);
    }

    #[test]
    fn what_is_left_of_a_session_that_has_ended_can_be_thrown_away_and_the_client_is_told() {
        let exit = || Exit::Signal {
            name: crate::session_types::SignalName::Kill,
            core_dumped: false,
            message: String::new(),
        };
        let mut queue = OutputQueue::new(100);
        queue.push(Output::Stdout, b"ab");
        queue.push_message(Message::reply(true));
        queue.push(Output::Stderr, b"cd");
        queue.push_message(Message::Eof);
        assert_eq!(queue.cut(b"discarded", exit()), None, "it has not ended");
        queue.push_message(Message::Exit(Box::new(Exit::Status(0))));
        assert_eq!(queue.cut(b"discarded", exit()), Some(4));
        assert_eq!(drained(&mut queue, 100), ["reply true", "discarded", "signal"]);
        assert_eq!(queue.cut(b"discarded", exit()), None, "nothing waits");
    }

    #[test]
    fn the_hosts_answers_come_in_their_turn_while_the_session_is_busy() {
        let mut queue = OutputQueue::new(100);
        queue.push_answer(false);
        assert!(queue.is_empty(), "nothing comes before the channel is open");
        queue.push_message(Message::Opened(OpenReply::Accepted));
        queue.queue_request();
        queue.push_answer(false);
        queue.push(Output::Stdout, b"ab");
        queue.push_message(Message::reply(true));
        queue.push_answer(false);
        assert_eq!(
            drained(&mut queue, 100),
            ["opened Accepted", "reply false", "ab", "reply true", "reply false", "reply false"]
        );
        // Output that cannot go out holds up no answer, and the end of the session none either.
        queue.push(Output::Stdout, b"cd");
        queue.push_message(Message::Exit(Box::new(Exit::Status(0))));
        assert!(queue.push_answer(false));
        assert_eq!(drained(&mut queue, 100), ["reply false", "cd", "exit"]);
        assert!(!queue.push_answer(false) && queue.is_empty());
    }

    #[test]
    fn a_sink_without_room_ends_the_drain() {
        let mut queue = OutputQueue::new(100);
        queue.push(Output::Stdout, b"ab");
        let mut pen = Pen { heard: Vec::new(), piece: 0 };
        assert_eq!(queue.drain(&mut pen), Drained::More);
        assert_eq!(pen.heard, [""]);
        assert_eq!(drained(&mut queue, 1), ["a", "b"]);
    }

    #[test]
    fn bytes_for_two_streams_in_turn_fill_the_queue_sooner_than_their_number() {
        let mut queue = OutputQueue::new(64 << 10);
        let mut streams = [Output::Stdout, Output::Stderr].into_iter().cycle();
        while queue.room() > 0 {
            assert_eq!(queue.push(streams.next().unwrap(), b"x"), 1);
        }
        assert!(queue.entries.len() * RUN <= 66 << 10);
        assert_eq!(drained(&mut queue, 1).len(), queue.capacity / (RUN + 1) + FREE_RUNS);
        assert_eq!(queue.room(), queue.capacity);
    }

    #[test]
    fn writable_is_owed_once_after_more_than_half_was_full() {
        let mut queue = OutputQueue::new(10);
        queue.push(Output::Stdout, b"12345");
        assert!(!queue.owes_writable());
        queue.push(Output::Stdout, b"6");
        assert!(queue.owes_writable() && !queue.take_writable());
        queue.drain(&mut Pen { heard: Vec::new(), piece: 1 });
        assert!(queue.take_writable());
        assert!(!queue.take_writable());
    }

    #[test]
    fn an_empty_ring_gives_large_memory_back_and_keeps_small_memory() {
        let mut queue = OutputQueue::new(1 << 20);
        queue.push(Output::Stdout, &[b'x'; 100]);
        queue.push(Output::Stdout, &[b'x'; 100_000]);
        assert_eq!(drained(&mut queue, usize::MAX).concat().len(), 100_100);
        assert_eq!(queue.ring.capacity(), 0);
        queue.push(Output::Stdout, b"key");
        drained(&mut queue, usize::MAX);
        assert!(queue.ring.capacity() > 0);
    }

    #[test]
    fn a_request_that_comes_after_the_exit_is_answered_by_the_host() {
        let mut queue = OutputQueue::new(100);
        queue.push_message(Message::Opened(OpenReply::Accepted));
        queue.push(Output::Stdout, b"unread");
        assert!(!queue.queue_request());
        queue.push_message(Message::Exit(Box::new(Exit::Status(0))));
        assert!(queue.queue_request());
        assert!(queue.push_answer(false), "nobody before it is waited for");
    }
}
