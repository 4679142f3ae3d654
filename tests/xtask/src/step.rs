//! Running other programs, one step after another. A failure is a text for the person who typed the verb.

use std::process::{Command, Stdio};

/// What a step brings, or why it failed.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// The command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let quoted = |word: &std::ffi::OsStr| {
        let word = word.to_string_lossy();
        let plain = |letter: char| letter.is_alphanumeric() || "-_=/.,:+@~%".contains(letter);
        if !word.is_empty() && word.chars().all(plain) { word.into_owned() } else { format!("'{word}'") }
    };
    let words: Vec<String> = std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect();
    words.join(" ")
}

/// Runs it, its output to the terminal.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let line = line(command);
    eprintln!("+ {line}");
    let status = command.status().map_err(|error| format!("{line}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{line}: {status}")) }
}

/// Runs it quietly and gives its stdout.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let line = line(command);
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{line}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{line}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Adds to an input or output error what was being done.
pub(crate) fn doing<T>(what: impl std::fmt::Display, result: std::io::Result<T>) -> Outcome<T> {
    result.map_err(|error| format!("{what}: {error}"))
}
