//! How a verb ends: with text on standard output, or with a failure and its exit status.

use std::fmt::Display;
use std::io::Write;

pub(super) const FAILED: u8 = 1;
pub(super) const WRONG: u8 = 2;

/// Why the program ends, and with which status.
pub(super) struct Failure {
    pub(super) status: u8,
    pub(super) text: String,
}

pub(super) fn wrong(error: impl Display) -> Failure {
    Failure { status: WRONG, text: error.to_string() }
}

pub(super) fn failed(error: impl Display) -> Failure {
    Failure { status: FAILED, text: error.to_string() }
}

/// For a verb that does not serve.
pub(super) fn lone_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)
}

pub(super) fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // The reader has closed the pipe.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(failed(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
