//! The terminal and what is drawn on it: clear, stty, cal.

use std::time::SystemTime;

use unix_common::syntax::{Syntax, Take};
use unix_common::time::{Moment, days_from_date};
use whelk_guest::terminal;

use super::command::parse;
use crate::utility::Arguments;

pub(super) fn clear(arguments: Arguments) -> i32 {
    const SYNTAX: Syntax = Syntax {
        name: "clear",
        usage: "clear [-x]",
        status: 1,
        options: &[('x', "", Take::Nothing), ('T', "", Take::Value), ('V', "", Take::Nothing)],
        stops: false,
    };
    match parse(&SYNTAX, arguments) {
        Err(status) => status,
        Ok(given) => {
            // With E3 the lines that were scrolled away are cleared, too.
            print!("\x1b[H\x1b[2J{}", if given.has('x') { "" } else { "\x1b[3J" });
            0
        }
    }
}

/// Names of flags: the opcode of RFC 4254 §8 and the name that stty has for it.
const FLAGS: &[(u8, &str)] = &[
    (30, "ignpar"),
    (31, "parmrk"),
    (32, "inpck"),
    (33, "istrip"),
    (34, "inlcr"),
    (35, "igncr"),
    (36, "icrnl"),
    (37, "iuclc"),
    (38, "ixon"),
    (39, "ixany"),
    (40, "ixoff"),
    (41, "imaxbel"),
    (42, "iutf8"),
    (50, "isig"),
    (51, "icanon"),
    (52, "xcase"),
    (53, "echo"),
    (54, "echoe"),
    (55, "echok"),
    (56, "echonl"),
    (57, "noflsh"),
    (58, "tostop"),
    (59, "iexten"),
    (60, "echoctl"),
    (61, "echoke"),
    (70, "opost"),
    (71, "olcuc"),
    (72, "onlcr"),
    (73, "ocrnl"),
    (74, "onocr"),
    (75, "onlret"),
];

/// What `stty raw` turns off, and `stty cooked` on.
const COOKED: [u8; 5] = [36, 38, 50, 51, 70];

pub(super) fn stty(arguments: Arguments) -> i32 {
    let words: Vec<String> = arguments.skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let Some(size) = terminal::size() else {
        eprintln!("stty: 'standard input': Inappropriate ioctl for device");
        return 1;
    };
    let modes = terminal::modes();
    let value = |opcode: u8| modes.iter().find(|mode| mode.opcode == opcode).map_or(0, |mode| mode.argument);
    let shown = || {
        let flags = FLAGS.iter().filter(|(opcode, _)| modes.iter().any(|mode| mode.opcode == *opcode));
        let flags = flags.map(|(opcode, name)| format!("{}{name}", if value(*opcode) == 0 { "-" } else { "" }));
        flags.collect::<Vec<_>>().join(" ")
    };
    match words.first().map(String::as_str) {
        None | Some("-a" | "--all") => {
            println!("speed 38400 baud; rows {}; columns {};\n{}", size.rows, size.columns, shown());
            return 0;
        }
        Some("size") => {
            println!("{} {}", size.rows, size.columns);
            return 0;
        }
        Some("-g" | "--save") => {
            let saved: Vec<String> = modes.iter().map(|mode| format!("{}={:x}", mode.opcode, mode.argument)).collect();
            println!("{}", saved.join(":"));
            return 0;
        }
        Some(_) => {}
    }
    let changes = match changes(&words) {
        Ok(changes) => changes,
        Err(status) => return status,
    };
    let named = |(opcode, argument): &(u8, u32)| whelk_guest::TerminalMode { opcode: *opcode, argument: *argument };
    match terminal::set_modes(&changes.iter().map(named).collect::<Vec<_>>()) {
        Ok(()) => 0,
        Err(_) => {
            eprintln!("stty: 'standard input': unable to perform all requested operations");
            1
        }
    }
}

/// The modes that the words change, or the status after a message.
fn changes(words: &[String]) -> Result<Vec<(u8, u32)>, i32> {
    let mut changes: Vec<(u8, u32)> = Vec::new();
    for word in words {
        let (name, on) = word.strip_prefix('-').map_or((word.as_str(), true), |name| (name, false));
        match name {
            "raw" | "cooked" => {
                let cooked = (name == "cooked") == on;
                changes.extend(COOKED.iter().map(|opcode| (*opcode, u32::from(cooked))));
            }
            "sane" => {
                changes.extend([36, 38, 50, 51, 53, 54, 55, 59, 60, 61, 70, 72].into_iter().map(|opcode| (opcode, 1)))
            }
            "cbreak" => changes.push((51, u32::from(!on))),
            _ => {
                let flag = FLAGS.iter().find(|(_, flag)| *flag == name);
                let saved: Option<Vec<(u8, u32)>> = word.split(':').map(saved_mode).collect();
                match (flag, saved) {
                    (Some((opcode, _)), _) => changes.push((*opcode, u32::from(on))),
                    (None, Some(saved)) => changes.extend(saved),
                    (None, None) => {
                        eprintln!("stty: invalid argument '{word}'\nTry 'stty --help' for more information.");
                        return Err(1);
                    }
                }
            }
        }
    }
    Ok(changes)
}

/// A mode as `stty -g` writes it.
fn saved_mode(text: &str) -> Option<(u8, u32)> {
    let (opcode, argument) = text.split_once('=')?;
    Some((opcode.parse().ok()?, u32::from_str_radix(argument, 16).ok()?))
}

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

pub(super) fn cal(arguments: Arguments) -> i32 {
    const SYNTAX: Syntax = Syntax {
        name: "cal",
        usage: "cal [[MONTH] YEAR]",
        status: 1,
        options: &[('m', "monday", Take::Nothing), ('y', "year", Take::Nothing)],
        stops: false,
    };
    let given = match parse(&SYNTAX, arguments) {
        Ok(given) => given,
        Err(status) => return status,
    };
    let today = Moment::from(SystemTime::now()).date();
    let (this_year, this_month) = (u32::try_from(today.year).unwrap_or_default(), u32::from(today.month));
    let number = |text: &String| text.parse::<u32>().ok();
    let (year, month) = match given.operands.as_slice() {
        [] if given.has('y') => (Some(this_year), None),
        [] => (Some(this_year), Some(this_month)),
        [year] => (number(year), None),
        [month, year] => (number(year), number(month).filter(|month| (1..=12).contains(month)).or(Some(0))),
        _ => return SYNTAX.refuse("too many arguments").tell(),
    };
    let Some(year) = year.filter(|year| (1..=9999).contains(year)) else {
        eprintln!("cal: not a valid year {}", given.operands.last().map_or("", String::as_str));
        return 1;
    };
    match month {
        Some(0) => {
            eprintln!("cal: {} is neither a month number (1..12) nor a name", given.operands[0]);
            1
        }
        Some(month) => {
            let title = format!("{} {year}", MONTHS[month as usize - 1]);
            print(&[month_lines(year, month, &title, given.has('m'))]);
            0
        }
        None => {
            println!("{}", format!("{:^64}", year).trim_end());
            for months in [1, 4, 7, 10] {
                let lines = |month: u32| month_lines(year, month, MONTHS[month as usize - 1], given.has('m'));
                print(&[lines(months), lines(months + 1), lines(months + 2)]);
            }
            0
        }
    }
}

fn print(months: &[Vec<String>]) {
    for line in 0..8 {
        let row: Vec<&str> = months.iter().map(|month| month[line].as_str()).collect();
        println!("{}", row.join("  "));
    }
}

/// Eight lines of twenty columns: the title, the days, and six weeks.
fn month_lines(year: u32, month: u32, title: &str, from_monday: bool) -> Vec<String> {
    let names = if from_monday { "Mo Tu We Th Fr Sa Su" } else { "Su Mo Tu We Th Fr Sa" };
    let mut lines = vec![format!("{title:^20}"), names.to_owned()];
    let first = (weekday(year, month) + if from_monday { 6 } else { 0 }) % 7;
    let mut cells: Vec<String> = vec!["  ".to_owned(); first as usize];
    cells.extend((1..=days_of(year, month)).map(|day| format!("{day:2}")));
    cells.resize(42, "  ".to_owned());
    lines.extend(cells.chunks(7).map(|week| week.join(" ")));
    lines
}

fn days_of(year: u32, month: u32) -> u32 {
    let first = |year: u32, month: u32| days_from_date(i64::from(year), u8::try_from(month).unwrap_or(1), 1);
    let next = if month == 12 { first(year + 1, 1) } else { first(year, month + 1) };
    u32::try_from(next - first(year, month)).unwrap_or_default()
}

/// The weekday of the first of a month, from Sunday on.
fn weekday(year: u32, month: u32) -> u32 {
    // 1970-01-01 was a Thursday.
    let days = days_from_date(i64::from(year), u8::try_from(month).unwrap_or(1), 1) + 4;
    u32::try_from(days.rem_euclid(7)).unwrap_or_default()
}
