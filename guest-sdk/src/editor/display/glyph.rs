//! What is drawn for the characters of a text, and how many columns it takes.
//!
//! Terminals disagree on clusters of several characters with a width. The sum of the widths of the characters is what
//! most do, so that is what counts here; a cursor after such a cluster is placed by its column. A character that a
//! terminal would act upon, or that nobody would see, is drawn as its number.

use std::borrow::Cow;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The tab stops.
const TAB: usize = 8;

/// A piece of a text that stays together on the screen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Glyph<'a> {
    /// A character and the marks on it.
    Text {
        drawn: &'a str,
        width: usize,
    },
    /// Characters in place of one, each of one column.
    Escaped(Escape),
    Tab,
    Newline,
}

/// A few ASCII characters, such as `^A` and `<200b>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Escape {
    signs: [u8; 8],
    length: usize,
}

impl Escape {
    fn control(sign: u8) -> Self {
        Self { signs: [b'^', sign, 0, 0, 0, 0, 0, 0], length: 2 }
    }

    /// The number of a character in at least four digits.
    fn number(character: char) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let number = u32::from(character);
        let digits = if number > 0xf_ffff {
            6
        } else if number > 0xffff {
            5
        } else {
            4
        };
        let mut signs = [b'<'; 8];
        for (at, sign) in signs[1..=digits].iter_mut().rev().enumerate() {
            *sign = DIGITS[usize::try_from(number >> (4 * at) & 15).unwrap_or(0)];
        }
        signs[digits + 1] = b'>';
        Self { signs, length: digits + 2 }
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.signs[..self.length]).unwrap_or("?")
    }
}

/// The first glyph of a text, and how many bytes of the text it is.
pub(super) fn first_glyph(text: &str) -> Option<(Glyph<'_>, usize)> {
    let first = *text.as_bytes().first()?;
    // Most of all text: no table is needed.
    if matches!(first, 0x20..0x7f) && text.as_bytes().get(1).is_none_or(u8::is_ascii) {
        return Some((Glyph::Text { drawn: &text[..1], width: 1 }, 1));
    }
    let character = text.chars().next()?;
    let length = character.len_utf8();
    let glyph = match character {
        '\n' => Glyph::Newline,
        '\t' => Glyph::Tab,
        '\0'..' ' => Glyph::Escaped(Escape::control(first | 0x40)),
        '\x7f' => Glyph::Escaped(Escape::control(b'?')),
        _ => match character.width() {
            Some(width) if width > 0 && !is_invisible(character) => return Some(with_marks(text, length, width)),
            _ => Glyph::Escaped(Escape::number(character)),
        },
    };
    Some((glyph, length))
}

/// How many characters at the beginning of a text take a byte and a column each, and have no marks.
pub(super) fn plain_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let length = bytes.iter().position(|byte| !matches!(byte, 0x20..0x7f)).unwrap_or(bytes.len());
    // What is beyond ASCII may be a mark on the last one.
    if bytes.get(length).is_some_and(|next| !next.is_ascii()) { length.saturating_sub(1) } else { length }
}

fn with_marks(text: &str, first: usize, width: usize) -> (Glyph<'_>, usize) {
    let marks = text[first..].chars().take_while(|mark| mark.width() == Some(0) && !is_invisible(*mark));
    let mut emoji = false;
    let marks: usize = marks.inspect(|mark| emoji |= *mark == '\u{fe0f}').map(char::len_utf8).sum();
    let drawn = &text[..first + marks];
    // The selector asks for a picture, which takes two columns.
    let width = if emoji { drawn.width() } else { width };
    (Glyph::Text { drawn, width: width.clamp(1, 2) }, drawn.len())
}

/// Whether a character takes no column and belongs to none before it: marks of direction, joiners of words, and so on.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180e}'
        | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e001f}')
}

/// Whether terminals disagree on the width of a glyph, or of it together with the one before.
pub(super) fn is_uncertain(glyph: &str) -> bool {
    !glyph.is_ascii()
        && glyph.chars().any(|character| {
            matches!(character,
                '\u{200d}' | '\u{fe0e}'..='\u{fe0f}' | '\u{1f1e6}'..='\u{1f1ff}' | '\u{1f3fb}'..='\u{1f3ff}'
                | '\u{1100}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7ff}' | '\u{17d8}')
        })
}

/// How many columns a tab takes at a column.
pub(super) fn tab_width(column: usize) -> usize {
    TAB - column % TAB
}

/// The text as it is drawn on one row: nothing in it acts upon the terminal.
pub(in crate::editor) fn visible(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, 0x20..0x7f)) {
        return Cow::Borrowed(text);
    }
    let (mut rest, mut drawn) = (text, String::with_capacity(text.len()));
    while let Some((glyph, length)) = first_glyph(rest) {
        match glyph {
            Glyph::Text { drawn: text, .. } => drawn.push_str(text),
            Glyph::Escaped(escaped) => drawn.push_str(escaped.as_str()),
            Glyph::Tab => drawn.push_str("^I"),
            Glyph::Newline => drawn.push_str("^J"),
        }
        rest = &rest[length..];
    }
    Cow::Owned(drawn)
}

/// How many columns a visible text takes, and the part of it that fits into some.
pub(in crate::editor) fn width(text: &str, columns: usize) -> (usize, &str) {
    let (mut at, mut taken) = (0, 0);
    while let Some((glyph, length)) = first_glyph(&text[at..]) {
        let width = match glyph {
            Glyph::Text { width, .. } => width,
            Glyph::Escaped(escaped) => escaped.as_str().len(),
            Glyph::Tab | Glyph::Newline => 2,
        };
        if taken + width > columns {
            break;
        }
        (at, taken) = (at + length, taken + width);
    }
    (taken, &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_character_has_its_glyph() {
        let text = |drawn, width| Glyph::Text { drawn, width };
        for (given, glyph) in [
            ("ab", text("a", 1)),
            ("e\u{301}x", text("e\u{301}", 1)),
            ("漢字", text("漢", 2)),
            ("❤\u{fe0f}", text("❤\u{fe0f}", 2)),
            ("👩\u{200d}👧", text("👩\u{200d}", 2)),
            ("한", text("한", 2)),
            ("\tx", Glyph::Tab),
            ("\nx", Glyph::Newline),
        ] {
            assert_eq!(first_glyph(given).expect("it has one").0, glyph, "{given:?}");
        }
        assert_eq!(first_glyph(""), None);
    }

    #[test]
    fn what_acts_upon_a_terminal_or_is_not_seen_is_shown() {
        assert_eq!(visible("a\x1b[0m\x7f\u{9b}\t\n"), "a^[[0m^?<009b>^I^J");
        assert_eq!(visible("a\u{202e}b\u{200b}\u{feff}"), "a<202e>b<200b><feff>");
        assert_eq!(visible("\u{301}x"), "<0301>x");
        assert_eq!(visible("\u{e0001}\u{1d173}\u{10ffff}"), "<e0001><1d173>\u{10ffff}");
        assert_eq!(width("a漢\x01b", 4), (3, "a漢"));
        assert_eq!(width("a漢\x01b", 80), (6, "a漢\x01b"));
    }
}
