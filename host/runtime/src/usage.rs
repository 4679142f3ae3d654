//! What a session has used, counted while it runs.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What the instances of a session have used so far. Counted while they run, so that it is known however they end.
#[derive(Debug, Default)]
pub(crate) struct SessionUsage {
    ticks: AtomicU64,
    peak_memory: AtomicUsize,
}

impl SessionUsage {
    /// Processor time, in ticks of 1 ms.
    pub(crate) fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// The most linear memory at one time, bytes.
    pub(crate) fn peak_memory(&self) -> usize {
        self.peak_memory.load(Ordering::Relaxed)
    }

    /// One more tick of processor time.
    pub(crate) fn had_tick(&self) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }

    /// So much linear memory at once.
    pub(crate) fn had_memory(&self, bytes: usize) {
        self.peak_memory.fetch_max(bytes, Ordering::Relaxed);
    }
}
