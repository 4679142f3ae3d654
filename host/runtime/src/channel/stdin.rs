//! The session half as a program sees it: events that are handled beside the program, and input that it reads.

use super::half::SessionHalf;
use super::input::InputItem;
use super::input::stdin::StdinRead;
use super::shared::Shared;
use crate::session_types::{ChannelEvent, SignalName};

impl SessionHalf {
    /// From now on a program reads the input: what was on its way to a handler is put back.
    pub(crate) fn begin_stdin(&mut self) {
        let (kind, bytes) = self.take_rest();
        self.shared().inbound(|inbound| inbound.queue.put_back(kind, bytes));
    }

    /// Takes the next entry before a program runs. Signals that an earlier process has caught are dropped: nobody
    /// takes them, and [`arrival`](Self::arrival) does not wait while there are any.
    pub(crate) fn next_early(&mut self) -> Option<InputItem> {
        while self.shared().take_signal().is_some() {}
        self.next()
    }
}

impl Shared {
    /// Takes the oldest event, whether the program has read the data before it or not.
    pub(crate) fn next_event(&self) -> Option<ChannelEvent> {
        self.inbound(|inbound| inbound.queue.next_event())
    }

    /// A program leaves a signal that it has caught to the process that takes the session over.
    pub(crate) fn leave_caught(&self, name: SignalName) {
        self.inbound(|inbound| inbound.queue.leave_caught(name));
    }

    /// Reads at most `most` bytes of a program's standard input, and returns their credit to the client. Nothing more
    /// comes after the client's EOF, and none arrives after the end of the session.
    pub(crate) fn read_stdin(&self, most: usize) -> StdinRead {
        let (read, taken, is_over) = self.inbound(|inbound| {
            let read = self.read_from_terminal(inbound, most).map(|read| (read, 0));
            let (read, taken) = read.unwrap_or_else(|| inbound.queue.read(most));
            let has_ended = inbound.lifecycle.ended().is_some();
            let is_over = has_ended && !self.terminal_has_stdin(inbound).unwrap_or_else(|| inbound.queue.has_stdin().0);
            (read, taken, is_over)
        });
        self.credit(taken);
        if is_over && read == StdinRead::Nothing { StdinRead::End } else { read }
    }

    /// Whether a read of standard input would find bytes or the end.
    pub(crate) fn has_stdin(&self) -> bool {
        let (readable, dropped) = self.inbound(|inbound| {
            let readable = self.terminal_has_stdin(inbound).map(|readable| (readable, 0));
            let (readable, dropped) = readable.unwrap_or_else(|| inbound.queue.has_stdin());
            (readable || inbound.lifecycle.ended().is_some(), dropped)
        });
        self.credit(dropped);
        readable
    }
}
