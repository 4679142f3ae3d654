//! How figures are shown to people: short, with a unit.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::cli::inspect::harmless;

/// Bytes with a unit of 1024: `900`, `1.5K`, `12M`.
pub(super) fn bytes(bytes: u64) -> String {
    let (mut number, mut unit) = (bytes as f64, "");
    for next in ["K", "M", "G", "T", "P"] {
        if number < 1024.0 {
            break;
        }
        (number, unit) = (number / 1024.0, next);
    }
    if unit.is_empty() || number >= 10.0 { format!("{number:.0}{unit}") } else { format!("{number:.1}{unit}") }
}

/// A time in its two largest units: `9s`, `3m20s`, `5h01m`, `2d03h`.
pub(super) fn seconds(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// Processor time: `0.04s`, `12.3s`, and from a minute on as [`seconds`].
pub(super) fn processor_time(milliseconds: u64) -> String {
    let time = Duration::from_millis(milliseconds).as_secs_f64();
    match milliseconds {
        0..10_000 => format!("{time:.2}s"),
        10_000..60_000 => format!("{time:.1}s"),
        _ => seconds(milliseconds / 1000),
    }
}

/// A time of RFC 3339 by the clock on the wall here: `11-30 14:05`.
pub(super) fn local(time: &str) -> String {
    let shown = |time: Timestamp| TimeZone::system().to_datetime(time).strftime("%m-%d %H:%M").to_string();
    time.parse().map_or_else(|_| harmless(time), shown)
}

/// A text of strangers without control characters, at most `most` columns of it, or `-` if there is none.
pub(super) fn text(text: Option<&str>, most: usize) -> String {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return "-".to_owned() };
    let mut shown = harmless(text);
    if shown.width() > most {
        shorten(&mut shown, most.saturating_sub(3));
        shown.push_str("...");
    }
    shown
}

/// Keeps the beginning that takes at most so many columns.
fn shorten(text: &mut String, most: usize) {
    let mut columns = 0;
    let end = text.char_indices().find(|(_, character)| {
        columns += character.width().unwrap_or_default();
        columns > most
    });
    let end = end.map(|(at, _)| at);
    text.truncate(end.unwrap_or(text.len()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_a_unit_that_fits() {
        let sizes = [0, 1023, 1024, 1536, 10 << 10, (1 << 20) - 1, 5 << 30, u64::MAX].map(bytes);
        assert_eq!(sizes, ["0", "1023", "1.0K", "1.5K", "10K", "1024K", "5.0G", "16384P"]);
        let times = [0, 59, 60, 200, 3599, 3600, 18_060, 86_399, 183_600].map(seconds);
        assert_eq!(times, ["0s", "59s", "1m00s", "3m20s", "59m59s", "1h00m", "5h01m", "23h59m", "2d03h"]);
        let used = [0, 41, 9_999, 12_345, 59_999, 60_000, 7_200_000].map(processor_time);
        assert_eq!(used, ["0.00s", "0.04s", "10.00s", "12.3s", "60.0s", "1m00s", "2h00m"]);
    }

    #[test]
    fn texts_of_strangers_are_harmless_and_short() {
        let shown = [None, Some(""), Some("alice"), Some("\u{1b}]0;x\u{7}"), Some("0123456789")];
        let shown = shown.map(|shown| text(shown, 8));
        assert_eq!(shown, ["-", "-", "alice", "\\x1b]...", "01234..."]);
        let mut wide = "a漢字b".to_owned();
        shorten(&mut wide, 4);
        assert_eq!(wide, "a漢");
        assert_eq!(local("no time\u{9b}"), "no time\\u{9b}");
    }
}
