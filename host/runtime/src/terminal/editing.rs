//! Erasing a character, a word or the line, and what that shows.

use unicode_width::UnicodeWidthChar;

use super::character::{continues, is_control, is_word};
use super::input::Input;
use super::modes::{ControlKey, Flag, Modes};
use super::screen::{Echo, Screen};

/// How much is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Erase {
    Character,
    Word,
    Line,
}

/// The line that is being typed, and the screen that shows it.
pub(super) struct Editor<'t> {
    pub(super) modes: &'t Modes,
    pub(super) input: &'t mut Input,
    pub(super) screen: &'t mut Screen,
    /// Erasing a character moves back by the columns that it takes, otherwise by one.
    pub(super) by_width: bool,
}

impl Editor<'_> {
    /// Erases from the end of the line that is being typed.
    pub(super) fn erase(&mut self, what: Erase) {
        if self.input.open_line_is_empty() {
            return;
        }
        let has = |flag| self.modes.has(flag);
        let shows = has(Flag::Echo);
        if what == Erase::Line && !(shows && has(Flag::Echok) && has(Flag::Echoke) && has(Flag::Echoe)) {
            self.input.shorten(usize::MAX);
            if shows {
                self.screen.echo(self.modes.control(ControlKey::Kill), self.modes);
                if self.modes.has(Flag::Echok) {
                    self.screen.add(Echo::Raw(b'\n'));
                }
            }
            return;
        }
        let mut in_word = false;
        while let Some(character) = self.last_character() {
            let first = character[0];
            if what == Erase::Word {
                if is_word(first) {
                    in_word = true;
                } else if in_word {
                    return;
                }
            }
            self.input.shorten(character.len());
            if shows {
                self.show_erased(&character, what);
            }
            if what == Erase::Character {
                return;
            }
        }
    }

    /// The last character of the line: one byte, or as many as belong together in UTF-8. `None` if there is none, or
    /// only the end of one.
    fn last_character(&mut self) -> Option<Vec<u8>> {
        let utf8 = self.modes.has(Flag::Iutf8);
        let mut bytes = Vec::new();
        for byte in self.input.after_continuation().rev() {
            bytes.push(byte);
            if !(utf8 && continues(byte)) {
                bytes.reverse();
                return Some(bytes);
            }
        }
        self.input.begins_with_continuation();
        None
    }

    fn show_erased(&mut self, character: &[u8], what: Erase) {
        let first = character[0];
        let controls = self.modes.has(Flag::Echoctl);
        if what == Erase::Character && !self.modes.has(Flag::Echoe) {
            self.screen.echo(self.modes.control(ControlKey::Erase), self.modes);
        } else if first == b'\t' {
            let (before, after_tab) = self.columns_before();
            self.screen.add(Echo::EraseTab { before, after_tab });
        } else {
            let columns = match is_control(first) {
                true if controls => 2,
                true => 0,
                false => self.width(character),
            };
            for _ in 0..columns {
                for byte in [b'\x08', b' ', b'\x08'] {
                    self.screen.add(Echo::Raw(byte));
                }
            }
        }
    }

    /// The columns, modulo 8, that the line takes since its beginning or since its last tab, and whether it has a tab.
    fn columns_before(&self) -> (u8, bool) {
        let (utf8, controls) = (self.modes.has(Flag::Iutf8), self.modes.has(Flag::Echoctl));
        let mut columns = 0_u8;
        for byte in self.input.open_line().rev() {
            if byte == b'\t' {
                return (columns % 8, true);
            }
            if is_control(byte) {
                columns = (columns + if controls { 2 } else { 0 }) % 8;
            } else if !(utf8 && continues(byte)) {
                columns = (columns + 1) % 8;
            }
        }
        (columns, false)
    }

    /// The columns of a printable character.
    fn width(&self, character: &[u8]) -> usize {
        if !self.by_width {
            return 1;
        }
        let character = str::from_utf8(character).ok().and_then(|text| text.chars().next());
        character.and_then(UnicodeWidthChar::width).unwrap_or(1)
    }
}
