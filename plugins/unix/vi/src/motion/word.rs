//! Words, as Vim moves by them.

use crate::text::{Position, Text, char_at, class, next, previous};

/// A cursor that may stand behind the last character of a line.
pub(super) struct Walker<'a> {
    pub(super) text: &'a Text,
    pub(super) at: Position,
    pub(super) big: bool,
}

/// What a step of a walker has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stepped {
    /// Another character of the line.
    Within,
    /// The end of the line, behind its last character.
    LineEnd,
    /// Another line.
    Line,
    /// There is no more text.
    Stuck,
}

impl Walker<'_> {
    pub(super) fn class(&self) -> u32 {
        class(char_at(self.text.line(self.at.line), self.at.column), self.big)
    }

    pub(super) fn on_empty_line(&self) -> bool {
        self.text.line(self.at.line).is_empty()
    }

    pub(super) fn forward(&mut self) -> Stepped {
        let line = self.text.line(self.at.line);
        if self.at.column < line.len() {
            self.at.column = next(line, self.at.column);
            return if self.at.column < line.len() { Stepped::Within } else { Stepped::LineEnd };
        }
        if self.at.line < self.text.last() {
            self.at = Position::new(self.at.line + 1, 0);
            return Stepped::Line;
        }
        Stepped::Stuck
    }

    pub(super) fn backward(&mut self) -> Stepped {
        if let Some(column) = previous(self.text.line(self.at.line), self.at.column) {
            self.at.column = column;
            return Stepped::Within;
        }
        if self.at.line > 0 {
            self.at.line -= 1;
            self.at.column = self.text.line(self.at.line).len();
            return Stepped::Line;
        }
        Stepped::Stuck
    }

    /// Goes on while characters are of a kind. False if the text ends there.
    pub(super) fn skip(&mut self, kind: u32, forward: bool) -> bool {
        while self.class() == kind {
            if (if forward { self.forward() } else { self.backward() }) == Stepped::Stuck {
                return false;
            }
        }
        true
    }
}

/// `w` and `W`. For an operator, the last word ends at the end of its line. The second value: whether there was a way.
pub(crate) fn next_word(text: &Text, at: Position, count: usize, big: bool, operator: bool) -> (Position, bool) {
    let mut walker = Walker { text, at, big };
    for left in (0..count).rev() {
        let (kind, on_last) = (walker.class(), walker.at.line == text.last());
        let ends_here = operator && left == 0;
        let stepped = walker.forward();
        if stepped == Stepped::Stuck || stepped != Stepped::Within && on_last {
            return (walker.at, false);
        }
        if stepped != Stepped::Within && ends_here {
            return (walker.at, true);
        }
        if kind != 0 {
            while walker.class() == kind {
                let stepped = walker.forward();
                if stepped == Stepped::Stuck || stepped != Stepped::Within && ends_here {
                    return (walker.at, true);
                }
            }
        }
        while walker.class() == 0 && !(walker.at.column == 0 && walker.on_empty_line()) {
            let stepped = walker.forward();
            let at_end = on_last || ends_here && stepped == Stepped::LineEnd;
            if stepped == Stepped::Stuck || stepped != Stepped::Within && at_end {
                return (walker.at, true);
            }
        }
    }
    (walker.at, true)
}

/// `e` and `E`. With `stop`, a cursor at the end of a word stays there once, as `cw` does; with `empty`, an empty line
/// is a word.
pub(crate) fn word_end(
    text: &Text,
    at: Position,
    count: usize,
    big: bool,
    mut stop: bool,
    empty: bool,
) -> (Position, bool) {
    let mut walker = Walker { text, at, big };
    'words: for _ in 0..count {
        let kind = walker.class();
        if walker.forward() == Stepped::Stuck {
            return (walker.at, false);
        }
        let mut found = true;
        if walker.class() == kind && kind != 0 {
            found = walker.skip(kind, true);
        } else if !stop || kind == 0 {
            while walker.class() == 0 {
                if empty && walker.at.column == 0 && walker.on_empty_line() {
                    stop = false;
                    continue 'words;
                }
                if walker.forward() == Stepped::Stuck {
                    return (walker.at, false);
                }
            }
            found = walker.skip(walker.class(), true);
        }
        if !found {
            return (walker.at, false);
        }
        walker.backward();
        stop = false;
    }
    (walker.at, true)
}

/// `b` and `B`.
pub(crate) fn previous_word(text: &Text, at: Position, count: usize, big: bool) -> Option<Position> {
    let mut walker = Walker { text, at, big };
    'words: for _ in 0..count {
        if walker.backward() == Stepped::Stuck {
            return None;
        }
        while walker.class() == 0 {
            if walker.at.column == 0 && walker.on_empty_line() {
                continue 'words;
            }
            if walker.backward() == Stepped::Stuck {
                return Some(walker.at);
            }
        }
        if !walker.skip(walker.class(), false) {
            return Some(walker.at);
        }
        walker.forward();
    }
    Some(walker.at)
}

/// `ge` and `gE`.
pub(crate) fn previous_end(text: &Text, at: Position, count: usize, big: bool) -> Option<Position> {
    let mut walker = Walker { text, at, big };
    for _ in 0..count {
        let kind = walker.class();
        if walker.backward() == Stepped::Stuck {
            return None;
        }
        if kind != 0 && !walker.skip(kind, false) {
            return Some(walker.at);
        }
        while walker.class() == 0 && !(walker.at.column == 0 && walker.on_empty_line()) {
            if walker.backward() == Stepped::Stuck {
                return Some(walker.at);
            }
        }
    }
    Some(walker.at)
}
