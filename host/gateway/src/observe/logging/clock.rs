//! The time of a line, as `2026-09-01T10:00:00.000000Z`. Most lines are of the second of the line before, so a thread
//! keeps the text of that.

use std::cell::RefCell;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

thread_local! {
    /// The last second of which this thread has written a line, since 1970, and its text.
    static LAST: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
}

/// The clock of the log.
pub(super) struct LineClock;

impl FormatTime for LineClock {
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        write_time(out, now.as_secs(), now.subsec_micros())
    }
}

fn write_time(out: &mut Writer<'_>, second: u64, micros: u32) -> fmt::Result {
    LAST.with_borrow_mut(|(last, text)| {
        if text.is_empty() || *last != second {
            let second_now = i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok());
            *text = second_now.unwrap_or(Timestamp::MAX).strftime("%Y-%m-%dT%H:%M:%S").to_string();
            *last = second;
        }
        out.write_str(text)?;
        // Six digits, with zeros in front.
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(1_000_000 + micros.min(999_999)).get(1..).unwrap_or_default();
        for part in [".", digits, "Z"] {
            out.write_str(part)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_time_whether_its_second_is_that_of_the_line_before_or_not() {
        let time = |second, micros| {
            let mut text = String::new();
            write_time(&mut Writer::new(&mut text), second, micros).map(|()| text)
        };
        assert_eq!(time(0, 0).as_deref(), Ok("1970-01-01T00:00:00.000000Z"));
        for micros in [1, 999_999] {
            assert_eq!(time(1_788_256_800, micros), Ok(format!("2026-09-01T10:00:00.{micros:06}Z")));
        }
        assert_eq!(time(1_788_256_799, 40).as_deref(), Ok("2026-09-01T09:59:59.000040Z"));
        assert!(time(u64::MAX, 0).is_ok());
    }
}
