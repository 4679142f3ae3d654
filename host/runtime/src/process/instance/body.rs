//! What an instance has of the machine, store and room, and how it lets go of both.

use std::sync::Arc;

use tokio::sync::oneshot::Receiver;
use wasmtime::Store;

use crate::engine::{Engine, Slot};
use crate::host::State;
use crate::limits::usage::ChargedDrop;

/// An instance that had so much memory is not let go on a worker, bytes.
const LARGE: usize = 4 << 20;

/// The store of one instance, and the room that it takes: free only when the store is gone. However it is dropped, a large one is the
/// reaper's.
pub(super) struct Body {
    /// None once it has been let go.
    whole: Option<(Store<State>, Slot)>,
    engine: Engine,
}

impl Body {
    pub(super) fn new(engine: &Engine, slot: Slot, state: State) -> Self {
        Self { whole: Some((Store::new(engine.wasmtime(), state), slot)), engine: engine.clone() }
    }

    pub(super) fn store(&mut self) -> &mut Store<State> {
        let (store, _) = self.whole.as_mut().expect("it is let go by those who have it whole");
        store
    }

    /// Lets it go, where that keeps nobody else waiting. Its room and its memory are free when this comes back.
    pub(super) async fn reap(mut self) {
        if let Some(gone) = self.let_go() {
            // It is gone in any case.
            let _ = gone.await;
        }
    }

    /// Gives what is still there to the reaper, or drops it where it is small.
    fn let_go(&mut self) -> Option<Receiver<()>> {
        let mut whole = self.whole.take()?;
        let state = whole.0.data_mut();
        let (is_large, tenant) = (state.memory().peak() >= LARGE, Arc::as_ptr(state.budget()).addr());
        let usage = Arc::clone(state.usage());
        let whole = ChargedDrop::new(whole, usage);
        is_large.then(|| self.engine.reaper().take(tenant, Box::new(whole)))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // Nobody waits for it here: a session that is cut off, an instance that could not be made, a trial.
        drop(self.let_go());
    }
}
