//! The parts of one session's tree, and what is open in it.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use super::device::Device;
use super::plan::{NodeKind, Plan};
use crate::grants::directory::{Directory, DiskWait, Entry, OpenPlaces, Refused};
use crate::posix::Descriptors;

/// The parts of a tree.
pub(super) struct Parts {
    pub(super) plan: Arc<Plan>,
    /// What is at the root; without it the root holds nothing but the other parts.
    pub(super) home: Option<Arc<Directory>>,
    pub(super) temporary: Arc<Temporary>,
    /// Those of the program whose tree it is, if it is one. They may lead to files of this tree, so they are not kept.
    pub(super) descriptors: Option<Weak<Descriptors>>,
}

/// The `/tmp` of one session, made when it is first used.
#[derive(Default)]
pub(crate) struct Temporary {
    made: OnceLock<Arc<Directory>>,
    /// Held while it is made.
    making: Mutex<()>,
}

/// Something in the tree that is open.
pub(crate) enum OpenFile {
    /// The root of a part: a directory or a device. `_slot`: what it occupies, unless it is the root of the tree.
    Part { part: usize, read: bool, write: bool, _slot: Option<OpenPlaces> },
    /// Something below the root of a directory.
    Entry { part: usize, entry: Arc<Entry> },
}

/// Where a path begins: something open, and its own path in the tree, for records.
#[derive(Clone, Copy)]
pub(crate) struct Start<'a> {
    pub(crate) opened: &'a OpenFile,
    pub(crate) path: &'a str,
    /// Gets the path of where it led in the tree, if links or `..` were on the way.
    pub(crate) led_to: &'a Cell<Option<String>>,
    /// Whether the operation may wait for the disk.
    pub(crate) wait: DiskWait,
}

/// The error for a name that is not there.
pub(super) fn absent() -> Refused {
    io::Error::from(io::ErrorKind::NotFound).into()
}

impl Parts {
    /// The part with this name in the root of another.
    pub(super) fn child(&self, part: usize, name: &OsStr) -> Option<usize> {
        if !matches!(self.plan.kind(part), NodeKind::Descriptors) {
            return self.plan.child(part, name);
        }
        let child = self.plan.descriptor(name)?;
        let Some(Device::Number(number)) = self.plan.device(child) else { return None };
        let is_in_use = match &self.descriptors {
            Some(descriptors) => descriptors.upgrade().is_some_and(|descriptors| descriptors.has(number)),
            // A handler has what is its log.
            None => number <= 2,
        };
        is_in_use.then_some(child)
    }

    /// The numbers in use, as names.
    pub(super) fn numbers(&self) -> Vec<String> {
        let numbers = match &self.descriptors {
            Some(descriptors) => descriptors.upgrade().map(|descriptors| descriptors.numbers()).unwrap_or_default(),
            None => vec![0, 1, 2],
        };
        numbers.iter().map(u32::to_string).collect()
    }

    /// The directory of a part; `None` if the host makes what is there.
    pub(super) fn directory(&self, part: usize) -> Result<Option<&Arc<Directory>>, Refused> {
        match self.plan.kind(part) {
            NodeKind::Temporary(folders) => self.temporary.get_or_make(|| folders.make()).map(Some),
            _ => Ok(self.known(part)),
        }
    }

    /// The same, but not to make it, nor on a file system that is not local, if the operation may not wait.
    pub(super) fn reach(&self, part: usize, wait: DiskWait) -> Result<Option<&Arc<Directory>>, Refused> {
        if wait == DiskWait::Any {
            return self.directory(part);
        }
        if !self.is_local(part) {
            return Err(Refused::would_wait());
        }
        Ok(self.known(part))
    }

    /// Whether a part is there, and is on a local block device, in memory, or made by the host.
    pub(super) fn is_local(&self, part: usize) -> bool {
        match (self.known(part), self.plan.kind(part)) {
            (Some(directory), _) => directory.is_local(),
            (None, kind) => !matches!(kind, NodeKind::Temporary(_)),
        }
    }

    /// The directory of a part if it was made.
    fn known(&self, part: usize) -> Option<&Arc<Directory>> {
        match self.plan.kind(part) {
            NodeKind::Home => self.home.as_ref(),
            NodeKind::Mount(directory) => Some(directory),
            NodeKind::Temporary(_) => self.temporary.made.get(),
            NodeKind::Folder
            | NodeKind::Device(_)
            | NodeKind::Descriptors
            | NodeKind::Descriptor
            | NodeKind::Names(_) => None,
        }
    }

    /// The directory of a part that has one.
    pub(super) fn mounted(&self, part: usize) -> Result<&Arc<Directory>, Refused> {
        self.directory(part)?.ok_or_else(absent)
    }
}

impl Temporary {
    /// The directory. If it cannot be made now, the next use tries again.
    fn get_or_make(&self, make: impl FnOnce() -> io::Result<Arc<Directory>>) -> Result<&Arc<Directory>, Refused> {
        if self.made.get().is_none() {
            let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
            if self.made.get().is_none() {
                let directory = make().map_err(|error| match error.kind() {
                    io::ErrorKind::ResourceBusy => Refused::Busy,
                    io::ErrorKind::QuotaExceeded => Refused::Quota,
                    io::ErrorKind::StorageFull => error.into(),
                    // The path exists, whatever the reason is.
                    _ => io::Error::other(error).into(),
                })?;
                return Ok(self.made.get_or_init(|| directory));
            }
        }
        self.made.get().ok_or_else(absent)
    }
}

impl OpenFile {
    /// OpenFile for reading.
    pub(crate) fn readable(&self) -> bool {
        match self {
            Self::Part { read, .. } => *read,
            Self::Entry { entry, .. } => entry.readable(),
        }
    }

    /// OpenFile for writing.
    pub(crate) fn writable(&self) -> bool {
        match self {
            Self::Part { write, .. } => *write,
            Self::Entry { entry, .. } => entry.writable(),
        }
    }

    /// What is closed on a disk if this is the last who has it open.
    pub(crate) fn into_last(self) -> Option<Entry> {
        match self {
            Self::Part { .. } => None,
            Self::Entry { entry, .. } => Arc::into_inner(entry),
        }
    }

    /// The part that it is in.
    pub(super) fn part(&self) -> usize {
        let (Self::Part { part, .. } | Self::Entry { part, .. }) = self;
        *part
    }
}

impl fmt::Debug for Temporary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Temporary").field(&self.made.get().is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_that_could_not_be_made_is_made_later() {
        let place = tempfile::tempdir().unwrap();
        let (temporary, make) = (Temporary::default(), || Ok(Directory::open_mount(place.path()).unwrap()));
        let fail = |kind| temporary.get_or_make(|| Err(io::Error::from(kind))).err();
        assert!(matches!(fail(io::ErrorKind::ResourceBusy), Some(Refused::Busy)));
        assert!(matches!(fail(io::ErrorKind::QuotaExceeded), Some(Refused::Quota)));
        assert!(matches!(fail(io::ErrorKind::StorageFull), Some(Refused::System(_))));
        let made = Arc::as_ptr(temporary.get_or_make(make).unwrap());
        let again = temporary.get_or_make(|| Err(io::ErrorKind::Other.into())).unwrap();
        assert_eq!(Arc::as_ptr(again), made);
    }
}
