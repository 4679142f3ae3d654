//! The time limits and the sizes of the tests, and the figures that they print.

use std::time::Duration;

/// The time limit of a single event or a small client run. Long, because the machine may be busy; a passing test never
/// waits that long.
pub const SOON: Duration = Duration::from_secs(60);

/// The time limit of a run with a large transfer.
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
