//! When a denied destination is worth a line for the operator: once for each destination, and again after it has been quiet.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// After so long without it, a destination that is asked for again is news.
const QUIET: Duration = Duration::from_secs(60);
/// Destinations remembered. Whoever asks for more of them in a minute is already known for it.
const MOST: usize = 64;

/// What was denied lately, and when last.
#[derive(Debug, Default)]
pub(super) struct Denials {
    last: Mutex<BTreeMap<String, Instant>>,
}

impl Denials {
    /// Notes a denial; true if the operator has not heard of this destination lately.
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
        // It is asked for again and again: one episode, however long.
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
