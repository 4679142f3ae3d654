//! Who may enter, and as whom.

pub mod access;
