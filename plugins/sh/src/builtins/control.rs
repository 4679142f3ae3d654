//! Builtins that change what is executed next.

use super::arguments::options;
use crate::state::{Frame, Run, Shell, Stop};
use crate::syntax::{Parser, TextLines};
use crate::system::OpenHow;
use std::rc::Rc;

pub(super) fn success(_: &mut Shell, _: &[String]) -> Run<i32> {
    Ok(0)
}

pub(super) fn failure(_: &mut Shell, _: &[String]) -> Run<i32> {
    Ok(1)
}

/// The number that `exit`, `return`, `break` and the like got.
///
/// More than one number ends the complete command, or the text of `-c`.
fn number(shell: &mut Shell, fields: &[String]) -> Run<Result<Option<i64>, i32>> {
    let at = if fields.get(1).is_some_and(|field| field == "--") { 2 } else { 1 };
    let Some(field) = fields.get(at) else { return Ok(Ok(None)) };
    if fields.len() > at + 1 && field.trim().parse::<i64>().is_ok() {
        shell.builtin_error("too many arguments");
        if fields[0] == "exit" {
            return Ok(Err(1));
        }
        shell.status = 1;
        return Err(if shell.read_from == "-c" { Stop::Exit } else { Stop::Discard });
    }
    match field.trim().parse::<i64>() {
        Ok(number) => Ok(Ok(Some(number))),
        Err(_) => {
            shell.builtin_error(&format!("{field}: numeric argument required"));
            Ok(Err(2))
        }
    }
}

pub(super) fn exit(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    if let Some(with_user) = shell.with_user.clone().filter(|_| shell.interactive && shell.subshell == 0) {
        shell.say(with_user.leaving.get());
    }
    if shell.stays_for_jobs() {
        return Ok(1);
    }
    shell.status = match number(shell, fields)? {
        Ok(Some(number)) => (number & 0xFF) as i32,
        Ok(None) => shell.trap_status.filter(|_| shell.in_trap > 0).unwrap_or(shell.status),
        // With more than one number the shell goes on.
        Err(1) => return Ok(1),
        Err(status) => status,
    };
    Err(Stop::Exit)
}

pub(super) fn leave_function(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let status = match number(shell, fields)? {
        Ok(Some(number)) => (number & 0xFF) as i32,
        Ok(None) if shell.in_trap > 0 && shell.frames.len() == shell.tracing.frames => {
            shell.trap_status.unwrap_or(shell.status)
        }
        Ok(None) => shell.status,
        Err(status) => status,
    };
    if shell.frames.is_empty() && !(shell.posix() && shell.subshell == 0) {
        shell.builtin_error("can only `return' from a function or sourced script");
        return Ok(2);
    }
    if shell.frames.is_empty() {
        shell.status = status;
    }
    shell.returned = Some(status);
    Err(if shell.frames.is_empty() { Stop::Exit } else { Stop::Return })
}

/// `break` and `continue`.
pub(super) fn leave_loop(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let levels = match number(shell, fields)? {
        Ok(Some(number)) if number < 1 => {
            shell.builtin_error(&format!("{number}: loop count out of range"));
            if shell.loops > 0 {
                shell.status = 1;
                return Err(if shell.posix() { Stop::Exit } else { Stop::Break(u32::MAX) });
            }
            return Ok(1);
        }
        Ok(number) => u32::try_from(number.unwrap_or(1)).unwrap_or(u32::MAX),
        Err(_) => {
            shell.status = 128;
            return if shell.posix() { Err(Stop::Exit) } else { Err(Stop::Break(u32::MAX)) };
        }
    };
    if shell.loops == 0 {
        if !shell.posix() {
            shell.report(&format!("{}: only meaningful in a `for', `while', or `until' loop", fields[0]));
        }
        return Ok(0);
    }
    shell.status = 0;
    let levels = levels.min(shell.loops);
    Err(if fields[0] == "break" { Stop::Break(levels) } else { Stop::Continue(levels) })
}

pub(super) fn shift(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let count = match number(shell, fields)? {
        Ok(number) => number.unwrap_or(1),
        Err(_) => return Ok(1),
    };
    match usize::try_from(count) {
        Ok(count) if count <= shell.positional.len() => {
            Rc::make_mut(&mut shell.positional).drain(..count);
            Ok(0)
        }
        _ => {
            if shell.posix() || shell.is_on("shift_verbose") || count < 0 {
                shell.builtin_error(&format!("{count}: shift count out of range"));
            }
            Ok(1)
        }
    }
}

pub(super) fn eval(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (_, at) = match options(shell, fields, "", "") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let text = fields[at..].join(" ");
    shell.execute_text(&text, shell.line)?;
    Ok(shell.status)
}

/// The path of a script that `.` names: along PATH without a slash, and in bash at last here.
fn find_script(shell: &Shell, name: &str) -> Option<String> {
    if name.contains('/') {
        return Some(name.to_owned());
    }
    let path = shell.text_of("PATH").unwrap_or_default();
    let readable = |folder: &str| {
        let candidate = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let file = shell.absolute(&candidate);
        let regular =
            shell.system.status(&file, true).is_ok_and(|status| status.kind != crate::system::FileKind::Directory);
        (regular && shell.system.may(&file, 'r')).then_some(candidate)
    };
    let here = if shell.posix() { None } else { readable("") };
    path.split(':').find_map(readable).or(here)
}

/// `.` and `source`.
pub(super) fn source(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (_, at) = match options(shell, fields, "", "") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let Some(name) = fields.get(at) else {
        shell.builtin_error("filename argument required");
        return Ok(2);
    };
    let found = find_script(shell, name);
    let number = found.as_deref().and_then(|path| path.strip_prefix("/dev/fd/")).and_then(|number| number.parse().ok());
    let opened = match (&found, number) {
        (None, _) => Err(crate::system::Errno::ENOENT),
        (_, Some(number)) => shell.fds.get(&number).cloned().ok_or(crate::system::Errno::ENOENT),
        (Some(found), None) => shell.system.open(&shell.absolute(found), OpenHow { read: true, ..OpenHow::default() }),
    };
    let text = opened.and_then(|fd| shell.read_all(&fd));
    let text = match text {
        Ok(text) => text,
        Err(error) => {
            shell.builtin_failed = true;
            shell.report(&format!("{name}: {}", error.text));
            return Ok(1);
        }
    };
    let arguments = fields[at + 1..].to_vec();
    let outer = (!arguments.is_empty()).then(|| std::mem::replace(&mut shell.positional, Rc::new(arguments)));
    let line = shell.line;
    let source = found.unwrap_or_default();
    let listed = if fields.len() > at + 1 { &fields[at + 1..] } else { &fields[at..=at] };
    let listed = shell.is_on("extdebug").then(|| Rc::new(listed.to_vec()));
    shell.frames.push(Frame { name: name.clone(), source, line, is_function: false, arguments: listed, options: None });
    let debug = if shell.is_on("functrace") { None } else { shell.traps.remove_entry("DEBUG") };
    let mut lines = TextLines::new(text);
    let result = shell.execute_parsed(&mut Parser::new(&mut lines, 1), false);
    if let Some((name, action)) = debug {
        shell.traps.entry(name).or_insert(action);
    }
    let result = if matches!(result, Ok(()) | Err(Stop::Return)) { shell.return_trap(result) } else { result };
    shell.frames.pop();
    shell.line = line;
    if let Some(outer) = outer {
        shell.positional = outer;
    }
    match result {
        Ok(()) | Err(Stop::Return) => {}
        Err(stop) => return Err(stop),
    }
    shell.builtin_failed = false;
    Ok(shell.status)
}

pub(super) fn exec(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (found, at) = match options(shell, fields, "cl", "a") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    if at >= fields.len() {
        shell.keep_redirects = true;
        return Ok(0);
    }
    let mut argv = fields[at..].to_vec();
    let path = match shell.find_program(&argv[0]) {
        Ok(path) => path,
        Err((status, message)) => {
            let message = if message == "command not found" { "not found".to_owned() } else { message };
            shell.builtin_error(&format!("{}: {message}", argv[0]));
            shell.status = status;
            return if shell.interactive || shell.is_on("execfail") { Ok(status) } else { Err(Stop::Exit) };
        }
    };
    for (letter, value) in found {
        match letter {
            'a' => argv[0] = value,
            'l' => argv[0].insert(0, '-'),
            _ => {
                let exported: Vec<String> = shell.variables.environment().into_iter().map(|(name, _)| name).collect();
                for name in exported {
                    shell.variables.get_mut(&name).exported = false;
                }
            }
        }
    }
    shell.become_program(&path, &argv)?;
    Ok(shell.status)
}

/// `let`.
pub(super) fn arithmetic(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    if fields.len() < 2 {
        shell.builtin_error("expression expected");
        return Ok(1);
    }
    let mut last = 0;
    for field in &fields[1..] {
        match shell.arithmetic(field) {
            Ok(value) => last = value,
            Err(message) => {
                shell.builtin_error(&message);
                return Ok(1);
            }
        }
    }
    Ok(i32::from(last == 0))
}

pub(super) fn caller(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (names, sources, lines) = (shell.call_names(), shell.call_sources(), shell.call_lines());
    if lines.is_empty() {
        return Ok(1);
    }
    let Some(field) = fields.get(1) else {
        let source = sources.get(1).map_or("NULL", String::as_str);
        return Ok(super::arguments::write(shell, &format!("{} {source}\n", lines[0])));
    };
    let Ok(level) = field.parse::<usize>() else {
        shell.builtin_error(&format!("{field}: invalid number"));
        shell.say("caller: usage: caller [expr]");
        return Ok(2);
    };
    match (lines.get(level), names.get(level + 1), sources.get(level + 1)) {
        (Some(line), Some(name), Some(source)) => {
            Ok(super::arguments::write(shell, &format!("{line} {name} {source}\n")))
        }
        _ => Ok(1),
    }
}
