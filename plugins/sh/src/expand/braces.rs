//! Brace expansion: `a{b,c}d` and `{1..9..2}`, before all other expansions.

use crate::syntax::{Part, Word};

/// The most words that one makes.
const MAX_WORDS: usize = 1_000_000;

/// One character of a word, or a part that is not looked into.
#[derive(Debug, Clone)]
enum Unit {
    Char(char),
    Part(Part),
}

/// Whether a word has an unquoted brace at all.
pub(super) fn may_expand(word: &Word) -> bool {
    word.parts.iter().any(|part| matches!(part, Part::Literal(text) if text.contains('{')))
}

/// The words that a word makes.
pub(super) fn expand(word: &Word) -> Vec<Word> {
    let mut units = Vec::new();
    for part in &word.parts {
        match part {
            Part::Literal(text) => units.extend(text.chars().map(Unit::Char)),
            other => units.push(Unit::Part(other.clone())),
        }
    }
    expand_units(&units, 0).into_iter().map(word_of).collect()
}

fn word_of(units: Vec<Unit>) -> Word {
    let mut parts: Vec<Part> = Vec::new();
    for unit in units {
        match unit {
            Unit::Char(character) => match parts.last_mut() {
                Some(Part::Literal(text)) => text.push(character),
                _ => parts.push(Part::Literal(character.to_string())),
            },
            Unit::Part(part) => parts.push(part),
        }
    }
    Word { parts, raw: String::new() }
}

fn is(unit: Option<&Unit>, wanted: char) -> bool {
    matches!(unit, Some(Unit::Char(character)) if *character == wanted)
}

/// The place of the brace that closes the one at `open`, and of the commas between.
fn closing(units: &[Unit], open: usize) -> Option<(usize, Vec<usize>)> {
    let mut depth = 0;
    let mut commas = Vec::new();
    for (at, unit) in units.iter().enumerate().skip(open) {
        match unit {
            Unit::Char('{') => depth += 1,
            Unit::Char('}') => {
                depth -= 1;
                if depth == 0 {
                    return Some((at, commas));
                }
            }
            Unit::Char(',') if depth == 1 => commas.push(at),
            _ => {}
        }
    }
    None
}

fn expand_units(units: &[Unit], depth: u32) -> Vec<Vec<Unit>> {
    let mut from = 0;
    while let Some(open) = (from..units.len()).find(|at| is(units.get(*at), '{')) {
        from = open + 1;
        // `${` is not a brace expansion even where it is no parameter.
        if open > 0 && is(units.get(open - 1), '$') || depth > 50 {
            continue;
        }
        let Some((close, commas)) = closing(units, open) else { continue };
        let inside = &units[open + 1..close];
        let middles: Vec<Vec<Unit>> = if commas.is_empty() {
            match sequence(inside) {
                Some(sequence) => sequence,
                None => continue,
            }
        } else {
            let mut starts = vec![open + 1];
            starts.extend(commas.iter().map(|comma| comma + 1));
            let ends = commas.iter().copied().chain([close]);
            starts.into_iter().zip(ends).flat_map(|(start, end)| expand_units(&units[start..end], depth + 1)).collect()
        };
        let tails = expand_units(&units[close + 1..], depth);
        let mut all = Vec::new();
        for middle in &middles {
            for tail in &tails {
                if all.len() < MAX_WORDS {
                    all.push([&units[..open], middle, tail].concat());
                }
            }
        }
        return all;
    }
    vec![units.to_vec()]
}

/// `x..y` and `x..y..step`.
fn sequence(inside: &[Unit]) -> Option<Vec<Vec<Unit>>> {
    let text: Option<String> =
        inside.iter().map(|unit| if let Unit::Char(next) = unit { Some(*next) } else { None }).collect();
    let text = text?;
    let parts: Vec<&str> = text.split("..").collect();
    let (first, last, step) = match parts.as_slice() {
        [first, last] => (*first, *last, 1),
        [first, last, step] => (*first, *last, step.parse::<i64>().ok()?),
        _ => return None,
    };
    let units = |text: String| text.chars().map(Unit::Char).collect::<Vec<_>>();
    if let (Ok(low), Ok(high)) = (first.parse::<i64>(), last.parse::<i64>()) {
        let padded =
            |text: &str| text.trim_start_matches('-').starts_with('0') && text.trim_start_matches('-').len() > 1;
        let width = if padded(first) || padded(last) { first.len().max(last.len()) } else { 0 };
        return Some(range(low, high, step).map(|number| units(format!("{number:0width$}"))).collect());
    }
    let letter = |text: &str| {
        let mut chars = text.chars();
        chars.next().filter(|first| first.is_ascii_alphabetic() && chars.next().is_none())
    };
    let (low, high) = (letter(first)?, letter(last)?);
    let letters = range(i64::from(u32::from(low)), i64::from(u32::from(high)), step);
    Some(
        letters
            .filter_map(|code| u32::try_from(code).ok().and_then(char::from_u32))
            .map(|letter| vec![Unit::Char(letter)])
            .collect(),
    )
}

fn range(low: i64, high: i64, step: i64) -> impl Iterator<Item = i64> {
    let step = step.unsigned_abs().max(1);
    let count = low.abs_diff(high) / step;
    (0..=count).take(MAX_WORDS).map(move |number| {
        let distance = (number * step).cast_signed();
        if low <= high { low.wrapping_add(distance) } else { low.wrapping_sub(distance) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> String {
        let word = Word { parts: vec![Part::Literal(text.to_owned())], raw: text.to_owned() };
        let literal = |word: &Word| word.literal().unwrap().to_owned();
        expand(&word).iter().map(literal).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn braces() {
        for (text, expected) in [
            ("a{b,c}d", "abd acd"),
            ("{a,b}{1,2}", "a1 a2 b1 b2"),
            ("{a,{b,c}}", "a b c"),
            ("{1..5..2}", "1 3 5"),
            ("{3..1}", "3 2 1"),
            ("{01..03}", "01 02 03"),
            ("{a..e..2}", "a c e"),
            ("{a}", "{a}"),
            ("{a,b", "{a,b"),
            ("x{,y}", "x xy"),
            ("{{a,b}", "{a {b"),
            ("{a{b,c}}", "{ab} {ac}"),
        ] {
            assert_eq!(expanded(text), expected, "{text}");
        }
    }
}
