//! Keeps what can be run the same as what is in the plugin folders: looks when something has changed, loads, publishes, removes.
//!
//! When to look is `watch.rs`'s to say, what is on disk `plugin_files.rs`'s, and how bytes become a plugin the runtime's.
//!
//! Decided 2026-11-21: a file that is deleted is what an operator does to take a plugin away, so new sessions do not get it any more. A *folder* that
//! is gone or cannot be read is a disk that is not there: everything goes on as it is, and that is told. An empty folder in the place of
//! another that was not empty is taken for the same, since that is what an unmounted disk leaves behind. The same goes for a file that is
//! there and cannot be read. O20, W40.
//!
//! Decided 2026-11-21: the kernel's own way of telling (inotify) makes it fast, and a look at every folder every two seconds makes it sure: links to
//! places outside, network disks, renamed parents and exhausted watches tell nothing.
//!
//! Decided 2026-11-28: a server listens before its plugins are compiled. A start waits until the operator's folder has been listed, and no
//! longer; what was found there is in preparation ([`Registry::expect`]) until it is published or refused.

mod refusal;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{Id, JoinError, JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};
use whelk_runtime::{CompileSlots, Fallback, Loader, Plugin, Published, Registry, Source, Terms};

use crate::config::Limits;
use crate::logging::escape;
use crate::plugin_files::{self, Identity, Links, Listing, Reading, Stamp};
use crate::watch::{Debouncer, Look, MOST_WAITING, Spot, Watcher};
pub(crate) use refusal::Refusal;

/// How often every folder is looked at, whether anything was told or not.
const ROUND: Duration = Duration::from_secs(2);
/// How long `plugins prepared` waits for tenants' plugins, and sessions for the first listing of a tenant's folder.
const TENANTS_START: Duration = Duration::from_secs(5);
/// Changes that wait to be noticed. When there are more, everything is looked at.
const MOST_CHANGES: usize = 4_096;

/// A folder of plugins, and where those who ask for them find them.
#[derive(Clone)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// Whose it is; none: the operator's.
    pub tenant: Option<String>,
    /// What is in it, for sessions. Nobody else publishes there.
    pub registry: Arc<Registry>,
    /// The largest plugin file in it, bytes.
    pub component: usize,
}

/// Who makes plugins of files.
pub struct Loaders {
    /// Of the operator's.
    pub operators: Arc<Loader>,
    /// Of tenants' own.
    pub tenants: Arc<Loader>,
}

/// The running task. It ends when this is dropped; what was loaded stays.
pub struct Reload {
    shelves: Arc<[Arc<Shelf>]>,
    task: JoinHandle<()>,
    prepared: watch::Receiver<bool>,
}

/// One folder and what is known of it.
pub(crate) struct Shelf {
    pub(crate) folder: Folder,
    terms: ShelfTerms,
    known: Mutex<Known>,
}

/// What holds for the files of a folder.
struct ShelfTerms {
    links: Links,
    component: usize,
    plugins: usize,
    code: usize,
    drain: Duration,
    /// Files of this folder that are read and loaded at the same time.
    turns: Semaphore,
    /// Where they are compiled: those of all folders that share it.
    slots: Arc<CompileSlots>,
}

/// What was found.
#[derive(Default)]
pub(crate) struct Known {
    /// Why the folder cannot be looked at.
    pub(crate) trouble: Option<String>,
    /// The files that are not served as they are, and why.
    pub(crate) refused: BTreeMap<String, Refusal>,
    /// Which folder it was.
    identity: Option<Identity>,
    /// As which folder it is watched.
    watched: Option<Identity>,
    /// The operator was told that it is not.
    told: bool,
    /// It has been listed, or that was tried in vain.
    listed: bool,
    /// How each file was when it was last looked at.
    seen: BTreeMap<String, Stamp>,
}

/// What came of a look.
enum Outcome {
    /// The folder was listed; these files are to be looked at.
    Listed {
        files: Vec<String>,
        /// It was listed for the first time.
        is_first: bool,
    },
    /// There is nothing more to do.
    Done,
    /// It changed while it was looked at.
    Again,
    /// Something is wrong with the folder.
    Folder,
}

impl Reload {
    /// Loads everything in the folders and keeps looking at them. Comes back when the operator's folder has been listed; its plugins come
    /// later: see [`prepared`](Self::prepared). Needs a tokio runtime.
    ///
    /// # Errors
    /// When a folder of the operator's cannot be read.
    pub async fn start(folders: Vec<Folder>, loaders: Loaders, limits: &Limits) -> Result<Reload, String> {
        let tenants_slots = Arc::new(CompileSlots::new(count(limits.compile_jobs)));
        let shelves: Arc<[_]> =
            folders.into_iter().map(|folder| Arc::new(Shelf::new(folder, limits, &tenants_slots))).collect();
        let (tell, prepared) = watch::channel(false);
        let mut task = Task::new(Arc::clone(&shelves), loaders, limits, tell);
        task.begin().await;
        for shelf in shelves.iter().filter(|shelf| shelf.folder.tenant.is_none()) {
            if let Some(trouble) = &shelf.known().trouble {
                return Err(format!("the plugin folder {} cannot be read: {trouble}", shelf.folder.path.display()));
            }
        }
        Ok(Reload { shelves, task: tokio::spawn(task.run()), prepared })
    }

    /// Waits until each of the operator's plugins that was there at the start is served or refused, and each of the tenants' own unless
    /// that takes long.
    pub fn prepared(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut prepared = self.prepared.clone();
        async move {
            // An error means that the task has ended: then there is nothing to wait for.
            let _ = prepared.wait_for(|prepared| *prepared).await;
        }
    }

    /// The folders.
    pub(crate) fn shelves(&self) -> &Arc<[Arc<Shelf>]> {
        &self.shelves
    }
}

impl Drop for Reload {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shelf {
    fn new(folder: Folder, limits: &Limits, tenants_slots: &Arc<CompileSlots>) -> Shelf {
        let jobs = count(limits.compile_jobs);
        let is_tenants = folder.tenant.is_some();
        let terms = ShelfTerms {
            links: if is_tenants { Links::Refuse } else { Links::Follow },
            component: folder.component,
            plugins: count(limits.plugins_per_folder),
            code: limits.plugins_code,
            drain: limits.reload_drain,
            // A tenant stands in the line of all tenants once.
            turns: Semaphore::new(if is_tenants { 1 } else { jobs }),
            slots: if is_tenants { Arc::clone(tenants_slots) } else { Arc::new(CompileSlots::new(jobs)) },
        };
        folder.registry.expect_all();
        Shelf { folder, terms, known: Mutex::default() }
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tenant(&self) -> Option<&str> {
        self.folder.tenant.as_deref()
    }

    /// Looks at the folder as a whole. Blocks as the disk does.
    fn list(&self, watcher: &Watcher) -> Outcome {
        let path = self.folder.path.as_path();
        let folder = plugin_files::open_folder(path, self.terms.links);
        // Watched first, so that nothing comes between. What cannot be watched is looked at again and again.
        let identity = folder.as_ref().ok().and_then(|folder| plugin_files::identity(folder).ok());
        if identity.is_some() && identity != self.known().watched {
            self.watch(watcher, identity);
        }
        let expected = self.expected();
        match folder.and_then(|folder| plugin_files::list(&folder, self.terms.links, self.terms.plugins, &expected)) {
            Ok(listing) => self.compare(&listing, expected),
            Err(error) => self.is_lost(&error.to_string()),
        }
    }

    fn watch(&self, watcher: &Watcher, identity: Option<Identity>) {
        let watched = watcher.watch(&self.folder.path);
        let mut known = self.known();
        known.watched = identity.filter(|_| watched.is_ok());
        let Err(reason) = watched else { return };
        if !std::mem::replace(&mut known.told, true) {
            let (folder, every) = (self.folder.path.display(), ROUND.as_secs());
            tracing::warn!(%folder, reason, "plugin folder is not watched: it is looked at every {every} s");
        }
    }

    /// The folder cannot be looked at: what runs goes on.
    fn is_lost(&self, reason: &str) -> Outcome {
        let mut known = self.known();
        if !std::mem::replace(&mut known.listed, true) {
            self.folder.registry.expect(BTreeSet::new());
        }
        known.watched = None;
        if known.trouble.as_deref() != Some(reason) {
            let folder = self.folder.path.display();
            tracing::error!(%folder, tenant = self.tenant(), reason, "plugin folder lost: what is loaded stays");
            known.trouble = Some(reason.to_owned());
        }
        Outcome::Done
    }

    /// The files that are not as they were.
    fn compare(&self, listing: &Listing, expected: BTreeSet<String>) -> Outcome {
        let is_another = self.known().identity.is_some_and(|before| before != listing.identity);
        if is_another && listing.files.is_empty() && !self.folder.registry.plugins().is_empty() {
            return self.is_lost("an empty folder is in its place");
        }
        let mut known = self.known();
        let is_first = !std::mem::replace(&mut known.listed, true);
        if is_first {
            let names = listing.files.keys().filter_map(|file| plugin_files::plugin_name(file));
            self.folder.registry.expect(names.map(str::to_owned).collect());
        }
        known.identity = Some(listing.identity);
        if known.trouble.take().is_some() {
            let folder = self.folder.path.display();
            tracing::info!(%folder, tenant = self.tenant(), "plugin folder is back");
        }
        known.note(self, "", listing.nameless.reason().map(Refusal::of), true);
        let now = Instant::now();
        let changed = |(name, stamp): (&String, &Option<Stamp>)| {
            let is_due = known.refused.get(name).is_some_and(|refusal| refusal.is_due(now));
            (is_due || stamp.is_none() || known.seen.get(name) != stamp.as_ref()).then(|| name.clone())
        };
        let mut changed: BTreeSet<String> = listing.files.iter().filter_map(changed).collect();
        changed.extend(expected.into_iter().filter(|name| !listing.files.contains_key(name)));
        Outcome::Listed { files: changed.into_iter().collect(), is_first }
    }

    /// The files of what is served or was refused, whether they are among the first that a list gives or not.
    fn expected(&self) -> BTreeSet<String> {
        let plugins = self.folder.registry.plugins();
        let loaded = plugins.iter().map(|plugin| format!("{}.wasm", plugin.name()));
        let known = self.known();
        loaded.chain(known.refused.keys().filter(|name| !name.is_empty()).cloned()).collect()
    }

    /// Looks at one file, and does what follows from it.
    async fn look(self: Arc<Self>, file: String, settled: bool, loader: Arc<Loader>) -> Outcome {
        let _turn = self.terms.turns.acquire().await.expect("the semaphore is never closed");
        let Some(name) = plugin_files::plugin_name(&file) else { return Outcome::Done };
        let (shelf, wanted) = (Arc::clone(&self), file.clone());
        let reading = spawn_blocking(move || {
            plugin_files::read(&shelf.folder.path, &wanted, shelf.terms.links, shelf.terms.component)
        });
        let refusal = match reading.await {
            Ok(Ok(Reading::Whole(source, stamp))) => {
                self.known().seen.insert(file.clone(), stamp);
                match self.is_known(name, &file, source.digest(), settled) {
                    true => return Outcome::Done,
                    false => {
                        let loaded = self.load(name, &source, &loader).await;
                        loaded.err().map(|refusal| refusal.of_bytes(source.digest()))
                    }
                }
            }
            Ok(Ok(Reading::Changing)) => return Outcome::Again,
            Ok(Ok(Reading::NoFolder)) => return Outcome::Folder,
            Ok(Ok(Reading::Absent(identity))) if Some(identity) != self.known().identity => return Outcome::Folder,
            Ok(Ok(Reading::Absent(_))) => {
                self.remove(name, &file);
                None
            }
            Ok(Err(reason)) => Some(Refusal::of(reason)),
            Err(error) => Some(Refusal::of(error.to_string())),
        };
        let is_refused = refusal.is_some();
        self.known().note(&self, &file, refusal, settled);
        if is_refused && !settled { Outcome::Again } else { Outcome::Done }
    }

    /// Whether these bytes are what is served, or were refused before.
    fn is_known(&self, name: &str, file: &str, digest: &[u8; 32], settled: bool) -> bool {
        let mut known = self.known();
        if self.folder.registry.get(name).is_some_and(|plugin| plugin.digest() == digest) {
            known.note(self, file, None, settled);
            return true;
        }
        let Some(refusal) = known.refused.get_mut(file) else { return false };
        if settled {
            refusal.tell(&self.folder.path, file, self.tenant());
        }
        refusal.is_of(digest)
    }

    async fn load(&self, name: &str, source: &Source, loader: &Loader) -> Result<(), Refusal> {
        self.room(name, 0)?;
        let terms = Terms { component: self.terms.component, slots: &self.terms.slots };
        let plugin = loader.load(name, source, terms).await.map_err(|error| Refusal::by(&error))?;
        let registry = &self.folder.registry;
        let published = match self.room(name, plugin.code())? {
            Fallback::Kept => registry.publish(&plugin),
            Fallback::None => {
                let (name, limit) = (escape(name.as_bytes()), "plugins_code");
                tracing::warn!(plugin = %name, tenant = self.tenant(), limit, "no older version of the plugin is kept");
                registry.publish_alone(&plugin)
            }
        };
        if let Published::As(generation) = published {
            self.tell(&plugin, generation);
            self.drain_later(name, generation - 1);
        }
        Ok(())
    }

    /// Whether one more plugin with so much code may be in this folder. Code that is replaced or taken away counts for as long as it is held.
    fn room(&self, name: &str, code: usize) -> Result<Fallback, Refusal> {
        let registry = &self.folder.registry;
        let number = registry.plugins().iter().filter(|plugin| plugin.name() != name).count();
        if number >= self.terms.plugins {
            let most = self.terms.plugins;
            let reason = format!("its folder has more than the {most} plugins that are allowed");
            return Err(Refusal::no_room(reason));
        }
        let fits = |fallback| registry.code_beside(name, fallback).saturating_add(code) <= self.terms.code;
        if fits(Fallback::Kept) {
            return Ok(Fallback::Kept);
        }
        // What runs comes before what might have to run again.
        registry.forget_fallbacks();
        let fallback = [Fallback::Kept, Fallback::None].into_iter().find(|fallback| fits(*fallback));
        fallback.ok_or_else(|| {
            let most = self.terms.code;
            let reason = format!(
                "with it the plugins of its folder, and older versions that are still run or kept, would have more than {most} bytes of code"
            );
            Refusal::no_room(reason)
        })
    }

    fn remove(&self, name: &str, file: &str) {
        self.known().seen.remove(file);
        let generation = self.folder.registry.get(name).map(|plugin| plugin.generation());
        if self.folder.registry.remove(name) {
            tracing::info!(plugin = %escape(name.as_bytes()), tenant = self.tenant(), generation, "plugin removed");
            self.drain_later(name, generation.unwrap_or_default());
        }
    }

    fn tell(&self, plugin: &Plugin, generation: u32) {
        let name = escape(plugin.name().as_bytes());
        tracing::info!(plugin = %name, tenant = self.tenant(), digest = plugin.digest_hex(), generation, "plugin loaded");
    }

    /// Ends the sessions of versions up to this one when their time is over.
    fn drain_later(&self, name: &str, up_to: u32) {
        if self.terms.drain.is_zero() || up_to == 0 {
            return;
        }
        let (registry, name, after) = (Arc::clone(&self.folder.registry), name.to_owned(), self.terms.drain);
        tokio::spawn(async move {
            sleep(after).await;
            registry.drain(&name, up_to);
        });
    }
}

impl Known {
    /// Keeps why a file is not served, or that it is. Told once for the same reason, and not before the file has settled.
    fn note(&mut self, shelf: &Shelf, file: &str, refusal: Option<Refusal>, settled: bool) {
        let before = self.refused.remove(file);
        if let Some(name) = plugin_files::plugin_name(file) {
            shelf.folder.registry.set_retried(name, refusal.as_ref().is_some_and(Refusal::is_retried));
        }
        let Some(mut refusal) = refusal else { return };
        if let Some(before) = before {
            refusal = refusal.following(&before);
        }
        if settled {
            refusal.tell(&shelf.folder.path, file, shelf.tenant());
        }
        self.refused.insert(file.to_owned(), refusal);
    }
}

/// What looks at the folders.
struct Task {
    shelves: Arc<[Arc<Shelf>]>,
    loaders: Loaders,
    watcher: Arc<Watcher>,
    debouncer: Debouncer,
    changes: mpsc::Receiver<Spot>,
    /// The change queue overflowed; rescan everything.
    missed: Arc<AtomicBool>,
    looks: JoinSet<Outcome>,
    /// What each of them looks at.
    looking: HashMap<Id, Spot>,
    /// What was there at the start is not prepared yet.
    starting: bool,
    began: Instant,
    /// Sessions still wait for the first listings of tenants' folders, however long those take.
    awaits_listings: bool,
    prepared: watch::Sender<bool>,
}

impl Task {
    fn new(shelves: Arc<[Arc<Shelf>]>, loaders: Loaders, limits: &Limits, prepared: watch::Sender<bool>) -> Task {
        let (sender, changes) = mpsc::channel(MOST_CHANGES);
        let missed = Arc::new(AtomicBool::new(false));
        let overflow = Arc::clone(&missed);
        let paths: Vec<PathBuf> = shelves.iter().map(|shelf| shelf.folder.path.clone()).collect();
        let tell = move |spot: Option<Spot>| {
            if spot.is_none_or(|spot| sender.try_send(spot).is_err()) {
                overflow.store(true, Ordering::Relaxed);
            }
        };
        let (watcher, reason) = Watcher::new(&paths, Box::new(tell));
        if let Some(reason) = reason {
            tracing::warn!(reason, "plugin folders are not watched: they are looked at every {} s", ROUND.as_secs());
            shelves.iter().for_each(|shelf| shelf.known().told = true);
        }
        Task {
            shelves,
            loaders,
            watcher: Arc::new(watcher),
            debouncer: Debouncer::new(limits.reload_settle, limits.reload_interval),
            changes,
            missed,
            looks: JoinSet::new(),
            looking: HashMap::new(),
            starting: true,
            began: Instant::now(),
            awaits_listings: true,
            prepared,
        }
    }

    /// Looks at every folder, and waits until the operator's have been listed.
    async fn begin(&mut self) {
        let now = now();
        (0..self.shelves.len()).for_each(|folder| self.debouncer.at_once(Spot::Folder(folder), now));
        let is_operators = |folder: &usize| self.shelves[*folder].folder.tenant.is_none();
        let awaited: Vec<usize> = (0..self.shelves.len()).filter(is_operators).collect();
        loop {
            self.look();
            // A look that has failed altogether is over, too.
            let is_over = |folder: &usize| self.shelves[*folder].known().listed || self.debouncer.is_idle(*folder);
            if awaited.iter().all(is_over) {
                return;
            }
            self.step().await;
        }
    }

    /// Tells, once, that what was there at the start is prepared.
    fn end_start(&mut self) {
        let is_idle = |folder: usize| self.debouncer.is_idle(folder);
        let is_tenants = |folder: usize| self.shelves[folder].folder.tenant.is_some();
        let is_late = self.began.elapsed() >= TENANTS_START;
        if !self.starting || !(0..self.shelves.len()).all(|folder| is_idle(folder) || (is_late && is_tenants(folder))) {
            return;
        }
        self.starting = false;
        let plugins: usize = self.shelves.iter().map(|shelf| shelf.folder.registry.plugins().len()).sum();
        let refused: usize = self.shelves.iter().map(|shelf| shelf.known().refused.len()).sum();
        let seconds = self.began.elapsed().as_secs_f32();
        tracing::info!(plugins, refused, seconds, "plugins prepared");
        self.prepared.send_replace(true);
    }

    /// A tenant's folder that has not been listed by now is on a disk that does not answer: sessions get the operator's plugins until it does.
    fn stop_awaiting_listings(&mut self) {
        self.awaits_listings = false;
        for shelf in self.shelves.iter().filter(|shelf| shelf.folder.tenant.is_some()) {
            let known = shelf.known();
            if !known.listed {
                let folder = shelf.folder.path.display();
                tracing::error!(%folder, tenant = shelf.tenant(), "plugin folder does not answer: served without it");
                shelf.folder.registry.expect(BTreeSet::new());
            }
        }
    }

    async fn run(mut self) {
        let mut round = interval_at(Instant::now() + ROUND, ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let listings_end = self.began + TENANTS_START;
        loop {
            self.look();
            self.end_start();
            let awaits_listings = self.awaits_listings;
            tokio::select! {
                () = self.step() => {}
                _ = round.tick() => self.all_changed(),
                () = sleep_until(listings_end), if awaits_listings => self.stop_awaiting_listings(),
            }
            if self.missed.swap(false, Ordering::Relaxed) {
                self.all_changed();
            }
        }
    }

    fn all_changed(&mut self) {
        let now = now();
        (0..self.shelves.len()).for_each(|folder| self.debouncer.changed(Spot::Folder(folder), now));
    }

    /// Starts what is due.
    fn look(&mut self) {
        for Look { spot, settled } in self.debouncer.due(now()) {
            let (Spot::Folder(number) | Spot::File(number, _)) = &spot;
            let shelf = Arc::clone(&self.shelves[*number]);
            let started = match &spot {
                Spot::Folder(_) => {
                    let watcher = Arc::clone(&self.watcher);
                    self.looks.spawn_blocking(move || shelf.list(&watcher))
                }
                Spot::File(_, file) => {
                    let Loaders { operators, tenants } = &self.loaders;
                    let loader = if shelf.folder.tenant.is_none() { operators } else { tenants };
                    self.looks.spawn(shelf.look(file.clone(), settled, Arc::clone(loader)))
                }
            };
            self.looking.insert(started.id(), spot);
        }
    }

    /// Waits for one thing to happen.
    async fn step(&mut self) {
        let next = self.debouncer.next().map(Instant::from_std);
        tokio::select! {
            Some(spot) = self.changes.recv() => self.debouncer.changed(spot, now()),
            Some(looked) = self.looks.join_next_with_id() => self.looked(looked),
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
        }
    }

    fn looked(&mut self, looked: Result<(Id, Outcome), JoinError>) {
        // A panic is in the log already. It is this file's alone, which stays as it was.
        let (id, outcome) = looked.unwrap_or_else(|error| (error.id(), Outcome::Done));
        let Some(spot) = self.looking.remove(&id) else { return };
        self.debouncer.done(&spot);
        if let (Spot::File(number, file), false) = (&spot, matches!(outcome, Outcome::Again))
            && let Some(name) = plugin_files::plugin_name(file)
        {
            self.shelves[*number].folder.registry.prepared(name);
        }
        let (Spot::Folder(number) | Spot::File(number, _)) = spot;
        let now = now();
        match outcome {
            Outcome::Listed { files, is_first } => {
                // What is left over is found in the next round.
                for file in files.into_iter().take(MOST_WAITING) {
                    let spot = Spot::File(number, file);
                    // Files of a first listing are loaded without debouncing: there is nothing yet that they could replace.
                    if is_first { self.debouncer.at_once(spot, now) } else { self.debouncer.changed(spot, now) }
                }
            }
            Outcome::Again => self.debouncer.changed(spot, now),
            Outcome::Folder => self.debouncer.changed(Spot::Folder(number), now),
            Outcome::Done => {}
        }
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

fn count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
