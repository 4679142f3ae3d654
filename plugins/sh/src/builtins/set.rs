//! `set` and `shopt`.

use super::arguments::{options, write};
use super::declare::assignment_text;
use crate::state::{Run, SET_OPTIONS, SHOPTS, Shell};
use std::rc::Rc;

pub(super) fn set(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    if fields.len() == 1 {
        let names: Vec<String> = shell.variables.all().into_keys().cloned().collect();
        let mut text: String = names.iter().filter_map(|name| assignment_text(shell, name)).collect();
        if !shell.posix() {
            for (name, function) in shell.functions.iter() {
                text.push_str(&crate::syntax::function_text(name, &function.body));
                text.push('\n');
            }
        }
        return Ok(write(shell, &text));
    }
    let mut at = 1;
    while let Some(field) = fields.get(at) {
        let on = match field.chars().next() {
            Some('-') => true,
            Some('+') => false,
            _ => break,
        };
        at += 1;
        if field == "--" {
            shell.positional = Rc::new(fields[at..].to_vec());
            return Ok(0);
        }
        if field == "-" {
            shell.options.set("xtrace", false);
            shell.options.set("verbose", false);
            break;
        }
        for letter in field[1..].chars() {
            if letter == 'o' {
                let Some(name) = fields.get(at) else { return Ok(list(shell, on)) };
                at += 1;
                if !set_named(shell, name, on) {
                    shell.builtin_error(&format!("{name}: invalid option name"));
                    return Ok(2);
                }
                continue;
            }
            let Some((_, name)) = SET_OPTIONS.iter().find(|(known, _)| *known == letter && letter != ' ') else {
                shell.builtin_error(&format!("{}{letter}: invalid option", &field[..1]));
                return Ok(2);
            };
            set_named(shell, name, on);
        }
    }
    if at < fields.len() {
        shell.positional = Rc::new(fields[at..].to_vec());
    }
    Ok(0)
}

/// Sets an option of `set`. False: there is none of that name.
pub(crate) fn set_named(shell: &mut Shell, name: &str, on: bool) -> bool {
    if !SET_OPTIONS.iter().any(|(_, known)| *known == name) {
        return false;
    }
    if let ("verbose", Some(flag)) = (name, &shell.verbose) {
        flag.set(on);
    }
    shell.options.set(name, on)
}

fn list(shell: &mut Shell, readable: bool) -> i32 {
    let mut names: Vec<&str> = SET_OPTIONS.iter().map(|(_, name)| *name).collect();
    names.sort_unstable();
    let line = |name: &str| match (readable, shell.is_on(name)) {
        (true, on) => format!("{name:<15}\t{}\n", if on { "on" } else { "off" }),
        (false, on) => format!("set {}o {name}\n", if on { '-' } else { '+' }),
    };
    let text: String = names.into_iter().map(line).collect();
    write(shell, &text)
}

pub(super) fn shopt(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (found, at) = match options(shell, fields, "supqo", "") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let has = |letter| found.iter().any(|(found, _)| *found == letter);
    let of_set = has('o');
    let mut all: Vec<&str> = if of_set {
        SET_OPTIONS.iter().map(|(_, name)| *name).collect()
    } else {
        SHOPTS.iter().map(|(name, _)| *name).collect()
    };
    all.sort_unstable();
    let names = &fields[at..];
    let mut status = 0;
    let mut text = String::new();
    let line = |shell: &Shell, name: &str| match (has('p'), shell.is_on(name)) {
        (true, on) if of_set => format!("set {}o {name}\n", if on { '-' } else { '+' }),
        (true, on) => format!("shopt -{} {name}\n", if on { 's' } else { 'u' }),
        (false, on) => format!("{name:<15}\t{}\n", if on { "on" } else { "off" }),
    };
    if names.is_empty() {
        for name in all {
            let on = shell.is_on(name);
            let hidden = has('q') || if on { has('u') } else { has('s') };
            if !hidden {
                text.push_str(&line(shell, name));
            }
        }
        return Ok(write(shell, &text));
    }
    for name in names {
        if !all.contains(&name.as_str()) {
            shell.builtin_error(&format!("{name}: invalid shell option name"));
            status = 1;
        } else if has('s') || has('u') {
            shell.options.set(name, has('s'));
            if name == "extdebug" {
                // It turns on both, and off.
                shell.options.set("functrace", has('s'));
                shell.options.set("errtrace", has('s'));
            }
        } else {
            if !shell.is_on(name) {
                status = 1;
            }
            if !has('q') {
                text.push_str(&line(shell, name));
            }
        }
    }
    Ok(write(shell, &text).max(status))
}
