//! Calendar time, in UTC.

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
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

/// A time, `seconds` after 1970, as strftime(3) writes it in the POSIX locale.
pub(crate) fn format(format: &str, seconds: i64) -> String {
    let (day, second) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
    let (year, month, date) = civil(day);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let week_day = usize::try_from((day + 4).rem_euclid(7)).unwrap_or(0);
    let year_day = day - days_before(year);
    let month_name = MONTHS[usize::try_from(month - 1).unwrap_or(0).min(11)];
    let half = if hour % 12 == 0 { 12 } else { hour % 12 };
    let mut text = String::new();
    let mut chars = format.chars();
    while let Some(next) = chars.next() {
        if next != '%' {
            text.push(next);
            continue;
        }
        let nested = |inner: &str| self::format(inner, seconds);
        match chars.next() {
            Some('a') => text.push_str(&DAYS[week_day][..3]),
            Some('A') => text.push_str(DAYS[week_day]),
            Some('b' | 'h') => text.push_str(&month_name[..3]),
            Some('B') => text.push_str(month_name),
            Some('c') => text.push_str(&nested("%a %b %e %H:%M:%S %Y")),
            Some('C') => text.push_str(&format!("{:02}", year / 100)),
            Some('d') => text.push_str(&format!("{date:02}")),
            Some('D' | 'x') => text.push_str(&nested("%m/%d/%y")),
            Some('e') => text.push_str(&format!("{date:2}")),
            Some('F') => text.push_str(&nested("%Y-%m-%d")),
            Some('H') => text.push_str(&format!("{hour:02}")),
            Some('I') => text.push_str(&format!("{half:02}")),
            Some('j') => text.push_str(&format!("{:03}", year_day + 1)),
            Some('m') => text.push_str(&format!("{month:02}")),
            Some('M') => text.push_str(&format!("{minute:02}")),
            Some('n') => text.push('\n'),
            Some('p') => text.push_str(if hour < 12 { "AM" } else { "PM" }),
            Some('r') => text.push_str(&nested("%I:%M:%S %p")),
            Some('R') => text.push_str(&nested("%H:%M")),
            Some('s') => text.push_str(&seconds.to_string()),
            Some('S') => text.push_str(&format!("{second:02}")),
            Some('t') => text.push('\t'),
            Some('T' | 'X') => text.push_str(&nested("%H:%M:%S")),
            Some('u') => text.push_str(&(if week_day == 0 { 7 } else { week_day }).to_string()),
            Some('w') => text.push_str(&week_day.to_string()),
            Some('y') => text.push_str(&format!("{:02}", year.rem_euclid(100))),
            Some('Y') => text.push_str(&year.to_string()),
            Some('z') => text.push_str("+0000"),
            Some('Z') => text.push_str("UTC"),
            Some('%') => text.push('%'),
            Some(other) => {
                text.push('%');
                text.push(other);
            }
            None => text.push('%'),
        }
    }
    text
}

/// Year, month and day of a day after 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let date = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, date)
}

/// The days from 1970 to the first of January of a year.
fn days_before(year: i64) -> i64 {
    let before = year - 1;
    365 * (year - 1970) + (before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400)) - 477
}

#[cfg(test)]
mod tests {
    #[test]
    fn times() {
        assert_eq!(super::format("%Y-%m-%d %H:%M:%S %j %a", 0), "1970-01-01 00:00:00 001 Thu");
        assert_eq!(super::format("%F %T %j %A", 1_709_210_096), "2024-02-29 12:34:56 060 Thursday");
        assert_eq!(super::format("%F", -86_400), "1969-12-31");
    }
}
