//! Why an operation on a granted directory was not done.

use std::io;

/// The plugin is told; nothing has changed.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It would take more than the tenant's quota, or more open files than are allowed.
    Quota,
    /// The tenant has no more memory for it.
    Memory,
    /// The grant is for reading only.
    ReadOnly,
    /// What a grant never allows: special files, hard links, files with a second name.
    NotPermitted,
    /// There is something of that name.
    Exists,
    /// It is a directory.
    IsDirectory,
    /// It is no directory.
    NotDirectory,
    /// It is a symbolic link, which was not to be followed.
    Link,
    /// What is asked for makes no sense.
    Invalid,
    /// No file can be that long.
    TooLarge,
    /// The path is too long.
    NameTooLong,
    /// The file was not opened for this.
    BadDescriptor,
    /// A name is no text.
    NoText,
    /// The operating system refuses. A path that would lead out is `PermissionDenied`.
    System(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}
