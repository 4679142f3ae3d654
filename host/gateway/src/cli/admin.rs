//! What an operator does beside serving: edits the users of a configuration, and asks what the machine allows.

pub(super) mod doctor;
mod replace;
pub(super) mod user;
