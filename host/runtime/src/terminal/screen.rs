//! What the client's terminal shows: output processing, and the echo of what is typed.

use std::collections::VecDeque;

use super::character::{continues, is_control, upper};
use super::modes::{Flag, Modes};

/// Echo that waits is shown when it has this many bytes, and at the latest when all that has arrived was received.
const COMMIT: usize = 256;
/// While output is held, the oldest echo beyond this many bytes is dropped.
const MOST_HELD: usize = 4096 - (COMMIT + 32);
/// Capacity, in entries, that an empty echo keeps.
const KEPT: usize = 64;

/// One thing that the echo does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Echo {
    /// Shows a byte, as output of a program would be shown.
    Raw(u8),
    /// Shows the byte 255, which Linux does not process as output.
    Last,
    /// Shows a control character as `^X`.
    Control(u8),
    /// Remembers the column in which the line begins.
    LineBegins,
    /// Moves back over a tab. `before`: the columns that are taken up to it, since the line's beginning or since the
    /// tab before.
    EraseTab { before: u8, after_tab: bool },
}

impl Echo {
    /// What it counts for in the buffer, bytes.
    fn weight(self) -> usize {
        match self {
            Echo::Raw(_) => 1,
            Echo::Last | Echo::Control(_) | Echo::LineBegins => 2,
            Echo::EraseTab { .. } => 3,
        }
    }
}

/// The cursor's column, and the echo that waits.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// Counted from 0, without an end.
    column: usize,
    /// The column in which the line begins that is being typed.
    line_column: usize,
    /// Echo in the order of what was typed.
    echo: VecDeque<Echo>,
    /// The weight of all of it ...
    weight: usize,
    /// ... and of the part from the front on that may be shown.
    committed: usize,
    /// The stop character was typed.
    pub(super) is_held: bool,
}

impl Screen {
    /// Adds echo. It is shown by [`commit`](Self::commit).
    pub(super) fn add(&mut self, echo: Echo) {
        self.weight += echo.weight();
        self.echo.push_back(echo);
    }

    /// Adds the echo of a byte: a control character as `^X` if the modes say so.
    pub(super) fn echo(&mut self, byte: u8, modes: &Modes) {
        let is_shown_as_control = modes.has(Flag::Echoctl) && is_control(byte) && byte != b'\t';
        self.add(match byte {
            u8::MAX => Echo::Last,
            _ if is_shown_as_control => Echo::Control(byte),
            _ => Echo::Raw(byte),
        });
    }

    /// What was added so far belongs together and can be shown; it is if much waits already.
    pub(super) fn commit(&mut self, modes: &Modes, out: &mut Vec<u8>) {
        if self.weight < COMMIT || self.weight % COMMIT > self.committed % COMMIT {
            return;
        }
        self.show(modes, out);
    }

    /// Shows all echo that waits, unless output is held.
    pub(super) fn show(&mut self, modes: &Modes, out: &mut Vec<u8>) {
        self.committed = self.weight;
        while !self.is_held {
            let Some(echo) = self.pop() else { return self.relax() };
            self.show_one(echo, modes, out);
        }
        while self.committed >= MOST_HELD && self.pop().is_some() {}
    }

    fn pop(&mut self) -> Option<Echo> {
        let echo = self.echo.pop_front()?;
        self.weight -= echo.weight();
        self.committed -= echo.weight();
        Some(echo)
    }

    /// Forgets the echo that was not shown.
    pub(super) fn drop_echo(&mut self) {
        self.echo.clear();
        (self.weight, self.committed) = (0, 0);
        self.relax();
    }

    /// Nothing waits: gives large memory back.
    fn relax(&mut self) {
        if self.echo.capacity() > KEPT {
            self.echo = VecDeque::new();
        }
    }

    /// Bytes of echo that will be shown at the latest when all that has arrived was received. 0 while output is held:
    /// what is too much is dropped then.
    pub(super) fn waiting(&self) -> usize {
        if self.is_held { 0 } else { self.weight }
    }

    /// Whether echo waits.
    pub(super) fn has_echo(&self) -> bool {
        !self.echo.is_empty()
    }

    fn show_one(&mut self, echo: Echo, modes: &Modes, out: &mut Vec<u8>) {
        match echo {
            Echo::Raw(byte) if modes.has(Flag::Opost) => out.extend(self.process(byte, modes).bytes()),
            Echo::Raw(byte) => out.push(byte),
            Echo::Last => {
                out.push(u8::MAX);
                self.column += 1;
            }
            Echo::Control(byte) => {
                out.extend([b'^', byte ^ 0o100]);
                self.column += 2;
            }
            Echo::LineBegins => self.line_column = self.column,
            Echo::EraseTab { before, after_tab } => {
                let columns = usize::from(before) + if after_tab { 0 } else { self.line_column };
                for _ in 0..8 - columns % 8 {
                    out.push(b'\x08');
                    self.column = self.column.saturating_sub(1);
                }
            }
        }
    }

    /// Shows what a program writes, in pieces, until `room` bytes are shown; the last byte may need one more. Returns
    /// how many bytes were taken.
    pub(super) fn write(&mut self, bytes: &[u8], modes: &Modes, room: usize, show: &mut impl FnMut(&[u8])) -> usize {
        if !modes.has(Flag::Opost) {
            let taken = bytes.len().min(room);
            show(&bytes[..taken]);
            return taken;
        }
        let (mut taken, mut shown) = (0, 0);
        while taken < bytes.len() && shown < room {
            let rest = &bytes[taken..bytes.len().min(taken.saturating_add(room - shown))];
            let plain = self.write_plain(rest, modes, show);
            taken += plain;
            shown += plain;
            if plain < rest.len() {
                let processed = self.process(rest[plain], modes);
                show(processed.bytes());
                taken += 1;
                shown += processed.bytes().len();
            }
        }
        taken
    }

    /// Shows the bytes at the front that no mode changes and that move the cursor by one column or, within a character,
    /// by none. Returns how many.
    fn write_plain(&mut self, bytes: &[u8], modes: &Modes, show: &mut impl FnMut(&[u8])) -> usize {
        if modes.has(Flag::Olcuc) {
            return 0;
        }
        let plain = bytes.iter().position(|byte| is_control(*byte)).unwrap_or(bytes.len());
        let plain = &bytes[..plain];
        let within = if modes.has(Flag::Iutf8) { plain.iter().filter(|byte| continues(**byte)).count() } else { 0 };
        self.column += plain.len() - within;
        if !plain.is_empty() {
            show(plain);
        }
        plain.len()
    }

    fn process(&mut self, byte: u8, modes: &Modes) -> Processed {
        let mut shown = byte;
        match byte {
            b'\n' => {
                if modes.has(Flag::Onlret) || modes.has(Flag::Onlcr) {
                    self.column = 0;
                }
                self.line_column = self.column;
                if modes.has(Flag::Onlcr) {
                    return Processed { bytes: *b"\r\n", len: 2 };
                }
            }
            b'\r' => {
                if modes.has(Flag::Onocr) && self.column == 0 {
                    return Processed { bytes: [0; 2], len: 0 };
                }
                if modes.has(Flag::Ocrnl) {
                    shown = b'\n';
                }
                if !modes.has(Flag::Ocrnl) || modes.has(Flag::Onlret) {
                    (self.column, self.line_column) = (0, 0);
                }
            }
            b'\t' => self.column += 8 - self.column % 8,
            b'\x08' => self.column = self.column.saturating_sub(1),
            _ if is_control(byte) => {}
            _ => {
                if modes.has(Flag::Olcuc) {
                    shown = upper(byte);
                }
                if !(modes.has(Flag::Iutf8) && continues(shown)) {
                    self.column += 1;
                }
            }
        }
        Processed { bytes: [shown, 0], len: 1 }
    }
}

/// What output processing makes of one byte.
struct Processed {
    bytes: [u8; 2],
    len: usize,
}

impl Processed {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
