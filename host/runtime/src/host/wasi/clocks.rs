//! The coarse clocks of plugins without a grant of finer ones.
//!
//! A plugin can still count how long it runs between two ticks; these clocks only promise not to help it further.
//! Subscriptions use tokio's timers, whose resolution is a millisecond too.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// Too coarse for cache timing attacks.
const RESOLUTION: Duration = Duration::from_millis(1);

/// Time in whole milliseconds since the first use of WASI, from 1 on: Go's runtime takes 0 for a clock that is broken.
#[derive(Clone, Copy)]
pub(in crate::host) struct CoarseClock {
    start: Instant,
}

impl CoarseClock {
    pub(in crate::host) fn start() -> Self {
        Self { start: Instant::now() }
    }
}

/// Truncates to the resolution.
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

    /// The time of the other clock's last tick: two clocks that tick at different moments would together be a finer
    /// one.
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
        let now = coarse(self.start.elapsed()).saturating_add(RESOLUTION);
        u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_truncated_to_milliseconds() {
        assert_eq!(coarse(Duration::from_nanos(1_999_999)), Duration::from_millis(1));
        assert_eq!(coarse(Duration::from_nanos(2_000_000)), Duration::from_millis(2));
        let clock = CoarseClock::start();
        assert!(HostMonotonicClock::now(&clock) >= 1_000_000, "Go programs end at once");
        for _ in 0..1000 {
            assert_eq!(HostMonotonicClock::now(&clock) % 1_000_000, 0);
            assert_eq!(HostWallClock::now(&clock).subsec_nanos() % 1_000_000, 0);
        }
    }
}
