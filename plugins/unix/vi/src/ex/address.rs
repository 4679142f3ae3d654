//! The lines that a command is for.

use crate::editor::Editor;
use crate::text::Position;

/// Two lines, from 1 on, and how many addresses were given. Line 0 is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: usize,
    pub(crate) last: usize,
    pub(crate) given: usize,
}

impl Range {
    /// The lines from 0 on, where line 0 counts as the first.
    pub(crate) fn lines(self) -> (usize, usize) {
        (self.first.max(1) - 1, self.last.max(1) - 1)
    }
}

impl Editor {
    /// Reads a range at the beginning of a text: the range, and what follows.
    pub(crate) fn range<'a>(&mut self, text: &'a str) -> Result<(Range, &'a str), String> {
        let start = self.cursor;
        let result = self.addresses(text);
        if result.is_err() {
            self.cursor = start;
        }
        let (addresses, rest, moved) = result?;
        if !moved {
            self.cursor = start;
        }
        let here = self.cursor.line + 1;
        let (first, last) = match addresses[..] {
            [] => (here, here),
            [only] => (only, only),
            [.., first, last] => (first, last),
        };
        if first > last {
            return Err("E493: Backwards range given".to_owned());
        }
        if last > self.text.len() {
            return Err("E16: Invalid range".to_owned());
        }
        Ok((Range { first, last, given: addresses.len() }, rest))
    }

    /// All addresses. Whether `;` has moved the cursor.
    fn addresses<'a>(&mut self, text: &'a str) -> Result<(Vec<usize>, &'a str, bool), String> {
        let mut found = Vec::new();
        let mut rest = text.trim_start();
        let mut moved = false;
        loop {
            if let Some(after) = rest.strip_prefix('%') {
                found.extend([1, self.text.len()]);
                rest = after;
            } else {
                let (address, after) = self.address(rest)?;
                let separated = after.trim_start().starts_with([',', ';']);
                match address {
                    Some(line) => found.push(line),
                    None if separated || !found.is_empty() && text.len() != rest.len() && ends_list(text, rest) => {
                        found.push(self.cursor.line + 1);
                    }
                    None => {}
                }
                rest = after;
            }
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix(',') {
                rest = after.trim_start();
            } else if let Some(after) = rest.strip_prefix(';') {
                let line = found.last().copied().unwrap_or(1);
                self.cursor = Position::new(line.max(1).min(self.text.len()) - 1, 0);
                moved = true;
                rest = after.trim_start();
            } else {
                return Ok((found, rest, moved));
            }
        }
    }

    /// One address: a place, and what is added to it.
    fn address<'a>(&mut self, text: &'a str) -> Result<(Option<usize>, &'a str), String> {
        let mut signs = text.chars();
        let (mut line, mut rest) = match signs.next() {
            Some('0'..='9') => {
                let end = text.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(text.len());
                let number = text[..end].parse::<usize>().map_err(|_| "E16: Invalid range".to_owned())?;
                (Some(number), &text[end..])
            }
            Some('.') => (Some(self.cursor.line + 1), signs.as_str()),
            Some('$') => (Some(self.text.len()), signs.as_str()),
            Some('\'') => {
                let name = signs.next().ok_or("E20: Mark not set")?;
                let place = self.mark(name).ok_or("E20: Mark not set")?;
                (Some(place.line + 1), signs.as_str())
            }
            Some(sign @ ('/' | '?')) => {
                let (pattern, after) = delimited(signs.as_str(), sign);
                (Some(self.line_of_match(&pattern, sign == '?')? + 1), after)
            }
            Some('\\') if matches!(text.chars().nth(1), Some('/' | '?' | '&')) => {
                (Some(self.line_of_match("", text[1..].starts_with('?'))? + 1), &text[2..])
            }
            _ => (None, text),
        };
        loop {
            let trimmed = rest.trim_start();
            let Some(sign) = trimmed.chars().next().filter(|sign| matches!(sign, '+' | '-')) else { break };
            let digits = &trimmed[1..];
            let end = digits.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(digits.len());
            let amount = if end == 0 { 1 } else { digits[..end].parse::<usize>().unwrap_or(usize::MAX / 4) };
            let from = line.unwrap_or(self.cursor.line + 1);
            let to = if sign == '+' { from.checked_add(amount) } else { from.checked_sub(amount) };
            line = Some(to.ok_or("E16: Invalid range")?);
            rest = &digits[end..];
        }
        Ok((line, rest))
    }

    /// The line of the next match, or of the last before the cursor.
    fn line_of_match(&mut self, pattern: &str, backward: bool) -> Result<usize, String> {
        self.set_pattern(pattern)?;
        let line = self.cursor.line;
        let found = if backward {
            self.find_backward(Position::new(line, 0))
        } else {
            self.find_forward(Position::new(line, crate::text::last_char(self.text.line(line))))
        };
        found.map(|(place, _)| place.line).ok_or_else(|| format!("E486: Pattern not found: {}", self.search.text))
    }
}

/// Whether a list of addresses ends in a separator.
fn ends_list(text: &str, rest: &str) -> bool {
    text[..text.len() - rest.len()].trim_end().ends_with([',', ';'])
}

/// A text up to a delimiter, in which a backslash before the delimiter goes; and what is behind it.
pub(super) fn delimited(text: &str, delimiter: char) -> (String, &str) {
    let mut found = String::new();
    let mut signs = text.char_indices();
    while let Some((at, sign)) = signs.next() {
        if sign == delimiter {
            return (found, &text[at + sign.len_utf8()..]);
        }
        if sign == '\\' {
            match signs.next() {
                Some((_, escaped)) if escaped == delimiter => found.push(escaped),
                Some((_, escaped)) => found.extend(['\\', escaped]),
                None => found.push('\\'),
            }
        } else {
            found.push(sign);
        }
    }
    (found, "")
}
