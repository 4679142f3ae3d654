//! Decides which compilers run at the same time, so that a plugin that takes long to compile does not delay others.
//!
//! There are two kinds of slots, the same number of each. A large file takes a slow slot; any other a quick one, for at
//! most [`QUICK`]. A compiler that is not done by then moves to a slow slot; if none is free it is ended, and starts
//! again when there is one: its lost work is less than the time that all others would wait.
//!
//! Slots of each kind go to tenants by the time that they have used: see `queue.rs`.

mod queue;

use std::pin::pin;
use std::time::Duration;

use tokio::time::sleep;

use queue::CompileQueue;

/// A file of this many bytes may take longer than [`QUICK`]: cranelift compiles about as much in a second.
const LARGE: usize = 1 << 20;
/// How long a compiler may keep a quick slot.
const QUICK: Duration = Duration::from_secs(1);

/// Slots for compilers.
#[derive(Debug)]
pub struct CompileSlots {
    quick: CompileQueue,
    slow: CompileQueue,
}

impl CompileSlots {
    /// This many of each kind.
    #[must_use]
    pub fn new(jobs: usize) -> Self {
        Self { quick: CompileQueue::new(jobs), slow: CompileQueue::new(jobs) }
    }

    /// Runs a compiler for a file of `size` bytes of a tenant when there is a slot for it. Ends a compiler by dropping
    /// its future, and may then call for another one.
    pub(crate) async fn run<F: Future>(&self, tenant: &str, size: usize, compiler: impl Fn() -> F) -> F::Output {
        if !is_large(size) {
            let quick = self.quick.acquire(tenant).await;
            let mut compiling = pin!(compiler());
            tokio::select! {
                biased;
                done = &mut compiling => return done,
                () = sleep(QUICK) => {}
            }
            if let Some(_slow) = self.slow.try_acquire(tenant) {
                drop(quick);
                return compiling.await;
            }
        }
        let _slow = self.slow.acquire(tenant).await;
        compiler().await
    }
}

/// Whether a file of this size takes a slow slot from the beginning.
#[must_use]
pub fn is_large(size: usize) -> bool {
    size >= LARGE
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::Instant;

    use super::*;

    /// When each of these compilers was done, in milliseconds after all of them were requested: name, bytes,
    /// milliseconds that it takes.
    async fn done(slots: &CompileSlots, wanted: &[(&'static str, usize, u64)]) -> Vec<(&'static str, u128)> {
        let (began, done) = (Instant::now(), RefCell::new(Vec::new()));
        let run = async |name: &'static str, size: usize, takes: u64| {
            slots.run("", size, || sleep(Duration::from_millis(takes))).await;
            done.borrow_mut().push((name, began.elapsed().as_millis()));
        };
        let mut running: Vec<_> = wanted.iter().map(|(name, size, takes)| Box::pin(run(name, *size, *takes))).collect();
        std::future::poll_fn(|context| {
            running.retain_mut(|run| run.as_mut().poll(context).is_pending());
            if running.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        done.take()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_compiler_delays_no_quick_one() {
        let slots = CompileSlots::new(1);
        for size in [18 << 20, 1_000] {
            let order = done(&slots, &[("slow", size, 14_000), ("a", 1_000, 300), ("b", 1_000, 300)]).await;
            let held_up = if is_large(size) { 0 } else { QUICK.as_millis() };
            assert_eq!(order, [("a", held_up + 300), ("b", held_up + 600), ("slow", 14_000)]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slow_compilers_wait_only_for_each_other() {
        let slots = CompileSlots::new(1);
        let wanted =
            [("large", 18 << 20, 14_000), ("small", 1_000, 3_000), ("small too", 1_000, 3_000), ("quick", 1_000, 300)];
        let order = done(&slots, &wanted).await;
        assert_eq!(order, [("quick", 2_300), ("large", 14_000), ("small", 17_000), ("small too", 20_000)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_compile_job_leaves_its_slot() {
        let slots = CompileSlots::new(1);
        let cancelled = slots.run("", 18 << 20, std::future::pending::<()>);
        assert!(tokio::time::timeout(Duration::from_secs(5), cancelled).await.is_err());
        assert_eq!(done(&slots, &[("next", 18 << 20, 14_000)]).await, [("next", 14_000)]);
    }
}
