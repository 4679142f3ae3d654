//! A program that starts copies of itself, more than it is allowed or than is good for others. Its first argument says
//! how. What begins an attack says on standard output how far it came, goes on until the end of its input, and leaves
//! its children behind.
//!
//! Installed as `pair` it starts one that copies its input to its output, whatever the arguments are.

mod attacks;
mod stops;
mod work;

use std::env;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use whelk_guest::process::{Command, Signal};

whelk_guest::whelk_command!();

/// The name of this program in the program table.
const OWN: &str = "spawner";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["pair", ..] => own(&["cat"]).status().map(|_| ()),
        [_, "cat"] => copy(),
        [_, "nothing"] => Ok(()),
        [_, "stops", seconds] => stops::run(seconds.parse().unwrap_or(1)),
        [_, "work", rest @ ..] => work::run(rest),
        [_, rest @ ..] => attacks::run(rest),
        [] => Err(io::Error::other("no name")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{words:?}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A copy of this program with these arguments, which SIGHUP does not end.
fn own(words: &[&str]) -> Command {
    let mut command = Command::new(OWN);
    command.args(words).ignore_signal(Signal::Hup);
    command
}

/// Copies the input to the output, without waiting for more than there is.
fn copy() -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut block = vec![0; 4096];
    loop {
        let count = input.read(&mut block)?;
        if count == 0 {
            return Ok(());
        }
        output.write_all(&block[..count])?;
        output.flush()?;
    }
}
