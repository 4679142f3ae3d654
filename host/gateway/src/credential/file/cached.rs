//! Reads a file of keys without waiting for a disk, if the kernel has it in memory.
//!
//! A login reads its user's key file, as a rule the same as the one before it. On a thread that may wait for the disk
//! this costs two switches between threads, more than the work itself. So it is first tried in place, with calls that
//! fail instead of waiting: openat2(2) with `RESOLVE_CACHED`, preadv2(2) with `RWF_NOWAIT`. Only on file systems whose
//! open files never wait for a network or another program, and without writing the time of access.

use std::fs::{File, Metadata};
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, fstatfs, openat2, readlink};
use rustix::io::{ReadWriteFlags, preadv2};

use super::{FLAGS, KeyPath};
use crate::state::strict_modes::Writers;

/// The types of file systems on local disks and in memory, statfs(2): ext2 to ext4, XFS, Btrfs, F2FS, tmpfs.
const LOCAL: [u32; 5] = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x0102_1994];
/// Larger files take long enough to search that a thread of connections should not do it.
const MOST: u64 = 64 << 10;

impl KeyPath {
    /// The contents of the file and its metadata from before they were read, if they can be had at once and the file
    /// passes the checks of [`open`](Self::open). `None` says nothing about the file.
    pub(in crate::credential) fn read_cached(&self) -> Option<(Vec<u8>, Metadata)> {
        let KeyPath::Named(path) = self else { return None };
        let file = File::from(open_cached(path, OFlags::RDONLY | OFlags::NOATIME | FLAGS)?);
        let facts = file.metadata().ok().filter(|facts| facts.is_file() && facts.len() <= MOST)?;
        Writers::Operator.check(path, facts.mode(), facts.uid()).ok()?;
        let real = readlink(format!("/proc/self/fd/{}", file.as_raw_fd()), Vec::new()).ok()?.into_string().ok()?;
        let folder = Path::new(&real).parent()?;
        let folder_facts = fstat(open_cached(folder, OFlags::PATH | OFlags::DIRECTORY)?).ok()?;
        Writers::Operator.check_folder(folder, folder_facts.st_mode, folder_facts.st_uid).ok()?;
        // One byte more than there is: a file that has grown is left to others.
        let size = usize::try_from(facts.len()).ok()?;
        let mut bytes = vec![0; size + 1];
        let read = preadv2(&file, &mut [IoSliceMut::new(&mut bytes)], 0, ReadWriteFlags::NOWAIT).ok()?;
        bytes.truncate(size);
        (read == size).then_some((bytes, facts))
    }
}

/// Opens what is in the kernel's cache of names, on a local file system.
fn open_cached(path: &Path, flags: OFlags) -> Option<OwnedFd> {
    let opened = openat2(CWD, path, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::CACHED).ok()?;
    is_local(&opened).then_some(opened)
}

/// Whether a file is on a local file system.
pub(super) fn is_local(file: impl AsFd) -> bool {
    fstatfs(file).is_ok_and(|system| u32::try_from(system.f_type).is_ok_and(|kind| LOCAL.contains(&kind)))
}
