//! What names mean: `alias`, `command`, `type`, `hash`, `builtin`, `enable`.

use super::arguments::{options, write};
use crate::state::{Run, Shell};
use crate::syntax::function_text;
use crate::text::quote_single;
use std::rc::Rc;

const RESERVED: &[&str] = &[
    "!", "[[", "]]", "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in",
    "select", "then", "time", "until", "while", "{", "}",
];

pub(super) fn alias(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (_, at) = match options(shell, fields, "p", "") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let head = if shell.posix() { "" } else { "alias " };
    let line = |name: &str, value: &str| format!("{head}{name}={}\n", quote_single(value));
    if fields.len() == at {
        let text: String = shell.aliases.iter().map(|(name, value)| line(name, value)).collect();
        return Ok(write(shell, &text));
    }
    let mut status = 0;
    let mut text = String::new();
    for field in &fields[at..] {
        if let Some((name, value)) = field.split_once('=').filter(|(name, _)| !name.is_empty()) {
            Rc::make_mut(&mut shell.aliases).insert(name.to_owned(), value.to_owned());
        } else if let Some(value) = shell.aliases.get(field) {
            text.push_str(&line(field, value));
        } else {
            shell.builtin_error(&format!("{field}: not found"));
            status = 1;
        }
    }
    Ok(write(shell, &text).max(status))
}

pub(super) fn unalias(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (found, at) = match options(shell, fields, "a", "") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    if !found.is_empty() {
        shell.aliases = Rc::default();
        return Ok(0);
    }
    if at == fields.len() {
        shell.builtin_error("usage: unalias [-a] name [name ...]");
        return Ok(2);
    }
    let mut status = 0;
    for name in &fields[at..] {
        if Rc::make_mut(&mut shell.aliases).remove(name).is_none() {
            shell.builtin_error(&format!("{name}: not found"));
            status = 1;
        }
    }
    Ok(status)
}

/// What one name is.
enum Meaning {
    Alias(String),
    Reserved,
    Function,
    Builtin,
    File(String),
}

fn meanings(shell: &mut Shell, name: &str, all: bool, functions: bool) -> Vec<Meaning> {
    let mut found = Vec::new();
    if let Some(value) = shell.aliases.get(name) {
        found.push(Meaning::Alias(value.clone()));
    }
    if RESERVED.contains(&name) {
        found.push(Meaning::Reserved);
    }
    let special = shell.posix() && shell.is_special_builtin(name);
    let function = functions && shell.functions.contains_key(name) && !special;
    if function {
        found.push(Meaning::Function);
    }
    if shell.builtin_of(name).is_some() {
        found.push(Meaning::Builtin);
    }
    if found.is_empty() || all {
        if name.contains('/') {
            let path = shell.absolute(name);
            let regular =
                shell.system.status(&path, true).is_ok_and(|status| status.kind != crate::system::FileKind::Directory);
            if regular && shell.system.may(&path, 'x') {
                found.push(Meaning::File(name.to_owned()));
            }
        } else {
            if let Some((path, _)) = shell.hashed.get(name).filter(|_| !all) {
                found.push(Meaning::File(path.clone()));
                return found;
            }
            let path = shell.text_of("PATH").unwrap_or_default();
            let folders: Vec<&str> = if all { path.split(':').collect() } else { vec![path.as_str()] };
            for folder in folders {
                if let Some((file, true)) = shell.search(name, folder) {
                    found.push(Meaning::File(file));
                }
            }
        }
    }
    if !all {
        found.truncate(1);
    }
    found
}

pub(super) fn command(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (found, at) = match options(shell, fields, "pvV", "") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let has = |letter| found.iter().any(|(found, _)| *found == letter);
    let rest = &fields[at..];
    let path = has('p').then(|| shell.text_of("PATH"));
    if path.is_some() {
        shell.set_text("PATH", "/bin:/usr/bin:/sbin:/usr/sbin");
        shell.hashed.clear();
    }
    let result = if has('v') || has('V') { Ok(describe(shell, rest, has('V'))) } else { run_command(shell, rest) };
    if let Some(path) = path {
        match path {
            Some(path) => shell.set_text("PATH", path),
            None => shell.variables.unset("PATH"),
        }
        shell.hashed.clear();
    }
    result
}

fn run_command(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let Some(name) = fields.first() else { return Ok(0) };
    match shell.builtin_of(name) {
        // A special builtin is none here: its errors do not end the shell.
        Some(builtin) => {
            shell.run_builtin(builtin, fields, false)?;
            shell.builtin_failed = false;
        }
        None => {
            shell.run_program(fields)?;
        }
    }
    Ok(shell.status)
}

fn describe(shell: &mut Shell, names: &[String], long: bool) -> i32 {
    let mut status = 0;
    let mut text = String::new();
    if names.is_empty() {
        return 0;
    }
    for name in names {
        let found = meanings(shell, name, false, true);
        let Some(meaning) = found.first() else {
            if long {
                shell.builtin_error(&format!("{name}: not found"));
            }
            status = 1;
            continue;
        };
        let line = match meaning {
            _ if long => long_text(shell, name, meaning),
            Meaning::Alias(value) => format!("alias {name}={}", quote_single(value)),
            Meaning::File(path) => absolute_name(shell, path),
            _ => name.clone(),
        };
        text.push_str(&line);
        text.push('\n');
    }
    write(shell, &text).max(status)
}

fn absolute_name(shell: &Shell, path: &str) -> String {
    if path.starts_with('/') || !shell.posix() { path.to_owned() } else { shell.absolute(path) }
}

fn long_text(shell: &Shell, name: &str, meaning: &Meaning) -> String {
    match meaning {
        Meaning::Alias(value) => format!("{name} is aliased to `{value}'"),
        Meaning::Reserved => format!("{name} is a shell keyword"),
        Meaning::Function => {
            let text =
                shell.functions.get(name).map(|function| function_text(name, &function.body)).unwrap_or_default();
            format!("{name} is a function\n{text}")
        }
        Meaning::Builtin if shell.posix() && shell.is_special_builtin(name) => {
            format!("{name} is a special shell builtin")
        }
        Meaning::Builtin => format!("{name} is a shell builtin"),
        Meaning::File(path) => match shell.hashed.get(name) {
            Some((hashed, _)) if hashed == path => format!("{name} is hashed ({path})"),
            _ => format!("{name} is {path}"),
        },
    }
}

/// `type`.
pub(super) fn kinds(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (found, at) = match options(shell, fields, "afptP", "") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let has = |letter| found.iter().any(|(found, _)| *found == letter);
    let mut status = 0;
    let mut text = String::new();
    for name in &fields[at..] {
        let mut found = meanings(shell, name, has('a') || has('P'), !has('f'));
        if has('P') {
            found.retain(|meaning| matches!(meaning, Meaning::File(_)));
        }
        if !has('a') {
            found.truncate(1);
        }
        if found.is_empty() {
            status = 1;
            if !has('t') && !has('p') && !has('P') {
                shell.builtin_error(&format!("{name}: not found"));
            }
        }
        for meaning in &found {
            let line = match meaning {
                Meaning::File(path) if has('p') || has('P') => path.clone(),
                _ if has('p') || has('P') => continue,
                _ if has('t') => match meaning {
                    Meaning::Alias(_) => "alias",
                    Meaning::Reserved => "keyword",
                    Meaning::Function => "function",
                    Meaning::Builtin => "builtin",
                    Meaning::File(_) => "file",
                }
                .to_owned(),
                meaning => long_text(shell, name, meaning),
            };
            text.push_str(&line);
            text.push('\n');
        }
    }
    Ok(write(shell, &text).max(status))
}

pub(super) fn builtin(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let Some(name) = fields.get(1) else { return Ok(0) };
    let Some(builtin) = shell.builtin_of(name) else {
        shell.builtin_error(&format!("{name}: not a shell builtin"));
        return Ok(1);
    };
    shell.run_builtin(builtin, &fields[1..], false)?;
    Ok(shell.status)
}

pub(super) fn hash(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (found, at) = match options(shell, fields, "rdlt", "p") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let has = |letter| found.iter().any(|(found, _)| *found == letter);
    if has('r') {
        shell.hashed.clear();
    }
    let names = &fields[at..];
    if names.is_empty() {
        if has('r') {
            return Ok(0);
        }
        if shell.hashed.is_empty() && !shell.posix() {
            return Ok(write(shell, "hash: hash table empty\n"));
        }
        let mut text = if shell.posix() || has('l') { String::new() } else { "hits\tcommand\n".to_owned() };
        for (name, (path, hits)) in &shell.hashed {
            text.push_str(&if has('l') {
                format!("builtin hash -p {path} {name}\n")
            } else {
                format!("{hits:4}\t{path}\n")
            });
        }
        return Ok(write(shell, &text));
    }
    let mut status = 0;
    let mut text = String::new();
    for name in names {
        if let Some((_, path)) = found.iter().find(|(letter, _)| *letter == 'p') {
            shell.hashed.insert(name.clone(), (path.clone(), 0));
        } else if has('d') {
            status = i32::from(shell.hashed.remove(name).is_none());
        } else if has('t') {
            match shell.hashed.get(name) {
                Some((path, _)) if has('l') => text.push_str(&format!("builtin hash -p {path} {name}\n")),
                Some((path, _)) if names.len() > 1 => text.push_str(&format!("{name}\t{path}\n")),
                Some((path, _)) => text.push_str(&format!("{path}\n")),
                None => {
                    shell.builtin_error(&format!("{name}: not found"));
                    status = 1;
                }
            }
        } else if shell.builtin_of(name).is_none() && !shell.functions.contains_key(name) && !name.contains('/') {
            shell.hashed.remove(name);
            match shell.find_program(name) {
                Ok(path) => {
                    shell.hashed.insert(name.clone(), (path, 0));
                }
                Err(_) => {
                    shell.builtin_error(&format!("{name}: not found"));
                    status = 1;
                }
            }
        }
    }
    Ok(write(shell, &text).max(status))
}

/// `enable`: lists builtins, and turns them on and off.
pub(super) fn enable(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (found, at) = match options(shell, fields, "anps", "") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let has = |letter| found.iter().any(|(found, _)| *found == letter);
    let mut status = 0;
    for name in &fields[at..] {
        if !shell.builtin_names().any(|(known, _)| known == name) {
            shell.builtin_error(&format!("{name}: not a shell builtin"));
            status = 1;
            continue;
        }
        shell.disabled.retain(|disabled| disabled != name);
        if has('n') {
            shell.disabled.push(name.clone());
        }
    }
    if at < fields.len() {
        return Ok(status);
    }
    let text: String = shell
        .builtin_names()
        .filter(|(_, special)| !has('s') || *special)
        .map(|(name, _)| (name, shell.builtin_of(name).is_some()))
        .filter(|(_, on)| has('a') || *on != has('n'))
        .map(|(name, on)| if on { format!("enable {name}\n") } else { format!("enable -n {name}\n") })
        .collect();
    Ok(write(shell, &text))
}
