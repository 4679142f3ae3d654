//! A running server whose configuration is read again, by `whelk reload` and by SIGHUP: all of it or nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

#[path = "../guest/mod.rs"]
mod guest;

mod changes;
mod refusals;
mod server;
