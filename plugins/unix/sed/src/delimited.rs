//! The parts of `s`, `y` and addresses between their delimiters.

use crate::reader::Reader;
use crate::script::{Case, Part};

/// What a part is: backslashes mean something else in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delimited {
    Pattern,
    Replacement,
}

/// The text up to the delimiter. An escaped delimiter is the character itself. None if it does not end.
pub(crate) fn read(reader: &mut Reader, delimiter: char, kind: Delimited) -> Option<String> {
    let mut text = String::new();
    loop {
        let character = reader.next()?;
        if character == delimiter {
            return Some(text);
        }
        match character {
            '\n' => {
                reader.back();
                return None;
            }
            '\\' => match reader.next()? {
                escaped if escaped == delimiter => {
                    if kind == Delimited::Replacement && (escaped == '&' || escaped.is_ascii_digit()) {
                        text.push('\\');
                    }
                    text.push(escaped);
                }
                'n' if kind == Delimited::Pattern && delimiter != 'n' => text.push_str("\\n"),
                '\n' if kind == Delimited::Pattern => text.push('\n'),
                escaped => {
                    text.push('\\');
                    text.push(escaped);
                }
            },
            '[' if kind == Delimited::Pattern => {
                text.push('[');
                bracket(reader, &mut text);
            }
            other => text.push(other),
        }
    }
}

/// A bracket expression, up to its end: a delimiter in it is a character.
fn bracket(reader: &mut Reader, text: &mut String) {
    text.extend(reader.next_if(|character| character == '^'));
    text.extend(reader.next_if(|character| character == ']'));
    while let Some(character) = reader.next_if(|character| character != '\n') {
        text.push(character);
        match character {
            ']' => break,
            '[' => {
                let Some(mark) = reader.next_if(|character| matches!(character, ':' | '.' | '=')) else {
                    continue;
                };
                text.push(mark);
                let mut last = ' ';
                while let Some(character) = reader.next_if(|character| character != '\n') {
                    text.push(character);
                    if (last, character) == (mark, ']') {
                        break;
                    }
                    last = character;
                }
            }
            _ => {}
        }
    }
}

/// The characters of a side of `y`.
pub(crate) fn characters(text: &str) -> Vec<char> {
    let mut characters = Vec::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            characters.push(character);
            continue;
        }
        match rest.next() {
            Some('\\') | None => characters.push('\\'),
            Some(other) => match control(other) {
                Some(control) => characters.push(control),
                None => characters.extend(['\\', other]),
            },
        }
    }
    characters
}

/// A character by its number: `dNNN`, `oNNN`, `xHH`, `cX`, after the backslash. How many characters it takes, too.
fn numbered(rest: &[char]) -> Option<(char, usize)> {
    let (radix, most) = match rest.first()? {
        'd' => (10, 3),
        'o' => (8, 3),
        'x' => (16, 2),
        'c' => return rest.get(1).map(|letter| (char::from((letter.to_ascii_uppercase() as u8) ^ 0x40), 2)),
        _ => return None,
    };
    let digits: Vec<u32> = rest[1..].iter().take(most).map_while(|digit| digit.to_digit(radix)).collect();
    let number = digits.iter().fold(0, |number, digit| number * radix + digit);
    (!digits.is_empty()).then(|| (char::from(number.to_le_bytes()[0]), digits.len() + 1))
}

/// A pattern whose characters by number are written as themselves, escaped where they would be special.
pub(crate) fn numeric_escapes(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let (mut out, mut at) = (String::new(), 0);
    while let Some(character) = characters.get(at) {
        if *character == '\\' {
            if let Some((found, length)) = numbered(&characters[at + 1..]) {
                if "\\.*[]^$/+?(){}|".contains(found) {
                    out.push('\\');
                }
                out.push(found);
                at += 1 + length;
                continue;
            }
            out.push('\\');
            at += 1;
            out.extend(characters.get(at));
        } else {
            out.push(*character);
        }
        at += 1;
    }
    out
}

/// The parts of a replacement.
pub(crate) fn replacement(text: &str) -> Vec<Part> {
    let characters: Vec<char> = text.chars().collect();
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(character) = characters.get(at) {
        at += 1;
        let part = match character {
            '&' => Part::Group(0),
            '\\' => {
                let Some(escaped) = characters.get(at) else {
                    literal.push('\\');
                    break;
                };
                if let Some((found, length)) = numbered(&characters[at..]) {
                    literal.push(found);
                    at += length;
                    continue;
                }
                at += 1;
                match escaped {
                    '0'..='9' => Part::Group(escaped.to_digit(10).unwrap_or_default() as usize),
                    'U' => Part::Case(Case::Upper),
                    'L' => Part::Case(Case::Lower),
                    'u' => Part::Case(Case::UpperOne),
                    'l' => Part::Case(Case::LowerOne),
                    'E' => Part::Case(Case::AsIs),
                    other => {
                        literal.push(control(*other).unwrap_or(*other));
                        continue;
                    }
                }
            }
            other => {
                literal.push(*other);
                continue;
            }
        };
        if !literal.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut literal).into_bytes()));
        }
        parts.push(part);
    }
    if !literal.is_empty() {
        parts.push(Part::Text(literal.into_bytes()));
    }
    parts
}

/// The text of `a`, `i` and `c`, without its backslashes.
pub(crate) fn text(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let (mut out, mut at) = (String::new(), 0);
    while let Some(character) = characters.get(at) {
        at += 1;
        if *character != '\\' {
            out.push(*character);
        } else if let Some((found, length)) = numbered(&characters[at..]) {
            out.push(found);
            at += length;
        } else if let Some(escaped) = characters.get(at) {
            out.push(control(*escaped).unwrap_or(*escaped));
            at += 1;
        }
    }
    out
}

/// The control character that a letter after a backslash stands for.
fn control(letter: char) -> Option<char> {
    Some(match letter {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'f' => '\u{c}',
        'v' => '\u{b}',
        'a' => '\u{7}',
        _ => return None,
    })
}

/// The largest group that a replacement names.
pub(crate) fn largest_group(parts: &[Part]) -> Option<usize> {
    parts.iter().filter_map(|part| if let Part::Group(number) = part { Some(*number) } else { None }).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_is_taken_apart() {
        let text = |text: &str| Part::Text(text.as_bytes().to_vec());
        assert_eq!(replacement("a&\\1\\n\\&"), vec![text("a"), Part::Group(0), Part::Group(1), text("\n&")]);
        assert_eq!(
            replacement("\\Ux\\E\\x41"),
            vec![Part::Case(Case::Upper), text("x"), Part::Case(Case::AsIs), text("A")]
        );
        assert_eq!(characters("a\\n\\\\"), vec!['a', '\n', '\\']);
        assert_eq!(numeric_escapes("\\x2e\\d065\\."), "\\.A\\.");
    }
}
