//! The motions of vi.

use super::buffer::Buffer;
use super::motion::{is_mark, skip, skip_back};
use crate::editor::input::{Motion, WordKind};

/// What a character is to words.
#[derive(PartialEq, Eq)]
enum Class {
    Blank,
    Word,
    Sign,
}

fn class(character: char, kind: WordKind) -> Class {
    match character {
        _ if character.is_whitespace() => Class::Blank,
        _ if kind == WordKind::Blanks || character.is_alphanumeric() || character == '_' => Class::Word,
        _ if is_mark(character) => Class::Word,
        _ => Class::Sign,
    }
}

/// Where a motion leads from a byte, one time. `None`: it is none of vi's, or its count is no repetition.
pub(super) fn step(buffer: &Buffer, motion: Motion, from: usize) -> Option<usize> {
    let text = buffer.text();
    let class_at = |at: usize, kind| text[at..].chars().next().map(|character| class(character, kind));
    let skip_class = |at: usize, kind| match class_at(at, kind) {
        Some(here) => skip(text, at, |character| class(character, kind) == here),
        None => at,
    };
    let blank = |character| class(character, WordKind::Blanks) == Class::Blank;
    Some(match motion {
        Motion::BackwardInLine if from > buffer.line_start() => buffer.previous_char_from(from),
        Motion::ForwardInLine if from < buffer.line_end() => buffer.next_char_from(from),
        Motion::BackwardInLine | Motion::ForwardInLine => from,
        Motion::ToLineEnd => buffer.line_end(),
        Motion::FirstNonBlank => {
            skip(text, buffer.line_start(), |sign| sign == ' ' || sign == '\t').min(buffer.line_end())
        }
        Motion::NextWord(kind) => {
            let end = if class_at(from, kind) == Some(Class::Blank) { from } else { skip_class(from, kind) };
            skip(text, end, blank)
        }
        Motion::PreviousWord(kind) => {
            let end = skip_back(text, from, blank);
            match text[..end].chars().next_back() {
                Some(last) => {
                    let of = class(last, kind);
                    skip_back(text, end, |character| class(character, kind) == of)
                }
                None => end,
            }
        }
        // On the last character of a word, of the next one.
        Motion::EndOfWord(kind) => {
            let start = skip(text, buffer.next_char_from(from), blank);
            let end = skip_class(start, kind);
            if end > from { buffer.previous_char_from(end) } else { from }
        }
        Motion::ChangeWord(kind) => skip_class(from, kind).min(buffer.line_end()),
        Motion::Matching => matching(text, from).unwrap_or(from),
        _ => return None,
    })
}

/// The bracket that belongs to the first one at or after a byte.
fn matching(text: &str, from: usize) -> Option<usize> {
    const PAIRS: [(u8, u8); 3] = [(b'(', b')'), (b'[', b']'), (b'{', b'}')];
    let bytes = text.as_bytes();
    let bracket = |byte: &u8| PAIRS.iter().any(|(open, close)| byte == open || byte == close);
    let at = from + bytes[from..].iter().take_while(|byte| **byte != b'\n').position(bracket)?;
    let (open, close) = *PAIRS.iter().find(|(open, close)| [*open, *close].contains(&bytes[at]))?;
    let forward = bytes[at] == open;
    let mut depth = 0_usize;
    let mut closes = |byte: u8| {
        if byte == if forward { open } else { close } {
            depth += 1;
        } else if byte == if forward { close } else { open } {
            depth -= 1;
        }
        depth == 0
    };
    if forward { (at..bytes.len()).find(|at| closes(bytes[*at])) } else { (0..=at).rev().find(|at| closes(bytes[*at])) }
}

/// The place of a character in the line, so many times on.
pub(super) fn find(buffer: &Buffer, from: usize, motion: Motion, count: u32) -> Option<usize> {
    let Motion::Find { character, forward, before } = motion else { return None };
    let (text, start, end) = (buffer.text(), buffer.line_start(), buffer.line_end());
    let mut at = from;
    for _ in 0..count {
        at = if forward {
            let begin = buffer.next_char_from(at).min(end);
            begin + text[begin..end].find(character)?
        } else {
            text[start..at].rfind(character).map(|found| start + found)?
        };
    }
    match (before, forward) {
        (true, true) => Some(buffer.previous_char_from(at)),
        (true, false) => Some(buffer.next_char_from(at)),
        (false, _) => Some(at),
    }
}
