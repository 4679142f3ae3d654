//! The name of a session or a connection, by which an operator refers to it.

use std::fmt;
use std::str::FromStr;

use whelk_runtime::event::{self, ConnectionIdentity};

/// `42.1` is session 1 of connection 42, and `42` the connection. The run of the server may stand before it, as in the
/// log and in JSON: `7f3a9c21-42.1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionId {
    /// The run of the server, if it is named.
    pub run: Option<String>,
    /// The number of the connection.
    pub connection: u64,
    /// The number of the session; none for the connection as a whole.
    pub session: Option<u64>,
}

/// The ID of a session, or of a connection, with this run of the server: in another run it names nothing, so a program
/// that uses it late ends nobody else.
pub(super) fn with_run(connection: u64, session: Option<u64>) -> String {
    let connection = ConnectionIdentity(connection);
    session.map_or_else(|| connection.to_string(), |session| format!("{connection}.{session}"))
}

/// An ID without the run, for people.
pub(crate) fn without_run(id: &str) -> &str {
    id.split_once('-').map_or(id, |(_, rest)| rest)
}

impl SessionId {
    /// Whether it names something of this run of the server.
    pub(crate) fn is_of_this_run(&self) -> bool {
        self.run.as_ref().is_none_or(|run| *run == event::run())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(run) = &self.run {
            write!(f, "{run}-")?;
        }
        self.connection.fmt(f)?;
        self.session.map_or(Ok(()), |session| write!(f, ".{session}"))
    }
}

impl FromStr for SessionId {
    type Err = String;

    fn from_str(text: &str) -> Result<SessionId, String> {
        let wrong =
            || "an ID is that of a session, such as 42.1, or of a connection, such as 42 (see `whelk sessions`)";
        let (run, rest) = match text.split_once('-') {
            Some((run, rest)) => (Some(run), rest),
            None => (None, text),
        };
        let is_run = |run: &str| run.len() == 8 && run.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = |text: &str| -> Result<u64, String> {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| digits).ok_or_else(|| wrong().to_owned())
        };
        if run.is_some_and(|run| !is_run(run)) {
            return Err(wrong().to_owned());
        }
        let (connection, session) = match rest.split_once('.') {
            Some((connection, session)) => (number(connection)?, Some(number(session)?)),
            None => (number(rest)?, None),
        };
        Ok(SessionId { run: run.map(str::to_ascii_lowercase), connection, session })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_the_log_and_the_list_write_it() {
        for (text, run, connection, session) in [
            ("42.1", None, 42, Some(1)),
            ("42", None, 42, None),
            ("7f3a9c21-42.1", Some("7f3a9c21"), 42, Some(1)),
            ("7F3A9C21-42", Some("7f3a9c21"), 42, None),
        ] {
            let id: SessionId = text.parse().unwrap();
            assert_eq!((id.run.as_deref(), id.connection, id.session), (run, connection, session));
            assert_eq!(id.to_string(), text.to_ascii_lowercase());
            assert_eq!(without_run(&id.to_string()), SessionId { run: None, ..id }.to_string());
        }
        for wrong in ["", "x", "42.", ".1", "42.1.2", "+42", "-42", "42-1", "7f3a9c2-1", "4 2", "99999999999999999999"]
        {
            assert!(wrong.parse::<SessionId>().is_err(), "{wrong:?}");
        }
    }
}
