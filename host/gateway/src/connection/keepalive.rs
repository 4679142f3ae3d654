//! Whether a silent peer still answers: it is asked now and then, and given up when it never does. Time in, questions
//! out.
//!
//! Off unless the operator wants it, as ClientAliveInterval of sshd: a stopped client and a sleeping laptop answer
//! nothing and are alive.

use std::time::{Duration, Instant};

use whelk_ssh::error::{Error, Stage};

/// What is known of one peer.
#[derive(Debug)]
pub(crate) struct Keepalive {
    /// How long a silence may last before the peer is asked. Zero never asks.
    every: Duration,
    /// How many questions may go unanswered.
    most: u32,
    /// When the peer was last heard, or last asked.
    since: Instant,
    /// Questions since it was last heard.
    asked: u32,
}

impl Keepalive {
    pub(crate) fn new(every: Duration, most: u32, now: Instant) -> Keepalive {
        Keepalive { every, most, since: now, asked: 0 }
    }

    /// The peer has sent something, whatever it was.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.since = now;
        self.asked = 0;
    }

    /// When to look again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        (!self.every.is_zero()).then(|| self.since + self.every)
    }

    /// Whether the peer is to be asked now.
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
    fn a_silent_peer_is_asked_and_then_given_up() {
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
    fn zero_asks_never() {
        let start = Instant::now();
        let mut keepalive = Keepalive::new(Duration::ZERO, 3, start);
        assert_eq!((keepalive.deadline(), keepalive.is_due(start + Duration::from_secs(1 << 20))), (None, Ok(false)));
    }
}
