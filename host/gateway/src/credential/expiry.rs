//! The times of `expiry-time=`, sshd(8).

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

/// Reads `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, in the system's time zone, or in UTC with `Z` or `UTC` at its
/// end. Returns seconds since 1970.
///
/// # Errors
/// It is of another form, no date, or before 1970.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let upper = text.to_ascii_uppercase();
    let (digits, zone) = match upper.strip_suffix('Z').or_else(|| upper.strip_suffix("UTC")) {
        Some(digits) => (digits, TimeZone::UTC),
        None => (upper.as_str(), TimeZone::system()),
    };
    in_zone(digits, zone).ok_or_else(|| {
        format!("has the time {text:?}: write YYYYMMDD or YYYYMMDDHHMM[SS], with a Z at its end for UTC")
    })
}

fn in_zone(digits: &str, zone: TimeZone) -> Option<u64> {
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to).map_or(Some(0), |part| part.parse::<i8>().ok());
    let date = Date::new(digits.get(..4)?.parse().ok()?, part(4, 6)?, part(6, 8)?).ok()?;
    let time = Time::new(part(8, 10)?, part(10, 12)?, part(12, 14)?, 0).ok()?;
    let seconds = zone.to_timestamp(DateTime::from_parts(date, time)).ok()?.as_second();
    u64::try_from(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_day_a_minute_or_a_second() {
        for (text, seconds) in [
            ("20261129Z", 1_795_910_400),
            ("202611291200Z", 1_795_953_600),
            ("20261129120005Z", 1_795_953_605),
            ("20261129120005z", 1_795_953_605),
            ("20261129UTC", 1_795_910_400),
            ("19700101Z", 0),
            ("99991230Z", 253_402_128_000),
        ] {
            assert_eq!(parse(text), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn without_a_zone_it_is_the_systems() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(in_zone("202611291200", zone), Some(1_795_953_600 - 7200));
        assert!(parse("20261129").is_ok());
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "Z",
            "2026",
            "2026-11-29",
            "20261301",
            "20260230",
            "20261129 1200",
            "2026112912",
            "202611292460",
            "19691231Z",
            "202611291200005",
            "+2026112",
            "tomorrow",
            "20261129+1",
        ] {
            assert!(parse(text).unwrap_err().contains("YYYYMMDD"), "{text}");
        }
    }
}
