//! The plugin folders: watched, loaded, replaced and removed while the server runs.

pub mod reload;
pub(crate) mod watch;
