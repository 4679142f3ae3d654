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

/// The size of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    /// The most concurrent instances.
    pub(super) instances: usize,
    /// The most memories of all of them together.
    pub(super) memories: usize,
}

impl Places {
    /// As many as requested, or as the kernel's mappings allow. One instance with the maximum number of memories always
    /// fits.
    pub(super) fn of(settings: &EngineSettings) -> Self {
        let (instances, memories) = (count(settings.limits.instances), count(settings.limits.memories));
        let mappings = settings.max_map_count.saturating_sub(OTHER_MAPPINGS);
        let instances = instances.min(mappings / (MAPPINGS_OF_STACK + MAPPINGS_OF_MEMORY)).max(1);
        let mapped = mappings.saturating_sub(instances.saturating_mul(MAPPINGS_OF_STACK)) / MAPPINGS_OF_MEMORY;
        let addressed = ADDRESS_SPACE / settings.limits.memory_slot.saturating_add(GUARD);
        let all = instances.saturating_mul(memories).min(mapped).min(addressed);
        Self { instances, memories: all.max(memories) }
    }
}

/// The places in use.
pub(super) struct Taken {
    places: Places,
    live: AtomicUsize,
    /// The peak since [`take_peak`](Self::take_peak) was called last.
    peak: AtomicUsize,
    memories: Account,
}

/// Room for one instance; dropping it frees the room.
pub(crate) struct Slot {
    taken: Arc<Taken>,
    memories: usize,
}

impl Taken {
    pub(super) fn new(places: Places) -> Self {
        let (live, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { places, live, peak, memories: Account::new(places.memories) }
    }

    /// How many instances with one memory fit.
    pub(super) fn capacity(&self) -> usize {
        self.places.instances
    }

    pub(super) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    pub(super) fn take_peak(&self) -> usize {
        self.peak.swap(self.live(), Ordering::Relaxed)
    }

    /// Whether no instance with one memory fits.
    pub(super) fn is_full(&self) -> bool {
        self.live() >= self.capacity() || self.memories.used() >= self.memories.most()
    }

    /// Takes room for one instance with this many memories.
    pub(super) fn take(self: &Arc<Self>, memories: usize) -> Result<Slot, Error> {
        if !self.memories.take(memories) {
            let (free, most) = (self.memories.most().saturating_sub(self.memories.used()), self.memories.most());
            return Err(Error::Full(Room::Memories { needs: memories, free, most }));
        }
        let capacity = self.capacity();
        let more = |live: usize| (live < capacity).then_some(live + 1);
        let Ok(before) = self.live.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more) else {
            self.memories.give(memories);
            return Err(Error::Full(Room::Instances { most: capacity }));
        };
        self.peak.fetch_max(before + 1, Ordering::Relaxed);
        Ok(Slot { taken: Arc::clone(self), memories })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.taken.memories.give(self.memories);
        self.taken.live.fetch_sub(1, Ordering::AcqRel);
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
        let Places { instances, memories } = Places::of(&settings);
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
    fn memories_are_reserved_with_an_instance_and_given_back_with_it() {
        let taken = Arc::new(Taken::new(Places { instances: 3, memories: 4 }));
        let large = taken.take(3).unwrap();
        let refused = taken.take(2).err();
        assert!(matches!(refused, Some(Error::Full(Room::Memories { needs: 2, free: 1, most: 4 }))), "{refused:?}");
        assert!(!taken.is_full());
        let _small = taken.take(1).unwrap();
        assert!(taken.is_full() && taken.live() == 2);
        drop(large);
        assert!(!taken.is_full());
        let _others = [taken.take(1).unwrap(), taken.take(0).unwrap()];
        let refused = taken.take(1).err();
        assert!(matches!(refused, Some(Error::Full(Room::Instances { most: 3 }))), "{refused:?}");
        assert_eq!((taken.memories.used(), taken.take_peak()), (2, 3));
    }
}
