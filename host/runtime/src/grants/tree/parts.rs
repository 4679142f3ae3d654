//! The parts of one session's tree, and what is open in it.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use super::plan::{NodeKind, Plan};
use crate::grants::directory::{Directory, Entry, Refused};

/// The parts of a tree.
pub(super) struct Parts {
    pub(super) plan: Arc<Plan>,
    /// What is at the root; without it the root holds nothing but the other parts.
    pub(super) home: Option<Arc<Directory>>,
    pub(super) temporary: Arc<Temporary>,
}

/// The `/tmp` of one session, made when it is first used.
#[derive(Default)]
pub(crate) struct Temporary(OnceLock<Arc<Directory>>);

/// Something in the tree that is open.
pub(crate) enum OpenFile {
    /// The root of a part: a directory or a device.
    Part { part: usize, read: bool, write: bool },
    /// Something below the root of a directory.
    Entry { part: usize, entry: Arc<Entry> },
}

/// Where a path begins: something open, and its own path in the tree.
#[derive(Clone, Copy)]
pub(crate) struct Start<'a> {
    pub(crate) opened: &'a OpenFile,
    pub(crate) path: &'a str,
}

/// The error for a name that is not there.
pub(super) fn absent() -> Refused {
    io::Error::from(io::ErrorKind::NotFound).into()
}

impl Parts {
    /// The directory of a part; `None` if the host makes what is there.
    pub(super) fn directory(&self, part: usize) -> Result<Option<&Arc<Directory>>, Refused> {
        Ok(match self.plan.kind(part) {
            NodeKind::Home => self.home.as_ref(),
            NodeKind::Mount(directory) => Some(directory),
            NodeKind::Temporary(folders) => match self.temporary.0.get() {
                Some(made) => Some(made),
                // Of two at once one stays, and the other is removed again. After a failure the next use tries again.
                None => {
                    // The path exists, whatever the reason is.
                    let made = folders.make().map_err(io::Error::other)?;
                    Some(self.temporary.0.get_or_init(|| made))
                }
            },
            NodeKind::Folder | NodeKind::Device(_) | NodeKind::Names(_) => None,
        })
    }

    /// The directory of a part that has one.
    pub(super) fn mounted(&self, part: usize) -> Result<&Arc<Directory>, Refused> {
        self.directory(part)?.ok_or_else(absent)
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

    /// The part that it is in.
    pub(super) fn part(&self) -> usize {
        let (Self::Part { part, .. } | Self::Entry { part, .. }) = self;
        *part
    }
}

impl fmt::Debug for Temporary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Temporary").field(&self.0.get().is_some()).finish()
    }
}
