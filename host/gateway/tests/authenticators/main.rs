//! Plugins that decide about logins: the whole gateway in this process, and our own client at the other end of a pipe
//! in memory. The plugin `doorman` does what a password or an answer tells it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

#[path = "../guest/mod.rs"]
mod guest;

mod client;
mod log;
mod place;

mod decisions;
mod failures;
mod grants;
mod pool;
mod settings;
mod timing;
