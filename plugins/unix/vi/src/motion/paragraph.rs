//! Paragraphs and sentences.

use crate::text::{Position, Text, leading_blanks};

/// `}`: the empty line behind the next paragraph, or the end of the text. None if there are not as many.
pub(crate) fn next_paragraph(text: &Text, at: usize, count: usize) -> Option<Position> {
    let mut line = at;
    for left in (0..count).rev() {
        let mut within = !text.line(line).is_empty();
        loop {
            if line == text.last() {
                if left > 0 {
                    return None;
                }
                return Some(Position::new(line, text.line(line).len()));
            }
            line += 1;
            within |= !text.line(line).is_empty();
            if within && text.line(line).is_empty() {
                break;
            }
        }
    }
    let column = if line == text.last() { text.line(line).len() } else { 0 };
    Some(Position::new(line, column))
}

/// `{`
pub(crate) fn previous_paragraph(text: &Text, at: usize, count: usize) -> Option<Position> {
    let mut line = at;
    for left in (0..count).rev() {
        let mut within = !text.line(line).is_empty();
        loop {
            if line == 0 {
                if left > 0 {
                    return None;
                }
                return Some(Position::default());
            }
            line -= 1;
            within |= !text.line(line).is_empty();
            if within && text.line(line).is_empty() {
                break;
            }
        }
    }
    Some(Position::new(line, 0))
}

/// Where the sentences begin that begin in a line. Empty lines are sentences, the first of several.
fn starts(text: &Text, line: usize) -> Vec<usize> {
    let content = text.line(line);
    let before = line.checked_sub(1).map(|before| text.line(before));
    if content.is_empty() {
        return if before.is_some_and(str::is_empty) { vec![] } else { vec![0] };
    }
    let mut found = Vec::new();
    if before.is_none_or(|before| before.is_empty() || ends_sentence(before.trim_end())) {
        found.push(leading_blanks(content));
    }
    for (at, _) in content.char_indices().filter(|(_, sign)| matches!(sign, ' ' | '\t')) {
        let rest = &content[at..];
        let blanks = leading_blanks(rest);
        if blanks < rest.len() && !content[..at].ends_with([' ', '\t']) && ends_sentence(&content[..at]) {
            found.push(at + blanks);
        }
    }
    found
}

fn ends_sentence(text: &str) -> bool {
    text.trim_end_matches([')', ']', '"', '\'']).ends_with(['.', '!', '?'])
}

/// `)`
pub(crate) fn next_sentence(text: &Text, at: Position, count: usize) -> Option<Position> {
    let mut place = at;
    'sentences: for _ in 0..count {
        for line in place.line..text.len() {
            let found = starts(text, line).into_iter().find(|start| Position::new(line, *start) > place);
            if let Some(column) = found {
                place = Position::new(line, column);
                continue 'sentences;
            }
        }
        let end = Position::new(text.last(), text.line(text.last()).len());
        if place >= end {
            return None;
        }
        place = end;
    }
    Some(place)
}

/// `(`
pub(crate) fn previous_sentence(text: &Text, at: Position, count: usize) -> Option<Position> {
    let mut place = at;
    'sentences: for _ in 0..count {
        for line in (0..=place.line).rev() {
            let found = starts(text, line).into_iter().rev().find(|start| Position::new(line, *start) < place);
            if let Some(column) = found {
                place = Position::new(line, column);
                continue 'sentences;
            }
        }
        if place == Position::default() {
            return None;
        }
        place = Position::default();
    }
    Some(place)
}
