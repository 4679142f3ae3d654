//! What all behaviours share: their result, output, and the parsing of their parameters.

use crate::bindings::whelk::ssh::channel;
use crate::bindings::whelk::ssh::types::Output;

/// What to do after a behaviour.
pub(crate) enum After {
    /// Print this and end with status 0.
    Report(String),
    /// Nothing: the session goes on.
    Nothing,
}

/// Writes to standard output. An error means that the client has left.
pub(crate) fn say(data: &[u8]) {
    let _ = channel::write(Output::Stdout, data);
}

/// Parses a number in the parameters.
pub(crate) fn number(words: &[&str], at: usize) -> u64 {
    let word = words.get(at).copied().unwrap_or_default();
    word.parse().unwrap_or_else(|_| panic!("not a number: {word:?}"))
}
