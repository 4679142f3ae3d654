//! Words of the language. The input is read line by line, since `read` takes lines of it, too.

use std::io::BufRead;

/// A word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Number(String),
    Name(String),
    Keyword(&'static str),
    Text(String),
    Symbol(&'static str),
    Newline,
    End,
}

const KEYWORDS: [&str; 21] = [
    "auto", "break", "continue", "define", "else", "for", "halt", "ibase", "if", "last", "length", "limits", "obase",
    "print", "quit", "read", "return", "scale", "sqrt", "warranty", "while",
];
/// The longest first.
const SYMBOLS: [&str; 32] = [
    "++", "--", "+=", "-=", "*=", "/=", "%=", "^=", "==", "!=", "<=", ">=", "&&", "||", "+", "-", "*", "/", "%", "^",
    "=", "<", ">", "!", "(", ")", "[", "]", "{", "}", ";", ",",
];

/// The input of a program.
pub(crate) struct Lexer<'a> {
    input: &'a mut dyn BufRead,
    /// What was read of the input and is not done with.
    text: String,
    /// The first byte of `text` that is left.
    at: usize,
    /// The number of the line that is read, from 1 on; the next line's once the newline has been read.
    pub(crate) line: usize,
    ended: bool,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(input: &'a mut dyn BufRead) -> Self {
        Self { input, text: String::new(), at: 0, line: 1, ended: false }
    }

    /// What is left of the line.
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Drops what is left of the line.
    fn clear(&mut self) {
        self.at = self.text.len();
    }

    /// Adds the next line of the input. Whether there is one.
    fn fill(&mut self) -> bool {
        let mut bytes = Vec::new();
        if self.ended || self.input.read_until(b'\n', &mut bytes).unwrap_or_default() == 0 {
            self.ended = true;
            return false;
        }
        self.text.drain(..self.at);
        self.at = 0;
        self.text.push_str(&String::from_utf8_lossy(&bytes));
        true
    }

    /// A line for `read`. None at the end.
    pub(crate) fn take_line(&mut self) -> Option<String> {
        if self.rest().trim().is_empty() {
            self.clear();
            if !self.fill() {
                return None;
            }
        }
        self.line += 1;
        let rest = self.rest().len();
        Some(self.advance(rest))
    }

    /// Drops the rest of the line.
    pub(crate) fn skip_line(&mut self) {
        if !self.rest().is_empty() {
            self.line += 1;
        }
        self.clear();
    }

    fn advance(&mut self, bytes: usize) -> String {
        let start = self.at;
        self.at += bytes;
        self.text[start..self.at].to_owned()
    }

    /// Whether what follows is `[]`.
    pub(crate) fn continues_with_brackets(&self) -> bool {
        self.rest().trim_start().strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with(']'))
    }

    /// The next word. The error is a message.
    pub(crate) fn next(&mut self) -> Result<Token, String> {
        loop {
            if self.rest().is_empty() && !self.fill() {
                return Ok(Token::End);
            }
            let first = self.rest().chars().next().unwrap_or('\n');
            match first {
                ' ' | '\t' | '\r' => drop(self.advance(1)),
                '\\' if self.rest().starts_with("\\\n") => {
                    self.line += 1;
                    self.advance(2);
                }
                '#' => drop(self.advance(self.rest().find('\n').unwrap_or(self.rest().len()))),
                '/' if self.rest().starts_with("/*") => self.comment(),
                '\n' => {
                    self.line += 1;
                    self.advance(1);
                    return Ok(Token::Newline);
                }
                '"' => return Ok(self.text()),
                '0'..='9' | 'A'..='F' => return Ok(self.number()),
                '.' if self.rest()[1..]
                    .starts_with(|next: char| next.is_ascii_digit() || ('A'..='F').contains(&next)) =>
                {
                    return Ok(self.number());
                }
                '.' => {
                    self.advance(1);
                    return Ok(Token::Keyword("last"));
                }
                'a'..='z' => {
                    let is_part =
                        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
                    let end = self.rest().find(|letter| !is_part(letter)).unwrap_or(self.rest().len());
                    let name = self.advance(end);
                    let keyword = KEYWORDS.iter().find(|keyword| **keyword == name);
                    return Ok(keyword.map_or(Token::Name(name), |keyword| Token::Keyword(keyword)));
                }
                _ => {
                    let symbol = SYMBOLS.iter().find(|symbol| self.rest().starts_with(**symbol));
                    self.advance(symbol.map_or(first.len_utf8(), |symbol| symbol.len()));
                    return match symbol {
                        Some(symbol) => Ok(Token::Symbol(symbol)),
                        None => Err(format!("illegal character: {first}")),
                    };
                }
            }
        }
    }

    fn comment(&mut self) {
        // Where the end is looked for: not again in the lines before.
        let mut from = 2;
        loop {
            if let Some(end) = self.rest()[from..].find("*/") {
                let end = end + from - 2;
                let comment = self.advance(end + 4);
                self.line += comment.matches('\n').count();
                return;
            }
            from = self.rest().len().max(2);
            if !self.fill() {
                self.clear();
                return;
            }
        }
    }

    fn text(&mut self) -> Token {
        let mut from = 1;
        while !self.rest()[from..].contains('"') {
            from = self.rest().len();
            if !self.fill() {
                break;
            }
        }
        let end = self.rest()[1..].find('"').map_or(self.rest().len(), |end| end + 2);
        let text = self.advance(end);
        self.line += text.matches('\n').count();
        Token::Text(text.trim_matches('"').to_owned())
    }

    /// A number, which may go on in the next line behind a backslash.
    fn number(&mut self) -> Token {
        let mut number = String::new();
        loop {
            let mut point = number.contains('.');
            let mut is_part = |letter: char| {
                let is_first_point = letter == '.' && !point;
                point |= letter == '.';
                letter.is_ascii_digit() || ('A'..='F').contains(&letter) || is_first_point
            };
            let end = self.rest().find(|letter| !is_part(letter)).unwrap_or(self.rest().len());
            number += &self.advance(end);
            if !self.rest().starts_with("\\\n") {
                return Token::Number(number);
            }
            self.line += 1;
            self.advance(2);
            if self.rest().is_empty() && !self.fill() {
                return Token::Number(number);
            }
        }
    }
}
