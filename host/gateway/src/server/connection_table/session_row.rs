//! The part of a connection's row that is about one session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use whelk_runtime::{SessionFigures, SessionHandle};

use crate::observe::escape::cut;
use crate::observe::tap::TapPoint;
use crate::tenant::counts::Traffic;

/// Most bytes of a command that are kept for lists.
const COMMAND: usize = 256;

/// When something began.
#[derive(Clone, Copy, Debug)]
pub struct Began {
    /// By the clock on the wall, which may have been set since.
    pub at: SystemTime,
    /// By a clock that only goes forward.
    pub instant: Instant,
}

impl Began {
    pub(super) fn now() -> Began {
        Began { at: SystemTime::now(), instant: Instant::now() }
    }

    /// How long ago that was.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.instant.elapsed()
    }
}

/// One session, as it was when the table was asked.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// Its number among the sessions of its connection, from 1 on. Never used again, unlike that of its channel.
    pub number: u64,
    /// The number of its channel on its connection.
    pub channel: u32,
    /// When its channel was opened.
    pub began: Began,
    /// How long no byte has passed either way.
    pub idle: Duration,
    /// The plugin that serves it, or served it last, and its generation. None before the first one is started.
    pub plugin: Option<(Arc<str>, u32)>,
    /// What the client has asked to start, if anything.
    pub start: Option<Started>,
    /// Bytes from the client to the session.
    pub received: u64,
    /// Bytes from the session that were sent to the client, stderr included.
    pub sent: u64,
    /// What it has and has used.
    pub figures: SessionFigures,
}

/// The requests that start a program. RFC 4254 §6.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartKind {
    /// `shell`
    Shell,
    /// `exec`
    Exec,
    /// `subsystem`
    Subsystem,
}

impl StartKind {
    /// The type of the request.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StartKind::Shell => "shell",
            StartKind::Exec => "exec",
            StartKind::Subsystem => "subsystem",
        }
    }
}

/// A request that starts a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The type of the request.
    pub kind: StartKind,
    /// The beginning of the command that runs, at most 256 bytes, or the name of the subsystem. Empty for a shell.
    pub command: Box<[u8]>,
}

impl Started {
    /// With the command that runs, or the name of the subsystem.
    pub(crate) fn new(kind: StartKind, command: &[u8]) -> Started {
        Started { kind, command: cut(command, COMMAND).into() }
    }
}

/// What the table knows of a session.
pub(super) struct SessionRow {
    pub(super) number: u64,
    began: Began,
    pub(super) start: Option<Started>,
    pub(super) handle: SessionHandle,
    pub(super) counters: Arc<SessionCounters>,
    pub(super) tap: Arc<TapPoint>,
}

/// What a session has moved. Only the task of its connection writes it.
pub(crate) struct SessionCounters {
    began: Instant,
    received: AtomicU64,
    sent: AtomicU64,
    /// When a byte has passed last, in milliseconds after `began`.
    active: AtomicU64,
    /// That of its tenant.
    traffic: Option<Arc<Traffic>>,
}

impl SessionCounters {
    fn new(began: Instant, traffic: Option<Arc<Traffic>>) -> SessionCounters {
        let zero = || AtomicU64::new(0);
        SessionCounters { began, received: zero(), sent: zero(), active: zero(), traffic }
    }

    /// So many bytes came from the client. `now`: the time of this turn.
    pub(crate) fn add_received(&self, bytes: usize, now: Instant) {
        add(&self.received, bytes);
        self.is_active(now);
        if let Some(traffic) = &self.traffic {
            traffic.add_received(bytes);
        }
    }

    /// So many bytes were sent to the client. `now`: the time of this turn.
    pub(crate) fn add_sent(&self, bytes: usize, now: Instant) {
        add(&self.sent, bytes);
        self.is_active(now);
        if let Some(traffic) = &self.traffic {
            traffic.add_sent(bytes);
        }
    }

    fn is_active(&self, now: Instant) {
        self.active.store(milliseconds(now.saturating_duration_since(self.began)), Ordering::Relaxed);
    }
}

impl SessionRow {
    /// One that begins now, and counts for this traffic.
    pub(super) fn new(number: u64, handle: SessionHandle, traffic: Option<Arc<Traffic>>) -> SessionRow {
        let began = Began::now();
        let counters = Arc::new(SessionCounters::new(began.instant, traffic));
        SessionRow { number, began, start: None, handle, counters, tap: Arc::default() }
    }

    pub(super) fn info(&self, channel: u32) -> SessionInfo {
        let active = Duration::from_millis(self.counters.active.load(Ordering::Relaxed));
        SessionInfo {
            number: self.number,
            channel,
            began: self.began,
            idle: self.began.age().saturating_sub(active),
            plugin: self.handle.plugin(),
            start: self.start.clone(),
            received: self.counters.received.load(Ordering::Relaxed),
            sent: self.counters.sent.load(Ordering::Relaxed),
            figures: self.handle.figures(),
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Adds to a counter that one task alone writes: cheaper than an atomic addition, which other processors would wait
/// for.
pub(super) fn add(counter: &AtomicU64, bytes: usize) {
    let sum = counter.load(Ordering::Relaxed).wrapping_add(bytes as u64);
    counter.store(sum, Ordering::Relaxed);
}
