//! What is wrong with a configuration, and where.
//!
//! Every check adds to one list, so that an operator mends a file in one go instead of meeting its errors one by one.

use std::fmt;
use std::path::{Path, PathBuf};

/// One thing that is wrong, or in a list of notes one thing worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file and the line in it, counted from 1. `None` for what came from the command line.
    pub place: Option<(PathBuf, usize)>,
    /// The setting, spelled in full (`users.alice.plugin`). Empty where the text could not be read as settings at all.
    pub key: String,
    /// What is wrong, in words for the operator.
    pub what: String,
}

impl Problem {
    /// A problem of the command line; `key` is the option, such as `--plugins`.
    pub(crate) fn of_option(key: &str, what: impl Into<String>) -> Problem {
        Problem { place: None, key: key.to_owned(), what: what.into() }
    }

    /// A problem at a line of a file.
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

/// Why there is no configuration: every problem that was found, in the order of the file. Displays one a line.
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
