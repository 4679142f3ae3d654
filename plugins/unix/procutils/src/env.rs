//! `env`: a command in a changed environment, or the environment itself.

use std::io::{Write, stdout};

use unix_common::syntax::{Syntax, Take};
use whelk_guest::process::Command;

use crate::start::{run, told, without_number};

const SYNTAX: Syntax = Syntax {
    name: "env",
    usage: "env [OPTION]... [-] [NAME=VALUE]... [COMMAND [ARG]...]",
    status: 125,
    options: &[
        ('i', "ignore-environment", Take::Nothing),
        ('0', "null", Take::Nothing),
        ('u', "unset", Take::Value),
        ('C', "chdir", Take::Value),
        ('S', "split-string", Take::Value),
        ('v', "debug", Take::Nothing),
    ],
    stops: true,
};

pub(crate) fn main(words: Vec<String>) -> u8 {
    let words = match split(words) {
        Ok(words) => words,
        Err(status) => return status,
    };
    let given = match SYNTAX.parse(words) {
        Ok(given) => given,
        Err(refusal) => return told(&refusal),
    };
    let mut operands = given.operands.into_iter().peekable();
    let lone_dash = operands.next_if(|word| word == "-").is_some();
    let mut variables: Vec<(String, String)> = Vec::new();
    if !given.options.iter().any(|(letter, _)| *letter == 'i') && !lone_dash {
        variables.extend(std::env::vars());
    }
    for (_, name) in given.options.iter().filter(|(letter, _)| *letter == 'u') {
        let name = name.as_deref().unwrap_or_default();
        if name.is_empty() || name.contains('=') {
            eprintln!("env: cannot unset '{name}': Invalid argument");
            return 125;
        }
        variables.retain(|(known, _)| known != name);
    }
    while let Some(word) = operands.next_if(|word| word.contains('=')) {
        let (name, value) = word.split_once('=').unwrap_or_default();
        match variables.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => value.clone_into(known),
            None => variables.push((name.to_owned(), value.to_owned())),
        }
    }
    let last = |letter| given.options.iter().rev().find(|(given, _)| *given == letter);
    let Some(program) = operands.next() else {
        if last('C').is_some() {
            return told(&SYNTAX.refuse("must specify command with --chdir (-C)"));
        }
        return print(&variables, last('0').is_some());
    };
    if last('0').is_some() {
        return told(&SYNTAX.refuse("cannot specify --null (-0) with command"));
    }
    if let Some((_, Some(directory))) = last('C')
        && let Err(error) = std::env::set_current_dir(directory)
    {
        eprintln!("env: cannot change directory to '{directory}': {}", without_number(&error));
        return 125;
    }
    run("env", Command::new(program).args(operands).env_clear().envs(variables))
}

/// Takes the words of `-S TEXT` for the text. It is the only argument in the first line of a script.
fn split(words: Vec<String>) -> Result<Vec<String>, u8> {
    let Some(first) = words.first() else { return Ok(words) };
    let attached = first.strip_prefix("-S").or_else(|| first.strip_prefix("--split-string="));
    let (text, rest) = match attached {
        Some("") => (words.get(1).cloned().unwrap_or_default(), words.get(2..).unwrap_or_default()),
        Some(text) => (text.to_owned(), &words[1..]),
        None => return Ok(words),
    };
    let Some(split) = shlex::split(&text) else {
        eprintln!("env: no terminating quote in -S string");
        return Err(125);
    };
    Ok(split.into_iter().chain(rest.iter().cloned()).collect())
}

fn print(variables: &[(String, String)], ends_with_zero: bool) -> u8 {
    let end = if ends_with_zero { '\0' } else { '\n' };
    let text: String = variables.iter().map(|(name, value)| format!("{name}={value}{end}")).collect();
    match stdout().write_all(text.as_bytes()) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("env: write error: {}", without_number(&error));
            125
        }
    }
}
