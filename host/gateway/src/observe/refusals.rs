//! What clients ask for and do not get, for the operator: one line for each refused request, up to a few a session and
//! a connection.

use whelk_ssh::mux::Refused;

use crate::observe::escape::escape;
use crate::observe::event::{ConnectionEvent, SessionEvent, emit};

/// Refused requests that are told of one session, and of one connection beside its sessions.
const TOLD: u32 = 10;
/// Most bytes of what was asked for.
const DETAIL: usize = 200;
/// Names of variables that are told.
const NAMES: usize = 8;
/// Most bytes of one such name.
const NAME: usize = 64;

/// Counts the refusals that were told.
#[derive(Debug, Default)]
pub(crate) struct Refusals(u32);

/// A request that was refused.
pub(crate) struct Line<'a> {
    pub(crate) connection: u64,
    /// None if it was about no channel.
    pub(crate) channel: Option<u32>,
    pub(crate) user: &'a str,
    /// The name of the request, or of the kind of channel.
    pub(crate) what: &'a [u8],
    /// What was asked for with it, if that says anything.
    pub(crate) detail: &'a [u8],
    pub(crate) reason: &'a str,
}

impl Refusals {
    /// Tells the operator, unless it was told of enough.
    pub(crate) fn tell(&mut self, line: &Line<'_>) {
        if self.0 >= TOLD {
            return;
        }
        self.0 += 1;
        let Line { connection, channel, user, what, detail, reason } = *line;
        let (user, what) = (escape(user.as_bytes()), escape(cut(what, NAME)));
        let detail = (!detail.is_empty()).then(|| escape(cut(detail, DETAIL)).to_string());
        let detail = detail.as_deref();
        let last = (self.0 == TOLD).then_some("further refusals here are not logged");
        emit(ConnectionEvent::RequestRefused { connection, channel, user, what, detail, reason, last });
    }
}

/// The channel that a refusal of the mux's was about.
pub(crate) fn channel_of(what: Refused) -> Option<u32> {
    match what {
        Refused::Open | Refused::Global => None,
        Refused::Request(channel) => Some(channel.0),
    }
}

/// Variables of one session that were refused.
#[derive(Debug, Default)]
pub(crate) struct RefusedVariables {
    count: u32,
    names: Vec<String>,
    /// Why the last was.
    reason: &'static str,
    /// The operator was told.
    told: bool,
}

impl RefusedVariables {
    pub(crate) fn add(&mut self, name: &[u8], reason: &'static str) {
        self.count = self.count.saturating_add(1);
        self.reason = reason;
        if !self.told && self.names.len() < NAMES {
            self.names.push(escape(cut(name, NAME)).to_string());
        }
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Tells the operator in one line, once a session.
    pub(crate) fn tell(&mut self, connection: u64, channel: u32, user: &str) {
        if self.count == 0 || std::mem::replace(&mut self.told, true) {
            return;
        }
        let (user, names) = (escape(user.as_bytes()), &*std::mem::take(&mut self.names).join(" "));
        let (count, reason) = (self.count, self.reason);
        emit(SessionEvent::VariablesRefused { connection, channel, user, count, names, reason });
    }
}

fn cut(bytes: &[u8], most: usize) -> &[u8] {
    bytes.get(..most).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_variables_are_told_once_a_session() {
        let mut refused = RefusedVariables::default();
        refused.tell(1, 0, "alice");
        assert!(!refused.told);
        refused.add(b"PATH", "the name is not admitted");
        refused.tell(1, 0, "alice");
        assert!(refused.told && refused.names.is_empty());
        for _ in 0..1000 {
            refused.add(b"PATH", "the name is not admitted");
            refused.tell(1, 0, "alice");
        }
        assert_eq!((refused.count(), refused.names.len()), (1001, 0));
    }
}
