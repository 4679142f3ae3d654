//! What an operator does beside serving: edits the users of a configuration.

mod replace;
pub(super) mod user;
