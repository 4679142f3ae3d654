//! The server: everything that is there once for all connections.
//!
//! | module | what it owns |
//! |---|---|
//! | [`gateway`] | the state that all connections share, made from a configuration |
//! | [`generation`] | the newest generation of that state: a connection takes it when it is accepted |
//! | [`listener`] | the listening sockets; which connections are served, wait, are refused or evicted |
//! | [`connection_table`] | every connection and session, for the control socket, and the requests to end them |
//! | [`control`] | the control socket, on which `whelk` asks the running server |
//! | [`drain`] | the phases of a shutdown |
//! | [`reload`] | re-reads the configuration while the server runs |
//! | [`revocation`] | ends the connections of users who may no longer log in |
//! | [`signals`] | what SIGTERM, SIGINT, SIGHUP and others do |
//! | [`systemd`] | what systemd is told: ready, reloading, stopping, how busy, and that the server serves |
//! | [`heap_trim`] | gives free heap back to the system after many sessions or connections have ended |
//! | `socket` | options of TCP sockets |

pub mod connection_table;
pub mod control;
pub mod drain;
pub mod gateway;
pub mod generation;
pub mod heap_trim;
pub mod listener;
pub mod reload;
pub mod revocation;
pub mod signals;
pub(crate) mod socket;
pub mod systemd;
