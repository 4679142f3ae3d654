//! The plugin tests: real components in the real engine, with the connection's side driven by the test. Codes such as
//! W5 are rows of the threat list.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod client;
mod guests;
mod log;
mod shell;
mod table;

mod arguments;
mod authenticator;
mod charges;
mod connection;
mod descriptors;
mod endings;
mod escapes;
mod file_server;
mod files;
mod grants;
mod handover;
mod homes;
mod http;
mod imports;
mod isolation;
mod joined;
mod keyvalue;
mod limits;
mod output;
mod panics;
mod permits;
mod processes;
mod program;
mod program_limits;
mod quota;
mod race;
mod refusals;
mod registry;
mod retire;
mod routing;
mod session;
mod space;
mod tcp;
mod tenant;
mod terminal;
mod timers;
mod topics;
mod tree;
mod unread;
