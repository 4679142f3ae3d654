//! The arguments of tests: numbers, types, sizes, modes and dates.

use unix_common::report;
use unix_common::time::{Moment, days_from_date};

use crate::compare::{Compared, Mode, Stamp};
use crate::expression::Expression;

pub(super) fn stamp(letter: &str) -> Option<Stamp> {
    Some(match letter {
        "a" => Stamp::Accessed,
        "c" => Stamp::Changed,
        "m" => Stamp::Modified,
        _ => return None,
    })
}

pub(super) fn compared(text: &str) -> Option<Compared> {
    Some(match text.split_at_checked(1)? {
        ("+", number) => Compared::More(number.parse().ok()?),
        ("-", number) => Compared::Less(number.parse().ok()?),
        _ => Compared::Exactly(text.parse().ok()?),
    })
}

pub(super) fn types(name: &str, text: &str) -> Result<Vec<char>, String> {
    let mut letters = Vec::new();
    for part in text.split(',') {
        let mut characters = part.chars();
        match (characters.next(), characters.next()) {
            (Some(letter), None) if "bcdpflsD".contains(letter) => letters.push(letter),
            (Some(letter), Some(_)) if "bcdpflsD".contains(letter) => {
                return Err(format!("Must separate multiple arguments to {name} using: ','"));
            }
            (Some(letter), _) => return Err(format!("Unknown argument to {name}: {letter}")),
            (None, _) => {
                let message = "is missing, i.e., list is ending on: ','";
                return Err(format!("Last file type in list argument to {name} {message}"));
            }
        }
    }
    Ok(letters)
}

pub(super) fn size(text: &str) -> Result<Expression, String> {
    let (number, unit) = match text.chars().next_back() {
        Some('c') => (&text[..text.len() - 1], 1),
        Some('w') => (&text[..text.len() - 1], 2),
        Some('b') => (&text[..text.len() - 1], 512),
        Some('k') => (&text[..text.len() - 1], 1 << 10),
        Some('M') => (&text[..text.len() - 1], 1 << 20),
        Some('G') => (&text[..text.len() - 1], 1 << 30),
        Some(digit) if digit.is_ascii_digit() => (text, 512),
        Some(other) => return Err(format!("invalid -size type `{other}'")),
        None => return Err("invalid null argument to -size".to_owned()),
    };
    let size = compared(number).ok_or_else(|| format!("Invalid argument `{text}' to -size"))?;
    Ok(Expression::Size(size, unit))
}

/// A mode in octal, or in the words of chmod(1), from nothing on.
pub(super) fn mode(text: &str) -> Result<Expression, String> {
    let invalid = || format!("invalid mode {}", report::quoted(text));
    let (kind, mode) = match text.split_at_checked(1) {
        Some(("-", mode)) => ('-', mode),
        Some(("/", mode)) => ('/', mode),
        _ => ('=', text),
    };
    let bits = u32::from_str_radix(mode, 8).ok().or_else(|| symbolic(mode)).ok_or_else(invalid)?;
    Ok(Expression::Mode(match kind {
        '-' => Mode::All(bits),
        '/' => Mode::Any(bits),
        _ => Mode::Exactly(bits),
    }))
}

fn symbolic(text: &str) -> Option<u32> {
    let mut bits = 0;
    for clause in text.split(',') {
        let operator = clause.find(['+', '-', '='])?;
        let (who, rest) = clause.split_at(operator);
        let shifts: Vec<u32> = match who {
            "" => vec![0, 3, 6],
            who => who
                .chars()
                .map(|who| match who {
                    'u' => Some(vec![6]),
                    'g' => Some(vec![3]),
                    'o' => Some(vec![0]),
                    'a' => Some(vec![0, 3, 6]),
                    _ => None,
                })
                .collect::<Option<Vec<_>>>()?
                .concat(),
        };
        let mut set = 0;
        for letter in rest[1..].chars() {
            set |= match letter {
                'r' => 4,
                'w' => 2,
                'x' => 1,
                _ => return None,
            };
        }
        let mask = shifts.iter().fold(0, |all, shift| all | set << shift);
        if rest.starts_with('-') { bits &= !mask } else { bits |= mask }
    }
    Some(bits)
}

/// A date `YYYY-MM-DD`, with ` HH:MM` or ` HH:MM:SS` after it, or `@SECONDS`. In UTC.
pub(super) fn date(text: &str) -> Option<Moment> {
    if let Some(seconds) = text.strip_prefix('@') {
        return Some(Moment { seconds: seconds.parse().ok()?, nanoseconds: 0 });
    }
    let (day, time) = text.split_once([' ', 'T']).unwrap_or((text, "0:0:0"));
    let mut day = day.split('-');
    let (year, month, date) = (day.next()?.parse().ok()?, day.next()?.parse().ok()?, day.next()?.parse().ok()?);
    let mut time = time.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next().unwrap_or(Some(0))?);
    let sane = (1..=12).contains(&month) && (1..=31).contains(&date) && hour < 24 && minute < 60 && second < 61;
    let seconds = days_from_date(year, month, date) * 86_400 + hour * 3_600 + minute * 60 + second;
    sane.then_some(Moment { seconds, nanoseconds: 0 })
}
