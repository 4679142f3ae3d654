//! `$name` and `${..}` (XCU 2.6.2, and bash's).

use super::ast::{Parameter, ParameterOp, Part, Subscript, Word};
use super::parser::{Parsed, Parser};
use super::word::End;

const SPECIAL: &str = "@*#?-$!";

impl Parser<'_> {
    /// `$x`, `$1`, `$?`.
    pub(super) fn unbraced(&mut self, next: char) -> Option<Part> {
        let name = if next.is_ascii_digit() || SPECIAL.contains(next) {
            self.advance();
            next.to_string()
        } else {
            self.name()
        };
        if name.is_empty() {
            return None;
        }
        let raw = format!("${name}");
        Some(Part::Parameter(Box::new(Parameter {
            name,
            subscript: None,
            indirect: false,
            op: ParameterOp::Plain,
            raw,
        })))
    }

    /// `${..}`, from the brace on.
    pub(super) fn braced(&mut self, quoted: bool) -> Parsed<Part> {
        let start = self.at;
        self.advance();
        let mut parameter = Parameter {
            name: String::new(),
            subscript: None,
            indirect: false,
            op: ParameterOp::Plain,
            raw: String::new(),
        };
        let length = self.take_length_sign();
        if !length && self.peek() == Some('!') && self.peek_second().is_some_and(|next| !"}:-+=?%/^,[".contains(next)) {
            // `${!#}` is the last positional parameter; `${!#pattern}` would be of `$!`.
            self.advance();
            parameter.indirect = true;
        }
        parameter.name = self.parameter_name();
        if self.peek() == Some('[') && !parameter.name.is_empty() {
            parameter.subscript = Some(self.subscript()?);
        }
        parameter.op = if parameter.name.is_empty() {
            ParameterOp::Bad
        } else if length {
            ParameterOp::Length
        } else {
            self.operation(&mut parameter, quoted)?
        };
        if self.peek() != Some('}') {
            parameter.op = ParameterOp::Bad;
            self.word(End::Pattern)?;
        }
        if !self.take('}') {
            return Err(self.end_error("}"));
        }
        parameter.raw = format!("${}", &self.text[start..self.at]);
        Ok(Part::Parameter(Box::new(parameter)))
    }

    /// Takes the `#` of `${#x}`, which `${#}`, `${#-x}` and the like do not have.
    fn take_length_sign(&mut self) -> bool {
        if self.peek() != Some('#') {
            return false;
        }
        let Some(second) = self.peek_second() else { return false };
        let is_length = second.is_ascii_alphanumeric() || second == '_' || {
            let third = self.rest().chars().nth(2);
            SPECIAL.contains(second) && third == Some('}')
        };
        if is_length {
            self.advance();
        }
        is_length
    }

    fn parameter_name(&mut self) -> String {
        let Some(next) = self.peek() else { return String::new() };
        if SPECIAL.contains(next) {
            self.advance();
            return next.to_string();
        }
        if !next.is_ascii_digit() {
            return self.name();
        }
        let mut digits = String::new();
        while let Some(digit) = self.peek().filter(char::is_ascii_digit) {
            digits.push(digit);
            self.advance();
        }
        digits
    }

    fn subscript(&mut self) -> Parsed<Subscript> {
        self.advance();
        let subscript = match (self.peek(), self.peek_second()) {
            (Some('@'), Some(']')) => Subscript::All,
            (Some('*'), Some(']')) => Subscript::Joined,
            _ => Subscript::Index(self.word(End::Subscript)?),
        };
        if matches!(subscript, Subscript::All | Subscript::Joined) {
            self.advance();
        }
        self.advance();
        Ok(subscript)
    }

    fn operation(&mut self, parameter: &mut Parameter, quoted: bool) -> Parsed<ParameterOp> {
        let Some(next) = self.peek() else { return Err(self.end_error("}")) };
        let second = self.peek_second();
        if parameter.indirect && second == Some('}') && (next == '*' || next == '@') {
            self.advance();
            return Ok(ParameterOp::Names { at: next == '@' });
        }
        let all = matches!(parameter.subscript, Some(Subscript::All | Subscript::Joined));
        if parameter.indirect && all && next == '}' {
            return Ok(ParameterOp::Keys);
        }
        Ok(match next {
            '}' => ParameterOp::Plain,
            ':' if second.is_some_and(|second| "-=?+".contains(second)) => {
                self.advance();
                let op = self.advance().unwrap_or('-');
                ParameterOp::Default { colon: true, op, word: self.word(End::Brace { quoted })? }
            }
            '-' | '=' | '?' | '+' => {
                self.advance();
                ParameterOp::Default { colon: false, op: next, word: self.word(End::Brace { quoted })? }
            }
            ':' => {
                self.advance();
                let offset = self.word(End::Slice)?;
                let length = if self.take(':') { Some(self.word(End::Slice)?) } else { None };
                ParameterOp::Slice { offset, length }
            }
            '#' | '%' => {
                self.advance();
                let longest = self.take(next);
                ParameterOp::Trim { suffix: next == '%', longest, pattern: self.word(End::Pattern)? }
            }
            '/' => self.replacement()?,
            '^' | ',' | '~' => {
                self.advance();
                let all = self.take(next);
                ParameterOp::Case { op: next, all, pattern: self.word(End::Pattern)? }
            }
            '@' if self.rest().chars().nth(2) == Some('}') => {
                self.advance();
                ParameterOp::Transform(self.advance().unwrap_or('Q'))
            }
            _ => ParameterOp::Bad,
        })
    }

    fn replacement(&mut self) -> Parsed<ParameterOp> {
        self.advance();
        let all = self.take('/');
        let anchor = match self.peek() {
            Some(anchor @ ('#' | '%')) if !all => {
                self.advance();
                anchor
            }
            _ => '/',
        };
        // A slash right at the beginning belongs to the pattern: `${x////_}`.
        let slash = self.peek() == Some('/') && anchor == '/' && all;
        if slash {
            self.advance();
        }
        let mut pattern = self.word(End::Slash)?;
        if slash {
            pattern.parts.insert(0, Part::Literal("/".to_owned()));
            pattern.raw.insert(0, '/');
        }
        let replacement = if self.take('/') { self.word(End::Pattern)? } else { Word::default() };
        Ok(ParameterOp::Replace { all, anchor, pattern, replacement })
    }
}
