//! What `s`, `y` and `l` do with the pattern space.

use std::str;

use unix_common::regex::{Groups, Regex};

use crate::script::{Case, Part, Substitution};

/// The pattern space with its matches replaced; none without a match to replace.
pub(crate) fn substitute(regex: &Regex, substitution: &Substitution, space: &[u8]) -> Option<Vec<u8>> {
    let mut result = Vec::new();
    let (mut at, mut copied, mut count, mut changed) = (0, 0, 0, false);
    // Where the last match ended: an empty one right there is none.
    let mut last_end = None;
    while at <= space.len() {
        let Some(groups) = regex.groups_at(space, at) else {
            break;
        };
        let Some((start, end)) = groups.first().copied().flatten() else {
            break;
        };
        let empty_again = start == end && last_end == Some(start);
        if !empty_again {
            count += 1;
            if count >= substitution.number {
                result.extend_from_slice(&space[copied..start]);
                replace(&substitution.replacement, space, &groups, &mut result);
                copied = end;
                changed = true;
                if !substitution.global {
                    break;
                }
            }
        }
        last_end = Some(end);
        at = if start == end { end + character_length(&space[end..]) } else { end };
    }
    result.extend_from_slice(&space[copied.min(space.len())..]);
    changed.then_some(result)
}

/// The bytes of the first character, or one.
fn character_length(text: &[u8]) -> usize {
    (1..=4.min(text.len())).find(|length| str::from_utf8(&text[..*length]).is_ok()).unwrap_or(1)
}

fn replace(parts: &[Part], space: &[u8], groups: &Groups, result: &mut Vec<u8>) {
    let (mut case, mut one) = (Case::AsIs, Case::AsIs);
    for part in parts {
        let text = match part {
            Part::Case(Case::AsIs) => {
                (case, one) = (Case::AsIs, Case::AsIs);
                continue;
            }
            Part::Case(next @ (Case::UpperOne | Case::LowerOne)) => {
                one = *next;
                continue;
            }
            Part::Case(next) => {
                case = *next;
                continue;
            }
            Part::Text(text) => text.as_slice(),
            Part::Group(number) => {
                let ends = groups.get(*number).copied().flatten();
                ends.map_or(&[][..], |(start, end)| &space[start..end])
            }
        };
        if text.is_empty() {
            continue;
        }
        if (case, one) == (Case::AsIs, Case::AsIs) {
            result.extend_from_slice(text);
            continue;
        }
        let text = String::from_utf8_lossy(text);
        for (index, character) in text.chars().enumerate() {
            let case = if index == 0 && one != Case::AsIs { one } else { case };
            let written: String = match case {
                Case::Upper | Case::UpperOne => character.to_uppercase().collect(),
                Case::Lower | Case::LowerOne => character.to_lowercase().collect(),
                Case::AsIs => character.to_string(),
            };
            result.extend_from_slice(written.as_bytes());
        }
        one = Case::AsIs;
    }
}

/// Replaces characters by others.
pub(crate) fn translate(space: &mut Vec<u8>, pairs: &[(char, char)]) {
    let mut result = Vec::with_capacity(space.len());
    for chunk in space.utf8_chunks() {
        for character in chunk.valid().chars() {
            let to = pairs.iter().find(|(from, _)| *from == character).map_or(character, |(_, to)| *to);
            result.extend_from_slice(to.encode_utf8(&mut [0; 4]).as_bytes());
        }
        result.extend_from_slice(chunk.invalid());
    }
    *space = result;
}

/// The pattern space without ambiguities, in lines of a length; 0 and 1 are no limit.
pub(crate) fn listed(space: &[u8], length: usize) -> Vec<u8> {
    let width = if length <= 1 { usize::MAX } else { length - 1 };
    let (mut text, mut column) = (Vec::new(), 0);
    for byte in space {
        let shown = match byte {
            b'\\' => "\\\\".to_owned(),
            7 => "\\a".to_owned(),
            8 => "\\b".to_owned(),
            12 => "\\f".to_owned(),
            b'\n' => "\\n".to_owned(),
            b'\r' => "\\r".to_owned(),
            b'\t' => "\\t".to_owned(),
            11 => "\\v".to_owned(),
            32..=126 => char::from(*byte).to_string(),
            other => format!("\\{other:03o}"),
        };
        if column + shown.len() > width {
            text.extend_from_slice(b"\\\n");
            column = 0;
        }
        column += shown.len();
        text.extend_from_slice(shown.as_bytes());
    }
    text.extend_from_slice(b"$\n");
    text
}
