//! Processor time, counted in ticks of the epoch: what one call may use, and what a session may use in the long run.
//!
//! Decided 2026-11-21: a call is killed when it has used up its own budget; the bucket of its session only makes it wait. With the defaults both are a
//! second, so a loop in a session that was quiet is killed after a second of processor time, which is a second by the clock. In a
//! session whose bucket is empty the same loop gets its second at the rate of the share, four seconds, and is killed then: it never has more of a
//! processor than others like it. To kill when the bucket is empty would punish honest work that comes in pieces.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use tokio::time::Instant;

use crate::bucket::Bucket;
use crate::limits::Limits;
use crate::usage::SessionUsage;

/// What the epoch's call-back does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tick {
    /// Go on: the plugin has just come back from waiting and the tick was not its own.
    Free,
    /// Let other tasks run, then go on.
    Yield,
    /// The budget is used up.
    Spent,
}

/// Counts ticks of processor time. Only the session's task touches it; it is shared because one half of that task is inside wasmtime.
///
/// Ticks are counted, not time: a plugin that waits an hour for its client has used nothing, and a host that was kept from running
/// does not bill the plugin for it. A tick is billed to whom it finds running. One that runs for less than a tick and waits is found as
/// often as its share of the time is large; what came before it was resumed is free.
pub(crate) struct Meter {
    left: AtomicU32,
    used: AtomicU64,
    /// At which epoch the call-back comes.
    deadline: AtomicU64,
    /// That epoch was there before the call was resumed.
    late: AtomicBool,
    /// The call-back has let other tasks run: the call is in the middle of its work.
    ticked: AtomicBool,
    /// What the session may use in the long run, in ticks.
    bucket: Bucket,
    /// The session's, over all its instances.
    usage: Arc<SessionUsage>,
}

impl Meter {
    pub(crate) fn new(limits: &Limits, usage: Arc<SessionUsage>) -> Self {
        let (share, burst) = (u64::from(limits.share_ticks), u64::from(limits.burst_ticks));
        Self {
            left: AtomicU32::new(0),
            used: AtomicU64::new(0),
            deadline: AtomicU64::new(0),
            late: AtomicBool::new(false),
            ticked: AtomicBool::new(false),
            bucket: Bucket::new(share, burst, Instant::now()),
            usage,
        }
    }

    /// A new call with so many ticks, whose call-back comes at the epoch after this one.
    pub(crate) fn begin(&self, ticks: u32, epoch: u64) {
        self.left.store(ticks, Ordering::Relaxed);
        self.deadline.store(epoch + 1, Ordering::Relaxed);
        self.ticked.store(false, Ordering::Relaxed);
    }

    /// Whether the call goes on after a tick of its own: it has work for more than one.
    pub(crate) fn is_long(&self) -> bool {
        self.ticked.load(Ordering::Relaxed)
    }

    /// Until when the session has to wait for a tick's worth of processor time; none if it has it.
    pub(crate) fn wait_until(&self) -> Option<Instant> {
        if self.bucket.looks_empty() { self.bucket.empty_until(Instant::now()) } else { None }
    }

    /// The call is about to run, for the first time or again.
    pub(crate) fn resume(&self, epoch: u64) {
        // After a tick wasmtime sets the deadline anew when the call goes on.
        if self.ticked.swap(false, Ordering::Relaxed) {
            self.deadline.store(epoch + 1, Ordering::Relaxed);
        }
        self.late.store(epoch >= self.deadline.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// The call-back of the epoch.
    pub(crate) fn tick(&self, epoch: u64, now: Instant) -> Tick {
        self.deadline.store(epoch + 1, Ordering::Relaxed);
        if self.late.swap(false, Ordering::Relaxed) {
            return Tick::Free;
        }
        self.used.fetch_add(1, Ordering::Relaxed);
        self.usage.had_tick();
        self.bucket.fill(now);
        self.bucket.take(1);
        let left = self.left.load(Ordering::Relaxed).saturating_sub(1);
        self.left.store(left, Ordering::Relaxed);
        if left == 0 {
            return Tick::Spent;
        }
        self.ticked.store(true, Ordering::Relaxed);
        Tick::Yield
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn meter() -> Meter {
        Meter::new(&Limits::default(), Arc::default())
    }

    #[test]
    fn a_call_is_billed_for_the_ticks_that_it_ran_through() {
        let (meter, now) = (meter(), Instant::now());
        meter.begin(3, 10);
        meter.resume(10);
        assert!(!meter.is_long());
        assert_eq!(meter.tick(11, now), Tick::Yield);
        // It stood in line for five ticks, which are not its own.
        assert!(meter.is_long());
        meter.resume(16);
        assert_eq!(meter.tick(17, now), Tick::Yield);
        meter.resume(17);
        assert_eq!(meter.tick(18, now), Tick::Spent);
        assert_eq!(meter.used(), 3);
    }

    #[test]
    fn waiting_is_not_billed() {
        let (meter, now) = (meter(), Instant::now());
        meter.begin(2, 0);
        meter.resume(0);
        for round in 1..1_000 {
            meter.resume(round * 10);
            assert_eq!(meter.tick(round * 10, now), Tick::Free);
            assert!(!meter.is_long());
        }
        assert_eq!(meter.used(), 0);
        assert_eq!(meter.tick(9_991, now), Tick::Yield);
    }

    #[test]
    fn who_runs_a_little_and_waits_again_and_again_is_billed_when_a_tick_finds_it_running() {
        let (meter, now) = (meter(), Instant::now());
        meter.begin(1_000, 0);
        for round in 0..100 {
            // It is resumed in one epoch, runs into the next, and waits.
            meter.resume(round * 2);
            if meter.tick(round * 2, now) == Tick::Free {
                assert_eq!(meter.tick(round * 2 + 1, now), Tick::Yield);
            }
        }
        assert!(meter.used() >= 99, "{}", meter.used());
    }

    #[test]
    fn a_session_that_has_used_up_its_bucket_waits_for_a_tick_at_a_time_and_earns_it_back_in_peace() {
        let limits = Limits { burst_ticks: 10, share_ticks: 250, ..Limits::default() };
        let (meter, now) = (Meter::new(&limits, Arc::default()), Instant::now());
        meter.begin(1_000, 0);
        for epoch in 0..10 {
            assert_eq!(meter.wait_until(), None);
            meter.resume(epoch);
            assert_eq!(meter.tick(epoch + 1, now), Tick::Yield);
        }
        let until = meter.wait_until().unwrap();
        assert!(until <= Instant::now() + Duration::from_millis(4));
        assert_eq!(meter.bucket.empty_until(until), None);
        assert!(meter.bucket.empty_until(until + Duration::from_secs(60)).is_none());
    }
}
