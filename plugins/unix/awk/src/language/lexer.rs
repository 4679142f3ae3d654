//! The words of a program.

use std::fmt;

/// A word of a program.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Number(f64),
    /// A string, with its escapes replaced.
    Text(Vec<u8>),
    /// A pattern between slashes, as it is written.
    Pattern(String),
    Name(String),
    /// A name that a parenthesis follows at once: the call of a function.
    Call(String),
    Builtin(&'static str),
    Keyword(&'static str),
    Symbol(&'static str),
    Newline,
    End,
}

const KEYWORDS: [&str; 24] = [
    "BEGIN",
    "BEGINFILE",
    "END",
    "ENDFILE",
    "break",
    "case",
    "continue",
    "default",
    "delete",
    "do",
    "else",
    "exit",
    "for",
    "function",
    "getline",
    "if",
    "in",
    "next",
    "nextfile",
    "print",
    "printf",
    "return",
    "switch",
    "while",
];

const BUILTINS: [&str; 41] = [
    "and",
    "asort",
    "asorti",
    "atan2",
    "close",
    "compl",
    "cos",
    "exp",
    "fflush",
    "gensub",
    "gsub",
    "index",
    "int",
    "isarray",
    "length",
    "log",
    "lshift",
    "match",
    "mktime",
    "or",
    "patsplit",
    "rand",
    "rshift",
    "sin",
    "split",
    "sprintf",
    "sqrt",
    "srand",
    "strftime",
    "strtonum",
    "sub",
    "substr",
    "system",
    "systime",
    "tolower",
    "toupper",
    "typeof",
    "xor",
    "mkbool",
    "dcgettext",
    "bindtextdomain",
];

/// Longer ones first.
const SYMBOLS: [&str; 48] = [
    "**=", "&&", "||", "==", "!=", "<=", ">=", ">>", "++", "--", "+=", "-=", "*=", "/=", "%=", "^=", "**", "|&", "!~",
    "{", "}", "(", ")", "[", "]", ";", ",", "+", "-", "*", "/", "%", "^", "!", "<", ">", "|", "?", ":", "~", "$", "=",
    "&", ".", "@", "`", "'", "#",
];

/// What is wrong with a program, and in which line.
#[derive(Debug, Clone)]
pub(crate) struct SyntaxError {
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Takes a program apart. Each word has the number of its line.
pub(crate) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, SyntaxError> {
    let mut lexer = Lexer { text: text.chars().collect(), at: 0, line: 1 };
    let mut tokens: Vec<(Token, usize)> = Vec::new();
    loop {
        lexer.skip_blanks();
        let line = lexer.line;
        let token = lexer.token(tokens.last().map(|(token, _)| token))?;
        let end = token == Token::End;
        tokens.push((token, line));
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer {
    text: Vec<char>,
    at: usize,
    line: usize,
}

impl Lexer {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError { line: self.line, message: message.into() }
    }

    fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\\') if self.text.get(self.at + 1) == Some(&'\n') => {
                    self.at += 2;
                    self.line += 1;
                }
                Some('\\') if self.text.get(self.at + 1..self.at + 3) == Some(&['\r', '\n']) => {
                    self.at += 3;
                    self.line += 1;
                }
                Some('#') => {
                    while self.peek().is_some_and(|character| character != '\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn token(&mut self, before: Option<&Token>) -> Result<Token, SyntaxError> {
        let Some(character) = self.peek() else {
            return Ok(Token::End);
        };
        match character {
            '\n' => {
                self.at += 1;
                self.line += 1;
                Ok(Token::Newline)
            }
            '"' => self.string(),
            '/' if !ends_operand(before) => self.pattern(),
            '0'..='9' => Ok(self.number()),
            '.' if self.text.get(self.at + 1).is_some_and(char::is_ascii_digit) => Ok(self.number()),
            letter if letter.is_ascii_alphabetic() || letter == '_' => Ok(self.word()),
            _ => {
                let rest: String = self.text.iter().skip(self.at).take(3).collect();
                let symbol = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol));
                let symbol = symbol.ok_or_else(|| self.error(format!("invalid char '{character}' in expression")))?;
                self.at += symbol.len();
                Ok(Token::Symbol(match symbol {
                    "**" => "^",
                    "**=" => "^=",
                    other => other,
                }))
            }
        }
    }

    fn word(&mut self) -> Token {
        let start = self.at;
        while self.peek().is_some_and(|character| character.is_ascii_alphanumeric() || character == '_') {
            self.at += 1;
        }
        let word: String = self.text[start..self.at].iter().collect();
        if word == "func" {
            return Token::Keyword("function");
        }
        if let Some(keyword) = KEYWORDS.into_iter().find(|keyword| *keyword == word) {
            return Token::Keyword(keyword);
        }
        if let Some(builtin) = BUILTINS.into_iter().find(|builtin| *builtin == word) {
            return Token::Builtin(builtin);
        }
        if self.peek() == Some('(') { Token::Call(word) } else { Token::Name(word) }
    }

    fn number(&mut self) -> Token {
        let rest: String = self.text.iter().skip(self.at).take_while(|character| !character.is_whitespace()).collect();
        if let Some(digits) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
            let digits: String = digits.chars().take_while(char::is_ascii_hexdigit).collect();
            if !digits.is_empty() {
                self.at += 2 + digits.len();
                let number = digits.chars().filter_map(|digit| digit.to_digit(16));
                return Token::Number(number.fold(0.0, |number, digit| number * 16.0 + f64::from(digit)));
            }
        }
        let (number, length) = crate::value::leading_number(rest.as_bytes());
        self.at += length.max(1);
        Token::Number(number)
    }

    fn string(&mut self) -> Result<Token, SyntaxError> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.peek() {
                None | Some('\n') => return Err(self.error("unterminated string")),
                Some('"') => break,
                Some('\\') => {
                    if self.text.get(self.at + 1) == Some(&'\n') {
                        self.line += 1;
                    }
                    self.at += 2;
                }
                Some(_) => self.at += 1,
            }
        }
        let text: String = self.text[start..self.at].iter().collect();
        self.at += 1;
        Ok(Token::Text(unescaped(&text)))
    }

    fn pattern(&mut self) -> Result<Token, SyntaxError> {
        self.at += 1;
        let mut pattern = String::new();
        let mut bracket = false;
        loop {
            let character = self.peek().filter(|character| *character != '\n');
            let character = character.ok_or_else(|| self.error("unterminated regexp"))?;
            self.at += 1;
            match character {
                '/' if !bracket => return Ok(Token::Pattern(pattern)),
                '\\' => match self.peek() {
                    Some('/') => {
                        pattern.push('/');
                        self.at += 1;
                    }
                    other => {
                        pattern.push('\\');
                        pattern.extend(other);
                        self.at += 1;
                    }
                },
                '[' if !bracket => {
                    bracket = true;
                    pattern.push('[');
                    // A bracket at the beginning is a character of the set.
                    for first in ['^', ']'] {
                        if self.peek() == Some(first) {
                            pattern.push(first);
                            self.at += 1;
                        }
                    }
                }
                other => {
                    if other == ']' && !pattern.ends_with("[:") && !(pattern.ends_with(':') && pattern.contains("[:")) {
                        bracket = false;
                    }
                    pattern.push(other);
                }
            }
        }
    }
}

/// Whether a word is the end of an operand, so that a slash divides.
fn ends_operand(token: Option<&Token>) -> bool {
    match token {
        Some(Token::Number(_) | Token::Text(_) | Token::Pattern(_) | Token::Name(_) | Token::Builtin(_)) => true,
        Some(Token::Symbol(symbol)) => matches!(*symbol, ")" | "]" | "$" | "++" | "--"),
        _ => false,
    }
}

/// A text with its escapes replaced, as in strings of a program and in assignments of the command line.
pub(crate) fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        if character != '\\' {
            bytes.extend(character.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        match rest.next() {
            Some('n') => bytes.push(b'\n'),
            Some('t') => bytes.push(b'\t'),
            Some('r') => bytes.push(b'\r'),
            Some('f') => bytes.push(12),
            Some('v') => bytes.push(11),
            Some('a') => bytes.push(7),
            Some('b') => bytes.push(8),
            Some('/') => bytes.push(b'/'),
            Some('"') => bytes.push(b'"'),
            Some('\\') => bytes.push(b'\\'),
            Some('\n') => {}
            Some(digit @ '0'..='7') => {
                let mut number = digit.to_digit(8).unwrap_or_default();
                for _ in 0..2 {
                    let Some(digit) = rest.next_if(|digit| ('0'..='7').contains(digit)) else { break };
                    number = number * 8 + digit.to_digit(8).unwrap_or_default();
                }
                bytes.push(number.to_le_bytes()[0]);
            }
            Some('x') if rest.peek().is_some_and(char::is_ascii_hexdigit) => {
                let mut number = 0;
                for _ in 0..2 {
                    let Some(digit) = rest.next_if(char::is_ascii_hexdigit) else { break };
                    number = number * 16 + digit.to_digit(16).unwrap_or_default();
                }
                bytes.push(number.to_le_bytes()[0]);
            }
            Some(other) => bytes.extend(other.encode_utf8(&mut [0; 4]).bytes()),
            None => bytes.push(b'\\'),
        }
    }
    bytes
}
