//! Reads a file of keys without waiting for a disk, if the kernel has it in memory.
//!
//! A login reads its user's key file, as a rule the same as the one before it. On a thread that may wait for the disk
//! this costs two switches between threads, more than the work itself. So it is first tried in place, with calls that
//! fail instead of waiting: openat2(2) with `RESOLVE_CACHED`, preadv2(2) with `RWF_NOWAIT`.
//!
//! Flags do not prevent every wait. A file system may ask a network or another program when a file is
//! opened, and even when its type is asked for. So only a thread that may wait looks at the type, and remembers the
//! mount ([`mounts`]). Here a path is opened with `O_PATH`, which the file system does not see, and for reading only if
//! its mount is one of those. And a read that sets the file's time of access may wait for the journal: such a read is
//! left to the other threads.
//!
//! A program that decides about each opened file (fanotify(7), such as a scanner for viruses) is still waited for.

use std::fs::{File, Metadata};
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, Statx, openat2, readlink};
use rustix::io::{ReadWriteFlags, preadv2};

use super::mounts::{self, facts_of};
use super::{FLAGS, KeyPath};
use crate::state::strict_modes::Writers;

/// Larger files take long enough to search that a thread of connections should not do it.
const MAX_BYTES: u64 = 64 << 10;

impl KeyPath {
    /// The contents of the file and its metadata from before they were read, if they can be had at once and the file
    /// passes the checks of [`open`](Self::open). `None` says nothing about the file.
    pub(in crate::credential) fn read_cached(&self) -> Option<(Vec<u8>, Metadata)> {
        let KeyPath::Named(path) = self else { return None };
        let (place, found) = find_cached(path, OFlags::PATH)?;
        if !mounts::is_read_without_a_trace(&found)? {
            return None;
        }
        let file = File::from(open_found(&place)?);
        let facts = file.metadata().ok().filter(|facts| facts.is_file() && facts.len() <= MAX_BYTES)?;
        Writers::Operator.check(path, facts.mode(), facts.uid()).ok()?;
        let real = readlink(format!("/proc/self/fd/{}", file.as_raw_fd()), Vec::new()).ok()?.into_string().ok()?;
        let folder = Path::new(&real).parent()?;
        let (_, found) = find_cached(folder, OFlags::PATH | OFlags::DIRECTORY)?;
        // What is known of a folder on another file system may be old.
        mounts::find(&found)?;
        Writers::Operator.check_folder(folder, u32::from(found.stx_mode), found.stx_uid).ok()?;
        // One byte more than there is: a file that has grown is left to others.
        let size = usize::try_from(facts.len()).ok()?;
        let mut bytes = vec![0; size + 1];
        let read = preadv2(&file, &mut [IoSliceMut::new(&mut bytes)], 0, ReadWriteFlags::NOWAIT).ok()?;
        bytes.truncate(size);
        (read == size).then_some((bytes, facts))
    }
}

/// Finds what is in the kernel's cache of names, and asks no file system for it.
fn find_cached(path: &Path, flags: OFlags) -> Option<(OwnedFd, Statx)> {
    let place = openat2(CWD, path, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::CACHED).ok()?;
    let found = facts_of(&place)?;
    Some((place, found))
}

/// Opens for reading what was found on a local file system.
fn open_found(place: &OwnedFd) -> Option<OwnedFd> {
    let place = format!("/proc/self/fd/{}", place.as_raw_fd());
    rustix::fs::open(place, OFlags::RDONLY | OFlags::CLOEXEC | FLAGS, Mode::empty()).ok()
}
