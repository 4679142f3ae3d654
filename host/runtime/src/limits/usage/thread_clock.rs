//! The processor time of the calling thread, with few readings of its clock: each is a system call (0.4 µs), and a
//! session that prints a line and ends would make four of them.
//!
//! Decided 2026-11-30: work of less than [`SHORT`] is measured by the clock on the wall, which is no system call. It is
//! too much only if the kernel has preempted the thread meanwhile. Longer work is measured by the thread's clock, from
//! a reading that is at most [`FRESH`] older than its beginning, and never taken to be more than the time on the wall.

use std::cell::Cell;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Work that takes less is measured by the clock on the wall, in nanoseconds.
const SHORT: u64 = 100_000;
/// How old a reading of the thread's clock may be at the beginning of work, in nanoseconds.
const FRESH: u64 = 1_000_000;

thread_local! {
    /// The last reading of this thread's clock.
    static LAST: Cell<Option<Moment>> = const { Cell::new(None) };
}

/// When work began on this thread. Measures nothing on another one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    /// By the clock on the wall, nanoseconds.
    pub(in crate::limits) wall: u64,
    /// What the thread had used by then, or up to [`FRESH`] before, nanoseconds.
    pub(in crate::limits) used: u64,
}

impl Moment {
    /// Work begins now.
    pub(crate) fn now() -> Self {
        Self::at(wall())
    }

    fn at(wall: u64) -> Self {
        match LAST.get() {
            Some(last) if wall.saturating_sub(last.wall) < FRESH => Self { wall, used: last.used },
            _ => Self::read(wall),
        }
    }

    /// Reads the thread's clock.
    fn read(wall: u64) -> Self {
        let used = u64::try_from(thread_time().as_nanos()).unwrap_or(u64::MAX);
        let read = Self { wall, used };
        LAST.set(Some(read));
        read
    }

    /// What the thread has used since, nanoseconds.
    pub(crate) fn elapsed(self) -> u64 {
        self.elapsed_at(wall())
    }

    /// The same, and the moment at which more work begins.
    pub(crate) fn next(self) -> (u64, Self) {
        let now = wall();
        (self.elapsed_at(now), Self::at(now))
    }

    fn elapsed_at(self, now: u64) -> u64 {
        let elapsed = now.saturating_sub(self.wall);
        if elapsed < SHORT { elapsed } else { elapsed.min(Self::read(now).used.saturating_sub(self.used)) }
    }
}

fn wall() -> u64 {
    let now = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// The processor time that the calling thread has used so far.
pub(crate) fn thread_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    fn work(time: Duration) {
        let start = thread_time();
        while thread_time() - start < time {
            std::hint::black_box(0);
        }
    }

    #[test]
    fn long_work_is_what_the_thread_has_used_and_waiting_is_not() {
        let began = Moment::now();
        work(Duration::from_millis(20));
        let (done, wait) = channel::<()>();
        let other = thread::spawn(move || {
            work(Duration::from_millis(30));
            drop(done);
        });
        let _ = wait.recv();
        other.join().unwrap();
        let used = began.elapsed();
        assert!((20_000_000..25_000_000).contains(&used), "{used}");
    }

    #[test]
    fn short_work_reads_the_threads_clock_once_in_a_while() {
        // Another thread has no reading.
        let readings = thread::spawn(|| {
            let (mut readings, mut last) = (0, 0);
            let began = wall();
            let mut used = 0;
            while wall() - began < 20 * FRESH {
                let moment = Moment::now();
                used += moment.elapsed();
                readings += u32::from(std::mem::replace(&mut last, moment.used) != moment.used);
            }
            (readings, used <= wall() - began)
        });
        let (readings, is_bounded) = readings.join().unwrap();
        assert!((1..=21).contains(&readings) && is_bounded, "{readings}");
    }

    #[test]
    fn nothing_is_measured_as_more_than_its_time_on_the_wall() {
        for _ in 0..100 {
            let before = wall();
            let moment = Moment::now();
            work(Duration::from_micros(150));
            let used = moment.elapsed();
            assert!((150_000..=wall() - before).contains(&used), "{used}");
        }
    }
}
