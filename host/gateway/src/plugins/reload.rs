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
//! Decided 2026-11-29: the task is supervised ([`whelk_runtime::supervise`]). After a panic it reads every file again.

mod folder;
mod refusal;
mod removal;
mod status;
mod task;

use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use whelk_runtime::CompileSlots;
use whelk_runtime::supervise::supervise;

use crate::config::Limits;
pub use folder::FolderConfig;
pub(crate) use folder::PluginFolder;
use status::Status;
pub use task::Loaders;
use task::{Context, Task};
use whelk_runtime::limits::count;

/// The running task. Dropping it ends the task; loaded plugins stay.
pub struct Reload {
    view: View,
    task: JoinHandle<Infallible>,
    prepared: watch::Receiver<bool>,
}

/// The status for others.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) folders: Arc<[Arc<PluginFolder>]>,
    pub(crate) status: Arc<Status>,
}

impl Reload {
    /// Loads everything in the folders and keeps checking them. Returns when the operator's folder has been listed; its
    /// plugins come later: see [`prepared`](Self::prepared). Needs a tokio runtime.
    ///
    /// # Errors
    /// When a folder of the operator's cannot be read.
    pub async fn start(folders: Vec<FolderConfig>, loaders: Loaders, limits: &Limits) -> Result<Reload, String> {
        let tenants_slots = Arc::new(CompileSlots::new(count(limits.plugins.compile_jobs)));
        let folders: Arc<[_]> =
            folders.into_iter().map(|folder| Arc::new(PluginFolder::new(folder, limits, &tenants_slots))).collect();
        let (tell, prepared) = watch::channel(false);
        let context = Arc::new(Context::new(Arc::clone(&folders), loaders, limits, tell));
        Reload::start_with(context, prepared).await
    }

    async fn start_with(context: Arc<Context>, prepared: watch::Receiver<bool>) -> Result<Reload, String> {
        let (folders, status) = (Arc::clone(&context.folders), Arc::clone(&context.status));
        let mut first = Task::new(Arc::clone(&context));
        first.begin().await;
        for folder in folders.iter().filter(|folder| folder.tenant().is_none()) {
            if let Some(trouble) = &folder.state().trouble {
                return Err(format!("the plugin folder {} cannot be read: {trouble}", folder.config.path.display()));
            }
        }
        let (mut first, failed) = (Some(first), Arc::clone(&status));
        // After a panic there is no first listing any more.
        let start = move || first.take().unwrap_or_else(|| Task::again(Arc::clone(&context))).run();
        let task = tokio::spawn(supervise("reload", start, move |panicked| failed.failed(&panicked.reason)));
        Ok(Reload { view: View { folders, status }, task, prepared })
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
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
