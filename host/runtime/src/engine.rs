//! wasmtime's configuration, the linker with every import that a plugin may have, and the room for instances. One per process.
//!
//! Decided 2026-11-21: instances come from a pool with explicit bounds checks, without copy-on-write. It is the fastest
//! to instantiate for small plugins (8 us against 37 us on demand), masks indices against speculation, and needs 4
//! mappings an instance instead of 6. Language runtimes that start with tens of megabytes would want copy-on-write and
//! are a second engine later.
//!
//! Decided 2026-11-29: the slot of a memory has 256 MiB of address space, which costs nothing until it is used, so that
//! one tenant may be allowed more memory than the others. What a plugin may use of it is what `Memory` allows. There
//! are fewer slots than all instances could have memories, since most plugins have one: `places` counts them.
//!
//! Decided 2026-11-28: what an instance had goes back to the system when it ends. Keeping 128 KiB of each resident, as was done before, left
//! 240 MiB behind after 10,000 sessions, and what it saves (3 of the 150 us that a session costs) was not to be found again.

mod places;
mod reaper;
mod settings;
mod ticker;

pub(crate) use places::Slot;
pub use settings::EngineSettings;

/// Address space in bytes that an engine with these settings reserves for linear memories and their guards.
#[must_use]
pub fn address_space(settings: &EngineSettings) -> usize {
    Places::of(settings).memories.saturating_mul(settings.memory.saturating_add(GUARD))
}
pub(crate) use reaper::Reaper;
pub(crate) use ticker::Ticker;

use std::sync::Arc;

use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, WasmBacktraceDetails, WasmFeatures,
};

use crate::error::Error;
use crate::host::{self, State};
use crate::limits::budget::Totals;
use crate::limits::permit::Permits;
use places::{GUARD, Places, Taken};

/// Compiles plugins and runs them. Cloning is cheap and gives the same engine.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<EngineSet>,
}

/// What all plugins of a process share.
struct EngineSet {
    engine: wasmtime::Engine,
    linker: Linker<State>,
    ticker: Arc<Ticker>,
    reaper: Reaper,
    /// Who may run on after a tick, over all tenants.
    permits: Permits,
    /// What plugins have, over all tenants.
    totals: Arc<Totals>,
    /// As they were asked for.
    settings: EngineSettings,
    /// Which of the places are taken.
    taken: Arc<Taken>,
}

impl Engine {
    /// Reserves the room and starts the ticker. Fewer sessions than asked for are possible if the kernel allows fewer mappings than
    /// [`EngineSettings::mappings`]; [`capacity`](Self::capacity) says how many.
    pub fn new(settings: &EngineSettings) -> Result<Self, Error> {
        let (settings, places) = (settings.clone(), Places::of(settings));
        let engine = wasmtime::Engine::new(&config(&settings, places)).map_err(|error| Error::host(&error))?;
        let mut linker = Linker::new(&engine);
        host::link(&mut linker).map_err(|error| Error::host(&error))?;
        let (ticker, reaper) = (Ticker::start(&engine)?, Reaper::start()?);
        let permits = Permits::new(settings.workers);
        let totals = Arc::new(Totals::new(settings.files, settings.total_memory, settings.total_output));
        let taken = Arc::new(Taken::new(places));
        let shared = EngineSet { engine, linker, ticker, reaper, permits, totals, settings, taken };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// How many instances may run at once, if they have one memory each.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.taken.capacity()
    }

    /// How many are running.
    #[must_use]
    pub fn live(&self) -> usize {
        self.shared.taken.live()
    }

    /// Whether there is no room for one more, whatever it is an instance of.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.taken.is_full()
    }

    /// The most that ran at the same time since this was asked last.
    #[must_use]
    pub fn take_peak(&self) -> usize {
        self.shared.taken.take_peak()
    }

    /// Address space of one linear memory, bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.shared.settings.memory
    }

    /// The largest plugin, bytes of its file.
    pub(crate) fn component(&self) -> usize {
        self.shared.settings.component
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.shared.engine
    }

    pub(crate) fn ticker(&self) -> &Arc<Ticker> {
        &self.shared.ticker
    }

    /// Where large instances are let go.
    pub(crate) fn reaper(&self) -> &Reaper {
        &self.shared.reaper
    }

    /// Who may run on after a tick.
    pub(crate) fn permits(&self) -> &Permits {
        &self.shared.permits
    }

    /// What plugins have, over all tenants.
    pub(crate) fn totals(&self) -> &Arc<Totals> {
        &self.shared.totals
    }

    /// Memory of all instances, with buffers that the host has for them, bytes.
    #[must_use]
    pub fn plugin_memory(&self) -> usize {
        self.shared.totals.memory()
    }

    /// How many threads run sessions.
    pub(crate) fn workers(&self) -> usize {
        self.shared.settings.workers
    }

    pub(crate) fn instantiate_pre(&self, component: &Component) -> wasmtime::Result<InstancePre<State>> {
        self.shared.linker.instantiate_pre(component)
    }

    /// Linear memories that one instance may have.
    pub(crate) fn memories(&self) -> usize {
        self.shared.settings.memories
    }

    /// Takes room for one instance with so many memories.
    pub(crate) fn slot(&self, memories: usize) -> Result<Slot, Error> {
        self.shared.taken.take(memories)
    }
}

/// An engine that compiles and runs nothing: its code fits an [`Engine`] with so much address space for each memory,
/// but it reserves no room for any. Compiles on one processor, since a server that does something else needs the
/// others.
pub(crate) fn compiler(memory: usize) -> wasmtime::Result<wasmtime::Engine> {
    let settings = EngineSettings { sessions: 1, memory, ..EngineSettings::default() };
    let mut config = config(&settings, Places { instances: 1, memories: 1 });
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand).parallel_compilation(false);
    wasmtime::Engine::new(&config)
}

fn config(settings: &EngineSettings, places: Places) -> Config {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let all = |each: usize| number(places.instances.saturating_mul(each));
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(all(1))
        .total_core_instances(all(settings.core_instances))
        .total_memories(number(places.memories))
        .total_tables(all(settings.tables))
        // A store keeps its stack until it is dropped.
        .total_stacks(all(1))
        .max_memory_size(settings.memory)
        .table_elements(settings.table_elements)
        // A core module may have all that its component may; wasmtime allows it one of each.
        .max_memories_per_module(number(settings.memories))
        .max_tables_per_module(number(settings.tables))
        .max_memories_per_component(number(settings.memories))
        .max_core_instances_per_component(number(settings.core_instances))
        .max_tables_per_component(number(settings.tables))
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .linear_memory_keep_resident(settings.keep_resident)
        .table_keep_resident(settings.keep_resident)
        .pagemap_scan(Enabled::Auto)
        // At once: in a batch the memories of the last sessions would lie there, full, until others end.
        .decommit_batch_size(1);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_init_cow(false)
        .memory_reservation(u64::try_from(settings.memory).unwrap_or(u64::MAX))
        .memory_guard_size(u64::try_from(GUARD).unwrap_or(u64::MAX))
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(settings.stack)
        .async_stack_size(settings.stack.saturating_add(settings.host_stack))
        .async_stack_zeroing(true)
        .cranelift_opt_level(OptLevel::Speed)
        .parallel_compilation(true)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(16))
        // What a plugin says of its own source is not looked at when it crashes.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_memory64(false)
        .wasm_features(WasmFeatures::GC | WasmFeatures::FUNCTION_REFERENCES, false)
        .wasm_relaxed_simd(false);
    config
}
