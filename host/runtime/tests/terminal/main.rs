//! The line discipline beside the kernel's.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod cases;
mod kernel;
mod n_tty;
mod seen;
