//! A bucket: so much at once, and so much a second after that. Whoever has emptied it waits or is refused; nobody holds a lock.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

const SECOND: u128 = 1_000_000_000;

/// What is left, shared by everybody who takes of it.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// Units a second.
    rate: u64,
    /// Most that is ever in it.
    size: i64,
    /// Below zero is a debt: what was taken in one piece and was not there whole.
    left: AtomicI64,
    /// Until when it has been filled, in nanoseconds from `since` on.
    filled: AtomicU64,
    since: Instant,
}

impl Bucket {
    /// A full one. `rate` is in units a second, at least one.
    pub(crate) fn new(rate: u64, size: u64, now: Instant) -> Self {
        let size = i64::try_from(size.max(1)).unwrap_or(i64::MAX);
        Self { rate: rate.max(1), size, left: AtomicI64::new(size), filled: AtomicU64::new(0), since: now }
    }

    /// Takes, whether it is there or not.
    pub(crate) fn take(&self, units: u64) {
        let units = i64::try_from(units).unwrap_or(i64::MAX);
        // The closure always gives a value.
        let _ = self.left.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |left| Some(left.saturating_sub(units)));
    }

    /// Takes one unit if there is one.
    pub(crate) fn try_take(&self, now: Instant) -> bool {
        self.fill(now);
        self.left.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |left| (left > 0).then(|| left - 1)).is_ok()
    }

    /// Whether nothing is left, as far as can be told without a clock.
    pub(crate) fn looks_empty(&self) -> bool {
        self.left.load(Ordering::Acquire) <= 0
    }

    /// When there will be a unit; none if there is one now.
    pub(crate) fn empty_until(&self, now: Instant) -> Option<Instant> {
        self.fill(now);
        let left = self.left.load(Ordering::Acquire);
        let missing = u128::from(1_i64.saturating_sub(left).max(0).unsigned_abs());
        let wait = (missing * SECOND).div_ceil(self.rate.into());
        (missing > 0).then(|| now + Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX)))
    }

    /// Adds what has come since it was last filled. What is less than a unit is left for the next time.
    pub(crate) fn fill(&self, now: Instant) {
        let filled = self.filled.load(Ordering::Acquire);
        let time = u64::try_from(now.saturating_duration_since(self.since).as_nanos()).unwrap_or(u64::MAX);
        let units = u128::from(time.saturating_sub(filled)) * u128::from(self.rate) / SECOND;
        if units == 0 {
            return;
        }
        let paid = u64::try_from(units * SECOND / u128::from(self.rate)).unwrap_or(u64::MAX);
        let until = filled.saturating_add(paid);
        // Of two who come at once, one adds.
        if self.filled.compare_exchange(filled, until, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            let units = i64::try_from(units).unwrap_or(i64::MAX);
            let more = |left: i64| Some(left.saturating_add(units).min(self.size));
            let _ = self.left.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more);
        }
    }
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
    fn what_was_taken_comes_back_at_its_rate_and_never_beyond_the_size() {
        let start = Instant::now();
        let bucket = Bucket::new(250, 1000, start);
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
        let bucket = Bucket::new(1000, 10, start);
        bucket.take(110);
        assert_eq!(bucket.empty_until(start), Some(start + ms(101)));
        assert!(!bucket.try_take(start + ms(100)));
        assert!(bucket.try_take(start + ms(101)));
    }

    #[test]
    fn a_bucket_that_is_looked_at_often_fills_as_fast_as_one_that_is_not() {
        let start = Instant::now();
        let (often, once) = (Bucket::new(333, 1000, start), Bucket::new(333, 1000, start));
        often.take(1000);
        once.take(1000);
        (0..3000).for_each(|at| often.fill(start + Duration::from_micros(at * 700)));
        once.fill(start + Duration::from_micros(2999 * 700));
        assert_eq!(often.left.load(Ordering::Relaxed), once.left.load(Ordering::Relaxed));
    }

    #[test]
    fn many_who_fill_it_at_once_fill_it_once() {
        let start = Instant::now();
        let bucket = Arc::new(Bucket::new(1000, 1_000_000, start));
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
}
