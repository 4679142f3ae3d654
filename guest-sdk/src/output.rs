//! The way to the person: output, the end of the session, and what was agreed with them at its start.

use std::io;

use crate::bindings::whelk::ssh::channel;
pub use crate::bindings::whelk::ssh::channel::{HandOverError, WriteError};
use crate::bindings::whelk::ssh::types::{Exit, ExitSignal, Output, Pty, SignalName};

/// The most that the host takes in one call, in bytes. [`write()`] cuts what is longer.
pub const MAX_WRITE: usize = 1 << 20;

/// Shows text or bytes to the person. Takes as long as they need to receive it.
///
/// If they have left, it is thrown away: [`Session::closed`](crate::Session::closed) is about to be called.
/// Use [`write()`] or [`stdout`] in a loop that should stop then.
pub fn print(text: impl AsRef<[u8]>) {
    let _ = write(Output::Stdout, text.as_ref());
}

/// As [`print()`], on the stream for errors, which a person with a pipe sees apart (`2>`).
pub fn eprint(text: impl AsRef<[u8]>) {
    let _ = write(Output::Stderr, text.as_ref());
}

/// Sends all of `data`, however long.
///
/// # Errors
/// [`WriteError::Closed`] when the person has left, [`WriteError::EofSent`] after [`send_eof`]. Some of it may have
/// been sent.
pub fn write(to: Output, data: &[u8]) -> Result<(), WriteError> {
    data.chunks(MAX_WRITE).try_for_each(|piece| channel::write(to, piece))
}

/// The person's standard output, for `write!` and whatever else takes an [`io::Write`].
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

/// The person's standard error, as [`stdout`].
pub fn stderr() -> Stream {
    Stream(Output::Stderr)
}

/// Output as an [`io::Write`], without a buffer of its own. A person who has left is [`io::ErrorKind::BrokenPipe`].
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

/// Not `ErrorKind::Interrupted` for an interrupted write: callers repeat the whole of it on that, and some has been
/// sent.
fn broken(error: WriteError) -> io::Error {
    match error {
        WriteError::Closed | WriteError::EofSent => io::Error::new(io::ErrorKind::BrokenPipe, error),
        WriteError::Interrupted => io::Error::other(error),
    }
}

/// How many bytes [`write()`] would take now without waiting. For a [`DrainHandler`](crate::DrainHandler).
pub fn writable() -> u32 {
    channel::writable()
}

/// Tells the person's program that no more output will come. Seldom needed, since [`finish`] does it too.
pub fn send_eof() {
    channel::send_eof();
}

/// Ends the session, with the number that `ssh` ends with at the other side; 0 means success.
///
/// It takes effect when the function that you are in returns, and what was printed is sent first.
pub fn finish(status: u32) {
    channel::finish(&Exit::Status(status));
}

/// Ends the session as if a signal had killed a program, with a line for the person: cut to 1 KiB, control characters
/// escaped.
pub fn exit_signal(name: SignalName, message: &str) {
    channel::finish(&Exit::Signal(ExitSignal { name, core_dumped: false, message: message.to_owned() }));
}

/// Passes the session on to another plugin of the tenant, by its name, when the function that you are in returns: this
/// one hears [`Session::closed`](crate::Session::closed) and is gone. The other is told of the environment and the
/// terminal, is given the same start request, and then gets what was not read yet. What it does after that is the
/// session.
///
/// Possible from the start request on; of this and [`finish`] the first word counts.
///
/// # Errors
/// [`HandOverError::UnknownPlugin`] when there is none of this name, [`HandOverError::NotPermitted`] when it may not
/// be, or not now. Nothing has happened then.
pub fn hand_over(plugin: &str) -> Result<(), HandOverError> {
    channel::hand_over(plugin)
}

/// The terminal as it was when the session began. `None` when there is none, as with `ssh name@host < file`.
pub fn pty() -> Option<Pty> {
    channel::get_pty()
}

/// The environment variables that [`Session::env`](crate::Session::env) accepted, in the order in which they came.
pub fn env() -> Vec<(String, Vec<u8>)> {
    channel::get_env()
}

/// Asks something of the person's program, and waits for the answer: true is yes. For requests that have no function
/// here. RFC 4254 §5.4.
///
/// Use a name of your own, which ends in `@` and a domain: `ask@example.org`. The names of RFC 4254 §6 (`exit-status`,
/// `exit-signal` and so on) and those of `@openssh.com` and `@putty.projects.tartarus.org` are the host's or the
/// client's to send. They are not sent, the answer is false, and the log says why.
///
/// # Errors
/// [`WriteError::Closed`] when the person has left.
pub fn request(name: &str, payload: &[u8]) -> Result<bool, WriteError> {
    channel::request(name, payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_who_left_is_a_broken_pipe_and_no_error_makes_callers_send_again() {
        assert_eq!(broken(WriteError::Closed).kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(broken(WriteError::EofSent).kind(), io::ErrorKind::BrokenPipe);
        assert_ne!(broken(WriteError::Interrupted).kind(), io::ErrorKind::Interrupted);
    }
}
