//! What an operator does beside serving: writes a configuration and edits its users, and asks what the machine allows.

pub(super) mod doctor;
pub(super) mod init;
mod replace;
pub(super) mod user;
