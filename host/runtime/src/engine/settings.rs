//! The size of the instance pool, and the memory mappings that it needs.

use std::{fs, thread};

use crate::limits::{GIB, Limits, count};

/// The kernel's limit of the mappings of a process.
const MAX_MAP_COUNT: &str = "/proc/sys/vm/max_map_count";
/// Mappings reserved for everything else.
pub(super) const OTHER_MAPPINGS: usize = 4_700;
/// Mappings of each instance: the stack of its fiber and its guard. The pool creates those of all instances at the
/// start.
pub(super) const MAPPINGS_OF_STACK: usize = 2;
/// Most mappings of each memory: the image of its data, what is used before and after that, and the rest of its slot.
/// A slot has them from its first use on.
pub(super) const MAPPINGS_OF_MEMORY: usize = 4;

/// The size of the pool, and the machine's part in it. Memory is only reserved; plugins take it as they use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// The server's limits: how many instances may run (`instances`), how much address space each memory has
    /// (`memory_slot`), and all that an instance may have.
    pub limits: Limits,
    /// Instances of authenticators at the same time, beside `limits.instances`: neither they nor sessions take places
    /// of the others. 0: they take those of sessions.
    pub authenticators: usize,
    /// The most files, sockets and HTTP connections that all plugins together may have open.
    pub files: usize,
    /// Memory of all instances together, including the host's buffers for them, in bytes: `memory_total`, or what the
    /// machine leaves.
    pub total_memory: usize,
    /// Output of all sessions together that waits for clients, in bytes: `output_total`, or a part of the machine's
    /// memory.
    pub total_output: usize,
    /// How many threads run sessions. Plugins use one less, so that one is always free for connections.
    pub workers: usize,
    /// The mappings that the kernel gives the process.
    pub max_map_count: usize,
}

impl EngineSettings {
    /// With these limits on this machine, which gives all the memory and the files that plugins may want.
    #[must_use]
    pub fn of(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            authenticators: 0,
            files: 10_000,
            total_memory: usize::MAX,
            total_output: GIB,
            workers: thread::available_parallelism().map_or(1, usize::from),
            max_map_count: max_map_count(),
        }
    }

    /// How many mappings (`vm.max_map_count`) the process needs to run all sessions and authenticators if each plugin
    /// has this many memories.
    #[must_use]
    pub fn mappings(&self, memories: usize) -> usize {
        let each = memories.saturating_mul(MAPPINGS_OF_MEMORY).saturating_add(MAPPINGS_OF_STACK);
        let instances = count(self.limits.instances).saturating_add(self.authenticators);
        instances.saturating_mul(each).saturating_add(OTHER_MAPPINGS)
    }
}

/// How many mappings the kernel gives a process; `usize::MAX` where it does not say.
fn max_map_count() -> usize {
    fs::read_to_string(MAX_MAP_COUNT).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(usize::MAX)
}
