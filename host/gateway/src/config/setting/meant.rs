//! Suggests what an invalid value probably means.

use toml::de::DeValue;

use super::units::{SIZES, TIMES, integer, print_with_unit};

/// Other spellings of the units of sizes. Decimal ones are taken for the binary ones that are accepted.
const SIZE_SPELLINGS: [(&[&str], u64); 5] = [
    (&["b", "byte", "bytes"], 1),
    (&["k", "kb", "kib", "kilobyte", "kilobytes"], 1 << 10),
    (&["m", "mb", "mib", "megabyte", "megabytes"], 1 << 20),
    (&["g", "gb", "gib", "gigabyte", "gigabytes"], 1 << 30),
    (&["t", "tb", "tib", "terabyte", "terabytes"], 1 << 40),
];
/// Other spellings of the units of times, in milliseconds: those of sshd_config and of systemd, and whole words.
const TIME_SPELLINGS: [(&[&str], u64); 6] = [
    (&["ms", "msec", "millis", "millisecond", "milliseconds"], 1),
    (&["s", "sec", "secs", "second", "seconds"], 1_000),
    (&["m", "min", "mins", "minute", "minutes"], 60_000),
    (&["h", "hr", "hrs", "hour", "hours"], 3_600_000),
    (&["d", "day", "days"], 86_400_000),
    (&["w", "week", "weeks"], 604_800_000),
];
/// With more digits after a decimal point nothing is suggested.
const MOST_DECIMALS: usize = 9;

/// The whole number of a text or of a number with a point.
pub(super) fn meant_count(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => text.trim().replace([',', '_'], "").parse::<u32>().ok().map(|count| count.to_string()),
        DeValue::Float(number) => whole(number.as_str()).map(|count| count.to_string()),
        _ => None,
    }
}

/// The accepted form of a size.
pub(super) fn meant_size(value: &DeValue<'_>) -> Option<String> {
    let bytes = match value {
        DeValue::String(text) => sum(text, &SIZE_SPELLINGS).or_else(|| whole(text.trim()))?,
        DeValue::Float(number) => whole(number.as_str())?,
        _ => return None,
    };
    Some(print_with_unit(bytes, &SIZES))
}

/// The accepted form of a time. A number without a unit is taken for seconds, as in sshd_config.
pub(super) fn meant_time(value: &DeValue<'_>) -> Option<String> {
    let seconds = |text: &str| scaled(text, 1_000);
    let milliseconds = match value {
        DeValue::String(text) => match sum(text, &TIME_SPELLINGS) {
            Some(milliseconds) => return Some(print_with_unit(milliseconds, &TIMES)),
            None => seconds(text.trim())?,
        },
        DeValue::Float(number) => seconds(number.as_str())?,
        _ => u64::try_from(integer(value)?).ok()?.checked_mul(1_000)?,
    };
    // In the original unit: 300 is "300 s" and not "5 min".
    let units = TIMES.get(3..).unwrap_or_default();
    Some(print_with_unit(milliseconds, units))
}

/// The boolean of a word or number.
pub(super) fn meant_truth(value: &DeValue<'_>) -> Option<&'static str> {
    let word = match value {
        DeValue::String(text) => text.trim().to_ascii_lowercase(),
        _ => integer(value)?.to_string(),
    };
    match word.as_str() {
        "true" | "yes" | "on" | "1" => Some("true"),
        "false" | "no" | "off" | "0" => Some("false"),
        _ => None,
    }
}

/// The sum of numbers with units, such as `1h30m` and `1.5 GB`.
fn sum(text: &str, spellings: &[(&[&str], u64)]) -> Option<u64> {
    let mut rest = text.trim();
    let mut total: Option<u64> = None;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit() && !"._".contains(character))?;
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let end = after.find(|character: char| !character.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit = unit.to_lowercase();
        let (_, scale) = spellings.iter().find(|(names, _)| names.contains(&unit.as_str()))?;
        total = Some(total.unwrap_or(0).checked_add(scaled(number, *scale)?)?);
        rest = after.trim_start();
    }
    total
}

fn whole(number: &str) -> Option<u64> {
    scaled(number, 1)
}

/// A decimal number times `scale`, if that is a whole number.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let plain = number.replace('_', "");
    let (whole, decimals) = plain.split_once('.').unwrap_or((&plain, ""));
    if whole.is_empty() || decimals.len() > MOST_DECIMALS {
        return None;
    }
    let power = 10_u64.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    let product = format!("{whole}{decimals}").parse::<u64>().ok()?.checked_mul(scale)?;
    product.is_multiple_of(power).then_some(product / power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> DeValue<'_> {
        DeValue::parse(text).unwrap().into_inner()
    }

    #[test]
    fn a_size_in_another_spelling_is_suggested_in_ours() {
        for (text, meant) in [
            ("\"16 MB\"", Some("\"16 MiB\"")),
            ("\"16MB\"", Some("\"16 MiB\"")),
            ("\"16M\"", Some("\"16 MiB\"")),
            ("\" 16 mib \"", Some("\"16 MiB\"")),
            ("\"64k\"", Some("\"64 KiB\"")),
            ("\"1.5 GiB\"", Some("\"1536 MiB\"")),
            ("\"2 TB\"", Some("\"2048 GiB\"")),
            ("\"65536\"", Some("\"64 KiB\"")),
            ("\"100 bytes\"", Some("\"100 B\"")),
            ("1024.0", Some("\"1 KiB\"")),
            ("\"1.0001 KiB\"", None),
            ("\"lots\"", None),
            ("\"\"", None),
            ("\"-1 MB\"", None),
            ("\"99999999999 GB\"", None),
            ("\"16 MB MB\"", None),
            ("true", None),
        ] {
            assert_eq!(meant_size(&value(text)).as_deref(), meant, "{text}");
        }
    }

    #[test]
    fn a_time_in_another_spelling_is_suggested_in_ours() {
        for (text, meant) in [
            ("\"5 minutes\"", Some("\"5 min\"")),
            ("\"5m\"", Some("\"5 min\"")),
            ("\"1h30m\"", Some("\"90 min\"")),
            ("\"2 hours\"", Some("\"2 h\"")),
            ("\"1 Day\"", Some("\"1 d\"")),
            ("\"1w\"", Some("\"7 d\"")),
            ("\"1.5 s\"", Some("\"1500 ms\"")),
            ("\"300\"", Some("\"300 s\"")),
            ("300", Some("\"300 s\"")),
            ("0", Some("\"0 ms\"")),
            ("0.25", Some("\"250 ms\"")),
            ("-1", None),
            ("\"never\"", None),
            ("\"5 parsecs\"", None),
        ] {
            assert_eq!(meant_time(&value(text)).as_deref(), meant, "{text}");
        }
    }

    #[test]
    fn quoted_numbers_and_words_for_booleans_are_suggested_without_quotes() {
        assert_eq!(meant_count(&value("\"1000\"")).as_deref(), Some("1000"));
        assert_eq!(meant_count(&value("\"10,000\"")).as_deref(), Some("10000"));
        assert_eq!(meant_count(&value("3.0")).as_deref(), Some("3"));
        assert_eq!(meant_count(&value("3.5")), None);
        assert_eq!(meant_count(&value("\"ten\"")), None);
        assert_eq!(meant_truth(&value("\"Yes\"")), Some("true"));
        assert_eq!(meant_truth(&value("0")), Some("false"));
        assert_eq!(meant_truth(&value("\"maybe\"")), None);
    }
}
