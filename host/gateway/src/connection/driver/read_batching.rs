//! How many bytes to wait for while a client sends without pause. Pure.
//!
//! A client that is slower than the server wakes it for each packet that it writes. Such a wake-up (two switches of the
//! kernel, a poll of tokio, a turn) costs nearly as much as all other work for the packet. So the kernel is told to
//! wake the server only for many bytes at once (SO_RCVLOWAT, socket(7)), while they come within about a millisecond.
//! If they do not, they are read after [`DELAY`].
//!
//! A client may also pause because it waits for the server: for a window adjustment, or for an answer. Then it waits
//! for [`DELAY`] too. Each time that this happens soon after batching began, the client has to send twice as much
//! before the next time.

use std::time::{Duration, Instant};

/// How long the rest of a batch may take.
pub(super) const DELAY: Duration = Duration::from_millis(2);
/// The time in which a batch should come, in microseconds.
const BATCH_MICROS: usize = 1_000;
/// The step of the size of a batch, and the smallest batch, in bytes: two packets.
const STEP: usize = 64 << 10;
/// The largest batch, in bytes: an eighth of the largest window by default, after which an adjustment is due anyway.
const LARGEST: usize = 256 << 10;
/// How many bytes a client has to send without a pause before its reads are batched, at first.
const RUN: usize = 1 << 20;
/// The same at most.
const LONGEST_RUN: usize = 64 << 20;

/// The threshold at which the kernel tells of every byte.
const ANY: usize = 1;

/// Decides when the reads of one connection are batched.
pub(super) struct ReadBatching {
    /// Bytes that have come without a pause, since `began`.
    run: usize,
    began: Instant,
    /// How many bytes make a whole run.
    whole_run: usize,
    /// The time of the latest read.
    last: Instant,
    /// SO_RCVLOWAT, in bytes. More than [`ANY`]: reads are batched.
    threshold: usize,
    /// A whole run has come since reads are batched.
    paid_off: bool,
}

impl ReadBatching {
    pub(super) fn new(now: Instant) -> ReadBatching {
        ReadBatching { run: 0, began: now, whole_run: RUN, last: now, threshold: ANY, paid_off: false }
    }

    /// `count` bytes were read. Returns the threshold in bytes that the kernel is to have from now on, if it changes.
    pub(super) fn received(&mut self, count: usize, now: Instant) -> Option<usize> {
        let is_batched = self.threshold > ANY;
        if !is_batched && now.saturating_duration_since(self.last) > DELAY {
            (self.run, self.began) = (0, now);
        }
        self.last = now;
        self.run = self.run.saturating_add(count);
        if self.run < self.whole_run {
            return None;
        }
        let took = usize::try_from(now.saturating_duration_since(self.began).as_micros()).unwrap_or(usize::MAX);
        let batch = self.run.saturating_mul(BATCH_MICROS) / took.max(BATCH_MICROS);
        let threshold = (batch - batch % STEP).clamp(ANY, LARGEST);
        (self.run, self.began, self.paid_off) = (0, now, is_batched);
        let is_new = std::mem::replace(&mut self.threshold, threshold) != threshold;
        is_new.then_some(threshold)
    }

    /// When to call [`timeout`](ReadBatching::timeout).
    pub(super) fn deadline(&self) -> Option<Instant> {
        (self.threshold > ANY).then(|| self.last + DELAY)
    }

    /// Checks whether the rest of a batch takes too long. Returns the threshold that the kernel is to have then.
    pub(super) fn timeout(&mut self, now: Instant) -> Option<usize> {
        self.deadline().filter(|due| *due <= now)?;
        self.whole_run = if self.paid_off { RUN } else { (self.whole_run * 2).min(LONGEST_RUN) };
        (self.run, self.began, self.threshold, self.paid_off) = (0, now, ANY, false);
        Some(ANY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// A client that has sent nothing yet, and the time.
    fn idle() -> (ReadBatching, Instant) {
        let now = Instant::now();
        (ReadBatching::new(now), now)
    }

    /// Sends so many bytes in pieces of 32 KiB, one in so many microseconds. Returns the thresholds that were set.
    fn send(batching: &mut ReadBatching, now: &mut Instant, bytes: usize, micros: u64) -> Vec<usize> {
        let pieces = (0..bytes / (32 << 10)).filter_map(|_| {
            *now += Duration::from_micros(micros);
            batching.received(32 << 10, *now)
        });
        pieces.collect()
    }

    #[test]
    fn a_batch_is_what_comes_in_a_millisecond_within_bounds() {
        for (micros, expected) in [(1, vec![256 << 10]), (200, vec![128 << 10]), (450, vec![64 << 10]), (600, vec![])] {
            let (mut batching, mut now) = idle();
            assert_eq!(send(&mut batching, &mut now, MIB - 1, micros), [0; 0], "not before a whole run");
            assert_eq!(send(&mut batching, &mut now, 3 * MIB, micros), expected, "{micros}");
            assert_eq!(batching.deadline().is_some(), !expected.is_empty());
        }
    }

    #[test]
    fn a_batch_follows_the_rate() {
        let (mut batching, mut now) = idle();
        assert_eq!(send(&mut batching, &mut now, MIB, 400), [64 << 10]);
        assert_eq!(send(&mut batching, &mut now, MIB, 10), [256 << 10]);
        assert_eq!(send(&mut batching, &mut now, MIB, 1000), [ANY]);
        assert_eq!((batching.deadline(), batching.timeout(now + DELAY)), (None, None));
    }

    #[test]
    fn small_pauses_do_not_end_a_run_and_longer_ones_do() {
        for (pause, expected) in [(DELAY, 1), (DELAY + Duration::from_micros(1), 0)] {
            let (mut batching, mut now) = idle();
            assert!(send(&mut batching, &mut now, MIB / 2, 1).is_empty());
            now += pause;
            assert_eq!(send(&mut batching, &mut now, MIB / 2, 0).len(), expected, "{pause:?}");
        }
    }

    #[test]
    fn bytes_wait_for_a_batch_no_longer_than_the_delay() {
        let (mut batching, mut now) = idle();
        send(&mut batching, &mut now, MIB, 1);
        assert_eq!(batching.deadline(), Some(now + DELAY));
        assert_eq!(batching.timeout(now + DELAY - Duration::from_nanos(1)), None);
        assert_eq!(batching.timeout(now + DELAY), Some(ANY));
        assert_eq!((batching.deadline(), batching.timeout(now + DELAY)), (None, None));
    }

    /// A client with a window of 128 KiB, say, never has a whole batch on its way.
    #[test]
    fn a_client_that_pauses_soon_after_each_run_is_delayed_ever_more_rarely() {
        let (mut batching, mut now) = idle();
        let mut delays = 0;
        for _ in 0..1000 {
            if !send(&mut batching, &mut now, MIB, 1).is_empty() {
                delays += 1;
                now += DELAY;
                assert_eq!(batching.timeout(now), Some(ANY));
            }
        }
        // After 1, 2, 4, 8, 16, 32 MiB, and then after 64 each time.
        assert!((20..=22).contains(&delays), "{delays}");
    }

    #[test]
    fn a_pause_after_a_whole_batched_run_costs_nothing_later() {
        let (mut batching, mut now) = idle();
        for _ in 0..10 {
            assert_eq!(send(&mut batching, &mut now, 2 * MIB, 1), [256 << 10]);
            now += DELAY;
            assert_eq!(batching.timeout(now), Some(ANY));
        }
    }
}
