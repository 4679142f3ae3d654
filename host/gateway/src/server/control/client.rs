//! The side of `whelk` that asks a running server.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_peercred};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::observe::escape::escape_lines;
use crate::state::State;

/// How long a part of an exchange may take.
const TIME: Duration = Duration::from_secs(10);
/// The largest answer that is accepted, in bytes.
const LARGEST: u64 = 64 << 20;
/// The longest line of an answer that has several, in bytes.
const LONGEST_LINE: u64 = 4 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// No program runs with this state folder.
    Nobody,
    /// Another error, or a refusal.
    Failed(String),
}

impl Unanswered {
    /// The reason, for the user of this state folder.
    #[must_use]
    pub fn reason(self, folder: &Path) -> String {
        match self {
            Unanswered::Nobody => format!("no whelk is running with the state folder {}", folder.display()),
            Unanswered::Failed(reason) => reason,
        }
    }
}

/// Sends a request to the program that runs with a state folder. Blocks at most ten seconds for each of connecting,
/// sending and receiving a part of the answer.
///
/// # Errors
/// When there is no answer in time, or an unexpected one.
pub fn ask(folder: &Path, question: &str) -> Result<Value, Unanswered> {
    ask_within(folder, question, TIME)
}

/// The same, with another time than ten seconds.
///
/// # Errors
/// As [`ask`].
pub fn ask_within(folder: &Path, question: &str, time: Duration) -> Result<Value, Unanswered> {
    let mut answer = String::new();
    let stream = send(folder, question, time)?;
    stream.take(LARGEST).read_to_string(&mut answer).map_err(|error| failed(folder, time, &error))?;
    let answer: Value = serde_json::from_str(&answer).map_err(|_| cut_off(folder))?;
    refused(folder, &answer).map_or(Ok(answer), Err)
}

/// Sends a request for a list, and hands each line of the answer to `take` as it comes. Returns the last one, which has
/// no entry of the list. Blocks at most ten seconds for each part of the answer.
///
/// # Errors
/// As [`ask`], and the first error of `take`.
pub fn ask_lines<T: DeserializeOwned>(
    folder: &Path,
    question: &str,
    mut take: impl FnMut(T) -> Result<(), String>,
) -> Result<Value, Unanswered> {
    let mut lines = BufReader::new(send(folder, question, TIME)?);
    let mut line = String::new();
    loop {
        line.clear();
        let length = (&mut lines).take(LONGEST_LINE).read_line(&mut line);
        length.map_err(|error| failed(folder, TIME, &error))?;
        match read_line(folder, &line)? {
            Ok(entry) => take(entry).map_err(Unanswered::Failed)?,
            Err(done) => return Ok(done),
        }
    }
}

/// A line of an answer that has several: an entry, or what the last one says.
///
/// # Errors
/// The request was refused, the answer was cut off, or is not understood.
pub(crate) fn read_line<T: DeserializeOwned>(folder: &Path, line: &str) -> Result<Result<T, Value>, Unanswered> {
    let value: Value = serde_json::from_str(line).map_err(|_| cut_off(folder))?;
    if let Some(refusal) = refused(folder, &value) {
        return Err(refusal);
    }
    if let Some(done) = value.get("done") {
        return Ok(Err(done.clone()));
    }
    let entry = serde_json::from_value(value);
    entry.map(Ok).map_err(|error| Unanswered::Failed(not_understood(folder, &error)))
}

/// Sends a request whose answer lasts. What comes back may take any time.
///
/// # Errors
/// As [`ask`].
pub(crate) fn open_request(folder: &Path, question: &str) -> Result<UnixStream, Unanswered> {
    let stream = send(folder, question, TIME)?;
    stream.set_read_timeout(None).map_err(|error| failed(folder, TIME, &error))?;
    Ok(stream)
}

/// The message about an answer of another version.
pub(crate) fn not_understood(folder: &Path, error: &serde_json::Error) -> String {
    let error = escape_lines(&error.to_string());
    format!("{}: an answer that this whelk does not understand: {error}", folder.display())
}

/// Connects, and sends the request. What comes back takes at most `time` for each part.
fn send(folder: &Path, question: &str, time: Duration) -> Result<UnixStream, Unanswered> {
    let failed = |error: io::Error| failed(folder, time, &error);
    let mut stream = match connect(&State::control_path(folder), time) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Err(Unanswered::Nobody);
        }
        Err(error) => return Err(failed(error)),
    };
    check_server(&stream, folder).map_err(failed)?;
    stream.set_read_timeout(Some(time)).map_err(failed)?;
    stream.write_all(format!("{question}\n").as_bytes()).map_err(failed)?;
    Ok(stream)
}

fn failed(folder: &Path, time: Duration, error: &io::Error) -> Unanswered {
    let reason = match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!("the running whelk has not answered within {time:?}")
        }
        ErrorKind::PermissionDenied => {
            format!("only root and the user of the running whelk may ask it ({error})")
        }
        _ => error.to_string(),
    };
    Unanswered::Failed(format!("{}: {reason}", folder.display()))
}

/// The answer has no end, or is none.
fn cut_off(folder: &Path) -> Unanswered {
    let reason = "the running whelk has closed the control socket without a whole answer: its log may say why";
    Unanswered::Failed(format!("{}: {reason}", folder.display()))
}

/// Why the request was refused, if this answer says so.
fn refused(folder: &Path, answer: &Value) -> Option<Unanswered> {
    let reason = answer.get("error").and_then(Value::as_str)?;
    Some(Unanswered::Failed(format!("{}: {}", folder.display(), escape_lines(reason))))
}

/// Checks that the program at the other end runs as root, as this user, or as the owner of the state folder.
fn check_server(stream: &UnixStream, folder: &Path) -> io::Result<()> {
    let server = socket_peercred(stream)?.uid;
    if server.is_root() || server == rustix::process::geteuid() || server.as_raw() == folder.metadata()?.uid() {
        return Ok(());
    }
    let uid = server.as_raw();
    Err(io::Error::other(format!("a program of uid {uid} answers there, who does not own the state folder")))
}

/// Connects. The send timeout that it sets on the socket first also limits how long connect(2) waits while the server's
/// queue is full, unix(7).
fn connect(path: &Path, time: Duration) -> io::Result<UnixStream> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(time))?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_answers_cannot_steer_the_terminal() {
        let folder = Path::new("/state");
        let reason = |line: &str| match read_line::<bool>(folder, line) {
            Err(Unanswered::Failed(reason)) => reason,
            other => panic!("{other:?}"),
        };
        let refusal = "{\"error\":\"first\\nsecond \\u001b]52;c;eA==\\u0007\\u009b2J \\\\x\"}";
        assert_eq!(reason(refusal), "/state: first\nsecond \\x1b]52;c;eA==\\x07\\u{9b}2J \\x");
        let wrong = reason("\"\\u001b[2J\"");
        assert!(wrong.contains("does not understand") && !wrong.contains('\u{1b}'), "{wrong:?}");
    }

    #[test]
    fn a_request_to_a_server_that_does_not_answer_times_out() {
        let folder = tempfile::tempdir().unwrap();
        let short = Duration::from_millis(20);
        let ask = || match ask_within(folder.path(), "plugins", short) {
            Err(Unanswered::Failed(reason)) => reason,
            other => panic!("{other:?}"),
        };
        let path = State::control_path(folder.path());
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        rustix::net::bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&socket, 0).unwrap();
        let late = format!("{}: the running whelk has not answered within 20ms", folder.path().display());
        // This one is in the queue, and is never accepted.
        assert_eq!(ask(), late);
        // Now there is no room in the queue.
        let _waiting: Vec<UnixStream> = std::iter::from_fn(|| connect(&path, short).ok()).collect();
        assert_eq!(ask(), late);
    }
}
