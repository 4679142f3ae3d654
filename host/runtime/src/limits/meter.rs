//! Processor time, counted in ticks of the epoch: the budget of one call, and the long-term share of a session.
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

/// Counts the processor time of calls. Only the session's task uses it; it is shared because one half of that task is
/// inside wasmtime.
///
/// Ticks are counted, not time: a plugin that waits an hour for its client has used nothing, and a host that was not
/// scheduled does not charge the plugin. A tick is charged to the plugin that it finds running, in its own code or in
/// the host's on its behalf.
///
/// Code that the ticker cannot interrupt (`memory.fill`, an import, instantiation) can run through several ticks at
/// once, and so can a thread that the kernel has preempted. Only the thread's processor time distinguishes them, which
/// costs a system call (0.4 µs): too much for each call of each plugin. So the clock is read from the first time on
/// that several ticks have passed at once, until they turn out not to have been the plugin's.
pub(crate) struct Meter {
    /// The rest of the call's budget, in nanoseconds.
    left: AtomicU64,
    /// The ticks of all the session's processes together at which the call's budget is used up, too.
    most_of_session: AtomicU64,
    /// The epoch up to which ticks were charged, or were not the plugin's.
    billed: AtomicU64,
    /// The callback has let other tasks run: the call is in the middle of its work.
    ticked: AtomicBool,
    /// The thread's processor time is read.
    exact: AtomicBool,
    /// When the plugin was last resumed or charged: the two parts of a [`Moment`].
    since: [AtomicU64; 2],
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
            billed: AtomicU64::new(0),
            ticked: AtomicBool::new(false),
            exact: AtomicBool::new(false),
            since: [AtomicU64::new(0), AtomicU64::new(0)],
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
        self.billed.store(epoch, Ordering::Relaxed);
        self.ticked.store(false, Ordering::Relaxed);
    }

    /// Whether time is read from the thread's clock from now on, instead of being counted in ticks.
    pub(crate) fn set_exact(&self, exact: bool) {
        self.exact.store(exact, Ordering::Relaxed);
    }

    /// Whether the call continues after a charged tick: it has work for more than one.
    pub(crate) fn is_long(&self) -> bool {
        self.ticked.load(Ordering::Relaxed)
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
        self.billed.store(epoch, Ordering::Relaxed);
        if self.exact.load(Ordering::Relaxed) {
            self.measure_from(Moment::now());
        }
    }

    fn measure_from(&self, Moment { wall, used }: Moment) {
        self.since[0].store(wall, Ordering::Relaxed);
        self.since[1].store(used, Ordering::Relaxed);
    }

    /// The call stops running, for now or for good.
    pub(crate) fn pause(&self, epoch: u64) {
        if self.exact.load(Ordering::Relaxed) || epoch != self.billed.load(Ordering::Relaxed) {
            self.bill(epoch);
        }
    }

    /// The epoch's callback.
    pub(crate) fn tick(&self, epoch: u64) -> Tick {
        if epoch == self.billed.load(Ordering::Relaxed) {
            return Tick::Free;
        }
        self.bill(epoch);
        if self.left.load(Ordering::Relaxed) == 0 || self.session_has_none() {
            return Tick::Spent;
        }
        self.ticked.store(true, Ordering::Relaxed);
        Tick::Yield
    }

    /// Charges what was used since the call was last resumed or charged.
    fn bill(&self, epoch: u64) {
        let ticks = epoch - self.billed.swap(epoch, Ordering::Relaxed);
        let used = if self.exact.load(Ordering::Relaxed) {
            let [wall, used] = self.since.each_ref().map(|part| part.load(Ordering::Relaxed));
            let used = Moment { wall, used }.elapsed();
            self.measure_from(Moment::now());
            // The thread was preempted: otherwise a call that meets two ticks has used most of the time between them.
            if ticks > 1 && used < TICK / 2 {
                self.set_exact(false);
            }
            used
        } else {
            if ticks > 1 {
                self.set_exact(true);
                self.measure_from(Moment::now());
            }
            TICK
        };
        self.usage.charge(Duration::from_nanos(used), Instant::now());
        if self.is_weight {
            self.usage.limit_debt(DEBT);
        }
        self.left.store(self.left.load(Ordering::Relaxed).saturating_sub(used), Ordering::Relaxed);
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

    /// Uses this much processor time.
    fn work(time: Duration) {
        let start = thread_time();
        while thread_time() - start < time {
            std::hint::black_box(0);
        }
    }

    #[test]
    fn a_call_is_charged_for_the_ticks_that_it_ran_through() {
        let meter = meter();
        meter.begin(3, 10);
        meter.resume(10);
        assert!(!meter.is_long());
        assert_eq!(meter.tick(11), Tick::Yield);
        meter.pause(11);
        // It waited for five ticks, which are not charged.
        assert!(meter.is_long());
        meter.resume(16);
        assert_eq!(meter.tick(17), Tick::Yield);
        meter.resume(17);
        assert_eq!(meter.tick(18), Tick::Spent);
        assert_eq!(ticks(&meter), 3);
    }

    #[test]
    fn processes_of_a_session_share_what_the_session_may_use() {
        let session = Arc::default();
        let [one, other] = [(); 2].map(|()| Meter::new(Arc::new(ProcessUsage::of(&session)), false));
        for meter in [&one, &other] {
            meter.begin_in_session(10, 3, 0);
            meter.resume(0);
        }
        assert_eq!(one.tick(1), Tick::Yield);
        assert_eq!(other.tick(1), Tick::Yield);
        assert_eq!(one.tick(2), Tick::Spent);
        assert_eq!(other.tick(2), Tick::Spent);
        // A call that is not held to it goes on.
        other.begin(10, 2);
        assert_eq!(other.tick(3), Tick::Yield);
    }

    #[test]
    fn waiting_is_not_charged() {
        let meter = meter();
        meter.begin(2, 0);
        for round in 0..1_000 {
            meter.resume(round * 10);
            assert_eq!(meter.tick(round * 10), Tick::Free);
            assert!(!meter.is_long());
            meter.pause(round * 10);
        }
        assert_eq!(ticks(&meter), 0);
        assert_eq!(meter.tick(9_991), Tick::Yield);
    }

    #[test]
    fn short_runs_are_charged_when_a_tick_finds_them_running() {
        let meter = meter();
        meter.begin(1_000, 0);
        for round in 0..100 {
            // It is resumed in one epoch, runs into the next, and waits there, every second time before the callback.
            meter.resume(round * 2);
            if round % 2 == 0 {
                assert_eq!(meter.tick(round * 2 + 1), Tick::Yield);
            }
            meter.pause(round * 2 + 1);
        }
        assert_eq!(ticks(&meter), 100);
    }

    #[test]
    fn a_run_through_many_ticks_is_charged_by_processor_time_from_the_second_on() {
        let meter = meter();
        meter.begin(1_000, 0);
        for round in 0..5 {
            meter.resume(round * 100);
            work(Duration::from_millis(8));
            meter.pause(round * 100 + 8);
        }
        assert!((33..40).contains(&ticks(&meter)), "{}", ticks(&meter));
    }

    #[test]
    fn a_preempted_thread_is_not_charged() {
        let meter = meter();
        meter.begin(1_000, 0);
        for round in 0..5 {
            meter.resume(round * 100);
            meter.pause(round * 100 + 50);
        }
        // Every second time one tick found it running; between them its time was read.
        assert_eq!(ticks(&meter), 3);
    }

    #[test]
    fn exactly_measured_time_is_charged_without_a_tick() {
        let meter = meter();
        meter.begin(1_000, 7);
        meter.set_exact(true);
        meter.resume(7);
        work(Duration::from_millis(3));
        meter.pause(7);
        assert_eq!(ticks(&meter), 3);
    }

    #[test]
    fn a_session_with_an_empty_bucket_waits_tick_by_tick_until_it_refills() {
        let meter = Meter::new(Arc::new(ProcessUsage::bounded(250, 10)), false);
        meter.begin(1_000, 0);
        for epoch in 0..10 {
            assert_eq!(meter.wait_until(|| true), None);
            meter.resume(epoch);
            assert_eq!(meter.tick(epoch + 1), Tick::Yield);
        }
        // The refill meanwhile is less than a tick.
        meter.resume(10);
        meter.tick(11);
        let until = meter.wait_until(|| true).unwrap();
        assert!(until <= Instant::now() + Duration::from_millis(5));
    }

    #[test]
    fn a_weight_waits_only_while_others_want_the_processor_and_pays_no_old_debt() {
        let meter = Meter::new(Arc::new(ProcessUsage::bounded(250, 10)), true);
        meter.begin(100_000, 0);
        for epoch in 0..10_000 {
            assert_eq!(meter.wait_until(|| false), None);
            meter.resume(epoch);
            assert_eq!(meter.tick(epoch + 1), Tick::Yield);
        }
        assert_eq!(meter.usage.session_ticks(), 10_000);
        let until = meter.wait_until(|| true).unwrap();
        // At a quarter of a processor.
        assert!(until <= Instant::now() + Duration::from_millis(17));
    }
}
