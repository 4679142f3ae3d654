//! One open file or directory of a grant, and the operations on it that need no name.

use std::fs::{File, FileTimes};
use std::io::{self, IoSliceMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cap_std::fs::{Dir, FileType, Metadata, OpenOptions, ReadDir};
use rustix::buffer::spare_capacity;
use rustix::fs::fstat;
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2};

use super::inode::{Id, Inode, Position};
use super::name::Opening;
use super::refused::Refused;
use super::slots::FileSlot;
use super::wait::DiskWait;

/// The most bytes of one read, since no budget counts them until the plugin takes them. It is the same wherever the
/// read is done: a plugin must not learn from its length what the kernel has in its caches, and programs take a short
/// read for the end of the file.
pub(crate) const READ: usize = 64 << 10;
/// The smallest buffer of a read: one at the end of the file sees what was appended since its size was read.
const MIN_READ: usize = 512;
/// After a read that had to wait for the disk, this many are not tried without waiting: those of a file that is read
/// from its beginning to its end would fail, too.
const SKIPPED: u32 = 8;
/// No read is tried without waiting any more, because the file system or the kernel cannot do that.
const ALL: u32 = u32::MAX;
/// The most names that a listing reads ahead.
const NAMES: usize = 128;

/// What is open.
pub(super) enum Node {
    File(File),
    Directory(Dir),
}

/// An open file or directory. Field order: it is closed before its quota is freed.
pub(crate) struct Entry {
    node: Node,
    inode: Arc<Inode>,
    how: OpenedFor,
    /// Whether it is on a local block device or in memory.
    is_local: bool,
    /// How many of the next reads are not tried without waiting.
    skipped: AtomicU32,
    _slot: Option<FileSlot>,
}

/// What an entry was opened for.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenedFor {
    pub(super) read: bool,
    pub(super) write: bool,
}

impl From<Opening> for OpenedFor {
    fn from(how: Opening) -> Self {
        Self { read: how.read, write: how.write }
    }
}

impl Entry {
    pub(super) fn new(node: Node, inode: Arc<Inode>, how: OpenedFor, slot: Option<FileSlot>) -> Self {
        Self { node, inode, how, is_local: false, skipped: AtomicU32::new(0), _slot: slot }
    }

    /// Whether it is on a local block device or in memory.
    pub(super) fn on_local(self, is_local: bool) -> Self {
        Self { is_local, ..self }
    }

    /// Whether it is on a local block device or in memory.
    pub(crate) fn is_local(&self) -> bool {
        self.is_local
    }

    pub(super) fn inode(&self) -> &Arc<Inode> {
        &self.inode
    }

    /// Closes it, and keeps its name meanwhile. Returns it if that may take long: the system frees what has lost its
    /// last name, it may write what was changed to the disk (auto_da_alloc of ext4), and a server may have to answer.
    pub(crate) fn close_at_once(self) -> Option<Self> {
        if !self.is_local || self.inode.is_changed() {
            return Some(self);
        }
        let inode = Arc::clone(&self.inode);
        match inode.hold_names() {
            Some(_names) => {
                drop(self);
                None
            }
            None => Some(self),
        }
    }

    /// Whether it was not removed.
    pub(crate) fn has_name(&self) -> bool {
        self.inode.is_linked()
    }

    pub(crate) fn id(&self) -> Id {
        self.inode.id()
    }

    pub(crate) fn is_directory(&self) -> bool {
        matches!(self.node, Node::Directory(_))
    }

    /// Opened for reading.
    pub(crate) fn readable(&self) -> bool {
        self.how.read
    }

    /// Opened for writing.
    pub(crate) fn writable(&self) -> bool {
        self.how.write
    }

    pub(in crate::grants) fn directory(&self) -> Result<&Dir, Refused> {
        match &self.node {
            Node::Directory(dir) => Ok(dir),
            Node::File(_) => Err(Refused::NotDirectory),
        }
    }

    /// The file, if it was opened for this access.
    fn file(&self, allowed: bool) -> Result<&File, Refused> {
        match &self.node {
            Node::File(file) if allowed => Ok(file),
            Node::File(_) => Err(Refused::BadDescriptor),
            Node::Directory(_) => Err(Refused::IsDirectory),
        }
    }

    /// Reads up to `length` bytes; none at the end of the file.
    pub(crate) fn read(&self, offset: u64, length: usize, wait: DiskWait) -> Result<Vec<u8>, Refused> {
        let file = self.file(self.how.read)?;
        if length == 0 {
            return Ok(Vec::new());
        }
        let length = length.min(READ);
        if wait == DiskWait::Never {
            return self.read_cached(file, offset, length);
        }
        let mut bytes = Vec::with_capacity(length);
        loop {
            match pread(file, spare_capacity(&mut bytes), offset) {
                Err(Errno::INTR) => {}
                read => return Ok(read.map(|_| bytes).map_err(io::Error::from)?),
            }
        }
    }

    /// The same from the kernel's caches: `EAGAIN` if it has to wait, or is not worth trying.
    fn read_cached(&self, file: &File, offset: u64, length: usize) -> Result<Vec<u8>, Refused> {
        match self.skipped.load(Ordering::Relaxed) {
            0 => {}
            ALL => return Err(Refused::would_wait()),
            // Concurrent reads may count as one.
            skipped => {
                self.skipped.store(skipped - 1, Ordering::Relaxed);
                return Err(Refused::would_wait());
            }
        }
        let skipped = match read_cached(file, offset, length) {
            Err(Errno::AGAIN | Errno::INTR) => SKIPPED,
            // The file system cannot do this; the kernel cannot; a filter of system calls forbids it.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => ALL,
            read => return Ok(read.map_err(io::Error::from)?),
        };
        self.skipped.store(skipped, Ordering::Relaxed);
        Err(Refused::would_wait())
    }

    /// Writes all of it, or nothing if the quota refuses it. Returns the offset behind the bytes.
    pub(crate) fn write(&self, position: Position, data: &[u8]) -> Result<u64, Refused> {
        self.inode.write(self.file(self.how.write)?, position, data)
    }

    /// Truncates or extends the file. Returns its previous size.
    pub(crate) fn set_size(&self, size: u64) -> Result<u64, Refused> {
        self.inode.set_size(self.file(self.how.write)?, size)
    }

    pub(crate) fn metadata(&self) -> Result<Metadata, Refused> {
        Ok(match &self.node {
            Node::File(file) => Metadata::from_file(file)?,
            Node::Directory(dir) => dir.dir_metadata()?,
        })
    }

    pub(super) fn set_times(&self, times: FileTimes) -> Result<(), Refused> {
        match &self.node {
            Node::File(file) => file.set_times(times)?,
            Node::Directory(dir) => reopen(dir)?.set_times(times)?,
        }
        Ok(())
    }

    /// Waits until the data is on disk, including the metadata if `whole`.
    pub(crate) fn sync(&self, whole: bool) -> Result<(), Refused> {
        let sync = |file: &File| if whole { file.sync_all() } else { file.sync_data() };
        match &self.node {
            Node::File(file) => sync(file)?,
            Node::Directory(dir) => sync(&reopen(dir)?)?,
        }
        Ok(())
    }

    /// Lists the directory in small portions.
    pub(crate) fn list(&self, slot: FileSlot) -> Result<Listing, Refused> {
        Ok(Listing { entries: self.directory()?.entries()?, is_local: self.is_local, unlisted: 0, _slot: slot })
    }
}

/// Reads from the kernel's caches: `EAGAIN` unless they have all of it.
fn read_cached(file: &File, offset: u64, length: usize) -> Result<Vec<u8>, Errno> {
    // Most files are shorter than what is asked for, and the buffer has to be filled with zeros.
    let left = u64::try_from(fstat(file)?.st_size).unwrap_or(0).saturating_sub(offset);
    let there = length.min(usize::try_from(left).unwrap_or(usize::MAX));
    let mut bytes = vec![0; length.min(there.max(MIN_READ))];
    let read = preadv2(file, &mut [IoSliceMut::new(&mut bytes)], offset, ReadWriteFlags::NOWAIT)?;
    if read < there {
        return Err(Errno::AGAIN);
    }
    bytes.truncate(read);
    Ok(bytes)
}

/// Opens the same directory again, because the system allows listing only for such a handle.
pub(super) fn reopen(dir: &Dir) -> io::Result<File> {
    Ok(dir.open_with(".", OpenOptions::new().read(true))?.into_std())
}

/// A listing in progress.
pub(crate) struct Listing {
    entries: ReadDir,
    is_local: bool,
    unlisted: u32,
    _slot: FileSlot,
}

impl Listing {
    /// Whether its directory is on a local block device or in memory.
    pub(in crate::grants) fn is_local(&self) -> bool {
        self.is_local
    }

    /// How many names were skipped until now, because they are not text.
    pub(in crate::grants) fn unlisted(&self) -> u32 {
        self.unlisted
    }

    /// The next names and their types; none at the end. Concurrent changes may be seen or not. Names that are not text
    /// are skipped, because WASI cannot express them.
    pub(crate) fn next(&mut self) -> Result<Vec<(FileType, String)>, Refused> {
        let mut names = Vec::new();
        while names.len() < NAMES {
            let Some(entry) = self.entries.next() else { break };
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                self.unlisted = self.unlisted.saturating_add(1);
                continue;
            };
            let kind = entry.file_type()?;
            // Some file systems do not report the type here.
            let kind = if kind == FileType::unknown() {
                entry.metadata().map_or(kind, |metadata| metadata.file_type())
            } else {
                kind
            };
            names.push((kind, name));
        }
        Ok(names)
    }
}
