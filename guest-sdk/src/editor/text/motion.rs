//! Where a motion leads, from a byte of a text to a byte.

use unicode_segmentation::GraphemeCursor;
use unicode_width::UnicodeWidthChar;

/// Whether a character is part of a word: a letter, a digit, or a mark on one.
pub(super) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || is_mark(character)
}

/// Whether a character is drawn upon the one before it.
pub(super) fn is_mark(character: char) -> bool {
    !character.is_ascii() && character.width() == Some(0)
}

/// The end of the grapheme cluster that begins at a byte.
pub(super) fn next_cluster(text: &str, from: usize) -> usize {
    let mut following = text.as_bytes()[from..].iter();
    match (following.next(), following.next()) {
        (None, _) => return from,
        // Most text is ASCII, which needs no table: only `\r\n` is one cluster of two.
        (Some(first), second) if first.is_ascii() && *first != b'\r' && second.is_none_or(u8::is_ascii) => {
            return from + 1;
        }
        _ => {}
    }
    GraphemeCursor::new(from, text.len(), true).next_boundary(text, 0).ok().flatten().unwrap_or(text.len())
}

/// The beginning of the grapheme cluster that ends at a byte.
pub(super) fn previous_cluster(text: &str, from: usize) -> usize {
    let mut before = text.as_bytes()[..from].iter().rev();
    match (before.next(), before.next()) {
        (None, _) => return from,
        (Some(b'\n'), Some(b'\r')) => {}
        (Some(last), second) if last.is_ascii() && second.is_none_or(u8::is_ascii) => return from - 1,
        _ => {}
    }
    GraphemeCursor::new(from, text.len(), true).prev_boundary(text, 0).ok().flatten().unwrap_or(0)
}

/// The end of the characters from a byte on that a predicate is true of.
pub(super) fn skip(text: &str, from: usize, is: impl Fn(char) -> bool) -> usize {
    text[from..].find(|character| !is(character)).map_or(text.len(), |length| from + length)
}

/// The beginning of the characters before a byte that a predicate is true of.
pub(super) fn skip_back(text: &str, from: usize, is: impl Fn(char) -> bool) -> usize {
    text[..from].trim_end_matches(is).len()
}

/// The beginning of the line that a byte is in.
pub(super) fn line_start(text: &str, from: usize) -> usize {
    text[..from].rfind('\n').map_or(0, |at| at + 1)
}

/// The end of the line that a byte is in, before its `\n`.
pub(super) fn line_end(text: &str, from: usize) -> usize {
    text[from..].find('\n').map_or(text.len(), |length| from + length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use unicode_segmentation::UnicodeSegmentation;

    proptest! {
        #[test]
        fn clusters_are_those_of_the_standard(text in "([a-c \r\n\u{300}e\u{301}漢\u{200d}👩🇩🇪]|\\PC){0,12}") {
            let boundaries: Vec<usize> =
                text.grapheme_indices(true).map(|(at, _)| at).chain([text.len()]).collect();
            for pair in boundaries.windows(2) {
                prop_assert_eq!(next_cluster(&text, pair[0]), pair[1]);
                prop_assert_eq!(previous_cluster(&text, pair[1]), pair[0]);
            }
            prop_assert_eq!(next_cluster(&text, text.len()), text.len());
            prop_assert_eq!(previous_cluster(&text, 0), 0);
        }
    }
}
