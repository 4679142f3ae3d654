//! wasmtime's configuration, the linker with every import that a plugin may have, and the room for instances. One per process.
//!
//! Decided 2026-11-21: instances come from a pool with memories of 64 MiB and explicit bounds checks, without copy-on-write. It is the
//! fastest to instantiate for small plugins (8 us against 37 us on demand), masks indices against speculation, and needs 4 mappings an
//! instance instead of 6. Language runtimes that start with tens of megabytes would want copy-on-write and are a second engine later.
//!
//! Decided 2026-11-28: what an instance had goes back to the system when it ends. Keeping 128 KiB of each resident, as was done before, left
//! 240 MiB behind after 10,000 sessions, and what it saves (3 of the 150 us that a session costs) was not to be found again.

mod ticker;
mod undertaker;

pub(crate) use ticker::Ticker;
pub(crate) use undertaker::Undertaker;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, thread};

use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, WasmBacktraceDetails, WasmFeatures,
};

use crate::budget::Totals;
use crate::error::Error;
use crate::host::{self, State};
use crate::permit::Permits;

/// Where the mappings of a process are limited.
const MAX_MAP_COUNT: &str = "/proc/sys/vm/max_map_count";
/// Mappings that everything else may need.
const OTHER_MAPPINGS: usize = 5_000;
/// Of each instance: its fiber's stack and the guard of it.
const MAPPINGS_OF_STACK: usize = 2;
/// Of each memory: what is used of its slot, and the rest.
const MAPPINGS_OF_MEMORY: usize = 2;

/// How much room to make. The memory is only reserved; it is taken as plugins use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// How many instances may run at once.
    pub sessions: usize,
    /// Most linear memory of one instance, bytes.
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
    /// Tables of one instance. Room for all is reserved, so that none can use up another's.
    pub tables: usize,
    /// Elements in one table.
    pub table_elements: usize,
    /// Linear memories of one instance. Each takes two mappings, so an engine that allows more has room for fewer instances.
    pub memories: usize,
    /// Bytes of each memory and of each table that are cleared and kept for the next instance, instead of being given back to the
    /// system.
    pub keep_resident: usize,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            sessions: 10_000,
            memory: 64 << 20,
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
            memories: 1,
            keep_resident: 0,
        }
    }
}

impl EngineSettings {
    /// How many mappings (`vm.max_map_count`) the process needs to run all sessions.
    #[must_use]
    pub fn mappings(&self) -> usize {
        self.sessions.saturating_mul(self.mappings_each()).saturating_add(OTHER_MAPPINGS)
    }

    fn mappings_each(&self) -> usize {
        self.memories.saturating_mul(MAPPINGS_OF_MEMORY).saturating_add(MAPPINGS_OF_STACK)
    }

    /// How many sessions the kernel's limit on mappings allows.
    fn affordable(&self) -> usize {
        let limit = fs::read_to_string(MAX_MAP_COUNT).ok().and_then(|text| text.trim().parse::<usize>().ok());
        let room = |limit: usize| self.sessions.min(limit.saturating_sub(OTHER_MAPPINGS) / self.mappings_each());
        limit.map_or(self.sessions, room).max(1)
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
    undertaker: Undertaker,
    /// Who may run on after a tick, over all tenants.
    permits: Permits,
    /// What plugins have, over all tenants.
    totals: Arc<Totals>,
    /// As they were asked for, but for the sessions that there is room for.
    settings: EngineSettings,
    live: AtomicUsize,
    /// The most of them since somebody asked.
    peak: AtomicUsize,
}

/// Room for one instance; given back when dropped.
pub(crate) struct Slot {
    house: Arc<House>,
}

impl Engine {
    /// Reserves the room and starts the ticker. Fewer sessions than asked for are possible if the kernel allows fewer mappings than
    /// [`EngineSettings::mappings`]; [`capacity`](Self::capacity) says how many.
    pub fn new(settings: &EngineSettings) -> Result<Self, Error> {
        let settings = EngineSettings { sessions: settings.affordable(), ..settings.clone() };
        let engine = wasmtime::Engine::new(&config(&settings)).map_err(|error| Error::host(&error))?;
        let mut linker = Linker::new(&engine);
        host::link(&mut linker).map_err(|error| Error::host(&error))?;
        let (ticker, undertaker) = (Ticker::start(&engine)?, Undertaker::start()?);
        let permits = Permits::new(settings.workers);
        let totals = Arc::new(Totals::new(settings.files, settings.total_memory, settings.total_output));
        let (live, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let house = House { engine, linker, ticker, undertaker, permits, totals, settings, live, peak };
        Ok(Self { house: Arc::new(house) })
    }

    /// How many instances may run at once.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.house.settings.sessions
    }

    /// How many are running.
    #[must_use]
    pub fn live(&self) -> usize {
        self.house.live.load(Ordering::Relaxed)
    }

    /// The most that ran at the same time since this was asked last.
    #[must_use]
    pub fn take_peak(&self) -> usize {
        self.house.peak.swap(self.live(), Ordering::Relaxed)
    }

    /// Most linear memory of one instance, bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.house.settings.memory
    }

    /// The largest plugin, bytes of its file.
    pub(crate) fn component(&self) -> usize {
        self.house.settings.component
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.house.engine
    }

    pub(crate) fn ticker(&self) -> &Arc<Ticker> {
        &self.house.ticker
    }

    /// Where large instances are let go.
    pub(crate) fn undertaker(&self) -> &Undertaker {
        &self.house.undertaker
    }

    /// Who may run on after a tick.
    pub(crate) fn permits(&self) -> &Permits {
        &self.house.permits
    }

    /// What plugins have, over all tenants.
    pub(crate) fn totals(&self) -> &Arc<Totals> {
        &self.house.totals
    }

    /// Memory of all instances, with buffers that the host has for them, bytes.
    #[must_use]
    pub fn plugin_memory(&self) -> usize {
        self.house.totals.memory()
    }

    /// How many threads run sessions.
    pub(crate) fn workers(&self) -> usize {
        self.house.settings.workers
    }

    pub(crate) fn instantiate_pre(&self, component: &Component) -> wasmtime::Result<InstancePre<State>> {
        self.house.linker.instantiate_pre(component)
    }

    /// Takes room for one instance.
    pub(crate) fn slot(&self) -> Result<Slot, Error> {
        let capacity = self.house.settings.sessions;
        let more = |live: usize| (live < capacity).then_some(live + 1);
        let before = self.house.live.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more);
        let before = before.map_err(|_| Error::Full { capacity })?;
        self.house.peak.fetch_max(before + 1, Ordering::Relaxed);
        Ok(Slot { house: Arc::clone(&self.house) })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.house.live.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An engine that compiles and runs nothing: its code fits an [`Engine`] with instances of this much memory, but it reserves no room for any.
/// Compiles on one processor, since a server that does something else needs the others.
pub(crate) fn compiler(memory: usize) -> wasmtime::Result<wasmtime::Engine> {
    let mut config = config(&EngineSettings { sessions: 1, memory, ..EngineSettings::default() });
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand).parallel_compilation(false);
    wasmtime::Engine::new(&config)
}

fn config(settings: &EngineSettings) -> Config {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let all = |each: usize| number(settings.sessions.saturating_mul(each));
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(all(1))
        .total_core_instances(all(settings.core_instances))
        .total_memories(all(settings.memories))
        .total_tables(all(settings.tables))
        // A store keeps its stack until it is dropped.
        .total_stacks(all(1))
        .max_memory_size(settings.memory)
        .table_elements(settings.table_elements)
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
        .memory_guard_size(64 << 10)
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
