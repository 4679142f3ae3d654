//! Timers. They expire in [`TimerHandler::on_timer`](crate::TimerHandler::on_timer) of a plugin that was exported with
//! `plugin!(.. : timers)`; in any other plugin they have no effect.
//!
//! You choose a number for each timer. At most 64 may run at once.

use crate::bindings::whelk::ssh::timers;

pub use crate::bindings::whelk::ssh::timers::TimerError;

/// The shortest time that a timer can be set to, in milliseconds.
pub const MIN_MS: u32 = 10;

/// Sets a timer that expires once, after `ms` milliseconds. Setting a running timer restarts it.
///
/// # Errors
/// [`TimerError::TooSoon`] below [`MIN_MS`], [`TimerError::TooMany`] when 64 run.
pub fn after(timer: u32, ms: u32) -> Result<(), TimerError> {
    timers::set(timer, ms, None)
}

/// Sets a timer that expires every `ms` milliseconds. Expirations that fall due while the plugin is busy are delivered
/// as one; the period does not drift.
///
/// # Errors
/// As [`after`].
pub fn every(timer: u32, ms: u32) -> Result<(), TimerError> {
    timers::set(timer, ms, Some(ms))
}

/// Stops a timer. Stopping a number that does not run is not an error.
pub fn cancel(timer: u32) {
    timers::cancel(timer);
}
