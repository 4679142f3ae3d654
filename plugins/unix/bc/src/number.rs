//! Decimal numbers of any size, with the scales of POSIX's bc.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};
use num_integer::Integer;
use num_traits::{One, Signed, ToPrimitive, Zero};

/// An integer divided by a power of ten: the scale is how many of its digits are behind the point.
#[derive(Debug, Clone)]
pub(crate) struct Number {
    value: BigInt,
    scale: usize,
}

/// Why something cannot be computed, in the words of GNU's bc.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Impossible {
    DivideByZero,
    /// Zero raised to less than zero.
    InverseOfZero,
    ModuloByZero,
    NegativeRoot,
    ExponentTooLarge,
}

impl Impossible {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::DivideByZero => "Divide by zero",
            Self::InverseOfZero => "divide by zero",
            Self::ModuloByZero => "Modulo by zero",
            Self::NegativeRoot => "Square root of a negative number",
            Self::ExponentTooLarge => "exponent too large in raise",
        }
    }
}

/// The largest exponent: what is raised to more does not fit into memory.
const MOST: usize = 100_000_000;

fn ten_to(digits: usize) -> BigInt {
    BigInt::from(10).pow(u32::try_from(digits).unwrap_or(u32::MAX))
}

impl From<usize> for Number {
    fn from(value: usize) -> Self {
        Self { value: value.into(), scale: 0 }
    }
}

impl Number {
    pub(crate) fn zero() -> Self {
        Self::from(0)
    }

    pub(crate) fn one() -> Self {
        Self::from(1)
    }

    /// A number as it is written, with digits of a base: `A` to `F` are 10 to 15. Where there are several digits, one
    /// that the base has not counts as its largest.
    pub(crate) fn parse(text: &str, base: usize) -> Self {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let alone = whole.len() + part.len() == 1;
        Self::read(whole, part, base, if alone { 15 } else { base - 1 })
    }

    /// The same with each digit as it is.
    pub(crate) fn parse_plain(text: &str, base: usize) -> Self {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        Self::read(whole, part, base, 15)
    }

    fn read(whole: &str, part: &str, base: usize, most: usize) -> Self {
        let digit = |letter: char| (letter.to_digit(16).unwrap_or_default() as usize).min(most);
        let read = |text: &str| text.chars().fold(BigInt::zero(), |sum, letter| sum * base + digit(letter));
        let scale = part.len();
        let divisor = BigInt::from(base).pow(u32::try_from(scale).unwrap_or(u32::MAX));
        Self { value: read(whole) * ten_to(scale) + read(part) * ten_to(scale) / divisor, scale }
    }

    pub(crate) fn scale(&self) -> usize {
        self.scale
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.value.is_zero()
    }

    pub(crate) fn is_negative(&self) -> bool {
        self.value.is_negative()
    }

    /// How many digits it has: those behind the point, and those before it from the first that is not 0 on.
    pub(crate) fn digits(&self) -> usize {
        let digits = self.value.magnitude().to_string().len();
        if self.value.is_zero() { self.scale.max(1) } else { digits.max(self.scale) }
    }

    /// The same with another scale: digits are added or cut off.
    pub(crate) fn with_scale(&self, scale: usize) -> Self {
        let value = match scale.cmp(&self.scale) {
            Ordering::Equal => self.value.clone(),
            Ordering::Greater => &self.value * ten_to(scale - self.scale),
            Ordering::Less => &self.value / ten_to(self.scale - scale),
        };
        Self { value, scale }
    }

    /// The digits before the point.
    pub(crate) fn whole(&self) -> BigInt {
        self.with_scale(0).value
    }

    /// The digits before the point, if they are few.
    pub(crate) fn to_usize(&self) -> Option<usize> {
        self.whole().to_usize()
    }

    fn aligned(&self, other: &Self) -> (BigInt, BigInt, usize) {
        let scale = self.scale.max(other.scale);
        (self.with_scale(scale).value, other.with_scale(scale).value, scale)
    }

    pub(crate) fn add(&self, other: &Self) -> Self {
        let (one, two, scale) = self.aligned(other);
        Self { value: one + two, scale }
    }

    pub(crate) fn subtract(&self, other: &Self) -> Self {
        self.add(&other.negated())
    }

    pub(crate) fn negated(&self) -> Self {
        Self { value: -&self.value, scale: self.scale }
    }

    /// The product, with at least the larger scale of both, and at most their sum.
    pub(crate) fn multiply(&self, other: &Self, scale: usize) -> Self {
        let exact = Self { value: &self.value * &other.value, scale: self.scale + other.scale };
        exact.with_scale(exact.scale.min(scale.max(self.scale).max(other.scale)))
    }

    pub(crate) fn divide(&self, other: &Self, scale: usize) -> Result<Self, Impossible> {
        if other.is_zero() {
            return Err(Impossible::DivideByZero);
        }
        // Digits beyond the scale are cut off.
        let digits = scale + other.scale;
        let value = if digits >= self.scale {
            &self.value * ten_to(digits - self.scale) / &other.value
        } else {
            &self.value / (&other.value * ten_to(self.scale - digits))
        };
        Ok(Self { value, scale })
    }

    /// What the division with this scale leaves.
    pub(crate) fn remainder(&self, other: &Self, scale: usize) -> Result<Self, Impossible> {
        let quotient = self.divide(other, scale).map_err(|_| Impossible::ModuloByZero)?;
        let product = Self { value: &quotient.value * &other.value, scale: quotient.scale + other.scale };
        let rest = self.subtract(&product);
        Ok(rest.with_scale(self.scale.max(other.scale + scale)))
    }

    /// The power of the exponent without its fraction.
    pub(crate) fn raise(&self, exponent: &Self, scale: usize) -> Result<Self, Impossible> {
        let whole = exponent.whole();
        if whole.is_zero() {
            return Ok(Self::one());
        }
        let steps = whole.abs().to_usize().filter(|steps| *steps <= MOST);
        let steps = match steps {
            Some(steps) => steps,
            // These stay what they are.
            None if self.value.is_zero() || (self.value.abs().is_one() && self.scale == 0) => {
                2 + usize::from(whole.is_odd())
            }
            None => return Err(Impossible::ExponentTooLarge),
        };
        let power = u32::try_from(steps).map_err(|_| Impossible::ExponentTooLarge)?;
        let exact = Self { value: self.value.pow(power), scale: self.scale * steps };
        if whole.is_negative() {
            return Self::one().divide(&exact, scale).map_err(|_| Impossible::InverseOfZero);
        }
        Ok(exact.with_scale(exact.scale.min(scale.max(self.scale))))
    }

    pub(crate) fn square_root(&self, scale: usize) -> Result<Self, Impossible> {
        if self.is_negative() {
            return Err(Impossible::NegativeRoot);
        }
        if self.is_zero() || self.compare(&Self::one()) == Ordering::Equal {
            return Ok(self.with_scale(0));
        }
        let scale = scale.max(self.scale);
        Ok(Self { value: self.with_scale(scale * 2).value.sqrt(), scale })
    }

    /// The power modulo another number, all without their fractions. None for a negative exponent and for modulus 0.
    pub(crate) fn raise_modulo(&self, exponent: &Self, modulus: &Self) -> Option<Self> {
        if modulus.whole().is_zero() || exponent.is_negative() {
            return None;
        }
        Some(Self { value: self.whole().modpow(&exponent.whole(), &modulus.whole()), scale: 0 })
    }

    /// The digits before the point in base 256, the first one first.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.whole().magnitude().to_bytes_be()
    }

    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        let (one, two, _) = self.aligned(other);
        one.cmp(&two)
    }

    /// The number in a base: digits up to 16 as letters, others as decimal numbers after a space each.
    pub(crate) fn format(&self, base: usize) -> String {
        if self.is_zero() {
            return "0".to_owned();
        }
        let sign = if self.value.sign() == Sign::Minus { "-" } else { "" };
        let absolute = Self { value: self.value.abs(), scale: self.scale };
        if base == 10 {
            let digits = format!("{:0>width$}", absolute.value.to_string(), width = self.scale);
            let (whole, part) = digits.split_at(digits.len() - self.scale);
            return format!("{sign}{whole}{}{part}", if self.scale > 0 { "." } else { "" });
        }
        let mut text = sign.to_owned();
        let mut whole = absolute.whole();
        let fraction = absolute.subtract(&Self { value: whole.clone(), scale: 0 });
        let mut digits = Vec::new();
        while !whole.is_zero() {
            let (rest, digit) = whole.div_rem(&base.into());
            digits.push(digit.to_usize().unwrap_or_default());
            whole = rest;
        }
        let width = (base - 1).to_string().len();
        let shown = |digit: usize, spaced: bool| match char::from_digit(u32::try_from(digit).unwrap_or(0), 16) {
            Some(letter) if base <= 16 => letter.to_ascii_uppercase().to_string(),
            _ => format!("{}{digit:0width$}", if spaced { " " } else { "" }),
        };
        text.extend(digits.into_iter().rev().map(|digit| shown(digit, true)));
        if self.scale > 0 {
            text.push('.');
            let (unit, mut rest) = (ten_to(self.scale), fraction.value);
            // As many digits as say the same.
            let (mut reached, mut spaced) = (BigInt::one(), false);
            while reached < unit {
                let (digit, left) = (rest * base).div_rem(&unit);
                text += &shown(digit.to_usize().unwrap_or_default(), spaced);
                (rest, reached, spaced) = (left, reached * base, true);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        match text.strip_prefix('-') {
            Some(rest) => Number::parse(rest, 10).negated(),
            None => Number::parse(text, 10),
        }
    }

    #[test]
    fn scales_are_those_of_posix() {
        let shown = |number: Number| number.format(10);
        assert_eq!(shown(number("1.5").add(&number("1.25"))), "2.75");
        assert_eq!(shown(number("1.5").multiply(&number("1.55"), 0)), "2.32");
        assert_eq!(shown(number("1.5").multiply(&number("1.55"), 9)), "2.325");
        assert_eq!(number("10").divide(&number("-3"), 3).map(shown), Ok("-3.333".to_owned()));
        assert_eq!(number("1.23456").divide(&number("1"), 2).map(shown), Ok("1.23".to_owned()));
        assert_eq!(number("10").remainder(&number("3"), 2).map(shown), Ok(".01".to_owned()));
        assert_eq!(number("-7").remainder(&number("3"), 0).map(shown), Ok("-1".to_owned()));
        assert_eq!(number("1.5").raise(&number("3"), 0).map(shown), Ok("3.3".to_owned()));
        assert_eq!(number("2").raise(&number("-2"), 3).map(shown), Ok(".250".to_owned()));
        assert_eq!(number("2").square_root(5).map(shown), Ok("1.41421".to_owned()));
        assert_eq!(number("1").divide(&number("0"), 0).map(shown), Err(Impossible::DivideByZero));
        assert_eq!((number("12.34").digits(), number(".05").digits(), number("0").digits()), (4, 2, 1));
    }

    #[test]
    fn bases_have_their_digits() {
        assert_eq!((number("255").format(16), number(".5").format(16)), ("FF".to_owned(), ".8".to_owned()));
        assert_eq!((number("-399.5").format(20)), "- 19 19.10");
        assert_eq!((number("10").format(2), number("0.00").format(10)), ("1010".to_owned(), "0".to_owned()));
        let parsed = |text: &str, base| Number::parse(text, base).format(10);
        assert_eq!((parsed("FF", 16), parsed("FF", 10), parsed("F", 10)), ("255".into(), "99".into(), "15".into()));
        assert_eq!((parsed(".8", 16), parsed("1.01", 2)), (".5".to_owned(), "1.25".to_owned()));
    }
}
