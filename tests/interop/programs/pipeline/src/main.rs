//! `pipeline sort names '|' uniq -c '|' head` runs programs whose outputs are the next one's inputs. Its status is that
//! of the last, as a shell tells it.

use std::io;
use std::process::ExitCode;

use whelk_guest::process::{Command, pipe};

whelk_guest::whelk_command!();

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("pipeline: {error}");
            ExitCode::from(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
        }
    }
}

fn run(words: &[String]) -> io::Result<u8> {
    let mut children = Vec::new();
    let mut input = None;
    let mut stages = words.split(|word| word == "|").peekable();
    while let Some(stage) = stages.next() {
        let (program, arguments) = stage.split_first().ok_or_else(|| io::Error::other("a program is missing"))?;
        let mut command = Command::new(program);
        command.args(arguments);
        if let Some(reader) = input.take() {
            command.stdin(reader);
        }
        if stages.peek().is_some() {
            let (reader, writer) = pipe()?;
            command.stdout(writer);
            input = Some(reader);
        }
        // With the command goes our end of the pipe: its reader would never see the end.
        children.push(command.spawn().map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?);
    }
    let mut status = 0;
    for mut child in children {
        status = child.wait()?.shell_status();
    }
    Ok(status)
}
