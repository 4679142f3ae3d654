//! The grant of a directory: where it is, who may change it, and how much it holds.
//!
//! The directory is opened once and held; every path of a plugin is resolved below it by cap-std, which lets nothing out: no `..`, no
//! absolute path, no link, whoever moves what meanwhile. What this file adds is the quota, and what is refused altogether:
//!
//! * hard links, since a second name makes the size of a file two directories' matter; and writing to a file that has one already,
//!   since the other name may lie outside;
//! * special files, since opening a FIFO waits for somebody and opening a device does something;
//! * every change, where the grant is for reading.
//!
//! Changes of names happen one at a time in a tenant's directory, so that what an operation finds is what it then removes or replaces.
//! Changes of sizes happen one at a time in each file (`inode`). All of it blocks, and is called where that is allowed.
//!
//! Decided 2026-11-21: over cap-std, not around wasmtime-wasi's own implementation: its operations are futures that can be dropped between
//! the charge and the change, its streams write without asking, and it opens whatever a name stands for.

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
pub(crate) use slots::{Count, Counted, Slot};

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
use quota::Account;

/// The longest path: `PATH_MAX` of Linux without the zero at its end.
const PATH: usize = 4095;
/// Operations of one tenant that wait for the disk at the same time. The others wait in line, so that a slow disk cannot take the
/// threads of all tenants.
const TURNS: usize = 4;

/// What a plugin may do in a granted directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Look.
    ReadOnly,
    /// Look and change.
    ReadWrite,
}

/// A granted directory that cannot be used.
#[derive(Debug)]
pub struct DirectoryError {
    path: PathBuf,
    /// Where below it the count stopped; none if it could not be opened.
    below: Option<String>,
    source: io::Error,
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

/// A granted directory. One for all sessions of the tenant: they share its quota.
pub struct Directory {
    root: Arc<Entry>,
    path: PathBuf,
    access: Access,
    guest_path: String,
    account: Arc<Account>,
    inodes: Arc<Inodes>,
    /// Held while a name is looked up to be opened, made, moved or removed.
    names: Mutex<()>,
    turns: Arc<Semaphore>,
    /// The secret in the hashes that plugins see instead of inode numbers.
    secret: RandomState,
}

/// How something is to be opened.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Opening {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) create: bool,
    pub(crate) exclusive: bool,
    pub(crate) truncate: bool,
    /// Nothing but a directory.
    pub(crate) directory: bool,
    pub(crate) follow: bool,
}

/// New times of last access and last change; what is none stays.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) accessed: Option<SystemTime>,
    pub(crate) modified: Option<SystemTime>,
}

/// Something that is about to be removed or replaced.
struct PendingDelete {
    found: Metadata,
    /// If somebody has it open.
    open: Option<Arc<Inode>>,
}

impl Directory {
    /// Opens the directory and counts what it holds, following no link below it. It is held from now on: what the path means later makes
    /// no difference. Plugins see it as `guest_path`. Blocks.
    ///
    /// # Errors
    ///
    /// If it is no directory, may not be opened, or cannot be counted to its end.
    pub fn open(path: &Path, access: Access, quota: Quota, guest_path: &str) -> Result<Arc<Self>, DirectoryError> {
        let wrong = |below, source| DirectoryError { path: path.to_owned(), below, source };
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(|error| wrong(None, error))?;
        let metadata = dir.dir_metadata().map_err(|error| wrong(None, error))?;
        let usage = count::count(&dir).map_err(|(below, error)| wrong(Some(below), error))?;
        let account = Arc::new(Account::new(quota, usage));
        let inodes = Arc::new(Inodes::new(Arc::clone(&account)));
        let inode = inodes.track(Id::of(&metadata), 0);
        Ok(Arc::new(Self {
            root: Arc::new(Entry::new(Node::Directory(dir), inode, true, access == Access::ReadWrite, None)),
            path: path.to_owned(),
            access,
            guest_path: guest_path.to_owned(),
            account,
            inodes,
            names: Mutex::default(),
            turns: Arc::new(Semaphore::new(TURNS)),
            secret: RandomState::new(),
        }))
    }

    /// What it holds now, as far as the plugins of this process have changed it since it was counted.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.account.usage()
    }

    /// The most that it may hold.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.account.quota()
    }

    /// What plugins may do in it.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// Where it was when it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where plugins see it.
    #[must_use]
    pub fn guest_path(&self) -> &str {
        &self.guest_path
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Arc<Entry> {
        &self.root
    }

    /// Where operations that block stand in line.
    pub(crate) fn turns(&self) -> &Arc<Semaphore> {
        &self.turns
    }

    /// Whether plugins may change it.
    pub(crate) fn allows_changes(&self) -> bool {
        self.access == Access::ReadWrite
    }

    /// 128 bits that are the same for the same file, different for another, and tell nothing of the disk.
    pub(crate) fn hash(&self, id: Id) -> (u64, u64) {
        (self.secret.hash_one((id, 0)), self.secret.hash_one((id, 1)))
    }

    /// Opens a file or a directory. Also says whether it was made.
    pub(crate) fn enter(&self, at: &Entry, path: &str, how: Opening, slot: Slot) -> Result<(Entry, bool), Refused> {
        let (dir, path) = (at.directory()?, checked(path)?);
        if how.write || how.create || how.truncate {
            self.allow_changes()?;
        }
        if (how.truncate && !how.write) || (how.directory && (how.create || how.truncate)) {
            return Err(Refused::Invalid);
        }
        let _names = self.names();
        // A name that must be new is not followed to where it points.
        let how = Opening { follow: how.follow && !(how.create && how.exclusive), ..how };
        let (file, made) = match look(dir, path, how.follow) {
            Ok(found) => {
                admit(&found, how)?;
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
            // The system creates only what it opens for writing; what the plugin may do with it is kept beside it.
            open(dir, path, Opening { write: true, ..how })
        })
    }

    /// Makes a directory.
    pub(crate) fn create_directory(&self, at: &Entry, path: &str) -> Result<(), Refused> {
        let (dir, path) = self.change(at, path)?;
        let _names = self.names();
        self.charge(|| dir.create_dir(path))
    }

    /// Makes a symbolic link. One to an absolute path is refused: it would mislead whoever follows it from outside.
    pub(crate) fn symlink(&self, target: &str, at: &Entry, path: &str) -> Result<(), Refused> {
        let (dir, path) = self.change(at, path)?;
        let target = checked(target)?;
        let _names = self.names();
        self.charge(|| dir.symlink(target, path))
    }

    /// Removes anything but a directory.
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

    /// Moves something, over what has the new name if that can be replaced.
    pub(crate) fn rename(&self, from: &Entry, old: &str, to: &Entry, new: &str) -> Result<(), Refused> {
        let (from, old) = self.change(from, old)?;
        let (to, new) = self.change(to, new)?;
        let _names = self.names();
        let moved = look(from, old, false)?;
        // What is replaced is what has the name itself, not where a slash at the end would lead.
        let replaced =
            self.pending_delete(to, unslashed(new)).ok().filter(|pending| Id::of(&pending.found) != Id::of(&moved));
        from.rename(old, to, new)?;
        if let Some(replaced) = replaced {
            self.release(&replaced);
        }
        Ok(())
    }

    /// Where a symbolic link points.
    pub(crate) fn read_link(&self, at: &Entry, path: &str) -> Result<String, Refused> {
        let target = at.directory()?.read_link(checked(path)?)?;
        target.into_os_string().into_string().map_err(|_| Refused::NoText)
    }

    /// What is known of something.
    pub(crate) fn metadata(&self, at: &Entry, path: &str, follow: bool) -> Result<Metadata, Refused> {
        Ok(look(at.directory()?, checked(path)?, follow)?)
    }

    /// The [hash](Self::hash) of something by name.
    pub(crate) fn hash_at(&self, at: &Entry, path: &str, follow: bool) -> Result<(u64, u64), Refused> {
        Ok(self.hash(Id::of(&self.metadata(at, path, follow)?)))
    }

    /// Changes the times of something that is open.
    pub(crate) fn set_times(&self, entry: &Entry, times: Times) -> Result<(), Refused> {
        self.allow_changes()?;
        entry.set_times(times.into())
    }

    /// Changes the times of something by name.
    pub(crate) fn set_times_at(&self, at: &Entry, path: &str, follow: bool, times: Times) -> Result<(), Refused> {
        let (dir, path) = self.change(at, path)?;
        let _names = self.names();
        let found = look(dir, path, follow)?;
        if found.is_symlink() {
            let spec = |time: Option<SystemTime>| time.map(|time| SystemTimeSpec::Absolute(CapTime::from_std(time)));
            return Ok(dir.set_symlink_times(path, spec(times.accessed), spec(times.modified))?);
        }
        let how = Opening { read: true, follow, ..Opening::default() };
        admit(&found, how)?;
        Ok(open(dir, path, how)?.set_times(times.into())?)
    }

    /// Refuses every hard link: see the top of this file.
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

    /// Where a change begins, if it is allowed.
    fn change<'a>(&self, at: &'a Entry, path: &'a str) -> Result<(&'a Dir, &'a Path), Refused> {
        self.allow_changes()?;
        Ok((at.directory()?, checked(path)?))
    }

    fn names(&self) -> MutexGuard<'_, ()> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an entry, charged first, and given back if it is not made.
    fn charge<R>(&self, make: impl FnOnce() -> io::Result<R>) -> Result<R, Refused> {
        if !self.account.charge_file() {
            return Err(Refused::Quota);
        }
        Ok(make().inspect_err(|_| self.account.give_back(Usage { bytes: 0, files: 1 }))?)
    }

    /// What is about to lose this name. Its size is asked for once it is known that nobody has it open, or else is the open file's matter:
    /// whoever closed it in between may have changed it.
    fn pending_delete(&self, dir: &Dir, path: &Path) -> io::Result<PendingDelete> {
        let open = self.inodes.find(Id::of(&look(dir, path, false)?));
        Ok(PendingDelete { found: look(dir, path, false)?, open })
    }

    /// It has lost its name. What nobody has open is given back now, the rest when it is closed. A file with another name was counted
    /// once for each.
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

/// A path that is worth asking the system about.
fn checked(path: &str) -> Result<&Path, Refused> {
    if path.len() > PATH {
        return Err(Refused::NameTooLong);
    }
    if path.contains('\0') {
        return Err(Refused::Invalid);
    }
    Ok(Path::new(path))
}

/// The path without slashes at its end.
fn unslashed(path: &Path) -> &Path {
    path.to_str().map_or(path, |text| Path::new(text.trim_end_matches('/')))
}

/// What has this name, without opening it.
fn look(dir: &Dir, path: &Path, follow: bool) -> io::Result<Metadata> {
    if follow { dir.metadata(path) } else { dir.symlink_metadata(path) }
}

/// Whether what was found may be opened so.
fn admit(found: &Metadata, how: Opening) -> Result<(), Refused> {
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

/// Opens it without waiting for anybody, should it be a FIFO after all.
fn open(dir: &Dir, path: &Path, how: Opening) -> io::Result<File> {
    let follow = if how.follow { FollowSymlinks::Yes } else { FollowSymlinks::No };
    let mut options = OpenOptions::new();
    options.read(how.read || !how.write).write(how.write).follow(follow).nonblock(true);
    if how.create {
        options.create(!how.exclusive).create_new(how.exclusive);
    }
    Ok(dir.open_with(path, &options)?.into_std())
}
