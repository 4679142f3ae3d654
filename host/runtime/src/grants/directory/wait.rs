//! Where an operation on a disk is done: by the worker that runs the plugin, or on a thread that may block.
//!
//! A hop to such a thread and back costs 40 to 60 µs of processor time where the operation itself takes 1 to 20. So
//! three operations are tried on the worker first ([`DiskWait::Never`]), because the kernel can be asked to answer them
//! from its caches or not at all:
//!
//! * a read of a regular file: `RWF_NOWAIT` of preadv2(2);
//! * the metadata of a path or of an open file, and opening it for reading: `RESOLVE_CACHED` of openat2(2).
//!
//! What the caches do not have fails with `EAGAIN` and is done from the beginning on the other thread. So is everything
//! on an older kernel (`RESOLVE_CACHED` came with Linux 5.12), under a filter of system calls that forbids these two,
//! and on network file systems, FUSE and overlayfs: there the metadata of an open file, or opening one, can wait for a
//! server. The flags keep the kernel from waiting for the data and for the names. It may still read the map of a
//! file's blocks, begin to read ahead, or wait for memory; so after a read that had to wait, the next ones of that file
//! are not tried.
//!
//! Everything that changes files is done on the other threads, always, and so are listings and the closing of files
//! that were changed: no flag bounds how long these wait. A file that was changed is closed together with the session's
//! next operation there, so that this has no hop of its own (`host/wasi/files/pending_close.rs`).
//!
//! Decided 2026-11-30. Processor time of one call of a plugin in µs, before and after, on a busy machine with 2
//! processors and ext4 (tmpfs refuses `RWF_NOWAIT`: its reads pay for the hop):
//!
//! | | before | after |
//! |---|---|---|
//! | read 32 KiB | 17 | 4 |
//! | open for reading and close | 47 | 6 |
//! | stat of a path, of a file | 42, 31 | 3, 1 |
//!
//! Refused: changes on the worker. They measured 5 µs instead of 27 for a write of 32 KiB, and 17 instead of 60 to 156
//! to create, write and close a file of 1 KiB; that is the price. A worker that waits for a disk keeps the permits of
//! its guest, and it may be the one that has tokio's I/O driver, which no other takes over while it waits: so sockets,
//! timers and other tenants would wait with it. First the time that workers wait has to be bounded, and charged to the
//! session. Also refused: `block_in_place`, which wakes a thread for each call, as the hop does; `io_uring`, which
//! containers forbid; answering writes before they are done, because whoever writes has to learn of a full disk.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use rustix::fs::fstatfs;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refused::Refused;

/// Concurrent disk operations of one tenant. Further ones queue, so that a slow disk cannot block the threads of all
/// tenants.
const TURNS: usize = 4;
/// File systems on local block devices or in memory, by `f_type` of statfs(2). Not overlayfs: its layers can be on
/// others.
const LOCAL: [u32; 8] = [
    0xEF53,      // ext2 to ext4
    0x5846_5342, // XFS
    0x9123_683E, // Btrfs
    0x0102_1994, // tmpfs
    0x8584_58F6, // ramfs
    0xF2F5_2010, // F2FS
    0x2FC1_2FC1, // ZFS
    0xCA45_1A4E, // bcachefs
];

/// Whether an operation may wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskWait {
    /// It fails with `EAGAIN` unless the kernel has the answer in its caches.
    Never,
    /// It may block for any time: only on threads for blocking work.
    Any,
}

/// The disk operations of one tenant.
#[derive(Debug)]
pub(crate) struct DiskQueue(Arc<Semaphore>);

impl DiskWait {
    /// Locks what somebody may hold while waiting for a disk. The guarded state is consistent after every step, so a
    /// panic elsewhere does not matter.
    pub(super) fn lock<T>(self, mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>, Refused> {
        if self == Self::Any {
            return Ok(mutex.lock().unwrap_or_else(PoisonError::into_inner));
        }
        match mutex.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(guard)) => Ok(guard.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Refused::would_wait()),
        }
    }
}

impl DiskQueue {
    /// Without operations.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Arc::new(Semaphore::new(TURNS))))
    }

    /// Waits for a turn of an operation that may wait for the disk.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

/// Whether a file system is on a local block device or in memory.
pub(super) fn is_local(folder: impl AsFd) -> bool {
    fstatfs(folder).is_ok_and(|found| u32::try_from(found.f_type).is_ok_and(|kind| LOCAL.contains(&kind)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_the_kernel_makes_is_not_local() {
        let place = tempfile::tempdir().unwrap();
        let is_local = |path: &std::path::Path| super::is_local(std::fs::File::open(path).unwrap());
        assert!(!is_local("/proc".as_ref()));
        assert!(is_local(place.path()), "TMPDIR has to be on a local file system other than overlayfs");
    }
}
