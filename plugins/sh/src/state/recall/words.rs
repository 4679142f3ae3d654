//! Words of an earlier line.

use super::Scanner;

/// Which words are meant, counted from 0.
enum Last {
    At(usize),
    /// The last, or the one before it.
    End {
        but: usize,
    },
}

impl Scanner<'_> {
    /// The words of a line that are meant here. `None`: all of it.
    ///
    /// # Errors
    /// There are no such words.
    pub(super) fn words(&mut self, line: &str) -> Result<Option<String>, ()> {
        let is_colon = self.rest().starts_with(':');
        let mut rest = self.rest().strip_prefix(':').unwrap_or(self.rest()).chars().peekable();
        let digits = |rest: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut number = String::new();
            while let Some(digit) = rest.next_if(char::is_ascii_digit) {
                number.push(digit);
            }
            number
        };
        let (first, mut taken) = match rest.peek() {
            Some('*') => {
                self.at += usize::from(is_colon) + 1;
                return Ok(Some(extract(line, 1, &Last::End { but: 0 }).unwrap_or_default()));
            }
            Some('$') => {
                self.at += usize::from(is_colon) + 1;
                let count = split(line).len();
                return count.checked_sub(1).and_then(|last| extract(line, last, &Last::At(last))).ok_or(()).map(Some);
            }
            Some('-') => (0, 0),
            Some('^') => {
                rest.next();
                (1, 1)
            }
            Some(digit) if digit.is_ascii_digit() && is_colon => {
                let number = digits(&mut rest);
                (number.parse().unwrap_or(usize::MAX), number.len())
            }
            _ => return Ok(None),
        };
        let last = match rest.peek() {
            Some('*') => {
                taken += 1;
                Last::End { but: 0 }
            }
            Some('-') => {
                rest.next();
                taken += 1;
                let number = digits(&mut rest);
                taken += number.len();
                match (number.parse(), rest.peek()) {
                    (Ok(number), _) => Last::At(number),
                    (Err(_), Some('$')) => {
                        taken += 1;
                        Last::End { but: 0 }
                    }
                    (Err(_), Some('^')) => {
                        taken += 1;
                        Last::At(1)
                    }
                    (Err(_), _) => Last::End { but: 1 },
                }
            }
            _ => Last::At(first),
        };
        self.at += usize::from(is_colon) + taken;
        extract(line, first, &last).ok_or(()).map(Some)
    }
}

/// The words from one to another. `None`: there are not so many.
fn extract(line: &str, first: usize, last: &Last) -> Option<String> {
    let words = split(line);
    let last = match last {
        Last::At(last) => *last,
        Last::End { but } => words.len().checked_sub(1 + but)?,
    };
    (first <= last).then(|| words.get(first..=last).map(|words| words.join(" ")))?
}

/// The words of a line. Operators are words, quotes and substitutions belong to theirs.
fn split(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = line.trim_start_matches([' ', '\t', '\n']);
    while !rest.is_empty() {
        let length = match operator(rest) {
            0 => word(rest),
            length => length,
        };
        words.push(&rest[..length]);
        rest = rest[length..].trim_start_matches([' ', '\t', '\n']);
    }
    words
}

/// The length of the operator that a text begins with, 0 if it begins with none.
fn operator(text: &str) -> usize {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let sign = &text[digits..];
    if digits > 0 && !sign.starts_with(['<', '>']) || sign.starts_with("<(") || sign.starts_with(">(") {
        return 0;
    }
    for operator in ["<<<", "<<-", "<<", ">>", "&&", "||", ";;", "&>", ">|", "<&", ">&"] {
        if let Some(rest) = sign.strip_prefix(operator) {
            let is_duplicate = operator.ends_with('&') && operator != "&&";
            let target = rest.bytes().take_while(|byte| byte.is_ascii_digit() && is_duplicate).count();
            let closes = usize::from(is_duplicate && rest[target..].starts_with('-'));
            return digits + operator.len() + target + closes;
        }
    }
    if sign.starts_with(['<', '>', ';', '&', '|', '(', ')']) { digits + 1 } else { 0 }
}

/// The length of the word that a text begins with, at least that of a character.
fn word(text: &str) -> usize {
    let (mut quote, mut depth) = (None, 0_usize);
    let mut signs = text.char_indices().peekable();
    while let Some((at, sign)) = signs.next() {
        match (sign, quote) {
            ('\\', None | Some('"' | '`')) => drop(signs.next()),
            (sign, Some(open)) if sign == open => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"' | '`', None) => quote = Some(sign),
            ('<' | '>' | '$' | '!' | '@' | '?' | '+' | '*', None) if text[at + 1..].starts_with('(') => {
                signs.next();
                depth += 1;
            }
            ('(', None) if depth > 0 => depth += 1,
            (')', None) if depth > 0 => depth -= 1,
            (' ' | '\t' | '\n' | ';' | '&' | '(' | ')' | '|' | '<' | '>', None) if depth == 0 => {
                return at.max(sign.len_utf8().min(text.len()));
            }
            _ => {}
        }
    }
    text.len()
}
