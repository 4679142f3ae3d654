//! Lines for the operator's log. The person at the other end does not see them.

use crate::bindings::whelk::ssh::log::{Level, log};

/// Something that must be looked at.
pub fn error(message: impl AsRef<str>) {
    log(Level::Error, message.as_ref());
}

/// Something odd that was coped with.
pub fn warn(message: impl AsRef<str>) {
    log(Level::Warn, message.as_ref());
}

/// Something worth knowing on an ordinary day.
pub fn info(message: impl AsRef<str>) {
    log(Level::Info, message.as_ref());
}

/// For whoever looks for a fault.
pub fn debug(message: impl AsRef<str>) {
    log(Level::Debug, message.as_ref());
}

/// Every step.
pub fn trace(message: impl AsRef<str>) {
    log(Level::Trace, message.as_ref());
}
