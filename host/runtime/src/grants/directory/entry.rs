//! One open file or directory of a grant, and the operations on it that need no name.

use std::fs::{File, FileTimes};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use cap_std::fs::{Dir, FileType, Metadata, OpenOptions, ReadDir};

use super::inode::{Id, Inode, Position};
use super::refused::Refused;
use super::slots::FileSlot;

/// The most bytes of one read.
pub(crate) const READ: usize = 64 << 10;
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
    readable: bool,
    writable: bool,
    _slot: Option<FileSlot>,
}

impl Entry {
    pub(super) fn new(node: Node, inode: Arc<Inode>, readable: bool, writable: bool, slot: Option<FileSlot>) -> Self {
        Self { node, inode, readable, writable, _slot: slot }
    }

    pub(super) fn inode(&self) -> &Arc<Inode> {
        &self.inode
    }

    /// Closes it, and keeps its name meanwhile. Returns a file whose last name is gone or going: to close that may take
    /// long.
    pub(crate) fn close_unless_removed(self) -> Option<Self> {
        if matches!(self.node, Node::Directory(_)) {
            return None;
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

    pub(crate) fn id(&self) -> Id {
        self.inode.id()
    }

    pub(crate) fn is_directory(&self) -> bool {
        matches!(self.node, Node::Directory(_))
    }

    /// Opened for reading.
    pub(crate) fn readable(&self) -> bool {
        self.readable
    }

    /// Opened for writing.
    pub(crate) fn writable(&self) -> bool {
        self.writable
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
    pub(crate) fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, Refused> {
        let file = self.file(self.readable)?;
        let mut bytes = vec![0; length.min(READ)];
        let read = loop {
            match file.read_at(&mut bytes, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Writes all of it, or nothing if the quota refuses it. Returns the offset behind the bytes.
    pub(crate) fn write(&self, position: Position, data: &[u8]) -> Result<u64, Refused> {
        self.inode.write(self.file(self.writable)?, position, data)
    }

    /// Truncates or extends the file. Returns its previous size.
    pub(crate) fn set_size(&self, size: u64) -> Result<u64, Refused> {
        self.inode.set_size(self.file(self.writable)?, size)
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
        Ok(Listing { entries: self.directory()?.entries()?, _slot: slot })
    }
}

/// Opens the same directory again, because the system allows listing only for such a handle.
pub(super) fn reopen(dir: &Dir) -> io::Result<File> {
    Ok(dir.open_with(".", OpenOptions::new().read(true))?.into_std())
}

/// A listing in progress.
pub(crate) struct Listing {
    entries: ReadDir,
    _slot: FileSlot,
}

impl Listing {
    /// The next names and their types; none at the end. Concurrent changes may be seen or not. Names that are not text
    /// are skipped, because WASI cannot express them.
    pub(crate) fn next(&mut self) -> Result<Vec<(FileType, String)>, Refused> {
        let mut names = Vec::new();
        while names.len() < NAMES {
            let Some(entry) = self.entries.next() else { break };
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
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
