//! The `/tmp` of a tenant's sessions: temporary folders below the state folder, each with a quota, all with a total.
//!
//! Decided 2026-11-29: on the disk, not in memory. One implementation of files serves both, so that links, limits and
//! records are the same; a compiler's files of some 100 MiB take no memory of the tenant's; and an operator who wants
//! memory puts a tmpfs at `tmp` below the state folder. What a killed server leaves carries a mark, and the next start
//! removes it (whelk-runtime's `grants/homes/marked.rs`).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;
use whelk_runtime::limits::Throttle;
use whelk_runtime::{Directories, Directory, HomeLifetime, HomeQuota, HomeSettings, Homes, TemporaryFolders};

use crate::observe::escape::escape;
use crate::observe::event::{PluginEvent, emit};
use crate::state::{State, session_folder};

/// Those of one tenant.
pub(super) struct SessionFolders {
    state: PathBuf,
    tenant: String,
    quota: HomeQuota,
    directories: Arc<Directories>,
    /// Logs the first failure.
    failures: Throttle,
    /// Opened when it is first used: most tenants never do, and it takes a descriptor.
    opened: Mutex<Option<Arc<Homes>>>,
}

impl SessionFolders {
    /// What an earlier process has left is removed, in the background. Blocks.
    pub(super) fn new(state: &Path, tenant: &str, quota: HomeQuota, directories: &Arc<Directories>) -> Arc<Self> {
        let (state, tenant, directories) = (state.to_owned(), tenant.to_owned(), Arc::clone(directories));
        let folders = Arc::new(Self {
            state,
            tenant,
            quota,
            directories,
            failures: Throttle::first(1),
            opened: Mutex::default(),
        });
        if session_folder(&folders.state, &folders.tenant).is_dir() {
            // If that is not possible now, a session reports it.
            let _ = folders.open();
        }
        folders
    }

    fn open(&self) -> io::Result<Arc<Homes>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(homes) = &*opened {
            return Ok(Arc::clone(homes));
        }
        let made = State::open(&self.state).and_then(|state| state.session_folder(&self.tenant));
        let folder = made.map_err(|error| io::Error::other(error.to_string()))?;
        let settings = HomeSettings { lifetime: HomeLifetime::Session, skeleton: None, quota: self.quota };
        let homes = self.directories.homes(&folder, settings, &self.tenant, "/");
        let homes = homes.map_err(|error| io::Error::other(error.to_string()))?;
        homes.apply_quota();
        *opened = Some(Arc::clone(&homes));
        Ok(homes)
    }
}

impl TemporaryFolders for SessionFolders {
    fn make(&self) -> io::Result<Arc<Directory>> {
        self.open().and_then(|homes| homes.make_temporary()).inspect_err(|error| {
            if self.failures.allow(Instant::now()).is_some() {
                let reason = format!("/tmp: {error}");
                let (tenant, reason) = (escape(self.tenant.as_bytes()), escape(reason.as_bytes()));
                emit(PluginEvent::GrantMissing { tenant, reason });
            }
        })
    }
}

impl fmt::Debug for SessionFolders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionFolders").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use whelk_runtime::{Access, Quota};

    use super::*;

    const QUOTA: HomeQuota = HomeQuota { each: Quota { bytes: 100, files: 5 }, total: Quota { bytes: 150, files: 10 } };
    const LONG: Duration = Duration::from_secs(60);

    /// How many folders there are for sessions of the tenant.
    fn there(state: &Path) -> usize {
        fs::read_dir(session_folder(state, "acme")).map_or(0, |names| names.count())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_sessions_folder_is_made_when_it_is_used_and_removed_after_it() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().to_owned();
        tokio::task::spawn_blocking(move || {
            let directories = Arc::new(Directories::default());
            let folders = SessionFolders::new(&folder, "acme", QUOTA, &directories);
            assert!(!session_folder(&folder, "acme").exists());
            let (one, two) = (folders.make().unwrap(), folders.make().unwrap());
            assert_eq!((there(&folder), one.quota(), one.access()), (2, QUOTA.each, Access::ReadWrite));
            drop(one);
            assert!(directories.settle(LONG));
            assert_eq!(there(&folder), 1);
            drop(two);
            assert!(directories.settle(LONG));
            assert_eq!(there(&folder), 0);
        })
        .await
        .unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_a_killed_server_leaves_is_removed_at_the_next_start() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().to_owned();
        tokio::task::spawn_blocking(move || {
            let killed = folder.join("killed");
            let before = Arc::new(Directories::default());
            fs::create_dir(&killed).unwrap();
            let made = SessionFolders::new(&killed, "acme", QUOTA, &before).make().unwrap();
            fs::create_dir_all(made.path().join("deep/er")).unwrap();
            fs::write(made.path().join("deep/er/file"), "left").unwrap();
            // What it leaves is moved to where nobody has it any more: a lock ends with its process.
            let (left, place) = (made.path().parent().unwrap().to_owned(), session_folder(&folder, "acme"));
            fs::create_dir_all(place.join("the operator's")).unwrap();
            fs::rename(&left, place.join(left.file_name().unwrap())).unwrap();
            assert_eq!(there(&folder), 2);
            let after = Arc::new(Directories::default());
            let folders = SessionFolders::new(&folder, "acme", QUOTA, &after);
            assert!(after.settle(LONG));
            assert_eq!(there(&folder), 1, "what is not ours stays");
            drop(folders);
        })
        .await
        .unwrap();
    }
}
