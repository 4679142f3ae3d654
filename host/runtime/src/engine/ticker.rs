//! The clock of the epoch: one thread that counts milliseconds while any plugin runs and sleeps while none does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::EngineWeak;

use crate::error::Error;

/// One epoch.
const TICK: Duration = Duration::from_millis(1);

/// Counts epochs while something runs.
pub(crate) struct Ticker {
    state: Arc<Count>,
    thread: Thread,
}

/// What the thread and the rest share.
#[derive(Default)]
struct Count {
    /// The epoch. It is counted here a moment before the engine counts it: a plugin in between is taken for late, and not billed.
    epoch: AtomicU64,
    /// How many plugins run right now, on a processor.
    running: AtomicUsize,
    /// Something has run since the last tick.
    active: AtomicBool,
    /// The thread sleeps until it is woken.
    asleep: AtomicBool,
    /// The engine is gone.
    over: AtomicBool,
}

impl Ticker {
    pub(crate) fn start(engine: &wasmtime::Engine) -> Result<Arc<Self>, Error> {
        let state = Arc::new(Count::default());
        let (count, engine) = (Arc::clone(&state), engine.weak());
        let thread = thread::Builder::new()
            .name("epoch".to_owned())
            .stack_size(64 << 10)
            .spawn(move || tick(&count, &engine))
            .map_err(|error| Error::host(&error.into()))?;
        Ok(Arc::new(Self { state, thread: thread.thread().clone() }))
    }

    /// The epoch now.
    pub(crate) fn epoch(&self) -> u64 {
        self.state.epoch.load(Ordering::Acquire)
    }

    /// A plugin is about to run; it runs until the value is dropped.
    pub(crate) fn run(&self) -> Running<'_> {
        self.state.running.fetch_add(1, Ordering::SeqCst);
        if !self.state.active.load(Ordering::Relaxed) {
            self.state.active.store(true, Ordering::Relaxed);
        }
        if self.state.asleep.load(Ordering::SeqCst) && self.state.asleep.swap(false, Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running { ticker: self }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        self.state.asleep.store(false, Ordering::SeqCst);
        self.thread.unpark();
    }
}

fn tick(count: &Count, engine: &EngineWeak) {
    while !count.over.load(Ordering::SeqCst) {
        if count.running.load(Ordering::SeqCst) == 0 && !count.active.swap(false, Ordering::Relaxed) {
            count.asleep.store(true, Ordering::SeqCst);
            if count.running.load(Ordering::SeqCst) > 0 {
                count.asleep.store(false, Ordering::SeqCst);
            }
            while count.asleep.load(Ordering::SeqCst) && !count.over.load(Ordering::SeqCst) {
                thread::park();
            }
        }
        thread::sleep(TICK);
        let Some(engine) = engine.upgrade() else { return };
        count.epoch.fetch_add(1, Ordering::AcqRel);
        engine.increment_epoch();
    }
}

/// Keeps the ticker awake: held while a plugin is on a processor, and only then. A plugin that waits costs nothing.
pub(crate) struct Running<'t> {
    ticker: &'t Ticker,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.ticker.state.running.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_for(condition: impl Fn() -> bool) {
        while !condition() {
            thread::yield_now();
        }
    }

    #[test]
    fn the_ticker_sleeps_while_nothing_runs_and_ends_with_its_engine() {
        let engine = wasmtime::Engine::default();
        let ticker = Ticker::start(&engine).unwrap();
        let count = Arc::clone(&ticker.state);
        for _ in 0..3 {
            wait_for(|| count.asleep.load(Ordering::SeqCst));
            let running = ticker.run();
            assert!(!count.asleep.load(Ordering::SeqCst));
            // Awake as long as something runs: it counts what has run since the last tick.
            wait_for(|| !count.active.load(Ordering::SeqCst) || count.running.load(Ordering::SeqCst) == 1);
            drop(running);
        }
        drop(ticker);
        wait_for(|| Arc::strong_count(&count) == 1);
    }
}
