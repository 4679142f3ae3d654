//! Plugins from a file to what is served: compiled in a process of its own, cached, published, replaced, taken away;
//! and the verbs that an operator looks after them with. Rows of the threat model are named by their numbers.
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
