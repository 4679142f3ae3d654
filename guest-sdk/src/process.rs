//! Processes: a program starts other programs, joins them with pipes, and waits for them. As [`std::process`], with
//! what Unix has beside it: any descriptors, process groups, signals, the foreground of the terminal.
//!
//! It needs the grant `process`, and is for programs only ([`whelk_command!`](crate::whelk_command)).
//!
//! ```no_run
//! use std::io::Read;
//! use std::process::ExitCode;
//! use whelk_guest::process::{Command, Stdio, pipe};
//!
//! whelk_guest::whelk_command!();
//!
//! /// `sort names | uniq -c 2>> log`, read by this program.
//! fn main() -> std::io::Result<ExitCode> {
//!     let (from_sort, to_uniq) = pipe()?;
//!     let mut sort = Command::new("sort").arg("names").stdout(to_uniq).spawn()?;
//!     let log = whelk_guest::process::OpenOptions::new().append(true).create(true).open("log")?;
//!     let mut uniq = Command::new("uniq").arg("-c").stdin(from_sort).stdout(Stdio::piped()).stderr(log).spawn()?;
//!     let mut counted = String::new();
//!     uniq.stdout.take().expect("it is piped").read_to_string(&mut counted)?;
//!     print!("{counted}");
//!     sort.wait()?;
//!     Ok(ExitCode::from(uniq.wait()?.shell_status()))
//! }
//! ```
//!
//! # Where it differs from `std::process`
//!
//! * A program without a slash in its name is one of the program table, as `/bin` shows it: `PATH` is not searched.
//! * Arguments, variables and paths are UTF-8.
//! * A child gets the descriptors 0, 1 and 2, and those that [`Command::fd`] gives it. An [`Fd`] has no number of its
//!   own; [`put`] gives it one.
//! * [`Command::exec`] is always there, and so are exit statuses of signals.
//! * Nothing here is `Send`: a program has one thread.
//!
//! # Errors
//!
//! They are [`std::io::Error`]s whose [`raw_os_error`](std::io::Error::raw_os_error) is the number that the C library
//! of WASI has for the error, so that its message and [`kind`](std::io::Error::kind) are the usual ones. A limit of
//! processes is `EAGAIN`, as with fork(2).

mod child;
mod command;
mod control;
mod error;
mod fd;
mod poll;
mod signal;

pub use child::{Change, Child, ExitStatus, Output, wait_any};
pub use command::{Command, Limits, Stdio};
pub use control::{Identity, Target, Usage, exists, identity, kill, limits, set_foreground, set_process_group, usage};
pub use fd::{Fd, Kind, OpenOptions, close, get, numbers, pipe, put};
pub use poll::{Event, poll, poll_timeout};
pub use signal::{Disposition, Signal, UnknownSignal, disposition, next_signal, set_disposition, wait_for_signal};

use crate::bindings::process::wasi::clocks::monotonic_clock as clock;
use crate::bindings::process::wasi::io::poll as wasi_poll;
use crate::bindings::process::whelk::process::process as host;
