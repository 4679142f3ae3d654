//! A folder that holds homes: which are open, what each holds, and what they hold together.
//!
//! All generations of a tenant share it, so that what is counted is counted once. It is locked for this process
//! (`flock` on the folder itself): another whelk would remove temporary folders that are in use here, and count
//! without our changes.
//!
//! Decided 2026-11-29, how 10,000 homes are counted: a home that a session opens is counted then, in the tenant's turn;
//! the others by the reaper's thread, home by home, from the start on. Sessions wait for that, at most [`COUNT_WAIT`];
//! then they go on, and until the count is complete the total is too low by what is not counted yet. A home that is
//! known is counted again when a session opens it that nobody else has open, if that was done longer ago than
//! [`COUNT_AGE`]: the operator may have put files there. So a home of 10,000 files costs its sessions some 20 ms
//! of processor time a minute. One that was replaced is always counted.

mod count;
mod removal;

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use cap_std::fs::Dir;
use rustix::fs::{Mode, fstat, openat};
use rustix::io::Errno;
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::Instant;

use super::error::HomeError;
use super::lock::lock_file;
use super::marked::MarkedFolder;
use super::reaper::FolderReaper;
use super::skeleton::{self, Skeleton, SkeletonError};
use crate::event::{LogEvent, emit};
use crate::grants::directory::count::{self as contents, DIRECTORY};
use crate::grants::directory::{CountedFolder, DiskQueue, Id, Inodes};
use crate::grants::{Access, Directory, Quota, QuotaAccount, TotalAccount, Usage};

/// How long a session waits for the count of all homes.
const COUNT_WAIT: Duration = Duration::from_secs(2);
/// As many entries may wait for their removal before the next temporary folder is made, or as many as one home may
/// have.
const REMOVALS: u64 = 100_000;
/// How long the lock of a folder is waited for that this process had a moment ago.
const LOCK_WAIT: Duration = Duration::from_millis(500);
/// A home that nobody has open is counted again when it is opened, if it was counted longer ago than this.
const COUNT_AGE: Duration = Duration::from_secs(60);
/// Write permission for group or others.
const OTHERS_WRITE: u32 = 0o022;

/// How much homes may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HomeQuota {
    /// Each of them.
    pub each: Quota,
    /// All of them together.
    pub total: Quota,
}

/// A folder that holds homes.
pub(in crate::grants) struct HomesPlace {
    path: PathBuf,
    /// The folder, locked.
    folder: Arc<OwnedFd>,
    total: Arc<TotalAccount>,
    quota: Mutex<HomeQuota>,
    homes: Mutex<HashMap<String, HomeSlot>>,
    queue: Arc<DiskQueue>,
    reaper: Arc<FolderReaper>,
    /// Whether the homes are counted.
    counted: watch::Sender<bool>,
    /// How many entries wait for their removal.
    removals: watch::Sender<u64>,
}

/// What is known of one home, locked while it is made or opened; none until then.
type HomeSlot = Arc<tokio::sync::Mutex<Option<KnownHome>>>;

/// A home that was counted.
pub(super) struct KnownHome {
    id: Id,
    /// Its files, with what is charged for them.
    inodes: Arc<Inodes>,
    /// When they were counted.
    since: Instant,
    /// While sessions use it.
    open: Weak<Directory>,
}

/// Who a new home is for, and with what it begins.
pub(super) struct NewHome<'n> {
    pub(super) tenant: &'n str,
    pub(super) skeleton: Option<&'n Path>,
    pub(super) guest_path: &'n str,
    /// It is somebody's home: its removal is logged.
    pub(super) is_home: bool,
    /// Asked while it is made.
    pub(super) is_wanted: &'n dyn Fn() -> bool,
}

/// A home that was just made.
pub(super) struct MadeHome {
    pub(super) directory: Arc<Directory>,
    /// Its path, and what it began with; none if it was there before.
    pub(super) made: Option<(PathBuf, Skeleton)>,
}

impl HomesPlace {
    /// Opens and locks a folder, and queues the removal of what an earlier run has left. Blocks. `was_ours`: this
    /// process had it before, perhaps until now.
    ///
    /// # Errors
    /// When it cannot be opened or locked.
    pub(in crate::grants) fn open(
        path: &Path,
        folder: Arc<OwnedFd>,
        (quota, tenant): (HomeQuota, &str),
        reaper: &Arc<FolderReaper>,
        was_ours: bool,
    ) -> io::Result<Arc<Self>> {
        lock(&folder, was_ours)?;
        let (leftovers, unmarked) = MarkedFolder::leftovers(&folder)?;
        let place = Arc::new(Self {
            path: path.to_owned(),
            folder,
            total: Arc::new(TotalAccount::new(quota.total)),
            quota: Mutex::new(quota),
            homes: Mutex::default(),
            queue: DiskQueue::new(),
            reaper: Arc::clone(reaper),
            counted: watch::Sender::new(false),
            removals: watch::Sender::new(0),
        });
        for name in unmarked {
            emit(LogEvent::HomeNotOurs { tenant, home: &path.join(name) });
        }
        place.remove_leftovers(leftovers, tenant);
        Ok(place)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The tenant's operations on disks.
    pub(super) fn queue(&self) -> &Arc<DiskQueue> {
        &self.queue
    }

    /// What all homes hold, as far as they are counted.
    pub(super) fn total(&self) -> Usage {
        self.total.used()
    }

    /// Changes the quota of all homes, also of those that are open.
    pub(super) fn set_quota(&self, quota: HomeQuota) {
        *self.quota.lock().unwrap_or_else(PoisonError::into_inner) = quota;
        self.total.change(quota.total);
        let slots: Vec<HomeSlot> = self.lock_homes().values().cloned().collect();
        for slot in slots {
            // One that is being opened gets the new quota there.
            if let Some(known) = slot.try_lock().ok().as_deref().and_then(Option::as_ref) {
                known.inodes.account().change(quota.each);
            }
        }
    }

    fn quota(&self) -> HomeQuota {
        *self.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_homes(&self) -> std::sync::MutexGuard<'_, HashMap<String, HomeSlot>> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of the home of this name.
    pub(super) fn slot(&self, name: &str) -> HomeSlot {
        Arc::clone(self.lock_homes().entry(name.to_owned()).or_default())
    }

    /// Waits until the homes are counted, but not for long.
    pub(super) async fn until_counted(&self) {
        let mut counted = self.counted.subscribe();
        // The sender is in this value.
        let _ = tokio::time::timeout(COUNT_WAIT, counted.wait_for(|counted| *counted)).await;
    }

    /// Waits until there is room for one more temporary folder: until not too many entries wait for their removal.
    pub(super) async fn until_removed(&self) {
        let most = self.most_removals();
        let mut removals = self.removals.subscribe();
        let _ = removals.wait_for(|waiting| *waiting < most).await;
    }

    /// Whether there is room for one more temporary folder now.
    pub(super) fn has_room(&self) -> bool {
        *self.removals.borrow() < self.most_removals()
    }

    fn most_removals(&self) -> u64 {
        REMOVALS.max(self.quota().each.files)
    }

    /// Opens a folder; `None` if there is none.
    fn open_folder(&self, name: &str) -> io::Result<Option<(Dir, Id)>> {
        let folder = match openat(&self.folder, name, DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened?,
        };
        let facts = fstat(&folder)?;
        let me = rustix::process::geteuid().as_raw();
        if facts.st_mode & OTHERS_WRITE != 0 || (facts.st_uid != me && facts.st_uid != 0) {
            let (mode, owner) = (facts.st_mode & 0o7777, facts.st_uid);
            let what = format!("it must be writable for whelk alone, has mode {mode:04o} and belongs to uid {owner}");
            return Err(io::Error::other(what));
        }
        let dir = Dir::from_std_file(folder.into());
        let id = Id::of(&dir.dir_metadata()?);
        Ok(Some((dir, id)))
    }

    /// The home of this name that other sessions use, if its name still leads to it: somebody may have removed or
    /// replaced it. Otherwise as [`open_home`](Self::open_home). Blocks.
    pub(super) fn enter_home(
        self: &Arc<Self>,
        name: &str,
        known: OwnedMutexGuard<Option<KnownHome>>,
        new: &NewHome<'_>,
    ) -> Result<MadeHome, HomeError> {
        let open = known.as_ref().and_then(|known| Some((known.open()?, known.id)));
        let found = self.open_folder(name).map_err(|error| HomeError::Disk(self.path.join(name), error))?;
        match (open, found) {
            (Some((directory, id)), Some((_, found))) if found == id => Ok(MadeHome { directory, made: None }),
            _ => self.open_home(name, known, new),
        }
    }

    /// Opens the home of this name, and makes it if there is none. Blocks.
    pub(super) fn open_home(
        self: &Arc<Self>,
        name: &str,
        mut known: OwnedMutexGuard<Option<KnownHome>>,
        new: &NewHome<'_>,
    ) -> Result<MadeHome, HomeError> {
        let disk = |error| HomeError::Disk(self.path.join(name), error);
        let mut made = None;
        let now = Instant::now();
        let (dir, id, inodes, since) = match self.open_folder(name).map_err(disk)? {
            Some((dir, id)) => match known.take_if(|known| known.id == id && !known.is_old()) {
                Some(KnownHome { inodes, since, .. }) => (dir, id, inodes, since),
                None => {
                    let inodes = self.count(&dir, &mut known).map_err(disk)?;
                    (dir, id, inodes, now)
                }
            },
            None => {
                forget(known.take());
                let (folder, account, skeleton) = self.begin_home(new)?;
                let kept = folder.keep_contents(name).and_then(|()| self.open_folder(name));
                let kept = kept.and_then(|opened| opened.ok_or_else(|| io::ErrorKind::NotFound.into()));
                let (dir, id) = kept.map_err(|error| {
                    self.discard(&folder, &account, new.tenant);
                    disk(error)
                })?;
                made = Some((self.path.join(name), skeleton));
                (dir, id, Arc::new(Inodes::new(account, HashMap::new())), now)
            }
        };
        inodes.account().change(self.quota().each);
        let counted =
            CountedFolder { dir, id, inodes: Arc::clone(&inodes), queue: Arc::clone(&self.queue), held: None };
        let path = self.path.join(name);
        let directory = Directory::counted(counted, &path, Access::ReadWrite, new.guest_path);
        *known = Some(KnownHome { id, inodes, since, open: Arc::downgrade(&directory) });
        Ok(MadeHome { directory, made })
    }

    /// Counts a home. Until that is done it has what it had: others must not take that meanwhile.
    fn count(&self, dir: &Dir, known: &mut Option<KnownHome>) -> io::Result<Arc<Inodes>> {
        let contents = contents::count(dir).map_err(|(_, error)| error)?;
        let each = self.quota().each;
        let account = match known.take() {
            Some(before) => QuotaAccount::in_place_of(before.inodes.account(), each, contents.usage),
            None => QuotaAccount::within(each, contents.usage, &self.total),
        };
        Ok(Arc::new(Inodes::new(Arc::new(account), contents.names)))
    }

    /// Makes a temporary folder with the skeleton in it. If that fails, nothing of it stays.
    fn begin_home(
        self: &Arc<Self>,
        new: &NewHome<'_>,
    ) -> Result<(MarkedFolder, Arc<QuotaAccount>, Skeleton), HomeError> {
        let disk = |error| HomeError::Disk(self.path.clone(), error);
        let folder = MarkedFolder::make(&self.folder).map_err(disk)?;
        let account = Arc::new(QuotaAccount::within(self.quota().each, Usage::default(), &self.total));
        let copied = match new.skeleton {
            None => Ok(Skeleton::default()),
            Some(skeleton) => match folder.open_contents() {
                Ok(contents) => skeleton::copy(skeleton, contents, &account, new.is_wanted),
                Err(error) => Err(SkeletonError::Disk(String::new(), error)),
            },
        };
        match copied {
            Ok(skeleton) => Ok((folder, account, skeleton)),
            Err(error) => {
                self.discard(&folder, &account, new.tenant);
                Err(error.into())
            }
        }
    }

    fn owner(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }
}

impl KnownHome {
    /// The home, if it is open.
    pub(super) fn open(&self) -> Option<Arc<Directory>> {
        self.open.upgrade()
    }

    /// Whether it is counted again before a session opens it: somebody else may have put files there since.
    fn is_old(&self) -> bool {
        self.open.strong_count() == 0 && self.since.elapsed() >= COUNT_AGE
    }
}

/// A home is gone: somebody else has removed it.
fn forget(known: Option<KnownHome>) {
    if let Some(KnownHome { inodes, .. }) = known {
        inodes.account().give_back(inodes.account().usage());
    }
}

/// Locks the folder for this process, which had it a moment ago if `was_ours`.
fn lock(folder: &OwnedFd, was_ours: bool) -> io::Result<()> {
    match lock_file(folder, if was_ours { LOCK_WAIT } else { Duration::ZERO }) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::Error::other("another whelk has its homes in this folder"))
        }
        // A file system without locks.
        Ok(()) | Err(_) => Ok(()),
    }
}
