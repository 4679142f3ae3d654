//! The calendar, in UTC, and strftime(3).

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A moment: seconds since 1970, and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Seconds since 1970-01-01 00:00:00 UTC; negative before.
    pub seconds: i64,
    /// Nanoseconds, below 10^9.
    pub nanoseconds: u32,
}

/// A moment on the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// The year.
    pub year: i64,
    /// The month, 1 to 12.
    pub month: u8,
    /// The day of the month, 1 to 31.
    pub day: u8,
    /// The hour.
    pub hour: u8,
    /// The minute.
    pub minute: u8,
    /// The second.
    pub second: u8,
    /// The day of the week, 0 for Sunday.
    pub weekday: u8,
    /// The day of the year, 0 to 365.
    pub day_of_year: u16,
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self { seconds: after.as_secs().cast_signed(), nanoseconds: after.subsec_nanos() },
            Err(error) => {
                let before = error.duration();
                let part = before.subsec_nanos();
                let borrowed = i64::from(part > 0);
                Self {
                    seconds: -before.as_secs().cast_signed() - borrowed,
                    nanoseconds: if part > 0 { 1_000_000_000 - part } else { 0 },
                }
            }
        }
    }
}

/// Days from 1970-01-01 to a date. Howard Hinnant's `days_from_civil`.
pub fn days_from_date(year: i64, month: u8, day: u8) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * shifted + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

impl Moment {
    /// The moment on the calendar, in UTC.
    pub fn date(self) -> Date {
        let days = self.seconds.div_euclid(86_400);
        let in_day = self.seconds.rem_euclid(86_400);
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let part = (5 * day_of_year + 2) / 153;
        let day = small(day_of_year - (153 * part + 2) / 5 + 1);
        let month = small(if part < 10 { part + 3 } else { part - 9 });
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let day_of_year = u16::try_from(days - days_from_date(year, 1, 1)).unwrap_or_default();
        Date {
            year,
            month,
            day,
            hour: small(in_day / 3_600),
            minute: small(in_day / 60 % 60),
            second: small(in_day % 60),
            weekday: small((days + 4).rem_euclid(7)),
            day_of_year,
        }
    }

    /// The moment in a format of strftime(3), in UTC and English. An unknown directive stays as it is.
    pub fn format(self, format: &str) -> String {
        let mut text = String::new();
        let mut rest = format.chars();
        while let Some(character) = rest.next() {
            if character != '%' {
                text.push(character);
                continue;
            }
            match rest.next() {
                // Other forms of the locale, which English has not.
                Some('E' | 'O') => self.directive(rest.next().unwrap_or('%'), &mut text),
                Some('-') => {
                    let mut padded = String::new();
                    self.directive(rest.next().unwrap_or('%'), &mut padded);
                    let bare = padded.trim_start_matches(['0', ' ']);
                    text.push_str(if bare.is_empty() { "0" } else { bare });
                }
                Some(letter) => self.directive(letter, &mut text),
                None => text.push('%'),
            }
        }
        text
    }

    fn directive(self, letter: char, text: &mut String) {
        let date = self.date();
        let weekday = DAYS[usize::from(date.weekday)];
        let month = MONTHS[usize::from(date.month) - 1];
        let half = if date.hour < 12 { "AM" } else { "PM" };
        let twelve = if date.hour.is_multiple_of(12) { 12 } else { date.hour % 12 };
        let (iso_year, iso_week) = date.iso_week();
        let week = |first: u16| (date.day_of_year + 7 - first) / 7;
        // Writing to a string cannot fail.
        let _ = match letter {
            'a' => write!(text, "{}", &weekday[..3]),
            'A' => write!(text, "{weekday}"),
            'b' | 'h' => write!(text, "{}", &month[..3]),
            'B' => write!(text, "{month}"),
            'c' => write!(text, "{}", self.format("%a %b %e %H:%M:%S %Y")),
            'C' => write!(text, "{:02}", date.year / 100),
            'd' => write!(text, "{:02}", date.day),
            'D' | 'x' => write!(text, "{}", self.format("%m/%d/%y")),
            'e' => write!(text, "{:2}", date.day),
            'F' => write!(text, "{}", self.format("%Y-%m-%d")),
            'g' => write!(text, "{:02}", iso_year.rem_euclid(100)),
            'G' => write!(text, "{iso_year}"),
            'H' => write!(text, "{:02}", date.hour),
            'I' => write!(text, "{twelve:02}"),
            'j' => write!(text, "{:03}", date.day_of_year + 1),
            'k' => write!(text, "{:2}", date.hour),
            'l' => write!(text, "{twelve:2}"),
            'm' => write!(text, "{:02}", date.month),
            'M' => write!(text, "{:02}", date.minute),
            'n' => text.write_char('\n'),
            'N' => write!(text, "{:09}", self.nanoseconds),
            'p' => write!(text, "{half}"),
            'P' => write!(text, "{}", half.to_lowercase()),
            'r' => write!(text, "{}", self.format("%I:%M:%S %p")),
            'R' => write!(text, "{}", self.format("%H:%M")),
            's' => write!(text, "{}", self.seconds),
            'S' => write!(text, "{:02}", date.second),
            't' => write!(text, "\t"),
            'T' | 'X' => write!(text, "{}", self.format("%H:%M:%S")),
            'u' => write!(text, "{}", if date.weekday == 0 { 7 } else { date.weekday }),
            'U' => write!(text, "{:02}", week(u16::from(date.weekday))),
            'V' => write!(text, "{iso_week:02}"),
            'w' => write!(text, "{}", date.weekday),
            'W' => write!(text, "{:02}", week(u16::from((date.weekday + 6) % 7))),
            'y' => write!(text, "{:02}", date.year.rem_euclid(100)),
            'Y' => write!(text, "{}", date.year),
            'z' => write!(text, "+0000"),
            'Z' => write!(text, "UTC"),
            '%' => write!(text, "%"),
            other => write!(text, "%{other}"),
        };
    }
}

impl Date {
    /// The year and the week of ISO 8601: weeks begin on Monday, and the first has the year's first Thursday.
    fn iso_week(&self) -> (i64, i64) {
        let days = days_from_date(self.year, self.month, self.day);
        let thursday = days - (i64::from(self.weekday) + 6) % 7 + 3;
        let year = Moment { seconds: thursday * 86_400, nanoseconds: 0 }.date().year;
        (year, (thursday - days_from_date(year, 1, 1)) / 7 + 1)
    }
}

fn small(number: i64) -> u8 {
    u8::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_their_dates() {
        let moment = |seconds| Moment { seconds, nanoseconds: 5 };
        assert_eq!(moment(1_700_000_000).format("%F %T.%N %a %j %V"), "2023-11-14 22:13:20.000000005 Tue 318 46");
        assert_eq!(moment(951_782_400).format("%c|%-d|%e|%U|%W|%G"), "Tue Feb 29 00:00:00 2000|29|29|09|09|2000");
        assert_eq!(moment(-1).format("%F %r"), "1969-12-31 11:59:59 PM");
        assert_eq!(moment(1_609_459_200).format("%G-%V %u"), "2020-53 5");
        assert_eq!(days_from_date(1970, 1, 1), 0);
    }
}
