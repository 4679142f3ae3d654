//! `history` and `fc`.

use super::arguments::{options, write};
use crate::state::{Quote, Run, Shell};

pub(super) fn history(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (found, at) = match options(shell, fields, "cps", "d") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    if found.iter().any(|(letter, _)| matches!(letter, 'p' | 's')) && shell.is_on("history") {
        // The command itself is no part of it.
        shell.history.pop();
    }
    for (letter, value) in &found {
        match letter {
            'c' => shell.history.clear(),
            's' => shell.history.push(fields[at..].join(" ")),
            'p' => return Ok(print_expanded(shell, &fields[at..])),
            _ => match value.parse::<usize>().ok().filter(|number| (1..=shell.history.len()).contains(number)) {
                Some(number) => {
                    shell.history.remove(number - 1);
                }
                None => {
                    shell.builtin_error(&format!("{value}: history position out of range"));
                    return Ok(1);
                }
            },
        }
    }
    if !found.is_empty() {
        return Ok(0);
    }
    let count = match fields.get(at).map(|field| field.parse::<usize>()) {
        None => shell.history.len(),
        Some(Ok(count)) => count,
        Some(Err(_)) => {
            shell.builtin_error(&format!("{}: numeric argument required", fields[at]));
            return Ok(1);
        }
    };
    let skip = shell.history.len().saturating_sub(count);
    let text: String =
        shell.history.iter().enumerate().skip(skip).map(|(at, line)| format!("{:5}  {line}\n", at + 1)).collect();
    Ok(write(shell, &text))
}

/// `history -p`: shows what lines would become.
fn print_expanded(shell: &mut Shell, lines: &[String]) -> i32 {
    let (mut text, mut status) = (String::new(), 0);
    for line in lines {
        let expanded = shell.history_expansion().expand(line, &shell.history, &mut Quote::None);
        match expanded {
            Ok(expanded) => {
                text += expanded.as_ref().map_or(line, |expanded| &expanded.text);
                text.push('\n');
            }
            Err(_) => {
                shell.builtin_error(&format!("{line}: history expansion failed"));
                status = 1;
            }
        }
    }
    status.max(write(shell, &text))
}

/// The place of the command that a text means: its number, one counted from the end, or the beginning of its text.
fn place(shell: &Shell, text: &str, length: usize) -> Option<usize> {
    match text.parse::<i64>() {
        Ok(number) if number > 0 => Some((usize::try_from(number).ok()?).min(length).saturating_sub(1)),
        Ok(number) => Some(length.saturating_sub(usize::try_from(number.unsigned_abs()).ok()?)),
        Err(_) => shell.history[..length].iter().rposition(|line| line.starts_with(text)),
    }
}

pub(super) fn fc(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    // `-5` is a place, and no option.
    let is_place = |field: &String| {
        field.len() > 1 && field.strip_prefix('-').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let places = fields.iter().skip(1).position(is_place).map_or(fields.len(), |at| at + 1);
    let (found, at) = match options(shell, &fields[..places], "lnrs", "e") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let has = |letter| found.iter().any(|(found, _)| *found == letter);
    let mut rest = &fields[at..];
    let editor = found.iter().find(|(letter, _)| *letter == 'e').map(|(_, value)| value.clone());
    let again = has('s') || editor.as_deref() == Some("-");
    let change = rest.first().filter(|_| again).and_then(|first| first.split_once('='));
    if change.is_some() {
        rest = &rest[1..];
    }
    // The command itself is no part of it.
    let length = shell.history.len() - usize::from(shell.is_on("history") && !shell.history.is_empty());
    if length == 0 {
        if has('l') {
            return Ok(0);
        }
        shell.builtin_error("no command found");
        return Ok(1);
    }
    let lists = has('l');
    let default = if lists { (length.saturating_sub(16), length - 1) } else { (length - 1, length - 1) };
    let mut ends = Vec::new();
    for text in rest {
        let Some(place) = place(shell, text, length) else {
            shell.builtin_error("no command found");
            return Ok(1);
        };
        ends.push(place.min(length - 1));
    }
    let first = ends.first().copied().unwrap_or(default.0);
    let last = ends.get(1).copied().unwrap_or(if ends.is_empty() || lists { default.1 } else { first });
    let mut numbers: Vec<usize> = (first.min(last)..=first.max(last)).collect();
    if has('r') != (first > last) {
        numbers.reverse();
    }
    if lists {
        let text = listed(shell, &numbers, !has('n'));
        return Ok(write(shell, &text));
    }
    let mut text: String = numbers.iter().map(|number| shell.history[*number].clone() + "\n").collect();
    if let Some((old, new)) = change {
        text = text.replace(old, new);
    }
    if !again {
        let editor = editor.or_else(|| shell.text_of("FCEDIT")).unwrap_or_else(|| own_editor(shell));
        text = match edit(shell, &editor, &text)? {
            Some(text) => text,
            None => return Ok(1),
        };
    }
    execute_again(shell, &text)?;
    Ok(shell.status)
}

/// Lets the user edit a text that was typed, and executes what becomes of it.
pub(crate) fn edit_and_execute(shell: &mut Shell, text: &str) -> Run {
    let editor = own_editor(shell);
    match edit(shell, &editor, &format!("{text}\n"))? {
        Some(text) if !text.trim().is_empty() => execute_again(shell, &text),
        _ => Ok(()),
    }
}

/// The editor of the user.
fn own_editor(shell: &Shell) -> String {
    let named = |name| shell.text_of(name).filter(|editor| !editor.is_empty());
    named("VISUAL").or_else(|| named("EDITOR")).unwrap_or_else(|| "vi".to_owned())
}

/// Shows commands, and executes them.
fn execute_again(shell: &mut Shell, text: &str) -> Run {
    shell.say(text.trim_end());
    shell.remember(text.trim_end());
    shell.execute_text(text, shell.line)
}

fn listed(shell: &Shell, places: &[usize], numbered: bool) -> String {
    let line = |place: &usize| {
        let number = if numbered { (place + 1).to_string() } else { String::new() };
        format!("{number}\t {}\n", shell.history[*place])
    };
    places.iter().map(line).collect()
}

/// Has a text edited in a file. None: the editor failed.
fn edit(shell: &mut Shell, editor: &str, text: &str) -> Run<Option<String>> {
    use crate::system::OpenHow;
    let path = format!("/tmp/fc-{}-{}", shell.main_process, shell.system.random());
    let how = OpenHow { write: true, create: true, exclusive: true, ..OpenHow::default() };
    let written = shell.system.open(&path, how).and_then(|fd| fd.write(&crate::text::encode(text)));
    if let Err(error) = written {
        shell.builtin_error(&format!("{path}: {}", error.text));
        return Ok(None);
    }
    let result = shell.execute_text(&format!("{editor} {path}"), shell.line);
    let read = shell.system.open(&path, OpenHow { read: true, ..OpenHow::default() });
    let text = read.and_then(|fd| shell.read_all(&fd));
    // An editor may have removed it.
    let _ = shell.system.unlink(&path);
    result?;
    Ok(if shell.status == 0 { text.ok() } else { None })
}
