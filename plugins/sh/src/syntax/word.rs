//! Words: quoting (XCU 2.2) and the places of expansions (XCU 2.6).

use super::ast::{List, Part, Word};
use super::parser::{Parsed, Parser};
use crate::text;
use std::rc::Rc;

/// Where a word ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Before a blank, a newline or an operator.
    Word,
    /// As `Word`, but parentheses and `|` belong to it: what follows `=~`.
    Regex,
    /// Before `"`.
    Double,
    /// Before the `}` of `${x-word}`. `quoted`: within double quotes.
    Brace { quoted: bool },
    /// Before the `}` of `${x#pattern}`; quotes count in double quotes too.
    Pattern,
    /// Before the `/` of `${x/pattern/}`, or `}`.
    Slash,
    /// Before the `:` of `${x:offset:length}`, or `}`.
    Slice,
    /// Before `]`.
    Subscript,
    /// Before the `))` of arithmetic, or the `;` of `for ((`.
    Arithmetic,
    /// At the end of the text.
    HereDoc,
}

impl End {
    /// Whether most characters stand for themselves, as in double quotes.
    fn is_quoted(self) -> bool {
        matches!(self, Self::Double | Self::HereDoc | Self::Arithmetic | Self::Brace { quoted: true })
    }

    fn is_reached(self, next: char, open: u32) -> bool {
        match self {
            Self::Word => open == 0 && " \t\n;&|()<>".contains(next),
            Self::Regex => open == 0 && " \t\n)".contains(next),
            Self::Double => next == '"',
            Self::Brace { .. } | Self::Pattern => next == '}',
            Self::Slash => next == '}' || next == '/',
            Self::Slice => open == 0 && (next == '}' || next == ':'),
            Self::Subscript => open == 0 && next == ']',
            Self::Arithmetic => open == 0 && (next == ')' || next == ';'),
            Self::HereDoc => false,
        }
    }

    /// The character without which the text ends too early.
    fn closing(self) -> &'static str {
        match self {
            Self::Word | Self::Regex | Self::HereDoc => "",
            Self::Double => "\"",
            Self::Brace { .. } | Self::Pattern | Self::Slash | Self::Slice => "}",
            Self::Subscript => "]",
            Self::Arithmetic => ")",
        }
    }
}

fn push_char(parts: &mut Vec<Part>, character: char) {
    push_text(parts, character.encode_utf8(&mut [0; 4]));
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if let Some(Part::Literal(literal)) = parts.last_mut() {
        literal.push_str(text);
    } else {
        parts.push(Part::Literal(text.to_owned()));
    }
}

impl Parser<'_> {
    /// A word, empty if its end is next.
    pub(super) fn word(&mut self, end: End) -> Parsed<Word> {
        self.peek();
        let start = self.at;
        let mut parts = Vec::new();
        let mut open = 0;
        loop {
            let Some(next) = self.peek() else {
                if end.closing().is_empty() {
                    break;
                }
                return Err(self.end_error(end.closing()));
            };
            if end.is_reached(next, open) {
                let process = end == End::Word && "<>".contains(next) && self.peek_second() == Some('(');
                if !process || self.options.posix {
                    break;
                }
            }
            self.part(end, next, &mut parts, &mut open)?;
        }
        Ok(Word { parts, raw: self.text[start..self.at].to_owned() })
    }

    fn part(&mut self, end: End, next: char, parts: &mut Vec<Part>, open: &mut u32) -> Parsed<()> {
        match next {
            '\\' => self.backslash(end, parts),
            '\'' if !end.is_quoted() => {
                self.advance();
                let text = self.until_quote()?;
                parts.push(Part::Quoted(text));
            }
            '"' if end != End::HereDoc => {
                self.advance();
                let inside = self.nested(|parser| parser.word(End::Double))?;
                self.advance();
                parts.push(Part::Double(inside.parts));
            }
            '`' => {
                self.advance();
                let text = self.backquoted(matches!(end, End::Double | End::HereDoc))?;
                parts.push(Part::Backquote(text));
            }
            '$' => {
                let part = self.nested(|parser| parser.dollar(end))?;
                match part {
                    Some(part) => parts.push(part),
                    None => push_char(parts, '$'),
                }
            }
            '<' | '>' if end == End::Word && *open == 0 => {
                self.advance();
                let list = self.nested(Self::command_list)?;
                parts.push(Part::Process { output: next == '>', list });
            }
            _ => self.plain(end, next, parts, open),
        }
        Ok(())
    }

    fn backslash(&mut self, end: End, parts: &mut Vec<Part>) {
        self.advance();
        let Some(next) = self.peek_raw() else { return push_char(parts, '\\') };
        let special = match end {
            End::Double => "$`\"\\",
            End::HereDoc => "$`\\",
            End::Arithmetic => "$`\"\\",
            End::Brace { quoted: true } => "$`\"\\}",
            _ => {
                self.advance();
                parts.push(Part::Quoted(next.to_string()));
                return;
            }
        };
        if special.contains(next) {
            self.advance();
            parts.push(Part::Quoted(next.to_string()));
        } else {
            push_char(parts, '\\');
        }
    }

    /// Characters that stand for themselves.
    fn plain(&mut self, end: End, next: char, parts: &mut Vec<Part>, open: &mut u32) {
        let is_opener = "?*+@!".contains(next);
        let may_open = !end.is_quoted() && end != End::Subscript && end != End::Slice;
        if is_opener && self.options.extglob && may_open && self.peek_second() == Some('(') {
            self.advance();
            push_char(parts, next);
            self.advance();
            push_char(parts, '(');
            *open += 1;
            return;
        }
        match (end, next) {
            (End::Word, '(') if *open > 0 => *open += 1,
            (End::Word, ')') => *open = open.saturating_sub(1),
            (End::Regex | End::Arithmetic | End::Slice, '(') | (End::Subscript, '[') => *open += 1,
            (End::Regex | End::Arithmetic | End::Slice, ')') | (End::Subscript, ']') => *open = open.saturating_sub(1),
            // The `:` of `a ? b : c` does not end an offset.
            (End::Slice, '?') => *open += 1,
            (End::Slice, ':') => *open = open.saturating_sub(1),
            _ => {}
        }
        let is_run = |character: char| character.is_alphanumeric() || "_./-,%".contains(character);
        let rest = self.rest();
        let mut length = rest.find(|character: char| !is_run(character)).unwrap_or(rest.len());
        if end == End::Slash
            && let Some(slash) = rest[..length].find('/')
        {
            length = slash;
        }
        if length == 0 {
            self.advance();
            push_char(parts, next);
        } else {
            let at = self.at;
            push_text(parts, &self.text[at..at + length]);
            self.at += length;
        }
    }

    fn until_quote(&mut self) -> Parsed<String> {
        let mut text = String::new();
        loop {
            if self.peek_raw().is_none() {
                return Err(self.end_error("'"));
            }
            let rest = self.rest();
            let length = rest.find('\'').unwrap_or(rest.len());
            let piece = &rest[..length];
            let lines = piece.bytes().filter(|byte| *byte == b'\n').count();
            text.push_str(piece);
            let found = length < rest.len();
            self.at += length + usize::from(found);
            self.line += u32::try_from(lines).unwrap_or(0);
            if found {
                return Ok(text);
            }
        }
    }

    /// The text of `$'..'`, after the quote.
    fn until_escaped_quote(&mut self) -> Parsed<String> {
        let mut text = String::new();
        loop {
            let Some(next) = self.advance() else { return Err(self.end_error("'")) };
            match next {
                '\'' => break,
                '\\' => {
                    // The escape may be the last of a line: what follows must be there.
                    self.peek_raw();
                    let rest = self.rest();
                    if rest.starts_with(['\'', '"', '?']) {
                        text.extend(self.advance());
                    } else if let Some(letter) = rest.strip_prefix('c').and_then(|rest| rest.chars().next()) {
                        // `\c\\` takes both backslashes.
                        let both = letter == '\\' && rest.starts_with("c\\\\");
                        let code = if letter == '?' { 0x7F } else { (u32::from(letter) & 0x1F) as u8 };
                        if letter == '\'' {
                            // The quote ends the string.
                            self.at += 1;
                            text.push_str("\\c");
                            continue;
                        }
                        self.at += 1 + letter.len_utf8() + usize::from(both);
                        text.push(char::from(code));
                    } else if let Some((value, length)) = text::escape(rest, false) {
                        text.push_str(&value);
                        self.at += length;
                    } else {
                        text.push('\\');
                    }
                }
                _ => text.push(next),
            }
        }
        // A string ends at NUL.
        if let Some(end) = text.find('\0') {
            text.truncate(end);
        }
        // Bytes that were escaped may be a character together.
        Ok(text::decode(&text::encode(&text)))
    }

    fn backquoted(&mut self, in_double: bool) -> Parsed<String> {
        let mut text = String::new();
        loop {
            let Some(next) = self.advance() else { return Err(self.end_error("`")) };
            match next {
                '`' => return Ok(text),
                '\\' => match self.peek_raw() {
                    Some(next) if "$`\\".contains(next) || in_double && next == '"' => {
                        self.advance();
                        text.push(next);
                    }
                    _ => text.push('\\'),
                },
                _ => text.push(next),
            }
        }
    }

    /// What follows a `$`. None: the `$` stands for itself.
    fn dollar(&mut self, end: End) -> Parsed<Option<Part>> {
        self.advance();
        let Some(next) = self.peek() else { return Ok(None) };
        match next {
            '(' => {
                if self.looking_at("((")
                    && let Some(word) = self.arithmetic()?
                {
                    return Ok(Some(Part::Arithmetic(word)));
                }
                Ok(Some(Part::Command(self.command_list()?)))
            }
            '[' if !self.options.posix => {
                self.advance();
                let word = self.word(End::Subscript)?;
                self.advance();
                Ok(Some(Part::Arithmetic(word)))
            }
            '{' => self.braced(end.is_quoted()).map(Some),
            '\'' if !end.is_quoted() => {
                self.advance();
                Ok(Some(Part::Quoted(self.until_escaped_quote()?)))
            }
            '"' if !end.is_quoted() => {
                self.advance();
                let inside = self.word(End::Double)?;
                self.advance();
                Ok(Some(Part::Double(inside.parts)))
            }
            _ => Ok(self.unbraced(next)),
        }
    }

    /// `( list )`.
    fn command_list(&mut self) -> Parsed<Rc<List>> {
        self.advance();
        let outer = std::mem::take(&mut self.pending);
        let list = self.list(true)?;
        self.skip_newlines()?;
        if self.peek().is_none() {
            return Err(self.end_error(")"));
        }
        if !self.take(')') {
            return Err(self.unexpected());
        }
        let inner = std::mem::replace(&mut self.pending, outer);
        self.pending.extend(inner);
        Ok(Rc::new(list))
    }

    /// `((expression))`. None, with nothing read, if it is something else that begins with two parentheses.
    pub(super) fn arithmetic(&mut self) -> Parsed<Option<Word>> {
        let (at, line) = (self.at, self.line);
        self.take_all("((");
        let word = self.word(End::Arithmetic)?;
        if self.take_all("))") {
            return Ok(Some(word));
        }
        self.second_reading()?;
        (self.at, self.line) = (at, line);
        Ok(None)
    }
}
