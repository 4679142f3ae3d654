//! The numbers of printf(3).

/// The flags, width and precision of a directive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of printf(3)")]
pub struct Spec {
    /// `-`
    pub left: bool,
    /// `+`
    pub plus: bool,
    /// A blank.
    pub blank: bool,
    /// `#`
    pub alternate: bool,
    /// `0`
    pub zero: bool,
    /// At least so many characters.
    pub width: usize,
    /// What comes after the point.
    pub precision: Option<usize>,
}

impl Spec {
    /// A text, cut by the precision and filled to the width; both count characters.
    pub fn text(&self, text: &[u8]) -> Vec<u8> {
        let mut cut = Vec::new();
        let mut count = 0;
        for chunk in text.utf8_chunks() {
            let pieces = chunk.valid().chars().map(|one| one.to_string().into_bytes());
            for piece in pieces.chain(chunk.invalid().iter().map(|byte| vec![*byte])) {
                if self.precision.is_some_and(|most| count >= most) {
                    break;
                }
                cut.extend(piece);
                count += 1;
            }
        }
        let fill = vec![b' '; self.width.saturating_sub(count)];
        if self.left { [cut, fill].concat() } else { [fill, cut].concat() }
    }

    /// A whole number: `d` or `i`.
    pub fn integer(&self, number: f64) -> Vec<u8> {
        if !number.is_finite() {
            return self.special(number, false);
        }
        let number = number.trunc();
        let digits = format!("{:.0}", number.abs());
        let digits = if self.precision == Some(0) && number == 0.0 { String::new() } else { digits };
        let sign = self.sign(number < 0.0);
        self.filled(sign, &self.with_precision(digits), self.precision.is_none())
    }

    /// A whole number without sign: `o`, `x`, `X` or `u`. One below zero is written as a whole number with sign.
    pub fn unsigned(&self, number: f64, letter: char) -> Vec<u8> {
        if !number.is_finite() || number <= -1.0 {
            return self.integer(number);
        }
        let number = number.trunc();
        // Larger numbers than 2^64 have no other form than the decimal one.
        let whole = number as u64;
        let digits = match letter {
            _ if number >= 18_446_744_073_709_551_616.0 => return self.integer(number),
            'o' if self.alternate => format!("0{whole:o}"),
            'o' => format!("{whole:o}"),
            'x' => format!("{whole:x}"),
            'X' => format!("{whole:X}"),
            _ => whole.to_string(),
        };
        let prefix = match letter {
            'x' if self.alternate && whole != 0 => "0x",
            'X' if self.alternate && whole != 0 => "0X",
            _ => "",
        };
        self.filled(prefix, &self.with_precision(digits), self.precision.is_none())
    }

    /// A number with a point: `f`, `e`, `g` and their capitals.
    pub fn float(&self, number: f64, letter: char) -> Vec<u8> {
        let upper = letter.is_ascii_uppercase();
        if !number.is_finite() {
            return self.special(number, upper);
        }
        let digits = match letter.to_ascii_lowercase() {
            'f' => self.fixed(number.abs(), self.precision.unwrap_or(6)),
            'e' => self.scientific(number.abs(), self.precision.unwrap_or(6)),
            _ => self.general(number.abs()),
        };
        let digits = if upper { digits.to_ascii_uppercase() } else { digits };
        self.filled(self.sign(number.is_sign_negative()), &digits, true)
    }

    fn fixed(&self, number: f64, precision: usize) -> String {
        let point = if self.alternate && precision == 0 { "." } else { "" };
        format!("{number:.precision$}{point}")
    }

    fn scientific(&self, number: f64, precision: usize) -> String {
        let text = format!("{number:.precision$e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
        let point = if self.alternate && precision == 0 { "." } else { "" };
        format!("{mantissa}{point}e{sign}{exponent:0>2}")
    }

    fn general(&self, number: f64) -> String {
        let precision = self.precision.unwrap_or(6).max(1);
        let rounded = format!("{number:.*e}", precision - 1);
        let exponent: i32 = rounded.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or_default();
        let small = exponent < -4 || i64::from(exponent) >= i64::try_from(precision).unwrap_or(i64::MAX);
        let text = if small {
            self.scientific(number, precision - 1)
        } else {
            let after = i64::try_from(precision).unwrap_or(i64::MAX) - 1 - i64::from(exponent);
            self.fixed(number, usize::try_from(after).unwrap_or_default())
        };
        if self.alternate {
            return text;
        }
        // Zeros at the end say nothing.
        let (mantissa, exponent) = text.find('e').map_or((text.as_str(), ""), |at| text.split_at(at));
        let mantissa =
            if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
        format!("{mantissa}{exponent}")
    }

    fn special(&self, number: f64, upper: bool) -> Vec<u8> {
        let name = if number.is_nan() { "nan" } else { "inf" };
        let name = if upper { name.to_uppercase() } else { name.to_owned() };
        let sign = if number.is_sign_negative() { "-" } else { "+" };
        Self { zero: false, ..*self }.filled(sign, &name, false)
    }

    fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.plus, self.blank) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            (false, false, false) => "",
        }
    }

    fn with_precision(&self, digits: String) -> String {
        let missing = self.precision.unwrap_or_default().saturating_sub(digits.len());
        "0".repeat(missing) + &digits
    }

    fn filled(&self, sign: &str, digits: &str, zeros: bool) -> Vec<u8> {
        let missing = self.width.saturating_sub(sign.len() + digits.len());
        let text = match (self.left, self.zero && zeros) {
            (true, _) => format!("{sign}{digits}{}", " ".repeat(missing)),
            (false, true) => format!("{sign}{}{digits}", "0".repeat(missing)),
            (false, false) => format!("{}{sign}{digits}", " ".repeat(missing)),
        };
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_by_printf() {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("digits are text");
        let plain = Spec::default();
        assert_eq!(text(plain.float(0.1, 'g')), "0.1");
        assert_eq!(text(plain.float(1e6, 'g')), "1e+06");
        assert_eq!(text(plain.float(123_456.0, 'g')), "123456");
        assert_eq!(text(plain.float(0.000_01, 'g')), "1e-05");
        assert_eq!(text(plain.float(1.5, 'e')), "1.500000e+00");
        assert_eq!(text(plain.float(-2.5, 'f')), "-2.500000");
        assert_eq!(text(Spec { precision: Some(3), width: 8, zero: true, ..plain }.float(3.25, 'f')), "0003.250");
        assert_eq!(text(Spec { width: 5, left: true, plus: true, ..plain }.integer(7.9)), "+7   ");
        assert_eq!(text(Spec { alternate: true, ..plain }.unsigned(255.0, 'x')), "0xff");
        assert_eq!(text(Spec { precision: Some(2), width: 4, ..plain }.text("äöü".as_bytes())), "  äö");
        assert_eq!(text(plain.float(f64::NEG_INFINITY, 'g')), "-inf");
    }
}
