//! Processor time: the budget of one call, and the long-term share of a session.
//!
//! Decided 2026-11-21: a call is killed when it has used up its own budget; the bucket of its session only makes it
//! wait. With the defaults both are a second, so a loop in a session that was quiet is killed after a second of
//! processor time, which is a second by the clock. In a session with an empty bucket the same loop gets its second at
//! the rate of its share, in four seconds, and is killed then: it never has more of a processor than others like it.
//! Killing when the bucket is empty would punish legitimate work that comes in pieces.
//!
//! Decided 2026-11-29: for a program the bucket is a *weight*. Its run may be long, and a processor that nobody else
//! wants would be idle: so it waits only while a guest of another tenant wants that processor, and what it used while
//! nobody did is not held against it later (`DEBT`). With `cpu_hard` the bucket is a wall for programs, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::usage::{Moment, ProcessUsage};

/// One tick, in nanoseconds.
const TICK: u64 = 1_000_000;

/// So much at once is charged to the session, its tenant and the totals, in nanoseconds; less waits for more, up to the
/// end of the process.
const CHARGE: u64 = 100_000;

/// The most that a process with a weight owes, and so the longest that it waits at once, by its share: four ticks.
const DEBT: Duration = Duration::from_millis(4);

/// What the epoch's callback does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tick {
    /// Go on: the plugin has just resumed after waiting, and the tick is not charged.
    Free,
    /// Let other tasks run, then go on.
    Yield,
    /// The budget is used up.
    Spent,
}

/// Measures the processor time of calls. Only the session's task uses it; it is shared because one half of that task is
/// inside wasmtime.
///
/// A call is charged for the time in which it is polled, in its own code or in the host's on its behalf: a plugin that
/// waits an hour for its client has used nothing. Reading the clock of the thread is a system call (0.4 us), which is
/// too much for each call of each plugin: [`Moment`] says how short ones are measured.
///
/// Decided 2026-11-30: time is measured, and no longer counted in the ticks that find a plugin running. That was
/// cheaper by 0.06 us a call, but right only on average, and needed a tick each millisecond, which took 4 % of the
/// processor time of short calls.
pub(crate) struct Meter {
    /// The rest of the call's budget, in nanoseconds.
    left: AtomicU64,
    /// The ticks of all the session's processes together at which the call's budget is used up, too.
    most_of_session: AtomicU64,
    /// The epoch in which the call was last resumed or let others run.
    seen: AtomicU64,
    /// The callback has let other tasks run: the call is in the middle of its work.
    ticked: AtomicBool,
    /// At its last tick the call had run for most of one.
    computes: AtomicBool,
    /// When the plugin was last resumed or charged: the two parts of a [`Moment`].
    since: [AtomicU64; 2],
    /// What was used and is not charged yet, in nanoseconds: less than [`CHARGE`].
    uncharged: AtomicU64,
    /// The session's bucket, over all its instances.
    usage: Arc<ProcessUsage>,
    /// An empty bucket makes the process wait only while others want the processor.
    is_weight: bool,
}

impl Meter {
    /// `is_weight`: an empty bucket makes the process wait only while others want the processor.
    pub(crate) fn new(usage: Arc<ProcessUsage>, is_weight: bool) -> Self {
        Self {
            left: AtomicU64::new(0),
            most_of_session: AtomicU64::new(u64::MAX),
            seen: AtomicU64::new(0),
            ticked: AtomicBool::new(false),
            computes: AtomicBool::new(false),
            since: [AtomicU64::new(0), AtomicU64::new(0)],
            uncharged: AtomicU64::new(0),
            usage,
            is_weight,
        }
    }

    /// A new call with this many ticks.
    pub(crate) fn begin(&self, ticks: u32, epoch: u64) {
        self.begin_in_session(ticks, u64::MAX, epoch);
    }

    /// A new call with this many ticks, of which all the session's processes have `session` together.
    pub(crate) fn begin_in_session(&self, ticks: u32, session: u64, epoch: u64) {
        self.left.store(u64::from(ticks) * TICK, Ordering::Relaxed);
        self.most_of_session.store(session, Ordering::Relaxed);
        self.seen.store(epoch, Ordering::Relaxed);
        self.ticked.store(false, Ordering::Relaxed);
    }

    /// Whether the call continues after a tick.
    pub(crate) fn is_long(&self) -> bool {
        self.ticked.load(Ordering::Relaxed)
    }

    /// Whether the call had run for most of a tick, or for longer, when its last tick came.
    pub(crate) fn computes(&self) -> bool {
        self.computes.load(Ordering::Relaxed)
    }

    /// Until when the session must wait for processor time; `None` if it has some. `others_want`: whether guests of
    /// other tenants want the processor that it would use.
    pub(crate) fn wait_until(&self, others_want: impl FnOnce() -> bool) -> Option<Instant> {
        let moment = self.usage.wait_until()?;
        (!self.is_weight || others_want()).then_some(moment)
    }

    /// Whether all the session's processes together have used what they may.
    fn session_has_none(&self) -> bool {
        self.usage.session_ticks() >= self.most_of_session.load(Ordering::Relaxed)
    }

    /// The call is about to run, for the first time or again.
    pub(crate) fn resume(&self, epoch: u64) {
        self.ticked.store(false, Ordering::Relaxed);
        self.seen.store(epoch, Ordering::Relaxed);
        self.measure_from(Moment::now());
    }

    fn measure_from(&self, Moment { wall, used }: Moment) {
        self.since[0].store(wall, Ordering::Relaxed);
        self.since[1].store(used, Ordering::Relaxed);
    }

    fn since(&self) -> Moment {
        let [wall, used] = self.since.each_ref().map(|part| part.load(Ordering::Relaxed));
        Moment { wall, used }
    }

    /// The call stops running, for now or for good.
    pub(crate) fn pause(&self) {
        self.bill(self.since().elapsed());
    }

    /// The epoch's callback.
    pub(crate) fn tick(&self, epoch: u64) -> Tick {
        if epoch == self.seen.swap(epoch, Ordering::Relaxed) {
            return Tick::Free;
        }
        let (used, now) = self.since().next();
        self.measure_from(now);
        self.computes.store(used >= TICK / 2, Ordering::Relaxed);
        self.bill(used);
        if self.left.load(Ordering::Relaxed) == 0 || self.session_has_none() {
            return Tick::Spent;
        }
        self.ticked.store(true, Ordering::Relaxed);
        Tick::Yield
    }

    /// The call has used so many nanoseconds.
    fn bill(&self, used: u64) {
        self.left.store(self.left.load(Ordering::Relaxed).saturating_sub(used), Ordering::Relaxed);
        let uncharged = self.uncharged.load(Ordering::Relaxed).saturating_add(used);
        if uncharged < CHARGE {
            self.uncharged.store(uncharged, Ordering::Relaxed);
        } else {
            self.uncharged.store(0, Ordering::Relaxed);
            self.charge(uncharged);
        }
    }

    fn charge(&self, used: u64) {
        self.usage.charge(Duration::from_nanos(used), Instant::now());
        if self.is_weight {
            self.usage.limit_debt(DEBT);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.charge(self.uncharged.load(Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::usage::thread_time;

    fn meter() -> Meter {
        Meter::new(Arc::default(), false)
    }

    fn ticks(meter: &Meter) -> u64 {
        meter.usage.ticks()
    }

    /// Uses this much processor time, at least.
    fn work(time: Duration) {
        let start = thread_time();
        while thread_time() - start < time {
            std::hint::black_box(0);
        }
    }

    /// One tick's work.
    fn work_a_tick() {
        work(Duration::from_nanos(TICK));
    }

    #[test]
    fn a_call_is_killed_at_the_tick_at_which_it_has_used_its_budget() {
        let meter = meter();
        meter.begin(3, 10);
        meter.resume(10);
        assert!(!meter.is_long());
        work_a_tick();
        assert_eq!(meter.tick(11), Tick::Yield);
        assert!(meter.computes());
        meter.pause();
        // It waited for five ticks, which are not charged.
        assert!(meter.is_long());
        meter.resume(16);
        work_a_tick();
        assert_eq!(meter.tick(17), Tick::Yield);
        meter.resume(17);
        work_a_tick();
        assert_eq!(meter.tick(18), Tick::Spent);
        assert_eq!(ticks(&meter), 3);
    }

    #[test]
    fn processes_of_a_session_share_what_the_session_may_use() {
        let session = Arc::default();
        let [one, other] = [(); 2].map(|()| Meter::new(Arc::new(ProcessUsage::of(&session)), false));
        let runs = |meter: &Meter, epoch: u64| {
            meter.resume(epoch - 1);
            work_a_tick();
            meter.tick(epoch)
        };
        for meter in [&one, &other] {
            meter.begin_in_session(20, 3, 0);
        }
        assert_eq!(runs(&one, 1), Tick::Yield);
        assert_eq!(runs(&other, 1), Tick::Yield);
        assert_eq!(runs(&one, 2), Tick::Spent);
        assert_eq!(runs(&other, 2), Tick::Spent);
        // A call that is not held to it goes on.
        other.begin(20, 2);
        assert_eq!(runs(&other, 3), Tick::Yield);
    }

    #[test]
    fn waiting_is_not_charged() {
        let meter = meter();
        meter.begin(2, 0);
        for round in 0..1_000 {
            meter.resume(round * 10);
            assert_eq!(meter.tick(round * 10), Tick::Free);
            assert!(!meter.is_long());
            meter.pause();
        }
        assert_eq!(meter.tick(9_991), Tick::Yield);
        assert!(!meter.computes());
        assert_eq!(ticks(&meter), 0);
    }

    #[test]
    fn short_runs_are_charged_together_whether_a_tick_finds_them_or_not() {
        let meter = meter();
        meter.begin(1_000, 0);
        for _ in 0..1_000 {
            meter.resume(0);
            work(Duration::from_micros(20));
            meter.pause();
        }
        let (charged, used) = (ticks(&meter), (1_000 * TICK - meter.left.load(Ordering::Relaxed)) / TICK);
        assert!(charged >= 20 && (charged..=charged + 1).contains(&used), "{charged} of {used}");
    }

    #[test]
    fn what_was_not_charged_is_charged_at_the_end() {
        let usage: Arc<ProcessUsage> = Arc::default();
        for _ in 0..100 {
            let meter = Meter::new(Arc::clone(&usage), false);
            meter.begin(1_000, 0);
            meter.resume(0);
            work(Duration::from_micros(50));
            meter.pause();
        }
        assert!(usage.ticks() >= 5, "{}", usage.ticks());
    }

    #[test]
    fn a_thread_that_sleeps_is_not_charged() {
        let meter = meter();
        meter.begin(1_000, 0);
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || {
            work(Duration::from_millis(30));
            drop(done);
        });
        meter.resume(0);
        let _ = wait.recv();
        meter.pause();
        other.join().unwrap();
        assert!(ticks(&meter) < 10, "{}", ticks(&meter));
    }

    #[test]
    fn work_is_charged_without_a_tick() {
        let meter = meter();
        meter.begin(1_000, 7);
        meter.resume(7);
        work(Duration::from_millis(3));
        meter.pause();
        assert_eq!(ticks(&meter), 3);
    }

    #[test]
    fn a_session_with_an_empty_bucket_waits_tick_by_tick_until_it_refills() {
        let meter = Meter::new(Arc::new(ProcessUsage::bounded(250, 10)), false);
        meter.charge(9 * TICK);
        assert_eq!(meter.wait_until(|| true), None);
        // The refill meanwhile is less than a tick.
        meter.charge(2 * TICK);
        let until = meter.wait_until(|| true).unwrap();
        assert!(until <= Instant::now() + Duration::from_millis(5));
    }

    #[test]
    fn a_weight_waits_only_while_others_want_the_processor_and_pays_no_old_debt() {
        let meter = Meter::new(Arc::new(ProcessUsage::bounded(250, 10)), true);
        for _ in 0..10_000 {
            assert_eq!(meter.wait_until(|| false), None);
            meter.charge(TICK);
        }
        assert_eq!(meter.usage.session_ticks(), 10_000);
        let until = meter.wait_until(|| true).unwrap();
        // At a quarter of a processor.
        assert!(until <= Instant::now() + Duration::from_millis(17));
    }
}
