//! Keepalives: asks a silent peer for an answer from time to time, and gives up when it never answers. Pure: time is an
//! argument.
//!
//! Off by default, like ClientAliveInterval of sshd: a stopped client or a sleeping laptop does not answer and is alive
//! all the same.

use std::time::{Duration, Instant};

use whelk_ssh::error::{Error, Stage};

/// The global request that asks a peer for an answer. Any answer will do, also that the request is not known.
pub(crate) const REQUEST: &[u8] = b"keepalive@openssh.com";

/// The state of one peer.
#[derive(Debug)]
pub(crate) struct Keepalive {
    /// How long a peer may be silent before it is asked. Zero disables keepalives.
    every: Duration,
    /// How many keepalives may go unanswered.
    most: u32,
    /// When the peer was last heard or asked.
    since: Instant,
    /// Keepalives since the peer was last heard.
    asked: u32,
}

impl Keepalive {
    pub(crate) fn new(every: Duration, most: u32, now: Instant) -> Keepalive {
        Keepalive { every, most, since: now, asked: 0 }
    }

    /// The peer has sent something.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.since = now;
        self.asked = 0;
    }

    /// When to call [`is_due`](Self::is_due) again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        (!self.every.is_zero()).then(|| self.since + self.every)
    }

    /// Whether to ask the peer now.
    ///
    /// # Errors
    /// It has been asked often enough.
    pub(crate) fn is_due(&mut self, now: Instant) -> Result<bool, Error> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Ok(false);
        }
        if self.asked >= self.most {
            return Err(Error::TimedOut(Stage::Keepalive));
        }
        self.asked += 1;
        self.since = now;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_peer_gets_keepalives_and_is_then_disconnected() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut keepalive = Keepalive::new(Duration::from_secs(30), 3, start);
        assert_eq!(keepalive.is_due(at(29)), Ok(false));
        assert_eq!(keepalive.is_due(at(30)), Ok(true));
        assert_eq!(keepalive.is_due(at(31)), Ok(false));
        assert_eq!(keepalive.is_due(at(60)), Ok(true));
        keepalive.heard(at(61));
        for time in [91, 121, 151] {
            assert_eq!(keepalive.is_due(at(time)), Ok(true), "{time}");
        }
        assert_eq!(keepalive.deadline(), Some(at(181)));
        assert_eq!(keepalive.is_due(at(181)), Err(Error::TimedOut(Stage::Keepalive)));
    }

    #[test]
    fn zero_disables_keepalives() {
        let start = Instant::now();
        let mut keepalive = Keepalive::new(Duration::ZERO, 3, start);
        assert_eq!((keepalive.deadline(), keepalive.is_due(start + Duration::from_secs(1 << 20))), (None, Ok(false)));
    }
}
