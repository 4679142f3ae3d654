//! The program `whelk`: an SSH gateway whose sessions run in WebAssembly.
//!
//! This crate owns sockets, clock, disk and tasks. It is the only one that knows both the protocol (`whelk-ssh`) and the
//! plugin host (`whelk-runtime`); those two never see each other.
//!
//! The map, from the outside in:
//!
//! | module | what it owns |
//! |---|---|
//! | [`cli`] | the command line: one file a verb, and what verbs print |
//! | [`config`] | the configuration: read once, checked as a whole; every limit; the reference |
//! | [`credential`] | password hashes and lists of public keys, as an operator writes them |
//! | `os_limits` | what the operating system allows this process: open files, memory, mappings, core dumps |
//! | [`state`] | what lies on disk: the state folder, plugin files, and who may change them (strict modes) |
//! | [`server`] | what all connections share; listening, the control socket, signals, draining |
//! | `source` | whom an address belongs to |
//! | [`connection`] | one connection: the driver between socket and protocol, its channels, the bridge to sessions |
//! | [`auth`] | who may enter, and as whom |
//! | [`tenant`] | for whom sessions run: names, routes, grants, and how many sessions a user may have |
//! | [`plugins`] | the plugin folders: watched, loaded, replaced and removed while the server runs |
//! | [`observe`] | the events, each a typed value, and the log that they are written to |

pub mod auth;
pub mod cli;
pub mod config;
pub mod connection;
pub mod credential;
pub mod observe;
mod os_limits;
pub mod plugins;
pub mod server;
mod source;
pub mod state;
pub mod tenant;
