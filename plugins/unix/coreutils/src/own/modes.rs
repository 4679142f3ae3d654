//! chmod, chown and chgrp. There are no modes and no owners to change: a script is run by its first line, whatever its
//! mode. What would make no difference succeeds; everything else is an error, since it would not be what was asked for.

use unix_common::syntax::{Syntax, Take};

use super::command::{failed, parse, worst};
use crate::utility::Arguments;

const OPTIONS: &[(char, &str, Take)] = &[
    ('R', "recursive", Take::Nothing),
    ('v', "verbose", Take::Nothing),
    ('c', "changes", Take::Nothing),
    ('f', "silent", Take::Nothing),
    ('h', "no-dereference", Take::Nothing),
];

/// `chmod`: nothing is protected from its owner, so that a mode which lets the owner read, write and search is the one
/// that each file has.
pub(super) fn chmod(arguments: Arguments) -> i32 {
    const SYNTAX: Syntax = Syntax {
        name: "chmod",
        usage: "chmod [OPTION]... MODE[,MODE]... FILE...",
        status: 1,
        options: OPTIONS,
        stops: false,
    };
    let (mut words, mut removes) = (Vec::new(), None);
    for word in arguments {
        // `-x` is a mode and no option.
        let is_mode =
            word.to_str().is_some_and(|word| word.len() > 1 && word[1..].chars().all(|c| "rwxXst".contains(c)));
        if removes.is_none() && is_mode && word.to_str().is_some_and(|word| word.starts_with('-')) {
            removes = word.to_str().map(str::to_owned);
        } else {
            words.push(word);
        }
    }
    let given = match parse(&SYNTAX, words.into_iter()) {
        Ok(given) => given,
        Err(status) => return status,
    };
    let mut operands = given.operands.into_iter();
    let Some(mode) = removes.or_else(|| operands.next()) else {
        return SYNTAX.refuse("missing operand").tell();
    };
    let mut files = operands.peekable();
    if files.peek().is_none() {
        return SYNTAX.refuse(&format!("missing operand after '{mode}'")).tell();
    }
    let Some(restricts) = restricts(&mode) else {
        return SYNTAX.refuse(&format!("invalid mode: '{mode}'")).tell();
    };
    worst(files.map(|file| match std::fs::metadata(&file) {
        Err(error) => failed("chmod", &format!("cannot access '{file}'"), &error),
        Ok(_) if restricts => {
            eprintln!("chmod: changing permissions of '{file}': Operation not supported (files have no modes here)");
            1
        }
        Ok(_) => 0,
    }))
}

/// Whether a mode takes anything from the owner. None: it is no mode.
fn restricts(mode: &str) -> Option<bool> {
    if mode.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) {
        let bits = u32::from_str_radix(mode, 8).ok().filter(|bits| *bits <= 0o7777)?;
        return Some(bits & 0o600 != 0o600);
    }
    let mut restricts = false;
    for clause in mode.split(',') {
        let place = clause.find(['+', '-', '='])?;
        let (who, change) = clause.split_at(place);
        let bits = &change[1..];
        if !who.chars().all(|c| "ugoa".contains(c)) || !bits.chars().all(|c| "rwxXstugo".contains(c)) {
            return None;
        }
        let of_owner = who.is_empty() || who.contains(['u', 'a']);
        let keeps = match &change[..1] {
            "+" => true,
            "-" => !bits.contains(['r', 'w']),
            _ => bits.contains('r') && bits.contains('w') || bits.contains(['u']),
        };
        restricts |= of_owner && !keeps;
    }
    Some(restricts)
}

/// `chown` and `chgrp`: there are no owners.
pub(super) fn chown(mut arguments: Arguments) -> i32 {
    const CHOWN: Syntax = Syntax {
        name: "chown",
        usage: "chown [OPTION]... [OWNER][:[GROUP]] FILE...",
        status: 1,
        options: OPTIONS,
        stops: false,
    };
    const CHGRP: Syntax = Syntax { name: "chgrp", usage: "chgrp [OPTION]... GROUP FILE...", ..CHOWN };
    let name = arguments.as_slice().first().cloned().unwrap_or_default();
    let is_group = name.to_string_lossy().ends_with("chgrp");
    let syntax = if is_group { CHGRP } else { CHOWN };
    let given = match parse(&syntax, std::mem::take(&mut arguments)) {
        Ok(given) => given,
        Err(status) => return status,
    };
    match given.operands.as_slice() {
        [] => syntax.refuse("missing operand").tell(),
        [owner] => syntax.refuse(&format!("missing operand after '{owner}'")).tell(),
        [_, files @ ..] => {
            let (name, what) = (syntax.name, if is_group { "group" } else { "ownership" });
            worst(files.iter().map(|file| match std::fs::metadata(file) {
                Err(error) => failed(name, &format!("cannot access '{file}'"), &error),
                Ok(_) => {
                    eprintln!(
                        "{name}: changing {what} of '{file}': Operation not supported (files have no owners here)"
                    );
                    1
                }
            }))
        }
    }
}
