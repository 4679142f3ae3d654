//! Errors that end the program.

use std::io;
use std::process::ExitCode;

use unix_common::report;

/// The exit status of an error.
pub(crate) const STATUS: u8 = 2;

/// Why nothing further is patched.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PatchError(pub(crate) String);

impl PatchError {
    /// What failed, and the error of the system.
    pub(crate) fn of(what: &str, error: &io::Error) -> Self {
        Self(format!("{what} : {}", report::words(error)))
    }

    /// Writes it to standard error. The exit status.
    pub(crate) fn report(self) -> ExitCode {
        eprintln!("patch: **** {}", self.0.strip_suffix('\n').map_or(self.0.clone(), |line| format!("{line}\n")));
        ExitCode::from(STATUS)
    }
}
