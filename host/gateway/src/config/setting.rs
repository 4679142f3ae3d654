//! The syntax of values: counts, sizes and times, parsed and printed.
//!
//! Sizes and times have a unit (`"64 KiB"`, `"10 s"`), so that numbers are unambiguous.
//!
//! Decided 2026-11-29: a unit has one spelling. Others (`"16 MB"`, `"5m"`, `300`) are refused with the accepted
//! spelling, and never guessed: MB is a million bytes to some and MiB to others, and m is a minute to sshd and a month
//! to others.

mod meant;
mod units;

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use meant::{meant_count, meant_size, meant_time, meant_truth};
use units::{SIZES, TIMES, integer, print_with_unit, with_unit};

/// A type that a setting may have.
pub(super) trait Setting: Copy + PartialOrd {
    /// Parses the value, or says what it should look like.
    fn read(value: &DeValue<'_>) -> Result<Self, String>;

    /// The text that [`Setting::read`] parses back to the same value.
    fn print(self) -> String;

    /// Parses the value and checks it against inclusive bounds.
    fn read_within(value: &DeValue<'_>, least: Self, most: Self) -> Result<Self, String> {
        let read = Self::read(value)?;
        if read < least || read > most {
            return Err(format!("must be from {} to {}, is {}", least.print(), most.print(), read.print()));
        }
        Ok(read)
    }
}

/// A count.
impl Setting for u32 {
    fn read(value: &DeValue<'_>) -> Result<u32, String> {
        let number = integer(value)
            .ok_or_else(|| format!("must be a whole number, is {}{}", kind(value), instead(meant_count(value))))?;
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
        bytes.and_then(|bytes| usize::try_from(bytes).ok()).ok_or_else(|| {
            let (is, instead) = (kind(value), instead(meant_size(value)));
            format!("must be a size such as \"64 KiB\" (B, KiB, MiB or GiB), is {is}{instead}")
        })
    }

    fn print(self) -> String {
        // A usize has at most 64 bits wherever this program builds.
        print_with_unit(self as u64, &SIZES)
    }
}

/// A duration.
impl Setting for Duration {
    fn read(value: &DeValue<'_>) -> Result<Duration, String> {
        let milliseconds = match value {
            DeValue::String(text) => with_unit(text, &TIMES),
            _ => None,
        };
        milliseconds.map(Duration::from_millis).ok_or_else(|| {
            let (is, instead) = (kind(value), instead(meant_time(value)));
            format!("must be a time such as \"30 s\" (ms, s, min, h or d), is {is}{instead}")
        })
    }

    fn print(self) -> String {
        print_with_unit(u64::try_from(self.as_millis()).unwrap_or(u64::MAX), &TIMES)
    }
}

/// A time on a command line, as a setting has it: `30 s`.
///
/// # Errors
/// What it must be.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    Duration::read(&DeValue::String(text.into()))
}

/// A boolean.
impl Setting for bool {
    fn read(value: &DeValue<'_>) -> Result<bool, String> {
        truth(value)
    }

    fn print(self) -> String {
        self.to_string()
    }
}

/// A text.
pub(super) fn text<'t>(value: &'t DeValue<'_>) -> Result<&'t str, String> {
    match value {
        DeValue::String(text) => Ok(text),
        other => Err(format!("must be a text in quotes, is {}", kind(other))),
    }
}

/// A path, joined to `folder` unless it is absolute. Nothing is expanded: what a shell or sshd_config would expand is
/// refused, and is a path if it is written as `./~`.
pub(super) fn path(value: &DeValue<'_>, folder: &Path) -> Result<PathBuf, String> {
    let path = text(value)?;
    let first = path.split('/').next().unwrap_or_default();
    if path.is_empty() {
        Err("must be a path, is empty".to_owned())
    } else if path.contains('\0') {
        Err("must be a path, has a byte 0".to_owned())
    } else if first.starts_with('~') {
        Err(format!("must be a path, is {path:?}: ~ is not expanded: write the whole path, such as \"/home/alice\""))
    } else if path.contains('$') && path.split('/').any(|part| part.starts_with('$')) {
        Err(format!("must be a path, is {path:?}: variables are not expanded: write the whole path"))
    } else if path.split('/').any(|part| matches!(part, "%h" | "%u")) {
        Err(format!("must be a path, is {path:?}: %h and %u of sshd_config are not expanded: write the whole path"))
    } else if path.starts_with("file:") {
        Err(format!("must be a path, is {path:?}: write it without file:"))
    } else {
        Ok(folder.join(path))
    }
}

/// A boolean.
pub(super) fn truth(value: &DeValue<'_>) -> Result<bool, String> {
    match value {
        DeValue::Boolean(truth) => Ok(*truth),
        other => {
            Err(format!("must be true or false, is {}{}", kind(other), instead(meant_truth(other).map(str::to_owned))))
        }
    }
}

/// What to write instead, as the end of a sentence.
fn instead(meant: Option<String>) -> String {
    meant.map(|meant| format!(": write {meant}")).unwrap_or_default()
}

/// The kind of a value, as the end of a sentence.
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
            Err("must be a time such as \"30 s\" (ms, s, min, h or d), is 30: write \"30 s\"".to_owned())
        );
    }

    #[test]
    fn a_path_is_literal_and_expansions_are_refused() {
        for (text, joined) in
            [("\"a/b\"", "/etc/a/b"), ("\"/a\"", "/a"), ("\"./~\"", "/etc/./~"), ("\"a~b\"", "/etc/a~b")]
        {
            assert_eq!(path(&value(text), Path::new("/etc")), Ok(joined.into()), "{text}");
        }
        for (text, what) in [
            ("\"\"", "is empty"),
            ("1", "must be a text in quotes"),
            ("\"~/x\"", "~ is not expanded"),
            ("\"~alice/x\"", "~ is not expanded"),
            ("\"$HOME/x\"", "variables are not expanded"),
            ("\"/srv/${USER}\"", "variables are not expanded"),
            ("\"%h/.ssh/authorized_keys\"", "%h and %u of sshd_config"),
            ("\"file:///x\"", "without file:"),
            ("\"a\\u0000b\"", "has a byte 0"),
        ] {
            let refused = path(&value(text), Path::new("/etc")).unwrap_err();
            assert!(refused.contains(what), "{text}: {refused}");
        }
    }

    #[test]
    fn printed_values_parse_back() {
        for bytes in [0_usize, 1, 1023, 1024, 35_000, 1 << 20, 3 << 30] {
            assert_eq!(usize::read(&value(&bytes.print())), Ok(bytes));
        }
        for milliseconds in [0_u64, 5, 999, 1000, 90_000, 120_000, 7_200_000, 86_400_000] {
            let time = Duration::from_millis(milliseconds);
            assert_eq!(Duration::read(&value(&time.print())), Ok(time));
        }
    }

    #[test]
    fn an_error_about_bounds_names_them() {
        assert_eq!(u32::read_within(&value("0"), 1, 64), Err("must be from 1 to 64, is 0".to_owned()));
        assert_eq!(u32::read_within(&value("64"), 1, 64), Ok(64));
        assert_eq!(u32::read_within(&value("0x10"), 1, 64), Ok(16));
    }
}
