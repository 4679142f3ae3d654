//! Output to the client, the end of the session, and what the client sent before its start request.

use std::io;

use crate::bindings::whelk::ssh::channel;
pub use crate::bindings::whelk::ssh::channel::{HandOverError, WriteError};
use crate::bindings::whelk::ssh::types::{Exit, ExitSignal, Output, Pty, SignalName};

/// The most that the host takes in one call, in bytes. [`write()`] splits longer data.
pub const MAX_WRITE: usize = 1 << 20;

/// Writes text or bytes to standard output. Blocks while the client does not read.
///
/// If the client has left, the output is discarded, and [`Session::closed`](crate::Session::closed) follows. Use
/// [`write()`] or [`stdout`] in a loop that should stop then.
pub fn print(text: impl AsRef<[u8]>) {
    let _ = write(Output::Stdout, text.as_ref());
}

/// Like [`print()`], but to standard error, which the client's user can redirect (`2>`).
pub fn eprint(text: impl AsRef<[u8]>) {
    let _ = write(Output::Stderr, text.as_ref());
}

/// Writes all of `data`, whatever its length.
///
/// # Errors
/// [`WriteError::Closed`] when the client has left, [`WriteError::EofSent`] after [`send_eof`]. Part of `data` may have
/// been sent.
pub fn write(to: Output, data: &[u8]) -> Result<(), WriteError> {
    data.chunks(MAX_WRITE).try_for_each(|piece| channel::write(to, piece))
}

/// Standard output as an [`io::Write`], for `write!` and the like.
///
/// ```no_run
/// use std::io::Write;
///
/// fn table(rows: &[(&str, u32)]) -> std::io::Result<()> {
///     rows.iter().try_for_each(|(name, count)| write!(whelk_guest::stdout(), "{name:10} {count:5}\r\n"))
/// }
/// ```
pub fn stdout() -> Stream {
    Stream(Output::Stdout)
}

/// Standard error as an [`io::Write`]; see [`stdout`].
pub fn stderr() -> Stream {
    Stream(Output::Stderr)
}

/// An output stream as an [`io::Write`], unbuffered. Fails with [`io::ErrorKind::BrokenPipe`] when the client has left.
#[derive(Debug, Clone, Copy)]
pub struct Stream(Output);

impl io::Write for Stream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        write(self.0, data).map_err(broken)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Not `ErrorKind::Interrupted`: callers would repeat the whole write, part of which has been sent.
fn broken(error: WriteError) -> io::Error {
    match error {
        WriteError::Closed | WriteError::EofSent => io::Error::new(io::ErrorKind::BrokenPipe, error),
        WriteError::Interrupted => io::Error::other(error),
    }
}

/// How many bytes [`write()`] would take now without blocking. For a [`DrainHandler`](crate::DrainHandler).
pub fn writable() -> u32 {
    channel::writable()
}

/// Tells the client that no more output follows (EOF). Rarely needed, because [`finish`] does it too.
pub fn send_eof() {
    channel::send_eof();
}

/// Ends the session with an exit status; 0 means success. `ssh` exits with the same status.
///
/// It takes effect when the current function returns. Output that was written before is sent first.
pub fn finish(status: u32) {
    channel::finish(&Exit::Status(status));
}

/// Ends the session as if a signal had killed a program. The message for the person is cut to 1 KiB and its control
/// characters are escaped.
pub fn exit_signal(name: SignalName, message: &str) {
    channel::finish(&Exit::Signal(ExitSignal { name, core_dumped: false, message: message.to_owned() }));
}

/// Hands the session over to another plugin of the tenant, by its name. This takes effect when the current function
/// returns: this plugin gets [`Session::closed`](crate::Session::closed) and its instance ends. The other plugin gets
/// the environment, the terminal, the same start request, and then the input that was not read yet.
///
/// Possible from the start request on. The first call of `hand_over` or [`finish`] wins.
///
/// # Errors
/// [`HandOverError::UnknownPlugin`] when no plugin has this name, [`HandOverError::NotPermitted`] when a handover is
/// not allowed at all or not now. The session then goes on unchanged.
pub fn hand_over(plugin: &str) -> Result<(), HandOverError> {
    channel::hand_over(plugin)
}

/// The terminal as the client requested it. `None` without one, as with `ssh name@host < file`.
pub fn pty() -> Option<Pty> {
    channel::get_pty()
}

/// The environment variables that [`Session::env`](crate::Session::env) accepted, in the order in which they arrived.
pub fn env() -> Vec<(String, Vec<u8>)> {
    channel::get_env()
}

/// Sends a channel request to the client and waits for the reply; true means success. For requests that have no
/// function of their own here. RFC 4254 §5.4.
///
/// Use a name of your own that ends in `@` and a domain: `ask@example.org`. Names of RFC 4254 §6 (`exit-status`,
/// `exit-signal` and so on) and those of `@openssh.com` and `@putty.projects.tartarus.org` are reserved for the host or
/// the client. Such a request is not sent: the answer is false, and the log says why.
///
/// # Errors
/// [`WriteError::Closed`] when the client has left.
pub fn request(name: &str, payload: &[u8]) -> Result<bool, WriteError> {
    channel::request(name, payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_session_is_a_broken_pipe_and_no_error_causes_a_retry() {
        assert_eq!(broken(WriteError::Closed).kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(broken(WriteError::EofSent).kind(), io::ErrorKind::BrokenPipe);
        assert_ne!(broken(WriteError::Interrupted).kind(), io::ErrorKind::Interrupted);
    }
}
