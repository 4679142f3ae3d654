//! Files that decide who logs in: opened without waiting, and only if nobody else may write to them.
//!
//! Those of the operator may be links. Those below a home directory are written by its user, so no path leads out of
//! the home: `cap-std` resolves them by openat2(2), and step by step where containers refuse that call.

mod cached;
mod mounts;

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::state::strict_modes::{Writers, me};

/// A file that was changed less than this time ago may change again within the same tick of the file system's clock,
/// and keep its stamp.
const SETTLED: Duration = Duration::from_secs(2);
/// Spare capacity behind the contents. With less, `read_to_end` first reads into a small buffer to probe for the end.
const READ_SLACK: usize = 32;
/// Without NONBLOCK, opening a FIFO would wait for a writer.
const FLAGS: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);

/// A file of keys, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum KeyPath {
    /// A file that the operator names. Links are followed.
    Named(Arc<Path>),
    /// A file below a home directory. Links are followed as far as they lead to a place below it.
    InHome {
        /// The home directory, which the operator names.
        home: Arc<Path>,
        /// The path below it.
        file: Arc<Path>,
    },
}

/// The metadata that show whether a file has changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileStamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    /// When it was taken, any later change would show in another stamp. No part of the comparison.
    is_settled: bool,
}

/// Why a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileFault {
    /// A sentence that names the file.
    pub(crate) reason: String,
    /// It says nothing about the file itself: this program has too many files open, the disk or the network fails.
    pub(crate) is_passing: bool,
}

impl FileFault {
    fn of(reason: String, error: &io::Error) -> FileFault {
        FileFault { reason, is_passing: is_passing(error) }
    }
}

impl From<String> for FileFault {
    /// A fault of the file itself.
    fn from(reason: String) -> FileFault {
        FileFault { reason, is_passing: false }
    }
}

impl From<FileFault> for String {
    fn from(fault: FileFault) -> String {
        fault.reason
    }
}

/// Whether an error says nothing about the file.
pub(crate) fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied};
    // Links in a circle, and what is no file that can be opened. They have no stable kind.
    let of_file = [Errno::LOOP, Errno::NXIO].map(Errno::raw_os_error);
    let is_of_file = error.raw_os_error().is_some_and(|number| of_file.contains(&number));
    !is_of_file && !matches!(error.kind(), NotFound | PermissionDenied | NotADirectory | IsADirectory)
}

impl KeyPath {
    /// A file that the operator names.
    pub(crate) fn named(path: &Path) -> KeyPath {
        KeyPath::Named(path.into())
    }

    /// A file below a home directory.
    pub(crate) fn in_home(home: &Arc<Path>, file: &Path) -> KeyPath {
        KeyPath::InHome { home: Arc::clone(home), file: file.into() }
    }

    /// Whether it is below a home directory.
    pub(crate) fn is_in_home(&self) -> bool {
        matches!(self, KeyPath::InHome { .. })
    }

    /// Opens a regular file of at most `most` bytes that nobody but root, the user of this program and the owner of the
    /// home may write to, as sshd's StrictModes. Waits for the disk. None: a home need not have one.
    ///
    /// # Errors
    /// What is wrong, as a sentence that names the file.
    pub(super) fn open(&self, most: u64) -> Result<Option<(File, Metadata)>, FileFault> {
        let unreadable = |error: io::Error| FileFault::of(format!("{self} cannot be read: {error}"), &error);
        let (home, file) = match self {
            KeyPath::Named(path) => {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC | FLAGS;
                let opened =
                    rustix::fs::open(&**path, flags, Mode::empty()).map_err(|error| unreadable(error.into()))?;
                let file = File::from(opened);
                mounts::remember(&file);
                (None, file)
            }
            KeyPath::InHome { home, file } => {
                let opened = match open_below(home, file, FLAGS) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    opened => opened,
                };
                let (home, file) = opened.map_err(unreadable)?;
                (Some(home), file)
            }
        };
        let facts = file.metadata().map_err(unreadable)?;
        if !facts.is_file() {
            return Err(format!("{self} is not a regular file").into());
        }
        if facts.len() > most {
            return Err(format!("{self} is larger than {most} bytes").into());
        }
        match (self, home) {
            (KeyPath::InHome { .. }, Some(home)) => check_in_home(&home, &file, &facts)?,
            (KeyPath::Named(path), _) | (KeyPath::InHome { file: path, .. }, None) => {
                Writers::Operator.check_both(path, &facts)?;
            }
        }
        Ok(Some((file, facts)))
    }

    /// The contents of an open file, which had this size. What was added beyond `most` bytes since it was opened is
    /// left out.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(super) fn contents(&self, file: File, size: u64, most: u64) -> Result<Vec<u8>, FileFault> {
        // With room for all of it one call reads it, and another finds the end.
        let room = usize::try_from(size.min(most)).unwrap_or(0).saturating_add(READ_SLACK);
        let mut bytes = Vec::with_capacity(room);
        let read = file.take(most).read_to_end(&mut bytes);
        read.map_err(|error| FileFault::of(format!("{self} cannot be read: {error}"), &error))?;
        Ok(bytes)
    }

    /// The stamp of the file, without reading it. Waits for the disk.
    ///
    /// # Errors
    /// It is not there, or cannot be accessed.
    pub(crate) fn stamp(&self) -> io::Result<FileStamp> {
        match self {
            KeyPath::Named(path) => path.metadata().map(|facts| FileStamp::of(&facts)),
            KeyPath::InHome { home, file } => {
                let (_, file) = open_below(home, file, OFlags::PATH)?;
                file.metadata().map(|facts| FileStamp::of(&facts))
            }
        }
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyPath::Named(path) => path.display().fmt(f),
            KeyPath::InHome { home, file } => home.join(file).display().fmt(f),
        }
    }
}

impl FileStamp {
    pub(super) fn of(facts: &Metadata) -> FileStamp {
        FileStamp {
            device: facts.dev(),
            inode: facts.ino(),
            bytes: facts.len(),
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
            is_settled: is_settled(facts.ctime()),
        }
    }

    /// Whether any change of the file after this stamp was taken shows in another stamp.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// Whether the file was empty, as is one that is just being written anew.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }
}

impl PartialEq for FileStamp {
    fn eq(&self, other: &FileStamp) -> bool {
        let metadata = |stamp: &FileStamp| (stamp.device, stamp.inode, stamp.bytes, stamp.modified, stamp.changed);
        metadata(self) == metadata(other)
    }
}

impl Eq for FileStamp {}

/// Whether a file that was changed at this time, in seconds since 1970, would get another stamp if it changed now.
fn is_settled(changed: i64) -> bool {
    let changed = u64::try_from(changed).ok().map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
    let age = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
    age.is_some_and(|age| age > SETTLED)
}

/// Opens a file below a home directory, and the directory.
fn open_below(home: &Path, file: &Path, flags: OFlags) -> io::Result<(Dir, File)> {
    let home = Dir::open_ambient_dir(home, ambient_authority())?;
    let mut options = OpenOptions::new();
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    options.read(true).custom_flags(flags);
    let file = home.open_with(file, &options)?.into_std();
    Ok((home, file))
}

/// Checks the modes and owners of a file below a home directory, and of all folders that it lies in up to the home. As
/// with StrictModes it may belong to root or to the user, who here is the owner of the home.
fn check_in_home(home: &Dir, file: &File, facts: &Metadata) -> Result<(), FileFault> {
    let unreadable =
        |error: io::Error| FileFault::of(format!("the folders of a file of keys cannot be read: {error}"), &error);
    let user = home.try_clone().and_then(|home| home.into_std_file().metadata()).map_err(unreadable)?.uid();
    // Paths of what is open, so that no link of the user's is followed.
    let real = |fd: i32| std::fs::read_link(format!("/proc/self/fd/{fd}")).map_err(unreadable);
    let (top, path): (PathBuf, PathBuf) = (real(home.as_raw_fd())?, real(file.as_raw_fd())?);
    let owner = |owner: u32| if owner == user { me() } else { owner };
    Writers::Operator.check(&path, facts.mode(), owner(facts.uid()))?;
    for folder in path.ancestors().skip(1).take_while(|folder| folder.starts_with(&top)) {
        let facts = folder.symlink_metadata().map_err(unreadable)?;
        Writers::Operator.check_folder(folder, facts.mode(), owner(facts.uid()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
