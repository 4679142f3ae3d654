//! Until when things must have happened. Time is an argument; nobody here looks at a clock.

use std::time::{Duration, Instant};

use crate::error::{Error, Stage};

/// How long the stages of a connection may take.
#[derive(Clone, Debug)]
pub struct Patience {
    /// From the connection to the peer's identification line.
    pub identification: Duration,
    /// From there to the peer's share of the first key exchange, which our reply answers.
    pub kex: Duration,
    /// From there to success: as OpenSSH's LoginGraceTime. People read fingerprints before their clients send NEWKEYS,
    /// and type user names before their clients ask for anything, so this time is not divided any further. RFC 4252 §4
    /// recommends ten minutes.
    pub authentication: Duration,
    /// From the first bytes of the peer after our KEXINIT of a later exchange to its end. A peer that sends nothing (a
    /// stopped process, a sleeping laptop) is not timed.
    pub rekey: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            identification: Duration::from_secs(10),
            kex: Duration::from_secs(15),
            authentication: Duration::from_secs(120),
            rekey: Duration::from_secs(60),
        }
    }
}

/// The deadlines that run. A stage's deadline is set once when the stage begins, so that a trickle of bytes does not move it.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    stage: Option<(Instant, Stage)>,
    rekey: Rekey,
}

/// The deadline of a later key exchange.
#[derive(Debug, Default)]
enum Rekey {
    /// No exchange is under way.
    #[default]
    Quiet,
    /// Our KEXINIT is out. The time starts with the peer's next byte.
    Unheard(Duration),
    /// It must be over by then.
    Until(Instant),
}

impl Deadlines {
    /// A stage begins that must be over after so long.
    pub(crate) fn begin(&mut self, stage: Stage, now: Instant, patience: Duration) {
        self.stage = Some((now + patience, stage));
    }

    /// The last stage is over: from here on a peer may be as slow as it likes.
    pub(crate) fn arrived(&mut self) {
        self.stage = None;
    }

    /// A later key exchange begins.
    pub(crate) fn begin_rekey(&mut self, patience: Duration) {
        self.rekey = Rekey::Unheard(patience);
    }

    /// Bytes have come from the peer.
    pub(crate) fn heard(&mut self, now: Instant) {
        if let Rekey::Unheard(patience) = self.rekey {
            self.rekey = Rekey::Until(now + patience);
        }
    }

    /// The exchange is over.
    pub(crate) fn end_rekey(&mut self) {
        self.rekey = Rekey::Quiet;
    }

    /// The next one.
    pub(crate) fn next(&self) -> Option<Instant> {
        let rekey = match self.rekey {
            Rekey::Until(at) => Some(at),
            Rekey::Quiet | Rekey::Unheard(_) => None,
        };
        self.stage.map(|(at, _)| at).into_iter().chain(rekey).min()
    }

    /// Whether one has passed.
    pub(crate) fn check(&self, now: Instant) -> Result<(), Error> {
        match (self.stage, &self.rekey) {
            (Some((at, stage)), _) if at <= now => Err(Error::TimedOut(stage)),
            (_, Rekey::Until(at)) if *at <= now => Err(Error::TimedOut(Stage::Kex)),
            _ => Ok(()),
        }
    }
}
