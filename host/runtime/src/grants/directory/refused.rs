//! Errors of operations on a granted directory.

use std::io;

use rustix::io::Errno;

/// The plugin gets the error; nothing was changed.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It would exceed the tenant's quota.
    Quota,
    /// It would exceed a limit of open files.
    TooManyFiles,
    /// The tenant has no memory left for it.
    Memory,
    /// The grant is read-only.
    ReadOnly,
    /// Never allowed: special files, names of directories, changes of files that may have names elsewhere.
    NotPermitted,
    /// It is where a part of the tree begins.
    Busy,
    /// The two names are in different parts of the tree.
    CrossDevice,
    /// The session has no such device.
    NoDevice,
    /// The name exists.
    Exists,
    /// It is a directory.
    IsDirectory,
    /// It is not a directory.
    NotDirectory,
    /// It is a symbolic link, which the plugin asked not to follow.
    Link,
    /// The request is contradictory.
    Invalid,
    /// The file would be too long.
    TooLarge,
    /// The path is too long.
    NameTooLong,
    /// The file was not opened for this.
    BadDescriptor,
    /// A name is not text.
    NoText,
    /// An error of the operating system. A path that would lead out is `PermissionDenied`.
    System(io::Error),
}

impl Refused {
    /// It would have to wait for a disk, and may not: nothing was changed.
    pub(crate) fn would_wait() -> Self {
        Self::System(Errno::AGAIN.into())
    }

    /// Whether it may be tried again where waiting is allowed.
    pub(crate) fn is_would_wait(&self) -> bool {
        matches!(self, Self::System(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}
