//! The parts of a word as pieces of text.

use crate::state::{Run, Shell, Stop, stack};
use crate::syntax::{Part, Word};

/// A piece of an expanded word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text {
        text: String,
        quoted: bool,
        /// Whether it is the result of an expansion that is split into fields.
        split: bool,
    },
    /// A new field begins: between the values of `"$@"`.
    Break,
}

/// How parts are expanded.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mode {
    pub(super) quoted: bool,
    /// Whether text that stands in the word itself is split too: in the word of `${x-word}`.
    pub(super) split_literals: bool,
    /// Whether `$*` and `$@` become one text: where no fields are made.
    pub(super) single: bool,
    /// Whether `:~` is a home too.
    pub(super) assignment: bool,
    /// Whether a `~` at the beginning is a home.
    pub(super) tilde: bool,
}

impl Shell {
    pub(super) fn push_text(pieces: &mut Vec<Piece>, text: String, quoted: bool) {
        pieces.push(Piece::Text { text, quoted, split: false });
    }

    /// Expands a word to its pieces.
    pub(super) fn pieces(&mut self, word: &Word, mode: Mode) -> Run<Vec<Piece>> {
        let mut pieces = Vec::new();
        self.expand_parts(&word.parts, mode, &mut pieces)?;
        Ok(pieces)
    }

    pub(super) fn expand_parts(&mut self, parts: &[Part], mode: Mode, pieces: &mut Vec<Piece>) -> Run {
        if self.is_too_deep(0) {
            return Err(Stop::Discard);
        }
        self.stack += stack::EXPANSION;
        let result = self.expand_each(parts, mode, pieces);
        self.stack -= stack::EXPANSION;
        result
    }

    #[inline(never)]
    fn expand_each(&mut self, parts: &[Part], mode: Mode, pieces: &mut Vec<Piece>) -> Run {
        for (at, part) in parts.iter().enumerate() {
            match part {
                Part::Literal(text) => {
                    let split = mode.split_literals && !mode.quoted;
                    let next = parts.get(at + 1);
                    self.push_literal(text, at == 0, next.is_some(), Mode { split_literals: split, ..mode }, pieces);
                }
                Part::Quoted(text) => Self::push_text(pieces, text.clone(), true),
                Part::Double(inside) => {
                    let before = pieces.len();
                    let inner = Mode { quoted: true, split_literals: false, tilde: false, ..mode };
                    self.expand_parts(inside, inner, pieces)?;
                    let vanishes = !inside.is_empty() && inside.iter().all(|part| self.is_empty_list(part));
                    if pieces.len() == before && !vanishes {
                        Self::push_text(pieces, String::new(), true);
                    }
                }
                Part::Parameter(parameter) => {
                    self.stack += stack::PARAMETER;
                    let result = self.expand_parameter(parameter, mode, pieces);
                    self.stack -= stack::PARAMETER;
                    result?;
                }
                Part::Command(list) => {
                    let text = self.command_substitution(list)?;
                    pieces.push(Piece::Text { text, quoted: mode.quoted, split: !mode.quoted });
                }
                Part::Backquote(source) => {
                    let text = self.backquote_substitution(source)?;
                    pieces.push(Piece::Text { text, quoted: mode.quoted, split: !mode.quoted });
                }
                Part::Arithmetic(expression) => {
                    let value = self.arithmetic_word(expression)?;
                    pieces.push(Piece::Text { text: value.to_string(), quoted: mode.quoted, split: !mode.quoted });
                }
                Part::Process { output, list } => {
                    let text = self.substitute_process(list, *output)?;
                    Self::push_text(pieces, text, true);
                }
                Part::Array(items) => {
                    let text = self.array_text(items)?;
                    Self::push_text(pieces, text, true);
                }
            }
        }
        Ok(())
    }

    /// Whether a part is `$@` or the like without values: `"$@"` is no field then.
    fn is_empty_list(&self, part: &Part) -> bool {
        let Part::Parameter(parameter) = part else { return false };
        self.is_empty_at(parameter)
    }

    #[inline(never)]
    fn push_literal(&mut self, text: &str, first: bool, more: bool, mode: Mode, pieces: &mut Vec<Piece>) {
        let text = if mode.quoted || !(mode.tilde || mode.assignment) || !text.contains('~') {
            text.to_owned()
        } else {
            let (home, rest) = self.tildes(text, first && mode.tilde, more, mode.assignment);
            if let Some(home) = home {
                // The home is neither split nor a pattern.
                Self::push_text(pieces, home, true);
            }
            rest
        };
        if !text.is_empty() {
            pieces.push(Piece::Text { text, quoted: mode.quoted, split: mode.split_literals });
        }
    }

    /// Expands a word to one text, as in an assignment.
    pub(crate) fn expand_single(&mut self, word: &Word) -> Run<String> {
        if let [Part::Literal(text)] = word.parts.as_slice()
            && !text.starts_with('~')
        {
            return Ok(text.clone());
        }
        let pieces = self.pieces(word, Mode { single: true, tilde: true, ..Mode::default() })?;
        Ok(joined(pieces))
    }

    /// Expands the value of an assignment, where `~` after `:` is a home too.
    pub(crate) fn expand_assigned(&mut self, word: &Word) -> Run<String> {
        let pieces = self.pieces(word, Mode { single: true, tilde: true, assignment: true, ..Mode::default() })?;
        Ok(joined(pieces))
    }

    /// Expands as in double quotes: here-documents and arithmetic.
    pub(crate) fn expand_quoted(&mut self, word: &Word) -> Run<String> {
        let pieces = self.pieces(word, Mode { quoted: true, single: true, ..Mode::default() })?;
        Ok(joined(pieces))
    }

    /// Expands a word to a pattern, in which what was quoted has backslashes.
    pub(crate) fn expand_pattern(&mut self, word: &Word) -> Run<String> {
        let pieces = self.pieces(word, Mode { single: true, tilde: true, ..Mode::default() })?;
        Ok(pattern_of(&pieces))
    }

    /// Expands a word to a regular expression, in which what was quoted has backslashes.
    pub(crate) fn expand_regex(&mut self, word: &Word) -> Run<String> {
        let pieces = self.pieces(word, Mode { single: true, tilde: true, ..Mode::default() })?;
        let mut all = String::new();
        for piece in pieces {
            match piece {
                Piece::Text { text, quoted, .. } => {
                    for next in text.chars() {
                        if quoted && next.is_ascii_punctuation() && next != '-' {
                            all.push('\\');
                        }
                        all.push(next);
                    }
                }
                Piece::Break => all.push(' '),
            }
        }
        Ok(all)
    }

    /// Reports an error in an expansion and ends what is executed.
    pub(crate) fn expansion_error(&mut self, message: &str) -> Stop {
        self.report(message);
        self.status = 1;
        if self.posix() && !self.interactive { Stop::Exit } else { Stop::Discard }
    }
}

/// The text of pieces that make one field.
pub(super) fn joined(pieces: Vec<Piece>) -> String {
    let mut all = String::new();
    for piece in pieces {
        match piece {
            Piece::Text { text, .. } if all.is_empty() => all = text,
            Piece::Text { text, .. } => all.push_str(&text),
            Piece::Break => all.push(' '),
        }
    }
    all
}

/// The pattern that pieces make: quoted ones match themselves.
fn pattern_of(pieces: &[Piece]) -> String {
    let mut all = String::new();
    for piece in pieces {
        match piece {
            Piece::Text { text, quoted: true, .. } => crate::pattern::escape_into(&mut all, text),
            Piece::Text { text, .. } => all.push_str(text),
            Piece::Break => all.push(' '),
        }
    }
    all
}
