//! Who may enter, and as whom.

pub mod access;
pub(crate) mod attempt;
