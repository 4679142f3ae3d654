//! A file as a line of `ls -l`: the `longname` of a NAME reply (draft-ietf-secsh-filexfer-02 §7), which clients show as
//! it is. The format is that of OpenSSH's sftp-server.

use std::io::Write;

use crate::attributes::mode;
use crate::filesystem::Metadata;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY: u64 = 24 * 60 * 60;
/// Younger files are shown with the time of the day, older ones with the year.
const HALF_A_YEAR: u64 = 365 * DAY / 2;

/// Appends `-rw-r--r--    1 alice    alice          12 Nov 30 00:10 name`, in UTC.
/// `now`: seconds since 1970.
pub(crate) fn put(line: &mut Vec<u8>, name: &str, metadata: &Metadata, user: &str, now: u64) {
    let Metadata { links, size, modified, .. } = *metadata;
    put_mode(line, mode(metadata.kind));
    let date = Date::of(modified);
    let (month, day) = (MONTHS[usize::from(date.month - 1)], date.day);
    // Writing to a vector never fails.
    let _ = write!(line, "  {links:>3} {user:<8} {user:<8} {size:>8} {month} {day:>2} ");
    let is_recent = now < modified.saturating_add(HALF_A_YEAR) && now >= modified;
    let _ = if is_recent {
        let minutes = modified % DAY / 60;
        write!(line, "{:02}:{:02}", minutes / 60, minutes % 60)
    } else {
        write!(line, " {}", date.year)
    };
    line.push(b' ');
    line.extend_from_slice(name.as_bytes());
}

/// `drwxr-xr-x`.
fn put_mode(line: &mut Vec<u8>, mode: u32) {
    line.push(match mode & 0o170_000 {
        0o100_000 => b'-',
        0o040_000 => b'd',
        0o120_000 => b'l',
        0o020_000 => b'c',
        0o060_000 => b'b',
        0o010_000 => b'p',
        0o140_000 => b's',
        _ => b'?',
    });
    line.extend((0..9).map(|bit| if mode & (0o400 >> bit) == 0 { b'-' } else { b"rwx"[bit % 3] }));
}

/// A day of the Gregorian calendar.
#[derive(Debug, PartialEq, Eq)]
struct Date {
    year: u64,
    /// From 1.
    month: u8,
    /// From 1.
    day: u64,
}

impl Date {
    /// The day of a time in UTC, in seconds since 1970. Counts years from March on, as Hinnant's `civil_from_days`: the
    /// day that a leap year has more is then the last of the year.
    fn of(seconds: u64) -> Self {
        const CYCLE: u64 = 146_097;
        let days = seconds / DAY + 719_468;
        let (cycle, day_of_cycle) = (days / CYCLE, days % CYCLE);
        let year_of_cycle =
            (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36524 - day_of_cycle / (CYCLE - 1)) / 365;
        let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let months = (5 * day_of_year + 2) / 153;
        let month = if months < 10 { months + 3 } else { months - 9 };
        Self {
            year: year_of_cycle + cycle * 400 + u64::from(month <= 2),
            month: u8::try_from(month).unwrap_or(1),
            day: day_of_year - (153 * months + 2) / 5 + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filesystem::FileKind;

    fn line(kind: FileKind, size: u64, modified: u64, now: u64) -> String {
        let mut line = Vec::new();
        put(&mut line, "name", &Metadata { kind, size, links: 1, accessed: 0, modified }, "alice", now);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line_is_as_openssh_writes_it() {
        // 2024-02-29 12:34:56 UTC.
        let time = 1_709_210_096;
        assert_eq!(
            line(FileKind::Regular, 12, time, time + 60),
            "-rw-r--r--    1 alice    alice          12 Feb 29 12:34 name"
        );
        assert_eq!(
            line(FileKind::Directory, 123_456_789_012, time, time + HALF_A_YEAR),
            "drwxr-xr-x    1 alice    alice    123456789012 Feb 29  2024 name"
        );
        assert_eq!(line(FileKind::Link, 0, 0, time), "lrwxrwxrwx    1 alice    alice           0 Jan  1  1970 name");
        assert_eq!(line(FileKind::Fifo, 0, time + 1, time).get(42..), Some(" Feb 29  2024 name"));
    }

    #[test]
    fn dates_are_right() {
        let date = |year, month, day| Date { year, month, day };
        assert_eq!(Date::of(0), date(1970, 1, 1));
        assert_eq!(Date::of(951_782_400), date(2000, 2, 29));
        assert_eq!(Date::of(951_868_800), date(2000, 3, 1));
        assert_eq!(Date::of(4_107_542_400), date(2100, 3, 1));
        assert_eq!(Date::of(1_735_689_599), date(2024, 12, 31));
        // Any number a file system may hold has some date.
        assert_eq!(Date::of(u64::MAX), date(584_554_051_223, 11, 9));
    }
}
