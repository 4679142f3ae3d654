//! The reload task: the only one that checks the folders and changes what is served.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use whelk_runtime::{Error, Loader, Plugin, Source};

use super::folder::{Missing, Outcome, Pending, PluginFolder};
use super::refusal::FileRefusal;
use super::status::Status;
use crate::config::Limits;
use crate::observe::escape::escape;
use crate::observe::event::{PluginEvent, emit};
use crate::plugins::watch::{Check, Debouncer, MOST_WAITING, ROUND, Spot, Watcher};
use crate::state::plugin_files::{self, Stamp};

/// How long `plugins prepared` waits for tenants' plugins, and sessions for the first listing of a tenant's folder.
pub(super) const TENANTS_START: Duration = Duration::from_secs(5);
/// The most changes in the queue. With more, everything is checked.
const MOST_CHANGES: usize = 4_096;

/// The loaders.
pub struct Loaders {
    /// For the operator's plugins.
    pub operators: Arc<Loader>,
    /// For tenants' own.
    pub tenants: Arc<Loader>,
}

impl Loaders {
    /// Others, made from these.
    pub(super) fn map(&self, make: impl Fn(&Loader) -> Arc<Loader>) -> Loaders {
        Loaders { operators: make(&self.operators), tenants: make(&self.tenants) }
    }
}

/// The state that survives a panic of the task.
pub(super) struct Context {
    pub(super) folders: Arc<[Arc<PluginFolder>]>,
    pub(super) loaders: Loaders,
    settle: Duration,
    interval: Duration,
    began: Instant,
    /// Whether the plugins of the start are prepared.
    prepared: Arc<watch::Sender<bool>>,
    pub(super) status: Arc<Status>,
    /// Notified when a program is needed.
    needed: Arc<Notify>,
    /// The next round panics.
    #[cfg(test)]
    pub(super) fault: AtomicBool,
}

/// The task.
pub(super) struct Task {
    pub(super) context: Arc<Context>,
    watcher: Arc<Watcher>,
    pub(super) debouncer: Debouncer,
    changes: mpsc::Receiver<Spot>,
    /// Kept, so that the channel stays open without a watcher.
    _sender: mpsc::Sender<Spot>,
    /// The change queue overflowed; rescan everything.
    missed: Arc<AtomicBool>,
    pub(super) jobs: JoinSet<Outcome>,
    /// The jobs, by id.
    pub(super) job_kinds: HashMap<Id, Job>,
    /// The jobs that load a file.
    pub(super) load_jobs: BTreeMap<FolderFile, LoadJob>,
    /// Sessions still wait for the first listings of tenants' folders, which may take long.
    awaits_listings: bool,
}

/// A file: the number of its folder, and its name.
type FolderFile = (usize, String);

/// A job that runs beside the task.
pub(super) enum Job {
    Check { spot: Spot, settled: bool },
    Load(FolderFile),
}

/// A load in progress.
pub(super) struct LoadJob {
    id: Id,
    handle: AbortHandle,
    /// `None` if the file is being read.
    pub(super) digest: Option<[u8; 32]>,
    settled: bool,
}

impl LoadJob {
    pub(super) fn new(handle: AbortHandle, digest: Option<[u8; 32]>, settled: bool) -> LoadJob {
        LoadJob { id: handle.id(), handle, digest, settled }
    }
}

impl Context {
    pub(super) fn new(
        folders: Arc<[Arc<PluginFolder>]>,
        loaders: Loaders,
        limits: &Limits,
        prepared: Arc<watch::Sender<bool>>,
    ) -> Context {
        let (settle, interval) = (limits.plugins.reload_settle, limits.plugins.reload_interval);
        // All folders of programs have the same.
        let needed = folders.iter().find_map(|folder| folder.config.programs.as_ref());
        let needed = needed.map_or_else(Arc::default, |programs| Arc::clone(programs.signal()));
        Context {
            needed,
            folders,
            loaders,
            settle,
            interval,
            began: Instant::now(),
            prepared,
            status: Arc::default(),
            #[cfg(test)]
            fault: AtomicBool::new(false),
        }
    }

    /// For the task that takes the place of the one with this context.
    pub(super) fn next(&self, folders: Arc<[Arc<PluginFolder>]>, loaders: Loaders, limits: &Limits) -> Context {
        let context = Context::new(folders, loaders, limits, Arc::clone(&self.prepared));
        Context { status: Arc::clone(&self.status), ..context }
    }
}

impl Task {
    pub(super) fn new(context: Arc<Context>) -> Task {
        let (sender, changes) = mpsc::channel(MOST_CHANGES);
        let missed = Arc::new(AtomicBool::new(false));
        let (overflow, told) = (Arc::clone(&missed), sender.clone());
        let paths: Vec<PathBuf> = context.folders.iter().map(|folder| folder.config.path.clone()).collect();
        let tell = move |spot: Option<Spot>| {
            if spot.is_none_or(|spot| told.try_send(spot).is_err()) {
                overflow.store(true, Ordering::Relaxed);
            }
        };
        let watcher = Watcher::new(&paths, Arc::new(tell));
        if let Err(reason) = watcher.start() {
            emit(PluginEvent::FoldersNotWatched { reason: &reason, every: ROUND.as_secs() });
            context.folders.iter().for_each(|folder| folder.state().set_told_unwatched());
        }
        let task = Task {
            watcher: Arc::new(watcher),
            debouncer: Debouncer::new(context.settle, context.interval),
            changes,
            _sender: sender,
            missed,
            jobs: JoinSet::new(),
            job_kinds: HashMap::new(),
            load_jobs: BTreeMap::new(),
            awaits_listings: true,
            context,
        };
        task.release_requests();
        task
    }

    /// The next task after a panic: checks everything from the beginning.
    pub(super) fn again(context: Arc<Context>) -> Task {
        context.folders.iter().for_each(|folder| folder.forget_what_was_seen());
        let mut task = Task::new(context);
        task.check_all();
        task
    }

    /// The task that takes the place of another, whose jobs have ended with it: checks what has changed, and what was
    /// being checked.
    pub(super) fn instead(context: Arc<Context>) -> Task {
        context.folders.iter().for_each(|folder| folder.handed_over());
        let mut task = Task::new(context);
        task.check_all();
        task
    }

    /// Checks every folder, and waits until the operator's have been listed.
    pub(super) async fn begin(&mut self) {
        self.check_all();
        let folders = Arc::clone(&self.context.folders);
        let is_operators = |folder: &usize| folders[*folder].tenant().is_none();
        let awaited: Vec<usize> = (0..folders.len()).filter(is_operators).collect();
        loop {
            self.start_due_checks();
            // A check that has failed altogether is over, too.
            let is_over = |folder: &usize| folders[*folder].state().listed || self.debouncer.is_idle(*folder);
            if awaited.iter().all(is_over) {
                return;
            }
            self.step().await;
        }
    }

    fn check_all(&mut self) {
        let now = now();
        (0..self.context.folders.len()).for_each(|folder| self.debouncer.at_once(Spot::Folder(folder), now));
    }

    /// Whether the plugins of the start are still being prepared.
    pub(super) fn is_starting(&self) -> bool {
        !*self.context.prepared.borrow()
    }

    /// Logs, once, that the plugins of the start are prepared.
    fn end_start(&mut self) {
        let folders = &self.context.folders;
        let is_idle = |folder: usize| {
            self.debouncer.is_idle(folder)
                && self.load_jobs.range((folder, String::new())..(folder + 1, String::new())).next().is_none()
        };
        let is_tenants = |folder: usize| folders[folder].tenant().is_some();
        let is_late = self.context.began.elapsed() >= TENANTS_START;
        // Programs are prepared when they are needed.
        let has_plugins = |folder: &usize| folders[*folder].config.programs.is_none();
        let is_done = |folder: usize| is_idle(folder) || (is_late && is_tenants(folder));
        if !self.is_starting() || !(0..folders.len()).filter(has_plugins).all(is_done) {
            return;
        }
        let of_plugins = folders.iter().filter(|folder| folder.config.programs.is_none());
        let plugins: usize = of_plugins.clone().map(|folder| folder.config.registry.plugins().len()).sum();
        let refused: usize = of_plugins.map(|folder| folder.state().refused.len()).sum();
        let seconds = self.context.began.elapsed().as_secs_f32();
        emit(PluginEvent::AllPrepared { plugins, refused, seconds });
        self.context.prepared.send_replace(true);
    }

    /// A tenant's folder that has not been listed by now is on a disk that does not answer: sessions get the operator's
    /// plugins until it does.
    fn stop_awaiting_listings(&mut self) {
        self.awaits_listings = false;
        for folder in self.context.folders.iter().filter(|folder| folder.tenant().is_some()) {
            let state = folder.state();
            if !state.listed {
                let path = &*folder.config.path;
                let tenant = folder.tenant();
                emit(PluginEvent::FolderSilent { folder: path, tenant });
                folder.config.registry.expect(BTreeSet::new());
            }
        }
    }

    pub(super) async fn run(mut self) -> Infallible {
        let mut round = interval_at(Instant::now() + ROUND, ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let listings_end = self.context.began + TENANTS_START;
        loop {
            self.start_due_checks();
            self.end_start();
            let (awaits_listings, needed) = (self.awaits_listings, Arc::clone(&self.context.needed));
            let removal = self.next_removal();
            tokio::select! {
                () = self.step() => {}
                _ = round.tick() => {
                    #[cfg(test)]
                    assert!(!self.context.fault.swap(false, Ordering::SeqCst), "a fault that a test injected");
                    self.all_changed();
                }
                () = sleep_until(removal.unwrap_or_else(Instant::now)), if removal.is_some() => self.confirm_removals(),
                () = sleep_until(listings_end), if awaits_listings => self.stop_awaiting_listings(),
                () = needed.notified() => self.start_needed(),
            }
            if self.missed.swap(false, Ordering::Relaxed) {
                self.all_changed();
            }
        }
    }

    fn all_changed(&mut self) {
        let now = now();
        (0..self.context.folders.len()).for_each(|folder| self.debouncer.changed(Spot::Folder(folder), now));
    }

    /// Starts the checks that are due.
    fn start_due_checks(&mut self) {
        for Check { spot, settled } in self.debouncer.due(now()) {
            self.start_check(spot, settled);
        }
    }

    fn start_check(&mut self, spot: Spot, settled: bool) {
        let (Spot::Folder(number) | Spot::File(number, _)) = &spot;
        let folder = Arc::clone(&self.context.folders[*number]);
        let started = match &spot {
            Spot::Folder(_) => {
                let watcher = Arc::clone(&self.watcher);
                self.jobs.spawn_blocking(move || folder.list(&watcher))
            }
            Spot::File(_, file) => self.jobs.spawn(folder.check_file(file.clone())),
        };
        self.job_kinds.insert(started.id(), Job::Check { spot, settled });
    }

    /// When the next file that is gone loses its plugin. Files that are being checked do not count: their check
    /// decides.
    fn next_removal(&self) -> Option<Instant> {
        let next = |(number, folder): (usize, &Arc<PluginFolder>)| {
            let state = folder.state();
            let (due, file) = state.removals.next()?;
            (!self.debouncer.is_busy(&Spot::File(number, file.to_owned()))).then_some(due)
        };
        self.context.folders.iter().enumerate().filter_map(next).min()
    }

    /// Checks each file again that is gone for long enough.
    fn confirm_removals(&mut self) {
        let (folders, now) = (Arc::clone(&self.context.folders), Instant::now());
        for (number, folder) in folders.iter().enumerate() {
            let due = folder.state().removals.due_files(now);
            for file in due {
                let spot = Spot::File(number, file);
                if self.debouncer.begin(&spot, now.into_std()) {
                    self.start_check(spot, true);
                }
            }
        }
    }

    /// Waits for one event.
    async fn step(&mut self) {
        let next = self.debouncer.next().map(Instant::from_std);
        tokio::select! {
            Some(spot) = self.changes.recv() => {
                let (Spot::Folder(number) | Spot::File(number, _)) = &spot;
                self.context.folders[*number].told(&spot, Instant::now());
                let spot = self.spot_to_check(spot);
                self.debouncer.changed(spot, now());
            }
            Some(done) = self.jobs.join_next_with_id() => self.done(done),
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
        }
    }

    /// A job has ended. Unknown ones were cancelled.
    pub(super) fn done(&mut self, done: Result<(Id, Outcome), JoinError>) {
        let (id, outcome) = match done {
            Ok((id, outcome)) => (id, Ok(outcome)),
            Err(error) => (error.id(), Err(error)),
        };
        match self.job_kinds.remove(&id) {
            Some(Job::Check { spot, settled }) => self.check_done(spot, settled, outcome),
            Some(Job::Load(folder_file)) => self.loaded(folder_file, outcome),
            None => {}
        }
    }

    fn check_done(&mut self, spot: Spot, settled: bool, outcome: Result<Outcome, JoinError>) {
        self.debouncer.done(&spot);
        let now = now();
        let (number, file) = match spot {
            Spot::Folder(number) => {
                match outcome {
                    Ok(Outcome::Listed { files, is_first }) => self.listed(number, files, is_first),
                    Ok(_) => {}
                    // The panic was logged, and the next round tries again.
                    Err(_) => emit(PluginEvent::FolderLookFailed { number }),
                }
                return;
            }
            Spot::File(number, file) => (number, file),
        };
        let Some(name) = plugin_files::plugin_name(&file).map(str::to_owned) else { return };
        let folder = Arc::clone(&self.context.folders[number]);
        if !matches!(outcome, Ok(Outcome::Absent)) {
            // Another check decides whether it is gone.
            folder.state().removals.forget(&file);
        }
        match outcome {
            Ok(Outcome::Read(source, stamp)) => return self.read((number, file), &name, source, stamp, settled),
            Ok(Outcome::Again) => return self.debouncer.changed(Spot::File(number, file), now),
            Ok(Outcome::Folder) => self.debouncer.changed(Spot::Folder(number), now),
            Ok(Outcome::Absent) => {
                self.cancel(&(number, file.clone()), "its file is gone");
                if folder.file_missing(&name, &file) == Missing::Noticed {
                    // To find others that are gone, too.
                    self.debouncer.changed(Spot::Folder(number), now);
                }
                folder.state().note(&folder, &file, None, settled);
            }
            Ok(Outcome::Unreadable(refusal)) => {
                folder.state().note(&folder, &file, Some(refusal), settled);
                if !settled {
                    return self.debouncer.changed(Spot::File(number, file), now);
                }
            }
            Err(error) => folder.state().note(&folder, &file, Some(failed(&error)), settled),
            Ok(Outcome::Listed { .. } | Outcome::Loaded(_) | Outcome::Done) => {}
        }
        self.end_preparation(number, &file);
    }

    fn listed(&mut self, number: usize, files: Vec<String>, is_first: bool) {
        // After a panic the task counts as running again once it has checked a folder.
        self.context.status.works();
        let now = now();
        // The next round finds the rest.
        for file in files.into_iter().take(MOST_WAITING) {
            let spot = Spot::File(number, file);
            // Files of a first listing are loaded without debouncing: there is nothing yet that they could replace.
            if is_first { self.debouncer.at_once(spot, now) } else { self.debouncer.changed(spot, now) }
        }
    }

    /// A file was read: its contents are loaded, unless that is done or in progress.
    fn read(&mut self, folder_file: FolderFile, name: &str, source: Source, stamp: Stamp, settled: bool) {
        let (number, file) = &folder_file;
        let folder = Arc::clone(&self.context.folders[*number]);
        if let Some(load) = self.load_jobs.get_mut(&folder_file) {
            if load.digest.is_none_or(|digest| digest == *source.digest()) {
                load.settled |= settled;
                folder.touched(file, stamp);
                return;
            }
            // The load of a file that never stops changing would be ended again and again.
            if !settled {
                return self.debouncer.changed(Spot::File(*number, file.clone()), now());
            }
            self.cancel(&folder_file, "a newer version is there");
        }
        let Some(wanted) = folder.found(name, file, stamp, source, settled) else {
            return self.end_preparation(*number, file);
        };
        folder.expect(name);
        let (loader, digest) = (self.loader(&folder), Some(wanted.digest));
        folder.state().pending.insert(file.clone(), Pending { digest, since: Instant::now() });
        let handle = self.jobs.spawn(folder.load(wanted, loader));
        self.job_kinds.insert(handle.id(), Job::Load(folder_file.clone()));
        self.load_jobs.insert(folder_file, LoadJob::new(handle, digest, settled));
    }

    /// The loader of a folder's files.
    pub(super) fn loader(&self, folder: &PluginFolder) -> Arc<Loader> {
        let Loaders { operators, tenants } = &self.context.loaders;
        Arc::clone(if folder.tenant().is_none() { operators } else { tenants })
    }

    /// Ends a load, with its compiler.
    fn cancel(&mut self, folder_file: &FolderFile, reason: &str) {
        let Some(load) = self.load_jobs.remove(folder_file) else { return };
        load.handle.abort();
        self.job_kinds.remove(&load.id);
        let (number, file) = folder_file;
        let folder = &self.context.folders[*number];
        folder.state().pending.remove(file);
        let path = folder.config.path.join(file).display().to_string();
        emit(PluginEvent::LoadCancelled { file: escape(path.as_bytes()), tenant: folder.tenant(), reason });
    }

    fn loaded(&mut self, folder_file: FolderFile, outcome: Result<Outcome, JoinError>) {
        let Some(load) = self.load_jobs.remove(&folder_file) else { return };
        let (number, file) = folder_file;
        let folder = Arc::clone(&self.context.folders[number]);
        folder.state().pending.remove(&file);
        let result = match outcome {
            Ok(Outcome::Loaded(result)) => result.and_then(|plugin: Arc<Plugin>| folder.publish(&plugin)),
            Ok(_) => return self.debouncer.changed(Spot::File(number, file), now()),
            Err(error) => Err(failed(&error)),
        };
        let is_refused = result.is_err();
        folder.state().note(&folder, &file, result.err(), load.settled);
        if is_refused && !load.settled {
            return self.debouncer.changed(Spot::File(number, file), now());
        }
        self.end_preparation(number, &file);
    }

    /// The file is no longer in preparation, unless it is being loaded.
    fn end_preparation(&self, number: usize, file: &str) {
        if let Some(name) = plugin_files::plugin_name(file)
            && !self.load_jobs.contains_key(&(number, file.to_owned()))
        {
            let config = &self.context.folders[number].config;
            match &config.programs {
                Some(programs) => programs.end_request(name),
                None => config.registry.prepared(name),
            }
        }
    }
}

/// A check or a load has panicked, which was logged. Only this file is affected, and it is tried again.
fn failed(error: &JoinError) -> FileRefusal {
    FileRefusal::from_error(&Error::Host { incident: "panic".to_owned(), detail: error.to_string() })
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
