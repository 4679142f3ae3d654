//! Signals, and the changes of processes.

use super::errors::io_errno;
use crate::system::{Change, Disposition, Errno, signal_name};
use whelk_guest::process::{self, Signal};

/// The shell's name of a signal: its names are those of Linux.
pub(super) fn name(signal: Signal) -> &'static str {
    signal_name(signal.number().into()).unwrap_or(signal.name())
}

/// The signal of a name. None: the host has no such signal.
pub(super) fn of_name(name: &str) -> Option<Signal> {
    Signal::ALL.iter().copied().find(|signal| self::name(*signal) == name)
}

/// The signals that are ignored now.
pub(super) fn ignored() -> Vec<&'static str> {
    let is_ignored = |signal: &Signal| process::disposition(*signal) == process::Disposition::Ignore;
    Signal::ALL.iter().copied().filter(is_ignored).map(name).collect()
}

pub(super) fn set(signal: &str, how: Disposition) -> Result<(), Errno> {
    let how = match how {
        Disposition::Default => process::Disposition::Default,
        Disposition::Ignore => process::Disposition::Ignore,
        Disposition::Catch => process::Disposition::Catch,
    };
    let signal = of_name(signal).ok_or(Errno::EINVAL)?;
    process::set_disposition(signal, how).map(drop).map_err(|error| io_errno(&error))
}

pub(super) fn change(change: process::Change) -> Change {
    match change {
        process::Change::Exited(status) => match status.signal() {
            Some(signal) => Change::Killed(name(signal).to_owned()),
            None => Change::Exited(status.code().unwrap_or_default()),
        },
        process::Change::Stopped(signal) => Change::Stopped(name(signal).to_owned()),
        process::Change::Continued => Change::Continued,
    }
}
