//! What a session has used, counted while it runs, and what it is charged for: the processor time of its instances
//! and of what the host does for them elsewhere.

mod thread_clock;

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::budget::Budget;
use crate::limits::rate::TokenBucket;
use crate::limits::{Limits, ticks};
pub(crate) use thread_clock::{Moment, thread_time};

/// Processor time of all guests of this process since its start, nanoseconds.
static ALL_GUESTS: AtomicU64 = AtomicU64::new(0);

/// Processor time of all guests since the start of the process: of their instances, of making and dropping them, and of
/// what the host does for them elsewhere.
#[must_use]
pub fn guest_cpu() -> Duration {
    Duration::from_nanos(ALL_GUESTS.load(Ordering::Relaxed))
}

/// What the instances of a session have used so far. Counted while they run, so that it is known however they end.
#[derive(Debug)]
pub(crate) struct SessionUsage {
    /// Processor time, nanoseconds.
    cpu: AtomicU64,
    /// What the session may use in the long run, in microseconds of processor time. One for all its instances.
    bucket: TokenBucket,
    /// Linear memory of all its instances now, bytes.
    memory: AtomicUsize,
    peak_memory: AtomicUsize,
    /// The tenant that all of it counts for as well, if one is charged.
    tenant: Option<Arc<Budget>>,
}

impl SessionUsage {
    /// Of a session with these limits that has used nothing yet.
    pub(crate) fn new(limits: &Limits) -> Self {
        let microseconds = |time| u64::from(ticks(time)) * 1_000;
        let (share, burst) = (microseconds(limits.cpu_share), microseconds(limits.cpu_burst));
        Self {
            cpu: AtomicU64::new(0),
            bucket: TokenBucket::new(share, burst, Instant::now()),
            memory: AtomicUsize::new(0),
            peak_memory: AtomicUsize::new(0),
            tenant: None,
        }
    }

    /// The same, whose processor time also counts for the tenant with this budget.
    pub(crate) fn of_tenant(self, budget: &Arc<Budget>) -> Self {
        Self { tenant: Some(Arc::clone(budget)), ..self }
    }

    /// Processor time, in ticks of 1 ms.
    pub(crate) fn ticks(&self) -> u64 {
        self.cpu.load(Ordering::Relaxed) / 1_000_000
    }

    /// The most linear memory at one time, bytes.
    pub(crate) fn peak_memory(&self) -> usize {
        self.peak_memory.load(Ordering::Relaxed)
    }

    /// Linear memory of all its instances now, bytes.
    pub(crate) fn memory(&self) -> usize {
        self.memory.load(Ordering::Relaxed)
    }

    /// So much linear memory at once.
    fn had_memory(&self, bytes: usize) {
        self.peak_memory.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Charges processor time, whether it is left or not: what is owed is waited for before the next call runs.
    fn charge(&self, time: Duration, now: Instant) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let before = self.cpu.fetch_add(time, Ordering::Relaxed);
        ALL_GUESTS.fetch_add(time, Ordering::Relaxed);
        if let Some(tenant) = &self.tenant {
            tenant.cpu.fetch_add(time, Ordering::Relaxed);
        }
        // Parts of a microsecond add up.
        let units = before.saturating_add(time) / 1_000 - before / 1_000;
        self.bucket.fill(now);
        self.bucket.take(units);
    }

    /// Until when the session has to wait for processor time; none if it has some.
    fn wait_until(&self) -> Option<Instant> {
        if self.bucket.looks_empty() { self.bucket.empty_until(Instant::now()) } else { None }
    }
}

#[cfg(test)]
impl Default for SessionUsage {
    fn default() -> Self {
        Self::new(&Limits::default())
    }
}

#[cfg(test)]
impl SessionUsage {
    fn bounded(share: u64, burst: u64) -> Self {
        let (cpu_share, cpu_burst) = (Duration::from_millis(share), Duration::from_millis(burst));
        Self::new(&Limits { cpu_share, cpu_burst, ..Limits::default() })
    }
}

#[cfg(test)]
impl ProcessUsage {
    /// Of a session that may use `share` ms of processor time in each second, and `burst` ms without a pause.
    pub(crate) fn bounded(share: u64, burst: u64) -> Self {
        Self::of(&Arc::new(SessionUsage::bounded(share, burst)))
    }
}

#[cfg(test)]
impl Default for ProcessUsage {
    fn default() -> Self {
        Self::of(&Arc::default())
    }
}

/// What one process has used so far; all of it counts for its session as well.
#[derive(Debug)]
pub(crate) struct ProcessUsage {
    session: Arc<SessionUsage>,
    /// Processor time, nanoseconds.
    cpu: AtomicU64,
    peak_memory: AtomicUsize,
}

impl ProcessUsage {
    /// Of a process of this session that has used nothing yet.
    pub(crate) fn of(session: &Arc<SessionUsage>) -> Self {
        Self { session: Arc::clone(session), cpu: AtomicU64::new(0), peak_memory: AtomicUsize::new(0) }
    }

    /// Processor time, in ticks of 1 ms.
    pub(crate) fn ticks(&self) -> u64 {
        self.cpu.load(Ordering::Relaxed) / 1_000_000
    }

    /// The most linear memory at one time, bytes.
    pub(crate) fn peak_memory(&self) -> usize {
        self.peak_memory.load(Ordering::Relaxed)
    }

    /// So much linear memory at once.
    pub(crate) fn had_memory(&self, bytes: usize) {
        self.peak_memory.fetch_max(bytes, Ordering::Relaxed);
        self.session.had_memory(bytes);
    }

    /// An instance has taken so much more linear memory.
    pub(crate) fn add_memory(&self, bytes: usize) {
        self.session.memory.fetch_add(bytes, Ordering::Relaxed);
    }

    /// An instance that had so much linear memory is gone.
    pub(crate) fn give_memory(&self, bytes: usize) {
        self.session.memory.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Charges processor time, whether the session has some left or not.
    pub(crate) fn charge(&self, time: Duration, now: Instant) {
        self.cpu.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.session.charge(time, now);
    }

    /// Until when the session has to wait for processor time; none if it has some.
    pub(crate) fn wait_until(&self) -> Option<Instant> {
        self.session.wait_until()
    }

    /// Processor time of all the session's processes, in ticks of 1 ms.
    pub(crate) fn session_ticks(&self) -> u64 {
        self.session.ticks()
    }

    /// Forgives what the session owes beyond this much processor time.
    pub(crate) fn limit_debt(&self, time: Duration) {
        self.session.bucket.limit_debt(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Charges what the calling thread uses until the value is dropped.
    pub(crate) fn working(&self) -> Working<'_> {
        Working { usage: self, since: Moment::now(), _thread: PhantomData }
    }
}

/// The processor time of one thread is being charged.
pub(crate) struct Working<'u> {
    usage: &'u ProcessUsage,
    since: Moment,
    /// It has to be dropped on the thread that it measures.
    _thread: PhantomData<*const ()>,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.usage.charge(Duration::from_nanos(self.since.elapsed()), Instant::now());
    }
}

/// A future that works for a session in a task of its own: each poll is charged.
pub(crate) struct Charged<F> {
    future: Pin<Box<F>>,
    usage: Arc<ProcessUsage>,
}

impl<F> Charged<F> {
    pub(crate) fn new(future: F, usage: Arc<ProcessUsage>) -> Self {
        Self { future: Box::pin(future), usage }
    }
}

impl<F: Future> Future for Charged<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let _working = this.usage.working();
        this.future.as_mut().poll(context)
    }
}

/// Something of a session whose dropping is charged to it, wherever that happens.
pub(crate) struct ChargedDrop<T> {
    value: Option<T>,
    usage: Arc<ProcessUsage>,
}

impl<T> ChargedDrop<T> {
    pub(crate) fn new(value: T, usage: Arc<ProcessUsage>) -> Self {
        Self { value: Some(value), usage }
    }
}

impl<T> Drop for ChargedDrop<T> {
    fn drop(&mut self) {
        let _working = self.usage.working();
        drop(self.value.take());
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::thread;

    use super::*;

    fn work(time: Duration) {
        let start = thread_time();
        while thread_time() - start < time {
            (0..1_000).for_each(|round| {
                black_box(round);
            });
        }
    }

    #[test]
    fn work_on_another_thread_is_charged_by_its_processor_time_and_owed() {
        let usage = Arc::new(ProcessUsage::bounded(250, 10));
        let other = Arc::clone(&usage);
        thread::spawn(move || {
            let _working = other.working();
            work(Duration::from_millis(30));
        })
        .join()
        .unwrap();
        assert!((30..35).contains(&usage.ticks()), "{}", usage.ticks());
        // 20 ms are owed, at a quarter of a processor.
        let owed = usage.wait_until().unwrap() - Instant::now();
        assert!(owed > Duration::from_millis(40) && owed < Duration::from_millis(100), "{owed:?}");
    }

    #[test]
    fn parts_of_a_microsecond_add_up() {
        let (usage, now) = (SessionUsage::bounded(1, 1), Instant::now());
        (0..999_999).for_each(|_| usage.charge(Duration::from_nanos(1), now));
        assert!(!usage.bucket.looks_empty() && usage.ticks() == 0);
        usage.charge(Duration::from_nanos(1), now);
        assert!(usage.bucket.looks_empty() && usage.ticks() == 1);
    }

    #[test]
    fn waiting_costs_nothing_and_what_is_dropped_elsewhere_is_charged() {
        struct Heavy;
        impl Drop for Heavy {
            fn drop(&mut self) {
                work(Duration::from_millis(5));
            }
        }
        let usage = Arc::new(ProcessUsage::default());
        let heavy = ChargedDrop::new(Heavy, Arc::clone(&usage));
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let waiting = thread::spawn({
            let usage = Arc::clone(&usage);
            move || {
                let _working = usage.working();
                wait.recv()
            }
        });
        thread::spawn(move || drop(heavy)).join().unwrap();
        drop(done);
        let _ = waiting.join();
        assert!((5..10).contains(&usage.ticks()), "{}", usage.ticks());
    }

    #[tokio::test]
    async fn each_poll_of_a_task_is_charged_and_its_waiting_is_not() {
        let usage = Arc::new(ProcessUsage::default());
        let task = async {
            for _ in 0..3 {
                work(Duration::from_millis(2));
                tokio::task::yield_now().await;
            }
        };
        let other = async {
            work(Duration::from_millis(50));
        };
        tokio::join!(Charged::new(task, Arc::clone(&usage)), other);
        assert!((6..12).contains(&usage.ticks()), "{}", usage.ticks());
    }

    #[test]
    fn what_a_process_uses_is_its_own_and_its_sessions() {
        let all_before = guest_cpu();
        let session = Arc::new(SessionUsage::default());
        let [first, second] = [(); 2].map(|()| ProcessUsage::of(&session));
        first.charge(Duration::from_millis(3), Instant::now());
        first.had_memory(100);
        second.charge(Duration::from_millis(4), Instant::now());
        second.had_memory(70);
        assert_eq!((first.ticks(), first.peak_memory()), (3, 100));
        assert_eq!((second.ticks(), second.peak_memory()), (4, 70));
        assert_eq!((session.ticks(), session.peak_memory()), (7, 100));
        // Other tests of this process add to it.
        assert!(guest_cpu() - all_before >= Duration::from_millis(7));
    }
}
