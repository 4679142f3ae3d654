//! When to check for changes on disk: a pure debouncer (events and time in, checks out), and a thin layer over inotify.
//!
//! Knows folders by their numbers and files by their names; `reload.rs` handles the contents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};

/// How often every folder is checked, even without events.
pub(crate) const ROUND: Duration = Duration::from_secs(2);
/// The most files of one folder that wait for a check. When more have changed, the folder is checked as a whole.
pub(crate) const MOST_WAITING: usize = 1_024;
/// The most files of one folder that are checked concurrently. Further ones wait.
const MOST_BUSY: usize = 8;

/// What may have changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Spot {
    /// Anything in this folder.
    Folder(usize),
    /// One file, by its name in this folder.
    File(usize, String),
}

/// A check that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) spot: Spot,
    /// Whether nothing has changed there for a while. Otherwise changes never pause, and another check follows.
    pub(crate) settled: bool,
}

/// Decides when to check. A spot is checked when nothing has changed there for `settle`, or when changes have gone on
/// for `interval`; at most once per `interval`; and never twice concurrently.
pub(crate) struct Debouncer {
    settle: Duration,
    interval: Duration,
    waiting: BTreeMap<Spot, Wait>,
    /// Checks in progress.
    busy: BTreeSet<Spot>,
    /// How many files of each folder wait. A tenant that touches thousands must not delay others' folders.
    files: BTreeMap<usize, usize>,
    /// The earliest time of the next check of a spot. Past times are removed.
    resting: BTreeMap<Spot, Instant>,
}

/// A change that was not checked yet.
struct Wait {
    /// The latest time of its check.
    latest: Instant,
    /// The time when it has settled.
    settled: Instant,
}

impl Debouncer {
    pub(crate) fn new(settle: Duration, interval: Duration) -> Debouncer {
        let (waiting, busy, resting) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Debouncer { settle, interval, waiting, busy, files: BTreeMap::new(), resting }
    }

    /// Something has changed.
    pub(crate) fn changed(&mut self, spot: Spot, now: Instant) {
        let (settled, latest) = (now + self.settle, now + self.interval);
        let spot = self.in_bounds(spot);
        if let Some(wait) = self.waiting.get_mut(&spot) {
            wait.settled = settled;
        } else {
            self.wait(spot, Wait { latest, settled });
        }
    }

    /// Requests a check without waiting for more changes.
    pub(crate) fn at_once(&mut self, spot: Spot, now: Instant) {
        self.wait(spot, Wait { latest: now, settled: now });
    }

    fn wait(&mut self, spot: Spot, wait: Wait) {
        let folder = spot.file_of();
        if self.waiting.insert(spot, wait).is_none()
            && let Some(folder) = folder
        {
            *self.files.entry(folder).or_default() += 1;
        }
    }

    /// The checks that are due. Call [`done`](Self::done) after each.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Check> {
        self.resting.retain(|_, until| *until > now);
        let mut busy = self.busy_files();
        let mut has_room = |spot: &Spot| {
            let Some(folder) = spot.file_of() else { return true };
            let busy: &mut usize = busy.entry(folder).or_default();
            *busy += 1;
            *busy <= MOST_BUSY
        };
        let due: Vec<Spot> = self
            .waiting
            .iter()
            .filter(|(spot, wait)| self.ready(spot, wait).is_some_and(|ready| ready <= now) && has_room(spot))
            .map(|(spot, _)| spot.clone())
            .collect();
        let checks = due.into_iter().filter_map(|spot| {
            let wait = self.waiting.remove(&spot)?;
            if let Some(files) = spot.file_of().and_then(|folder| self.files.get_mut(&folder)) {
                *files -= 1;
            }
            self.busy.insert(spot.clone());
            self.resting.insert(spot.clone(), now + self.interval);
            Some(Check { spot, settled: wait.settled <= now })
        });
        checks.collect()
    }

    /// Begins a check of this spot now, whatever waits. False if one is in progress.
    pub(crate) fn begin(&mut self, spot: &Spot, now: Instant) -> bool {
        self.resting.insert(spot.clone(), now + self.interval);
        self.busy.insert(spot.clone())
    }

    /// Whether this is being checked.
    pub(crate) fn is_busy(&self, spot: &Spot) -> bool {
        self.busy.contains(spot)
    }

    /// A check is done.
    pub(crate) fn done(&mut self, spot: &Spot) {
        self.busy.remove(spot);
    }

    /// When the next check is due; `None` if nothing waits, or only for checks in progress.
    pub(crate) fn next(&self) -> Option<Instant> {
        let busy = self.busy_files();
        let has_room =
            |spot: &Spot| spot.file_of().is_none_or(|folder| busy.get(&folder).is_none_or(|busy| *busy < MOST_BUSY));
        let waiting = self.waiting.iter().filter(|(spot, _)| has_room(spot));
        waiting.filter_map(|(spot, wait)| self.ready(spot, wait)).min()
    }

    /// How many files of each folder are being checked.
    fn busy_files(&self) -> BTreeMap<usize, usize> {
        let mut busy = BTreeMap::new();
        for folder in self.busy.iter().filter_map(Spot::file_of) {
            *busy.entry(folder).or_default() += 1;
        }
        busy
    }

    /// Whether nothing in this folder waits or is being checked.
    pub(crate) fn is_idle(&self, folder: usize) -> bool {
        let is_in = |spot: &Spot| matches!(spot, Spot::Folder(of) | Spot::File(of, _) if *of == folder);
        !self.waiting.keys().any(is_in) && !self.busy.iter().any(is_in)
    }

    fn ready(&self, spot: &Spot, wait: &Wait) -> Option<Instant> {
        if self.busy.contains(spot) {
            return None;
        }
        let ready = wait.settled.min(wait.latest);
        Some(self.resting.get(spot).map_or(ready, |until| ready.max(*until)))
    }

    /// The spot, or its folder if too many of its files wait.
    fn in_bounds(&mut self, spot: Spot) -> Spot {
        let Spot::File(folder, _) = spot else { return spot };
        if self.files.get(&folder).is_none_or(|files| *files < MOST_WAITING) || self.waiting.contains_key(&spot) {
            return spot;
        }
        self.waiting.retain(|other, _| other.file_of() != Some(folder));
        self.files.remove(&folder);
        Spot::Folder(folder)
    }
}

impl Spot {
    /// The folder of a file.
    fn file_of(&self) -> Option<usize> {
        match self {
            Spot::Folder(_) => None,
            Spot::File(folder, _) => Some(*folder),
        }
    }
}

/// The kernel's notifications.
pub(crate) struct Watcher {
    folders: Arc<[PathBuf]>,
    tell: Tell,
    /// `None` while the kernel has no inotify instance left (`fs.inotify.max_user_instances`).
    notify: Mutex<Option<RecommendedWatcher>>,
}

/// Receives the notifications, on a thread of the watcher; must not block. `None`: anything may have changed.
pub(crate) type Tell = Arc<dyn Fn(Option<Spot>) + Send + Sync>;

impl Watcher {
    /// A watcher of these folders, none of which is watched yet.
    pub(crate) fn new(folders: &[PathBuf], tell: Tell) -> Watcher {
        // The kernel's paths are absolute.
        let folders = folders.iter().map(|folder| whole(folder)).collect();
        Watcher { folders, tell, notify: Mutex::new(None) }
    }

    /// Opens an inotify instance, unless there is one.
    ///
    /// # Errors
    /// Why there is none. Then nothing is watched.
    pub(crate) fn start(&self) -> Result<(), String> {
        let mut watcher = self.notify.lock().unwrap_or_else(PoisonError::into_inner);
        if watcher.is_none() {
            *watcher = Some(self.make().map_err(|error| format!("the kernel tells of no changes: {error}"))?);
        }
        Ok(())
    }

    fn make(&self) -> notify::Result<RecommendedWatcher> {
        let (folders, tell) = (Arc::clone(&self.folders), Arc::clone(&self.tell));
        notify::recommended_watcher(move |event: notify::Result<Event>| match event {
            Ok(event) if event.need_rescan() => tell(None),
            Ok(event) => spots(&folders, &event).into_iter().for_each(|spot| tell(Some(spot))),
            Err(_) => tell(None),
        })
    }

    /// Watches what is now at this path, and no longer what was there before. Blocks on the disk.
    ///
    /// # Errors
    /// Why it cannot be watched.
    pub(crate) fn watch(&self, folder: &Path) -> Result<(), String> {
        self.start()?;
        let mut watcher = self.notify.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(watcher) = watcher.as_mut() else { return Ok(()) };
        let folder = whole(folder);
        // Fails if it was not watched, which does not matter.
        let _ = watcher.unwatch(&folder);
        watcher.watch(&folder, RecursiveMode::NonRecursive).map_err(|error| error.to_string())
    }
}

/// The absolute form of a path. Unchanged if there is no working folder.
fn whole(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The subject of an event. Reads are ignored: we read the files ourselves.
fn spots(folders: &[PathBuf], event: &Event) -> Vec<Spot> {
    if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)) {
        return Vec::new();
    }
    let spot = |path: &PathBuf| {
        if let Some(folder) = folders.iter().position(|folder| folder == path) {
            return Some(Spot::Folder(folder));
        }
        let folder = folders.iter().position(|folder| path.parent() == Some(folder))?;
        // A program that writes a plugin under another name first, to rename it, is changing the folder all the same.
        let name = path.file_name()?.to_str().filter(|name| name.ends_with(".wasm"));
        Some(name.map_or(Spot::Folder(folder), |name| Spot::File(folder, name.to_owned())))
    };
    event.paths.iter().filter_map(spot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_millis(200);
    const INTERVAL: Duration = Duration::from_secs(1);

    struct Case {
        debouncer: Debouncer,
        start: Instant,
    }

    fn case() -> Case {
        Case { debouncer: Debouncer::new(SETTLE, INTERVAL), start: Instant::now() }
    }

    fn file(name: &str) -> Spot {
        Spot::File(0, name.to_owned())
    }

    impl Case {
        fn at(&self, milliseconds: u64) -> Instant {
            self.start + Duration::from_millis(milliseconds)
        }

        fn changed(&mut self, name: &str, milliseconds: u64) {
            self.debouncer.changed(file(name), self.at(milliseconds));
        }

        /// The names of the files that are due, with a `~` after those that have not settled.
        fn due(&mut self, milliseconds: u64) -> Vec<String> {
            let due = self.debouncer.due(self.at(milliseconds)).into_iter();
            due.map(|check| match check.spot {
                Spot::File(_, name) => format!("{name}{}", if check.settled { "" } else { "~" }),
                Spot::Folder(folder) => format!("folder {folder}"),
            })
            .collect()
        }
    }

    #[test]
    fn a_change_is_checked_once_when_it_has_settled() {
        // W38
        let mut case = case();
        for time in [0, 100, 250] {
            case.changed("a", time);
            assert!(case.due(time).is_empty());
        }
        assert_eq!(case.debouncer.next(), Some(case.at(450)));
        assert!(case.due(449).is_empty());
        assert_eq!(case.due(450), ["a"]);
        assert_eq!(case.debouncer.next(), None);
        assert!(case.due(10_000).is_empty());
    }

    #[test]
    fn many_changes_cause_one_check_a_second() {
        // W39
        let mut case = case();
        let mut checks = Vec::new();
        for time in (0..10_000).step_by(10) {
            case.changed("a", time);
            for name in case.due(time) {
                checks.push((time, name));
                case.debouncer.done(&file("a"));
            }
        }
        assert_eq!(checks.len(), 9, "{checks:?}");
        assert!(checks.iter().all(|(_, name)| name == "a~"));
        assert!(checks.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 1_000), "{checks:?}");
        assert!(case.due(10_999).iter().all(|name| name == "a"), "the last one counts too");
    }

    #[test]
    fn a_spot_is_never_checked_twice_concurrently() {
        let mut case = case();
        case.changed("a", 0);
        assert_eq!(case.due(200), ["a"]);
        case.changed("a", 300);
        case.changed("b", 300);
        assert_eq!(case.due(60_000), ["b"]);
        assert_eq!(case.debouncer.next(), None);
        assert!(!case.debouncer.is_idle(0));
        case.debouncer.done(&file("a"));
        assert_eq!(case.due(60_000), ["a"]);
        case.debouncer.done(&file("a"));
        case.debouncer.done(&file("b"));
        assert!(case.debouncer.is_idle(0));
    }

    #[test]
    fn two_changes_in_a_second_cause_two_checks_a_second_apart() {
        let mut case = case();
        case.changed("a", 0);
        assert_eq!(case.due(200), ["a"]);
        case.debouncer.done(&file("a"));
        case.changed("a", 300);
        assert_eq!(case.debouncer.next(), Some(case.at(1_200)));
        assert!(case.due(1_199).is_empty());
        assert_eq!(case.due(1_200), ["a"]);
    }

    #[test]
    fn an_immediate_check_does_not_wait() {
        let mut case = case();
        case.debouncer.at_once(Spot::Folder(3), case.start);
        assert_eq!(case.due(0), ["folder 3"]);
    }

    #[test]
    fn a_million_changed_files_are_one_changed_folder() {
        let mut case = case();
        for number in 0..100_000 {
            case.changed(&format!("{number}"), 0);
        }
        assert!(case.debouncer.waiting.len() <= MOST_WAITING);
        assert!(case.due(200).contains(&"folder 0".to_owned()));
        assert!(case.debouncer.resting.len() <= MOST_WAITING);
    }

    #[test]
    fn a_new_file_causes_an_event_however_the_path_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let up = std::env::current_dir().unwrap().components().skip(1).map(|_| "..").collect::<PathBuf>();
        let relative = up.join(folder.path().strip_prefix("/").unwrap());
        let (sender, receiver) = std::sync::mpsc::channel();
        // The test has ended.
        let tell = move |spot| drop(sender.send(spot));
        let watcher = Watcher::new(std::slice::from_ref(&relative), Arc::new(tell));
        watcher.watch(&relative).unwrap();
        std::fs::write(folder.path().join("a.wasm"), "").unwrap();
        assert_eq!(receiver.recv_timeout(Duration::from_secs(60)), Ok(Some(file("a.wasm"))));
    }

    #[test]
    fn an_event_is_about_a_plugin_or_its_folder_or_nothing() {
        let folders = [PathBuf::from("/plugins"), PathBuf::from("/tenants/acme")];
        let event = |kind, path: &str| spots(&folders, &Event::new(kind).add_path(path.into()));
        let any = EventKind::Any;
        assert_eq!(event(any, "/tenants/acme/a.wasm"), [Spot::File(1, "a.wasm".to_owned())]);
        assert_eq!(event(any, "/plugins"), [Spot::Folder(0)]);
        // A file that becomes a plugin by being renamed.
        assert_eq!(event(any, "/plugins/a.wasm.new"), [Spot::Folder(0)]);
        for path in ["/plugins/a/b.wasm", "/", "/other/a.wasm"] {
            assert_eq!(event(any, path), [], "{path}");
        }
        let read = EventKind::Access(AccessKind::Open(AccessMode::Any));
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        assert_eq!(event(read, "/plugins/a.wasm"), []);
        assert_eq!(event(written, "/plugins/a.wasm"), [file("a.wasm")]);
    }
}
