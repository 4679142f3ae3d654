//! The commands of `-exec` and its like.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use unix_common::child::{self, Command, Ending, Stdio};
use unix_common::report;

/// The most bytes of the words of one command. The host takes a MiB with the environment.
pub(crate) const WORDS: usize = 128 << 10;
/// The most words of one command of `-exec … +`.
const COUNT: usize = 4096;

/// A command of `-exec … +`, and the files for its next run.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The words before the files.
    pub(crate) words: Vec<String>,
    /// It runs in the folder of the files.
    pub(crate) in_folder: bool,
    folder: Option<PathBuf>,
    files: Vec<String>,
    bytes: usize,
    pub(crate) failed: bool,
}

impl Batch {
    pub(crate) fn new(words: Vec<String>, in_folder: bool) -> Self {
        Self { words, in_folder, folder: None, files: Vec::new(), bytes: 0, failed: false }
    }

    /// Adds a file. Runs the command first if there is no more room, or if the file is in another folder.
    pub(crate) fn add(&mut self, file: String, folder: Option<PathBuf>) {
        let full = self.files.len() >= COUNT || self.bytes + file.len() > WORDS;
        if full || self.folder != folder {
            self.run();
        }
        self.folder = folder;
        self.bytes += file.len() + 1;
        self.files.push(file);
    }

    /// Runs the command with the files so far, if there are any.
    pub(crate) fn run(&mut self) {
        if self.files.is_empty() {
            return;
        }
        let words: Vec<String> = self.words.iter().cloned().chain(self.files.drain(..)).collect();
        self.bytes = 0;
        self.failed |= !run(&words, self.folder.as_deref());
    }
}

/// Runs a command and waits for it. Whether it exited with status 0.
pub(crate) fn run(words: &[String], folder: Option<&Path>) -> bool {
    let Some((program, arguments)) = words.split_first() else {
        return false;
    };
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    match command.spawn().and_then(|mut child| child.wait()) {
        Ok(status) => child::ending(status) == Ending::Status(0),
        Err(error) => {
            report::error(&format!("{}: {}", report::quoted(program), report::words(&error)));
            false
        }
    }
}

/// Asks whether to run a command, on standard error. The answer comes from standard input.
pub(crate) fn ask(words: &[String]) -> io::Result<bool> {
    eprint!("< {} > ? ", words.join(" ... "));
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim_start().starts_with(['y', 'Y']))
}

/// Nothing to read, for commands that shall not read the input of this program.
pub(crate) fn nothing() -> Stdio {
    Stdio::null()
}
