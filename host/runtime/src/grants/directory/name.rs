//! One name in an open directory: what is there, and how it is opened. No link is followed. Without waiting for a disk,
//! no other file system is entered.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::LazyLock;

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, Metadata, OpenOptions};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use super::wait::DiskWait;

/// Opens a name without following it, and without any effect on what it is.
pub(in crate::grants) const PATH: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Whether the kernel can resolve a path from its caches, and a filter of system calls lets it.
static RESOLVES_CACHED: LazyLock<bool> = LazyLock::new(|| {
    let opened = openat2(CWD, ".", PATH, Mode::empty(), ResolveFlags::CACHED);
    matches!(opened, Ok(_) | Err(Errno::AGAIN))
});

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
    /// Follows a link in the last part of the path.
    pub(crate) follow: bool,
}

/// One name in a directory, without a slash, and whether an operation on it may wait for the disk.
#[derive(Clone, Copy)]
pub(in crate::grants) struct Name<'a> {
    pub(in crate::grants) dir: &'a Dir,
    pub(in crate::grants) name: &'a Path,
    pub(in crate::grants) wait: DiskWait,
}

/// Opens something below a directory for reading, or only as a path, without waiting for a disk and without entering
/// another file system: `EAGAIN` unless the answer is in the kernel's caches. `resolve`: further rules.
pub(in crate::grants) fn open_cached(
    dir: &Dir,
    path: impl rustix::path::Arg,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<File, Errno> {
    if !*RESOLVES_CACHED {
        return Err(Errno::AGAIN);
    }
    let resolve = resolve | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS | ResolveFlags::CACHED;
    match openat2(dir, path, flags, Mode::empty(), resolve) {
        Ok(opened) => Ok(opened.into()),
        Err(error @ (Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS | Errno::NAMETOOLONG)) => Err(error),
        // Nothing is known of the path: it is on another file system, no descriptor is left, and the like.
        Err(_) => Err(Errno::AGAIN),
    }
}

/// The metadata of a name, without following a link.
pub(in crate::grants) fn look(at: Name<'_>) -> io::Result<Metadata> {
    match at.wait {
        DiskWait::Any => at.dir.symlink_metadata(at.name),
        DiskWait::Never => Metadata::from_file(&open_cached(at.dir, at.name, PATH, ResolveFlags::BENEATH)?),
    }
}

/// Opens it without following a link, and without blocking, even if it has become a FIFO. What is created, or opened
/// for writing, may wait: overlayfs then copies the whole file.
pub(super) fn open(at: Name<'_>, how: Opening) -> io::Result<File> {
    if at.wait == DiskWait::Never {
        if how.write || how.create {
            return Err(Errno::AGAIN.into());
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        return Ok(open_cached(at.dir, at.name, flags, ResolveFlags::BENEATH)?);
    }
    let mut options = OpenOptions::new();
    options.read(how.read || !how.write).write(how.write).follow(FollowSymlinks::No).nonblock(true);
    if how.create {
        options.create(!how.exclusive).create_new(how.exclusive);
    }
    Ok(at.dir.open_with(at.name, &options)?.into_std())
}
