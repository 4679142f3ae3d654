//! The deadlines of a connection. Time is an argument; nothing here reads a clock.

use std::time::{Duration, Instant};

use crate::error::{Error, Stage};

/// The time limits of the stages of a connection.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// From the start of the connection to the peer's identification line.
    pub identification: Duration,
    /// From there to the peer's share of the first key exchange, which our reply answers.
    pub kex: Duration,
    /// From there to success: like OpenSSH's LoginGraceTime. People read fingerprints before their clients send
    /// NEWKEYS, and type user names before their clients send a request, so this time is not divided further.
    /// RFC 4252 §4 recommends ten minutes.
    pub authentication: Duration,
    /// For a later key exchange, from the peer's first bytes after the socket has taken our KEXINIT to its end. Data
    /// that the peer has not confirmed extends it, and time in which the peer sends nothing does not count: see
    /// `Deadlines::heard`.
    pub rekey: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            identification: Duration::from_secs(10),
            kex: Duration::from_secs(15),
            authentication: Duration::from_secs(120),
            rekey: Duration::from_secs(60),
        }
    }
}

/// The current deadlines. The deadline of a stage is set once, when the stage begins, so that a trickle of bytes does
/// not extend it.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    stage: Option<(Instant, Stage)>,
    rekey: Rekey,
}

/// The slowest line that is supported, in bytes per second.
const SLOWEST_LINE: u64 = 4 << 10;
/// The most data between our KEXINIT and the peer, in bytes: about what the kernels of both sides buffer.
const MAX_IN_FLIGHT: u64 = 4 << 20;
/// A peer that has sent nothing for longer than this was stopped, suspended or offline, or waits for our data.
const SILENCE: Duration = Duration::from_secs(10);

/// The time limit of a later key exchange.
#[derive(Debug, Default)]
enum Rekey {
    /// No exchange is under way.
    #[default]
    Idle,
    /// Our KEXINIT was sent, and nothing has arrived since. The time starts with the peer's next byte.
    Unheard(Duration),
    /// When the peer was last heard, and for how much longer the exchange may take while it is heard.
    Heard(Instant, Duration),
}

impl Deadlines {
    /// A stage begins that must end within this time.
    pub(crate) fn begin(&mut self, stage: Stage, now: Instant, timeout: Duration) {
        self.stage = Some((now + timeout, stage));
    }

    /// The last stage is over: from here on a peer may be arbitrarily slow.
    pub(crate) fn authenticated(&mut self) {
        self.stage = None;
    }

    /// A later key exchange begins.
    pub(crate) fn begin_rekey(&mut self, timeout: Duration) {
        self.rekey = Rekey::Unheard(timeout);
    }

    /// The peer has sent bytes after the socket has taken our KEXINIT. It may have to handle `unconfirmed` bytes of
    /// data first: at 8 KB/s a window of 2 MiB takes more than four minutes. So the time limit is extended by what they
    /// take on the slowest line.
    ///
    /// The time counts only while the peer sends. Bytes that it sent before it was stopped may arrive after our
    /// KEXINIT, and a silent peer costs no more than an idle one, so no timer ends it. Memory does not depend on this
    /// time: the windows bound data, and the multiplexer bounds owed answers.
    ///
    /// # Errors
    /// The time limit has passed.
    pub(crate) fn heard(&mut self, now: Instant, unconfirmed: usize) -> Result<(), Error> {
        let left = match self.rekey {
            Rekey::Idle => return Ok(()),
            Rekey::Unheard(timeout) => {
                let unconfirmed = u64::try_from(unconfirmed).unwrap_or(u64::MAX).min(MAX_IN_FLIGHT);
                timeout + Duration::from_secs(unconfirmed / SLOWEST_LINE)
            }
            Rekey::Heard(last, left) => {
                let gap = now.saturating_duration_since(last);
                if gap > SILENCE { left } else { left.saturating_sub(gap) }
            }
        };
        self.rekey = Rekey::Heard(now, left);
        if left.is_zero() { Err(Error::TimedOut(Stage::Kex)) } else { Ok(()) }
    }

    /// The exchange is over.
    pub(crate) fn end_rekey(&mut self) {
        self.rekey = Rekey::Idle;
    }

    /// The next deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.stage.map(|(at, _)| at)
    }

    /// Whether a deadline has passed.
    pub(crate) fn check(&self, now: Instant) -> Result<(), Error> {
        match self.stage {
            Some((at, stage)) if at <= now => Err(Error::TimedOut(stage)),
            Some(_) | None => Ok(()),
        }
    }
}
