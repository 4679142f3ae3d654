//! The line discipline itself: what each byte that is typed does.

use super::character::lower;
use super::editing::{Editor, Erase};
use super::input::{Input, LineEnd};
use super::modes::{ControlKey, Flag, Modes};
use super::screen::{Echo, Screen};

/// [`LineDiscipline::receive`] stops when it has echoed this many bytes, so that its caller can look for room. One byte
/// that is typed echoes at most three times as many more.
pub const MOST_ECHO: usize = 4096;

/// A line discipline with its modes.
#[derive(Debug, Default)]
pub struct LineDiscipline {
    modes: Modes,
    input: Input,
    screen: Screen,
    /// The next byte is no control character.
    is_literal: bool,
    by_width: bool,
}

/// A signal that a control character makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminalSignal {
    /// SIGINT
    Interrupt,
    /// SIGQUIT
    Quit,
    /// SIGTSTP
    Suspend,
}

/// What [`LineDiscipline::receive`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// How many bytes were taken. Fewer than there were after a signal, if the program must read first, and after
    /// [`MOST_ECHO`] bytes of echo.
    pub taken: usize,
    /// The signal for the foreground, made by the last of these bytes.
    pub signal: Option<TerminalSignal>,
    /// The signal drops all output that was not sent yet. The bytes that `receive` has written come after that.
    pub drops_output: bool,
}

/// What a program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Nothing has been typed, or no whole line.
    Nothing,
    /// So many bytes. 0 is the end of the input, which a program may read on after.
    Bytes(usize),
}

/// What happens to a byte that was typed.
enum Typed {
    Taken,
    Signal(TerminalSignal),
}

impl LineDiscipline {
    /// A terminal with these modes, on which nothing was typed.
    #[must_use]
    pub fn new(modes: Modes) -> LineDiscipline {
        LineDiscipline { modes, ..LineDiscipline::default() }
    }

    /// Whether erasing a character of UTF-8 moves back by the columns that it takes. Otherwise every character counts
    /// as one column, as under Linux, and half a wide one stays on the screen.
    pub fn erase_by_width(&mut self, by_width: bool) {
        self.by_width = by_width;
    }

    /// The modes.
    #[must_use]
    pub fn modes(&self) -> &Modes {
        &self.modes
    }

    /// Changes the modes, from the next byte on. Appends to `out` what could not be shown while output was held.
    pub fn set_modes(&mut self, modes: Modes, out: &mut Vec<u8>) {
        let old = std::mem::replace(&mut self.modes, modes);
        let lines = self.modes.has(Flag::Icanon);
        if old.has(Flag::Icanon) != lines {
            self.input.change_to_lines(lines);
            self.is_literal = false;
        }
        if old.has(Flag::Ixon) && !self.modes.has(Flag::Ixon) {
            self.go_on(out);
        }
    }

    /// Whether the stop character holds output. [`write`](Self::write) must not be called then.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.screen.is_held
    }

    /// Whether [`read`](Self::read) would read something.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.input.is_readable(self.modes.has(Flag::Icanon))
    }

    /// Receives what was typed, up to a signal or until the buffer is full. Appends the echo to `out`.
    pub fn receive(&mut self, typed: &[u8], out: &mut Vec<u8>) -> Received {
        let mut received = Received { taken: 0, signal: None, drops_output: false };
        let begin = out.len();
        for byte in typed {
            if out.len() - begin + self.screen.waiting() >= MOST_ECHO || !self.has_room() {
                break;
            }
            received.taken += 1;
            if let Typed::Signal(signal) = self.receive_one(*byte, out) {
                out.truncate(if self.modes.has(Flag::Noflsh) { out.len() } else { begin });
                received = self.signal(signal, *byte, received.taken, out);
                break;
            }
        }
        // Another signal among the bytes that are left would drop this echo, too.
        if received.signal.is_none() || received.taken == typed.len() {
            self.screen.show(&self.modes, out);
        }
        received
    }

    /// Whether the next byte is no control character, because of the one before it.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.is_literal
    }

    /// Looks for the first byte that makes a signal, when the bytes before it cannot be received yet. Its position.
    /// `is_literal` says of the first byte, and then of the one after the last, that it is no control character.
    #[must_use]
    pub fn find_signal(&self, typed: &[u8], is_literal: &mut bool) -> Option<usize> {
        let quotes = self.modes.has(Flag::Icanon) && self.modes.has(Flag::Iexten);
        typed.iter().position(|byte| {
            let byte = self.mapped(*byte);
            let is_signal = !*is_literal && self.signal_of(byte).is_some();
            *is_literal = !*is_literal && quotes && self.modes.is(ControlKey::Lnext, byte);
            is_signal
        })
    }

    /// Receives the byte that [`find_signal`](Self::find_signal) has found, ahead of those before it. Appends the echo
    /// to `out`. If the signal drops output, the caller drops those bytes, too.
    pub fn receive_signal(&mut self, byte: u8, out: &mut Vec<u8>) -> Received {
        match self.signal_of(self.mapped(byte)) {
            Some(signal) => {
                self.is_literal &= self.modes.has(Flag::Noflsh);
                let received = self.signal(signal, byte, 1, out);
                self.screen.show(&self.modes, out);
                received
            }
            None => Received { taken: 0, signal: None, drops_output: false },
        }
    }

    /// The signal that this byte makes.
    fn signal_of(&self, byte: u8) -> Option<TerminalSignal> {
        let signals = [
            (ControlKey::Intr, TerminalSignal::Interrupt),
            (ControlKey::Quit, TerminalSignal::Quit),
            (ControlKey::Susp, TerminalSignal::Suspend),
        ];
        let signal = signals.into_iter().find(|(control, _)| self.modes.is(*control, byte));
        signal.filter(|_| self.modes.has(Flag::Isig)).map(|(_, signal)| signal)
    }

    /// A signal drops what waits, unless the modes keep it; it lets output go on, and is shown.
    fn signal(&mut self, signal: TerminalSignal, byte: u8, taken: usize, out: &mut Vec<u8>) -> Received {
        let drops_output = !self.modes.has(Flag::Noflsh);
        if drops_output {
            self.screen.drop_echo();
            self.input.clear();
        }
        if self.modes.has(Flag::Ixon) {
            self.screen.is_held = false;
        }
        if self.modes.has(Flag::Echo) {
            let byte = self.mapped(byte);
            self.screen.echo(byte, &self.modes);
            self.screen.commit(&self.modes, out);
        } else {
            self.screen.show(&self.modes, out);
        }
        Received { taken, signal: Some(signal), drops_output }
    }

    /// Shows what a program writes as the modes have it, in pieces, until `room` bytes are shown; the last byte may
    /// need one more. Returns how many bytes were taken.
    pub fn write(&mut self, bytes: &[u8], room: usize, show: &mut impl FnMut(&[u8])) -> usize {
        if self.screen.has_echo() {
            let mut echo = Vec::new();
            self.screen.show(&self.modes, &mut echo);
            show(&echo);
        }
        self.screen.write(bytes, &self.modes, room, show)
    }

    /// Whether input passes unchanged and unseen, so that it need not be received here.
    #[must_use]
    pub fn passes_input(&self) -> bool {
        self.modes.pass_input() && self.input.len() == 0 && !self.is_literal && !self.screen.is_held
    }

    /// The input ends: what was typed of a line can be read.
    pub fn end_input(&mut self) {
        if self.modes.has(Flag::Icanon) && !self.input.open_line_is_empty() {
            self.input.end_line(LineEnd::EndOfFile);
        }
    }

    /// Reads what was typed: at most one line if the modes say so.
    pub fn read(&mut self, buffer: &mut [u8]) -> Read {
        if self.modes.has(Flag::Icanon) {
            return self.input.read_line(buffer).map_or(Read::Nothing, Read::Bytes);
        }
        match self.input.read_bytes(buffer) {
            0 => Read::Nothing,
            read => Read::Bytes(read),
        }
    }

    /// Whether one more byte can be received. When a line has filled the buffer, each further byte replaces the last
    /// one, so that the line can still be edited and ended.
    fn has_room(&mut self) -> bool {
        if self.input.room(if self.modes.has(Flag::Parmrk) { 3 } else { 1 }) > 0 {
            return true;
        }
        if !(self.modes.has(Flag::Icanon) && self.input.is_one_open_line()) {
            return false;
        }
        self.input.make_room_for_one();
        true
    }

    /// A byte as the input modes change it before it is looked at.
    fn mapped(&self, byte: u8) -> u8 {
        let byte = if self.modes.has(Flag::Istrip) { byte & 0x7f } else { byte };
        if self.modes.has(Flag::Iuclc) && self.modes.has(Flag::Iexten) { lower(byte) } else { byte }
    }

    fn receive_one(&mut self, byte: u8, out: &mut Vec<u8>) -> Typed {
        let byte = self.mapped(byte);
        if std::mem::take(&mut self.is_literal) {
            self.receive_plain(byte, out);
            return Typed::Taken;
        }
        if self.modes.has(Flag::Ixon) {
            if self.modes.is(ControlKey::Start, byte) {
                self.go_on(out);
                return Typed::Taken;
            }
            if self.modes.is(ControlKey::Stop, byte) {
                self.screen.is_held = true;
                return Typed::Taken;
            }
        }
        if let Some(signal) = self.signal_of(byte) {
            return Typed::Signal(signal);
        }
        self.go_on_by_any(out);
        let key = match byte {
            b'\r' if self.modes.has(Flag::Igncr) => return Typed::Taken,
            b'\r' if self.modes.has(Flag::Icrnl) => b'\n',
            b'\n' if self.modes.has(Flag::Inlcr) => b'\r',
            byte => byte,
        };
        if self.modes.has(Flag::Icanon) && self.edit(key, out) {
            return Typed::Taken;
        }
        if key == b'\n' && byte == b'\r' {
            // A newline that the return key makes moves the cursor even where other control characters are shown.
            if self.modes.has(Flag::Echo) {
                self.screen.add(Echo::Raw(key));
                self.screen.commit(&self.modes, out);
            }
            self.put(key);
        } else {
            self.take(key, out);
        }
        Typed::Taken
    }

    /// A byte that is no control character.
    fn receive_plain(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.go_on_by_any(out);
        self.take(byte, out);
    }

    /// Shows a byte, and puts it into the buffer.
    fn take(&mut self, byte: u8, out: &mut Vec<u8>) {
        if self.modes.has(Flag::Echo) {
            self.echo_in_line(byte);
            self.screen.commit(&self.modes, out);
        }
        self.put(byte);
    }

    fn put(&mut self, byte: u8) {
        if byte == u8::MAX && self.modes.has(Flag::Parmrk) {
            self.input.put(byte);
        }
        self.input.put(byte);
    }

    /// Edits the line, or ends it. False if the byte belongs to the line.
    fn edit(&mut self, byte: u8, out: &mut Vec<u8>) -> bool {
        let (more, shows) = (self.modes.has(Flag::Iexten), self.modes.has(Flag::Echo));
        let is = |control| self.modes.is(control, byte);
        let erased = match () {
            () if is(ControlKey::Erase) => Some(Erase::Character),
            () if is(ControlKey::Werase) && (more || is(ControlKey::Kill)) => Some(Erase::Word),
            () if is(ControlKey::Kill) => Some(Erase::Line),
            () => None,
        };
        if let Some(erased) = erased {
            let (modes, input, screen) = (&self.modes, &mut self.input, &mut self.screen);
            Editor { modes, input, screen, by_width: self.by_width }.erase(erased);
        } else if more && is(ControlKey::Lnext) {
            self.is_literal = true;
            if shows && self.modes.has(Flag::Echoctl) {
                self.screen.add(Echo::Raw(b'^'));
                self.screen.add(Echo::Raw(b'\x08'));
            }
        } else if more && shows && is(ControlKey::Reprint) {
            self.screen.echo(byte, &self.modes);
            self.screen.add(Echo::Raw(b'\n'));
            self.input.open_line().for_each(|byte| self.screen.echo(byte, &self.modes));
        } else if byte == b'\n' {
            if shows || self.modes.has(Flag::Echonl) {
                self.screen.add(Echo::Raw(b'\n'));
            }
            self.screen.commit(&self.modes, out);
            self.input.end_line(LineEnd::Byte(b'\n'));
            return true;
        } else if is(ControlKey::Eof) {
            self.input.end_line(LineEnd::EndOfFile);
            return true;
        } else if is(ControlKey::Eol) || (more && is(ControlKey::Eol2)) {
            if shows {
                self.echo_in_line(byte);
            }
            if byte == u8::MAX && self.modes.has(Flag::Parmrk) {
                self.input.put(byte);
            }
            self.screen.commit(&self.modes, out);
            self.input.end_line(LineEnd::Byte(byte));
            return true;
        } else {
            return false;
        }
        self.screen.commit(&self.modes, out);
        true
    }

    /// Shows a byte that is typed into a line. A newline that is no end of a line is shown as it is.
    fn echo_in_line(&mut self, byte: u8) {
        if self.input.open_line_is_empty() {
            self.screen.add(Echo::LineBegins);
        }
        self.screen.echo(byte, &self.modes);
    }

    /// Lets output go on, and shows what could not be shown.
    fn go_on(&mut self, out: &mut Vec<u8>) {
        self.screen.is_held = false;
        self.screen.show(&self.modes, out);
    }

    fn go_on_by_any(&mut self, out: &mut Vec<u8>) {
        if self.screen.is_held && self.modes.has(Flag::Ixon) && self.modes.has(Flag::Ixany) {
            self.go_on(out);
        }
    }
}

#[cfg(test)]
#[path = "discipline_tests.rs"]
mod tests;
