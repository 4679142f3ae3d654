//! A utility.

use std::ffi::OsString;
use std::vec;

/// The arguments of a utility, of which the first is its name.
pub(crate) type Arguments = vec::IntoIter<OsString>;

/// One utility.
pub(crate) struct Utility {
    /// The name that it is called by.
    pub(crate) name: &'static str,
    /// The name under which uutils keep its messages; none of our own.
    pub(crate) messages: Option<&'static str>,
    /// Runs it and returns its exit status.
    pub(crate) main: fn(Arguments) -> i32,
    /// Its options, where uutils have them and it takes its arguments as they are.
    pub(crate) app: Option<fn() -> clap::Command>,
}
