//! Decides when to log a denied destination: once for each destination, and again after a quiet period.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// After this long without a request, a destination is logged again.
const QUIET: Duration = Duration::from_secs(60);
/// The most destinations remembered. A plugin that requests more in a minute has been logged already.
const MOST: usize = 64;

/// The destinations that were denied recently, and when last.
#[derive(Debug, Default)]
pub(super) struct Denials {
    last: Mutex<BTreeMap<String, Instant>>,
}

impl Denials {
    /// Records a denial; returns true if it should be logged.
    pub(super) fn begins(&self, destination: &str, now: Instant) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = last.get_mut(destination) {
            let quiet = now.duration_since(*before) >= QUIET;
            *before = now;
            return quiet;
        }
        if last.len() == MOST {
            last.retain(|_, before| now.duration_since(*before) < QUIET);
        }
        let news = last.len() < MOST;
        if news {
            last.insert(destination.to_owned(), now);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_news_once_and_again_after_it_was_quiet() {
        let (denials, start) = (Denials::default(), Instant::now());
        assert!(denials.begins("a", start));
        assert!(denials.begins("b", start));
        // Requests without a pause count as one occurrence, however long they go on.
        for second in 1..200 {
            assert!(!denials.begins("a", start + Duration::from_secs(second)));
        }
        assert!(denials.begins("b", start + QUIET));
    }

    #[test]
    fn a_flood_of_destinations_is_cut() {
        let (denials, start) = (Denials::default(), Instant::now());
        let news = |at| (0..10_000).filter(|number| denials.begins(&number.to_string(), at)).count();
        assert_eq!(news(start), MOST);
        assert_eq!(news(start + QUIET * 2), MOST);
    }
}
