//! Connection plugins (world `connection-plugin`): they decide about channel types and global requests of their own.
//!
//! An instance lives as long as its connection, and is made for the first thing that it is asked. It is asked one thing
//! at a time, in the order in which the client sent them. When it fails, or its version is retired, nothing of its
//! connection ends: what waits for it and what comes later is refused.
//!
//! ```text
//!  the connection's task                        the plugin's task
//!  ConnectionLink  ── open, request ──────────► ConnectionHalf ──► one call at a time
//!                  ◄── ConnectionMessage ───── verdicts, answers, and what the plugin begins by itself
//! ```

mod link;
mod run;

pub use link::{ConnectionHalf, ConnectionLink, connection_link};
pub use run::ConnectionReport;
