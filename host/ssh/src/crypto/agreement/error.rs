//! The error of a key agreement.

use std::fmt;

/// The peer's share is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadShare;

impl fmt::Display for BadShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an ephemeral key that cannot be agreed with")
    }
}

impl std::error::Error for BadShare {}
