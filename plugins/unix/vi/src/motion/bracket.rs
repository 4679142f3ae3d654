//! Characters of a line, brackets and quotes.

use crate::text::{Position, Text, next, previous};

/// A search for a character in a line: `f`, `t`, `F`, `T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Find {
    pub(crate) character: char,
    pub(crate) forward: bool,
    /// Stop before the character.
    pub(crate) till: bool,
}

/// Where a search from a column leads. With `again` a character that `t` stands before already does not count.
pub(crate) fn find_in_line(line: &str, column: usize, find: Find, count: usize, again: bool) -> Option<usize> {
    let is_it = |at: &usize| line[*at..].starts_with(find.character);
    let step =
        |at: usize| if find.forward { Some(next(line, at)).filter(|at| *at < line.len()) } else { previous(line, at) };
    let mut places = std::iter::successors(step(column), |at| step(*at)).filter(is_it);
    let beside = step(column).filter(|at| is_it(at) && again && find.till && count == 1);
    let found = places.nth(count - 1 + usize::from(beside.is_some()))?;
    Some(match (find.till, find.forward) {
        (false, _) => found,
        (true, true) => previous(line, found).unwrap_or(0),
        (true, false) => next(line, found),
    })
}

const PAIRS: [(char, char); 3] = [('(', ')'), ('[', ']'), ('{', '}')];

/// `%`: the partner of the first bracket at the cursor or behind it in the line.
pub(crate) fn matching(text: &Text, at: Position) -> Option<Position> {
    let line = text.line(at.line);
    let (column, bracket) = line[at.column..]
        .char_indices()
        .find(|(_, sign)| PAIRS.iter().any(|(open, close)| sign == open || sign == close))?;
    let from = Position::new(at.line, at.column + column);
    let (open, close) = PAIRS.into_iter().find(|(open, close)| bracket == *open || bracket == *close)?;
    let partners = (bracket, if bracket == open { close } else { open });
    let escaped = is_escaped(line, from.column);
    let mut depth = 0_usize;
    let mut walk = Characters { text, at: Position::new(from.line, from.column), forward: bracket == open };
    while let Some((place, sign)) = walk.step() {
        if is_escaped(text.line(place.line), place.column) != escaped {
            continue;
        }
        if sign == partners.0 {
            depth += 1;
        } else if sign == partners.1 {
            if depth == 0 {
                return Some(place);
            }
            depth -= 1;
        }
    }
    None
}

fn is_escaped(line: &str, column: usize) -> bool {
    let before = line[..column].bytes().rev().take_while(|byte| *byte == b'\\').count();
    before % 2 == 1
}

/// The characters behind a place, or before it.
struct Characters<'a> {
    text: &'a Text,
    at: Position,
    forward: bool,
}

impl Characters<'_> {
    fn step(&mut self) -> Option<(Position, char)> {
        loop {
            let line = self.text.line(self.at.line);
            if self.forward {
                let after = line[self.at.column..].chars().next().map_or(0, char::len_utf8);
                self.at.column += after;
                if let Some(sign) = line[self.at.column..].chars().next() {
                    return Some((self.at, sign));
                }
                if self.at.line == self.text.last() {
                    return None;
                }
                self.at = Position::new(self.at.line + 1, 0);
                if let Some(sign) = self.text.line(self.at.line).chars().next() {
                    return Some((self.at, sign));
                }
            } else if let Some(sign) = line[..self.at.column].chars().next_back() {
                self.at.column -= sign.len_utf8();
                return Some((self.at, sign));
            } else {
                self.at.line = self.at.line.checked_sub(1)?;
                self.at.column = self.text.line(self.at.line).len();
            }
        }
    }
}

/// The brackets around a place, of the kind `open` and `close`: the `count`th from inside. A bracket at the place
/// itself is one of them.
pub(crate) fn enclosing(text: &Text, at: Position, pair: (char, char), count: usize) -> Option<(Position, Position)> {
    let (open, close) = pair;
    let here = text.line(at.line)[at.column..].chars().next();
    let mut left = count.max(1);
    let mut start = None;
    if here == Some(open) {
        start = Some(at);
        left -= 1;
    }
    let mut walk = Characters { text, at, forward: false };
    let mut depth = 0_usize;
    while left > 0 {
        let (place, sign) = walk.step()?;
        if sign == close {
            depth += 1;
        } else if sign == open && depth > 0 {
            depth -= 1;
        } else if sign == open {
            left -= 1;
            start = Some(place);
        }
    }
    let start = start?;
    let mut walk = Characters { text, at: start, forward: true };
    let mut depth = 0_usize;
    while let Some((place, sign)) = walk.step() {
        if sign == open {
            depth += 1;
        } else if sign == close {
            if depth == 0 {
                return Some((start, place));
            }
            depth -= 1;
        }
    }
    None
}

/// The columns of the quotes around a column, or of the first pair behind it.
pub(crate) fn quoted(line: &str, column: usize, quote: char) -> Option<(usize, usize)> {
    let following = |from: usize, escapes: bool| {
        let mut characters = line[from..].char_indices();
        while let Some((at, sign)) = characters.next() {
            if sign == '\\' && escapes {
                characters.next();
            } else if sign == quote {
                return Some(from + at);
            }
        }
        None
    };
    if line[column..].starts_with(quote) {
        let mut from = 0;
        loop {
            let start = following(from, false).filter(|start| *start <= column)?;
            let end = following(start + 1, true)?;
            if column <= end {
                return Some((start, end));
            }
            from = end + 1;
        }
    }
    let before = line[..column].char_indices().rev().find(|(at, sign)| *sign == quote && !is_escaped(line, *at));
    let start = before.map(|(at, _)| at).or_else(|| following(column, false))?;
    Some((start, following(start + 1, true)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_match_over_lines() {
        let text = Text::new(["f(a, (b)", "  [c] { d }", ")"].map(str::to_owned).to_vec());
        assert_eq!(matching(&text, Position::new(0, 0)), Some(Position::new(2, 0)));
        assert_eq!(matching(&text, Position::new(2, 0)), Some(Position::new(0, 1)));
        assert_eq!(matching(&text, Position::new(1, 9)), Some(Position::new(1, 6)));
        assert_eq!(
            enclosing(&text, Position::new(1, 3), ('(', ')'), 1),
            Some((Position::new(0, 1), Position::new(2, 0)))
        );
        assert_eq!(
            enclosing(&text, Position::new(0, 6), ('(', ')'), 2),
            Some((Position::new(0, 1), Position::new(2, 0)))
        );
        assert_eq!(enclosing(&text, Position::new(1, 3), ('{', '}'), 1), None);
    }

    #[test]
    fn quotes_are_counted_from_the_start_where_the_cursor_is_on_one() {
        let line = r#"a "b" c "d\"e" f"#;
        assert_eq!(quoted(line, 3, '"'), Some((2, 4)));
        assert_eq!(quoted(line, 4, '"'), Some((2, 4)));
        assert_eq!(quoted(line, 0, '"'), Some((2, 4)));
        assert_eq!(quoted(line, 9, '"'), Some((8, 13)));
        assert_eq!(quoted("a b", 0, '"'), None);
    }
}
