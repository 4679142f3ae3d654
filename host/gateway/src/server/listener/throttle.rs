//! Keeps a log from being flooded by one kind of event: one line in a while, with the number of those in between.

use std::time::Duration;

use tokio::time::Instant;

/// Speaks at most once in an interval.
pub(super) struct LogThrottle {
    interval: Duration,
    last: Option<Instant>,
    suppressed: u64,
}

impl LogThrottle {
    pub(super) fn new(interval: Duration) -> LogThrottle {
        LogThrottle { interval, last: None, suppressed: 0 }
    }

    /// One event. When it is due for a log line: how many were suppressed since the last one.
    pub(super) fn allow(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.duration_since(last) < self.interval) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_with_the_number_of_the_others() {
        let mut throttle = LogThrottle::new(Duration::from_secs(1));
        let start = Instant::now();
        assert_eq!(throttle.allow(start), Some(0));
        for milliseconds in 0..999 {
            assert_eq!(throttle.allow(start + Duration::from_millis(milliseconds)), None);
        }
        assert_eq!(throttle.allow(start + Duration::from_secs(1)), Some(999));
        assert_eq!(throttle.allow(start + Duration::from_secs(3)), Some(0));
    }
}
