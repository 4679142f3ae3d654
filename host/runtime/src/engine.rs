//! wasmtime's configuration, the linker with every import that a plugin may have, and the instance pool. One per
//! process.
//!
//! Decided 2026-11-21: instances come from a pool with explicit bounds checks. This is the fastest to instantiate
//! (8 us against 37 us on demand for a small plugin), and masks indices against speculation.
//!
//! Decided 2026-11-30: memories begin as copies-on-write of an image of their data. Until then data were copied, which
//! saves two mappings an instance (4 instead of 6) and 2 us for a small plugin. But programs came: `true` of the core
//! utilities, with more than a MiB of data, took 2.0 ms of processor time from start to end, and takes 0.33 ms now. A
//! second engine for programs was refused: a plugin would be compiled for both, and the places of both had to be
//! shared. So 10,000 instances fit the kernel's default of mappings, and no longer 15,000.
//!
//! Decided 2026-11-30: a stack of wasm code has 1,280 KiB, so that functions of the shell call themselves 1,000 times.
//! With that of the host and the guard it stays below 2 MiB, the size of a huge page: where the kernel gives those to
//! all memory, the first page of a larger stack would be one. What is used of it goes back when the instance ends.
//!
//! Decided 2026-11-29: the slot of a memory has 256 MiB of address space, which costs nothing until it is used, so that
//! one tenant can be allowed more memory than others. The limit `Memory` decides how much of it a plugin may use. There
//! are fewer slots than all instances together may have memories, because most plugins have one memory: `places` counts
//! them.
//!
//! Decided 2026-11-30: what `keep_resident` keeps of a memory or table are its first bytes, which are cleared. Refused:
//! wasmtime's `pagemap_scan`, which clears the pages that were written, wherever they are. A page that the kernel has
//! swapped out, or is moving at that moment, is not among those that the scan finds, and the next instance would read
//! it (wasmtime's pull request 14357). Refused with it: an engine with few places whose pages stay. A session of a
//! small plugin writes seven pages: one of its stack, two of data and the last of its heap, a megabyte apart, one of a
//! table, and two of its fiber.
//!
//! Decided 2026-11-28: the memory of an instance returns to the system when it ends. Keeping 128 KiB of each resident,
//! as before, left 240 MiB behind after 10,000 sessions, and the saving (3 of the 150 us of a session) was no longer
//! measurable.

mod places;
mod reaper;
mod settings;
mod ticker;

pub(crate) use places::{Purpose, Slot};
pub use settings::EngineSettings;

/// Address space in bytes that an engine with these settings reserves for linear memories and their guards.
#[must_use]
pub fn address_space(settings: &EngineSettings) -> usize {
    Places::of(settings).all_memories().saturating_mul(settings.limits.memory_slot.saturating_add(GUARD))
}

/// How many sessions can run at once with these settings: as many as the limits say, or as the kernel's mappings allow.
#[must_use]
pub fn session_capacity(settings: &EngineSettings) -> usize {
    Places::of(settings).instances
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
use crate::limits::budget::{Amount, Budget, Totals};
use crate::limits::permit::Permits;
use crate::limits::{Limits, count};
use places::{GUARD, Places, Taken};

/// Compiles and runs plugins. A clone shares the engine.
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
    /// The run permits of all tenants: who may continue after a tick.
    permits: Permits,
    /// The memory budget of all tenants.
    totals: Arc<Totals>,
    /// The settings of the engine.
    settings: EngineSettings,
    /// The places in use.
    taken: Arc<Taken>,
}

impl Engine {
    /// Reserves the pool and starts the ticker. It has fewer places than requested if the kernel allows fewer mappings
    /// than [`EngineSettings::mappings`]; [`capacity`](Self::capacity) returns the number.
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

    /// How many instances of sessions may run at once if each has one memory.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.taken.capacity()
    }

    /// How many instances of sessions run.
    #[must_use]
    pub fn live(&self) -> usize {
        self.shared.taken.live()
    }

    /// Whether the pool is full for sessions, even for an instance with one memory.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.taken.is_full()
    }

    /// The peak of running instances of sessions since the last call.
    #[must_use]
    pub fn take_peak(&self) -> usize {
        self.shared.taken.take_peak()
    }

    /// How many instances were begun since the start, of sessions, their processes and authenticators, with those whose
    /// start has failed.
    #[must_use]
    pub fn instances_started(&self) -> u64 {
        self.shared.taken.started()
    }

    /// How many of them there are.
    #[must_use]
    pub fn instances_live(&self) -> usize {
        self.shared.taken.all_live()
    }

    /// Address space of one linear memory, in bytes.
    #[must_use]
    pub fn memory_slot(&self) -> usize {
        self.shared.settings.limits.memory_slot
    }

    /// The largest plugin file, in bytes.
    pub(crate) fn component(&self) -> usize {
        self.shared.settings.limits.component
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.shared.engine
    }

    pub(crate) fn ticker(&self) -> &Arc<Ticker> {
        &self.shared.ticker
    }

    /// The thread that drops large instances.
    pub(crate) fn reaper(&self) -> &Reaper {
        &self.shared.reaper
    }

    /// The run permits of all tenants.
    pub(crate) fn permits(&self) -> &Permits {
        &self.shared.permits
    }

    /// The memory budget of all tenants.
    pub(crate) fn totals(&self) -> &Arc<Totals> {
        &self.shared.totals
    }

    /// Memory of all instances, including the host's buffers for them, in bytes.
    #[must_use]
    pub fn plugin_memory(&self) -> usize {
        self.shared.totals.memory()
    }

    /// Instances of sessions, the memory of all instances in bytes, and open files of plugins, each with its bound.
    #[must_use]
    pub fn usage(&self) -> [Amount; 3] {
        let totals = self.totals();
        let instances = Amount { used: self.live(), most: self.capacity() };
        [instances, totals.memory_amount(), totals.files.amount()]
    }

    /// How many threads run sessions.
    pub(crate) fn workers(&self) -> usize {
        self.shared.settings.workers
    }

    pub(crate) fn instantiate_pre(&self, component: &Component) -> wasmtime::Result<InstancePre<State>> {
        self.shared.linker.instantiate_pre(component)
    }

    /// Changes what all plugins together may have: files, memory and output, as in [`EngineSettings`]. Everything else
    /// is fixed when the engine is made. Two calls must not run at the same time.
    pub fn set_totals(&self, files: usize, memory: usize, output: usize) {
        self.shared.totals.change(files, memory, output);
    }

    /// The most linear memories and tables of one instance.
    pub(crate) fn memories_and_tables(&self) -> (usize, usize) {
        let limits = &self.shared.settings.limits;
        (count(limits.memories), count(limits.tables))
    }

    /// Takes room for one instance of the tenant with this budget, with this many memories and tables.
    pub(crate) fn slot(
        &self,
        purpose: Purpose,
        (memories, tables): (usize, usize),
        budget: &Arc<Budget>,
    ) -> Result<Slot, Error> {
        self.shared.taken.take(purpose, places::needed(memories, tables), budget)
    }
}

/// An engine that only compiles: its code fits an [`Engine`] with this much address space for each memory, but it
/// reserves no pool. Compiles on one thread, because a server needs the other processors.
pub(crate) fn compiler(memory: usize) -> wasmtime::Result<wasmtime::Engine> {
    let settings = EngineSettings::of(&Limits { instances: 1, memory_slot: memory, ..Limits::default() });
    let mut config = config(&settings, Places { instances: 1, memories: 1, logins: 0, login_memories: 0 });
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand).parallel_compilation(false);
    wasmtime::Engine::new(&config)
}

/// Whether images of data can be shared: by memfd_create(2), which some sandboxes lack. Without it data are copied.
fn has_memfd() -> bool {
    rustix::fs::memfd_create("whelk", rustix::fs::MemfdFlags::CLOEXEC).is_ok()
}

fn config(settings: &EngineSettings, places: Places) -> Config {
    let limits = &settings.limits;
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let all = |each: usize| number(places.all_instances().saturating_mul(each));
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(all(1))
        .total_core_instances(all(count(limits.core_instances)))
        .total_memories(number(places.all_memories()))
        // As many as the places that instances take have room for.
        .total_tables(number(places.all_memories().saturating_mul(places::TABLES_OF_MEMORY)))
        // A store keeps its stack until it is dropped.
        .total_stacks(all(1))
        .max_memory_size(limits.memory_slot)
        .table_elements(count(limits.table_elements))
        // A core module may have as many as its component; wasmtime allows it one of each.
        .max_memories_per_module(limits.memories)
        .max_tables_per_module(limits.tables)
        .max_memories_per_component(limits.memories)
        .max_core_instances_per_component(limits.core_instances)
        .max_tables_per_component(limits.tables)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .linear_memory_keep_resident(limits.keep_resident)
        .table_keep_resident(limits.keep_resident)
        .pagemap_scan(Enabled::No)
        // Without a batch: in a batch the memories of the last sessions would stay, full, until others end.
        .decommit_batch_size(1);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_init_cow(has_memfd())
        .memory_reservation(u64::try_from(limits.memory_slot).unwrap_or(u64::MAX))
        .memory_guard_size(u64::try_from(GUARD).unwrap_or(u64::MAX))
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(limits.stack)
        .async_stack_size(limits.stack.saturating_add(limits.host_stack))
        .async_stack_zeroing(true)
        .cranelift_opt_level(OptLevel::Speed)
        .parallel_compilation(true)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(16))
        // Debug information of a plugin is not read when it crashes.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_memory64(false)
        .wasm_features(WasmFeatures::GC | WasmFeatures::FUNCTION_REFERENCES, false)
        .wasm_relaxed_simd(false);
    config
}
