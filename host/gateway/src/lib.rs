//! The program `whelk`: an SSH gateway whose sessions run in WebAssembly.
//!
//! This crate owns sockets, clock, disk and tasks. It is the only one that knows both the protocol (`whelk-ssh`) and
//! the runtime of plugins (`whelk-runtime`); those two do not know each other.
//!
//! The map, from the outside in:
//!
//! | module | what it owns |
//! |---|---|
//! | [`cli`] | the command line: the verbs, and their output |
//! | [`config`] | the configuration: read once, checked as a whole; every limit; the reference |
//! | [`credential`] | password hashes and lists of public keys, as an operator writes them |
//! | `os_limits` | the operating system's limits of this process: open files, memory, mappings, core dumps |
//! | [`state`] | files on disk: the state folder, plugin files, and who may change them (strict modes) |
//! | [`server`] | what all connections share, and the table of them; listening, the control socket, signals, draining |
//! | [`source`] | where a connection comes from, and the unit in which clients are counted |
//! | [`connection`] | one connection: driver, protocol, channels and the bridge to sessions; the path of a byte |
//! | [`auth`] | who may log in, and as which user; the way of a login is in `connection/login.rs` |
//! | [`tenant`] | tenants: plugin names, routes, grants, and how many sessions a user may have |
//! | [`plugins`] | the plugin folders: watched, loaded, replaced and removed while the server runs; the way of a file |
//! | [`observe`] | the events, each a typed value; the log, the audit and the metrics, which are made from them |
//!
//! `PERFORMANCE.md` beside the manifest says how fast it is, and where the time of a packet and of a handshake goes.

pub mod auth;
pub mod cli;
pub mod config;
pub mod connection;
pub mod credential;
pub mod observe;
mod os_limits;
pub mod plugins;
pub mod server;
pub mod source;
pub mod state;
pub mod tenant;
