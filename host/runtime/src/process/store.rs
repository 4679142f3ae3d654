//! How a store is made, and how it is dropped.

use std::sync::Arc;

use tokio::sync::oneshot::Receiver;
use wasmtime::{Store, UpdateDeadline};

use crate::channel::Shared;
use crate::channel_event::Facts;
use crate::engine::{Engine, Slot};
use crate::error::Error;
use crate::host::{Channel, Charges, HandOverCheck, LogBook, State, Terminal, Timers, Topics};
use crate::limits::count;
use crate::limits::memory::Memory;
use crate::limits::meter::{Meter, Tick};
use crate::limits::usage::{ChargedDrop, ProcessUsage};
use crate::plugin::Plugin;
use crate::tenant::Tenant;

/// A store that had this much memory, in bytes, is dropped by the reaper and not on a worker.
const LARGE: usize = 4 << 20;

/// Whose process it is, and whom it speaks with.
pub(crate) struct ProcessContext<'a> {
    pub(crate) tenant: &'a Arc<Tenant>,
    pub(crate) facts: &'a Facts,
    pub(crate) pipes: &'a Arc<Shared>,
    pub(crate) hand_over_check: &'a HandOverCheck,
    /// What it uses is counted here.
    pub(crate) usage: &'a Arc<ProcessUsage>,
}

/// The store of one process, and its slot in the engine's pool, which is free only when the store is gone.
pub(super) struct ProcessStore {
    /// None once it is dropped.
    whole: Option<(Store<State>, Slot)>,
    engine: Engine,
}

/// Makes the store of one process, and the meter of its processor time. From the engine come the room and the totals of
/// the server, from the tenant limits, grants and budget; the linker's imports see the state.
///
/// # Errors
/// [`Error::Full`] where the engine has no room.
pub(super) fn make(plugin: &Plugin, context: &ProcessContext<'_>) -> Result<(ProcessStore, Arc<Meter>), Error> {
    let ProcessContext { tenant, facts, pipes, hand_over_check, usage } = *context;
    let (engine, limits, budget) = (plugin.engine(), tenant.limits(), tenant.budget());
    let totals = engine.totals();
    // Room in the pool. It is the store's until the store is gone.
    let slot = engine.slot(plugin.memories())?;
    // Who is told and who is charged for what the imports do.
    let log = Arc::new(LogBook::new(plugin.shared_name(), facts, Arc::clone(tenant)));
    let charges = Charges::new(&log, totals, usage);
    // What the imports see, a part for each family of them. Grants are looked at when an import is used.
    let state = State {
        channel: Channel::new(pipes, facts, hand_over_check, &charges),
        terminal: Terminal::default(),
        facts: facts.clone(),
        timers: Timers::new(limits),
        topics: Topics::new(tenant),
        wasi: None,
        memory: Memory::new(limits, Arc::clone(budget), Arc::clone(totals), Arc::clone(usage)),
        charges,
        log,
        tenant: Arc::clone(tenant),
    };
    // What wasmtime itself holds it to: memory and tables, bytes that one call hands to the host, handles.
    let mut store = Store::new(engine.wasmtime(), state);
    store.limiter(|state| state);
    store.set_hostcall_fuel(limits.call_data);
    store.set_max_component_handles(count(limits.resources));
    // Processor time: at each tick of the epoch the meter says whether it goes on.
    let meter = Arc::new(Meter::new(Arc::clone(usage)));
    let (counted, ticker) = (Arc::clone(&meter), Arc::clone(engine.ticker()));
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| {
        Ok(match counted.tick(ticker.epoch()) {
            Tick::Free => UpdateDeadline::Continue(1),
            // tokio's own: it lets the network be looked at too, which waking oneself would not. The permits go back
            // meanwhile, as they do whenever the call waits.
            Tick::Yield => UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())),
            Tick::Spent => UpdateDeadline::Interrupt,
        })
    });
    Ok((ProcessStore { whole: Some((store, slot)), engine: engine.clone() }, meter))
}

impl ProcessStore {
    pub(super) fn get(&mut self) -> &mut Store<State> {
        let (store, _) = self.whole.as_mut().expect("only `reap` and the drop take it, and both have the whole");
        store
    }

    /// Drops the store, off the workers if it is large. Its slot and its memory are free when this returns.
    pub(super) async fn reap(mut self) {
        if let Some(gone) = self.let_go() {
            // An error means that the reaper has ended: the store is gone in any case.
            let _ = gone.await;
        }
    }

    /// Gives a large store to the reaper and drops a small one here.
    fn let_go(&mut self) -> Option<Receiver<()>> {
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
        // Without waiting: a session was cut off, or an instance could not be made.
        drop(self.let_go());
    }
}
