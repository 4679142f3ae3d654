//! Characters of a line. A character takes the combining marks behind it along, as in Vim.

use unicode_width::UnicodeWidthChar;

fn is_mark(character: char) -> bool {
    character >= '\u{300}' && character.width() == Some(0)
}

/// Where the next character begins. At the end of the line, the end.
pub(crate) fn next(line: &str, at: usize) -> usize {
    let mut rest = line[at..].chars();
    rest.next();
    let mut after = line.len() - rest.as_str().len();
    for mark in rest.take_while(|character| is_mark(*character)) {
        after += mark.len_utf8();
    }
    after
}

/// Where the character before begins. None at the beginning of the line.
pub(crate) fn previous(line: &str, at: usize) -> Option<usize> {
    let before = &line[..at];
    let base = before.char_indices().rev().find(|(_, character)| !is_mark(*character));
    base.map(|(at, _)| at).or((at > 0).then_some(0))
}

/// Where the last character begins.
pub(crate) fn last_char(line: &str) -> usize {
    previous(line, line.len()).unwrap_or(0)
}

/// The place of the character that a byte belongs to, at most the end.
pub(crate) fn snapped(line: &str, at: usize) -> usize {
    if at >= line.len() {
        return line.len();
    }
    let mut start = at;
    while !line.is_char_boundary(start) {
        start -= 1;
    }
    match line[start..].chars().next() {
        Some(mark) if is_mark(mark) => previous(line, start).unwrap_or(0),
        _ => start,
    }
}

pub(crate) fn char_at(line: &str, at: usize) -> Option<char> {
    line.get(at..)?.chars().next()
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t')
}

/// The first character that is no blank; that of a line of blanks is the last.
pub(crate) fn first_nonblank(line: &str) -> usize {
    let at = leading_blanks(line);
    if at == line.len() { last_char(line) } else { at }
}

/// How many bytes of blanks it begins with.
pub(crate) fn leading_blanks(line: &str) -> usize {
    line.len() - line.trim_start_matches(is_blank).len()
}

pub(crate) fn is_blank_line(line: &str) -> bool {
    leading_blanks(line) == line.len()
}

/// The kind of a character, of which words consist: 0 is a blank or none, 1 a sign, others are words. With `big`, all
/// but blanks is one kind.
pub(crate) fn class(character: Option<char>, big: bool) -> u32 {
    match character {
        None | Some(' ' | '\t') => 0,
        _ if big => 1,
        Some('_') => 2,
        Some(letter @ '\u{3040}'..='\u{309f}') if letter.is_alphanumeric() => 0x3040,
        Some(letter @ '\u{30a0}'..='\u{30ff}') if letter.is_alphanumeric() => 0x30a0,
        Some('\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{2fa1f}') => 0x4e00,
        Some('\u{ac00}'..='\u{d7a3}') => 0xac00,
        Some(letter) if letter.is_alphanumeric() => 2,
        Some(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_takes_its_marks_along() {
        let line = "ae\u{301}\u{302}b";
        assert_eq!((next(line, 0), next(line, 1), next(line, 6), next(line, 7)), (1, 6, 7, 7));
        assert_eq!(
            (previous(line, 7), previous(line, 6), previous(line, 1), previous(line, 0)),
            (Some(6), Some(1), Some(0), None)
        );
        assert_eq!((snapped(line, 3), snapped(line, 4), snapped("é", 1), snapped(line, 99)), (1, 1, 0, 7));
    }

    #[test]
    fn words_are_of_one_kind() {
        assert_eq!(class(Some('a'), false), class(Some('é'), false));
        assert_ne!(class(Some('a'), false), class(Some('漢'), false));
        assert_ne!(class(Some('a'), false), class(Some('-'), false));
        assert_eq!(class(Some('a'), true), class(Some('-'), true));
        assert_eq!((class(Some('\t'), true), class(None, false)), (0, 0));
    }
}
