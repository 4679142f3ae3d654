//! The epoch ticker: one thread that increments the epoch while any plugin runs, and sleeps while none does. At a tick
//! a plugin that computes lets others run, and is killed if its time is used up.
//!
//! A tick comes every millisecond while there are plugins that compute, and otherwise every four: plugins that only
//! answer what comes in return long before a tick. Each tick wakes the thread, which takes about 16 us of a processor.
//! One that begins to compute then meets its first tick after 5 ms at most and the second after 5 more.
//!
//! Ticks are unpredictable, so that no plugin can run between them and never let others run: the first after a sleep
//! comes at a random moment of its millisecond, and the intervals vary slightly.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::EngineWeak;

use crate::error::Error;
use crate::supervise::{Fault, supervise_thread};

/// The interval of ticks while a plugin computes, in nanoseconds, on average.
const TICK: u64 = 1_000_000;

/// How often that interval doubles while none does.
const DOUBLINGS: u32 = 2;

/// Stack of the thread, in bytes: enough to report a panic.
const STACK: usize = 256 << 10;

/// Increments the epoch while something runs.
pub(crate) struct Ticker {
    state: Arc<Count>,
    thread: Thread,
}

/// What the thread shares with the rest.
#[derive(Default)]
struct Count {
    /// The epoch. It is incremented here a moment before the engine's: a plugin that starts in between is not charged.
    epoch: AtomicU64,
    /// How many plugins run on a processor right now.
    running: AtomicUsize,
    /// The epoch in which one was ended before its tick, plus 1.
    ended_in: AtomicU64,
    /// Something has run since the last tick.
    active: AtomicBool,
    /// The last tick has found a plugin that computes.
    computes: AtomicBool,
    /// The thread sleeps until it is woken.
    asleep: AtomicBool,
    /// The engine was dropped.
    over: AtomicBool,
    fault: Fault,
}

impl Ticker {
    pub(crate) fn start(engine: &wasmtime::Engine) -> Result<Arc<Self>, Error> {
        let state = Arc::new(Count::default());
        let (count, engine) = (Arc::clone(&state), engine.weak());
        let thread = supervise_thread("epoch", Some(STACK), move || tick(&count, &engine))
            .map_err(|error| Error::host(&error.into()))?;
        Ok(Arc::new(Self { state, thread: thread.thread().clone() }))
    }

    /// The current epoch.
    pub(crate) fn epoch(&self) -> u64 {
        self.state.epoch.load(Ordering::Acquire)
    }

    /// A tick has found a plugin that computes for so long that the next tick may find it, too.
    pub(crate) fn finds_computing(&self) {
        self.state.computes.store(true, Ordering::Relaxed);
    }

    /// Ends the epoch of all that run now, before its tick, unless that was done since the last tick: each running
    /// plugin of every tenant pays for it. Returns whether it was.
    pub(crate) fn end_epoch(&self, engine: &wasmtime::Engine) -> bool {
        let now = self.epoch() + 1;
        let ends = self.state.ended_in.fetch_max(now, Ordering::AcqRel) < now;
        if ends {
            engine.increment_epoch();
        }
        ends
    }

    /// A plugin is about to run; it runs until the returned value is dropped.
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

/// The random intervals of ticks, which a plugin cannot predict from what it observes.
struct Rhythm {
    state: u64,
    /// How often the interval has doubled.
    doublings: u32,
}

impl Rhythm {
    fn new() -> Self {
        // Zero is the one state that would never change.
        Self { state: RandomState::new().build_hasher().finish() | 1, doublings: 0 }
    }

    /// The time to the next tick. After a sleep it is any part of an interval. `computes`: the last tick has found a
    /// plugin that computes.
    fn next(&mut self, slept: bool, computes: bool) -> Duration {
        self.doublings = if slept || computes { 0 } else { (self.doublings + 1).min(DOUBLINGS) };
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let nanoseconds = if slept { self.state % TICK } else { TICK * 3 / 4 + self.state % (TICK / 2) };
        Duration::from_nanos(nanoseconds << self.doublings)
    }
}

fn tick(count: &Count, engine: &EngineWeak) {
    let mut rhythm = Rhythm::new();
    while !count.over.load(Ordering::SeqCst) {
        let idle = count.running.load(Ordering::SeqCst) == 0 && !count.active.swap(false, Ordering::Relaxed);
        if idle {
            count.asleep.store(true, Ordering::SeqCst);
            if count.running.load(Ordering::SeqCst) > 0 {
                count.asleep.store(false, Ordering::SeqCst);
            }
            while count.asleep.load(Ordering::SeqCst) && !count.over.load(Ordering::SeqCst) {
                thread::park();
            }
        }
        thread::sleep(rhythm.next(idle, count.computes.swap(false, Ordering::Relaxed)));
        let Some(engine) = engine.upgrade() else { return };
        count.fault.point();
        count.epoch.fetch_add(1, Ordering::AcqRel);
        engine.increment_epoch();
    }
}

/// Keeps the ticker awake: held exactly while a plugin is on a processor. A plugin that waits costs nothing.
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
    fn a_tick_is_a_millisecond_on_average_and_after_a_sleep_any_part_of_one() {
        let mut rhythm = Rhythm::new();
        let mut ticks = |slept, computes| (0..100_000).map(|_| rhythm.next(slept, computes)).collect::<Vec<_>>();
        let (regular, first) = (ticks(false, true), ticks(true, false));
        let mean = |ticks: &[Duration]| ticks.iter().sum::<Duration>().as_micros() / 100_000;
        assert!((990..=1010).contains(&mean(&regular)) && (490..=510).contains(&mean(&first)));
        assert!(regular.iter().all(|tick| (750..1250).contains(&tick.as_micros())));
        // Of plugins that run for nine tenths of an interval, a tick misses one in ten.
        let missed = first.iter().filter(|tick| tick.as_micros() >= 900).count();
        assert!((9_000..=11_000).contains(&missed), "{missed}");
    }

    #[test]
    fn a_ticker_that_panics_ticks_on() {
        let engine = wasmtime::Engine::default();
        let ticker = Ticker::start(&engine).unwrap();
        let running = ticker.run();
        wait_for(|| ticker.epoch() > 0);
        ticker.state.fault.inject();
        wait_for(|| ticker.state.fault.is_over());
        let before = ticker.epoch();
        wait_for(|| ticker.epoch() > before);
        // It still sleeps, and can still be woken.
        drop(running);
        wait_for(|| ticker.state.asleep.load(Ordering::SeqCst));
        let before = ticker.epoch();
        let _running = ticker.run();
        wait_for(|| ticker.epoch() > before);
    }

    #[test]
    fn ticks_come_slower_while_no_plugin_computes() {
        let mut rhythm = Rhythm::new();
        for _ in 0..1_000 {
            for (computes, longest) in [(true, 1_250), (false, 2_500), (false, 5_000), (false, 5_000), (true, 1_250)] {
                let tick = rhythm.next(false, computes).as_micros();
                assert!((longest * 3 / 5..longest).contains(&tick), "{tick} of at most {longest}");
            }
            rhythm.next(false, false);
            assert!(rhythm.next(true, false).as_micros() < 1_000);
        }
    }

    #[test]
    fn a_plugin_that_computes_is_forgotten_at_each_tick() {
        let engine = wasmtime::Engine::default();
        let ticker = Ticker::start(&engine).unwrap();
        let _running = ticker.run();
        for _ in 0..3 {
            ticker.finds_computing();
            wait_for(|| !ticker.state.computes.load(Ordering::Relaxed));
        }
    }

    #[test]
    fn an_epoch_ends_early_at_most_once_between_two_ticks() {
        let engine = wasmtime::Engine::default();
        let ticker = Ticker::start(&engine).unwrap();
        // It sleeps, and there are no ticks.
        let before = ticker.epoch();
        let ended = (0..100_000).filter(|_| ticker.end_epoch(&engine)).count();
        assert_eq!((ended, ticker.epoch()), (1, before));
        let _running = ticker.run();
        wait_for(|| ticker.epoch() > before);
        let (mut ended, begun) = (0, ticker.epoch());
        while ticker.epoch() < begun + 20 {
            ended += u64::from(ticker.end_epoch(&engine));
        }
        let ticks = ticker.epoch() - begun;
        assert!((1..=ticks + 1).contains(&ended), "{ended} in {ticks} ticks");
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
