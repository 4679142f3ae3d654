//! Numbers as text, and the formats of `printf`.

use std::borrow::Cow;

use unix_common::printf::Spec;

/// The largest number below which each whole number has its own text.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A number as text: a whole number in full, another in the format.
pub(crate) fn written(number: f64, format: &[u8]) -> Vec<u8> {
    if number.is_nan() {
        return if number.is_sign_negative() { b"-nan".to_vec() } else { b"+nan".to_vec() };
    }
    if number.fract() == 0.0 && number.abs() < 1e30 {
        // A negative zero has no sign.
        return if number.abs() < EXACT {
            (number as i64).to_string().into_bytes()
        } else {
            format!("{number:.0}").into_bytes()
        };
    }
    match format {
        b"%.6g" => Spec::default().float(number, 'g'),
        format => formatted(format, &[Argument::Number(number)]).unwrap_or_default(),
    }
}

/// An argument of a format.
#[derive(Debug, Clone)]
pub(crate) enum Argument<'a> {
    Number(f64),
    /// A text, and the number that it begins with.
    Text(Cow<'a, [u8]>, f64),
}

impl Argument<'_> {
    fn number(&self) -> f64 {
        match self {
            Self::Number(number) | Self::Text(_, number) => *number,
        }
    }
}

/// A format with its arguments. None if there are too few.
pub(crate) fn formatted(format: &[u8], arguments: &[Argument<'_>]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut arguments = arguments.iter();
    let mut at = 0;
    while let Some(byte) = format.get(at) {
        at += 1;
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let start = at - 1;
        let mut spec = Spec::default();
        while let Some(flag) = format.get(at).filter(|byte| b"-+ #0'".contains(byte)) {
            match flag {
                b'-' => spec.left = true,
                b'+' => spec.plus = true,
                b' ' => spec.blank = true,
                b'#' => spec.alternate = true,
                b'0' => spec.zero = true,
                _ => {}
            }
            at += 1;
        }
        if let Some(width) = count(format, &mut at, &mut arguments)? {
            spec.left |= width < 0;
            spec.width = usize::try_from(width.unsigned_abs()).unwrap_or_default();
        }
        if format.get(at) == Some(&b'.') {
            at += 1;
            let precision = count(format, &mut at, &mut arguments)?.unwrap_or_default();
            spec.precision = usize::try_from(precision).ok();
        }
        while format.get(at).is_some_and(|byte| b"hlLqjzt".contains(byte)) {
            at += 1;
        }
        let Some(letter) = format.get(at) else {
            out.extend_from_slice(&format[start..]);
            break;
        };
        at += 1;
        out.extend(match letter {
            b'%' => b"%".to_vec(),
            b'd' | b'i' => spec.integer(arguments.next()?.number()),
            b'o' | b'x' | b'X' | b'u' => spec.unsigned(arguments.next()?.number(), char::from(*letter)),
            b'f' | b'F' | b'e' | b'E' | b'g' | b'G' => spec.float(arguments.next()?.number(), char::from(*letter)),
            b's' => match arguments.next()? {
                Argument::Number(number) => spec.text(&written(*number, b"%.6g")),
                Argument::Text(text, _) => spec.text(text),
            },
            b'c' => {
                let one = character(arguments.next()?);
                Spec { precision: None, ..spec }.text(&one)
            }
            _ => format[start..at].to_vec(),
        });
    }
    Some(out)
}

/// A width or a precision: digits, or an argument for `*`.
fn count<'a>(
    format: &[u8],
    at: &mut usize,
    arguments: &mut impl Iterator<Item = &'a Argument<'a>>,
) -> Option<Option<i64>> {
    if format.get(*at) == Some(&b'*') {
        *at += 1;
        return Some(Some(arguments.next()?.number() as i64));
    }
    let start = *at;
    while format.get(*at).is_some_and(u8::is_ascii_digit) {
        *at += 1;
    }
    let digits = std::str::from_utf8(&format[start..*at]).unwrap_or_default();
    // More columns than a text may have are as many as it may have.
    Some(if digits.is_empty() { None } else { Some(digits.parse().unwrap_or(i64::from(u16::MAX)).min(1 << 24)) })
}

/// The character of `%c`: that of a number, or the first of a text.
fn character(argument: &Argument<'_>) -> Vec<u8> {
    match argument {
        Argument::Number(number) => match char::from_u32(*number as u32) {
            Some(character) => character.to_string().into_bytes(),
            None => vec![(*number as u32).to_le_bytes()[0]],
        },
        Argument::Text(text, _) => {
            let first = text.utf8_chunks().next();
            first.map_or_else(Vec::new, |chunk| match chunk.valid().chars().next() {
                Some(character) => character.to_string().into_bytes(),
                None => chunk.invalid().iter().take(1).copied().collect(),
            })
        }
    }
}
