//! Decides when the plugin of a deleted file is removed. Pure: time is an argument.
//!
//! Decided 2026-11-29. A deploy with `rm * && cp new/* .` deletes every file for a moment without meaning to remove any
//! plugin, so a removal waits until the folder has settled:
//!
//! | what is gone | takes effect when nothing in the folder has changed for | and at the latest after |
//! |---|---|---|
//! | some of the plugins | [`QUIET`], or `reload_settle` if that is longer | [`LATEST`] |
//! | all of two or more, or those that are not gone have been replaced since | [`REFILL_QUIET`] | [`REFILL_LATEST`] |
//!
//! A folder that is not watched shows changes up to one polling round later, which is added. So a single deleted plugin
//! is removed within a second. Until then it is served, and `plugin list` says that its file is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

/// How long the folder must be quiet before the plugin of a deleted file is removed.
pub(super) const QUIET: Duration = Duration::from_millis(500);
/// The longest delay of a removal in a folder that never settles.
pub(super) const LATEST: Duration = Duration::from_secs(10);
/// [`QUIET`] while the folder seems to be in a deploy.
pub(super) const REFILL_QUIET: Duration = Duration::from_secs(5);
/// A replacement and a deletion within this time belong to one deploy: `rm *` takes no longer.
const TOGETHER: Duration = Duration::from_millis(100);
/// How many files have their last event remembered.
const MOST_EVENTS: usize = 4_096;
/// How many replaced files are remembered while no file is gone. With more, a deploy may not be recognised.
const MOST_REPLACED: usize = 1_024;
/// [`LATEST`] while the folder seems to be in a deploy.
pub(super) const REFILL_LATEST: Duration = Duration::from_secs(60);

/// The files of a folder that are gone while their plugins are served.
pub(crate) struct Removals {
    /// How long the folder must be quiet at least.
    settle: Duration,
    /// How late a change may be noticed.
    delay: Duration,
    /// When anything in the folder was last seen to change.
    changed: Option<Instant>,
    /// The last event of each file that was not read since.
    events: BTreeMap<String, Instant>,
    /// When each changed file was noticed.
    replaced: BTreeMap<String, Instant>,
    /// The files that are gone, and since when.
    gone: BTreeMap<String, Instant>,
    /// The files of the plugins that were served when the first of them went.
    served: BTreeSet<String>,
}

impl Removals {
    pub(super) fn new(settle: Duration) -> Removals {
        Removals {
            settle: settle.max(QUIET),
            delay: Duration::ZERO,
            changed: None,
            events: BTreeMap::new(),
            replaced: BTreeMap::new(),
            gone: BTreeMap::new(),
            served: BTreeSet::new(),
        }
    }

    /// How late changes may be noticed from now on.
    /// Changes the time in which a folder settles.
    pub(super) fn set_settle(&mut self, settle: Duration) {
        self.settle = settle.max(QUIET);
    }

    pub(super) fn set_delay(&mut self, delay: Duration) {
        self.delay = delay;
    }

    /// Something in the folder has changed.
    pub(super) fn stir(&mut self, now: Instant) {
        self.changed = Some(now);
    }

    /// An event of a file.
    pub(super) fn tell(&mut self, file: &str, now: Instant) {
        self.stir(now);
        if self.events.len() >= MOST_EVENTS {
            self.events.clear();
        }
        self.events.insert(file.to_owned(), now);
    }

    /// A file exists, and has changed if `replaced`.
    pub(super) fn found(&mut self, file: &str, replaced: bool, now: Instant) {
        if replaced {
            self.stir(now);
            let at = self.events.remove(file).unwrap_or(now);
            self.remember_replaced(file, at, now);
        }
        self.forget(file);
    }

    /// Remembers a replaced file. Whoever writes to the folder chooses the names, so their number is bounded, and once
    /// a file is gone only the files of served plugins count.
    fn remember_replaced(&mut self, file: &str, at: Instant, now: Instant) {
        if self.gone.is_empty() && self.replaced.len() >= MOST_REPLACED {
            let settle = self.settle;
            self.replaced.retain(|_, replaced| now.saturating_duration_since(*replaced) <= settle);
        }
        let counts =
            if self.gone.is_empty() { self.replaced.len() < MOST_REPLACED } else { self.served.contains(file) };
        if counts {
            self.replaced.insert(file.to_owned(), at);
        }
    }

    /// Records that a file is gone. `served` has the files of all served plugins, including this one. True if this is
    /// new.
    pub(super) fn file_missing(&mut self, file: &str, served: impl FnOnce() -> BTreeSet<String>, now: Instant) -> bool {
        if self.gone.contains_key(file) {
            return false;
        }
        let at = self.events.remove(file).unwrap_or(now);
        if self.gone.is_empty() {
            self.served = served();
            // Without events everything in one round is noticed at the same time.
            let together = if self.delay.is_zero() { TOGETHER } else { self.settle };
            self.replaced.retain(|_, replaced| at.saturating_duration_since(*replaced) <= together);
        }
        self.gone.insert(file.to_owned(), now);
        true
    }

    /// A file is no longer gone or waited for.
    pub(super) fn forget(&mut self, file: &str) {
        self.events.remove(file);
        self.gone.remove(file);
        if self.gone.is_empty() {
            self.served.clear();
        }
    }

    /// When this file's plugin is removed, unless something changes; `None` if the file is not gone.
    pub(super) fn due(&self, file: &str) -> Option<Instant> {
        let since = *self.gone.get(file)?;
        let (quiet, latest) =
            if self.is_refilled() { (REFILL_QUIET, REFILL_LATEST) } else { (self.settle, LATEST.max(self.settle)) };
        let changed = self.changed.unwrap_or(since);
        Some((changed + quiet + self.delay).min(since + latest + self.delay))
    }

    /// The next file whose plugin is removed, and when.
    pub(super) fn next(&self) -> Option<(Instant, &str)> {
        let dues = self.gone.keys().filter_map(|file| Some((self.due(file)?, file.as_str())));
        dues.min()
    }

    /// The files whose plugins are removed now.
    pub(super) fn due_files(&self, now: Instant) -> Vec<String> {
        let is_due = |file: &&String| self.due(file).is_some_and(|due| due <= now);
        self.gone.keys().filter(is_due).cloned().collect()
    }

    /// The files that are gone, and since when.
    pub(crate) fn gone(&self) -> impl Iterator<Item = (&str, Instant)> {
        self.gone.iter().map(|(file, since)| (file.as_str(), *since))
    }

    /// Whether all of several files have changed, as far as that is known: a deploy is in progress.
    fn is_refilled(&self) -> bool {
        let is_other = |file: &String| {
            self.gone.contains_key(file) || self.replaced.contains_key(file) || self.events.contains_key(file)
        };
        self.served.len() > 1 && self.served.iter().all(is_other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        removals: Removals,
        start: Instant,
        served: BTreeSet<String>,
    }

    fn case(served: &[&str]) -> Case {
        let served = served.iter().map(|file| (*file).to_owned()).collect();
        Case { removals: Removals::new(Duration::from_millis(200)), start: Instant::now(), served }
    }

    impl Case {
        fn at(&self, milliseconds: u64) -> Instant {
            self.start + Duration::from_millis(milliseconds)
        }

        /// It is gone, with an event at that time.
        fn file_missing(&mut self, file: &str, milliseconds: u64) {
            let now = self.at(milliseconds);
            self.removals.tell(file, now);
            let served = self.served.clone();
            self.removals.file_missing(file, || served, now);
        }

        fn replaced(&mut self, file: &str, milliseconds: u64) {
            let now = self.at(milliseconds);
            self.removals.found(file, true, now);
        }

        fn due(&self, file: &str) -> Option<u128> {
            self.removals.due(file).map(|due| due.duration_since(self.start).as_millis())
        }
    }

    #[test]
    fn a_single_deleted_file_is_removed_as_soon_as_the_folder_is_quiet() {
        let mut case = case(&["a", "b", "c"]);
        case.file_missing("a", 0);
        assert_eq!((case.due("a"), case.due("b")), (Some(500), None));
        case.replaced("b", 400);
        assert_eq!(case.due("a"), Some(900));
        // Somebody never stops writing.
        for turn in 1..100 {
            case.replaced("b", 400 * turn);
        }
        assert_eq!(case.due("a"), Some(10_000));
        assert_eq!(case.removals.next().map(|(_, file)| file), Some("a"));
    }

    #[test]
    fn the_only_plugin_is_removed_as_soon_when_it_is_deleted_or_renamed() {
        let mut case = case(&["a"]);
        case.file_missing("a", 0);
        case.replaced("b", 0);
        assert_eq!(case.due("a"), Some(500));
    }

    #[test]
    fn an_emptied_folder_delays_removal() {
        let mut case = case(&["a", "b", "c"]);
        ["a", "b", "c"].into_iter().for_each(|file| case.file_missing(file, 0));
        assert_eq!(case.due("a"), Some(5_000));
        // Four seconds later the first is back. The others keep their time from then on.
        case.replaced("a", 4_000);
        assert_eq!((case.due("a"), case.due("b")), (None, Some(9_000)));
        case.replaced("b", 8_000);
        assert_eq!(case.due("c"), Some(13_000));
        case.replaced("c", 12_000);
        assert_eq!(case.removals.next(), None);
        // The deploy is over: a single deletion after it is a deletion.
        case.file_missing("c", 60_000);
        assert_eq!(case.due("c"), Some(60_500));
    }

    #[test]
    fn a_folder_refilled_before_a_check_delays_removal_too() {
        let mut case = case(&["a", "b", "c"]);
        case.replaced("a", 100);
        case.file_missing("b", 200);
        case.file_missing("c", 200);
        assert_eq!(case.due("b"), Some(5_200));
        // It never settles, and is no longer waited for.
        (0..200).for_each(|turn| case.replaced("a", 400 * turn));
        assert_eq!(case.due("b"), Some(60_200));
    }

    #[test]
    fn files_with_new_names_take_bounded_memory() {
        let mut case = case(&["a", "b"]);
        (0..100_000).for_each(|number| case.replaced(&format!("{number}"), number / 1_000));
        assert!(case.removals.replaced.len() <= MOST_REPLACED);
        case.file_missing("a", 200_000);
        (0..100_000).for_each(|number| case.replaced(&format!("{number}"), 200_000));
        assert_eq!(case.removals.replaced.len(), 0);
        // Everything that matters is remembered.
        case.replaced("b", 200_100);
        assert_eq!(case.due("a"), Some(205_100));
    }

    #[test]
    fn a_deletion_soon_after_another_files_replacement_counts() {
        let mut case = case(&["a", "b"]);
        case.removals.tell("a", case.start);
        // It was read later than that.
        case.replaced("a", 300);
        case.file_missing("b", 400);
        assert_eq!(case.due("b"), Some(900));
    }

    #[test]
    fn events_that_were_not_checked_yet_delay_removal() {
        let mut case = case(&["a", "b", "c"]);
        let (now, served) = (case.at(900), case.served.clone());
        ["a", "b", "c"].into_iter().for_each(|file| case.removals.tell(file, case.start));
        case.removals.file_missing("a", || served, now);
        assert_eq!(case.due("a"), Some(5_000));
        case.removals.file_missing("b", || unreachable!("they are known"), now);
        // The last one was only touched.
        case.removals.found("c", false, now);
        assert_eq!(case.due("a"), Some(500));
    }

    #[test]
    fn polling_delays_removal() {
        let mut case = case(&["a", "b"]);
        case.removals.set_delay(Duration::from_secs(2));
        case.file_missing("a", 0);
        assert_eq!(case.due("a"), Some(2_500));
    }
}
