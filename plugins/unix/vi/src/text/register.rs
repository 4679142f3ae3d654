//! Registers: texts that were deleted or copied.

use std::collections::BTreeMap;

/// How a piece of text is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Shape {
    /// Within lines.
    #[default]
    Chars,
    /// As whole lines.
    Lines,
    /// As a block of this many columns.
    Block(usize),
}

/// What a register holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Piece {
    pub(crate) lines: Vec<String>,
    pub(crate) shape: Shape,
}

impl Piece {
    /// As one text.
    pub(crate) fn joined(&self) -> String {
        let mut text = self.lines.join("\n");
        if self.shape == Shape::Lines {
            text.push('\n');
        }
        text
    }
}

/// All registers.
#[derive(Debug, Default)]
pub(crate) struct Registers {
    held: BTreeMap<char, Piece>,
    /// Which the unnamed one is.
    last: Option<char>,
}

impl Registers {
    pub(crate) fn get(&self, name: Option<char>) -> Option<&Piece> {
        match name {
            None | Some('"') => self.held.get(&self.last?),
            Some(name) => self.held.get(&name.to_ascii_lowercase()),
        }
    }

    /// Whether a name can be written to.
    pub(crate) fn is_writable(name: char) -> bool {
        name.is_ascii_alphanumeric() || matches!(name, '"' | '-' | '_' | '+' | '*')
    }

    /// All names that hold something.
    pub(crate) fn all(&self) -> impl Iterator<Item = (char, &Piece)> {
        self.held.iter().map(|(name, piece)| (*name, piece))
    }

    /// Keeps what was copied.
    pub(crate) fn copy(&mut self, name: Option<char>, piece: Piece) {
        match name {
            Some('_') => {}
            None | Some('"') => {
                self.held.insert('0', piece);
                self.last = Some('0');
            }
            Some(name) => self.named(name, piece),
        }
    }

    /// Keeps what was deleted. `large`: it is more than a part of a line, or its motion counts as such.
    pub(crate) fn delete(&mut self, name: Option<char>, piece: Piece, large: bool) {
        let small = piece.shape == Shape::Chars && piece.lines.len() < 2;
        match name {
            Some('_') => return,
            Some(name) if name != '"' => self.named(name, piece.clone()),
            _ => {}
        }
        let named = name.is_some_and(|name| name != '"');
        if large || !small {
            for number in ('1'..'9').rev() {
                if let Some(piece) = self.held.remove(&number) {
                    self.held.insert(char::from(number as u8 + 1), piece);
                }
            }
            self.held.insert('1', piece.clone());
            if !named {
                self.last = Some('1');
            }
        }
        if small && !named {
            self.held.insert('-', piece);
            if !large {
                self.last = Some('-');
            }
        }
    }

    fn named(&mut self, name: char, piece: Piece) {
        let small = name.to_ascii_lowercase();
        self.last = Some(small);
        match self.held.get_mut(&small).filter(|_| name.is_ascii_uppercase()) {
            Some(before) if before.shape == Shape::Lines || piece.shape == Shape::Lines => {
                before.lines.extend(piece.lines);
                before.shape = Shape::Lines;
            }
            Some(before) => {
                let mut added = piece.lines.into_iter();
                if let (Some(last), Some(first)) = (before.lines.last_mut(), added.next()) {
                    last.push_str(&first);
                }
                before.lines.extend(added);
            }
            None => {
                self.held.insert(small, piece);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str, shape: Shape) -> Piece {
        Piece { lines: text.split('\n').map(str::to_owned).collect(), shape }
    }

    #[test]
    fn deleted_texts_move_through_the_numbers() {
        let mut registers = Registers::default();
        registers.delete(None, piece("one", Shape::Lines), true);
        registers.delete(None, piece("two", Shape::Lines), true);
        registers.delete(None, piece("w", Shape::Chars), false);
        let text = |name| registers.get(name).map(Piece::joined);
        assert_eq!(text(Some('1')).as_deref(), Some("two\n"));
        assert_eq!(text(Some('2')).as_deref(), Some("one\n"));
        assert_eq!((text(Some('-')).as_deref(), text(None).as_deref()), (Some("w"), Some("w")));
    }

    #[test]
    fn capitals_append() {
        let mut registers = Registers::default();
        registers.copy(Some('a'), piece("x", Shape::Chars));
        registers.copy(Some('A'), piece("y\nz", Shape::Chars));
        assert_eq!(registers.get(Some('a')).map(Piece::joined).as_deref(), Some("xy\nz"));
        registers.copy(Some('A'), piece("line", Shape::Lines));
        assert_eq!(registers.get(None).map(Piece::joined).as_deref(), Some("xy\nz\nline\n"));
    }
}
