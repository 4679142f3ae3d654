//! Decides when to log a denied destination: once for each destination, and again after a quiet period.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::Throttle;

/// After this long without a request, a destination is logged again.
const QUIET: Duration = Duration::from_secs(60);
/// The most destinations remembered. A plugin that requests more in a minute has been logged already.
const MOST: usize = 64;

/// The destinations that were denied recently.
#[derive(Debug, Default)]
pub(super) struct Denials {
    by_destination: Mutex<BTreeMap<String, Throttle>>,
}

impl Denials {
    /// Records a denial; returns true if it should be logged.
    pub(super) fn is_news(&self, destination: &str, now: Instant) -> bool {
        let mut throttles = self.by_destination.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(throttle) = throttles.get(destination) {
            return throttle.allow(now).is_some();
        }
        if throttles.len() == MOST {
            throttles.retain(|_, throttle| !throttle.is_idle(now));
        }
        if throttles.len() == MOST {
            return false;
        }
        let throttle = throttles.entry(destination.to_owned()).or_insert_with(|| Throttle::after_quiet(QUIET));
        throttle.allow(now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_logged_once_and_again_after_a_quiet_period() {
        let (denials, start) = (Denials::default(), Instant::now());
        assert!(denials.is_news("a", start));
        assert!(denials.is_news("b", start));
        // Requests without a pause count as one occurrence, however long they go on.
        for second in 1..200 {
            assert!(!denials.is_news("a", start + Duration::from_secs(second)));
        }
        assert!(denials.is_news("b", start + QUIET));
    }

    #[test]
    fn the_number_of_remembered_destinations_is_bounded() {
        let (denials, start) = (Denials::default(), Instant::now());
        let news = |at| (0..10_000).filter(|number| denials.is_news(&number.to_string(), at)).count();
        assert_eq!(news(start), MOST);
        assert_eq!(news(start + QUIET * 2), MOST);
    }
}
