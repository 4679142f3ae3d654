//! Alarm clocks. They ring in [`TimerHandler::on_timer`](crate::TimerHandler::on_timer) of a plugin that was made with
//! `plugin!(.. : timers)`; in any other nobody hears them.
//!
//! You give each a number, by which you know it again. At most 64 may run at once.

use crate::bindings::whelk::ssh::timers;

pub use crate::bindings::whelk::ssh::timers::TimerError;

/// The shortest time that a timer can be set to, in milliseconds.
pub const MIN_MS: u32 = 10;

/// Rings once, after so many milliseconds. Setting a number that runs starts it anew.
///
/// # Errors
/// [`TimerError::TooSoon`] below [`MIN_MS`], [`TimerError::TooMany`] when 64 run.
pub fn after(timer: u32, ms: u32) -> Result<(), TimerError> {
    timers::set(timer, ms, None)
}

/// Rings again and again, every so many milliseconds. However many times pass while the plugin is busy, it rings once
/// for all of them, and keeps its beat.
///
/// # Errors
/// As [`after`].
pub fn every(timer: u32, ms: u32) -> Result<(), TimerError> {
    timers::set(timer, ms, Some(ms))
}

/// Stops it. A number that does not run is no error.
pub fn cancel(timer: u32) {
    timers::cancel(timer);
}
