//! Lines for the operator's log. The client does not see them.

use crate::bindings::whelk::ssh::log::{Level, log};

/// Logs an error: the operator must act.
pub fn error(message: impl AsRef<str>) {
    log(Level::Error, message.as_ref());
}

/// Logs a warning: something unexpected that the plugin handled.
pub fn warn(message: impl AsRef<str>) {
    log(Level::Warn, message.as_ref());
}

/// Logs information of normal operation.
pub fn info(message: impl AsRef<str>) {
    log(Level::Info, message.as_ref());
}

/// Logs a detail for debugging.
pub fn debug(message: impl AsRef<str>) {
    log(Level::Debug, message.as_ref());
}

/// Logs a detail of a single step.
pub fn trace(message: impl AsRef<str>) {
    log(Level::Trace, message.as_ref());
}
