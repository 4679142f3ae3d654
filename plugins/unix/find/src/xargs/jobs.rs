//! The commands that run.

use std::collections::VecDeque;
use std::io::{self, BufRead, Write};

use unix_common::child::{self, Child, Command, Ending, Stdio};
use unix_common::report;

use super::settings::Settings;

/// The exit status of a command that fails, and of one that asks to stop.
const FAILED: u8 = 123;
const STOPPED: u8 = 124;
const KILLED: u8 = 125;
const NOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

/// The commands that run, and what came of those before.
pub(crate) struct Jobs<'a> {
    settings: &'a Settings,
    running: VecDeque<(usize, Child)>,
    status: u8,
}

impl<'a> Jobs<'a> {
    pub(crate) fn new(settings: &'a Settings) -> Self {
        Self { settings, running: VecDeque::new(), status: 0 }
    }

    /// Starts a command, once there is a place for it. The error is a message, after which no more are started.
    pub(crate) fn start(&mut self, words: Vec<String>) -> Result<(), String> {
        let most = self.settings.processes;
        while most > 0 && self.running.len() >= most {
            self.wait()?;
        }
        if self.settings.verbose || self.settings.asks {
            let line: Vec<String> = words.iter().map(|word| shown(word)).collect();
            eprint!("{}", line.join(" "));
            if self.settings.asks && !confirmed().map_err(|error| report::words(&error))? {
                return Ok(());
            }
            if !self.settings.asks {
                eprintln!();
            }
        }
        let Some((program, arguments)) = words.split_first() else {
            return Ok(());
        };
        let slot = (0..).find(|slot| self.running.iter().all(|(taken, _)| taken != slot)).unwrap_or_default();
        let mut command = Command::new(program);
        command.args(arguments);
        if self.settings.open_terminal {
            command.stdin(
                terminal()
                    .map_err(|error| format!("failed to open /dev/tty for reading: {}", report::words(&error)))?,
            );
        } else if self.settings.file.is_none() {
            command.stdin(crate::command::nothing());
        }
        if let Some(variable) = &self.settings.slot_variable {
            command.env(variable, slot.to_string());
        }
        match command.spawn() {
            Ok(child) => {
                self.running.push_back((slot, child));
                // One at a time it is waited for at once, so that messages come in order.
                if most == 1 { self.wait() } else { Ok(()) }
            }
            Err(error) => {
                self.status = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUN };
                Err(format!("{program}: {}", report::words(&error)))
            }
        }
    }

    /// Waits for any command.
    fn wait(&mut self) -> Result<(), String> {
        let children = self.running.iter_mut().map(|(_, child)| child);
        let (index, status) = child::wait_any(children).map_err(|error| report::words(&error))?;
        self.running.remove(index);
        let program = self.settings.command.first().map_or("", String::as_str);
        match child::ending(status) {
            Ending::Status(0) => Ok(()),
            Ending::Status(255) => {
                self.status = STOPPED;
                Err(format!("{program}: exited with status 255; aborting"))
            }
            Ending::Status(_) => {
                self.status = FAILED;
                Ok(())
            }
            Ending::Signal(number) => {
                self.status = KILLED;
                Err(format!("{program}: terminated by signal {number}"))
            }
        }
    }

    /// Waits for all that still run. The exit status.
    pub(crate) fn finish(&mut self) -> u8 {
        while !self.running.is_empty() {
            if let Err(message) = self.wait() {
                report::error(&message);
            }
        }
        self.status
    }
}

/// A word as the shell would read it.
fn shown(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "_-./,:=+@%^".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

fn confirmed() -> io::Result<bool> {
    eprint!("?...");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::BufReader::new(std::fs::File::open("/dev/tty")?).read_line(&mut answer)?;
    Ok(answer.starts_with(['y', 'Y']))
}

fn terminal() -> io::Result<Stdio> {
    #[cfg(target_family = "wasm")]
    {
        whelk_guest::process::OpenOptions::new().read(true).open("/dev/tty").map(Stdio::from)
    }
    #[cfg(not(target_family = "wasm"))]
    {
        std::fs::File::open("/dev/tty").map(Stdio::from)
    }
}
