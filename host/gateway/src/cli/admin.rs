//! What an operator does beside serving: writes a configuration and edits its users, asks what the machine allows,
//! copies the key-value store, and plays recordings.

pub(super) mod backup;
pub(super) mod doctor;
pub(super) mod init;
pub(super) mod play;
pub(super) mod readable;
mod replace;
pub(super) mod user;
