//! What one session sees of files: a Unix tree, made of the directory that its tenant grants or its principal has, of
//! mounts of the operator, and of what the host makes: `/tmp`, `/dev`, and folders of names.
//!
//! Every import that takes a path ends here, and so do quota, policy and audit. A path never leads out of the tree:
//! `..` of its root is the root, and links are resolved against that root (`walk`). A name of the tree hides the entry
//! of the granted directory that has the same name. That concerns only names in the root: the directories on the way
//! to a mount point are the host's own, and read-only.
//!
//! | part | what a plugin may do | counted as |
//! |---|---|---|
//! | `/`, with a grant or a home | read, and write if that is granted | the directory's quota |
//! | `/`, without | read | nothing |
//! | `/tmp` | read and write; one for each session, gone at its end | its own quota |
//! | `/dev` | what each device does | nothing |
//! | mounts | read | nothing |
//! | `/bin` and `/usr/bin`, the program table | look at, and run | nothing |
//!
//! A name is moved or linked within one part only (`cross-device`), a mount point is neither moved nor removed
//! (`busy`). Times, sizes and numbers of what the host makes are zero.
//!
//! Decided 2026-11-29: our own resolution of paths in place of cap-std's, which refuses every absolute link and knows
//! one directory. The kernel still resolves whatever has no link and no `..` (`openat2`), so most paths take no more
//! system calls than before.
//!
//! Decided 2026-11-30: a program of `/bin` is a regular file of its component's size, each name of a multicall too, and
//! cannot be opened (`not-permitted`). Shells and `command -v` only ask for its metadata; whoever copies it gets an
//! error instead of bytes that are no program. Refused: a short text as its contents, whose size would not be that of
//! its metadata; and links for the names of a multicall, since tools would print and copy them as links.

mod device;
mod listing;
mod parts;
mod plan;
mod room;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use device::Device;
pub(crate) use listing::{ListedKind, TreeListing};
pub(crate) use parts::{OpenFile, Start, Temporary};
pub(crate) use plan::Kind;
pub use plan::{FileTree, Mount, NameFolder, TemporaryFolders, TreeSettings};

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;

use cap_std::fs::Metadata;
use rustix::io::Errno;

use super::directory::{
    Directory, DiskQueue, DiskWait, Entry, FileSlot, Id, Name, Opening, Refused, Times, checked, look,
};
use crate::posix::Descriptors;
use parts::{Parts, absent};
use plan::Plan;
use walk::{Held, Resolved, direct, walk};

/// How often a path is resolved anew because its last part has become a link meanwhile.
const ATTEMPTS: usize = 8;

/// The tree of one session.
pub(crate) struct Tree(Parts);

/// What is known of a file.
pub(crate) enum Found {
    /// It is on a disk.
    Real(Metadata),
    /// The host makes it.
    Made(Kind),
    /// It is a name in a folder of names, of a file with this many bytes.
    Listed(u64),
}

/// Where a path has led, with what is there now.
enum Spot<'a> {
    Name { part: usize, directory: &'a Directory, at: Name<'a>, found: Result<&'a Metadata, Errno>, slash: bool },
    Directory { part: usize, directory: &'a Directory, dir: &'a cap_std::fs::Dir },
    Part(usize),
    Listed { part: usize, name: &'a OsStr, size: u64 },
    Absent,
}

impl Tree {
    /// The tree of a session whose root is this directory, if any. `descriptors`: those of the program that sees it, if
    /// it is one. `None` if there is nothing to see.
    pub(crate) fn new(
        plans: &FileTree,
        descriptors: Option<&Arc<Descriptors>>,
        home: Option<Arc<Directory>>,
        temporary: &Arc<Temporary>,
    ) -> Option<Self> {
        let is_program = descriptors.is_some();
        let plan = if is_program { plans.of_programs() } else { plans.of_handlers() };
        let sees = is_program || home.is_some() || plan.has_mounts();
        let descriptors = descriptors.map(Arc::downgrade);
        sees.then(|| Self(Parts { plan: Arc::clone(plan), home, temporary: Arc::clone(temporary), descriptors }))
    }

    /// The root.
    pub(crate) fn root() -> OpenFile {
        OpenFile::Part { part: Plan::ROOT, read: true, write: true, _slot: None }
    }

    /// The path of the root for plugins.
    pub(crate) fn guest_path(&self) -> &str {
        self.0.home.as_ref().map_or("/", |home| home.guest_path())
    }

    /// The tenant's operations on disks.
    pub(crate) fn queue(&self) -> &Arc<DiskQueue> {
        self.0.home.as_ref().map_or(self.0.plan.queue(), |home| home.queue())
    }

    /// The device that this is.
    pub(crate) fn device(&self, opened: &OpenFile) -> Option<Device> {
        match opened {
            OpenFile::Part { part, .. } => self.0.plan.device(*part),
            OpenFile::Entry { .. } => None,
        }
    }

    /// The file or directory of a disk that this is; `None` if the host makes it.
    pub(crate) fn entry<'a>(&'a self, opened: &'a OpenFile) -> Result<Option<&'a Arc<Entry>>, Refused> {
        match opened {
            OpenFile::Part { part, .. } => Ok(self.0.directory(*part)?.map(|directory| directory.root())),
            OpenFile::Entry { entry, .. } => Ok(Some(entry)),
        }
    }

    /// Whether it is a directory.
    pub(crate) fn is_directory(&self, opened: &OpenFile) -> bool {
        match opened {
            OpenFile::Part { part, .. } => self.0.plan.is_folder(*part),
            OpenFile::Entry { entry, .. } => entry.is_directory(),
        }
    }

    /// Whether it is on a local block device, in memory, or made by the host.
    pub(crate) fn is_local(&self, opened: &OpenFile) -> bool {
        match opened {
            OpenFile::Part { part, .. } => self.0.is_local(*part),
            OpenFile::Entry { entry, .. } => entry.is_local(),
        }
    }

    /// Whether plugins may change what is in the same part.
    pub(crate) fn allows_changes(&self, opened: &OpenFile) -> bool {
        self.0
            .directory(opened.part())
            .is_ok_and(|directory| directory.is_some_and(|directory| directory.allows_changes()))
    }

    /// Identifies a file in this tree: its part, and its number there unless it is the root of the part.
    pub(crate) fn identity(&self, opened: &OpenFile) -> (usize, Option<Id>) {
        match opened {
            OpenFile::Part { part, .. } => (*part, None),
            OpenFile::Entry { part, entry } => (*part, Some(entry.id())),
        }
    }

    /// A 128-bit hash of that, which reveals nothing about the disk.
    pub(crate) fn hash(&self, opened: &OpenFile) -> Result<(u64, u64), Refused> {
        Ok(match opened {
            OpenFile::Part { part, .. } => self.0.plan.hash(*part, ""),
            OpenFile::Entry { part, entry } => self.0.mounted(*part)?.hash(entry.id()),
        })
    }

    /// The metadata of something open.
    pub(crate) fn stat(&self, opened: &OpenFile) -> Result<Found, Refused> {
        match self.entry(opened)? {
            Some(entry) => Ok(Found::Real(entry.metadata()?)),
            None => Ok(Found::Made(self.0.plan.made(opened.part()))),
        }
    }

    /// Changes the times of something open.
    pub(crate) fn set_times(&self, opened: &OpenFile, times: Times) -> Result<(), Refused> {
        match (self.0.directory(opened.part())?, self.entry(opened)?) {
            (Some(directory), Some(entry)) => directory.set_times(entry, times),
            _ => Err(Refused::ReadOnly),
        }
    }

    /// Begins to list a directory.
    pub(crate) fn list(&self, opened: &OpenFile, slot: FileSlot) -> Result<TreeListing, Refused> {
        match (self.entry(opened)?, opened) {
            (entry, OpenFile::Part { part, .. }) if self.0.plan.is_folder(*part) => {
                let entries = entry.map(|entry| entry.list(slot)).transpose()?;
                Ok(TreeListing::new(&self.0, *part, entries))
            }
            (Some(entry), _) => Ok(TreeListing::of(entry.list(slot)?)),
            (None, _) => Err(Refused::NotDirectory),
        }
    }

    /// Opens what a path leads to. Also returns whether a file was created.
    pub(crate) fn open(
        &self,
        start: Start<'_>,
        path: &str,
        how: Opening,
        slot: FileSlot,
    ) -> Result<(OpenFile, bool), Refused> {
        // A name that must be new is not followed if it is a link.
        let follow = how.follow && !(how.create && how.exclusive);
        self.at(start, path, follow, true, |spot| match spot {
            Spot::Name { part, directory, at, found, slash } => {
                let how = Opening { directory: how.directory || slash, ..how };
                let (entry, made) = directory.open_entry(at, found, how, slot)?;
                Ok((OpenFile::Entry { part, entry: Arc::new(entry) }, made))
            }
            Spot::Directory { part, directory, dir } => {
                let entry = Arc::new(directory.open_again(dir, how, slot)?);
                Ok((OpenFile::Entry { part, entry }, false))
            }
            Spot::Part(part) => Ok((self.open_part(part, how, slot, start.wait)?, false)),
            Spot::Listed { .. } if how.create && how.exclusive => Err(Refused::Exists),
            Spot::Listed { .. } if how.directory => Err(Refused::NotDirectory),
            Spot::Listed { .. } if how.write || how.truncate => Err(Refused::ReadOnly),
            Spot::Listed { .. } => Err(Refused::NotPermitted),
            Spot::Absent if how.create => Err(Refused::ReadOnly),
            Spot::Absent => Err(absent()),
        })
    }

    fn open_part(&self, part: usize, how: Opening, slot: FileSlot, wait: DiskWait) -> Result<OpenFile, Refused> {
        let Opening { read, write, create, exclusive, truncate, directory, .. } = how;
        if create && exclusive {
            return Err(Refused::Exists);
        }
        if self.0.plan.is_folder(part) {
            if write || create || truncate {
                return Err(Refused::IsDirectory);
            }
            // A `/tmp` that cannot be made is reported where it is opened.
            self.0.reach(part, wait)?;
        } else if directory {
            return Err(Refused::NotDirectory);
        }
        Ok(OpenFile::Part { part, read, write, _slot: Some(slot.without_descriptor()) })
    }

    /// Creates a directory.
    pub(crate) fn create_directory(&self, start: Start<'_>, path: &str) -> Result<(), Refused> {
        match self.locate(start, path, false)? {
            Resolved::Name { part, dir, name, .. } => {
                self.0.mounted(part)?.create_directory(named(&dir, &name, start)?)
            }
            Resolved::Part(_) | Resolved::Directory { .. } | Resolved::Listed { .. } => Err(Refused::Exists),
            Resolved::Absent => Err(Refused::ReadOnly),
        }
    }

    /// Creates a symbolic link.
    pub(crate) fn symlink(&self, target: &str, start: Start<'_>, path: &str) -> Result<(), Refused> {
        match self.locate(start, path, false)? {
            Resolved::Name { slash: true, .. } => Err(absent()),
            Resolved::Name { part, dir, name, .. } => self.0.mounted(part)?.symlink(target, named(&dir, &name, start)?),
            Resolved::Part(_) | Resolved::Directory { .. } | Resolved::Listed { .. } => Err(Refused::Exists),
            Resolved::Absent => Err(Refused::ReadOnly),
        }
    }

    /// Removes anything except a directory.
    pub(crate) fn remove_file(&self, start: Start<'_>, path: &str) -> Result<(), Refused> {
        match self.locate(start, path, false)? {
            Resolved::Name { part, dir, name, slash } => {
                let (directory, at) = (self.0.mounted(part)?, named(&dir, &name, start)?);
                if slash && !look(at)?.is_dir() {
                    return Err(Refused::NotDirectory);
                }
                directory.remove_file(at)
            }
            Resolved::Directory { .. } => Err(Refused::IsDirectory),
            Resolved::Part(part) if self.0.plan.is_folder(part) => Err(Refused::IsDirectory),
            Resolved::Part(_) | Resolved::Listed { .. } => Err(Refused::ReadOnly),
            Resolved::Absent => Err(absent()),
        }
    }

    /// Removes an empty directory.
    pub(crate) fn remove_directory(&self, start: Start<'_>, path: &str) -> Result<(), Refused> {
        match self.locate(start, path, false)? {
            Resolved::Name { part, dir, name, .. } => {
                self.0.mounted(part)?.remove_directory(named(&dir, &name, start)?)
            }
            // As under POSIX for a path that ends in a dot.
            Resolved::Directory { .. } => Err(Refused::Invalid),
            Resolved::Part(part) if self.0.plan.is_folder(part) => Err(Refused::Busy),
            Resolved::Part(_) | Resolved::Listed { .. } => Err(Refused::NotDirectory),
            Resolved::Absent => Err(absent()),
        }
    }

    /// Renames an entry within one part. `replace`: what has the new name is replaced if that is possible; otherwise it
    /// keeps it.
    pub(crate) fn rename(
        &self,
        from: Start<'_>,
        old: &str,
        to: Start<'_>,
        new: &str,
        replace: bool,
    ) -> Result<(), Refused> {
        let (old, new) = (self.locate(from, old, false)?, self.locate(to, new, false)?);
        match (&old, &new) {
            (Resolved::Absent, _) => Err(absent()),
            (Resolved::Part(_) | Resolved::Directory { .. }, _) => Err(Refused::Busy),
            (Resolved::Listed { .. }, _) => Err(Refused::ReadOnly),
            (_, Resolved::Part(_) | Resolved::Directory { .. } | Resolved::Listed { .. }) if !replace => {
                Err(Refused::Exists)
            }
            (_, Resolved::Part(_) | Resolved::Directory { .. }) => Err(Refused::Busy),
            (_, Resolved::Listed { .. } | Resolved::Absent) => Err(Refused::ReadOnly),
            (
                Resolved::Name { part, dir, name, slash },
                Resolved::Name { part: other, dir: to, name: new, slash: new_slash },
            ) => {
                if part != other {
                    return Err(Refused::CrossDevice);
                }
                let (old, new) = (named(dir, name, from)?, named(to, new, from)?);
                let (directory, is_directory) = (self.0.mounted(*part)?, *slash || *new_slash);
                if replace {
                    directory.rename(old, new, is_directory)
                } else {
                    directory.rename_new(old, new, is_directory)
                }
            }
        }
    }

    /// Gives a file a second name in the same part. `follow`: if the old path leads to a link, its target gets the
    /// name.
    pub(crate) fn link(
        &self,
        from: Start<'_>,
        old: &str,
        follow: bool,
        to: Start<'_>,
        new: &str,
    ) -> Result<(), Refused> {
        let new = self.locate(to, new, false)?;
        self.at(from, old, follow, false, |spot| match (spot, &new) {
            (Spot::Absent, _) => Err(absent()),
            (Spot::Name { found: Err(error), .. }, _) => Err(io::Error::from(error).into()),
            (_, Resolved::Part(_) | Resolved::Directory { .. } | Resolved::Listed { .. }) => Err(Refused::Exists),
            (_, Resolved::Absent) => Err(Refused::CrossDevice),
            (Spot::Directory { .. }, _) => Err(Refused::NotPermitted),
            (Spot::Part(part), _) if self.0.plan.is_folder(part) => Err(Refused::NotPermitted),
            (Spot::Part(_) | Spot::Listed { .. }, _) => Err(Refused::CrossDevice),
            (_, Resolved::Name { slash: true, .. }) => Err(absent()),
            (Spot::Name { part, directory, at, .. }, Resolved::Name { part: other, dir, name, .. }) => {
                if part != *other {
                    return Err(Refused::CrossDevice);
                }
                directory.link(at, named(dir, name, from)?)
            }
        })
    }

    /// The target of a symbolic link.
    pub(crate) fn read_link(&self, start: Start<'_>, path: &str) -> Result<String, Refused> {
        match self.locate(start, path, path.ends_with('/'))? {
            Resolved::Name { dir, name, .. } => {
                let target = dir.dir()?.read_link_contents(Path::new(&*name))?;
                target.into_os_string().into_string().map_err(|_| Refused::NoText)
            }
            Resolved::Part(_) | Resolved::Directory { .. } | Resolved::Listed { .. } => Err(Refused::Invalid),
            Resolved::Absent => Err(absent()),
        }
    }

    /// The metadata of what a path leads to.
    pub(crate) fn metadata(&self, start: Start<'_>, path: &str, follow: bool) -> Result<Found, Refused> {
        self.at(start, path, follow, false, |spot| match spot {
            Spot::Name { found, slash, .. } => {
                let found = found.map_err(io::Error::from)?;
                if slash && !found.is_dir() { Err(Refused::NotDirectory) } else { Ok(Found::Real(found.clone())) }
            }
            Spot::Directory { dir, .. } => Ok(Found::Real(dir.dir_metadata()?)),
            Spot::Part(part) => match self.0.reach(part, start.wait)? {
                Some(directory) => Ok(Found::Real(directory.root().metadata()?)),
                None => Ok(Found::Made(self.0.plan.made(part))),
            },
            Spot::Listed { size, .. } => Ok(Found::Listed(size)),
            Spot::Absent => Err(absent()),
        })
    }

    /// The name in a folder of names to which a path leads, links followed; `None` if it leads elsewhere.
    pub(crate) fn listed(&self, start: Start<'_>, path: &str) -> Result<Option<String>, Refused> {
        self.at(start, path, true, false, |spot| match spot {
            Spot::Listed { name, .. } => Ok(name.to_str().map(str::to_owned)),
            Spot::Name { .. } | Spot::Directory { .. } | Spot::Part(_) | Spot::Absent => Ok(None),
        })
    }

    /// The [hash](Self::hash) of what a path leads to.
    pub(crate) fn hash_at(&self, start: Start<'_>, path: &str, follow: bool) -> Result<(u64, u64), Refused> {
        self.at(start, path, follow, false, |spot| match spot {
            Spot::Name { directory, found, .. } => Ok(directory.hash(Id::of(found.map_err(io::Error::from)?))),
            Spot::Directory { directory, dir, .. } => Ok(directory.hash(Id::of(&dir.dir_metadata()?))),
            // A listing asks this of every name: `/tmp` is not made for that.
            Spot::Part(part) => Ok(self.0.plan.hash(part, "")),
            Spot::Listed { part, name, .. } => Ok(self.0.plan.hash(part, &name.to_string_lossy())),
            Spot::Absent => Err(absent()),
        })
    }

    /// Changes the times of what a path leads to.
    pub(crate) fn set_times_at(&self, start: Start<'_>, path: &str, follow: bool, times: Times) -> Result<(), Refused> {
        self.at(start, path, follow, true, |spot| match spot {
            Spot::Name { directory, at, found, .. } => directory.set_times_at(at, found, times),
            Spot::Directory { directory, dir, .. } => directory.set_times_of(dir, times),
            Spot::Part(part) => match self.0.reach(part, start.wait)? {
                Some(directory) => directory.set_times(directory.root(), times),
                None => Err(Refused::ReadOnly),
            },
            Spot::Listed { .. } => Err(Refused::ReadOnly),
            Spot::Absent => Err(absent()),
        })
    }

    /// Finds where a path leads, without a look at its last part unless that is to be followed.
    fn locate<'a>(&'a self, start: Start<'a>, path: &'a str, follow: bool) -> Result<Resolved<'a>, Refused> {
        checked(path)?;
        if path.starts_with('/') {
            // WASI's paths are relative to something open.
            return Err(Refused::NotPermitted);
        }
        if path.is_empty() {
            return Err(absent());
        }
        match direct(&self.0, start, path)? {
            Some(place) => Ok(place),
            None => walk(&self.0, start, path, follow),
        }
    }

    /// Finds where a path leads and does something with what is there, with its names held if `lock`.
    fn at<R>(
        &self,
        start: Start<'_>,
        path: &str,
        follow: bool,
        lock: bool,
        work: impl FnOnce(Spot<'_>) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        // With a slash behind it a link means what it leads to.
        let follow = follow || path.ends_with('/');
        let mut place = self.locate(start, path, follow)?;
        for _ in 0..ATTEMPTS {
            let (part, dir, name, slash) = match &place {
                Resolved::Name { part, dir, name, slash } => (*part, dir, name, *slash),
                Resolved::Directory { part, dir } => {
                    let directory = self.0.mounted(*part)?;
                    return work(Spot::Directory { part: *part, directory, dir: dir.dir()? });
                }
                Resolved::Part(part) => return work(Spot::Part(*part)),
                Resolved::Listed { part, name, size } => return work(Spot::Listed { part: *part, name, size: *size }),
                Resolved::Absent => return work(Spot::Absent),
            };
            let (directory, at) = (self.0.mounted(part)?, named(dir, name, start)?);
            let names = lock.then(|| directory.names(start.wait)).transpose()?;
            let found = look(at);
            if follow && found.as_ref().is_ok_and(Metadata::is_symlink) {
                drop(names);
                place = walk(&self.0, start, path, true)?;
                continue;
            }
            if start.wait == DiskWait::Never
                && matches!(&found, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            {
                return Err(Refused::would_wait());
            }
            let found = found.as_ref().map_err(|error| Errno::from_io_error(error).unwrap_or(Errno::IO));
            return work(Spot::Name { part, directory, at, found, slash });
        }
        Err(Refused::Link)
    }
}

/// A name where a path has led.
fn named<'n>(dir: &'n Held<'_>, name: &'n OsStr, start: Start<'_>) -> Result<Name<'n>, Refused> {
    Ok(Name { dir: dir.dir()?, name: Path::new(name), wait: start.wait })
}
