//! `trap`.

use super::arguments::{options, write};
use super::jobs::signal_of;
use crate::state::{Run, Shell, TrapAction};
use crate::system::{Disposition, SIGNALS};
use crate::text::quote_single;

/// The name of a condition: EXIT, ERR, DEBUG, RETURN or a signal.
fn condition(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    match name {
        "0" | "EXIT" => Some("EXIT".to_owned()),
        "ERR" | "DEBUG" | "RETURN" => Some(name.to_owned()),
        _ => signal_of(text).map(str::to_owned),
    }
}

pub(super) fn trap(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (found, at) = match options(shell, fields, "lp", "") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let has = |letter| found.iter().any(|(found, _)| *found == letter);
    let rest = &fields[at..];
    if has('l') {
        let text: String = SIGNALS.iter().map(|(number, name)| format!("{number}) SIG{name}\n")).collect();
        return Ok(write(shell, &text));
    }
    if rest.is_empty() || has('p') {
        return Ok(list(shell, rest));
    }
    let resets = rest[0] == "-" || rest.len() == 1 && condition(&rest[0]).is_some() || rest[0].parse::<u32>().is_ok();
    let names = if resets && rest[0] != "-" { rest } else { &rest[1..] };
    let action = if resets {
        None
    } else if rest[0].is_empty() {
        Some(TrapAction::Ignore)
    } else {
        Some(TrapAction::Run(rest[0].as_str().into()))
    };
    if names.is_empty() {
        shell.builtin_error("usage: trap [-lp] [[arg] signal_spec ...]");
        return Ok(2);
    }
    shell.outer_traps = None;
    let mut status = 0;
    for name in names {
        let Some(condition) = condition(name) else {
            // That is no error of the syntax: the shell goes on.
            shell.report(&format!("trap: {name}: invalid signal specification"));
            status = 1;
            continue;
        };
        set(shell, &condition, action.clone());
    }
    Ok(status)
}

fn set(shell: &mut Shell, condition: &str, action: Option<TrapAction>) {
    if let Some(signal) = SIGNALS.iter().map(|(_, name)| *name).find(|name| *name == condition) {
        if shell.ignored.contains(&signal) && !shell.interactive {
            return;
        }
        let how = match &action {
            None => shell.disposition_without_trap(signal),
            Some(TrapAction::Ignore) => Disposition::Ignore,
            Some(TrapAction::Run(_)) => Disposition::Catch,
        };
        // KILL and STOP cannot be caught, and POSIX leaves open what is said then.
        let _ = shell.system.set_disposition(signal, how);
    }
    match action {
        Some(action) => shell.traps.insert(condition.to_owned(), action),
        None => shell.traps.remove(condition),
    };
}

fn list(shell: &mut Shell, names: &[String]) -> i32 {
    let traps = shell.outer_traps.clone().unwrap_or_else(|| shell.traps.clone());
    let mut text = String::new();
    let mut status = 0;
    let conditions: Vec<&str> =
        ["EXIT"].into_iter().chain(SIGNALS.iter().map(|(_, name)| *name)).chain(["DEBUG", "ERR", "RETURN"]).collect();
    let mut wanted = Vec::new();
    for name in names {
        match condition(name) {
            Some(condition) => wanted.push(condition),
            None => {
                shell.builtin_error(&format!("{name}: invalid signal specification"));
                status = 1;
            }
        }
    }
    // Those that are asked for are listed in that order.
    let chosen = if names.is_empty() { conditions } else { wanted.iter().map(String::as_str).collect() };
    for condition in chosen {
        let action = match traps.get(condition) {
            Some(TrapAction::Ignore) => "''".to_owned(),
            Some(TrapAction::Run(action)) => quote_single(action),
            None if shell.ignored.contains(&condition) => "''".to_owned(),
            None if !names.is_empty() && shell.posix() => "-".to_owned(),
            None => continue,
        };
        let prefix = if SIGNALS.iter().any(|(_, name)| *name == condition) && !shell.posix() { "SIG" } else { "" };
        text.push_str(&format!("trap -- {action} {prefix}{condition}\n"));
    }
    write(shell, &text).max(status)
}
