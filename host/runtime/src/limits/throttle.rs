//! The log throttle: decides which events of one kind are logged, so that no client and no plugin can flood the log.
//! Every kind of event that a stranger can cause at will has one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Decides which events of one kind are logged. Time is an argument.
#[derive(Debug)]
pub struct Throttle {
    policy: Policy,
}

/// Which events are logged.
#[derive(Debug)]
enum Policy {
    /// At most one per period.
    OneIn(Duration, Mutex<Recent>),
    /// The first events, this many. Beside it how many have happened.
    First(u64, AtomicU64),
    /// The first, and the next one after no event has happened for this time.
    AfterQuiet(Duration, LastEvent),
}

#[derive(Debug)]
struct Recent {
    /// When an event was logged last.
    logged: Option<Instant>,
    suppressed: u64,
}

/// When an event happened last. Without a lock, because a guest that meets a limit again and again gets here each time,
/// on any worker.
#[derive(Debug)]
struct LastEvent {
    /// The time of the first event, from which the others are counted.
    first: OnceLock<Instant>,
    /// The time of the last event, in nanoseconds since the first and one more; 0 if none has happened.
    last: AtomicU64,
    suppressed: AtomicU64,
}

/// An event that is to be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// How many events were not logged since the last one that was.
    pub suppressed: u64,
    /// No further event will be logged.
    pub is_last: bool,
}

impl Throttle {
    /// Logs at most one event per `period`.
    #[must_use]
    pub const fn one_in(period: Duration) -> Self {
        Self { policy: Policy::OneIn(period, Mutex::new(Recent { logged: None, suppressed: 0 })) }
    }

    /// Logs the first `count` events.
    #[must_use]
    pub const fn first(count: u64) -> Self {
        Self { policy: Policy::First(count, AtomicU64::new(0)) }
    }

    /// Logs the first event, and the next one after no event has happened for `period`.
    #[must_use]
    pub const fn after_quiet(period: Duration) -> Self {
        let never = LastEvent { first: OnceLock::new(), last: AtomicU64::new(0), suppressed: AtomicU64::new(0) };
        Self { policy: Policy::AfterQuiet(period, never) }
    }

    /// Records an event. `Some` if it is to be logged.
    pub fn allow(&self, now: Instant) -> Option<Admitted> {
        match &self.policy {
            Policy::OneIn(period, recent) => recent.lock().unwrap_or_else(PoisonError::into_inner).allow(*period, now),
            Policy::First(count, happened) => {
                let before = happened.fetch_add(1, Ordering::Relaxed);
                (before < *count).then(|| Admitted { suppressed: 0, is_last: before + 1 == *count })
            }
            Policy::AfterQuiet(period, last) => last.allow(*period, now),
        }
    }

    /// Whether the next event would be logged as if it were the first: the throttle can be forgotten.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        match &self.policy {
            Policy::OneIn(period, recent) => {
                recent.lock().unwrap_or_else(PoisonError::into_inner).is_past(*period, now)
            }
            Policy::First(_, happened) => happened.load(Ordering::Relaxed) == 0,
            Policy::AfterQuiet(period, last) => last.is_quiet(*period, now),
        }
    }
}

impl Recent {
    fn allow(&mut self, period: Duration, now: Instant) -> Option<Admitted> {
        if !self.is_past(period, now) {
            self.suppressed += 1;
            return None;
        }
        self.logged = Some(now);
        Some(Admitted { suppressed: std::mem::take(&mut self.suppressed), is_last: false })
    }

    fn is_past(&self, period: Duration, now: Instant) -> bool {
        self.logged.is_none_or(|logged| now.saturating_duration_since(logged) >= period)
    }
}

impl LastEvent {
    fn allow(&self, period: Duration, now: Instant) -> Option<Admitted> {
        let now = self.count(now);
        // Of several events at once, the first to get here sees the quiet time.
        let before = self.last.fetch_max(now, Ordering::Relaxed);
        if !Self::is_past(before, now, period) {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(Admitted { suppressed: self.suppressed.swap(0, Ordering::Relaxed), is_last: false })
    }

    fn is_quiet(&self, period: Duration, now: Instant) -> bool {
        Self::is_past(self.last.load(Ordering::Relaxed), self.count(now), period)
    }

    /// A time as it is kept in `last`.
    fn count(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(*self.first.get_or_init(|| time));
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn is_past(last: u64, now: u64, period: Duration) -> bool {
        last == 0 || Duration::from_nanos(now.saturating_sub(last)) >= period
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is logged of events at these milliseconds: the numbers of those that were suppressed before each.
    fn logged(throttle: &Throttle, start: Instant, times: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        times.into_iter().filter_map(|time| throttle.allow(at(time))).map(|admitted| admitted.suppressed).collect()
    }

    #[test]
    fn a_flood_is_one_line_a_period_with_the_number_of_the_others() {
        let (throttle, start) = (Throttle::one_in(Duration::from_secs(1)), Instant::now());
        assert_eq!(logged(&throttle, start, [0]), [0]);
        assert_eq!(logged(&throttle, start, 0..999), [0; 0]);
        assert_eq!(logged(&throttle, start, [1_000]), [999]);
        assert_eq!(logged(&throttle, start, [3_000]), [0]);
    }

    #[test]
    fn only_the_first_few_are_logged_and_the_last_of_them_is_marked() {
        let (throttle, start) = (Throttle::first(3), Instant::now());
        let marks: Vec<bool> =
            (0..1_000).filter_map(|_| throttle.allow(start)).map(|admitted| admitted.is_last).collect();
        assert_eq!(marks, [false, false, true]);
        assert_eq!(throttle.allow(start + Duration::from_secs(86_400)), None);
    }

    #[test]
    fn one_that_goes_on_is_logged_once_until_it_has_been_quiet() {
        let (throttle, start) = (Throttle::after_quiet(Duration::from_secs(60)), Instant::now());
        assert_eq!(logged(&throttle, start, [0, 0, 59_000, 118_000]), [0]);
        assert!(!throttle.is_idle(start + Duration::from_secs(177)));
        assert!(throttle.is_idle(start + Duration::from_secs(178)));
        assert_eq!(logged(&throttle, start, [178_000, 179_000]), [3]);
        // However often it happens in between.
        assert_eq!(logged(&throttle, start, (180..380).map(|second| second * 1_000)), [0; 0]);
    }

    #[test]
    fn of_many_threads_that_meet_a_limit_at_once_one_logs_it() {
        let throttle = Throttle::after_quiet(Duration::from_secs(60));
        let start = Instant::now();
        let logged = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let admitted =
                        (0..10_000).filter_map(|at| throttle.allow(start + Duration::from_micros(at))).count();
                    logged.fetch_add(u64::try_from(admitted).unwrap(), Ordering::Relaxed);
                });
            }
        });
        assert_eq!(logged.into_inner(), 1);
        let admitted = throttle.allow(start + Duration::from_secs(61)).unwrap();
        assert_eq!(admitted.suppressed, 39_999);
    }

    #[test]
    fn time_that_goes_back_admits_nothing() {
        let (throttle, start) = (Throttle::one_in(Duration::from_secs(1)), Instant::now());
        assert!(throttle.allow(start + Duration::from_secs(5)).is_some());
        assert!(throttle.allow(start).is_none());
    }
}
