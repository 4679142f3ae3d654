//! What an operator asks a running server for and has it do: `whelk sessions`, `status` and others, with the program.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod console;
mod ended;
#[path = "../guest/mod.rs"]
mod guest;
mod listed;
#[path = "../../../../tests/client/peer.rs"]
#[expect(dead_code, reason = "what nobody expected is shown whole")]
mod peer;
mod server;
#[path = "../../../../tests/client/visit.rs"]
mod visit;
mod watched;
