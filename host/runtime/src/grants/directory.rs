//! The directory grant: a directory, its access mode and its quota.
//!
//! The directory is opened once and kept open. `tree` finds where a path leads; every operation here is on one name in
//! a directory that is open, and follows no link. cap-std checks once more that the name leads nowhere else. This file
//! adds the quota, and refuses altogether:
//!
//! * to write to a file that may have a name outside of the directory: the number of its links is not that of its names
//!   inside, which are counted when the directory is opened and whenever one is added or removed here;
//! * to open special files, because opening a FIFO blocks and opening a device may have effects;
//! * every change, if the grant is read-only.
//!
//! The bytes of a file with several names count once. Each of its names counts as a file, because it takes room in a
//! directory: otherwise a plugin could fill the disk with names of one file. The target of a symbolic link counts as
//! bytes.
//!
//! The number of links does not tell where a name is: if an operator *moves* one of two names of a file out of the
//! directory, on the same file system, its number stays, and the other name is still written to. As on any Unix, a file
//! that others may write is copied out, never moved.
//!
//! Changes of names are serialized for each tenant's directory, so that an operation removes or replaces what it has
//! found. Changes of sizes are serialized for each file (`inode`). Operations block, and are called where that is
//! allowed; those that have a [`DiskWait`] block only with `Any`.
//!
//! Decided 2026-11-21: on top of cap-std, not around wasmtime-wasi's own implementation: its operations are futures
//! that can be dropped between the charge and the change, its streams write without a check, and it opens whatever a
//! name refers to.

pub(super) mod count;
mod entry;
mod inode;
mod name;
mod quota;
mod refused;
mod room;
mod slots;
#[cfg(test)]
pub(super) mod tests;
mod wait;

pub(crate) use entry::{Entry, Listing, READ};
pub(super) use inode::Inodes;
pub(crate) use inode::{Id, Position};
pub(crate) use name::Opening;
pub(super) use name::{Name, PATH, look, open_cached};
pub use quota::{Quota, Usage};
pub(crate) use quota::{QuotaAccount, TotalAccount};
pub(crate) use refused::Refused;
pub(crate) use room::FileRoom;
pub(crate) use slots::{Counted, FileSlot, OpenCount, OpenPlaces};
pub(crate) use wait::{DiskQueue, DiskWait};

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, FileTimes};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use cap_fs_ext::{DirExt, SystemTimeSpec};
use cap_std::fs::{Dir, Metadata, MetadataExt};
use cap_std::{ambient_authority, time::SystemTime as CapTime};
use rustix::fs::{RenameFlags, fstatvfs, renameat_with};
use rustix::io::Errno;

use entry::{Node, OpenedFor, reopen};
use inode::Inode;
use name::open;
use wait::is_local;

/// The longest path: Linux's `PATH_MAX` without the final zero.
const LONGEST_PATH: usize = 4095;

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
    queue: Arc<DiskQueue>,
    /// Whether it is on a local block device or in memory.
    is_local: bool,
    /// The secret of the hashes that plugins see instead of inode numbers.
    secret: RandomState,
    /// The one that was opened and counted, whose counts this one shares: keeps the entry in `Directories`
    /// alive.
    _first: Option<Arc<Directory>>,
    /// What ends with it. Dropped after all else.
    _held: Option<Box<dyn Send + Sync>>,
}

/// An open folder whose contents are counted.
pub(super) struct CountedFolder {
    pub(super) dir: Dir,
    /// Its identity.
    pub(super) id: Id,
    /// Its open files, with the account.
    pub(super) inodes: Arc<Inodes>,
    /// The tenant's operations on disks.
    pub(super) queue: Arc<DiskQueue>,
    /// What ends with the directory.
    pub(super) held: Option<Box<dyn Send + Sync>>,
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

impl PendingDelete {
    /// Waits until nobody closes it, if it is open, and lets others close it only on a thread that may block.
    fn hold_names(&self) -> Option<MutexGuard<'_, ()>> {
        self.open.as_deref().map(Inode::remove_names)
    }
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

    /// Opens a directory that plugins only read, without counting what it holds. Blocks.
    ///
    /// # Errors
    ///
    /// If it is not a directory, or cannot be opened.
    pub fn open_mount(path: &Path) -> Result<Arc<Self>, DirectoryError> {
        let wrong = |error| DirectoryError::unopened(path, error);
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(wrong)?;
        let id = Id::of(&dir.dir_metadata().map_err(wrong)?);
        let account = Arc::new(QuotaAccount::new(Quota { bytes: 0, files: 0 }, Usage::default()));
        let inodes = Arc::new(Inodes::new(account, HashMap::new()));
        let folder = CountedFolder { dir, id, inodes, queue: DiskQueue::new(), held: None };
        Ok(Self::counted(folder, path, Access::ReadOnly, "/"))
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
        let contents = count::count(&dir).map_err(|(below, error)| wrong(Some(below), error))?;
        let account = Arc::new(QuotaAccount::new(quota, contents.usage));
        let (id, queue) = (Id::of(&metadata), DiskQueue::new());
        let inodes = Arc::new(Inodes::new(account, contents.names));
        let counted = CountedFolder { dir, id, inodes, queue, held: None };
        Ok(Self::counted(counted, path, access, guest_path))
    }

    /// The same for one whose contents are counted already.
    pub(super) fn counted(folder: CountedFolder, path: &Path, access: Access, guest_path: &str) -> Arc<Self> {
        let CountedFolder { dir, id, inodes, queue, held } = folder;
        let is_local = is_local(&dir);
        let account = Arc::clone(inodes.account());
        let inode = inodes.track(id, 0);
        Arc::new(Self {
            root: Arc::new(root_entry(dir, inode, access, is_local)),
            path: path.to_owned(),
            access,
            guest_path: guest_path.to_owned(),
            account,
            inodes,
            names: Arc::default(),
            queue,
            is_local,
            secret: RandomState::new(),
            _first: None,
            _held: held,
        })
    }

    /// The same directory with another access mode or path, and with the same counts. `dir` is the directory, opened
    /// once more.
    pub(super) fn again(self: Arc<Self>, dir: Dir, path: &Path, access: Access, guest_path: &str) -> Arc<Self> {
        if self.access == access && self.path == path && self.guest_path == guest_path {
            return self;
        }
        let inode = Arc::clone(self.root.inode());
        Arc::new(Self {
            root: Arc::new(root_entry(dir, inode, access, self.is_local)),
            path: path.to_owned(),
            access,
            guest_path: guest_path.to_owned(),
            account: Arc::clone(&self.account),
            inodes: Arc::clone(&self.inodes),
            names: Arc::clone(&self.names),
            queue: Arc::clone(&self.queue),
            is_local: self.is_local,
            secret: self.secret.clone(),
            _first: Some(self._first.clone().unwrap_or(self)),
            _held: None,
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

    /// How much room it has now. Blocks.
    pub(super) fn room(&self) -> Result<FileRoom, Refused> {
        let disk = fstatvfs(self.root.directory()?).map_err(io::Error::from)?;
        Ok(FileRoom::of_quota(self.account.room(), !self.allows_changes()).on(&disk))
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
    pub(super) fn root(&self) -> &Arc<Entry> {
        &self.root
    }

    /// The tenant's operations on disks.
    pub(crate) fn queue(&self) -> &Arc<DiskQueue> {
        &self.queue
    }

    /// Whether it is on a local block device or in memory.
    pub(super) fn is_local(&self) -> bool {
        self.is_local
    }

    /// Whether plugins may change it.
    pub(crate) fn allows_changes(&self) -> bool {
        self.access == Access::ReadWrite
    }

    /// A 128-bit hash that identifies a file and reveals nothing about the disk.
    pub(super) fn hash(&self, id: Id) -> (u64, u64) {
        (self.secret.hash_one((id, 0)), self.secret.hash_one((id, 1)))
    }

    /// Opens the entry that is found at this name of a directory, or creates a file. Also returns whether it was
    /// created. The caller holds [`names`](Self::names), and has followed links.
    pub(super) fn open_entry(
        &self,
        at: Name<'_>,
        found: Result<&Metadata, Errno>,
        how: Opening,
        slot: FileSlot,
    ) -> Result<(Entry, bool), Refused> {
        // As under POSIX, only a file that is not there is created.
        let creates = how.create && matches!(found, Err(Errno::NOENT));
        if how.write || how.truncate || creates {
            self.allow_changes()?;
        }
        if (how.truncate && !how.write) || (how.directory && (how.create || how.truncate)) {
            return Err(Refused::Invalid);
        }
        let (file, made) = match found {
            Ok(found) => {
                self.check_opening(found, how)?;
                (open(at, Opening { create: false, ..how })?, false)
            }
            Err(Errno::NOENT) if how.create => (self.make(at, how)?, true),
            Err(error) => return Err(io::Error::from(error).into()),
        };
        let (entry, bytes) = self.entry(file, how, slot)?;
        // A new file stays as it is, as with O_TRUNC: ext4 begins to write to the disk what was truncated, when it is
        // closed.
        if how.truncate && !(made && bytes == 0) {
            entry.set_size(0)?;
        }
        Ok((entry, made))
    }

    /// Opens a directory that was reached without a name, such as by `..`.
    pub(super) fn open_again(&self, dir: &Dir, how: Opening, slot: FileSlot) -> Result<Entry, Refused> {
        if how.create && how.exclusive {
            return Err(Refused::Exists);
        }
        if how.write || how.create || how.truncate {
            return Err(Refused::IsDirectory);
        }
        Ok(self.entry(dir.try_clone()?.into_std_file(), how, slot)?.0)
    }

    /// What was opened, and its size in bytes: 0 of a directory.
    fn entry(&self, file: File, how: Opening, slot: FileSlot) -> Result<(Entry, u64), Refused> {
        let metadata = Metadata::from_file(&file)?;
        // A directory is charged no bytes, whatever its length is on the disk.
        let bytes = if metadata.is_file() { metadata.len() } else { 0 };
        let inode = self.inodes.track(Id::of(&metadata), bytes);
        let node = if metadata.is_dir() { Node::Directory(Dir::from_std_file(file)) } else { Node::File(file) };
        let is_local = self.is_local && inode.id().is_beside(self.root.id());
        Ok((Entry::new(node, inode, how.into(), Some(slot)).on_local(is_local), bytes))
    }

    fn make(&self, at: Name<'_>, how: Opening) -> Result<File, Refused> {
        self.charge(at, 0, || {
            // The system creates files only when they are opened for writing; the access that the plugin has is stored
            // beside the file.
            open(at, Opening { write: true, ..how })
        })
    }

    /// Creates a directory.
    pub(super) fn create_directory(&self, at: Name<'_>) -> Result<(), Refused> {
        self.allow_changes()?;
        let _names = self.names(at.wait)?;
        self.charge(at, 0, || at.dir.create_dir(at.name))
    }

    /// Creates a symbolic link. Its target is a path of the plugin's tree, which nothing else follows.
    pub(super) fn symlink(&self, target: &str, at: Name<'_>) -> Result<(), Refused> {
        self.allow_changes()?;
        let target = checked(target)?;
        let bytes = u64::try_from(target.as_os_str().len()).unwrap_or(u64::MAX);
        let _names = self.names(at.wait)?;
        self.charge(at, bytes, || at.dir.symlink_contents(target, at.name))
    }

    /// Gives a file a second name in this directory. The name counts as one more file, the bytes count once.
    pub(super) fn link(&self, old: Name<'_>, new: Name<'_>) -> Result<(), Refused> {
        self.allow_changes()?;
        let _names = self.names(old.wait)?;
        let found = look(old)?;
        if !found.is_file() && !found.is_symlink() {
            return Err(Refused::NotPermitted);
        }
        self.charge(new, 0, || old.dir.hard_link(old.name, new.dir, new.name))?;
        self.inodes.add_name(Id::of(&found), found.nlink());
        Ok(())
    }

    /// Removes anything except a directory.
    pub(super) fn remove_file(&self, at: Name<'_>) -> Result<(), Refused> {
        self.allow_changes()?;
        let _names = self.names(at.wait)?;
        let pending = self.pending_delete(at)?;
        if pending.found.is_dir() {
            return Err(Refused::IsDirectory);
        }
        let names = pending.hold_names();
        at.dir.remove_file(at.name)?;
        self.release(&pending);
        drop(names);
        Ok(())
    }

    /// Removes an empty directory.
    pub(super) fn remove_directory(&self, at: Name<'_>) -> Result<(), Refused> {
        self.allow_changes()?;
        let _names = self.names(at.wait)?;
        let pending = self.pending_delete(at)?;
        if !pending.found.is_dir() {
            return Err(Refused::NotDirectory);
        }
        let names = pending.hold_names();
        at.dir.remove_dir(at.name)?;
        self.release(&pending);
        drop(names);
        Ok(())
    }

    /// Renames an entry, replacing what has the new name if that is possible. With `directory`, anything else is
    /// refused.
    pub(super) fn rename(&self, old: Name<'_>, new: Name<'_>, directory: bool) -> Result<(), Refused> {
        self.allow_changes()?;
        let _names = self.names(old.wait)?;
        let moved = look(old)?;
        if directory && !moved.is_dir() {
            return Err(Refused::NotDirectory);
        }
        let replaced = match self.pending_delete(new) {
            Ok(pending) => Some(pending).filter(|pending| Id::of(&pending.found) != Id::of(&moved)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // Whether something would be replaced, and has to be released, is not known.
            Err(error) => return Err(error.into()),
        };
        let names = replaced.as_ref().and_then(PendingDelete::hold_names);
        old.dir.rename(old.name, new.dir, new.name)?;
        if let Some(replaced) = &replaced {
            self.release(replaced);
        }
        drop(names);
        Ok(())
    }

    /// Renames an entry, unless something has the new name. With `directory`, anything else is refused. What it holds,
    /// and how many names it has, stays.
    pub(super) fn rename_new(&self, old: Name<'_>, new: Name<'_>, directory: bool) -> Result<(), Refused> {
        self.allow_changes()?;
        let _names = self.names(old.wait)?;
        if directory && !look(old)?.is_dir() {
            return Err(Refused::NotDirectory);
        }
        match renameat_with(old.dir, old.name, new.dir, new.name, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => Err(Refused::Exists),
            // The file system or the kernel cannot do this, or a filter of system calls forbids it. All other changes
            // of names here wait for the lock.
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => match look(new) {
                Ok(_) => Err(Refused::Exists),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Ok(old.dir.rename(old.name, new.dir, new.name)?)
                }
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// Changes the times of an open file.
    pub(super) fn set_times(&self, entry: &Entry, times: Times) -> Result<(), Refused> {
        self.allow_changes()?;
        let found = entry.metadata()?;
        if found.is_file() && self.has_other_names(&found) {
            return Err(Refused::NotPermitted);
        }
        entry.set_times(times.into())
    }

    /// Changes the times of a directory.
    pub(super) fn set_times_of(&self, dir: &Dir, times: Times) -> Result<(), Refused> {
        self.allow_changes()?;
        Ok(reopen(dir)?.set_times(times.into())?)
    }

    /// Changes the times of the entry that is found at this name. The caller holds [`names`](Self::names), and has
    /// followed links.
    pub(super) fn set_times_at(
        &self,
        at: Name<'_>,
        found: Result<&Metadata, Errno>,
        times: Times,
    ) -> Result<(), Refused> {
        self.allow_changes()?;
        let found = found.map_err(io::Error::from)?;
        if found.is_symlink() {
            let spec = |time: Option<SystemTime>| time.map(|time| SystemTimeSpec::Absolute(CapTime::from_std(time)));
            return Ok(at.dir.set_symlink_times(at.name, spec(times.accessed), spec(times.modified))?);
        }
        let how = Opening { read: true, ..Opening::default() };
        self.check_opening(found, how)?;
        if found.is_file() && self.has_other_names(found) {
            return Err(Refused::NotPermitted);
        }
        Ok(open(at, how)?.set_times(times.into())?)
    }

    pub(super) fn allow_changes(&self) -> Result<(), Refused> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(Refused::ReadOnly),
        }
    }

    /// Holds the names still, so that an operation opens, removes or replaces what it has found.
    pub(super) fn names(&self, wait: DiskWait) -> Result<MutexGuard<'_, ()>, Refused> {
        wait.lock(&self.names)
    }

    /// Creates an entry with so many bytes at this name; charges it first, and refunds it if creation fails. A name
    /// that exists is reported as that, also when the quota is met: programs make locks in this way.
    fn charge<R>(&self, at: Name<'_>, bytes: u64, make: impl FnOnce() -> io::Result<R>) -> Result<R, Refused> {
        let met = || match look(at) {
            Ok(_) => Refused::Exists,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Refused::Quota,
            Err(error) => error.into(),
        };
        if !self.account.charge_file() {
            return Err(met());
        }
        if !self.account.charge_bytes(bytes) {
            self.account.give_back(Usage { bytes: 0, files: 1 });
            return Err(met());
        }
        Ok(make().inspect_err(|_| self.account.give_back(Usage { bytes, files: 1 }))?)
    }

    /// The entry that is about to lose this name. If it is not open, its size is read now; otherwise the open file
    /// tracks it: a handle that was closed in between may have changed it.
    fn pending_delete(&self, at: Name<'_>) -> io::Result<PendingDelete> {
        let open = self.inodes.find(Id::of(&look(at)?));
        Ok(PendingDelete { found: look(at)?, open })
    }

    /// The entry has lost a name. Its bytes are freed with the last name in this directory: now if it is not open,
    /// otherwise when it is closed.
    fn release(&self, pending: &PendingDelete) {
        let PendingDelete { found, open } = pending;
        let is_last = found.is_dir() || self.inodes.remove_name(Id::of(found), found.nlink());
        match open {
            Some(inode) if found.is_dir() || (is_last && found.nlink() == 1) => inode.unlinked(),
            Some(_) | None => {
                let bytes = if is_last && !found.is_dir() { found.len() } else { 0 };
                self.account.give_back(Usage { bytes, files: 1 });
            }
        }
    }

    /// Whether an existing entry may be opened in this way.
    fn check_opening(&self, found: &Metadata, how: Opening) -> Result<(), Refused> {
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
        if !found.is_file() || (how.write && self.has_other_names(found)) {
            return Err(Refused::NotPermitted);
        }
        Ok(())
    }

    /// Whether a file may have a name that is not in this directory.
    fn has_other_names(&self, found: &Metadata) -> bool {
        found.nlink() > 1 && found.nlink() != self.inodes.names(Id::of(found))
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
pub(super) fn checked(path: &str) -> Result<&Path, Refused> {
    if path.len() > LONGEST_PATH {
        return Err(Refused::NameTooLong);
    }
    if path.contains('\0') {
        return Err(Refused::Invalid);
    }
    Ok(Path::new(path))
}

/// The entry of a directory that is granted.
fn root_entry(dir: Dir, inode: Arc<Inode>, access: Access, is_local: bool) -> Entry {
    let how = OpenedFor { read: true, write: access == Access::ReadWrite };
    Entry::new(Node::Directory(dir), inode, how, None).on_local(is_local)
}
