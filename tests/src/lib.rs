//! The harness of the world tests: the built program on one side, foreign clients on the other.
//!
//! [`Gateway`] is a running `whelk` with a state folder of its own; [`Log`] is what it says on stderr, as events; [`Call`] is one
//! run of a foreign client; [`Running`] is any program under a deadline. Nothing here sleeps: every wait is for an event and has
//! an end, and reaching that end is a failure.
//!
//! The tests themselves are in `interop/`. The rules of the house are in `house/` and do not need this library.

mod access;
mod call;
mod gateway;
mod log;
mod running;

pub use access::{Access, PASSWORD};
pub use call::{Call, Client, client_program};
pub use gateway::{Gateway, Setup, repository, shipped_plugins};
pub use log::{Event, Log};
pub use running::{Finished, Input, Output, Running};

use std::time::Duration;

/// How long a single event or a small client run may take. Long, since the machine may be busy; no test waits for its end.
pub const SOON: Duration = Duration::from_secs(60);

/// How long a run with a great transfer may take.
pub const LATER: Duration = Duration::from_secs(1200);

/// One MiB.
pub const MIB: u64 = 1 << 20;

/// The size of a proof: `short` in every `cargo xtask test`, `full` in `cargo xtask prove`.
pub fn size(short: u64, full: u64) -> u64 {
    if std::env::var_os("WHELK_PROVE").is_some_and(|value| value == "1") { full } else { short }
}

/// Prints a measured figure; `cargo xtask prove` shows it.
pub fn figure(name: &str, value: impl std::fmt::Display) {
    println!("figure: {name}: {value}");
}
