//! Waiting for several things at once.

use std::time::Duration;

use super::child::Child;
use super::clock;
use super::fd::Fd;
use super::host;
use super::wasi_poll::{self, Pollable};

/// Something that [`poll`] waits for.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A read would not wait.
    Readable(&'a Fd),
    /// A write of a byte would not wait.
    Writable(&'a Fd),
    /// [`Child::try_change`] has something.
    Changed(&'a Child),
    /// [`next_signal`](super::next_signal) has something.
    Signal,
}

impl Event<'_> {
    fn subscribe(self) -> Pollable {
        match self {
            Self::Readable(fd) => fd.0.subscribe_read(),
            Self::Writable(fd) => fd.0.subscribe_write(),
            Self::Changed(child) => child.subscribe(),
            Self::Signal => host::subscribe_signals(),
        }
    }

    /// Whether it has happened. Does not wait.
    pub fn is_ready(self) -> bool {
        self.subscribe().ready()
    }
}

/// Waits until one of them has happened, and returns the places of all that have. Signals do not interrupt it: list
/// [`Event::Signal`] for that. poll(2).
///
/// # Panics
/// If there is nothing to wait for.
pub fn poll(events: &[Event<'_>]) -> Vec<usize> {
    let pollables: Vec<Pollable> = events.iter().copied().map(Event::subscribe).collect();
    places(&pollables)
}

/// As [`poll`], but not longer than this: empty if nothing has happened until then.
pub fn poll_timeout(events: &[Event<'_>], timeout: Duration) -> Vec<usize> {
    let mut pollables: Vec<Pollable> = events.iter().copied().map(Event::subscribe).collect();
    pollables.push(clock::subscribe_duration(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX)));
    let mut ready = places(&pollables);
    ready.retain(|place| *place < events.len());
    ready
}

fn places(pollables: &[Pollable]) -> Vec<usize> {
    let ready = wasi_poll::poll(&pollables.iter().collect::<Vec<_>>());
    ready.into_iter().map(|place| place as usize).collect()
}
