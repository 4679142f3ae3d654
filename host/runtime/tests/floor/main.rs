//! The plugin floor: real components under the real engine, with the connection's side played by hand. Rows of the
//! threat model are named by their numbers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod client;
mod guests;
mod log;
mod shell;

mod charges;
mod endings;
mod escapes;
mod files;
mod grants;
mod handover;
mod http;
mod imports;
mod isolation;
mod keyvalue;
mod limits;
mod output;
mod panics;
mod permits;
mod quota;
mod race;
mod refusals;
mod registry;
mod retire;
mod routing;
mod session;
mod tcp;
mod tenant;
mod timers;
mod topics;
mod unread;
