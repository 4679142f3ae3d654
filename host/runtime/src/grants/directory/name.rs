//! One name in an open directory: what is there, and how it is opened. No link is followed, and as long as nothing may
//! wait for a disk, no other file system is entered.

use std::fs::File;
use std::io;
use std::path::Path;

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, Metadata, OpenOptions};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use super::wait::DiskWait;

/// Opens a name without following it, and without any effect on what it is.
pub(in crate::grants) const PATH: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// What the system sets aside of for everybody: the mode that the process's mask is applied to.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP).union(Mode::WGRP).union(Mode::ROTH).union(Mode::WOTH);

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

/// One name in a directory, without a slash, and how long looking at it may take.
#[derive(Clone, Copy)]
pub(in crate::grants) struct Name<'a> {
    pub(in crate::grants) dir: &'a Dir,
    pub(in crate::grants) name: &'a Path,
    pub(in crate::grants) wait: DiskWait,
}

/// Opens something below a directory at once, by these rules beside those of `wait`: `EAGAIN` if it might have to wait.
pub(in crate::grants) fn open_at_once(
    dir: &Dir,
    path: impl rustix::path::Arg,
    flags: OFlags,
    resolve: ResolveFlags,
    wait: DiskWait,
) -> Result<File, Errno> {
    let cached = if wait == DiskWait::Never { ResolveFlags::CACHED } else { ResolveFlags::empty() };
    let mode = if flags.contains(OFlags::CREATE) { MODE } else { Mode::empty() };
    let resolve = resolve | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS | cached;
    match openat2(dir, path, flags, mode, resolve) {
        Ok(opened) => Ok(opened.into()),
        // Another file system; or the kernel cannot do this, and cap-std has another way.
        Err(Errno::XDEV | Errno::NOSYS | Errno::PERM) => Err(Errno::AGAIN),
        Err(error) => Err(error),
    }
}

/// The metadata of a name, without following a link.
pub(in crate::grants) fn look(at: Name<'_>) -> io::Result<Metadata> {
    if at.wait == DiskWait::Any {
        return at.dir.symlink_metadata(at.name);
    }
    Metadata::from_file(&open_at_once(at.dir, at.name, PATH, ResolveFlags::BENEATH, at.wait)?)
}

/// Opens it without following a link, and without blocking, even if it has become a FIFO.
pub(super) fn open(at: Name<'_>, how: Opening) -> io::Result<File> {
    let read = how.read || !how.write;
    if at.wait == DiskWait::Any {
        let mut options = OpenOptions::new();
        options.read(read).write(how.write).follow(FollowSymlinks::No).nonblock(true);
        if how.create {
            options.create(!how.exclusive).create_new(how.exclusive);
        }
        return Ok(at.dir.open_with(at.name, &options)?.into_std());
    }
    let mut flags = match (read, how.write) {
        (true, true) => OFlags::RDWR,
        (false, true) => OFlags::WRONLY,
        (_, false) => OFlags::RDONLY,
    };
    flags |= OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    if how.create {
        flags |= if how.exclusive { OFlags::CREATE | OFlags::EXCL } else { OFlags::CREATE };
    }
    Ok(open_at_once(at.dir, at.name, flags, ResolveFlags::BENEATH, at.wait)?)
}
