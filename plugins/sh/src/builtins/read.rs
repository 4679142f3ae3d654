//! `read`, `mapfile` and `getopts`.

use super::arguments::options;
use crate::state::{Kind, Run, Shell, Value};
use crate::system::{Errno, Fd};
use crate::text::{decode, is_name};
use std::collections::BTreeMap;
use std::time::Duration;

/// How `read` reads.
struct Reading {
    raw: bool,
    delimiter: u8,
    /// The most characters, and whether the delimiter does not end them.
    count: Option<(usize, bool)>,
    timeout: Option<Duration>,
    fd: u32,
}

/// What was read, and why it ended.
struct Line {
    /// Characters, and whether a backslash quoted them.
    chars: Vec<(char, bool)>,
    ended: bool,
    timed_out: bool,
    error: Option<Errno>,
}

pub(super) fn read(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (found, at) = match options(shell, fields, "rse", "adinNptu") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let mut reading = Reading { raw: false, delimiter: b'\n', count: None, timeout: None, fd: 0 };
    let (mut array, mut prompt) = (None, None);
    for (letter, value) in found {
        match letter {
            'r' => reading.raw = true,
            'a' => array = Some(value),
            'd' => reading.delimiter = value.bytes().next().unwrap_or(0),
            'n' | 'N' => match value.parse() {
                Ok(count) => reading.count = Some((count, letter == 'N')),
                Err(_) => {
                    shell.builtin_error(&format!("{value}: invalid number"));
                    return Ok(1);
                }
            },
            't' => match value.parse::<f64>() {
                Ok(seconds) if seconds >= 0.0 => reading.timeout = Some(Duration::from_secs_f64(seconds.min(1e9))),
                _ => {
                    shell.builtin_error(&format!("{value}: invalid timeout specification"));
                    return Ok(1);
                }
            },
            'u' => reading.fd = value.parse().unwrap_or(u32::MAX),
            'p' => prompt = Some(value),
            _ => {}
        }
    }
    let names = &fields[at..];
    if let Some(bad) = names.iter().find(|name| !is_name(name.split('[').next().unwrap_or_default())) {
        shell.builtin_error(&format!("`{bad}': not a valid identifier"));
        return Ok(1);
    }
    let Some(fd) = shell.fds.get(&reading.fd).cloned() else {
        shell.builtin_error(&format!("{}: invalid file descriptor: {}", reading.fd, Errno::EBADF.text));
        return Ok(1);
    };
    if let Some(prompt) = prompt.filter(|_| fd.is_terminal()) {
        // Nobody can be told if standard error is gone.
        let _ = shell.write_to(2, &prompt);
    }
    if reading.timeout == Some(Duration::ZERO) {
        return Ok(i32::from(!fd.wait_readable(Some(Duration::ZERO))));
    }
    finish_read(shell, &fd, &reading, (names, array))
}

fn finish_read(shell: &mut Shell, fd: &Fd, reading: &Reading, (names, array): (&[String], Option<String>)) -> Run<i32> {
    let line = read_chars(shell, fd, reading)?;
    if let Some(error) = line.error {
        shell.builtin_error(&format!("read error: {}: {}", reading.fd, error.text));
    }
    let status = if line.timed_out { 142 } else { i32::from(line.ended || line.error.is_some()) };
    let exact = reading.count.is_some_and(|(_, exact)| exact);
    let assigned = assign_fields(shell, names, array.as_deref(), &line.chars, exact);
    Ok(match assigned {
        Ok(()) => status,
        Err(message) => {
            shell.builtin_error(&message);
            1
        }
    })
}

fn read_chars(shell: &mut Shell, fd: &Fd, reading: &Reading) -> Run<Line> {
    let mut line = Line { chars: Vec::new(), ended: false, timed_out: false, error: None };
    let deadline = reading.timeout.map(|timeout| shell.system.now() + timeout);
    let mut bytes: Vec<u8> = Vec::new();
    let mut quoted = false;
    loop {
        if reading.count.is_some_and(|(most, _)| line.chars.len() >= most) {
            return Ok(line);
        }
        if let Some(deadline) = deadline
            && !fd.wait_readable(Some(deadline.saturating_sub(shell.system.now())))
        {
            line.timed_out = true;
            return Ok(line);
        }
        let mut byte = [0];
        match fd.read(&mut byte) {
            Ok(0) => {
                line.ended = true;
                push_chars(&mut line, &mut bytes, false, true);
                return Ok(line);
            }
            Ok(_) => {}
            Err(Errno::EINTR) => {
                shell.run_pending_traps()?;
                continue;
            }
            Err(error) => {
                line.error = Some(error);
                return Ok(line);
            }
        }
        let [next] = byte;
        if quoted {
            quoted = false;
            if next != b'\n' {
                bytes.push(next);
                push_chars(&mut line, &mut bytes, true, false);
            }
            continue;
        }
        let exact = reading.count.is_some_and(|(_, exact)| exact);
        if next == reading.delimiter && !exact {
            push_chars(&mut line, &mut bytes, false, true);
            return Ok(line);
        }
        if next == b'\\' && !reading.raw {
            push_chars(&mut line, &mut bytes, false, true);
            quoted = true;
            continue;
        }
        if next != 0 {
            bytes.push(next);
            push_chars(&mut line, &mut bytes, false, false);
        }
    }
}

/// Moves whole characters to the line; with `all`, what is none too.
fn push_chars(line: &mut Line, bytes: &mut Vec<u8>, quoted: bool, all: bool) {
    let whole = all
        || match std::str::from_utf8(bytes) {
            Ok(_) => true,
            // The beginning of a character waits for its rest.
            Err(error) => error.error_len().is_some(),
        };
    if whole {
        line.chars.extend(decode(bytes).chars().map(|next| (next, quoted)));
        bytes.clear();
    }
}

fn assign_fields(
    shell: &mut Shell,
    names: &[String],
    array: Option<&str>,
    chars: &[(char, bool)],
    exact: bool,
) -> Result<(), String> {
    let separators = shell.text_of("IFS").unwrap_or_else(|| " \t\n".to_owned());
    let blank = |(next, quoted): &(char, bool)| !quoted && " \t\n".contains(*next) && separators.contains(*next);
    let text = |chars: &[(char, bool)]| chars.iter().map(|(next, _)| *next).collect::<String>();
    if let Some(array) = array.filter(|_| exact) {
        return shell.set_array(array, Value::Indexed([(0, text(chars))].into()));
    }
    if let Some(array) = array {
        let fields = split(chars, &separators, None);
        let values = fields.iter().map(|(from, to)| text(&chars[*from..*to]));
        return shell.set_array(array, Value::Indexed((0..).zip(values).collect()));
    }
    if names.is_empty() {
        return shell.assign("REPLY", None, text(chars), false);
    }
    if exact {
        assign_name(shell, &names[0], text(chars))?;
        return names[1..].iter().try_for_each(|name| assign_name(shell, name, String::new()));
    }
    let fields = split(chars, &separators, Some(names.len()));
    for (at, name) in names.iter().enumerate() {
        let value = match fields.get(at) {
            Some((from, to)) => {
                let mut field = &chars[*from..*to];
                if at + 1 == names.len() {
                    while let Some((last, rest)) = field.split_last().filter(|(last, _)| blank(last)) {
                        let _ = last;
                        field = rest;
                    }
                }
                text(field)
            }
            None => String::new(),
        };
        assign_name(shell, name, value)?;
    }
    Ok(())
}

fn assign_name(shell: &mut Shell, name: &str, value: String) -> Result<(), String> {
    match name.split_once('[').and_then(|(name, rest)| Some((name, rest.strip_suffix(']')?))) {
        Some((name, subscript)) => {
            let subscript = shell.expand_subscript(subscript);
            let key = shell.subscript_key(name, &subscript)?;
            shell.assign(name, Some(&key), value, false)
        }
        None => shell.assign(name, None, value, false),
    }
}

/// The places of the fields; of at most `most`, where the last takes all that is left, unless that is one field and
/// its separator.
fn split(chars: &[(char, bool)], separators: &str, most: Option<usize>) -> Vec<(usize, usize)> {
    let is_blank = |at: usize| {
        chars.get(at).is_some_and(|(next, quoted)| !quoted && " \t\n".contains(*next) && separators.contains(*next))
    };
    let is_other = |at: usize| {
        chars.get(at).is_some_and(|(next, quoted)| !quoted && !" \t\n".contains(*next) && separators.contains(*next))
    };
    let mut fields = Vec::new();
    let mut at = 0;
    while is_blank(at) {
        at += 1;
    }
    while at < chars.len() {
        let start = at;
        while at < chars.len() && !is_blank(at) && !is_other(at) {
            at += 1;
        }
        let end = at;
        while is_blank(at) {
            at += 1;
        }
        if is_other(at) {
            at += 1;
            while is_blank(at) {
                at += 1;
            }
        }
        if most.is_some_and(|most| fields.len() + 1 == most) && at < chars.len() {
            fields.push((start, chars.len()));
            return fields;
        }
        fields.push((start, end));
    }
    fields
}

/// What `mapfile` leaves of an array: all of it, with an origin. None: it is an associative one.
fn elements_before(shell: &Shell, name: &str, keeps: bool) -> Option<BTreeMap<i64, String>> {
    let variable = shell.variable(name).unwrap_or_default();
    match variable.value {
        _ if variable.kind == Kind::Assoc => None,
        Value::Indexed(elements) if keeps => Some(elements),
        Value::Scalar(text) if keeps => Some([(0, text)].into()),
        _ => Some(BTreeMap::new()),
    }
}

pub(super) fn mapfile(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (found, at) = match options(shell, fields, "t", "cCdnOsu") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let value = |wanted| found.iter().find(|(letter, _)| *letter == wanted).map(|(_, value)| value.clone());
    let number = |wanted| value(wanted).and_then(|value| value.parse::<usize>().ok());
    let strips = found.iter().any(|(letter, _)| *letter == 't');
    let delimiter = value('d').map_or('\n', |value| value.chars().next().unwrap_or('\0'));
    let name = fields.get(at).cloned().unwrap_or_else(|| "MAPFILE".to_owned());
    let Some(fd) = shell.fds.get(&u32::try_from(number('u').unwrap_or(0)).unwrap_or(0)).cloned() else {
        shell.builtin_error(Errno::EBADF.text);
        return Ok(1);
    };
    let text = match shell.read_all(&fd) {
        Ok(text) => text,
        Err(error) => {
            shell.builtin_error(error.text);
            return Ok(1);
        }
    };
    let lines = text.split_inclusive(delimiter).skip(number('s').unwrap_or(0));
    let most = number('n').filter(|most| *most > 0).unwrap_or(usize::MAX);
    let lines: Vec<String> = lines
        .take(most)
        .map(|line| if strips { line.strip_suffix(delimiter).unwrap_or(line) } else { line })
        // A value ends at NUL.
        .map(|line| line.split('\0').next().unwrap_or_default().to_owned())
        .collect();
    let origin = number('O').and_then(|origin| i64::try_from(origin).ok());
    if let Some(bad) = value('O').filter(|_| origin.is_none()) {
        shell.builtin_error(&format!("{bad}: invalid array origin"));
        return Ok(1);
    }
    let Some(mut elements) = elements_before(shell, &name, origin.is_some()) else {
        shell.builtin_error(&format!("{name}: not an indexed array"));
        return Ok(1);
    };
    let callback = value('C').map(|callback| (callback, number('c').unwrap_or(5000)));
    for (index, line) in (origin.unwrap_or(0)..).zip(lines) {
        if let Some((callback, every)) = &callback {
            let count = usize::try_from(index - origin.unwrap_or(0)).unwrap_or(0) + 1;
            if count % every == 0 {
                let text = format!("{callback} {index} {}", crate::text::quote(&line));
                shell.execute_text(&text, shell.line)?;
            }
        }
        elements.insert(index, line);
    }
    if let Err(message) = shell.set_array(&name, Value::Indexed(elements)) {
        shell.builtin_error(&message);
        return Ok(1);
    }
    Ok(0)
}

pub(super) fn getopts(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let at = if fields.get(1).is_some_and(|field| field == "--") { 2 } else { 1 };
    let (Some(letters), Some(name)) = (fields.get(at), fields.get(at + 1)) else {
        shell.builtin_error("usage: getopts optstring name [arg ...]");
        return Ok(2);
    };
    let arguments: Vec<String> =
        if fields.len() > at + 2 { fields[at + 2..].to_vec() } else { shell.positional.as_ref().clone() };
    let index = shell.text_of("OPTIND").and_then(|text| text.parse::<i64>().ok()).unwrap_or(1);
    let known = index == shell.getopts.1 && index > 0;
    // An index before the first word begins anew.
    let (mut place, mut index) = if known { (shell.getopts.0, index) } else { (0, index.max(1)) };
    index = index.min(i64::try_from(arguments.len()).unwrap_or(i64::MAX - 1) + 1);
    let silent = letters.starts_with(':');
    let word = usize::try_from(index - 1).ok().and_then(|at| arguments.get(at));
    let is_option = word.is_some_and(|word| place > 0 || word.len() > 1 && word.starts_with('-'));
    let Some(word) = word.filter(|word| is_option && *word != "--") else {
        if word.is_some_and(|word| word == "--") {
            index += 1;
        }
        shell.variables.unset("OPTARG");
        return Ok(finish_getopts(shell, name, "?", (0, index)).max(1));
    };
    let place_in_word = place.max(1);
    let letter = word[place_in_word..].chars().next().unwrap_or('?');
    place = place_in_word + letter.len_utf8();
    let known = letters.find(letter).filter(|_| letter != ':');
    let wants = known.is_some_and(|found| letters[found + letter.len_utf8()..].starts_with(':'));
    let mut value = None;
    let mut result = letter.to_string();
    if wants && place < word.len() {
        value = Some(word[place..].to_owned());
        (place, index) = (0, index + 1);
    } else if wants {
        value = usize::try_from(index).ok().and_then(|at| arguments.get(at)).cloned();
        (place, index) = (0, index + if value.is_some() { 2 } else { 1 });
    } else if place >= word.len() {
        (place, index) = (0, index + 1);
    }
    let missing = wants && value.is_none();
    if known.is_none() || missing {
        let quiet = silent || shell.text_of("OPTERR").as_deref() == Some("0");
        if !quiet {
            let message = if missing { "option requires an argument" } else { "illegal option" };
            let own = shell.name.clone();
            shell.say(&format!("{own}: {message} -- {letter}"));
        }
        value = silent.then(|| letter.to_string());
        result = if missing && silent { ":" } else { "?" }.to_owned();
    }
    match value {
        Some(value) => shell.set_text("OPTARG", value),
        None => shell.variables.unset("OPTARG"),
    }
    Ok(finish_getopts(shell, name, &result, (place, index)))
}

fn finish_getopts(shell: &mut Shell, name: &str, result: &str, state: (usize, i64)) -> i32 {
    let assigned = shell.assign("OPTIND", None, state.1.to_string(), false);
    shell.getopts = state;
    if !is_name(name) {
        shell.builtin_error(&format!("`{name}': not a valid identifier"));
        return 1;
    }
    match assigned.and_then(|()| shell.assign(name, None, result.to_owned(), false)) {
        Ok(()) => 0,
        Err(message) => {
            shell.builtin_error(&message);
            1
        }
    }
}

impl Shell {
    /// Reads a line, without more. None at the end.
    pub(crate) fn read_line(&mut self, number: u32) -> Run<Option<String>> {
        let Some(fd) = self.fds.get(&number).cloned() else { return Ok(None) };
        let reading = Reading { raw: true, delimiter: b'\n', count: None, timeout: None, fd: number };
        let line = read_chars(self, &fd, &reading)?;
        let text: String = line.chars.into_iter().map(|(next, _)| next).collect();
        Ok(if line.ended && text.is_empty() || line.error.is_some() { None } else { Some(text) })
    }

    /// Reads everything.
    pub(crate) fn read_all(&self, fd: &Fd) -> Result<String, Errno> {
        let mut data = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match fd.read(&mut buffer) {
                Ok(0) => return Ok(decode(&data)),
                Ok(count) => data.extend_from_slice(&buffer[..count]),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
