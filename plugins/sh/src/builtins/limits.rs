//! `umask`, `ulimit` and `times`.

use super::arguments::{options, write};
use crate::state::{Run, Shell};

pub(super) fn umask(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (found, at) = match options(shell, fields, "Sp", "") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let has = |letter| found.iter().any(|(found, _)| *found == letter);
    let Some(wanted) = fields.get(at) else {
        let prefix = if has('p') { if has('S') { "umask -S " } else { "umask " } } else { "" };
        let text = if has('S') { symbolic(shell.mask) } else { format!("{:04o}", shell.mask) };
        return Ok(write(shell, &format!("{prefix}{text}\n")));
    };
    let mask = if wanted.starts_with(|first: char| first.is_ascii_digit()) {
        u32::from_str_radix(wanted, 8).ok().filter(|mask| *mask <= 0o777)
    } else {
        changed(shell.mask, wanted)
    };
    let Some(mask) = mask else {
        shell.builtin_error(&format!("{wanted}: invalid mode"));
        return Ok(1);
    };
    shell.mask = mask;
    shell.system.umask(Some(mask));
    if has('S') && !shell.posix() {
        return Ok(write(shell, &format!("{}\n", symbolic(mask))));
    }
    Ok(0)
}

/// `u=rwx,g=rx,o=rx`: what the mask permits.
fn symbolic(mask: u32) -> String {
    let part = |(class, shift): (char, u32)| {
        let bits = !mask >> shift;
        let letters: String = [(4, 'r'), (2, 'w'), (1, 'x')]
            .iter()
            .filter(|(bit, _)| bits & bit != 0)
            .map(|(_, letter)| letter)
            .collect();
        format!("{class}={letters}")
    };
    [('u', 6), ('g', 3), ('o', 0)].map(part).join(",")
}

/// The mask after a symbolic mode (XCU chmod).
fn changed(mask: u32, text: &str) -> Option<u32> {
    let mut allowed = !mask & 0o777;
    for clause in text.split(',') {
        let at = clause.find(['+', '-', '='])?;
        let mut who = 0;
        for class in clause[..at].chars() {
            who |= match class {
                'u' => 0o700,
                'g' => 0o070,
                'o' => 0o007,
                'a' => 0o777,
                _ => return None,
            };
        }
        if who == 0 {
            who = 0o777;
        }
        let mut rest = &clause[at..];
        while let Some(operator) = rest.chars().next() {
            rest = &rest[1..];
            let length = rest.find(['+', '-', '=']).unwrap_or(rest.len());
            let mut bits = 0;
            for letter in rest[..length].chars() {
                bits |= match letter {
                    'r' => 0o444,
                    'w' => 0o222,
                    'x' => 0o111,
                    'X' if allowed & 0o111 != 0 => 0o111,
                    'X' | 's' | 't' => 0,
                    'u' => (allowed >> 6 & 7) * 0o111,
                    'g' => (allowed >> 3 & 7) * 0o111,
                    'o' => (allowed & 7) * 0o111,
                    _ => return None,
                };
            }
            rest = &rest[length..];
            match operator {
                '+' => allowed |= bits & who,
                '-' => allowed &= !(bits & who),
                _ => allowed = allowed & !who | bits & who,
            }
        }
    }
    Some(!allowed & 0o777)
}

/// The limits: option letter, what it is, unit.
const LIMITS: &[(char, &str, &str)] = &[
    ('c', "core file size", "blocks"),
    ('d', "data seg size", "kbytes"),
    ('f', "file size", "blocks"),
    ('l', "max locked memory", "kbytes"),
    ('m', "max memory size", "kbytes"),
    ('n', "open files", ""),
    ('s', "stack size", "kbytes"),
    ('t', "cpu time", "seconds"),
    ('u', "max user processes", ""),
    ('v', "virtual memory", "kbytes"),
];

pub(super) fn ulimit(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let (found, at) = match options(shell, fields, "HSacdflmnstuv", "") {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let has = |letter| found.iter().any(|(found, _)| *found == letter);
    let shown = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
    if has('a') {
        let mut text = String::new();
        for (letter, name, unit) in LIMITS {
            let Some((soft, hard)) = shell.system.limit(*letter) else { continue };
            let unit = if unit.is_empty() { format!("(-{letter})") } else { format!("({unit}, -{letter})") };
            let limit = if has('H') { hard } else { soft };
            text.push_str(&format!("{name:<20} {unit:>20} {}\n", shown(limit)));
        }
        return Ok(write(shell, &text));
    }
    let letter = found.iter().map(|(letter, _)| *letter).find(|letter| !"HS".contains(*letter)).unwrap_or('f');
    let Some((soft, hard)) = shell.system.limit(letter) else {
        shell.builtin_error(&format!("-{letter}: this system has no such limit"));
        return Ok(1);
    };
    let Some(wanted) = fields.get(at) else {
        let limit = if has('H') && !has('S') { hard } else { soft };
        return Ok(write(shell, &format!("{}\n", shown(limit))));
    };
    let limit = match wanted.as_str() {
        "unlimited" => None,
        "hard" => hard,
        "soft" => soft,
        number => match number.parse() {
            Ok(number) => Some(number),
            Err(_) => {
                shell.builtin_error(&format!("{wanted}: invalid number"));
                return Ok(1);
            }
        },
    };
    let both = has('H') == has('S');
    let new = (if both || has('S') { limit } else { soft }, if both || has('H') { limit } else { hard });
    Ok(match shell.system.set_limit(letter, new) {
        Ok(()) => 0,
        Err(error) => {
            let (_, name, _) =
                LIMITS.iter().find(|(known, _, _)| *known == letter).copied().unwrap_or((letter, "limit", ""));
            shell.builtin_error(&format!("{name}: cannot modify limit: {}", error.text));
            1
        }
    })
}

pub(super) fn times(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    if let Err(status) = options(shell, fields, "", "") {
        return Ok(status);
    }
    let times = shell.system.times();
    let one = |time: std::time::Duration| {
        format!("{}m{}.{:03}s", time.as_secs() / 60, time.as_secs() % 60, time.subsec_millis())
    };
    let text = format!("{} {}\n{} {}\n", one(times[0]), one(times[1]), one(times[2]), one(times[3]));
    Ok(write(shell, &text))
}
