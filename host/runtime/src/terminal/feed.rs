//! A line discipline that is fed with what has arrived from the client, and looks ahead for signals in what it cannot
//! receive yet.

use super::discipline::{LineDiscipline, Read, Received, TerminalSignal};
use super::modes::{Flag, Modes};

/// A line discipline between what has arrived and a process.
#[derive(Debug, Default)]
pub(crate) struct TerminalFeed {
    discipline: LineDiscipline,
    /// The signals that nobody has taken yet, each once.
    signals: Vec<TerminalSignal>,
    /// How many of the bytes that have arrived and were not received were searched for a signal.
    searched: usize,
    /// The next byte to search is no control character.
    is_literal: bool,
    /// Bytes that come first are with the process and will be put back: nothing is received until then.
    pub(crate) waits_for_older: bool,
    /// Bytes that were read while an event was waiting.
    pub(crate) read_before_event: usize,
}

impl TerminalFeed {
    /// A terminal with these modes. `by_width`: see [`LineDiscipline::erase_by_width`].
    pub(crate) fn new(modes: Modes, by_width: bool) -> TerminalFeed {
        let mut discipline = LineDiscipline::new(modes);
        discipline.erase_by_width(by_width);
        TerminalFeed { discipline, ..TerminalFeed::default() }
    }

    /// Changes the modes. Appends to `out` what could not be shown while output was held.
    pub(crate) fn set_modes(&mut self, modes: Modes, by_width: bool, out: &mut Vec<u8>) {
        self.discipline.erase_by_width(by_width);
        self.discipline.set_modes(modes, out);
    }

    /// Whether input need not pass here: nothing would happen to it, and none is here.
    pub(crate) fn passes_input(&self) -> bool {
        !self.waits_for_older && self.discipline.passes_input()
    }

    /// Whether lines are edited here and everything that is typed is shown.
    pub(crate) fn echoes_lines(&self) -> bool {
        let modes = self.discipline.modes();
        modes.has(Flag::Icanon) && modes.has(Flag::Echo)
    }

    /// Whether the stop character holds output.
    pub(crate) fn is_held(&self) -> bool {
        self.discipline.is_held()
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.discipline.is_readable()
    }

    pub(crate) fn has_signal(&self) -> bool {
        !self.signals.is_empty()
    }

    /// Keeps a signal until it is taken.
    pub(crate) fn raise(&mut self, signal: TerminalSignal) {
        if !self.signals.contains(&signal) {
            self.signals.push(signal);
        }
    }

    /// Takes the oldest signal.
    pub(crate) fn take_signal(&mut self) -> Option<TerminalSignal> {
        (!self.signals.is_empty()).then(|| self.signals.remove(0))
    }

    /// Receives bytes at the front of those that have arrived. Appends the echo to `out`.
    pub(crate) fn receive(&mut self, arrived: &[u8], out: &mut Vec<u8>) -> Received {
        let received = self.discipline.receive(arrived, out);
        self.searched = self.searched.saturating_sub(received.taken);
        if received.taken > 0 {
            self.is_literal = false;
        }
        received
    }

    /// Looks for a signal in what has arrived and cannot be received yet. One that drops what was typed drops the bytes
    /// before it, which count as taken. Appends the echo to `out`. Each byte is looked at once.
    pub(crate) fn look_ahead(&mut self, arrived: &[u8], out: &mut Vec<u8>) -> Option<Received> {
        let from = self.searched.min(arrived.len());
        // With this mode a signal keeps its place among what was typed.
        if self.discipline.modes().has(Flag::Noflsh) || from == arrived.len() {
            return None;
        }
        if from == 0 {
            self.is_literal = self.discipline.is_literal();
        }
        let Some(at) = self.discipline.find_signal(&arrived[from..], &mut self.is_literal) else {
            self.searched = arrived.len();
            return None;
        };
        let mut received = self.discipline.receive_signal(arrived[from + at], out);
        received.taken += from + at;
        (self.searched, self.is_literal) = (0, false);
        Some(received)
    }

    /// No more will arrive: what was typed of a line can be read.
    pub(crate) fn end_input(&mut self) {
        self.discipline.end_input();
    }

    /// Reads what was typed: at most one line if the modes say so.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Read {
        self.discipline.read(buffer)
    }

    /// See [`LineDiscipline::write`].
    pub(crate) fn write(&mut self, bytes: &[u8], room: usize, show: &mut impl FnMut(&[u8])) -> usize {
        self.discipline.write(bytes, room, show)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_found_once_however_its_neighbours_arrive() {
        let mut feed = TerminalFeed::new(Modes::default(), false);
        let (mut arrived, mut out) = (Vec::new(), Vec::new());
        for piece in [&b"ab\x16"[..], b"\x03", b"c\x16\x16", b"d"] {
            arrived.extend_from_slice(piece);
            assert_eq!(feed.look_ahead(&arrived, &mut out), None);
        }
        arrived.extend_from_slice(b"\x03\x03");
        let signal = Some(TerminalSignal::Interrupt);
        let received = feed.look_ahead(&arrived, &mut out);
        assert_eq!(received, Some(Received { taken: arrived.len() - 1, signal, drops_output: true }));
        assert_eq!(out, b"^C");
        arrived.drain(..arrived.len() - 1);
        assert_eq!(feed.look_ahead(&arrived, &mut out).map(|received| received.taken), Some(1));
    }

    #[test]
    fn a_signal_that_drops_nothing_keeps_its_place() {
        let mut modes = Modes::default();
        modes.set(Flag::Noflsh, true);
        let mut feed = TerminalFeed::new(modes, false);
        assert_eq!(feed.look_ahead(b"ab\x03", &mut Vec::new()), None);
    }

    #[test]
    fn each_signal_waits_once() {
        let mut feed = TerminalFeed::default();
        feed.raise(TerminalSignal::Quit);
        feed.raise(TerminalSignal::Interrupt);
        feed.raise(TerminalSignal::Quit);
        let taken: Vec<_> = std::iter::from_fn(|| feed.take_signal()).collect();
        assert_eq!(taken, [TerminalSignal::Quit, TerminalSignal::Interrupt]);
    }
}
