//! Keeps a log from being flooded by one kind of event: one line in a while, with the number of those in between.

use std::time::Duration;

use tokio::time::Instant;

/// Speaks at most once in an interval.
pub(super) struct Hush {
    interval: Duration,
    spoke: Option<Instant>,
    kept: u64,
}

impl Hush {
    pub(super) fn new(interval: Duration) -> Hush {
        Hush { interval, spoke: None, kept: 0 }
    }

    /// One event. When it is time to speak: how many were kept back since the last time.
    pub(super) fn speak(&mut self, now: Instant) -> Option<u64> {
        if self.spoke.is_some_and(|spoke| now.duration_since(spoke) < self.interval) {
            self.kept += 1;
            return None;
        }
        self.spoke = Some(now);
        Some(std::mem::take(&mut self.kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_with_the_number_of_the_others() {
        let mut hush = Hush::new(Duration::from_secs(1));
        let start = Instant::now();
        assert_eq!(hush.speak(start), Some(0));
        for milliseconds in 0..999 {
            assert_eq!(hush.speak(start + Duration::from_millis(milliseconds)), None);
        }
        assert_eq!(hush.speak(start + Duration::from_secs(1)), Some(999));
        assert_eq!(hush.speak(start + Duration::from_secs(3)), Some(0));
    }
}
