//! Redirections and here-documents (XCU 2.7).

use super::ast::{FdRef, HereDoc, Part, Redirect, RedirectOp, Word};
use super::parser::{Parsed, Parser, PendingHereDoc};
use super::source::{LinePlace, TextLines};
use super::word::End;
use std::cell::OnceCell;
use std::rc::Rc;

const OPERATORS: &[(&str, RedirectOp)] = &[
    ("&>>", RedirectOp::AppendBoth),
    ("&>", RedirectOp::Both),
    ("<<<", RedirectOp::HereString),
    ("<<-", RedirectOp::HereDoc { strip: true }),
    ("<<", RedirectOp::HereDoc { strip: false }),
    ("<>", RedirectOp::ReadWrite),
    ("<&", RedirectOp::DupInput),
    (">>", RedirectOp::Append),
    (">|", RedirectOp::Clobber),
    (">&", RedirectOp::DupOutput),
    ("<", RedirectOp::Input),
    (">", RedirectOp::Output),
];

impl Parser<'_> {
    /// A redirection, if one is next.
    pub(super) fn redirect(&mut self) -> Parsed<Option<Redirect>> {
        let (at, line) = (self.at, self.line);
        let fd = self.redirect_number();
        let both = self.peek() == Some('&') && (fd != FdRef::Default || self.options.posix);
        let process = fd == FdRef::Default && !self.options.posix && (self.looking_at("<(") || self.looking_at(">("));
        let operator = OPERATORS.iter().find(|(text, _)| self.looking_at(text));
        let Some((text, op)) = operator.filter(|_| !both && !process) else {
            (self.at, self.line) = (at, line);
            return Ok(None);
        };
        self.take_all(text);
        self.skip_blanks();
        let target = self.word(End::Word)?;
        if target.parts.is_empty() {
            return Err(self.unexpected());
        }
        let here = if let RedirectOp::HereDoc { strip } = op {
            let body = Rc::new(OnceCell::new());
            let (delimiter, quoted) = delimiter(&target);
            self.pending.push(PendingHereDoc { delimiter, quoted, strip: *strip, body: body.clone() });
            Some(body)
        } else {
            None
        };
        Ok(Some(Redirect { fd, op: *op, target, here }))
    }

    /// The digits, or `{name}`, right before a redirection operator.
    fn redirect_number(&mut self) -> FdRef {
        let (at, line) = (self.at, self.line);
        let mut digits = String::new();
        while let Some(digit) = self.peek().filter(char::is_ascii_digit) {
            digits.push(digit);
            self.advance();
        }
        if digits.is_empty() && !self.options.posix && self.take('{') {
            let name = self.name();
            if !name.is_empty() && self.take('}') && matches!(self.peek(), Some('<' | '>')) {
                return FdRef::Variable(name);
            }
        } else if matches!(self.peek(), Some('<' | '>'))
            && let Ok(number) = digits.parse()
        {
            return FdRef::Number(number);
        }
        (self.at, self.line) = (at, line);
        FdRef::Default
    }

    /// Reads the bodies that follow the newline.
    pub(super) fn here_documents(&mut self) -> Parsed<()> {
        for pending in std::mem::take(&mut self.pending) {
            let (raw, first_line) = (String::new(), self.line);
            self.place = LinePlace::HereDocument;
            let raw = self.here_body(&pending, raw);
            self.place = LinePlace::Further;
            let body = if pending.quoted {
                Word { parts: vec![Part::Quoted(raw.clone())], raw: raw.clone() }
            } else {
                self.here_word(&raw, first_line)?
            };
            let delimiter = pending.delimiter;
            // Each cell is filled once: it is in `pending` once.
            let _ = pending.body.set(HereDoc { body, raw, delimiter });
        }
        Ok(())
    }

    /// At the end of the text the bodies are empty, or what there was.
    pub(super) fn here_documents_at_end(&mut self) -> Parsed<()> {
        self.here_documents()
    }

    fn here_body(&mut self, pending: &PendingHereDoc, mut raw: String) -> String {
        let mut line_begins = true;
        loop {
            if self.peek_raw().is_none() {
                return raw;
            }
            let rest = self.rest();
            let length = rest.find('\n').map_or(rest.len(), |at| at + 1);
            let mut line = &rest[..length];
            if pending.strip && line_begins {
                line = line.trim_start_matches('\t');
            }
            let is_end = line_begins && line.strip_suffix('\n').unwrap_or(line) == pending.delimiter;
            if !is_end {
                raw.push_str(line);
            }
            // An unquoted body joins continued lines before it looks for the delimiter.
            let backslashes = line.trim_end_matches('\n').bytes().rev().take_while(|byte| *byte == b'\\').count();
            line_begins = pending.quoted || backslashes % 2 == 0;
            self.line += u32::from(line.ends_with('\n'));
            self.at += length;
            if is_end {
                return raw;
            }
        }
    }

    /// The expansions in a body.
    pub(super) fn here_word(&mut self, raw: &str, first_line: u32) -> Parsed<Word> {
        let mut lines = TextLines::new(raw);
        let mut parser = Parser::new(&mut lines, first_line);
        parser.options = self.options.clone();
        parser.stack = self.stack;
        let mut word = parser.nested(|parser| parser.word(End::HereDoc))?;
        raw.clone_into(&mut word.raw);
        Ok(word)
    }
}

/// The delimiter without its quotes, and whether it has any.
fn delimiter(word: &Word) -> (String, bool) {
    let mut text = String::new();
    let mut quoted = false;
    for part in &word.parts {
        match part {
            Part::Literal(literal) => text.push_str(literal),
            Part::Quoted(literal) => {
                text.push_str(literal);
                quoted = true;
            }
            Part::Double(parts) => {
                quoted = true;
                for part in parts {
                    if let Part::Literal(literal) | Part::Quoted(literal) = part {
                        text.push_str(literal);
                    }
                }
            }
            Part::Parameter(parameter) => text.push_str(&parameter.raw),
            _ => return (word.raw.clone(), false),
        }
    }
    (text, quoted)
}

impl Parser<'_> {
    /// Reads a text as if it were in double quotes: a prompt.
    pub(crate) fn quoted_text(&mut self, options: &super::parser::ParseOptions, text: &str) -> Parsed<Word> {
        self.options = options.clone();
        self.stack = 0;
        self.here_word(text, self.line)
    }
}
