//! Keeps the served plugins in step with the plugin folders: checks for changes, loads, publishes, removes.
//!
//! `watch.rs` decides when to check, `state/plugin_files.rs` reads the disk, and `whelk_runtime::Loader` turns the
//! bytes into a plugin. Here, `folder.rs` has the state of one folder, `removal.rs` decides when the plugin of a
//! deleted file is removed, and `task.rs` is the only task that changes any of that.
//!
//! Decided 2026-11-21: deleting a file is how an operator removes a plugin, so new sessions do not get it any more. A
//! *folder* that is missing or unreadable is treated as an unmounted disk: everything stays as it is, and the log says
//! so. So is an empty folder in place of one with files, because that is what an unmounted disk leaves behind; and an
//! unreadable file or a dangling link. Threat list (tests/hostile/README.md), rows O20 and W40.
//!
//! Decided 2026-11-21: inotify reports changes quickly; polling every folder every two seconds catches what inotify
//! misses: links to other places, network disks, renamed parents, exhausted watches. Without a watcher polling works
//! alone, and each round tries to create one.
//!
//! Decided 2026-11-28: a server listens before its plugins are compiled. A start waits until the operator's folder has
//! been listed, and no longer; what was found there is in preparation
//! ([`Registry::expect`](whelk_runtime::Registry::expect)) until it is published or refused.
//!
//! Decided 2026-11-29: a check only reads the file; the slow part, the load, is a job of its own that delays no check.
//! A newer version of the file cancels the load of the older one with its compiler, and so does the removal of the
//! file. A load is not cancelled for a file that never stops changing: its next version would be cancelled too. Only
//! the task itself publishes and removes, so a cancelled load changes nothing.
//!
//! Decided 2026-11-29: when a reload of the configuration changes the folders or their limits, the task ends and
//! another takes its place, with a watcher of its own; a folder that stays keeps its state and its plugins. Loads that
//! were in progress begin again. Refused: adding and removing folders in the running task, whose jobs, checks and
//! notifications know folders by number.
//!
//! Decided 2026-11-29: the task is supervised ([`whelk_runtime::supervise`]). After a panic it reads every file again.

mod demand;
mod folder;
mod refusal;
mod removal;
mod settings;
mod status;
mod task;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use whelk_runtime::supervise::supervise;
use whelk_runtime::{CompileSlots, Loader};

use crate::config::Limits;
use crate::plugins::compilers::Compilers;
pub(crate) use folder::PluginFolder;
pub use settings::FolderConfig;
use status::Status;
pub use task::Loaders;
use task::{Context, Task};
use whelk_runtime::limits::count;

/// The running task. Dropping it ends the task; loaded plugins stay.
pub struct Reload {
    view: View,
    running: Mutex<Running>,
    prepared: watch::Receiver<bool>,
}

/// The task, and what it was started with.
struct Running {
    /// None after a reload that has failed halfway.
    task: Option<JoinHandle<Infallible>>,
    context: Arc<Context>,
    /// The server's limits of plugins.
    limits: whelk_runtime::Limits,
}

/// The status for others.
#[derive(Clone)]
pub(crate) struct View {
    folders: Arc<Mutex<Folders>>,
    pub(crate) status: Arc<Status>,
}

/// The plugin folders, the operator's first.
type Folders = Arc<[Arc<PluginFolder>]>;

impl View {
    /// The folders as they are now.
    pub(crate) fn folders(&self) -> Folders {
        Arc::clone(&lock(&self.folders))
    }
}

impl Reload {
    /// Loads everything in the folders and keeps checking them. Returns when the operator's folder has been listed; its
    /// plugins come later: see [`prepared`](Self::prepared). Needs a tokio runtime.
    ///
    /// # Errors
    /// When a folder of the operator's cannot be read.
    pub async fn start(folders: Vec<FolderConfig>, loaders: Loaders, limits: &Limits) -> Result<Reload, String> {
        let folders = make_folders(folders, limits, (&[], true));
        let (tell, prepared) = watch::channel(false);
        let context = Arc::new(Context::new(folders, loaders, limits, Arc::new(tell)));
        Reload::start_with(context, prepared, limits).await
    }

    async fn start_with(
        context: Arc<Context>,
        prepared: watch::Receiver<bool>,
        limits: &Limits,
    ) -> Result<Reload, String> {
        let (folders, status) = (Arc::clone(&context.folders), Arc::clone(&context.status));
        let mut first = Task::new(Arc::clone(&context));
        first.begin().await;
        for folder in folders.iter().filter(|folder| folder.tenant().is_none()) {
            if let Some(trouble) = &folder.state().trouble {
                return Err(format!("the plugin folder {} cannot be read: {trouble}", folder.config.path.display()));
            }
        }
        let running = Running { task: Some(run_supervised(first)), context, limits: limits.plugins.clone() };
        let view = View { folders: Arc::new(Mutex::new(folders)), status };
        Ok(Reload { view, running: Mutex::new(running), prepared })
    }

    /// Replaces the watched folders or their limits. A folder with the registry of one that was there keeps its plugins
    /// and what is known of its files. Does nothing if all is as it was. Loaders are made from those in use. Blocks
    /// until the task has ended. Needs a tokio runtime, and must not be called by one of its tasks.
    pub(crate) fn replace(&self, folders: Vec<FolderConfig>, limits: &Limits, make_loader: impl Fn(&Loader) -> Loader) {
        let mut running = lock(&self.running);
        let before = Arc::clone(&running.context);
        let same_limits = running.limits == limits.plugins;
        let is_same = |(folder, before): (&FolderConfig, &Arc<PluginFolder>)| folder.is(&before.config);
        if running.task.is_some()
            && same_limits
            && folders.len() == before.folders.len()
            && folders.iter().zip(&*before.folders).all(is_same)
        {
            return;
        }
        if let Some(task) = running.task.take() {
            task.abort();
            // Aborted or not: it has ended.
            let _ = Handle::current().block_on(task);
        }
        let folders = make_folders(folders, limits, (&before.folders, same_limits));
        let loaders = before.loaders.map(|loader| Arc::new(make_loader(loader)));
        let context = Arc::new(before.next(Arc::clone(&folders), loaders, limits));
        *lock(&self.view.folders) = folders;
        let task = run_supervised(Task::instead(Arc::clone(&context)));
        *running = Running { task: Some(task), context, limits: limits.plugins.clone() };
    }

    /// The compilers of what tenants start from files of their sessions: those of tenants' own plugins. None in a
    /// process that only reads what another has compiled.
    pub(crate) fn compilers(&self) -> Option<Compilers> {
        let context = Arc::clone(&lock(&self.running).context);
        let slots = Arc::clone(&context.folders.first()?.limits.tenants_slots);
        Some(Compilers { loader: context.loaders.tenants.uncached()?, slots })
    }

    /// Waits until each of the operator's plugins of the start is served or refused, and each of the tenants' own
    /// unless that takes long.
    pub fn prepared(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut prepared = self.prepared.clone();
        async move {
            // An error means that the task has ended: then there is nothing to wait for.
            let _ = prepared.wait_for(|prepared| *prepared).await;
        }
    }

    /// The status.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }
}

impl Drop for Reload {
    fn drop(&mut self) {
        if let Some(task) = &lock(&self.running).task {
            task.abort();
        }
    }
}

/// These folders. One that was there `before` keeps its state, and its limits if they are the same.
fn make_folders(
    folders: Vec<FolderConfig>,
    limits: &Limits,
    (before, same_limits): (&[Arc<PluginFolder>], bool),
) -> Folders {
    let tenants_slots = before.iter().find(|folder| folder.tenant().is_some()).map(|folder| folder.slots());
    let tenants_slots = tenants_slots.filter(|_| same_limits);
    let tenants_slots =
        tenants_slots.unwrap_or_else(|| Arc::new(CompileSlots::new(count(limits.plugins.compile_jobs))));
    // By tenant and kind, so that many folders are found quickly.
    let before: BTreeMap<_, _> = before.iter().map(|folder| (folder.config.key(), folder)).collect();
    let folder = |folder: FolderConfig| match before.get(&folder.key()) {
        Some(same) if same_limits && folder.is(&same.config) => Arc::clone(same),
        Some(same) if folder.is_at_the_place_of(&same.config) => Arc::new(same.with(folder, limits, &tenants_slots)),
        _ => Arc::new(PluginFolder::new(folder, limits, &tenants_slots)),
    };
    folders.into_iter().map(folder).collect()
}

/// Runs the task, and another in its place after a panic.
fn run_supervised(first: Task) -> JoinHandle<Infallible> {
    let (context, mut first) = (Arc::clone(&first.context), Some(first));
    let status = Arc::clone(&context.status);
    // After a panic there is no first listing any more.
    let start = move || first.take().unwrap_or_else(|| Task::again(Arc::clone(&context))).run();
    tokio::spawn(supervise("reload", start, move |panicked| status.failed(&panicked.reason)))
}

/// Nothing panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
