//! Who a process is, and signals to others.

use std::io;

use super::command::Limits;
use super::error::from_errno;
use super::host::{self, GroupChoice};
use super::signal::Signal;

pub use super::host::{Identity, Target, Usage};

/// Its numbers: getpid(2), getppid(2), getpgrp(2) and tcgetpgrp(3).
pub fn identity() -> Identity {
    host::get_identity()
}

/// Sends a signal: kill(2). [`Target::Process`] and [`Target::Group`] take 0 for the caller's own.
///
/// # Errors
/// `ESRCH` if nobody is there.
pub fn kill(target: Target, signal: Signal) -> io::Result<()> {
    host::kill(target, Some(signal.name())).map_err(from_errno)
}

/// Whether somebody is there: kill(2) without a signal. A process that has ended is there until its parent has waited
/// for it.
pub fn exists(target: Target) -> bool {
    host::kill(target, None).is_ok()
}

/// Moves this process to a group: setpgid(2). Group 0 is a new one with the number of the process. That of a child is
/// set when it is started: [`Command::process_group`](super::Command::process_group).
///
/// # Errors
/// Those of setpgid(2). A process (not 0) that is a child gives `EACCES`, since it runs its program already.
pub fn set_process_group(process: u32, group: u32) -> io::Result<()> {
    let group = if group == 0 { GroupChoice::New } else { GroupChoice::Join(group) };
    host::set_group(process, group).map_err(from_errno)
}

/// Makes a group the foreground group of the terminal: tcsetpgrp(3). From a background group it sends TTOU to that
/// group, unless the caller ignores that signal.
///
/// # Errors
/// Those of tcsetpgrp(3): `ENOTTY` without a terminal.
pub fn set_foreground(group: u32) -> io::Result<()> {
    host::set_foreground(group).map_err(from_errno)
}

/// The limits of this process: getrlimit(2).
pub fn limits() -> Limits {
    Limits::from_host(host::get_limits())
}

/// What this process and its children have used: getrusage(2).
pub fn usage() -> Usage {
    host::get_usage()
}
