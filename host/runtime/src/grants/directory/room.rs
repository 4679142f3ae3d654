//! How much room a granted directory has: its quota, or what the disk has where that is less.

use rustix::fs::{StatVfs, StatVfsMountFlags};

use super::quota::Usage;

/// The longest name that Linux allows, in bytes: `NAME_MAX`.
const NAME: u32 = 255;

/// The room in one part of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileRoom {
    /// The most that it may hold.
    pub(crate) total: Usage,
    /// How much more it may hold.
    pub(crate) free: Usage,
    /// Whether nothing in it can be changed.
    pub(crate) read_only: bool,
    /// The longest name, in bytes.
    pub(crate) name_max: u32,
}

impl FileRoom {
    /// Of what nobody can change, and nobody counts.
    pub(in crate::grants) fn none() -> Self {
        Self { total: Usage::default(), free: Usage::default(), read_only: true, name_max: NAME }
    }

    /// Of a directory: what its quota has, the total and what is free.
    pub(super) fn of_quota((total, free): (Usage, Usage), read_only: bool) -> Self {
        Self { total, free, read_only, name_max: NAME }
    }

    /// Where the disk has less, that is all there is.
    pub(super) fn on(self, disk: &StatVfs) -> Self {
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        // Some file systems have no bound, and report zero as the total.
        let has = |most: u64, total: u64, free: u64| if total > 0 { (total, free) } else { (most, most) };
        let (bytes, free_bytes) = has(u64::MAX, bytes(disk.f_blocks), bytes(disk.f_bavail));
        let (files, free_files) = has(u64::MAX, disk.f_files, disk.f_favail);
        let total = Usage { bytes: self.total.bytes.min(bytes), files: self.total.files.min(files) };
        Self {
            total,
            // Other tenants and the host share the disk.
            free: self.free.within(Usage { bytes: free_bytes, files: free_files }, total),
            read_only: self.read_only || disk.f_flag.contains(StatVfsMountFlags::RDONLY),
            name_max: u32::try_from(disk.f_namemax).map_or(NAME, |most| most.min(NAME)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with blocks of 1,000 bytes.
    fn disk(blocks: (u64, u64), files: (u64, u64)) -> StatVfs {
        StatVfs {
            f_bsize: 4_000,
            f_frsize: 1_000,
            f_blocks: blocks.0,
            f_bfree: blocks.0,
            f_bavail: blocks.1,
            f_files: files.0,
            f_ffree: files.0,
            f_favail: files.1,
            f_fsid: 0,
            f_flag: StatVfsMountFlags::empty(),
            f_namemax: 255,
        }
    }

    #[test]
    fn where_the_disk_has_less_that_counts_and_a_disk_without_bounds_has_none() {
        let of = |bytes, files| Usage { bytes, files };
        let quota = FileRoom::of_quota((of(9_000, 90), of(5_000, 50)), false);
        for (disk, total, free) in [
            (disk((100, 100), (1_000, 1_000)), of(9_000, 90), of(5_000, 50)),
            (disk((100, 4), (1_000, 60)), of(9_000, 90), of(3_920, 50)),
            (disk((8, 0), (80, 40)), of(8_000, 80), of(0, 40)),
            (disk((0, 0), (0, 0)), of(9_000, 90), of(5_000, 50)),
            (disk((u64::MAX, u64::MAX), (u64::MAX, u64::MAX)), of(9_000, 90), of(5_000, 50)),
        ] {
            assert_eq!(quota.on(&disk), FileRoom { total, free, ..quota });
        }
        let short = StatVfs { f_namemax: 143, f_flag: StatVfsMountFlags::RDONLY, ..disk((0, 0), (0, 0)) };
        assert_eq!(quota.on(&short), FileRoom { read_only: true, name_max: 143, ..quota });
    }
}
