//! The mounts of key files that are on local disks, and the times of access there.

use std::os::fd::AsFd;
use std::sync::{PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, StatVfsMountFlags, Statx, StatxFlags, StatxTimestamp, fstatfs, fstatvfs, statx};

/// The types of file systems on local disks whose reads can refuse to wait, statfs(2): ext2 to ext4, XFS, F2FS.
pub(super) const LOCAL: [u32; 3] = [0xef53, 0x5846_5342, 0xf2f5_2010];
/// More mounts than these are not remembered.
const MAX_MOUNTS: usize = 64;
/// The mounts that were found to be local.
static MOUNTS: RwLock<Vec<Mount>> = RwLock::new(Vec::new());
/// With `relatime` a read sets the time of access when this has passed since the last time, in seconds: a day, less
/// an hour for clocks.
const RELATIVE: i64 = 23 * 3600;

/// A mount on a local file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// The numbers of its device, major and minor, and its own. The kernel uses them again when the mount is gone.
    id: (u32, u32, u64),
    times: AccessTimes,
}

/// When a read sets the time of access of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AccessTimes {
    Never,
    /// If it is older than the last change, or than a day.
    Relative,
    Always,
}

/// What the kernel knows of a file. It does not ask the server of a network file system.
pub(super) fn facts_of(file: impl AsFd) -> Option<Statx> {
    let asked = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let found = statx(file, c"", AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC, asked).ok()?;
    StatxFlags::from_bits_retain(found.stx_mask).contains(asked).then_some(found)
}

fn id_of(found: &Statx) -> (u32, u32, u64) {
    (found.stx_dev_major, found.stx_dev_minor, found.stx_mnt_id)
}

/// The mount that a file is on, if it is known to be local.
pub(super) fn find(found: &Statx) -> Option<Mount> {
    let id = id_of(found);
    MOUNTS.read().unwrap_or_else(PoisonError::into_inner).iter().find(|mount| mount.id == id).copied()
}

/// Remembers the mount of a file if it is local. Waits for the file system.
pub(super) fn remember(file: impl AsFd) {
    let Some(id) = facts_of(&file).map(|found| id_of(&found)) else { return };
    // These may have been the numbers of a mount that is gone, or it may have other options now.
    forget(id);
    // Without a device of its own, its numbers may become those of a network file system.
    if id.0 == 0 {
        return;
    }
    let Ok(kind) = fstatfs(&file).map(|system| system.f_type) else { return };
    if !u32::try_from(kind).is_ok_and(|kind| LOCAL.contains(&kind)) {
        return;
    }
    let Ok(flags) = fstatvfs(&file).map(|system| system.f_flag) else { return };
    let times = if flags.intersects(StatVfsMountFlags::NOATIME | StatVfsMountFlags::RDONLY) {
        AccessTimes::Never
    } else if flags.contains(StatVfsMountFlags::RELATIME) {
        AccessTimes::Relative
    } else {
        AccessTimes::Always
    };
    let mut mounts = MOUNTS.write().unwrap_or_else(PoisonError::into_inner);
    // Another thread may have remembered it meanwhile.
    mounts.retain(|mount| mount.id != id);
    if mounts.len() < MAX_MOUNTS {
        mounts.push(Mount { id, times });
    }
}

fn forget(id: (u32, u32, u64)) {
    MOUNTS.write().unwrap_or_else(PoisonError::into_inner).retain(|mount| mount.id != id);
}

/// Whether a read leaves the time of access as it is. None: the mount is not known to be local.
pub(super) fn is_read_without_a_trace(found: &Statx) -> Option<bool> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|now| i64::try_from(now.as_secs()).ok());
    let of = |time: &StatxTimestamp| (time.tv_sec, time.tv_nsec);
    let accessed = of(&found.stx_atime);
    Some(match find(found)?.times {
        AccessTimes::Never => true,
        AccessTimes::Relative => {
            accessed > of(&found.stx_mtime)
                && accessed > of(&found.stx_ctime)
                && now.is_some_and(|now| now - accessed.0 < RELATIVE)
        }
        AccessTimes::Always => false,
    })
}
