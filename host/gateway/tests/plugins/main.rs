//! Plugins from the file to serving: compiled in a child process, cached, published, replaced and removed; and the
//! operator's verbs. Codes such as W34 are rows of the threat list.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

#[path = "../guest/mod.rs"]
mod guest;
#[expect(unreachable_pub, reason = "other tests have it from their library")]
#[path = "../../../../tests/src/script.rs"]
mod script;

mod bombs;
mod guests;
mod server;

mod compile;
mod reload;
mod verbs;
