//! Compiled code in a file without a name, from which it is mapped: the kernel can drop its pages and read them again,
//! and only those that are used take memory.
//!
//! Decided 2026-11-30: large code is mapped from a copy on disk in a file that never had a name (`O_TMPFILE`), made
//! next to the cache while the seal is checked. Until then the copy was in anonymous memory: 31 MiB for `sh` and
//! `coreutils`, which only swap could take, and all of it was touched by copying. What that guarded against stays out:
//!
//! * *A change of the cached file after it was checked*, by a backup that is restored or by a truncation, changes
//!   nothing: what is mapped is another file, and `O_EXCL` says that it can never get a name.
//! * *Another user* cannot open it: it has mode 0600 and is only reached through `/proc/PID/fd` of this process. Who
//!   runs as the same user and could do that can read the key of the seal as well, or trace the process.
//! * *A full disk*: the blocks are reserved first, and the code is written through (fdatasync) before it is mapped.
//!   Otherwise the kernel might find no room later, and read something else than was written.
//! * *No such files, no room, no permission, no /proc, or a folder whose files may not be executed* (`noexec`): the
//!   code is kept in anonymous memory, as before.
//!
//! What is new: a disk that fails while the server runs can change or lose code that is read again. That is so for the
//! server's own program too, which is mapped from its file. Refused: to map the cached file itself, because it has a
//! name; a memfd, which takes as much memory as before and only counts elsewhere.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, OFlags, fallocate};

/// Smaller code than this, in bytes, stays in memory: each file takes a descriptor, and a write through the disk.
pub(super) const MAPPED_FROM: usize = 1 << 20;

/// Compiled code in a file that has no name and never gets one.
pub(crate) struct CodeFile(File);

impl CodeFile {
    /// Makes the file, of `len` bytes, on the file system of this folder. `write` writes the code, whole.
    pub(super) fn create(
        folder: &Path,
        len: u64,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<Self> {
        let flags = (OFlags::TMPFILE | OFlags::EXCL).bits();
        let mut file =
            OpenOptions::new().read(true).write(true).mode(0o600).custom_flags(flags.cast_signed()).open(folder)?;
        fallocate(&file, FallocateFlags::empty(), 0, len.max(1))?;
        write(&mut file)?;
        file.sync_data()?;
        Ok(Self(file))
    }

    /// A path under which this process can open the file for as long as this is there.
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }

    /// The code, where it cannot be mapped.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let (mut code, mut file) = (Vec::new(), &self.0);
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut code)?;
        Ok(code)
    }
}
