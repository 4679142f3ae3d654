//! The errors and notes of a configuration, with their places.
//!
//! Every check adds to one list, so that an operator can fix a file in one go.

use std::fmt;
use std::path::{Path, PathBuf};

/// One error, or one note.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file and the line, counted from 1. `None` for the command line.
    pub place: Option<(PathBuf, usize)>,
    /// The full key (`users.alice.plugin`). Empty if the text could not be parsed.
    pub key: String,
    /// The message for the operator.
    pub what: String,
}

impl Problem {
    /// An error of the command line; `key` is the option, such as `--plugins`.
    pub(crate) fn of_option(key: &str, what: impl Into<String>) -> Problem {
        Problem { place: None, key: key.to_owned(), what: what.into() }
    }

    /// An error at a line of a file.
    pub(crate) fn at(file: &Path, line: usize, key: &str, what: impl Into<String>) -> Problem {
        Problem { place: Some((file.to_owned(), line)), key: key.to_owned(), what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((file, line)) = &self.place {
            write!(f, "{}:{line}: ", file.display())?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

/// Why there is no configuration: all errors, in the order of the file. Displays one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub Vec<Problem>);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Refused {
        Refused(vec![problem])
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}
