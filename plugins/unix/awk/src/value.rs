//! Values: numbers, texts, and texts that look like numbers.

use std::cmp::Ordering;
use std::rc::Rc;

use crate::number;

/// A value.
#[derive(Debug, Clone, Default)]
pub(crate) enum Value {
    /// Of a variable that was not assigned: 0 and the empty text.
    #[default]
    Unset,
    Number(f64),
    Text(Rc<[u8]>),
    /// Input that looks like a number: it is compared as one.
    Numeric(Rc<[u8]>, f64),
}

impl Value {
    pub(crate) fn text(bytes: &[u8]) -> Self {
        Self::Text(Rc::from(bytes))
    }

    /// A value from the input: a field, an element of `split`, or an assignment of the command line.
    pub(crate) fn input(bytes: &[u8]) -> Self {
        match looks_numeric(bytes) {
            Some(number) => Self::Numeric(Rc::from(bytes), number),
            None => Self::text(bytes),
        }
    }

    pub(crate) fn number(&self) -> f64 {
        match self {
            Self::Unset => 0.0,
            Self::Number(number) | Self::Numeric(_, number) => *number,
            Self::Text(text) => leading_number(text).0,
        }
    }

    /// The text, of a number in a format such as CONVFMT.
    pub(crate) fn bytes(&self, format: &[u8]) -> Rc<[u8]> {
        match self {
            Self::Unset => Rc::from(&[][..]),
            Self::Number(number) => Rc::from(number::written(*number, format)),
            Self::Text(text) | Self::Numeric(text, _) => Rc::clone(text),
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Unset => false,
            Self::Number(number) | Self::Numeric(_, number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
        }
    }

    /// How it compares: as a number, unless either is a text.
    pub(crate) fn compare(&self, other: &Self, format: &[u8]) -> Option<Ordering> {
        if matches!(self, Self::Text(_)) || matches!(other, Self::Text(_)) {
            return Some(self.bytes(format).cmp(&other.bytes(format)));
        }
        self.number().partial_cmp(&other.number())
    }
}

/// The number at the beginning of a text, after blanks, and how many bytes it takes. 0 and 0 without one.
pub(crate) fn leading_number(text: &[u8]) -> (f64, usize) {
    let blanks = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let rest = &text[blanks..];
    let sign = usize::from(matches!(rest.first(), Some(b'+' | b'-')));
    let digits = |from: usize| rest[from.min(rest.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(sign);
    let mut end = sign + whole;
    let mut fraction = 0;
    if rest.get(end) == Some(&b'.') {
        fraction = digits(end + 1);
        if whole + fraction > 0 {
            end += 1 + fraction;
        }
    }
    if whole + fraction == 0 {
        return special(rest, sign).map_or((0.0, 0), |(number, length)| (number, blanks + length));
    }
    if matches!(rest.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    let number = std::str::from_utf8(&rest[..end]).ok().and_then(|text| text.parse().ok());
    (number.unwrap_or_default(), blanks + end)
}

/// `+inf`, `-nan` and the like, which need their sign.
fn special(text: &[u8], sign: usize) -> Option<(f64, usize)> {
    let name = text.get(sign..sign + 3).filter(|_| sign == 1)?.to_ascii_lowercase();
    if text.get(sign + 3).is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    let number = match name.as_slice() {
        b"inf" => f64::INFINITY,
        b"nan" => f64::NAN,
        _ => return None,
    };
    Some((if text.first() == Some(&b'-') { -number } else { number }, sign + 3))
}

/// The number that a text is as a whole, blanks around it aside.
pub(crate) fn looks_numeric(text: &[u8]) -> Option<f64> {
    if !text.iter().any(u8::is_ascii_digit) && !matches!(text.trim_ascii_start().first(), Some(b'+' | b'-')) {
        return None;
    }
    let (number, length) = leading_number(text);
    (length > 0 && text[length..].iter().all(u8::is_ascii_whitespace)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_by_strtod() {
        for (text, number, length) in [
            ("12x", 12.0, 2),
            (" -1.5e3 ", -1500.0, 7),
            (".5.", 0.5, 2),
            ("1e", 1.0, 1),
            ("x", 0.0, 0),
            ("0x11", 0.0, 1),
        ] {
            assert_eq!(leading_number(text.as_bytes()), (number, length), "{text}");
        }
        assert_eq!(looks_numeric(b" 10 "), Some(10.0));
        assert_eq!(looks_numeric(b"10x"), None);
        assert_eq!(looks_numeric(b""), None);
        assert_eq!(looks_numeric(b"+inf"), Some(f64::INFINITY));
        assert_eq!(looks_numeric(b"nano"), None);
    }

    #[test]
    fn input_that_looks_numeric_compares_as_numbers() {
        let compare = |one: Value, other: Value| one.compare(&other, b"%.6g");
        assert_eq!(compare(Value::input(b"10"), Value::input(b"9")), Some(Ordering::Greater));
        assert_eq!(compare(Value::text(b"10"), Value::input(b"9")), Some(Ordering::Less));
        assert_eq!(compare(Value::Unset, Value::Number(0.0)), Some(Ordering::Equal));
    }
}
