//! Keeps what can be run the same as what is in the plugin folders: looks when something has changed, loads, publishes,
//! removes.
//!
//! When to look is `watch.rs`'s to say, what is on disk `plugin_files.rs`'s, and how bytes become a plugin the
//! runtime's. Here, `folder.rs` knows what was found in one folder, `removal.rs` when a file that is gone takes its
//! plugin away, and `task.rs` is the one task that changes any of that.
//!
//! Decided 2026-11-21: a file that is deleted is what an operator does to take a plugin away, so new sessions do not
//! get it any more. A *folder* that is gone or cannot be read is a disk that is not there: everything goes on as it is,
//! and that is told. An empty folder in the place of another that was not empty is taken for the same, since that is
//! what an unmounted disk leaves behind. The same goes for a file that is there and cannot be read, a link to a file
//! that is not there included. O20, W40.
//!
//! Decided 2026-11-21: the kernel's own way of telling (inotify) makes it fast, and a look at every folder every two
//! seconds makes it sure: links to places outside, network disks, renamed parents and exhausted watches tell nothing.
//! Without a watcher the looks alone do it, and each of them tries to make one.
//!
//! Decided 2026-11-28: a server listens before its plugins are compiled. A start waits until the operator's folder has
//! been listed, and no longer; what was found there is in preparation
//! ([`Registry::expect`](whelk_runtime::Registry::expect)) until it is published or refused.
//!
//! Decided 2026-11-29: a look only reads the file; what takes long, the load, is a job of its own that holds up no
//! look. A newer version ends the load of the older one with its compiler, and so does the removal of the file. A file
//! that never stops changing does not: its next version would be ended the same way. Only the task itself publishes and
//! removes, so that a load that was ended changes nothing.
//!
//! Decided 2026-11-29: the task is supervised ([`whelk_runtime::supervise`]). After a panic it reads every file anew.

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
pub use folder::Folder;
pub(crate) use folder::PluginFolder;
use status::Status;
pub use task::Loaders;
use task::{Context, Task};
use whelk_runtime::limits::count;

/// The running task. It ends when this is dropped; what was loaded stays.
pub struct Reload {
    view: View,
    task: JoinHandle<Infallible>,
    prepared: watch::Receiver<bool>,
}

/// What can be seen of it from outside.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) folders: Arc<[Arc<PluginFolder>]>,
    pub(crate) status: Arc<Status>,
}

impl Reload {
    /// Loads everything in the folders and keeps looking at them. Comes back when the operator's folder has been
    /// listed; its plugins come later: see [`prepared`](Self::prepared). Needs a tokio runtime.
    ///
    /// # Errors
    /// When a folder of the operator's cannot be read.
    pub async fn start(folders: Vec<Folder>, loaders: Loaders, limits: &Limits) -> Result<Reload, String> {
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
            if let Some(trouble) = &folder.known().trouble {
                return Err(format!("the plugin folder {} cannot be read: {trouble}", folder.place.path.display()));
            }
        }
        let (mut first, failed) = (Some(first), Arc::clone(&status));
        // After a panic there is no first one any more.
        let start = move || first.take().unwrap_or_else(|| Task::again(Arc::clone(&context))).run();
        let task = tokio::spawn(supervise("reload", start, move |panicked| failed.failed(&panicked.reason)));
        Ok(Reload { view: View { folders, status }, task, prepared })
    }

    /// Waits until each of the operator's plugins that was there at the start is served or refused, and each of the
    /// tenants' own unless that takes long.
    pub fn prepared(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut prepared = self.prepared.clone();
        async move {
            // An error means that the task has ended: then there is nothing to wait for.
            let _ = prepared.wait_for(|prepared| *prepared).await;
        }
    }

    /// What can be seen of it.
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
