//! Sessions whose plugin has ended and whose client has not taken all of their output yet, in the order in which they
//! ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::{LogEvent, emit};
use crate::session_types::Facts;

/// The message for a client whose output is discarded.
const WORDS: &str = "output was discarded: it was not read for too long and the server needs the room";

/// A session whose plugin has ended.
pub(crate) trait Finished: Send + Sync {
    /// When its client last took output, or when the plugin ended.
    fn progress(&self) -> Instant;
    /// Discards the waiting output and tells the client so, with an exit by a signal in place of the plugin's own.
    /// Returns how many bytes those were.
    fn discard(&self, words: &str) -> usize;
}

/// The session's identity, for the log.
pub(crate) struct Owner {
    pub(crate) facts: Facts,
    pub(crate) tenant: Arc<str>,
    pub(crate) plugin: Arc<str>,
}

/// The list of a tenant, or of the server.
#[derive(Default)]
pub(crate) struct Unsent(Mutex<List>);

#[derive(Default)]
struct List {
    entries: BTreeMap<u64, Entry>,
    added: u64,
    /// No timeout can expire before.
    due: Option<Instant>,
}

#[derive(Clone)]
struct Entry {
    session: Weak<dyn Finished>,
    /// How long its client may take nothing.
    stall: Duration,
    owner: Arc<Owner>,
}

/// The entry of a session in a list, until it is dropped.
pub(crate) struct Place {
    list: Arc<Unsent>,
    number: u64,
}

impl Unsent {
    /// A session has ended with output left.
    pub(crate) fn add(self: &Arc<Self>, session: Weak<dyn Finished>, stall: Duration, owner: &Arc<Owner>) -> Place {
        let mut list = self.lock();
        list.added += 1;
        let (number, due) = (list.added, Instant::now() + stall);
        list.due = Some(list.due.map_or(due, |before| before.min(due)));
        list.entries.insert(number, Entry { session, stall, owner: Arc::clone(owner) });
        drop(list);
        Place { list: Arc::clone(self), number }
    }

    /// Ends the oldest session that has made no progress for as long as allowed. Returns when to check again, if any is
    /// left.
    pub(crate) fn end_oldest(&self, now: Instant) -> Option<Instant> {
        let entries = {
            let list = self.lock();
            if list.due.is_none_or(|due| now < due) {
                return list.due;
            }
            // A session that ends during the check removes its entry, so no lock is held meanwhile.
            list.entries.values().cloned().collect::<Vec<_>>()
        };
        let mut next: Option<Instant> = None;
        let mut ended = false;
        for entry in entries {
            let Some(session) = entry.session.upgrade() else { continue };
            let due = session.progress() + entry.stall;
            if due <= now && !ended {
                let bytes = session.discard(WORDS);
                // Another writer may have discarded it since, or its client taken it.
                if bytes > 0 {
                    ended = true;
                    entry.owner.log(bytes, entry.stall);
                }
            } else {
                next = Some(next.map_or(due, |next| next.min(due)));
            }
        }
        let mut list = self.lock();
        // An entry that was added meanwhile is due later than `now`.
        let added = list.entries.values().next_back().map(|entry| now + entry.stall);
        list.due = next.into_iter().chain(added).min();
        list.due
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owner {
    fn log(&self, bytes: usize, stall: Duration) {
        let Self { facts, tenant, plugin } = self;
        let unread_for = &*format!("{} s", stall.as_secs());
        let (connection, channel) = (facts.connection(), facts.channel());
        let user = facts.get("user").unwrap_or_default();
        emit(LogEvent::SessionOutputDiscarded { connection, channel, tenant, user, plugin, bytes, unread_for });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let gone = self.list.lock().entries.remove(&self.number);
        // Not while the list is locked.
        drop(gone);
    }
}

impl std::fmt::Debug for Unsent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} sessions with unsent output", self.lock().entries.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    struct Session {
        progress: Instant,
        discarded: AtomicBool,
    }

    impl Finished for Session {
        fn progress(&self) -> Instant {
            if self.discarded.load(Ordering::Relaxed) { Instant::now() } else { self.progress }
        }
        fn discard(&self, _: &str) -> usize {
            self.discarded.store(true, Ordering::Relaxed);
            1
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_session_without_progress_is_ended() {
        let list = Arc::new(Unsent::default());
        let owner = Arc::new(Owner { facts: Facts::default(), tenant: "t".into(), plugin: "p".into() });
        let (stall, start) = (Duration::from_secs(600), Instant::now());
        let session = |progress| Arc::new(Session { progress, discarded: AtomicBool::new(false) });
        let at = |seconds| start + Duration::from_secs(seconds);
        // The first is read now and then; the others are not.
        let sessions = [session(at(100)), session(start), session(start)];
        let add = |session: &Arc<Session>| {
            let session: Arc<dyn Finished> = Arc::clone(session) as _;
            list.add(Arc::downgrade(&session), stall, &owner)
        };
        let mut places: Vec<_> = sessions.iter().map(add).collect();
        let discarded = || sessions.iter().map(|session| session.discarded.load(Ordering::Relaxed)).collect::<Vec<_>>();
        assert_eq!(list.end_oldest(at(599)), Some(at(600)));
        assert_eq!(discarded(), [false, false, false]);
        assert!(list.end_oldest(at(600)).is_some_and(|next| next <= at(600)));
        assert_eq!(discarded(), [false, true, false]);
        places.remove(1);
        list.end_oldest(at(600));
        assert_eq!(discarded(), [false, true, true]);
        drop(places);
        assert!(list.lock().entries.is_empty());
    }
}
