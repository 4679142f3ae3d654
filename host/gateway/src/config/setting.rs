//! How one value is written in the file: counts, sizes and times, read and printed.
//!
//! Sizes and times carry their unit (`"64 KiB"`, `"10 s"`), so that nobody has to guess what a number means.

use std::time::Duration;

use toml::de::DeValue;

/// A type that a setting may have.
pub(super) trait Setting: Copy + PartialOrd {
    /// Reads the value, or says what it should look like.
    fn read(value: &DeValue<'_>) -> Result<Self, String>;

    /// The text that [`Setting::read`] reads back to the same value.
    fn print(self) -> String;

    /// Reads the value and holds it against its bounds, both included.
    fn read_within(value: &DeValue<'_>, least: Self, most: Self) -> Result<Self, String> {
        let read = Self::read(value)?;
        if read < least || read > most {
            return Err(format!("must be from {} to {}, is {}", least.print(), most.print(), read.print()));
        }
        Ok(read)
    }
}

const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
/// In milliseconds, the finest that any setting needs.
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

/// A count.
impl Setting for u32 {
    fn read(value: &DeValue<'_>) -> Result<u32, String> {
        let number = integer(value).ok_or_else(|| format!("must be a whole number, is {}", kind(value)))?;
        u32::try_from(number).map_err(|_| format!("must be from 0 to {}, is {number}", u32::MAX))
    }

    fn print(self) -> String {
        self.to_string()
    }
}

/// A number of bytes.
impl Setting for usize {
    fn read(value: &DeValue<'_>) -> Result<usize, String> {
        let bytes = match value {
            DeValue::String(text) => with_unit(text, &SIZES),
            _ => integer(value).and_then(|number| u64::try_from(number).ok()),
        };
        bytes
            .and_then(|bytes| usize::try_from(bytes).ok())
            .ok_or_else(|| format!("must be a size such as \"64 KiB\", is {}", kind(value)))
    }

    fn print(self) -> String {
        // A usize has at most 64 bits wherever this program builds.
        print_with_unit(self as u64, &SIZES)
    }
}

/// A length of time.
impl Setting for Duration {
    fn read(value: &DeValue<'_>) -> Result<Duration, String> {
        let milliseconds = match value {
            DeValue::String(text) => with_unit(text, &TIMES),
            _ => None,
        };
        milliseconds
            .map(Duration::from_millis)
            .ok_or_else(|| format!("must be a time such as \"30 s\" (ms, s, min, h or d), is {}", kind(value)))
    }

    fn print(self) -> String {
        print_with_unit(u64::try_from(self.as_millis()).unwrap_or(u64::MAX), &TIMES)
    }
}

/// The text in a value.
pub(super) fn text<'t>(value: &'t DeValue<'_>) -> Result<&'t str, String> {
    match value {
        DeValue::String(text) => Ok(text),
        other => Err(format!("must be a text in quotes, is {}", kind(other))),
    }
}

/// The truth value in a value.
pub(super) fn truth(value: &DeValue<'_>) -> Result<bool, String> {
    match value {
        DeValue::Boolean(truth) => Ok(*truth),
        other => Err(format!("must be true or false, is {}", kind(other))),
    }
}

/// What a value is, for the end of a sentence.
pub(super) fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    match value {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    }
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|character: char| !character.is_ascii_digit())?;
    let (digits, unit) = text.split_at(end);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit.trim())?;
    digits.parse::<u64>().ok()?.checked_mul(*scale)
}

fn print_with_unit(value: u64, units: &[(&str, u64)]) -> String {
    let fits = units.iter().find(|(_, scale)| value >= *scale && value.is_multiple_of(*scale));
    let (unit, scale) = fits.or(units.last()).copied().unwrap_or(("", 1));
    format!("\"{} {unit}\"", value / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> DeValue<'_> {
        DeValue::parse(text).unwrap().into_inner()
    }

    #[test]
    fn a_size_is_a_number_of_bytes_or_a_text_with_a_unit() {
        assert_eq!(usize::read(&value("\"64 KiB\"")), Ok(65_536));
        assert_eq!(usize::read(&value("\"1GiB\"")), Ok(1 << 30));
        assert_eq!(usize::read(&value("35_000")), Ok(35_000));
        for wrong in ["\"64\"", "\"64 KB\"", "\"-1 B\"", "-1", "1.5", "\"99999999999 GiB\"", "\"\"", "\" 1 B\""] {
            assert!(usize::read(&value(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_without_a_unit_is_refused() {
        assert_eq!(Duration::read(&value("\"1500 ms\"")), Ok(Duration::from_millis(1500)));
        assert_eq!(Duration::read(&value("\"2 min\"")), Ok(Duration::from_secs(120)));
        assert_eq!(
            Duration::read(&value("30")),
            Err("must be a time such as \"30 s\" (ms, s, min, h or d), is 30".to_owned())
        );
    }

    #[test]
    fn what_is_printed_reads_back_to_the_same() {
        for bytes in [0_usize, 1, 1023, 1024, 35_000, 1 << 20, 3 << 30] {
            assert_eq!(usize::read(&value(&bytes.print())), Ok(bytes));
        }
        for milliseconds in [0_u64, 5, 999, 1000, 90_000, 120_000, 7_200_000, 86_400_000] {
            let time = Duration::from_millis(milliseconds);
            assert_eq!(Duration::read(&value(&time.print())), Ok(time));
        }
    }

    #[test]
    fn a_value_out_of_bounds_is_told_the_bounds() {
        assert_eq!(u32::read_within(&value("0"), 1, 64), Err("must be from 1 to 64, is 0".to_owned()));
        assert_eq!(u32::read_within(&value("64"), 1, 64), Ok(64));
        assert_eq!(u32::read_within(&value("0x10"), 1, 64), Ok(16));
    }
}
