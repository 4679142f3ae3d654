//! The state of one plugin folder: its files, refusals, and loads.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use whelk_runtime::{CompileSlots, Fallback, Loader, Plugin, Published, Source, Terms, is_large};

use super::refusal::FileRefusal;
use super::removal::Removals;
use super::settings::{FolderConfig, FolderLimits};
use crate::config::Limits;
use crate::observe::escape::escape;
use crate::observe::event::{PluginEvent, emit};
use crate::plugins::watch::{ROUND, Spot, Watcher};
use crate::state::plugin_files::{self, FolderId, Listing, Reading, Stamp};

/// How many names of ignored files are remembered as logged.
const MOST_TOLD: usize = 64;

/// One folder and its state.
pub(crate) struct PluginFolder {
    pub(crate) config: FolderConfig,
    pub(super) limits: FolderLimits,
    /// Shared with the same folder by other limits.
    state: Arc<Mutex<FolderState>>,
}

/// What is known about the files of a folder.
pub(crate) struct FolderState {
    /// Why the folder cannot be read.
    pub(crate) trouble: Option<String>,
    /// Why it is not watched, and since when.
    pub(crate) unwatched: Option<(String, Instant)>,
    /// The files that are refused, and why.
    pub(crate) refused: BTreeMap<String, FileRefusal>,
    /// The files that are being loaded.
    pub(crate) pending: BTreeMap<String, Pending>,
    /// The files that are gone while their plugins are still served.
    pub(crate) removals: Removals,
    /// Files that are not plugins but look as if they were meant to be.
    pub(crate) ignored: BTreeSet<String>,
    /// Which of those were logged.
    told_ignored: BTreeSet<String>,
    /// The folder's identity.
    pub(super) identity: Option<FolderId>,
    /// The identity under which it is watched.
    watched: Option<FolderId>,
    /// It was logged that the folder is not watched.
    told_unwatched: bool,
    /// The folder has been listed, or listing has failed.
    pub(super) listed: bool,
    /// The stamp of each file at its last check.
    seen: BTreeMap<String, Stamp>,
    /// The stamp of each file at the last listing.
    stamps: BTreeMap<String, Option<Stamp>>,
}

/// A file that is being loaded.
pub(crate) struct Pending {
    /// `None` while it is being read.
    pub(crate) digest: Option<[u8; 32]>,
    pub(crate) since: Instant,
}

/// The outcome of a check of a folder or a file, or of a load.
pub(super) enum Outcome {
    /// The folder was listed; these files are to be checked.
    Listed {
        files: Vec<String>,
        /// It was listed for the first time.
        is_first: bool,
    },
    /// The file was read.
    Read(Source, Stamp),
    /// The file cannot be read.
    Unreadable(FileRefusal),
    /// There is no such file.
    Absent,
    /// The load has ended.
    Loaded(Result<Arc<Plugin>, FileRefusal>),
    /// Nothing more to do.
    Done,
    /// It changed during the check.
    Again,
    /// The folder cannot be read.
    Folder,
}

/// What happens to the plugin of a missing file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The plugin is not served (any more).
    Removed,
    /// The plugin is served until the folder has settled; this is the first check without the file.
    Noticed,
    /// As `Noticed`, but an earlier check found the file gone.
    Waiting,
}

/// A file to load.
pub(super) struct Wanted {
    pub(super) file: String,
    pub(super) digest: [u8; 32],
    stamp: Stamp,
    size: usize,
    /// The permit to load it, with the bytes, if a permit was free. Otherwise the bytes are read again once there is a
    /// permit: keeping those of all waiting files would take too much memory.
    permit: Option<(OwnedSemaphorePermit, Source)>,
}

impl PluginFolder {
    /// A folder that is not known yet.
    pub(super) fn new(config: FolderConfig, limits: &Limits, tenants_slots: &Arc<CompileSlots>) -> PluginFolder {
        config.registry.expect_all();
        let state = Arc::new(Mutex::new(FolderState::new(limits.plugins.reload_settle)));
        PluginFolder { limits: FolderLimits::new(&config, limits, tenants_slots), config, state }
    }

    /// This folder by other limits: what is known of it stays, and files that were refused are tried once more.
    pub(super) fn with(
        &self,
        config: FolderConfig,
        limits: &Limits,
        tenants_slots: &Arc<CompileSlots>,
    ) -> PluginFolder {
        let mut state = self.state();
        state.removals.set_settle(limits.plugins.reload_settle);
        let state = &mut *state;
        for (file, refusal) in &mut state.refused {
            state.seen.remove(file);
            refusal.set_due(Instant::now());
        }
        PluginFolder {
            limits: FolderLimits::new(&config, limits, tenants_slots),
            config,
            state: Arc::clone(&self.state),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, FolderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tenant(&self) -> Option<&str> {
        self.config.tenant.as_deref()
    }

    /// Checks the folder as a whole. Blocks on the disk.
    pub(super) fn list(&self, watcher: &Watcher) -> Outcome {
        if let Some(programs) = &self.config.programs {
            return self.list_programs(programs, watcher);
        }
        let path = self.config.path.as_path();
        let folder = plugin_files::open_folder(path, self.limits.links);
        self.watch_opened(watcher, folder.as_ref().ok());
        let expected = self.expected();
        let listing = folder.and_then(|folder| {
            plugin_files::check_writers(&folder, path, self.config.writers)?;
            plugin_files::list(&folder, self.limits.links, self.limits.plugins, &expected)
        });
        match listing {
            Ok(listing) => {
                let is_empty = listing.files.is_empty();
                self.compare(listing, expected, is_empty)
            }
            Err(error) => self.folder_unavailable(&error.to_string()),
        }
    }

    /// Watches the folder before it is listed, so that no change is missed. What cannot be watched is polled.
    pub(super) fn watch_opened(&self, watcher: &Watcher, folder: Option<&OwnedFd>) {
        let identity = folder.and_then(|folder| plugin_files::identity(folder).ok());
        if identity.is_some() && identity != self.state().watched {
            self.watch(watcher, identity);
        }
    }

    fn watch(&self, watcher: &Watcher, identity: Option<FolderId>) {
        let watched = watcher.watch(&self.config.path);
        let mut state = self.state();
        state.watched = identity.filter(|_| watched.is_ok());
        let folder = &*self.config.path;
        match watched {
            Ok(()) => {
                state.removals.set_delay(Duration::ZERO);
                state.told_unwatched = false;
                if state.unwatched.take().is_some() {
                    emit(PluginEvent::FolderWatched { folder, tenant: self.tenant() });
                }
            }
            Err(reason) => {
                // A change may be noticed as late as in the next check but one.
                state.removals.set_delay(ROUND);
                if !std::mem::replace(&mut state.told_unwatched, true) {
                    let every = ROUND.as_secs();
                    emit(PluginEvent::FolderNotWatched { folder, reason: &reason, every });
                }
                let since = state.unwatched.as_ref().map_or_else(Instant::now, |(_, since)| *since);
                state.unwatched = Some((reason, since));
            }
        }
    }

    /// The folder cannot be read: served plugins stay.
    pub(super) fn folder_unavailable(&self, reason: &str) -> Outcome {
        let mut state = self.state();
        if !std::mem::replace(&mut state.listed, true) {
            self.config.registry.expect(BTreeSet::new());
        }
        state.watched = None;
        if state.trouble.as_deref() != Some(reason) {
            let folder = &*self.config.path;
            emit(PluginEvent::FolderLost { folder, tenant: self.tenant(), reason });
            state.trouble = Some(reason.to_owned());
        }
        Outcome::Done
    }

    /// The files that have changed. `is_empty`: the folder has no plugins or programs.
    pub(super) fn compare(&self, listing: Listing, expected: BTreeSet<String>, is_empty: bool) -> Outcome {
        let is_another = self.state().identity.is_some_and(|before| before != listing.identity);
        if is_another && is_empty && !self.config.registry.plugins().is_empty() {
            return self.folder_unavailable("an empty folder is in its place");
        }
        let mut state = self.state();
        let is_first = !std::mem::replace(&mut state.listed, true);
        if is_first {
            let names = listing.files.keys().filter_map(|file| plugin_files::plugin_name(file));
            self.config.registry.expect(names.map(str::to_owned).collect());
        }
        state.identity = Some(listing.identity);
        if state.trouble.take().is_some() {
            let folder = &*self.config.path;
            emit(PluginEvent::FolderBack { folder, tenant: self.tenant() });
        }
        state.note(self, "", listing.nameless.reason().map(FileRefusal::unreadable), true);
        state.ignore(self, listing.misspelled);
        let now = Instant::now();
        let changed = |(name, stamp): (&String, &Option<Stamp>)| {
            let is_due =
                !state.pending.contains_key(name) && state.refused.get(name).is_some_and(|refusal| refusal.is_due(now));
            (is_due || stamp.is_none() || state.seen.get(name) != stamp.as_ref()).then(|| name.clone())
        };
        let mut changed: BTreeSet<String> = listing.files.iter().filter_map(changed).collect();
        changed.extend(expected.into_iter().filter(|name| !listing.files.contains_key(name)));
        if state.stamps != listing.files {
            state.removals.stir(now);
            state.stamps = listing.files;
        }
        Outcome::Listed { files: changed.into_iter().collect(), is_first }
    }

    /// The files of served and refused plugins, whether they are among the first of a listing or not.
    pub(super) fn expected(&self) -> BTreeSet<String> {
        let served = self.served();
        let state = self.state();
        if self.config.programs.is_some() {
            // Those that are being loaded are not known yet.
            let refused = state.refused.keys().filter(|name| !name.is_empty());
            return served.into_iter().chain(refused.cloned()).collect();
        }
        let others = state.refused.keys().chain(state.pending.keys()).filter(|name| !name.is_empty());
        // A panic of the task ends its loads, and their files may have been deleted since.
        let preparing = self.config.registry.preparing().into_iter().map(|name| format!("{name}.wasm"));
        served.into_iter().chain(others.cloned()).chain(preparing).collect()
    }

    /// The files of served plugins.
    fn served(&self) -> BTreeSet<String> {
        self.config.registry.plugins().iter().map(|plugin| format!("{}.wasm", plugin.name())).collect()
    }

    /// Checks one file. Waits for no load.
    pub(super) async fn check_file(self: Arc<Self>, file: String) -> Outcome {
        let _permit = self.limits.reading.acquire().await.expect("the semaphore is never closed");
        if plugin_files::plugin_name(&file).is_none() {
            return Outcome::Done;
        }
        self.read(file).await
    }

    pub(super) async fn read(self: &Arc<Self>, file: String) -> Outcome {
        let folder = Arc::clone(self);
        let reading = spawn_blocking(move || {
            let (config, limits) = (&folder.config, &folder.limits);
            plugin_files::read(&config.path, &file, limits.links, config.writers, limits.component)
        });
        match reading.await {
            Ok(Ok(Reading::Whole(source, stamp))) => Outcome::Read(source, stamp),
            Ok(Ok(Reading::Changing)) => Outcome::Again,
            Ok(Ok(Reading::NoFolder)) => Outcome::Folder,
            Ok(Ok(Reading::Absent(identity))) if Some(identity) != self.state().identity => Outcome::Folder,
            Ok(Ok(Reading::Absent(_))) => Outcome::Absent,
            Ok(Err(reason)) => Outcome::Unreadable(FileRefusal::unreadable(reason)),
            Err(error) => Outcome::Unreadable(FileRefusal::unreadable(error.to_string())),
        }
    }

    /// The file was read. Its contents are loaded unless they are served already or permanently refused.
    pub(super) fn found(&self, name: &str, file: &str, stamp: Stamp, source: Source, settled: bool) -> Option<Wanted> {
        self.touched(file, stamp);
        let mut state = self.state();
        if self.config.registry.get(name).is_some_and(|plugin| plugin.digest() == source.digest()) {
            state.note(self, file, None, settled);
            return None;
        }
        if self.is_unneeded(name) {
            // It has changed since it was refused: whoever needs it has it loaded.
            state.note(self, file, None, settled);
            return None;
        }
        if let Some(refusal) = state.refused.get_mut(file) {
            if settled {
                refusal.log_once(&self.config.path, file, self.tenant());
            }
            let retries = refusal.should_retry(source.digest(), &stamp, Instant::now());
            self.config.registry.set_retried(name, refusal.is_retried());
            if !retries {
                return None;
            }
        }
        let permits = if is_large(source.size()) { &self.limits.large } else { &self.limits.small };
        let (digest, size) = (*source.digest(), source.size());
        let permit = Arc::clone(permits).try_acquire_owned().ok().map(|permit| (permit, source));
        Some(Wanted { file: file.to_owned(), digest, stamp, size, permit })
    }

    /// A load of this name begins: sessions that need it learn that it is not ready yet.
    pub(super) fn expect(&self, name: &str) {
        let registry = &self.config.registry;
        if registry.get(name).is_some() {
            return;
        }
        match self.tenant() {
            None => registry.expect_also(name),
            Some(_) if self.config.programs.is_some() => registry.expect_also(name),
            // No session waits for it: the operator may have a plugin of this name, which is served until then.
            Some(_) => registry.set_retried(name, true),
        }
    }

    /// Loads a file once it has a permit. Changes no state: the load may have been cancelled when it is done.
    pub(super) async fn load(self: Arc<Self>, wanted: Wanted, loader: Arc<Loader>) -> Outcome {
        let Wanted { file, digest, stamp, size, permit } = wanted;
        let (_permit, source) = match permit {
            Some(permit) => permit,
            None => {
                let permits = if is_large(size) { &self.limits.large } else { &self.limits.small };
                let permit = Arc::clone(permits).acquire_owned().await.expect("the semaphore is never closed");
                match self.read(file.clone()).await {
                    Outcome::Read(source, _) if *source.digest() == digest => (permit, source),
                    _ => return Outcome::Again,
                }
            }
        };
        let Some(name) = plugin_files::plugin_name(&file) else { return Outcome::Done };
        if let Err(refusal) = self.room(name, 0) {
            return Outcome::Loaded(Err(refusal.with_digest(&digest, Some(stamp))));
        }
        let payer = self.config.programs.as_ref().and_then(|programs| programs.request(name));
        let (slots, tenant) = match &payer {
            Some(request) if !request.tenant.is_empty() => (&self.limits.tenants_slots, request.tenant.as_str()),
            _ => (&self.limits.slots, self.tenant().unwrap_or_default()),
        };
        let loaded = loader.load(name, &source, Terms { component: self.limits.component, slots, tenant }).await;
        Outcome::Loaded(loaded.map_err(|error| FileRefusal::from_error(&error).with_digest(&digest, Some(stamp))))
    }

    /// Publishes this plugin for new sessions.
    pub(super) fn publish(&self, plugin: &Arc<Plugin>) -> Result<(), FileRefusal> {
        let (name, registry) = (plugin.name(), &self.config.registry);
        let published =
            match self.room(name, plugin.code()).map_err(|refusal| refusal.with_digest(plugin.digest(), None))? {
                Fallback::Kept => registry.publish(plugin),
                Fallback::None => {
                    let (name, limit) = (escape(name.as_bytes()), "plugins_code");
                    emit(PluginEvent::NoOlderVersion { plugin: name, tenant: self.tenant(), limit });
                    registry.publish_alone(plugin)
                }
            };
        if let Published::As(generation) = published {
            let (shown, digest) = (escape(name.as_bytes()), &*plugin.digest_hex());
            match self.config.programs {
                None => emit(PluginEvent::Loaded { plugin: shown, tenant: self.tenant(), digest, generation }),
                Some(_) => {
                    emit(PluginEvent::ProgramLoaded { plugin: shown, tenant: self.tenant(), digest, generation });
                }
            }
            self.drain_later(name, generation - 1);
        }
        if self.config.programs.is_some() && !registry.is_held(name) {
            // Whoever needed it needs others more by now.
            registry.unload(name);
        }
        Ok(())
    }

    /// Whether one more plugin with this much code fits into the folder's limit. Replaced or removed code counts as
    /// long as it is held.
    pub(super) fn room(&self, name: &str, code: usize) -> Result<Fallback, FileRefusal> {
        let registry = &self.config.registry;
        let number = registry.plugins().iter().filter(|plugin| plugin.name() != name).count();
        if number >= self.limits.plugins && self.config.programs.is_none() {
            let most = self.limits.plugins;
            let reason = format!("its folder has more than the {most} plugins that are allowed");
            return Err(FileRefusal::no_room(reason));
        }
        let fits = |fallback| registry.code_beside(name, fallback).saturating_add(code) <= self.limits.code;
        if fits(Fallback::Kept) {
            return Ok(Fallback::Kept);
        }
        // Running code takes precedence over code that is kept to fall back to.
        registry.forget_fallbacks();
        if self.config.programs.is_some() {
            registry.unload_idle(name, || fits(Fallback::Kept));
        }
        let fallback = [Fallback::Kept, Fallback::None].into_iter().find(|fallback| fits(*fallback));
        fallback.ok_or_else(|| {
            let most = self.limits.code;
            let reason = format!(
                "with it the plugins of its folder, and older versions that are still run or kept, would have more than {most} bytes of code"
            );
            FileRefusal::no_room(reason)
        })
    }

    /// Records a change that the kernel reported.
    pub(super) fn told(&self, spot: &Spot, now: Instant) {
        let removals = &mut self.state().removals;
        match spot {
            Spot::Folder(_) => removals.stir(now),
            Spot::File(_, file) => removals.tell(file, now),
        }
    }

    /// Records the stamp of a file that was just read.
    pub(super) fn touched(&self, file: &str, stamp: Stamp) {
        let mut state = self.state();
        let replaced = state.seen.insert(file.to_owned(), stamp) != Some(stamp);
        state.stamps.insert(file.to_owned(), Some(stamp));
        state.removals.found(file, replaced, Instant::now());
    }

    /// The file is gone. Its plugin is removed when the folder has settled.
    pub(super) fn file_missing(&self, name: &str, file: &str) -> Missing {
        let (mut state, now) = (self.state(), Instant::now());
        state.seen.remove(file);
        state.stamps.remove(file);
        if self.config.registry.get(name).is_none() {
            state.removals.forget(file);
            return Missing::Removed;
        }
        let is_new = state.removals.file_missing(file, || self.served(), now);
        if state.removals.due(file).is_some_and(|due| due > now) {
            return if is_new { Missing::Noticed } else { Missing::Waiting };
        }
        state.removals.forget(file);
        drop(state);
        self.remove(name);
        Missing::Removed
    }

    fn remove(&self, name: &str) {
        let generation = self.config.registry.get(name).map(|plugin| plugin.generation());
        if self.config.registry.remove(name) {
            let shown = escape(name.as_bytes());
            match self.config.programs {
                None => emit(PluginEvent::Removed { plugin: shown, tenant: self.tenant(), generation }),
                Some(_) => emit(PluginEvent::ProgramRemoved { plugin: shown, tenant: self.tenant(), generation }),
            }
            self.drain_later(name, generation.unwrap_or_default());
        }
    }

    /// Ends the sessions of versions up to this one when their time is over.
    fn drain_later(&self, name: &str, up_to: u32) {
        if self.limits.drain.is_zero() || up_to == 0 {
            return;
        }
        let (registry, name, after) = (Arc::clone(&self.config.registry), name.to_owned(), self.limits.drain);
        tokio::spawn(async move {
            sleep(after).await;
            registry.drain(&name, up_to);
        });
    }

    /// Another task takes over: it checks the files anew that were being loaded.
    pub(super) fn handed_over(&self) {
        let mut state = self.state();
        for file in std::mem::take(&mut state.pending).into_keys() {
            state.seen.remove(&file);
        }
        state.watched = None;
    }

    /// The compilers of its files.
    pub(super) fn slots(&self) -> Arc<CompileSlots> {
        Arc::clone(&self.limits.slots)
    }

    /// The reload task has panicked: its successor checks everything anew.
    pub(super) fn forget_what_was_seen(&self) {
        let mut state = self.state();
        state.seen.clear();
        state.pending.clear();
        state.watched = None;
    }
}

impl FolderState {
    fn new(settle: Duration) -> FolderState {
        FolderState {
            trouble: None,
            unwatched: None,
            refused: BTreeMap::new(),
            pending: BTreeMap::new(),
            removals: Removals::new(settle),
            ignored: BTreeSet::new(),
            told_ignored: BTreeSet::new(),
            identity: None,
            watched: None,
            told_unwatched: false,
            listed: false,
            seen: BTreeMap::new(),
            stamps: BTreeMap::new(),
        }
    }

    /// A file counts as changed when it is listed the next time.
    pub(super) fn forget_seen(&mut self, file: &str) {
        self.seen.remove(file);
    }

    /// It was logged that nothing is watched.
    pub(super) fn set_told_unwatched(&mut self) {
        self.told_unwatched = true;
    }

    /// Records a refusal, or that there is none. Logged once for the same reason, and not before the file has settled.
    pub(super) fn note(&mut self, folder: &PluginFolder, file: &str, refusal: Option<FileRefusal>, settled: bool) {
        let before = self.refused.remove(file);
        if let Some(name) = plugin_files::plugin_name(file) {
            folder.config.registry.set_retried(name, refusal.as_ref().is_some_and(FileRefusal::is_retried));
            if let Some(programs) = &folder.config.programs {
                programs.set_failure(name, refusal.as_ref().map(FileRefusal::for_client));
            }
        }
        let Some(mut refusal) = refusal else { return };
        if let Some(before) = before {
            refusal = refusal.after(&before);
        }
        if settled {
            refusal.log_once(&folder.config.path, file, folder.tenant());
        }
        self.refused.insert(file.to_owned(), refusal);
        if let Some(programs) = &folder.config.programs {
            self.forget_failures(programs, file);
        }
    }

    /// Logs once each file that was probably meant to be a plugin.
    fn ignore(&mut self, folder: &PluginFolder, files: BTreeSet<String>) {
        for file in files.difference(&self.ignored) {
            if self.told_ignored.len() < MOST_TOLD && self.told_ignored.insert(file.clone()) {
                let path = folder.config.path.join(file).display().to_string();
                let (file, reason) = (escape(path.as_bytes()), plugin_files::MISSPELLED);
                emit(PluginEvent::FileIgnored { file, tenant: folder.tenant(), reason });
            }
        }
        self.ignored = files;
    }
}
