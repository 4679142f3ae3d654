//! The queue of compile jobs: fair by time used.
//!
//! Each tenant is charged the wall-clock time of its compile jobs. A free slot goes to the waiting tenant that has used
//! least, so one that keeps the compiler busy waits behind one that compiles now and then. Usage decays with a
//! half-life of [`HALF_LIFE`], so a large deployment yesterday costs nothing today, and a busy tenant still gets what
//! others leave.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

/// The half-life of a tenant's usage.
const HALF_LIFE: Duration = Duration::from_secs(60);
/// Usage below this, in seconds, is forgotten: so the queue remembers only tenants that compiled recently.
const FORGOTTEN: f64 = 0.001;

/// Slots for compile jobs and the queue for them. A clone shares the queue.
#[derive(Debug, Clone)]
pub(super) struct CompileQueue {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Free slots.
    free: usize,
    /// In the order of their arrival.
    waiting: Vec<Waiter>,
    used: HashMap<Arc<str>, Used>,
}

#[derive(Debug)]
struct Waiter {
    tenant: Arc<str>,
    /// Closed when the waiting side was dropped.
    grant: oneshot::Sender<CompileSlot>,
}

/// The usage of a tenant.
#[derive(Debug, Clone, Copy)]
struct Used {
    /// Seconds, as of `at`.
    seconds: f64,
    at: Instant,
    /// Jobs that are running now. Their time counts as it passes.
    running: u32,
}

/// The right to run one compiler, until it is dropped.
#[derive(Debug)]
pub(super) struct CompileSlot {
    queue: CompileQueue,
    tenant: Arc<str>,
}

impl CompileQueue {
    /// A queue for this many jobs at the same time, at least one.
    pub(super) fn new(jobs: usize) -> Self {
        let state = State { free: jobs.max(1), waiting: Vec::new(), used: HashMap::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Waits for a slot. Cancel safe: dropping the future leaves the queue.
    pub(super) async fn acquire(&self, tenant: &str) -> CompileSlot {
        let (grant, granted) = oneshot::channel();
        {
            let mut state = self.lock();
            // Entries whose waiting side was dropped.
            state.waiting.retain(|waiter| !waiter.grant.is_closed());
            state.waiting.push(Waiter { tenant: tenant.into(), grant });
        }
        self.hand_out();
        granted.await.expect("a waiter is removed only with its slot or after its receiver is gone")
    }

    /// Takes a slot if one is free. Then nobody waits for it.
    pub(super) fn try_acquire(&self, tenant: &str) -> Option<CompileSlot> {
        let tenant: Arc<str> = tenant.into();
        if !self.lock().take(&tenant, Instant::now()) {
            return None;
        }
        Some(CompileSlot { queue: self.clone(), tenant })
    }

    /// Hands the free slots to those who wait.
    fn hand_out(&self) {
        loop {
            let Some(next) = self.lock().take_next(Instant::now()) else { return };
            let slot = CompileSlot { queue: self.clone(), tenant: next.tenant };
            // A slot whose receiver is gone comes back here, and is dropped outside the lock: the next gets it.
            drop(next.grant.send(slot));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a slot for the next one: the waiting tenant with the least usage; among equals, the one that came first.
    fn take_next(&mut self, now: Instant) -> Option<Waiter> {
        self.waiting.retain(|waiter| !waiter.grant.is_closed());
        if self.free == 0 {
            return None;
        }
        let used = |waiter: &Waiter| self.used.get(&waiter.tenant).map_or(0.0, |used| used.until(now).seconds);
        let (at, _) = self.waiting.iter().map(used).enumerate().min_by(|(_, one), (_, other)| one.total_cmp(other))?;
        let waiter = self.waiting.remove(at);
        self.take(&waiter.tenant, now).then_some(waiter)
    }

    /// Takes a slot for a tenant. False: none is free.
    fn take(&mut self, tenant: &Arc<str>, now: Instant) -> bool {
        let Some(free) = self.free.checked_sub(1) else { return false };
        self.free = free;
        let used = self.used.entry(Arc::clone(tenant)).or_insert(Used { seconds: 0.0, at: now, running: 0 });
        *used = Used { running: used.running + 1, ..used.until(now) };
        true
    }

    fn give_back(&mut self, tenant: &Arc<str>, now: Instant) {
        self.free += 1;
        if let Some(used) = self.used.get_mut(tenant) {
            let until = used.until(now);
            *used = Used { running: used.running.saturating_sub(1), ..until };
        }
        self.used.retain(|_, used| used.running > 0 || used.until(now).seconds > FORGOTTEN);
    }
}

impl Used {
    /// The usage at a later time.
    fn until(self, now: Instant) -> Self {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        let kept = 0.5_f64.powf(passed / HALF_LIFE.as_secs_f64());
        Self { seconds: self.seconds * kept + passed * f64::from(self.running), at: now, ..self }
    }
}

impl Drop for CompileSlot {
    fn drop(&mut self) {
        self.queue.lock().give_back(&self.tenant, Instant::now());
        self.queue.hand_out();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::time::advance;

    use super::*;

    /// Uses a slot for this long.
    async fn compile(queue: &CompileQueue, tenant: &str, seconds: u64) {
        let slot = queue.acquire(tenant).await;
        advance(Duration::from_secs(seconds)).await;
        drop(slot);
    }

    /// Who gets the only slot, in what order, when all of them wait for it.
    async fn order(queue: &CompileQueue, tenants: &[&'static str]) -> Vec<&'static str> {
        let held = queue.acquire("somebody else").await;
        let (done, mut finished) = tokio::sync::mpsc::unbounded_channel();
        for tenant in tenants.iter().copied() {
            let (queue, done) = (queue.clone(), done.clone());
            tokio::spawn(async move {
                let slot = queue.acquire(tenant).await;
                done.send(tenant).unwrap();
                drop(slot);
            });
            tokio::task::yield_now().await;
        }
        drop((held, done));
        let mut order = Vec::new();
        while let Some(tenant) = finished.recv().await {
            order.push(tenant);
        }
        order
    }

    #[tokio::test(start_paused = true)]
    async fn the_tenant_with_least_usage_is_next_and_among_equals_the_first() {
        let queue = CompileQueue::new(1);
        assert_eq!(order(&queue, &["acme", "bolt"]).await, ["acme", "bolt"]);
        compile(&queue, "acme", 12).await;
        compile(&queue, "bolt", 1).await;
        let waiting = ["acme", "acme", "bolt", "new"];
        assert_eq!(order(&queue, &waiting).await, ["new", "bolt", "acme", "acme"]);
    }

    #[tokio::test(start_paused = true)]
    async fn usage_decays_with_time() {
        let queue = CompileQueue::new(1);
        compile(&queue, "acme", 60).await;
        advance(HALF_LIFE * 6).await;
        // Less than a second of the minute is left.
        compile(&queue, "bolt", 2).await;
        assert_eq!(order(&queue, &["bolt", "acme"]).await, ["acme", "bolt"]);
        advance(HALF_LIFE * 20).await;
        compile(&queue, "bolt", 0).await;
        assert!(queue.lock().used.is_empty(), "tenants that compile nothing are remembered");
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_still_runs_counts() {
        let queue = CompileQueue::new(2);
        compile(&queue, "bolt", 5).await;
        let (running, other) = (queue.acquire("acme").await, queue.acquire("other").await);
        advance(Duration::from_secs(10)).await;
        let (mut acme, mut bolt) = (pin!(queue.acquire("acme")), pin!(queue.acquire("bolt")));
        assert!(futures_are_pending(&mut acme, &mut bolt).await);
        drop(other);
        let first = tokio::select! {
            biased;
            _ = &mut acme => "acme",
            _ = &mut bolt => "bolt",
        };
        assert_eq!(first, "bolt");
        drop(running);
    }

    /// Polls both once.
    async fn futures_are_pending(
        one: &mut (impl Future<Output = CompileSlot> + Unpin),
        other: &mut (impl Future<Output = CompileSlot> + Unpin),
    ) -> bool {
        tokio::select! {
            biased;
            _ = one => false,
            _ = other => false,
            () = std::future::ready(()) => true,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_wait_leaves_the_queue() {
        let queue = CompileQueue::new(1);
        let held = queue.acquire("acme").await;
        for _ in 0..1000 {
            let waiting = queue.acquire("acme");
            tokio::select! { biased; _ = waiting => panic!("there is one slot"), () = std::future::ready(()) => {} }
        }
        assert!(queue.lock().waiting.len() <= 1, "places are kept for those who have gone");
        // One that was given the slot, and is dropped without having received it.
        let mut waiting = Box::pin(queue.acquire("bolt"));
        tokio::select! { biased; _ = &mut waiting => panic!("there is one slot"), () = std::future::ready(()) => {} }
        drop(held);
        drop(waiting);
        assert_eq!(queue.lock().free, 1);
        drop(queue.acquire("acme").await);
    }
}
