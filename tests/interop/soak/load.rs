//! What the clients, the operator and the meter share: the time, and how clients have ended.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::site::Site;

/// With so many unexplained ends the load is over: more say nothing new.
const ENOUGH: usize = 20;

/// How a client may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// It has got everything, and the exit status.
    Done,
    /// It was killed on this side.
    Killed,
    /// The operator has ended its session or its connection, and it was told why.
    ByOperator,
    /// Its plugin was replaced, and it was told so.
    Replaced,
}

impl End {
    pub(super) const ALL: [Self; 4] = [Self::Done, Self::Killed, Self::ByOperator, Self::Replaced];
}

/// How clients have ended.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// By kind of client.
    ends: BTreeMap<(String, End), u64>,
    /// Names of clients, and what was wrong.
    pub(super) unexplained: Vec<String>,
}

impl Tally {
    pub(super) fn count(&self, end: End) -> u64 {
        self.ends.iter().filter(|((_, one), _)| *one == end).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for end in End::ALL {
            write!(f, "{end:?} {}, ", self.count(end))?;
        }
        write!(f, "unexplained {}; ", self.unexplained.len())?;
        let each = self.ends.iter().map(|((kind, end), count)| format!("{kind} {end:?} {count}"));
        f.write_str(&each.collect::<Vec<_>>().join(", "))
    }
}

/// The load on one server.
pub(super) struct Load<'s> {
    pub(super) site: &'s Site,
    is_over: Mutex<bool>,
    changed: Condvar,
    tally: Mutex<Tally>,
    /// Clients that only the operator can end.
    victims: AtomicUsize,
}

impl<'s> Load<'s> {
    pub(super) fn new(site: &'s Site, victims: usize) -> Self {
        let victims = AtomicUsize::new(victims);
        Self { site, is_over: Mutex::default(), changed: Condvar::new(), tally: Mutex::default(), victims }
    }

    /// Passes this time, or less if the load is over before. Returns whether it goes on.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if *is_over || left.is_zero() {
                return !*is_over;
            }
            is_over = self.changed.wait_timeout(is_over, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// No client begins anything more.
    pub(super) fn end(&self) {
        *self.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    pub(super) fn is_over(&self) -> bool {
        *self.is_over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something, and records how it has ended. A panic is an end that is not explained.
    pub(super) fn record(&self, kind: &str, name: &str, work: impl FnOnce() -> Result<End, String>) {
        let ended = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(text_of(&*panic)));
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        match ended {
            Ok(end) => *tally.ends.entry((kind.to_owned(), end)).or_default() += 1,
            Err(reason) => tally.unexplained.push(format!("{kind} {name}: {reason}")),
        }
        if tally.unexplained.len() >= ENOUGH {
            self.end();
        }
    }

    /// One of those whom only the operator can end is gone, and none comes in its place.
    pub(super) fn victim_is_gone(&self) {
        self.victims.fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) fn has_victims(&self) -> bool {
        self.victims.load(Ordering::SeqCst) > 0
    }

    pub(super) fn into_tally(self) -> Tally {
        self.tally.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a panic says.
fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text").to_owned()
}
