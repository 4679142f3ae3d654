//! The terminal of a session. Its line discipline ([`crate::terminal`]) stands between the client's data and the
//! process, and between output and the outbox, wherever the modes ask for that. As long as they do not, bytes pass it
//! by.
//!
//! ```text
//!   Inbox::data --> input queue --> receive --> line discipline --> the process reads
//!                                      | echo          ^
//!                                      v               |
//!                        outbox <--- push <------- the process writes
//! ```
//!
//! Data are received as they arrive, by the connection's task, so that keys are echoed and `^C` is seen while the
//! process is busy. A call receives a bounded number of bytes. What is left waits for room in the outbox, for the
//! process to read, or for the connection's next turn; signals are looked for in it.
//!
//! The lock of the input queue is taken before that of the output queue.

use std::sync::atomic::Ordering;

use super::buffer::Buffer;
use super::half::PIECE;
use super::input::stdin::StdinRead;
use super::input::{Inbound, InputItem};
use super::lifecycle::Stage;
use super::output::OutputQueue;
use super::shared::Shared;
use super::spare;
use crate::limits::output_charges::{OutputCharges, Space};
use crate::session_types::{Output, SignalName};
use crate::terminal::{Flag, MOST_ECHO, Modes, Read, Received, TerminalFeed, TerminalSignal};

/// Most bytes that are received before others have their turn, where this many bytes of echo count as one: some keys
/// show a whole line.
const TURN: usize = 2 << 10;
const ECHO: usize = 8;
/// Most bytes of one read: what the line discipline can hold.
const READ: usize = 4 << 10;
/// Most bytes that are processed under the locks at a time.
const WRITE: usize = 64 << 10;

/// What is left to do after the output queue was changed.
#[derive(Default)]
struct Shown {
    /// Charges of dropped output.
    gone: usize,
    /// The process waits for room and has it now.
    wakes: bool,
    /// Bytes of echo.
    echo: usize,
}

// The process.
impl Shared {
    /// Changes the modes of the terminal, from the next byte on that the process has not got. `by_width`: erasing moves
    /// back by the columns of a character.
    pub(crate) fn set_terminal_modes(&self, modes: &Modes, by_width: bool) {
        let passes_output = modes.pass_output();
        let shown = self.inbound(|inbound| {
            let waits = !modes.pass_input() && inbound.queue.lent() > PIECE;
            let shown = match inbound.terminal.as_deref_mut() {
                None if modes.pass_input() && passes_output => Shown::default(),
                None => {
                    let mut terminal = TerminalFeed::new(modes.clone(), by_width);
                    terminal.waits_for_older = waits;
                    inbound.terminal = Some(Box::new(terminal));
                    Shown::default()
                }
                Some(terminal) => {
                    terminal.waits_for_older |= waits && terminal.passes_input();
                    let mut echo = Vec::new();
                    terminal.set_modes(modes.clone(), by_width, &mut echo);
                    self.emit(|output| show(output, terminal, &echo, None))
                }
            };
            self.processes_output.store(!passes_output, Ordering::Relaxed);
            self.stops_output.store(modes.has(Flag::Tostop), Ordering::Relaxed);
            self.receive(inbound);
            shown
        });
        self.settle(&shown);
    }

    /// Whether a background process that writes to the terminal is stopped.
    pub(crate) fn stops_output(&self) -> bool {
        self.stops_output.load(Ordering::Relaxed)
    }

    /// The oldest signal for a handler that it was not given: one that it catches, or one of the terminal.
    pub(crate) fn take_signal(&self) -> Option<SignalName> {
        self.inbound(|inbound| inbound.queue.take_caught().or_else(|| terminal_signal(inbound)))
    }

    /// The oldest signal of the terminal that the process does not catch.
    pub(crate) fn take_terminal_signal(&self) -> Option<SignalName> {
        self.inbound(terminal_signal)
    }

    /// Whether a handler is to give back the data that it has not got yet.
    pub(super) fn wants_back(&self) -> bool {
        self.inbound(|inbound| inbound.terminal.as_deref().is_some_and(|terminal| terminal.waits_for_older))
    }

    /// Takes back the data that a handler has not got yet. They come before everything else.
    pub(super) fn put_back(&self, bytes: Buffer) {
        self.inbound(|inbound| inbound.queue.put_back(None, bytes));
    }

    /// Queues output of the process as the terminal shows it. Returns how many of the bytes were taken; what is left of
    /// `space` is given back.
    pub(super) fn push_processed(&self, to: Output, bytes: &[u8], space: Space<'_>) -> usize {
        let (bytes, most) = (&bytes[..bytes.len().min(WRITE)], space.bytes());
        let charge = |output: &mut OutputQueue, shown: usize| {
            // A newline may need one byte more.
            let charged = shown.min(most);
            output.charge(charged);
            space.spend(charged);
        };
        self.process(to, bytes, |output| output.room().min(most), charge)
    }

    /// Queues all of the bytes as the terminal shows them, even beyond the capacity.
    pub(crate) fn push_beyond(&self, to: Output, bytes: &[u8]) {
        self.process(to, bytes, |_| usize::MAX, |_, _| {});
    }

    /// The same, and charges the accounts for it, which are overdrawn where they have no room.
    pub(crate) fn push_overdrawn(&self, to: Output, bytes: &[u8], accounts: &OutputCharges) {
        self.mark_active();
        let charge = |output: &mut OutputQueue, shown: usize| {
            output.charge(shown);
            accounts.overdraw(shown);
        };
        self.process(to, bytes, |_| usize::MAX, charge);
    }

    fn process(
        &self,
        to: Output,
        bytes: &[u8],
        room: impl FnOnce(&OutputQueue) -> usize,
        charge: impl FnOnce(&mut OutputQueue, usize),
    ) -> usize {
        self.inbound(|inbound| {
            let terminal = inbound.terminal.as_deref_mut().filter(|_| !matches!(to, Output::Extended(_)));
            self.emit(|output| {
                let (room, mut shown) = (room(output), 0);
                let mut show = |piece: &[u8]| {
                    output.push_whole(to, piece);
                    shown += piece.len();
                };
                let taken = if let Some(terminal) = terminal {
                    terminal.write(bytes, room, &mut show)
                } else {
                    let taken = bytes.len().min(room);
                    show(&bytes[..taken]);
                    taken
                };
                charge(output, shown);
                taken
            })
        })
    }

    /// See [`Shared::has_input`].
    pub(super) fn has_next(&self, inbound: &mut Inbound) -> bool {
        if !self.receives(inbound) {
            return inbound.has_next() || inbound.terminal.as_deref().is_some_and(TerminalFeed::has_signal);
        }
        let terminal = inbound.terminal.as_deref();
        terminal.is_some_and(|terminal| terminal.is_readable() || terminal.has_signal())
            || inbound.queue.has_other_than_typed()
    }

    /// See [`Shared::next`]. Events wait for what the terminal had when they arrived, and not for what it could not
    /// receive.
    pub(super) fn take_next(
        &self,
        inbound: &mut Inbound,
        into: &mut Buffer,
        piece: usize,
    ) -> Option<(InputItem, bool)> {
        if let Some(terminal) = inbound.terminal.as_deref_mut() {
            // The session half is empty.
            terminal.waits_for_older = false;
        }
        if !self.receives(inbound) {
            return inbound.next(into, piece).map(|item| (item, false));
        }
        if let Some(terminal) = inbound.terminal.as_deref_mut()
            && (terminal.read_before_event >= READ || !terminal.is_readable())
        {
            terminal.read_before_event = 0;
            if let Some(event) = inbound.queue.next_beside_data() {
                return Some((event, false));
            }
        }
        let mut buffer = [0; READ];
        if let Some(read) = self.read_terminal(inbound, &mut buffer) {
            into.push(&buffer[..read]);
            return Some((InputItem::Data { kind: None }, true));
        }
        if !inbound.queue.has_other_than_typed() {
            return None;
        }
        inbound.next(into, piece).map(|item| (item, false))
    }

    /// Reads what was typed. None if nothing can be read now; no bytes are the end of file that was typed.
    fn read_terminal(&self, inbound: &mut Inbound, buffer: &mut [u8]) -> Option<usize> {
        let terminal = inbound.terminal.as_deref_mut()?;
        let Read::Bytes(read) = terminal.read(buffer) else { return None };
        let waits = inbound.queue.has_other_than_typed();
        terminal.read_before_event = if waits { terminal.read_before_event + read.max(1) } else { 0 };
        // There is room for more.
        self.receive(inbound);
        Some(read)
    }

    /// Reads at most `most` bytes for a program. None if the terminal does not stand before its input.
    pub(super) fn read_from_terminal(&self, inbound: &mut Inbound, most: usize) -> Option<StdinRead> {
        if !self.receives_stdin(inbound) {
            return None;
        }
        if most == 0 {
            return Some(StdinRead::Nothing);
        }
        let mut buffer = vec![0; most.min(READ)];
        Some(match self.read_terminal(inbound, &mut buffer) {
            Some(0) => StdinRead::End,
            Some(read) => {
                buffer.truncate(read);
                StdinRead::Bytes(buffer.into())
            }
            None if inbound.queue.ends() => StdinRead::End,
            None => StdinRead::Nothing,
        })
    }

    /// Whether that would find bytes or an end.
    pub(super) fn terminal_has_stdin(&self, inbound: &mut Inbound) -> Option<bool> {
        if !self.receives_stdin(inbound) {
            return None;
        }
        let readable = inbound.terminal.as_deref().is_some_and(TerminalFeed::is_readable);
        Some(readable || inbound.queue.ends())
    }

    fn receives_stdin(&self, inbound: &mut Inbound) -> bool {
        if inbound.terminal.is_none() {
            return false;
        }
        // A terminal has no other streams of input.
        self.credit(inbound.queue.drop_extended());
        self.receives(inbound)
    }

    /// Whether the terminal stands before the process's input; then it receives what it can.
    fn receives(&self, inbound: &mut Inbound) -> bool {
        if inbound.terminal.is_none() || !inbound.lifecycle.has_accepted() {
            return false;
        }
        self.receive(inbound);
        inbound.terminal.as_deref().is_some_and(|terminal| !terminal.passes_input())
    }
}

// The connection's side, and both.
impl Shared {
    /// Queues bytes from the client, and lets the terminal receive what it can.
    pub(super) fn data(&self, kind: Option<u32>, bytes: &[u8]) {
        let wakes = self.inbound(|inbound| {
            inbound.data(kind, bytes);
            if inbound.terminal.is_none() {
                return true;
            }
            // A key that only makes an echo does not concern the session.
            self.has_next(inbound) || inbound.queue.has_caught()
        });
        self.mark_active();
        if wakes {
            self.wake_session();
        }
    }

    /// Output was taken, or it is the connection's next turn: the terminal goes on.
    pub(super) fn resume_input(&self) {
        if self.inbound(|inbound| self.has_next(inbound) || inbound.queue.has_caught()) {
            self.wake_session();
        }
    }

    /// Lets the terminal receive what has arrived, as far as it can now.
    fn receive(&self, inbound: &mut Inbound) {
        let Inbound { lifecycle, queue, terminal } = inbound;
        let Some(terminal) = terminal.as_deref_mut() else { return };
        if !lifecycle.has_accepted() || matches!(lifecycle.stage(), Stage::Closing | Stage::Ended) {
            return;
        }
        self.input_waits.store(false, Ordering::Relaxed);
        let mut left = TURN;
        while !terminal.waits_for_older && !terminal.passes_input() && !queue.typed().is_empty() {
            if left == 0 {
                self.input_waits.store(true, Ordering::Relaxed);
                self.wake_connection();
                break;
            }
            let typed = queue.typed();
            let (mut received, mut shown) = self.receive_some(terminal, &typed[..typed.len().min(left)]);
            let mut dropped = 0;
            if received.taken == 0 {
                (received, shown) = self.look_ahead(terminal, typed);
                dropped = received.taken.saturating_sub(1);
            }
            if let Some(observe) = self.typed_observer.get()
                && terminal.echoes_lines()
                && received.taken > 0
            {
                observe(&typed[dropped..received.taken]);
            }
            self.settle(&shown);
            if received.taken == 0 {
                break;
            }
            if let Some(signal) = received.signal
                && !queue.raise_caught(&name(signal))
            {
                terminal.raise(signal);
            }
            queue.take_typed(received.taken);
            self.credit(received.taken);
            left = left.saturating_sub(received.taken.max(shown.echo / ECHO));
        }
        if queue.ends() && !terminal.waits_for_older {
            terminal.end_input();
        }
    }

    /// Receives bytes that have arrived, unless there is no room for echo.
    fn receive_some(&self, terminal: &mut TerminalFeed, typed: &[u8]) -> (Received, Shown) {
        let space = self.charges().map(|charges| charges.space(MOST_ECHO));
        let nothing = Received { taken: 0, signal: None, drops_output: false };
        self.emit(|output| {
            // A little is not charged if it cannot be: whoever drains it lets the terminal go on.
            let is_short = matches!(space, Some(Err(_))) && output.len() > spare::SMALL;
            if output.room_for_echo() == 0 || is_short {
                // Under the lock of the output: whoever drains it next sees this.
                self.input_waits.store(true, Ordering::Relaxed);
                return (nothing, Shown::default());
            }
            let mut echo = Vec::new();
            let received = terminal.receive(typed, &mut echo);
            let dropped = drop_output(output, received);
            let shown = show(output, terminal, &echo, space.and_then(Result::ok));
            (received, Shown { gone: shown.gone + dropped, ..shown })
        })
    }

    /// Looks for a signal in what has arrived and cannot be received.
    fn look_ahead(&self, terminal: &mut TerminalFeed, typed: &[u8]) -> (Received, Shown) {
        let mut echo = Vec::new();
        let Some(received) = terminal.look_ahead(typed, &mut echo) else {
            return (Received { taken: 0, signal: None, drops_output: false }, Shown::default());
        };
        self.emit(|output| {
            let dropped = drop_output(output, received);
            let shown = show(output, terminal, &echo, None);
            (received, Shown { gone: shown.gone + dropped, ..shown })
        })
    }

    fn settle(&self, shown: &Shown) {
        if let Some(charges) = self.charges()
            && shown.echo > 0
        {
            charges.count_sent(shown.echo);
        }
        if shown.gone > 0 {
            self.give_charges(shown.gone);
        }
        if shown.wakes {
            self.wake_session();
        }
    }
}

/// Drops the output that waits, if a signal does that. Returns how many bytes are no longer charged.
fn drop_output(output: &mut OutputQueue, received: Received) -> usize {
    if !received.drops_output {
        return 0;
    }
    output.discard_bytes();
    output.take_uncharged()
}

/// Queues what the terminal shows, and holds the process's output or lets it go on.
fn show(output: &mut OutputQueue, terminal: &TerminalFeed, echo: &[u8], space: Option<Space<'_>>) -> Shown {
    output.push_whole(Output::Stdout, echo);
    if let Some(space) = space {
        let charged = echo.len().min(space.bytes());
        output.charge(charged);
        space.spend(charged);
    }
    output.hold_process(terminal.is_held());
    Shown { gone: 0, wakes: output.take_watched(), echo: echo.len() }
}

fn terminal_signal(inbound: &mut Inbound) -> Option<SignalName> {
    inbound.terminal.as_deref_mut()?.take_signal().map(name)
}

fn name(signal: TerminalSignal) -> SignalName {
    match signal {
        TerminalSignal::Interrupt => SignalName::Int,
        TerminalSignal::Quit => SignalName::Quit,
        TerminalSignal::Suspend => SignalName::Other("TSTP".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::channel::lifecycle::Lifecycle;
    use crate::channel::{OpenReply, session_pipes};

    /// What is typed with ECHO or ICANON off may be a password, or keys of a program that shows what matters itself.
    #[test]
    fn what_is_typed_is_told_only_while_lines_are_edited_and_shown() {
        let (inbox, _outbox, half) = session_pipes(1 << 10, Arc::new(|| ()));
        let seen = Arc::<Mutex<Vec<u8>>>::default();
        let told = Arc::clone(&seen);
        inbox.observe_typed(Arc::new(move |bytes| told.lock().unwrap().extend_from_slice(bytes)));
        let shared = half.shared();
        let accepts = |lifecycle: &mut Lifecycle| {
            lifecycle.open(OpenReply::Accepted) && lifecycle.begin_program() && lifecycle.accept().is_some()
        };
        assert!(shared.lifecycle(accepts));
        let typed = |modes: &Modes, text: &str| {
            shared.set_terminal_modes(modes, false);
            inbox.data(None, text.as_bytes());
            while shared.inbound(|inbound| read(shared, inbound)).is_some() {}
            String::from_utf8(std::mem::take(&mut *seen.lock().unwrap())).unwrap()
        };
        let cooked = Modes::default();
        assert_eq!(typed(&cooked, "ls\rab\x7f\n"), "ls\rab\x7f\n");
        let mut hidden = cooked.clone();
        hidden.set(Flag::Echo, false);
        assert_eq!(typed(&hidden, "secret\n"), "");
        let mut keys = cooked.clone();
        keys.set(Flag::Icanon, false);
        assert_eq!(typed(&keys, ":wq\r"), "");
        let mut raw = cooked.clone();
        raw.make_raw();
        assert_eq!(typed(&raw, "x"), "");
        assert_eq!(typed(&cooked, "exit\x03"), "exit\x03");
    }

    fn read(shared: &Shared, inbound: &mut Inbound) -> Option<usize> {
        let mut into = Buffer::default();
        shared.take_next(inbound, &mut into, PIECE).map(|_| into.len())
    }
}
