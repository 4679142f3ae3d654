//! `kill`: signals to processes and groups of the session.

use whelk_guest::process::{self, Signal, Target};

use crate::start::without_number;

const HELP: &str = "Try 'kill --help' for more information.";

pub(crate) fn main(words: Vec<String>) -> u8 {
    let mut words = words.into_iter().peekable();
    let mut signal = Some(Signal::Term);
    match words.peek().map(String::as_str) {
        None => return usage("no process ID specified"),
        Some("--help") => {
            println!("Usage: kill [-s SIGNAL | -SIGNAL] PID...\n  or:  kill -l [SIGNAL]...");
            return 0;
        }
        Some("--version") => {
            println!("kill (Whelk) {}", env!("CARGO_PKG_VERSION"));
            return 0;
        }
        Some("-l" | "--list" | "-L" | "-t" | "--table") => return list(words.skip(1)),
        Some("--") => drop(words.next()),
        Some("-s" | "-n" | "--signal") => {
            let option = words.next().unwrap_or_default();
            let Some(name) = words.next() else {
                let letter = option.trim_start_matches('-');
                return usage(&format!("option requires an argument -- '{letter}'"));
            };
            match named(&name) {
                Some(found) => signal = found,
                None => return usage(&format!("'{name}': invalid signal")),
            }
        }
        Some(word) if word.len() > 1 && word.starts_with('-') => {
            let word = words.next().unwrap_or_default();
            let name = word.strip_prefix("--signal=").unwrap_or(&word[1..]);
            match named(name) {
                Some(found) => signal = found,
                None => return usage(&format!("'{name}': invalid signal")),
            }
        }
        Some(_) => {}
    }
    if words.peek().is_some_and(|word| word == "--") {
        words.next();
    }
    if words.peek().is_none() {
        return usage("no process ID specified");
    }
    let failed = words.map(|word| send(&word, signal)).filter(|sent| !sent).count();
    u8::from(failed > 0)
}

/// Sends it to a process, or with a minus to a group. Whether that went well.
fn send(word: &str, signal: Option<Signal>) -> bool {
    let target = match word.strip_prefix('-').map(str::parse) {
        Some(Ok(group)) => Target::Group(group),
        Some(Err(_)) => return told(&format!("'{word}': invalid process id")),
        None => match word.parse() {
            Ok(0) => Target::Group(0),
            Ok(process) => Target::Process(process),
            Err(_) => return told(&format!("'{word}': invalid process id")),
        },
    };
    let sent = match signal {
        Some(signal) => process::kill(target, signal).map_err(|error| without_number(&error)),
        None if process::exists(target) => Ok(()),
        None => Err("No such process".to_owned()),
    };
    sent.map_or_else(|error| told(&format!("({word}) - {error}")), |()| true)
}

/// The signal of a name or a number; `Some(None)` for 0, which only looks.
fn named(word: &str) -> Option<Option<Signal>> {
    if word == "0" || word == "EXIT" {
        return Some(None);
    }
    let signal = match word.parse::<u8>() {
        // A status of a shell, too.
        Ok(number) => Signal::ALL.iter().find(|signal| signal.number() == number % 128).copied(),
        Err(_) => word.to_ascii_uppercase().parse().ok(),
    };
    signal.map(Some)
}

/// The names of signals, or of numbers their names and the other way round.
fn list(words: impl Iterator<Item = String>) -> u8 {
    let mut words = words.peekable();
    if words.peek().is_none() {
        Signal::ALL.iter().for_each(|signal| println!("{}", signal.name()));
        return 0;
    }
    let mut status = 0;
    for word in words {
        match (word.parse::<u8>().is_ok(), named(&word)) {
            (true, Some(Some(signal))) => println!("{}", signal.name()),
            (false, Some(Some(signal))) => println!("{}", signal.number()),
            (true, Some(None)) => println!("EXIT"),
            (false, Some(None)) => println!("0"),
            (_, None) => status = usage(&format!("'{word}': invalid signal")),
        }
    }
    status
}

fn told(message: &str) -> bool {
    eprintln!("kill: {message}");
    false
}

fn usage(message: &str) -> u8 {
    eprintln!("kill: {message}\n{HELP}");
    1
}
