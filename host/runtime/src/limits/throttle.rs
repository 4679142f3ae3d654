//! The log throttle: decides which events of one kind are logged, so that no client and no plugin can flood the log.
//! Every kind of event that a stranger can cause at will has one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Decides which events of one kind are logged. Time is an argument.
#[derive(Debug)]
pub struct Throttle {
    policy: Policy,
    state: Mutex<State>,
}

/// Which events are logged.
#[derive(Debug, Clone, Copy)]
enum Policy {
    /// At most one per period.
    OneIn(Duration),
    /// The first events, this many.
    First(u64),
    /// The first, and the next one after no event has happened for this time.
    AfterQuiet(Duration),
}

#[derive(Debug, Default)]
struct State {
    /// When an event was logged last; by [`Policy::AfterQuiet`] when one happened last.
    last: Option<Instant>,
    admitted: u64,
    suppressed: u64,
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
        Self::new(Policy::OneIn(period))
    }

    /// Logs the first `count` events.
    #[must_use]
    pub const fn first(count: u64) -> Self {
        Self::new(Policy::First(count))
    }

    /// Logs the first event, and the next one after no event has happened for `period`.
    #[must_use]
    pub const fn after_quiet(period: Duration) -> Self {
        Self::new(Policy::AfterQuiet(period))
    }

    const fn new(policy: Policy) -> Self {
        Self { policy, state: Mutex::new(State { last: None, admitted: 0, suppressed: 0 }) }
    }

    /// Records an event. `Some` if it is to be logged.
    pub fn allow(&self, now: Instant) -> Option<Admitted> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let admits = match self.policy {
            Policy::OneIn(period) | Policy::AfterQuiet(period) => state.is_past(period, now),
            Policy::First(count) => state.admitted < count,
        };
        if admits || matches!(self.policy, Policy::AfterQuiet(_)) {
            state.last = Some(now);
        }
        if !admits {
            state.suppressed += 1;
            return None;
        }
        state.admitted += 1;
        let is_last = matches!(self.policy, Policy::First(count) if state.admitted == count);
        Some(Admitted { suppressed: std::mem::take(&mut state.suppressed), is_last })
    }

    /// Whether the next event would be logged as if it were the first: the throttle can be forgotten.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match self.policy {
            Policy::OneIn(period) | Policy::AfterQuiet(period) => state.is_past(period, now),
            Policy::First(_) => state.admitted == 0,
        }
    }
}

impl State {
    fn is_past(&self, period: Duration, now: Instant) -> bool {
        self.last.is_none_or(|last| now.saturating_duration_since(last) >= period)
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
    fn time_that_goes_back_admits_nothing() {
        let (throttle, start) = (Throttle::one_in(Duration::from_secs(1)), Instant::now());
        assert!(throttle.allow(start + Duration::from_secs(5)).is_some());
        assert!(throttle.allow(start).is_none());
    }
}
