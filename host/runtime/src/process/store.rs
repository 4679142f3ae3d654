//! How a store is made and dropped.

use std::sync::{Arc, Mutex};

use tokio::sync::oneshot::Receiver;
use wasmtime::{Store, UpdateDeadline};

use crate::channel::Shared;
use crate::engine::{Engine, Purpose, Slot, Ticker};
use crate::error::Error;
use crate::grants::{OpenCount, Temporary};
use crate::host::{
    Channel, Charges, HandOverCheck, LogBook, SessionTopics, Spawner, Spawning, State, Terminal, Timers,
};
use crate::limits::count;
use crate::limits::memory::Memory;
use crate::limits::meter::{Meter, Tick};
use crate::limits::usage::{ChargedDrop, ProcessUsage};
use crate::plugin::Plugin;
use crate::posix::ProcessLimits;
use crate::posix::process::ProcessEntry;
use crate::session_types::Facts;
use crate::tenant::Tenant;

/// A store with at least this much memory, in bytes, is dropped by the reaper and not on a worker.
const LARGE: usize = 4 << 20;

/// What a process belongs to and communicates with.
pub(crate) struct ProcessContext<'a> {
    pub(crate) tenant: &'a Arc<Tenant>,
    pub(crate) facts: &'a Facts,
    pub(crate) pipes: &'a Arc<Shared>,
    pub(crate) hand_over_check: &'a HandOverCheck,
    /// Of which places the instance takes one.
    pub(crate) purpose: Purpose,
    /// Counts its resource usage.
    pub(crate) usage: &'a Arc<ProcessUsage>,
    /// The `/tmp` of its session.
    pub(crate) temporary: &'a Arc<Temporary>,
    /// Counts the open files of its session.
    pub(crate) session_files: &'a Arc<OpenCount>,
    /// What it has of its session beside that, if it is a program of one.
    pub(crate) process: Option<&'a ProgramContext>,
}

/// What a program has of its session beside its channel.
pub(crate) struct ProgramContext {
    /// What it is in the process table.
    pub(crate) entry: Arc<ProcessEntry>,
    /// What starts its children.
    pub(crate) spawner: Arc<dyn Spawner>,
    pub(crate) limits: ProcessLimits,
    /// That of the session.
    pub(crate) terminal: Arc<Mutex<Terminal>>,
}

/// The store of one process, and its slot in the engine's pool, which is freed only after the store is dropped.
pub(super) struct ProcessStore {
    /// `None` once it is dropped.
    whole: Option<(Store<State>, Slot)>,
    engine: Engine,
}

/// Makes the store of one process, and the meter of its processor time. The engine provides the slot and the totals of
/// the server, the tenant its limits, grants and budget; imports use the state.
///
/// # Errors
/// [`Error::Full`] when the engine has no room.
pub(super) fn make(plugin: &Plugin, context: &ProcessContext<'_>) -> Result<(ProcessStore, Arc<Meter>), Error> {
    let ProcessContext { tenant, facts, pipes, hand_over_check, purpose, usage, temporary, session_files, process } =
        *context;
    let (engine, limits, budget) = (plugin.engine(), tenant.limits(), tenant.budget());
    let totals = engine.totals();
    // The slot in the pool, held until the store is dropped.
    let slot = engine.slot(purpose, plugin.memories_and_tables(), budget)?;
    // The log and the charges of the imports.
    let log = Arc::new(LogBook::new(plugin.shared_name(), facts, Arc::clone(tenant)));
    let charges = Charges::new(&log, totals, usage);
    let is_program = plugin.world().is_program();
    let entry = process.map(|process| Arc::clone(&process.entry));
    let entry = is_program.then(|| entry.unwrap_or_else(|| Arc::new(ProcessEntry::alone())));
    let own = process.and_then(|process| process.limits.memory).unwrap_or(usize::MAX);
    let memory = if is_program { limits.memory_program.min(engine.memory_slot()).min(own) } else { limits.memory };
    // The state of the imports, one part for each family of them. Grants are checked when an import is used.
    let state = State {
        channel: Channel::new(pipes, facts, hand_over_check, &charges, entry.clone()),
        terminal: process.map_or_else(Arc::default, |process| Arc::clone(&process.terminal)),
        facts: facts.clone(),
        control: None,
        process: entry.clone(),
        timers: Timers::new(limits),
        topics: SessionTopics::new(tenant),
        wasi: None,
        memory: Memory::new(memory, limits, Arc::clone(budget), Arc::clone(totals), Arc::clone(usage)),
        charges,
        log,
        tenant: Arc::clone(tenant),
        temporary: Arc::clone(temporary),
        session_files: Arc::clone(session_files),
        files: Arc::default(),
        io: None,
        spawning: process.map(|process| {
            let (spawner, limits) = (Arc::clone(&process.spawner), process.limits);
            Box::new(Spawning { spawner, limits, replacement: Mutex::new(None) })
        }),
    };
    // The limits that wasmtime itself enforces: memory and tables, bytes of one call, handles.
    let mut store = Store::new(engine.wasmtime(), state);
    store.limiter(|state| state);
    store.set_hostcall_fuel(limits.call_data);
    store.set_max_component_handles(count(limits.resources));
    // Processor time: at each tick of the epoch the meter decides whether the guest goes on.
    let meter = Arc::new(Meter::new(Arc::clone(usage), is_program && !limits.cpu_hard));
    let (counted, ticker) = (Arc::clone(&meter), Arc::clone(engine.ticker()));
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |mut store| {
        if is_program {
            // Its one call lasts as long as it does: here charges end of what it has dropped since the last tick.
            store.data_mut().tidy();
        }
        let tick = tick(&counted, &ticker);
        let stopped = entry.as_ref().filter(|process| process.is_stopped());
        Ok(match (tick, stopped) {
            (Tick::Spent, _) => UpdateDeadline::Interrupt,
            // Stopped: it waits here, with all run permits released.
            (Tick::Free | Tick::Yield, Some(process)) => {
                let process = Arc::clone(process);
                UpdateDeadline::YieldCustom(1, Box::pin(async move { process.pass().await }))
            }
            (Tick::Free, None) => UpdateDeadline::Continue(1),
            // `yield_now` also lets tokio poll the network; waking our own task would not. The run permits are released
            // meanwhile.
            (Tick::Yield, None) => UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())),
        })
    });
    Ok((ProcessStore { whole: Some((store, slot)), engine: engine.clone() }, meter))
}

/// What a call does at this tick. The ticker is told if it computes.
fn tick(meter: &Meter, ticker: &Ticker) -> Tick {
    let tick = meter.tick(ticker.epoch());
    // What it did until an earlier tick says nothing of this one.
    if !matches!(tick, Tick::Free) && meter.computes() {
        ticker.finds_computing();
    }
    tick
}

impl ProcessStore {
    pub(super) fn get(&mut self) -> &mut Store<State> {
        let (store, _) = self.whole.as_mut().expect("only `reap` and the drop take it, and both have the whole");
        store
    }

    /// Drops the store, by the reaper if it is large. Its slot and its memory are free when this returns.
    pub(super) async fn reap(mut self) {
        if let Some(gone) = self.begin_drop() {
            // An error means that the reaper has ended: the store is gone in any case.
            let _ = gone.await;
        }
    }

    /// Gives a large store to the reaper and drops a small one here.
    fn begin_drop(&mut self) -> Option<Receiver<()>> {
        let mut whole = self.whole.take()?;
        let state = whole.0.data_mut();
        let (is_large, tenant) = (state.memory.peak() >= LARGE, Arc::as_ptr(state.budget()).addr());
        let usage = Arc::clone(state.charges.usage());
        let whole = ChargedDrop::new(whole, usage);
        is_large.then(|| self.engine.reaper().take(tenant, Box::new(whole)))
    }
}

impl Drop for ProcessStore {
    fn drop(&mut self) {
        // Without waiting: a session was cut off, or instantiation failed.
        drop(self.begin_drop());
    }
}
