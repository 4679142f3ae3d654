//! Starting a program in the place of this one.

use std::io::{self, IsTerminal, stdin, stdout};

use unix_common::syntax::{Refusal, Syntax, Take};
use whelk_guest::process::{Command, Fd, OpenOptions, Signal, Stdio, put};

/// Lets a command take the place of this program. Returns only when it fails: the status, 126 or 127, after the
/// message.
pub(crate) fn run(name: &str, command: &mut Command) -> u8 {
    let error = command.exec();
    failed(name, &command.get_program().to_string_lossy(), &error)
}

/// Tells why a program did not start: 127 if it is not there, and else 126.
pub(crate) fn failed(name: &str, program: &str, error: &io::Error) -> u8 {
    eprintln!("{name}: {}: {}", quoted(name, program), without_number(error));
    if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
}

/// GNU's programs quote the name of a program.
fn quoted(_: &str, program: &str) -> String {
    format!("'{program}'")
}

/// The message of an error without its number.
pub(crate) fn without_number(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.as_str(), |(message, _)| message).to_owned()
}

const NICE: Syntax = Syntax {
    name: "nice",
    usage: "nice [-n N] [COMMAND [ARG]...]",
    status: 125,
    options: &[('n', "adjustment", Take::Value)],
    stops: true,
};

/// `nice`: there are no priorities, so it only runs the command.
pub(crate) fn nice(words: Vec<String>) -> u8 {
    // The old form, `-5` and `--5`.
    let words = words.into_iter().map(|word| match word.strip_prefix('-') {
        Some(number) if number.parse::<i64>().is_ok() => format!("-n{number}"),
        _ => word,
    });
    let given = match NICE.parse(words.collect()) {
        Ok(given) => given,
        Err(refusal) => return told(&refusal),
    };
    let adjustment = given.value('n');
    if let Some(wrong) = adjustment.filter(|number| number.parse::<i64>().is_err()) {
        eprintln!("nice: invalid adjustment '{wrong}'");
        return 125;
    }
    match given.operands.split_first() {
        Some((program, arguments)) => run("nice", Command::new(program).args(arguments)),
        None if adjustment.is_some() => told(&NICE.refuse("a command must be given with an adjustment")),
        None => {
            println!("0");
            0
        }
    }
}

const NOHUP: Syntax = Syntax { name: "nohup", usage: "nohup COMMAND [ARG]...", status: 125, options: &[], stops: true };

/// `nohup`: the command ignores HUP, and what it would write to a terminal goes to `nohup.out`.
pub(crate) fn nohup(words: Vec<String>) -> u8 {
    let given = match NOHUP.parse(words) {
        Ok(given) => given,
        Err(refusal) => return told(&refusal),
    };
    let Some((program, arguments)) = given.operands.split_first() else {
        return told(&NOHUP.refuse("missing operand"));
    };
    let mut command = Command::new(program);
    command.args(arguments).ignore_signal(Signal::Hup);
    let ignoring = stdin().is_terminal();
    if ignoring {
        command.stdin(Stdio::null());
    }
    let (to_file, errors) = (stdout().is_terminal(), io::stderr().is_terminal());
    if to_file {
        let file = match append() {
            Ok(file) => file,
            Err(error) => {
                eprintln!("nohup: failed to open 'nohup.out': {}", without_number(&error));
                return 125;
            }
        };
        let ignoring = if ignoring { "ignoring input and " } else { "" };
        eprintln!("nohup: {ignoring}appending output to 'nohup.out'");
        if let Err(error) = put(1, &file) {
            eprintln!("nohup: {}", without_number(&error));
            return 125;
        }
    } else if ignoring {
        eprintln!("nohup: ignoring input{}", if errors { " and redirecting stderr to stdout" } else { "" });
    }
    if errors && let Some(output) = whelk_guest::process::get(1) {
        command.stderr(output);
    }
    run("nohup", &mut command)
}

fn append() -> io::Result<Fd> {
    OpenOptions::new().append(true).create(true).open("nohup.out")
}

/// Tells why a program does not run.
pub(crate) fn told(refusal: &Refusal) -> u8 {
    refusal.tell();
    refusal.status
}
