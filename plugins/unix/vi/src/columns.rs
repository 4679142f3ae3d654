//! How many columns the characters of a line take.

use unicode_width::UnicodeWidthChar;

use crate::encoding::byte_of;
use crate::text::next;

/// How characters are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tabs {
    pub(crate) stop: usize,
    /// Tabs are shown as `^I`.
    pub(crate) list: bool,
}

/// How a character is shown that is not shown as itself.
pub(crate) fn escape(character: char) -> Option<String> {
    if let Some(byte) = byte_of(character) {
        return Some(format!("<{byte:02x}>"));
    }
    match u32::from(character) {
        code @ 0..32 => Some(format!("^{}", char::from(code as u8 + 64))),
        127 => Some("^?".to_owned()),
        code @ 0x80..0xa0 => Some(format!("<{code:02x}>")),
        code if character.width().is_none()
            || matches!(code, 0x200b..=0x200f | 0x2028..=0x202e | 0x2066..=0x2069 | 0xfeff) =>
        {
            Some(format!("<{code:04x}>"))
        }
        _ => None,
    }
}

/// The columns of the character at the beginning of a text, if it begins in this column.
pub(crate) fn width(character: char, column: usize, tabs: Tabs) -> usize {
    match character {
        '\t' if !tabs.list => tabs.stop - column % tabs.stop,
        ' '..='~' => 1,
        other => match escape(other) {
            Some(shown) => shown.len(),
            // A mark without a character is shown on a blank.
            None => other.width().unwrap_or(1).max(1),
        },
    }
}

/// The column in which a character begins, and the one behind it.
pub(crate) fn span(line: &str, at: usize, tabs: Tabs) -> (usize, usize) {
    let mut column = 0;
    let mut place = 0;
    while place < at.min(line.len()) {
        column += line[place..].chars().next().map_or(1, |character| width(character, column, tabs));
        place = next(line, place);
    }
    let own = line[place..].chars().next().map_or(1, |character| width(character, column, tabs));
    (column, column + own)
}

/// The character that is shown in a column; the end of the line if it is behind it. Whether it begins there.
pub(crate) fn at_column(line: &str, column: usize, tabs: Tabs) -> (usize, bool) {
    let (mut shown, mut place) = (0, 0);
    while let Some(character) = line[place..].chars().next() {
        let end = shown + width(character, shown, tabs);
        if end > column {
            return (place, shown == column);
        }
        shown = end;
        place = next(line, place);
    }
    (place, shown == column)
}

/// The columns that a line takes.
pub(crate) fn total(line: &str, tabs: Tabs) -> usize {
    span(line, line.len(), tabs).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_and_places_belong_together() {
        let tabs = Tabs { stop: 8, list: false };
        let line = "a\t漢e\u{301}\u{1}b";
        assert_eq!(span(line, 1, tabs), (1, 8));
        assert_eq!(span(line, 2, tabs), (8, 10));
        assert_eq!(span(line, 5, tabs), (10, 11));
        assert_eq!(span(line, 8, tabs), (11, 13));
        assert_eq!(total(line, tabs), 14);
        assert_eq!(at_column(line, 4, tabs), (1, false));
        assert_eq!(at_column(line, 9, tabs), (2, false));
        assert_eq!(at_column(line, 13, tabs), (9, true));
        assert_eq!(at_column(line, 40, tabs), (10, false));
        assert_eq!(total("\t", Tabs { stop: 8, list: true }), 2);
        assert_eq!(escape('\u{10ffe9}').as_deref(), Some("<e9>"));
    }
}
