//! The directory grant: a directory, its access mode and its quota.
//!
//! The directory is opened once and kept open; cap-std resolves every path of a plugin below it and allows no way out:
//! no `..`, no absolute path, no link, even while others rename things. This file adds the quota, and refuses
//! altogether:
//!
//! * hard links, because a second name would make the size of a file count in two directories; and writing to a file
//!   that already has one, because the other name may be outside;
//! * special files, because opening a FIFO blocks and opening a device may have effects;
//! * every change, if the grant is read-only.
//!
//! Changes of names are serialized for each tenant's directory, so that an operation removes or replaces what it has
//! found. Changes of sizes are serialized for each file (`inode`). Everything blocks, and is called where that is
//! allowed.
//!
//! Decided 2026-11-21: on top of cap-std, not around wasmtime-wasi's own implementation: its operations are futures
//! that can be dropped between the charge and the change, its streams write without a check, and it opens whatever a
//! name refers to.

mod count;
mod entry;
mod inode;
mod quota;
mod refused;
mod slots;

pub(crate) use entry::{Entry, Listing, READ};
pub(crate) use inode::{Id, Position};
pub use quota::{Quota, Usage};
pub(crate) use refused::Refused;
pub(crate) use slots::{Counted, FileSlot, OpenCount};

use std::fmt;
use std::fs::{File, FileTimes};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt, SystemTimeSpec};
use cap_std::fs::{Dir, Metadata, MetadataExt, OpenOptions};
use cap_std::{ambient_authority, time::SystemTime as CapTime};
use tokio::sync::Semaphore;

use entry::Node;
use inode::{Inode, Inodes};
use quota::QuotaAccount;

/// The longest path: Linux's `PATH_MAX` without the final zero.
const PATH: usize = 4095;
/// Concurrent disk operations of one tenant. Further ones queue, so that a slow disk cannot block the threads of all
/// tenants.
const TURNS: usize = 4;

/// The access mode of a granted directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    ReadOnly,
    /// Read and write.
    ReadWrite,
}

/// Why a granted directory cannot be used.
#[derive(Debug)]
pub struct DirectoryError {
    path: PathBuf,
    /// Where below it the count stopped; `None` if it could not be opened.
    below: Option<String>,
    source: io::Error,
}

impl DirectoryError {
    /// It could not be opened.
    pub(super) fn unopened(path: &Path, source: io::Error) -> Self {
        Self { path: path.to_owned(), below: None, source }
    }
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, source) = (self.path.display(), &self.source);
        match self.below.as_deref() {
            None => write!(f, "the granted directory {path} cannot be opened: {source}"),
            Some("") => write!(f, "what the granted directory {path} holds cannot be counted: {source}"),
            Some(below) => write!(f, "what the granted directory {path} holds cannot be counted: {below}: {source}"),
        }
    }
}

impl std::error::Error for DirectoryError {}

/// A granted directory, shared by all sessions of the tenant together with its quota.
pub struct Directory {
    root: Arc<Entry>,
    path: PathBuf,
    access: Access,
    guest_path: String,
    account: Arc<QuotaAccount>,
    inodes: Arc<Inodes>,
    /// Held while a name is looked up to be opened, created, moved or removed.
    names: Arc<Mutex<()>>,
    turns: Arc<Semaphore>,
    /// The secret of the hashes that plugins see instead of inode numbers.
    secret: RandomState,
    /// The one that was opened and counted, whose counts this one shares: keeps the entry in `Directories`
    /// alive.
    _first: Option<Arc<Directory>>,
}

/// How to open a path.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Opening {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) create: bool,
    pub(crate) exclusive: bool,
    pub(crate) truncate: bool,
    /// Fails unless it is a directory.
    pub(crate) directory: bool,
    pub(crate) follow: bool,
}

/// New times of last access and last change; `None` leaves a time unchanged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) accessed: Option<SystemTime>,
    pub(crate) modified: Option<SystemTime>,
}

/// An entry that is about to be removed or replaced.
struct PendingDelete {
    found: Metadata,
    /// The open file, if it is open.
    open: Option<Arc<Inode>>,
}

impl Directory {
    /// Opens the directory and counts its contents, without following links below it. It stays open: later changes of
    /// the path have no effect. Plugins see it as `guest_path`. Blocks.
    ///
    /// # Errors
    ///
    /// If it is not a directory, cannot be opened, or cannot be counted completely.
    pub fn open(path: &Path, access: Access, quota: Quota, guest_path: &str) -> Result<Arc<Self>, DirectoryError> {
        let wrong = |error| DirectoryError::unopened(path, error);
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(wrong)?;
        Self::of(dir, path, access, quota, guest_path)
    }

    /// The same for a directory that is open already.
    pub(super) fn of(
        dir: Dir,
        path: &Path,
        access: Access,
        quota: Quota,
        guest_path: &str,
    ) -> Result<Arc<Self>, DirectoryError> {
        let wrong = |below, source| DirectoryError { path: path.to_owned(), below, source };
        let metadata = dir.dir_metadata().map_err(|error| wrong(None, error))?;
        let usage = count::count(&dir).map_err(|(below, error)| wrong(Some(below), error))?;
        let account = Arc::new(QuotaAccount::new(quota, usage));
        let inodes = Arc::new(Inodes::new(Arc::clone(&account)));
        let inode = inodes.track(Id::of(&metadata), 0);
        Ok(Arc::new(Self {
            root: Arc::new(Entry::new(Node::Directory(dir), inode, true, access == Access::ReadWrite, None)),
            path: path.to_owned(),
            access,
            guest_path: guest_path.to_owned(),
            account,
            inodes,
            names: Arc::default(),
            turns: Arc::new(Semaphore::new(TURNS)),
            secret: RandomState::new(),
            _first: None,
        }))
    }

    /// The same directory with another access mode or path, and with the same counts. `dir` is the directory, opened
    /// once more.
    pub(super) fn again(self: Arc<Self>, dir: Dir, path: &Path, access: Access, guest_path: &str) -> Arc<Self> {
        if self.access == access && self.path == path && self.guest_path == guest_path {
            return self;
        }
        let inode = Arc::clone(self.root.inode());
        Arc::new(Self {
            root: Arc::new(Entry::new(Node::Directory(dir), inode, true, access == Access::ReadWrite, None)),
            path: path.to_owned(),
            access,
            guest_path: guest_path.to_owned(),
            account: Arc::clone(&self.account),
            inodes: Arc::clone(&self.inodes),
            names: Arc::clone(&self.names),
            turns: Arc::clone(&self.turns),
            secret: self.secret.clone(),
            _first: Some(self._first.clone().unwrap_or(self)),
        })
    }

    /// Changes the quota for all who share the counts. What is there stays, even if it is more.
    pub fn set_quota(&self, quota: Quota) {
        self.account.change(quota);
    }

    /// Its current contents: what was counted, and what plugins of this process have changed since.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.account.usage()
    }

    /// Its quota.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.account.quota()
    }

    /// Its access mode.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// Its path when it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its path for plugins.
    #[must_use]
    pub fn guest_path(&self) -> &str {
        &self.guest_path
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Arc<Entry> {
        &self.root
    }

    /// The queue of blocking operations.
    pub(crate) fn turns(&self) -> &Arc<Semaphore> {
        &self.turns
    }

    /// Whether plugins may change it.
    pub(crate) fn allows_changes(&self) -> bool {
        self.access == Access::ReadWrite
    }

    /// A 128-bit hash that identifies a file and reveals nothing about the disk.
    pub(crate) fn hash(&self, id: Id) -> (u64, u64) {
        (self.secret.hash_one((id, 0)), self.secret.hash_one((id, 1)))
    }

    /// Opens a file or a directory. Also returns whether it was created.
    pub(crate) fn open_entry(
        &self,
        at: &Entry,
        path: &str,
        how: Opening,
        slot: FileSlot,
    ) -> Result<(Entry, bool), Refused> {
        let (dir, path) = (at.directory()?, checked(path)?);
        if how.write || how.create || how.truncate {
            self.allow_changes()?;
        }
        if (how.truncate && !how.write) || (how.directory && (how.create || how.truncate)) {
            return Err(Refused::Invalid);
        }
        let _names = self.names();
        // A name that must be new is not followed if it is a link.
        let how = Opening { follow: how.follow && !(how.create && how.exclusive), ..how };
        let (file, made) = match look(dir, path, how.follow) {
            Ok(found) => {
                check_opening(&found, how)?;
                (open(dir, path, Opening { create: false, ..how })?, false)
            }
            Err(error) if how.create && error.kind() == ErrorKind::NotFound => (self.make(dir, path, how)?, true),
            Err(error) => return Err(error.into()),
        };
        let metadata = Metadata::from_file(&file)?;
        let inode = self.inodes.track(Id::of(&metadata), metadata.len());
        let node = if metadata.is_dir() { Node::Directory(Dir::from_std_file(file)) } else { Node::File(file) };
        let entry = Entry::new(node, inode, how.read, how.write, Some(slot));
        if how.truncate {
            entry.set_size(0)?;
        }
        Ok((entry, made))
    }

    fn make(&self, dir: &Dir, path: &Path, how: Opening) -> Result<File, Refused> {
        self.charge(|| {
            // The system creates files only when they are opened for writing; the access that the plugin has is stored
            // beside the file.
            open(dir, path, Opening { write: true, ..how })
        })
    }

    /// Creates a directory.
    pub(crate) fn create_directory(&self, at: &Entry, path: &str) -> Result<(), Refused> {
        let (dir, path) = self.change(at, path)?;
        let _names = self.names();
        self.charge(|| dir.create_dir(path))
    }

    /// Creates a symbolic link. An absolute target is refused: it would mislead programs that follow it from outside.
    pub(crate) fn symlink(&self, target: &str, at: &Entry, path: &str) -> Result<(), Refused> {
        let (dir, path) = self.change(at, path)?;
        let target = checked(target)?;
        let _names = self.names();
        self.charge(|| dir.symlink(target, path))
    }

    /// Removes anything except a directory.
    pub(crate) fn remove_file(&self, at: &Entry, path: &str) -> Result<(), Refused> {
        let (dir, path) = self.change(at, path)?;
        let _names = self.names();
        let pending = self.pending_delete(dir, path)?;
        if pending.found.is_dir() {
            return Err(Refused::IsDirectory);
        }
        dir.remove_file(path)?;
        self.release(&pending);
        Ok(())
    }

    /// Removes an empty directory.
    pub(crate) fn remove_directory(&self, at: &Entry, path: &str) -> Result<(), Refused> {
        let (dir, path) = self.change(at, path)?;
        let _names = self.names();
        let pending = self.pending_delete(dir, path)?;
        if !pending.found.is_dir() {
            return Err(Refused::NotDirectory);
        }
        dir.remove_dir(path)?;
        self.release(&pending);
        Ok(())
    }

    /// Renames an entry, replacing what has the new name if that is possible.
    pub(crate) fn rename(&self, from: &Entry, old: &str, to: &Entry, new: &str) -> Result<(), Refused> {
        let (from, old) = self.change(from, old)?;
        let (to, new) = self.change(to, new)?;
        let _names = self.names();
        let moved = look(from, old, false)?;
        // The entry with the name itself is replaced, not the target that a trailing slash would lead to.
        let replaced =
            self.pending_delete(to, unslashed(new)).ok().filter(|pending| Id::of(&pending.found) != Id::of(&moved));
        from.rename(old, to, new)?;
        if let Some(replaced) = replaced {
            self.release(&replaced);
        }
        Ok(())
    }

    /// The target of a symbolic link.
    pub(crate) fn read_link(&self, at: &Entry, path: &str) -> Result<String, Refused> {
        let target = at.directory()?.read_link(checked(path)?)?;
        target.into_os_string().into_string().map_err(|_| Refused::NoText)
    }

    /// The metadata of an entry.
    pub(crate) fn metadata(&self, at: &Entry, path: &str, follow: bool) -> Result<Metadata, Refused> {
        Ok(look(at.directory()?, checked(path)?, follow)?)
    }

    /// The [hash](Self::hash) of a named entry.
    pub(crate) fn hash_at(&self, at: &Entry, path: &str, follow: bool) -> Result<(u64, u64), Refused> {
        Ok(self.hash(Id::of(&self.metadata(at, path, follow)?)))
    }

    /// Changes the times of an open file.
    pub(crate) fn set_times(&self, entry: &Entry, times: Times) -> Result<(), Refused> {
        self.allow_changes()?;
        entry.set_times(times.into())
    }

    /// Changes the times of a named entry.
    pub(crate) fn set_times_at(&self, at: &Entry, path: &str, follow: bool, times: Times) -> Result<(), Refused> {
        let (dir, path) = self.change(at, path)?;
        let _names = self.names();
        let found = look(dir, path, follow)?;
        if found.is_symlink() {
            let spec = |time: Option<SystemTime>| time.map(|time| SystemTimeSpec::Absolute(CapTime::from_std(time)));
            return Ok(dir.set_symlink_times(path, spec(times.accessed), spec(times.modified))?);
        }
        let how = Opening { read: true, follow, ..Opening::default() };
        check_opening(&found, how)?;
        Ok(open(dir, path, how)?.set_times(times.into())?)
    }

    /// Refuses every hard link: see the module documentation.
    pub(crate) fn link(&self) -> Result<(), Refused> {
        self.allow_changes()?;
        Err(Refused::NotPermitted)
    }

    fn allow_changes(&self) -> Result<(), Refused> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(Refused::ReadOnly),
        }
    }

    /// Checks that changes are allowed; every change begins here.
    fn change<'a>(&self, at: &'a Entry, path: &'a str) -> Result<(&'a Dir, &'a Path), Refused> {
        self.allow_changes()?;
        Ok((at.directory()?, checked(path)?))
    }

    fn names(&self) -> MutexGuard<'_, ()> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates an entry; charges it first, and refunds it if creation fails.
    fn charge<R>(&self, make: impl FnOnce() -> io::Result<R>) -> Result<R, Refused> {
        if !self.account.charge_file() {
            return Err(Refused::Quota);
        }
        Ok(make().inspect_err(|_| self.account.give_back(Usage { bytes: 0, files: 1 }))?)
    }

    /// The entry that is about to lose this name. If it is not open, its size is read now; otherwise the open file
    /// tracks it: a handle that was closed in between may have changed it.
    fn pending_delete(&self, dir: &Dir, path: &Path) -> io::Result<PendingDelete> {
        let open = self.inodes.find(Id::of(&look(dir, path, false)?));
        Ok(PendingDelete { found: look(dir, path, false)?, open })
    }

    /// The entry has lost its name. If it is not open, its quota is freed now, otherwise when it is closed. A file with
    /// several names was counted once for each.
    fn release(&self, pending: &PendingDelete) {
        let PendingDelete { found, open } = pending;
        match open {
            Some(inode) if found.is_dir() || found.nlink() == 1 => inode.unlinked(),
            Some(_) | None => {
                let bytes = if found.is_file() { found.len() } else { 0 };
                self.account.give_back(Usage { bytes, files: 1 });
            }
        }
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("path", &self.path).field("access", &self.access).finish_non_exhaustive()
    }
}

impl From<Times> for FileTimes {
    fn from(times: Times) -> Self {
        let with = |new: Self, time: Option<SystemTime>, set: fn(Self, SystemTime) -> Self| match time {
            Some(time) => set(new, time),
            None => new,
        };
        with(with(Self::new(), times.accessed, Self::set_accessed), times.modified, Self::set_modified)
    }
}

/// Checks a path before it is passed to the system.
fn checked(path: &str) -> Result<&Path, Refused> {
    if path.len() > PATH {
        return Err(Refused::NameTooLong);
    }
    if path.contains('\0') {
        return Err(Refused::Invalid);
    }
    Ok(Path::new(path))
}

/// The path without trailing slashes.
fn unslashed(path: &Path) -> &Path {
    path.to_str().map_or(path, |text| Path::new(text.trim_end_matches('/')))
}

/// The metadata of a name, without opening it.
fn look(dir: &Dir, path: &Path, follow: bool) -> io::Result<Metadata> {
    if follow { dir.metadata(path) } else { dir.symlink_metadata(path) }
}

/// Whether an existing entry may be opened in this way.
fn check_opening(found: &Metadata, how: Opening) -> Result<(), Refused> {
    if how.create && how.exclusive {
        return Err(Refused::Exists);
    }
    if found.is_symlink() {
        return Err(if how.directory { Refused::NotDirectory } else { Refused::Link });
    }
    if found.is_dir() {
        return if how.write || how.create { Err(Refused::IsDirectory) } else { Ok(()) };
    }
    if how.directory {
        return Err(Refused::NotDirectory);
    }
    if !found.is_file() || (how.write && found.nlink() > 1) {
        return Err(Refused::NotPermitted);
    }
    Ok(())
}

/// Opens it without blocking, even if it has become a FIFO.
fn open(dir: &Dir, path: &Path, how: Opening) -> io::Result<File> {
    let follow = if how.follow { FollowSymlinks::Yes } else { FollowSymlinks::No };
    let mut options = OpenOptions::new();
    options.read(how.read || !how.write).write(how.write).follow(follow).nonblock(true);
    if how.create {
        options.create(!how.exclusive).create_new(how.exclusive);
    }
    Ok(dir.open_with(path, &options)?.into_std())
}
