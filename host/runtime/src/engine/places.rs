//! The number of instances that fit. Places are counted in memory mappings, which the kernel limits for each process.
//!
//! The last tenth of the places, and of the memories, is kept for first processes of tenants that have few instances:
//! whatever one tenant's processes take, another's users get in.
//!
//! Tables are counted as memories, three for each: the pool keeps 56 bytes for each table that there may be, and with
//! the eight that every instance may have those of 10,000 took 4.3 MiB before there was a session. Most plugins have a
//! memory and two tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::settings::{EngineSettings, MAPPINGS_OF_MEMORY, MAPPINGS_OF_STACK, OTHER_MAPPINGS};
use crate::error::{Error, Room};
use crate::limits::budget::{Account, Budget};
use crate::limits::count;

/// Address space for all memories, in bytes: half of a process's 47 bits.
const ADDRESS_SPACE: usize = 1 << 46;
/// Guard region behind each memory, never accessible.
pub(super) const GUARD: usize = 64 << 10;

/// How many tables a place for a memory has.
pub(super) const TABLES_OF_MEMORY: usize = 3;

/// The part of all places that is kept: one of so many.
const KEPT: usize = 10;
/// A tenant with fewer instances than this may take places that are kept.
const FEW: usize = 16;

/// Whose instance it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// That of the first process of a session, of a connection plugin, or one that tries a plugin before it is
    /// published.
    Session,
    /// That of a process that another one has started.
    Process,
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
    /// As many as requested, or as the kernel's mappings allow. One instance with the maximum number of memories and
    /// tables always fits.
    pub(super) fn of(settings: &EngineSettings) -> Self {
        let (instances, memories) = (count(settings.limits.instances), count(settings.limits.memories));
        let largest = needed(memories, count(settings.limits.tables));
        let addressed = ADDRESS_SPACE / settings.limits.memory_slot.saturating_add(GUARD);
        let (logins, login_memories) = match settings.authenticators.min(addressed / 2 / memories.max(1)) {
            0 => (0, 0),
            logins => (logins, logins.saturating_mul(memories).max(largest)),
        };
        let of_logins = logins.saturating_mul(MAPPINGS_OF_STACK + MAPPINGS_OF_MEMORY);
        let mappings = settings.max_map_count.saturating_sub(OTHER_MAPPINGS).saturating_sub(of_logins);
        let instances = instances.min(mappings / (MAPPINGS_OF_STACK + MAPPINGS_OF_MEMORY)).max(1);
        let mapped = mappings.saturating_sub(instances.saturating_mul(MAPPINGS_OF_STACK)) / MAPPINGS_OF_MEMORY;
        let all = instances.saturating_mul(memories).min(mapped).min(addressed - login_memories);
        Self { instances, memories: all.max(largest), logins, login_memories }
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

/// The memory slots that an instance takes: one for each memory, or for three tables, whichever is more.
pub(super) fn needed(memories: usize, tables: usize) -> usize {
    memories.max(tables.div_ceil(TABLES_OF_MEMORY))
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
    /// How many were taken since the start.
    started: AtomicU64,
    memories: Account,
}

impl Purpose {
    /// In a word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Process => "process",
            Self::Login => "login",
        }
    }
}

/// Room for one instance; dropping it frees the room.
pub(crate) struct Slot {
    taken: Arc<Taken>,
    purpose: Purpose,
    memories: usize,
    /// That of its tenant, which counts its instances.
    budget: Arc<Budget>,
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

    /// How many instances of all purposes were begun since the start.
    pub(super) fn started(&self) -> u64 {
        let all = [Some(&self.sessions), self.logins.as_ref()];
        all.into_iter().flatten().map(|occupied| occupied.started.load(Ordering::Relaxed)).sum()
    }

    /// How many instances of all purposes there are.
    pub(super) fn all_live(&self) -> usize {
        self.live() + self.logins.as_ref().map_or(0, |logins| logins.live.load(Ordering::Relaxed))
    }

    pub(super) fn take_peak(&self) -> usize {
        self.sessions.peak.swap(self.live(), Ordering::Relaxed)
    }

    /// Whether no instance with one memory fits, of a session.
    pub(super) fn is_full(&self) -> bool {
        self.live() >= self.capacity() || self.sessions.memories.used() >= self.sessions.memories.most()
    }

    /// Takes room for one instance of the tenant with this budget, with this many memories.
    pub(super) fn take(
        self: &Arc<Self>,
        purpose: Purpose,
        memories: usize,
        budget: &Arc<Budget>,
    ) -> Result<Slot, Error> {
        // Two at the same time may both count as the last of the few.
        let may_take_all = purpose == Purpose::Login || (purpose == Purpose::Session && budget.instances.used() < FEW);
        self.of(purpose).take(memories, may_take_all)?;
        budget.instances.take(1);
        Ok(Slot { taken: Arc::clone(self), purpose, memories, budget: Arc::clone(budget) })
    }

    fn of(&self, purpose: Purpose) -> &Occupied {
        match (purpose, &self.logins) {
            (Purpose::Login, Some(logins)) => logins,
            (Purpose::Session | Purpose::Process | Purpose::Login, _) => &self.sessions,
        }
    }
}

impl Occupied {
    fn new(capacity: usize, memories: usize) -> Self {
        let (live, peak, started) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicU64::new(0));
        Self { capacity, live, peak, started, memories: Account::new(memories) }
    }

    /// `may_take_all`: also of what is kept.
    fn take(&self, memories: usize, may_take_all: bool) -> Result<(), Error> {
        let open = |most: usize| if may_take_all { most } else { most - most / KEPT };
        let most = open(self.memories.most());
        if !self.memories.take_below(memories, most) {
            let free = most.saturating_sub(self.memories.used());
            return Err(Error::Full(Room::Memories { needs: memories, free, most }));
        }
        let most = open(self.capacity);
        let more = |live: usize| (live < most).then_some(live + 1);
        let Ok(before) = self.live.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more) else {
            self.memories.give(memories);
            let kept = self.capacity - most;
            return Err(Error::Full(Room::Instances { most, kept }));
        };
        self.peak.fetch_max(before + 1, Ordering::Relaxed);
        self.started.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let occupied = self.taken.of(self.purpose);
        occupied.memories.give(self.memories);
        occupied.live.fetch_sub(1, Ordering::AcqRel);
        self.budget.instances.give(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    fn settings(instances: u32, memories: u32) -> EngineSettings {
        EngineSettings::of(&Limits { instances, memories, ..Limits::default() })
    }

    fn tenant() -> Arc<Budget> {
        Arc::new(Budget::new(&Limits::default()))
    }

    fn places(instances: u32, memories: u32, limit: usize) -> (usize, usize) {
        let settings = EngineSettings { max_map_count: limit, ..settings(instances, memories) };
        let Places { instances, memories, .. } = Places::of(&settings);
        (instances, memories)
    }

    #[test]
    fn ten_thousand_instances_of_one_memory_fit_the_kernels_default() {
        assert_eq!(settings(10_000, 3).mappings(1), 64_700);
        assert_eq!(settings(10_000, 3).mappings(3), 144_700);
        assert_eq!(places(10_000, 3, 65_530), (10_000, 10_207));
        // If fewer instances are requested, more of them may have three memories.
        assert_eq!(places(1_000, 3, 65_530), (1_000, 3_000));
        assert_eq!(places(4_345, 3, 65_530), (4_345, 13_035));
        assert_eq!(places(100_000, 3, 65_530), (10_138, 10_138));
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
    fn tables_of_which_an_instance_has_many_take_places_of_memories() {
        let of = [(1, 2), (1, 3), (1, 4), (3, 8), (0, 0), (0, 1)].map(|(memories, tables)| needed(memories, tables));
        assert_eq!(of, [1, 1, 2, 3, 0, 1]);
        let limits = Limits { instances: 1, memories: 1, tables: 100, ..Limits::default() };
        assert_eq!(Places::of(&EngineSettings::of(&limits)).memories, 34);
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
        assert_eq!(with(128, 4_700 + 128 * 6 + 60), (10, 10, 128, 384));
        assert_eq!(EngineSettings { authenticators: 128, ..settings(10_000, 3) }.mappings(1), 65_468);
        let (taken, budget) =
            (Arc::new(Taken::new(Places { instances: 1, memories: 1, logins: 1, login_memories: 1 })), tenant());
        let take = |purpose| taken.take(purpose, 1, &budget);
        let login = take(Purpose::Login).unwrap();
        assert!(taken.live() == 0 && !taken.is_full());
        let _session = take(Purpose::Session).unwrap();
        assert!(taken.is_full() && take(Purpose::Session).is_err() && take(Purpose::Login).is_err());
        drop(login);
        assert!(taken.is_full() && take(Purpose::Session).is_err() && take(Purpose::Login).is_ok());
        // Without places of their own.
        let taken = Arc::new(Taken::new(Places { instances: 1, memories: 1, logins: 0, login_memories: 0 }));
        let _login = taken.take(Purpose::Login, 1, &budget).unwrap();
        assert!(taken.is_full());
    }

    #[test]
    fn memories_are_reserved_with_an_instance_and_given_back_with_it() {
        let taken = Arc::new(Taken::new(Places { instances: 3, memories: 4, logins: 0, login_memories: 0 }));
        let budget = tenant();
        let take = |memories| taken.take(Purpose::Session, memories, &budget);
        let large = take(3).unwrap();
        let refused = take(2).err();
        assert!(matches!(refused, Some(Error::Full(Room::Memories { needs: 2, free: 1, most: 4 }))), "{refused:?}");
        assert!(!taken.is_full());
        let _small = take(1).unwrap();
        assert!(taken.is_full() && taken.live() == 2);
        drop(large);
        assert!(!taken.is_full());
        let _others = [take(1).unwrap(), take(0).unwrap()];
        let refused = take(1).err();
        assert!(matches!(refused, Some(Error::Full(Room::Instances { most: 3, kept: 0 }))), "{refused:?}");
        assert_eq!((taken.sessions.memories.used(), taken.take_peak()), (2, 3));
    }

    #[test]
    fn the_last_tenth_is_kept_for_first_processes_of_tenants_with_few_instances() {
        let taken = Arc::new(Taken::new(Places { instances: 100, memories: 100, logins: 0, login_memories: 0 }));
        let take = |purpose, budget: &Arc<Budget>| taken.take(purpose, 1, budget);
        let (busy, quiet, third) = (tenant(), tenant(), tenant());
        // One tenant's sessions and processes get nine tenths.
        let mut of_busy = vec![take(Purpose::Session, &busy).unwrap()];
        of_busy.extend((1..90).map(|_| take(Purpose::Process, &busy).unwrap()));
        for purpose in [Purpose::Process, Purpose::Session] {
            let refused = take(purpose, &busy).err();
            let is_full = matches!(refused, Some(Error::Full(Room::Memories { needs: 1, free: 0, most: 90 })));
            assert!(is_full, "{refused:?}");
        }
        // Another's sessions get in. Its processes do not.
        let mut of_quiet: Vec<_> = (0..6).map(|_| take(Purpose::Session, &quiet).unwrap()).collect();
        assert!(take(Purpose::Process, &quiet).is_err() && !taken.is_full());
        let of_third: Vec<_> = (0..4).map(|_| take(Purpose::Session, &third).unwrap()).collect();
        assert!(take(Purpose::Session, &third).is_err() && taken.is_full());
        // Who has ended many is one of those with few.
        drop(of_third);
        of_busy.truncate(FEW);
        assert_eq!(busy.instances.used(), FEW);
        of_quiet.extend((0..68).map(|_| take(Purpose::Process, &quiet).unwrap()));
        assert!(take(Purpose::Session, &busy).is_err());
        of_busy.pop();
        of_quiet.push(take(Purpose::Process, &quiet).unwrap());
        assert!(take(Purpose::Session, &busy).is_ok() && take(Purpose::Process, &busy).is_err());
        let (before, live) = (taken.started(), taken.all_live());
        assert_eq!((before, live), (170, taken.live()));
        drop((of_busy, of_quiet));
        assert_eq!((taken.started(), taken.all_live()), (before, 0));
        assert_eq!((taken.live(), busy.instances.used(), quiet.instances.used()), (0, 0, 0));
    }

    #[test]
    fn where_places_are_few_and_memories_plenty_the_places_say_what_is_kept() {
        let taken = Arc::new(Taken::new(Places { instances: 10, memories: 100, logins: 0, login_memories: 0 }));
        let budget = tenant();
        let _nine: Vec<_> = (0..9).map(|_| taken.take(Purpose::Process, 1, &budget).unwrap()).collect();
        let refused = taken.take(Purpose::Process, 1, &budget).err();
        assert!(matches!(refused, Some(Error::Full(Room::Instances { most: 9, kept: 1 }))), "{refused:?}");
        assert!(taken.take(Purpose::Session, 1, &budget).is_ok());
    }
}
