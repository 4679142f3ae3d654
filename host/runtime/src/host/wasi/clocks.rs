//! The clocks of plugins that were granted no finer ones.
//!
//! A plugin can still count how long it runs between two ticks; that no clock here helps it to more is all that is promised. Its
//! subscriptions are tokio's timers, whose wheel turns by the millisecond too.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// Too coarse to time a cache.
const RESOLUTION: Duration = Duration::from_millis(1);

/// Time in whole milliseconds, from the first use of WASI on.
#[derive(Clone, Copy)]
pub(in crate::host) struct CoarseClock {
    start: Instant,
}

impl CoarseClock {
    pub(in crate::host) fn start() -> Self {
        Self { start: Instant::now() }
    }
}

/// Cuts off what is finer than the resolution.
fn coarse(time: Duration) -> Duration {
    time - fraction(time)
}

fn fraction(time: Duration) -> Duration {
    Duration::from_nanos(u64::from(time.subsec_nanos()) % 1_000_000)
}

impl HostWallClock for CoarseClock {
    fn resolution(&self) -> Duration {
        RESOLUTION
    }

    /// The time when the other clock last ticked: two clocks that tick apart would be a finer one together.
    fn now(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        coarse(now.saturating_sub(fraction(self.start.elapsed())))
    }
}

impl HostMonotonicClock for CoarseClock {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        u64::try_from(coarse(self.start.elapsed()).as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_finer_than_a_millisecond_is_cut_off() {
        assert_eq!(coarse(Duration::from_nanos(1_999_999)), Duration::from_millis(1));
        assert_eq!(coarse(Duration::from_nanos(2_000_000)), Duration::from_millis(2));
        let clock = CoarseClock::start();
        for _ in 0..1000 {
            assert_eq!(HostMonotonicClock::now(&clock) % 1_000_000, 0);
            assert_eq!(HostWallClock::now(&clock).subsec_nanos() % 1_000_000, 0);
        }
    }
}
