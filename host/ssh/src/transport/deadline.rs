//! Until when things must have happened. Time is an argument; nobody here looks at a clock.

use std::time::{Duration, Instant};

use crate::error::{Error, Stage};

/// How long the stages of a connection may take.
#[derive(Clone, Debug)]
pub struct Patience {
    /// From the connection to the peer's identification line.
    pub identification: Duration,
    /// From there to the end of the first key exchange.
    pub kex: Duration,
    /// From there to the first authentication request.
    pub first_attempt: Duration,
    /// From there to success. RFC 4252 §4 recommends ten minutes.
    pub authentication: Duration,
    /// From our KEXINIT of a later exchange to its end.
    pub rekey: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            identification: Duration::from_secs(10),
            kex: Duration::from_secs(15),
            first_attempt: Duration::from_secs(30),
            authentication: Duration::from_secs(120),
            rekey: Duration::from_secs(60),
        }
    }
}

/// The deadlines that run. A stage's deadline is set once when the stage begins, so that a trickle of bytes does not move it.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    stage: Option<(Instant, Stage)>,
    rekey: Option<Instant>,
    /// The first attempt to authenticate has come.
    attempted: bool,
}

impl Deadlines {
    /// A stage begins that must be over after so long.
    pub(crate) fn begin(&mut self, stage: Stage, now: Instant, patience: Duration) {
        self.stage = Some((now + patience, stage));
    }

    /// The first attempt to authenticate has come: from here on the whole of authentication is timed.
    pub(crate) fn attempted(&mut self, now: Instant, patience: Duration) {
        if !std::mem::replace(&mut self.attempted, true) {
            self.begin(Stage::Auth, now, patience);
        }
    }

    /// The last stage is over: from here on a peer may be as slow as it likes.
    pub(crate) fn arrived(&mut self) {
        self.stage = None;
    }

    /// A later key exchange begins.
    pub(crate) fn begin_rekey(&mut self, now: Instant, patience: Duration) {
        self.rekey = Some(now + patience);
    }

    /// It is over.
    pub(crate) fn end_rekey(&mut self) {
        self.rekey = None;
    }

    /// The next one.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.stage.map(|(at, _)| at).into_iter().chain(self.rekey).min()
    }

    /// Whether one has passed.
    pub(crate) fn check(&self, now: Instant) -> Result<(), Error> {
        match (self.stage, self.rekey) {
            (Some((at, stage)), _) if at <= now => Err(Error::TimedOut(stage)),
            (_, Some(at)) if at <= now => Err(Error::TimedOut(Stage::Kex)),
            _ => Ok(()),
        }
    }
}
