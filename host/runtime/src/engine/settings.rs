//! The size of the instance pool, and the memory mappings that it needs.

use std::{fs, thread};

/// The kernel's limit of the mappings of a process.
const MAX_MAP_COUNT: &str = "/proc/sys/vm/max_map_count";
/// Mappings reserved for everything else.
pub(super) const OTHER_MAPPINGS: usize = 5_000;
/// Mappings of each instance: the stack of its fiber and its guard. The pool creates those of all instances at the
/// start.
pub(super) const MAPPINGS_OF_STACK: usize = 2;
/// Mappings of each memory: the used part of its slot, and the rest. A slot has them from its first use on.
pub(super) const MAPPINGS_OF_MEMORY: usize = 2;

/// The size of the pool. Memory is only reserved; plugins take it as they use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// The most concurrent instances.
    pub sessions: usize,
    /// Address space of one linear memory, in bytes: the maximum of [`Limits::memory`](crate::Limits::memory). Only
    /// reserved.
    pub memory: usize,
    /// The largest plugin file, in bytes.
    pub component: usize,
    /// The most files, sockets and HTTP connections that all plugins together may have open.
    pub files: usize,
    /// Memory of all instances together, including the host's buffers for them, in bytes.
    pub total_memory: usize,
    /// Output of all sessions together that waits for clients, in bytes.
    pub total_output: usize,
    /// How many threads run sessions. Plugins use one less, so that one is always free for connections.
    pub workers: usize,
    /// Stack of a plugin, in bytes.
    pub stack: usize,
    /// Stack of the host functions that a plugin calls, in bytes. 512 KiB is the safe minimum.
    pub host_stack: usize,
    /// The most core instances of one plugin.
    pub core_instances: usize,
    /// The most tables of one instance, in all of its core instances. Room for all is reserved, so that no instance can
    /// use up another's.
    pub tables: usize,
    /// The most elements of one table.
    pub table_elements: usize,
    /// The most linear memories of one instance, in all of its core instances. Each memory takes two mappings, so fewer
    /// instances fit if plugins have several.
    pub memories: usize,
    /// The mappings that the kernel gives the process.
    pub max_map_count: usize,
    /// Bytes of each memory and each table that are cleared and kept for the next instance, instead of being returned
    /// to the system.
    pub keep_resident: usize,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            sessions: 10_000,
            memory: 256 << 20,
            component: 64 << 20,
            files: 10_000,
            total_memory: usize::MAX,
            total_output: 1 << 30,
            workers: thread::available_parallelism().map_or(1, usize::from),
            stack: 384 << 10,
            host_stack: 640 << 10,
            core_instances: 64,
            tables: 8,
            table_elements: 20_000,
            memories: 3,
            max_map_count: max_map_count(),
            keep_resident: 0,
        }
    }
}

impl EngineSettings {
    /// How many mappings (`vm.max_map_count`) the process needs to run all sessions if each plugin has this many
    /// memories.
    #[must_use]
    pub fn mappings(&self, memories: usize) -> usize {
        let each = memories.saturating_mul(MAPPINGS_OF_MEMORY).saturating_add(MAPPINGS_OF_STACK);
        self.sessions.saturating_mul(each).saturating_add(OTHER_MAPPINGS)
    }
}

/// How many mappings the kernel gives a process; `usize::MAX` where it does not say.
fn max_map_count() -> usize {
    fs::read_to_string(MAX_MAP_COUNT).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(usize::MAX)
}
