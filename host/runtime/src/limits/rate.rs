//! The token bucket: the only rate limiter of the program. It holds a burst and refills at a constant rate. It takes no
//! lock; a caller that finds it empty waits or is refused.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

const SECOND: u128 = 1_000_000_000;

/// A token bucket, shared by all that take from it. The owner chooses the unit: bytes, log lines, microseconds of
/// processor time.
#[derive(Debug)]
pub struct TokenBucket {
    /// Units a second.
    rate: AtomicU64,
    /// The most units that it ever holds.
    size: AtomicI64,
    /// The units that are left. A negative number is a debt: more was taken at once than there was.
    left: AtomicI64,
    /// When it was last refilled, in nanoseconds since `since`.
    filled: AtomicU64,
    since: Instant,
}

impl TokenBucket {
    /// A full bucket. A rate or a size of 0 counts as 1.
    #[must_use]
    pub fn new(rate: u64, size: u64, now: Instant) -> Self {
        let (rate, size) = in_bounds(rate, size);
        let (rate, left, size) = (AtomicU64::new(rate), AtomicI64::new(size), AtomicI64::new(size));
        Self { rate, size, left, filled: AtomicU64::new(0), since: now }
    }

    /// Changes rate and size. What is left, or owed, stays.
    pub(crate) fn change(&self, rate: u64, size: u64) {
        let (rate, size) = in_bounds(rate, size);
        self.rate.store(rate, Ordering::Relaxed);
        self.size.store(size, Ordering::Relaxed);
    }

    /// A full bucket that holds one second of its rate.
    pub(crate) fn of_a_second(rate: u64, now: Instant) -> Self {
        Self::new(rate, rate, now)
    }

    /// Takes units, whether they are there or not. Does not refill.
    pub fn take(&self, units: u64) {
        self.remove(units);
    }

    /// Forgives what is owed beyond this many units.
    pub(crate) fn limit_debt(&self, units: u64) {
        let least = i64::try_from(units).map_or(i64::MIN, |units| -units);
        self.left.fetch_max(least, Ordering::AcqRel);
    }

    /// Refills, and says how many units there are.
    #[must_use]
    pub fn available(&self, now: Instant) -> u64 {
        self.fill(now);
        u64::try_from(self.left.load(Ordering::Acquire)).unwrap_or(0)
    }

    /// Takes one unit if there is one.
    pub(crate) fn try_take(&self, now: Instant) -> bool {
        self.fill(now);
        self.left.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |left| (left > 0).then(|| left - 1)).is_ok()
    }

    /// Takes units unless there is a debt. Units that are not there become a debt.
    pub(crate) fn try_take_on_credit(&self, units: u64, now: Instant) -> bool {
        self.fill(now);
        let units = i64::try_from(units).unwrap_or(i64::MAX);
        let less = |left: i64| (left >= 0).then(|| left.saturating_sub(units));
        self.left.fetch_update(Ordering::AcqRel, Ordering::Relaxed, less).is_ok()
    }

    /// Takes units and returns when they may be used: when the debt of earlier callers is paid.
    pub(crate) fn reserve(&self, units: u64, now: Instant) -> Instant {
        self.fill(now);
        let before = self.remove(units);
        now + self.time_for(before.min(0).unsigned_abs())
    }

    /// Whether nothing is left. Does not refill.
    pub(crate) fn looks_empty(&self) -> bool {
        self.left.load(Ordering::Acquire) <= 0
    }

    /// When there will be a unit; `None` if there is one now.
    pub(crate) fn empty_until(&self, now: Instant) -> Option<Instant> {
        self.fill(now);
        let missing = 1_i64.saturating_sub(self.left.load(Ordering::Acquire)).max(0).unsigned_abs();
        (missing > 0).then(|| now + self.time_for(missing))
    }

    /// Refills. A fraction of a unit is left for the next time.
    pub(crate) fn fill(&self, now: Instant) {
        let filled = self.filled.load(Ordering::Acquire);
        let time = u64::try_from(now.saturating_duration_since(self.since).as_nanos()).unwrap_or(u64::MAX);
        let rate = u128::from(self.rate.load(Ordering::Relaxed));
        let units = u128::from(time.saturating_sub(filled)) * rate / SECOND;
        if units == 0 {
            return;
        }
        let paid = u64::try_from(units * SECOND / rate).unwrap_or(u64::MAX);
        let until = filled.saturating_add(paid);
        // Of two threads that refill at once, one adds.
        if self.filled.compare_exchange(filled, until, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            let units = i64::try_from(units).unwrap_or(i64::MAX);
            let size = self.size.load(Ordering::Relaxed);
            let more = |left: i64| Some(left.saturating_add(units).min(size));
            // The closure always gives a value.
            let _ = self.left.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more);
        }
    }

    /// Takes units and returns what was left before.
    fn remove(&self, units: u64) -> i64 {
        let units = i64::try_from(units).unwrap_or(i64::MAX);
        let less = |left: i64| Some(left.saturating_sub(units));
        // The closure always gives a value.
        self.left.fetch_update(Ordering::AcqRel, Ordering::Relaxed, less).unwrap_or_else(|left| left)
    }

    /// How long it takes to refill this many units.
    fn time_for(&self, units: u64) -> Duration {
        let wait = (u128::from(units) * SECOND).div_ceil(self.rate.load(Ordering::Relaxed).into());
        Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))
    }
}

/// A rate or a size of 0 counts as 1.
fn in_bounds(rate: u64, size: u64) -> (u64, i64) {
    (rate.max(1), i64::try_from(size.max(1)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_changed_rate_counts_from_the_next_refill_and_debts_stay() {
        let start = Instant::now();
        let bucket = TokenBucket::new(1000, 1000, start);
        bucket.take(1500);
        bucket.change(250, 100);
        assert_eq!(bucket.empty_until(start), Some(start + ms(2004)));
        bucket.fill(start + ms(60_000));
        bucket.take(100);
        assert!(bucket.looks_empty(), "it never holds more than its new size");
        bucket.change(0, 0);
        assert_eq!(bucket.empty_until(start + ms(60_000)), Some(start + ms(61_000)));
    }

    #[test]
    fn what_was_taken_comes_back_at_its_rate_and_never_beyond_the_size() {
        let start = Instant::now();
        let bucket = TokenBucket::new(250, 1000, start);
        bucket.take(1000);
        assert!(bucket.looks_empty());
        assert_eq!(bucket.empty_until(start), Some(start + ms(4)));
        assert_eq!(bucket.empty_until(start + ms(3)), Some(start + ms(7)));
        assert_eq!(bucket.empty_until(start + ms(4)), None);
        bucket.fill(start + ms(1_000_000));
        assert_eq!((0..2000).filter(|_| bucket.try_take(start + ms(1_000_000))).count(), 1000);
    }

    #[test]
    fn a_piece_larger_than_what_is_left_is_waited_for_afterwards() {
        let start = Instant::now();
        let bucket = TokenBucket::new(1000, 10, start);
        bucket.take(110);
        assert_eq!(bucket.empty_until(start), Some(start + ms(101)));
        assert!(!bucket.try_take(start + ms(100)));
        assert!(bucket.try_take(start + ms(101)));
    }

    #[test]
    fn a_bucket_that_is_looked_at_often_fills_as_fast_as_one_that_is_not() {
        let start = Instant::now();
        let (often, once) = (TokenBucket::new(333, 1000, start), TokenBucket::new(333, 1000, start));
        often.take(1000);
        once.take(1000);
        (0..3000).for_each(|at| often.fill(start + Duration::from_micros(at * 700)));
        once.fill(start + Duration::from_micros(2999 * 700));
        assert_eq!(often.left.load(Ordering::Relaxed), once.left.load(Ordering::Relaxed));
    }

    #[test]
    fn many_who_fill_it_at_once_fill_it_once() {
        let start = Instant::now();
        let bucket = Arc::new(TokenBucket::new(1000, 1_000_000, start));
        bucket.take(1_000_000);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let bucket = Arc::clone(&bucket);
                thread::spawn(move || (0..10_000).for_each(|at| bucket.fill(start + ms(at))))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(bucket.left.load(Ordering::Relaxed), 9_999);
    }

    #[test]
    fn a_burst_is_free_and_what_follows_comes_at_the_rate() {
        let start = Instant::now();
        let bucket = TokenBucket::of_a_second(100, start);
        let dues: Vec<_> = (0..300).map(|_| bucket.reserve(1, start)).collect();
        assert!(dues[..=100].iter().all(|due| *due <= start));
        assert_eq!(dues[299], start + ms(1_990));
        // After a pause there is one burst again and no more.
        let later = start + Duration::from_secs(60);
        let again = (0..1_000).filter(|_| bucket.reserve(1, later) <= later).count();
        assert_eq!(again, 101);
    }

    #[test]
    fn what_costs_more_makes_the_next_wait_longer() {
        let start = Instant::now();
        let bucket = TokenBucket::of_a_second(100, start);
        bucket.reserve(100, start);
        assert_eq!(bucket.reserve(64, start), start);
        assert_eq!(bucket.reserve(1, start), start + ms(640));
    }

    #[test]
    fn what_is_taken_on_credit_is_held_to_its_rate_and_a_pause_is_worth_one_burst() {
        let start = Instant::now();
        let bucket = TokenBucket::of_a_second(8 << 20, start);
        let mebibytes = |now| (0..100).filter(|_| bucket.try_take_on_credit(1 << 20, now)).count();
        assert_eq!(mebibytes(start), 9);
        assert_eq!(mebibytes(start + ms(500)), 4);
        assert_eq!(mebibytes(start + Duration::from_secs(60)), 9);
    }
}
