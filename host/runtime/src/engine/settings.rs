//! How much room an engine makes for instances, and what that takes of the machine.

use std::{fs, thread};

/// Where the mappings of a process are limited.
const MAX_MAP_COUNT: &str = "/proc/sys/vm/max_map_count";
/// Mappings that everything else may need.
pub(super) const OTHER_MAPPINGS: usize = 5_000;
/// Of each instance: the stack of its fiber and the guard of it. The pool makes those of all instances at the start.
pub(super) const MAPPINGS_OF_STACK: usize = 2;
/// Of each memory: what is used of its slot, and the rest. A slot has them from its first use on.
pub(super) const MAPPINGS_OF_MEMORY: usize = 2;

/// How much room to make. The memory is only reserved; it is taken as plugins use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// How many instances may run at once.
    pub sessions: usize,
    /// Address space of one linear memory, bytes: the most that [`Limits::memory`](crate::Limits::memory) may be. Only
    /// reserved.
    pub memory: usize,
    /// The largest plugin, bytes of its file.
    pub component: usize,
    /// Files, sockets and connections of requests that all plugins together may have open.
    pub files: usize,
    /// Memory of all instances together, with buffers that the host has for them, bytes.
    pub total_memory: usize,
    /// Output of all sessions together that waits for clients, bytes.
    pub total_output: usize,
    /// How many threads run sessions. Plugins are on one less of them, so that one is always free for connections.
    pub workers: usize,
    /// Stack of a plugin, bytes.
    pub stack: usize,
    /// Stack of the host below it, for what the plugin calls, bytes. 512 KiB are the least that is safe.
    pub host_stack: usize,
    /// Core instances of one plugin.
    pub core_instances: usize,
    /// Tables of one instance, whichever of its core instances has them. Room for all is reserved, so that none can use
    /// up another's.
    pub tables: usize,
    /// Elements in one table.
    pub table_elements: usize,
    /// Linear memories of one instance, whichever of its core instances has them. Each that a plugin has takes two
    /// mappings, so there is room for fewer instances of plugins that have more.
    pub memories: usize,
    /// Mappings that the kernel gives the process.
    pub max_map_count: usize,
    /// Bytes of each memory and of each table that are cleared and kept for the next instance, instead of being given
    /// back to the system.
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
    /// How many mappings (`vm.max_map_count`) the process needs to run all sessions, if each plugin has so many
    /// memories.
    #[must_use]
    pub fn mappings(&self, memories: usize) -> usize {
        let each = memories.saturating_mul(MAPPINGS_OF_MEMORY).saturating_add(MAPPINGS_OF_STACK);
        self.sessions.saturating_mul(each).saturating_add(OTHER_MAPPINGS)
    }
}

/// How many mappings the kernel gives a process; all of them where it does not say.
fn max_map_count() -> usize {
    fs::read_to_string(MAX_MAP_COUNT).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(usize::MAX)
}
