//! Works on folders on a thread of its own: removes temporary ones, and counts homes.
//!
//! Removing 100,000 files takes a second or more. On a worker, or on the threads of blocking work, nobody would be
//! charged for that: sessions that fill their homes and end, again and again, would delay the files of all tenants.
//! Here it takes one thread, owners take turns of a bounded length, and what is being removed stays charged until it is
//! gone.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::supervise::supervise_thread;

/// Work of several turns.
pub(crate) trait Work: Send {
    /// Does a part of it. Returns itself if there is more.
    fn turn(self: Box<Self>) -> Option<Box<dyn Work>>;
}

/// The thread. It ends when the value is dropped, whatever waits then.
pub(crate) struct FolderReaper {
    line: Arc<Line>,
}

/// What waits, and what is in hand.
#[derive(Default)]
struct Line {
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// The work of each owner. None has none; the first one's turn is next.
    owners: VecDeque<(usize, VecDeque<Box<dyn Work>>)>,
    /// Something is in hand.
    is_working: bool,
    closed: bool,
}

impl FolderReaper {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(crate) fn start() -> io::Result<Self> {
        let line = Arc::new(Line::default());
        let work = Arc::clone(&line);
        supervise_thread("folder reaper", Some(256 << 10), move || work.serve())?;
        Ok(Self { line })
    }

    /// Queues work of this owner.
    pub(crate) fn add(&self, owner: usize, work: Box<dyn Work>) {
        self.line.waiting().push(owner, work);
        self.line.bell.notify_all();
    }

    /// Waits until nothing is left to do, but not longer than this. Blocks. Returns whether all is done.
    pub(crate) fn settle(&self, most: Duration) -> bool {
        let until = Instant::now() + most;
        let mut waiting = self.line.waiting();
        while !waiting.owners.is_empty() || waiting.is_working {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            waiting = self.line.bell.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Drop for FolderReaper {
    fn drop(&mut self) {
        self.line.waiting().closed = true;
        self.line.bell.notify_all();
    }
}

impl Waiting {
    fn push(&mut self, owner: usize, work: Box<dyn Work>) {
        match self.owners.iter_mut().find(|(other, _)| *other == owner) {
            Some((_, works)) => works.push_back(work),
            None => self.owners.push_back((owner, VecDeque::from([work]))),
        }
    }

    /// The next work of the owner whose turn it is.
    fn pop(&mut self) -> Option<(usize, Box<dyn Work>)> {
        let (owner, mut works) = self.owners.pop_front()?;
        let work = works.pop_front()?;
        if !works.is_empty() {
            self.owners.push_back((owner, works));
        }
        Some((owner, work))
    }
}

impl Line {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        while let Some((owner, work)) = self.next() {
            if let Some(rest) = work.turn() {
                self.waiting().push(owner, rest);
            }
        }
    }

    /// Waits for the next work; `None` once the reaper was dropped.
    fn next(&self) -> Option<(usize, Box<dyn Work>)> {
        let mut waiting = self.waiting();
        loop {
            waiting.is_working = false;
            if waiting.closed {
                return None;
            }
            if let Some(next) = waiting.pop() {
                waiting.is_working = true;
                return Some(next);
            }
            self.bell.notify_all();
            waiting = self.bell.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Work of so many turns, each of which is told by a name.
    struct Turns(&'static str, u32, Sender<&'static str>);

    impl Work for Turns {
        fn turn(mut self: Box<Self>) -> Option<Box<dyn Work>> {
            let _ = self.2.send(self.0);
            assert_ne!(self.0, "bad", "work that panics");
            self.1 -= 1;
            if self.1 == 0 { None } else { Some(self) }
        }
    }

    #[test]
    fn owners_take_turns_and_a_panic_ends_only_what_panics() {
        let (sender, told) = channel();
        let line = Arc::new(Line::default());
        let add = |owner, name, turns| {
            line.waiting().push(owner, Box::new(Turns(name, turns, sender.clone())));
        };
        add(1, "a", 3);
        add(1, "b", 1);
        add(2, "c", 2);
        add(3, "bad", 9);
        let reaper = FolderReaper { line: Arc::clone(&line) };
        let work = Arc::clone(&line);
        let thread = supervise_thread("reaper of a test", None, move || work.serve()).unwrap();
        assert!(reaper.settle(Duration::from_secs(60)));
        drop(reaper);
        thread.join().unwrap();
        drop(sender);
        assert_eq!(told.iter().collect::<Vec<_>>(), ["a", "c", "bad", "b", "c", "a", "a"]);
    }

    #[test]
    fn whoever_waits_for_the_end_waits_no_longer_than_asked() {
        let line = Arc::new(Line::default());
        let (sender, _told) = channel();
        // Nobody serves it.
        line.waiting().push(1, Box::new(Turns("a", 1, sender)));
        let reaper = FolderReaper { line };
        assert!(!reaper.settle(Duration::ZERO) && !reaper.settle(Duration::from_millis(1)));
    }
}
