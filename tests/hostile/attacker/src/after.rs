//! What all behaviours share: what a behaviour leaves behind, how it speaks, how it reads its shape.

use crate::bindings::whelk::ssh::channel;
use crate::bindings::whelk::ssh::types::Output;

/// What a behaviour leaves to be done.
pub(crate) enum After {
    /// Print this and end well.
    Report(String),
    /// Nothing: the session goes on.
    Nothing,
}

/// Writes to standard output. An error means that nobody is there any more.
pub(crate) fn say(data: &[u8]) {
    let _ = channel::write(Output::Stdout, data);
}

/// A number among the words of a shape.
pub(crate) fn number(words: &[&str], at: usize) -> u64 {
    let word = words.get(at).copied().unwrap_or_default();
    word.parse().unwrap_or_else(|_| panic!("not a number: {word:?}"))
}
