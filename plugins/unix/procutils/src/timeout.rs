//! `timeout`: a command that is ended after a time.

use std::time::{Duration, Instant};

use unix_common::syntax::{Syntax, Take};
use whelk_guest::process::{
    self, Change, Child, Command, Disposition, Event, Signal, Target, next_signal, poll, poll_timeout, set_disposition,
};

use crate::start::{failed, told, without_number};

const SYNTAX: Syntax = Syntax {
    name: "timeout",
    usage: "timeout [OPTION] DURATION COMMAND [ARG]...",
    status: 125,
    options: &[
        ('s', "signal", Take::Value),
        ('k', "kill-after", Take::Value),
        ('v', "verbose", Take::Nothing),
        ('p', "preserve-status", Take::Nothing),
        ('f', "foreground", Take::Nothing),
    ],
    stops: true,
};

/// What is passed on to the command.
const PASSED_ON: [Signal; 4] = [Signal::Hup, Signal::Int, Signal::Quit, Signal::Term];

pub(crate) fn main(words: Vec<String>) -> u8 {
    let given = match SYNTAX.parse(words) {
        Ok(given) => given,
        Err(refusal) => return told(&refusal),
    };
    let [time, program, arguments @ ..] = given.operands.as_slice() else {
        return told(&SYNTAX.refuse("missing operand"));
    };
    let Some(time) = duration(time) else {
        return told(&SYNTAX.refuse(&format!("invalid time interval '{time}'")));
    };
    let kill_after = match given.value('k').map(|text| (text, duration(text))) {
        Some((text, None)) => return told(&SYNTAX.refuse(&format!("invalid time interval '{text}'"))),
        Some((_, time)) => time,
        None => None,
    };
    let name = given.value('s').unwrap_or("TERM");
    let Some(signal) = signal(name) else {
        return told(&SYNTAX.refuse(&format!("'{name}': invalid signal")));
    };
    for signal in PASSED_ON {
        if let Err(error) = set_disposition(signal, Disposition::Catch) {
            eprintln!("timeout: {}", without_number(&error));
            return 125;
        }
    }
    let mut command = Command::new(program);
    let mut child = match command.args(arguments).spawn() {
        Ok(child) => child,
        Err(error) => return failed("timeout", program, &error),
    };
    let told = given.has('v').then_some(program.as_str());
    let ended = wait(&mut child, (!time.is_zero()).then_some(time));
    if let Some(status) = ended {
        return status;
    }
    send(&child, signal, told);
    let mut killed = signal == Signal::Kill;
    let mut ended = wait(&mut child, kill_after.filter(|time| !time.is_zero()));
    if ended.is_none() {
        killed = true;
        send(&child, Signal::Kill, told);
        ended = wait(&mut child, None);
    }
    match ended {
        _ if killed => 137,
        Some(status) if given.has('p') => status,
        _ => 124,
    }
}

/// Waits for the end of the child, not longer than this, and passes on signals. Its status, as shells have it.
fn wait(child: &mut Child, time: Option<Duration>) -> Option<u8> {
    let end = time.map(|time| Instant::now() + time);
    loop {
        while let Some(change) = child.try_change() {
            if let Change::Exited(status) = change {
                return Some(status.shell_status());
            }
        }
        while let Some(signal) = next_signal() {
            send(child, signal, None);
        }
        let events = [Event::Changed(child), Event::Signal];
        match end {
            None => drop(poll(&events)),
            Some(end) => {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                poll_timeout(&events, left);
            }
        }
    }
}

fn send(child: &Child, signal: Signal, told: Option<&str>) {
    if let Some(program) = told {
        eprintln!("timeout: sending signal {} to command '{program}'", signal.name());
    }
    // It may have ended in the meantime.
    let _ = process::kill(Target::Process(child.id()), signal);
    // One that is stopped would not end.
    let _ = process::kill(Target::Process(child.id()), Signal::Cont);
}

/// A number, with a fraction and a unit.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = match text.char_indices().last()? {
        (place, 's') => (&text[..place], 1.0),
        (place, 'm') => (&text[..place], 60.0),
        (place, 'h') => (&text[..place], 3600.0),
        (place, 'd') => (&text[..place], 86400.0),
        _ => (text, 1.0),
    };
    let number: f64 = number.parse().ok().filter(|number: &f64| *number >= 0.0)?;
    // What is longer than any session never ends.
    Some(Duration::try_from_secs_f64(number * unit).unwrap_or(Duration::ZERO))
}

fn signal(name: &str) -> Option<Signal> {
    let number = name.parse::<u8>().ok();
    let by_number = |number: u8| Signal::ALL.iter().find(|signal| signal.number() == number).copied();
    number.map_or_else(|| name.to_ascii_uppercase().parse().ok(), by_number)
}
