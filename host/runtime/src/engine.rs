//! wasmtime's configuration, the linker with every import that a plugin may have, and the room for instances. One per process.
//!
//! Decided 2026-11-21: instances come from a pool with memories of 64 MiB and explicit bounds checks, without copy-on-write. It is the
//! fastest to instantiate for small plugins (8 us against 37 us on demand), masks indices against speculation, and needs 4 mappings an
//! instance instead of 6. Language runtimes that start with tens of megabytes would want copy-on-write and are a second engine later.

mod ticker;

pub(crate) use ticker::Ticker;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use crate::error::Error;
use crate::host::{self, State};

/// Where the mappings of a process are limited.
const MAX_MAP_COUNT: &str = "/proc/sys/vm/max_map_count";
/// Mappings that everything else may need.
const OTHER_MAPPINGS: usize = 5_000;
/// Two for the fiber's stack and its guard, two for the memory's slot.
const MAPPINGS_EACH: usize = 4;

/// How much room to make. The memory is only reserved; it is taken as plugins use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// How many instances may run at once.
    pub sessions: usize,
    /// Most linear memory of one instance, bytes.
    pub memory: usize,
    /// The largest plugin, bytes of its file.
    pub component: usize,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self { sessions: 10_000, memory: 64 << 20, component: 64 << 20 }
    }
}

/// Compiles plugins and runs them. Cloning is cheap and gives the same engine.
#[derive(Clone)]
pub struct Engine {
    house: Arc<House>,
}

/// What all plugins of a process share.
struct House {
    engine: wasmtime::Engine,
    linker: Linker<State>,
    ticker: Arc<Ticker>,
    capacity: usize,
    memory: usize,
    component: usize,
    live: AtomicUsize,
}

/// Room for one instance; given back when dropped.
pub(crate) struct Slot {
    house: Arc<House>,
}

impl Engine {
    /// Reserves the room and starts the ticker. Fewer sessions than asked for are possible if the kernel allows fewer mappings;
    /// [`capacity`](Self::capacity) says how many, and the log says what to raise.
    pub fn new(settings: &EngineSettings) -> Result<Self, Error> {
        let capacity = affordable(settings.sessions);
        if capacity < settings.sessions {
            let needed = settings.sessions * MAPPINGS_EACH + OTHER_MAPPINGS;
            tracing::warn!(
                sessions = capacity,
                wanted = settings.sessions,
                "vm.max_map_count" = needed,
                "raise this sysctl to run all"
            );
        }
        let engine = wasmtime::Engine::new(&config(capacity, settings.memory)).map_err(|error| Error::host(&error))?;
        let mut linker = Linker::new(&engine);
        host::link(&mut linker).map_err(|error| Error::host(&error))?;
        let ticker = Ticker::start(&engine)?;
        let (memory, component, live) = (settings.memory, settings.component, AtomicUsize::new(0));
        Ok(Self { house: Arc::new(House { engine, linker, ticker, capacity, memory, component, live }) })
    }

    /// How many instances may run at once.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.house.capacity
    }

    /// How many are running.
    #[must_use]
    pub fn live(&self) -> usize {
        self.house.live.load(Ordering::Relaxed)
    }

    /// Most linear memory of one instance, bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.house.memory
    }

    /// The largest plugin, bytes of its file.
    pub(crate) fn component(&self) -> usize {
        self.house.component
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.house.engine
    }

    pub(crate) fn ticker(&self) -> &Arc<Ticker> {
        &self.house.ticker
    }

    pub(crate) fn instantiate_pre(&self, component: &Component) -> wasmtime::Result<InstancePre<State>> {
        self.house.linker.instantiate_pre(component)
    }

    /// Takes room for one instance.
    pub(crate) fn slot(&self) -> Result<Slot, Error> {
        let capacity = self.house.capacity;
        let more = |live: usize| (live < capacity).then_some(live + 1);
        self.house
            .live
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, more)
            .map(|_| Slot { house: Arc::clone(&self.house) })
            .map_err(|_| Error::Full { capacity })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.house.live.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How many sessions the kernel's limit on mappings allows.
fn affordable(wanted: usize) -> usize {
    let limit = fs::read_to_string(MAX_MAP_COUNT).ok().and_then(|text| text.trim().parse::<usize>().ok());
    limit.map_or(wanted, |limit| wanted.min(limit.saturating_sub(OTHER_MAPPINGS) / MAPPINGS_EACH)).max(1)
}

/// An engine that compiles and runs nothing: its code fits an [`Engine`] with instances of this much memory, but it reserves no room for any.
/// Compiles on one processor, since a server that does something else needs the others.
pub(crate) fn compiler(memory: usize) -> wasmtime::Result<wasmtime::Engine> {
    let mut config = config(1, memory);
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand).parallel_compilation(false);
    wasmtime::Engine::new(&config)
}

fn config(sessions: usize, memory: usize) -> Config {
    let count = u32::try_from(sessions).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(count)
        .total_core_instances(count.saturating_mul(8))
        .total_memories(count)
        .total_tables(count.saturating_mul(4))
        // A store keeps its stack until it is dropped.
        .total_stacks(count)
        .max_memory_size(memory)
        .table_elements(20_000)
        .max_memories_per_component(1)
        .max_core_instances_per_component(64)
        .max_tables_per_component(32)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .linear_memory_keep_resident(128 << 10)
        .table_keep_resident(16 << 10)
        .pagemap_scan(Enabled::Auto)
        .decommit_batch_size(16);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_init_cow(false)
        .memory_reservation(u64::try_from(memory).unwrap_or(u64::MAX))
        .memory_guard_size(64 << 10)
        .concurrency_support(false)
        .epoch_interruption(true)
        // The difference is the host's own stack during an import.
        .max_wasm_stack(384 << 10)
        .async_stack_size(1 << 20)
        .async_stack_zeroing(true)
        .cranelift_opt_level(OptLevel::Speed)
        .parallel_compilation(true)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(16))
        .wasm_memory64(false)
        .wasm_relaxed_simd(false);
    config
}
