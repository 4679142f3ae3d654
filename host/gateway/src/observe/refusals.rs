//! Logs the requests of clients that were refused: one line each, up to a few for each session and connection.

use tokio::time::Instant;
use whelk_runtime::limits::Throttle;
use whelk_ssh::mux::Refused;

use crate::observe::escape::{cut, escape};
use crate::observe::event::{ConnectionEvent, SessionEvent, emit};

/// How many refused requests are logged for each session, and for each connection beside its sessions.
const LOGGED: u64 = 10;
/// The most bytes of the requested value in a line.
const DETAIL: usize = 200;
/// How many names of variables are logged.
const NAMES: usize = 8;
/// The most bytes of one such name.
const NAME: usize = 64;

/// Logs the first refusals.
#[derive(Debug)]
pub(crate) struct Refusals(Throttle);

/// A refused request.
pub(crate) struct Line<'a> {
    pub(crate) connection: u64,
    /// `None` for a request without a channel.
    pub(crate) channel: Option<u32>,
    pub(crate) user: &'a str,
    /// The name of the request, or the type of the channel.
    pub(crate) what: &'a [u8],
    /// The requested value, if it is informative.
    pub(crate) detail: &'a [u8],
    pub(crate) reason: &'a str,
}

impl Default for Refusals {
    fn default() -> Refusals {
        Refusals(Throttle::first(LOGGED))
    }
}

impl Refusals {
    /// Logs a refusal, unless enough were logged.
    pub(crate) fn tell(&mut self, line: &Line<'_>) {
        let Some(admitted) = self.0.allow(Instant::now()) else { return };
        let Line { connection, channel, user, what, detail, reason } = *line;
        let (user, what) = (escape(user.as_bytes()), escape(cut(what, NAME)));
        let detail = (!detail.is_empty()).then(|| escape(cut(detail, DETAIL)).to_string());
        let detail = detail.as_deref();
        let last = admitted.is_last.then_some("further refusals here are not logged");
        emit(ConnectionEvent::RequestRefused { connection, channel, user, what, detail, reason, last });
    }
}

/// The channel of a refusal by the mux.
pub(crate) fn channel_of(what: Refused) -> Option<u32> {
    match what {
        Refused::Open | Refused::Global => None,
        Refused::Request(channel) => Some(channel.0),
    }
}

/// The refused variables of one session.
#[derive(Debug)]
pub(crate) struct RefusedVariables {
    count: u32,
    /// Their names; empty after they were logged.
    names: Option<Vec<String>>,
    /// The reason for the last one.
    reason: &'static str,
}

impl Default for RefusedVariables {
    fn default() -> RefusedVariables {
        RefusedVariables { count: 0, names: Some(Vec::new()), reason: "" }
    }
}

impl RefusedVariables {
    pub(crate) fn add(&mut self, name: &[u8], reason: &'static str) {
        self.count = self.count.saturating_add(1);
        self.reason = reason;
        if let Some(names) = self.names.as_mut().filter(|names| names.len() < NAMES) {
            names.push(escape(cut(name, NAME)).to_string());
        }
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Logs them in one line, once a session.
    pub(crate) fn tell(&mut self, connection: u64, channel: u32, user: &str) {
        if self.count == 0 {
            return;
        }
        let Some(names) = self.names.take() else { return };
        let (user, names) = (escape(user.as_bytes()), &*names.join(" "));
        let (count, reason) = (self.count, self.reason);
        emit(SessionEvent::VariablesRefused { connection, channel, user, count, names, reason });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_variables_are_told_once_a_session() {
        let mut refused = RefusedVariables::default();
        refused.tell(1, 0, "alice");
        assert!(refused.names.is_some());
        refused.add(b"PATH", "the name is not admitted");
        refused.tell(1, 0, "alice");
        assert!(refused.names.is_none());
        for _ in 0..1000 {
            refused.add(b"PATH", "the name is not admitted");
            refused.tell(1, 0, "alice");
        }
        assert_eq!((refused.count(), refused.names), (1001, None));
    }
}
