//! The number of instances that fit. Places are counted in memory mappings, which the kernel limits for each process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::settings::{EngineSettings, MAPPINGS_OF_MEMORY, MAPPINGS_OF_STACK, OTHER_MAPPINGS};
use crate::error::{Error, Room};
use crate::limits::budget::Account;
use crate::limits::count;

/// Address space for all memories, in bytes: half of a process's 47 bits.
const ADDRESS_SPACE: usize = 1 << 46;
/// Guard region behind each memory, never accessible.
pub(super) const GUARD: usize = 64 << 10;

/// Whose instance it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A session's, or one that tries a plugin before it is published.
    Session,
    /// An authenticator's.
    Login,
}

/// The size of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    /// The most concurrent instances of sessions.
    pub(super) instances: usize,
    /// The most memories of all of them together.
    pub(super) memories: usize,
    /// The most concurrent instances of authenticators. 0: they are among those of sessions.
    pub(super) logins: usize,
    /// The most memories of all of them together.
    pub(super) login_memories: usize,
}

impl Places {
    /// As many as requested, or as the kernel's mappings allow. One instance with the maximum number of memories always
    /// fits.
    pub(super) fn of(settings: &EngineSettings) -> Self {
        let (instances, memories) = (count(settings.limits.instances), count(settings.limits.memories));
        let addressed = ADDRESS_SPACE / settings.limits.memory_slot.saturating_add(GUARD);
        let (logins, login_memories) = match settings.authenticators.min(addressed / 2 / memories.max(1)) {
            0 => (0, 0),
            logins => (logins, logins.saturating_mul(memories)),
        };
        let of_logins = logins.saturating_mul(MAPPINGS_OF_STACK + MAPPINGS_OF_MEMORY);
        let mappings = settings.max_map_count.saturating_sub(OTHER_MAPPINGS).saturating_sub(of_logins);
        let instances = instances.min(mappings / (MAPPINGS_OF_STACK + MAPPINGS_OF_MEMORY)).max(1);
        let mapped = mappings.saturating_sub(instances.saturating_mul(MAPPINGS_OF_STACK)) / MAPPINGS_OF_MEMORY;
        let all = instances.saturating_mul(memories).min(mapped).min(addressed - login_memories);
        Self { instances, memories: all.max(memories), logins, login_memories }
    }

    /// The memories of sessions and authenticators together.
    pub(super) fn all_memories(self) -> usize {
        self.memories.saturating_add(self.login_memories)
    }

    /// The instances of sessions and authenticators together.
    pub(super) fn all_instances(self) -> usize {
        self.instances.saturating_add(self.logins)
    }
}

/// The places in use.
pub(super) struct Taken {
    sessions: Occupied,
    /// None if authenticators are among the sessions.
    logins: Option<Occupied>,
}

/// The places of one purpose in use.
struct Occupied {
    capacity: usize,
    live: AtomicUsize,
    /// The peak since [`Taken::take_peak`] was called last.
    peak: AtomicUsize,
    memories: Account,
}

/// Room for one instance; dropping it frees the room.
pub(crate) struct Slot {
    taken: Arc<Taken>,
    purpose: Purpose,
    memories: usize,
}

impl Taken {
    pub(super) fn new(places: Places) -> Self {
        let logins = (places.logins > 0).then(|| Occupied::new(places.logins, places.login_memories));
        Self { sessions: Occupied::new(places.instances, places.memories), logins }
    }

    /// How many instances with one memory fit, of sessions.
    pub(super) fn capacity(&self) -> usize {
        self.sessions.capacity
    }

    pub(super) fn live(&self) -> usize {
        self.sessions.live.load(Ordering::Relaxed)
    }

    pub(super) fn take_peak(&self) -> usize {
        self.sessions.peak.swap(self.live(), Ordering::Relaxed)
    }

    /// Whether no instance with one memory fits, of a session.
    pub(super) fn is_full(&self) -> bool {
        self.live() >= self.capacity() || self.sessions.memories.used() >= self.sessions.memories.most()
    }

    /// Takes room for one instance with this many memories.
    pub(super) fn take(self: &Arc<Self>, purpose: Purpose, memories: usize) -> Result<Slot, Error> {
        self.of(purpose).take(memories)?;
        Ok(Slot { taken: Arc::clone(self), purpose, memories })
    }

    fn of(&self, purpose: Purpose) -> &Occupied {
        match (purpose, &self.logins) {
            (Purpose::Login, Some(logins)) => logins,
            (Purpose::Session | Purpose::Login, _) => &self.sessions,
        }
    }
}

impl Occupied {
    fn new(capacity: usize, memories: usize) -> Self {
        let (live, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { capacity, live, peak, memories: Account::new(memories) }
    }

    fn take(&self, memories: usize) -> Result<(), Error> {
        if !self.memories.take(memories) {
            let (free, most) = (self.memories.most().saturating_sub(self.memories.used()), self.memories.most());
            return Err(Error::Full(Room::Memories { needs: memories, free, most }));
        }
        let more = |live: usize| (live < self.capacity).then_some(live + 1);
        let Ok(before) = self.live.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more) else {
            self.memories.give(memories);
            return Err(Error::Full(Room::Instances { most: self.capacity }));
        };
        self.peak.fetch_max(before + 1, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let occupied = self.taken.of(self.purpose);
        occupied.memories.give(self.memories);
        occupied.live.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    fn settings(instances: u32, memories: u32) -> EngineSettings {
        EngineSettings::of(&Limits { instances, memories, ..Limits::default() })
    }

    fn places(instances: u32, memories: u32, limit: usize) -> (usize, usize) {
        let settings = EngineSettings { max_map_count: limit, ..settings(instances, memories) };
        let Places { instances, memories, .. } = Places::of(&settings);
        (instances, memories)
    }

    #[test]
    fn fifteen_thousand_instances_of_one_memory_fit_the_kernels_default() {
        assert_eq!(settings(15_000, 3).mappings(1), 65_000);
        assert_eq!(settings(15_000, 3).mappings(3), 125_000);
        assert_eq!(places(15_000, 3, 65_530), (15_000, 15_265));
        // If fewer instances are requested, more of them may have three memories.
        assert_eq!(places(1_000, 3, 65_530), (1_000, 3_000));
        assert_eq!(places(7_566, 3, 65_530), (7_566, 22_698));
        assert_eq!(places(100_000, 3, 65_530), (15_132, 15_133));
    }

    #[test]
    fn stacks_and_memories_never_take_more_mappings_than_there_are() {
        for limit in [5_008, 5_100, 6_000, 65_530, 262_144, 10_000_000] {
            for (sessions, memories) in [(1, 1), (100, 8), (1_000, 3), (15_000, 1), (100_000, 8)] {
                let (instances, slots) = places(sessions, memories, limit);
                let taken = instances * MAPPINGS_OF_STACK + slots * MAPPINGS_OF_MEMORY + OTHER_MAPPINGS;
                // Except for the memories of the one instance that always fits.
                let of_one = count(memories);
                assert!(taken <= limit || slots == of_one, "{limit} {sessions} {memories}: {taken}");
                assert!(slots >= of_one && instances >= 1);
                assert!(slots * ((256 << 20) + GUARD) <= ADDRESS_SPACE);
            }
        }
    }

    #[test]
    fn authenticators_have_places_beside_those_of_sessions() {
        let with = |authenticators, limit| {
            let settings = EngineSettings { max_map_count: limit, authenticators, ..settings(1_000, 3) };
            let Places { instances, memories, logins, login_memories } = Places::of(&settings);
            (instances, memories, logins, login_memories)
        };
        assert_eq!(with(0, 65_530), (1_000, 3_000, 0, 0));
        assert_eq!(with(128, 65_530), (1_000, 3_000, 128, 384));
        // They come first where there is little.
        assert_eq!(with(128, 5_000 + 128 * 4 + 40), (10, 10, 128, 384));
        assert_eq!(EngineSettings { authenticators: 128, ..settings(15_000, 3) }.mappings(1), 65_512);
        let taken = Arc::new(Taken::new(Places { instances: 1, memories: 1, logins: 1, login_memories: 1 }));
        let login = taken.take(Purpose::Login, 1).unwrap();
        assert!(taken.live() == 0 && !taken.is_full());
        let _session = taken.take(Purpose::Session, 1).unwrap();
        assert!(taken.is_full() && taken.take(Purpose::Session, 1).is_err() && taken.take(Purpose::Login, 1).is_err());
        drop(login);
        assert!(taken.is_full() && taken.take(Purpose::Session, 1).is_err() && taken.take(Purpose::Login, 1).is_ok());
        // Without places of their own.
        let taken = Arc::new(Taken::new(Places { instances: 1, memories: 1, logins: 0, login_memories: 0 }));
        let _login = taken.take(Purpose::Login, 1).unwrap();
        assert!(taken.is_full());
    }

    #[test]
    fn memories_are_reserved_with_an_instance_and_given_back_with_it() {
        let taken = Arc::new(Taken::new(Places { instances: 3, memories: 4, logins: 0, login_memories: 0 }));
        let large = taken.take(Purpose::Session, 3).unwrap();
        let refused = taken.take(Purpose::Session, 2).err();
        assert!(matches!(refused, Some(Error::Full(Room::Memories { needs: 2, free: 1, most: 4 }))), "{refused:?}");
        assert!(!taken.is_full());
        let _small = taken.take(Purpose::Session, 1).unwrap();
        assert!(taken.is_full() && taken.live() == 2);
        drop(large);
        assert!(!taken.is_full());
        let _others = [taken.take(Purpose::Session, 1).unwrap(), taken.take(Purpose::Session, 0).unwrap()];
        let refused = taken.take(Purpose::Session, 1).err();
        assert!(matches!(refused, Some(Error::Full(Room::Instances { most: 3 }))), "{refused:?}");
        assert_eq!((taken.sessions.memories.used(), taken.take_peak()), (2, 3));
    }
}
