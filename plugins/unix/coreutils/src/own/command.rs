//! What our utilities share.

use unix_common::syntax::{Given, Syntax};

use crate::utility::Arguments;

/// The options and operands, or the status of a program that does not run.
pub(super) fn parse(syntax: &Syntax, arguments: Arguments) -> Result<Given, i32> {
    let words = arguments.skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    syntax.parse(words).map_err(|refusal| refusal.tell())
}

/// Tells of an error, as `NAME: WHAT: REASON`. The status.
pub(super) fn failed(name: &str, what: &str, error: &std::io::Error) -> i32 {
    eprintln!("{name}: {what}: {}", uucore::error::strip_errno(error));
    1
}

/// The status of several steps: 1 if one has failed.
pub(super) fn worst(statuses: impl Iterator<Item = i32>) -> i32 {
    statuses.fold(0, i32::max)
}
