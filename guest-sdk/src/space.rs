//! How much room there is for files: statvfs(3), with bytes instead of blocks.
//!
//! Programs and plugins that see files can call it, without a grant. A session sees several parts of a tree: its
//! directory, `/tmp`, and mounts of the operator, which are read-only. Each has figures of its own.
//!
//! ```no_run
//! whelk_guest::whelk_command!();
//!
//! /// Prints how much room is left in the current directory.
//! fn main() -> Result<(), whelk_guest::space::SpaceError> {
//!     let room = whelk_guest::space::statvfs(".")?;
//!     println!("{} of {} bytes are free", room.free_bytes, room.total_bytes);
//!     Ok(())
//! }
//! ```

use std::path::Path;
use std::{env, io};

use crate::bindings::space::whelk::ssh::space;

pub use crate::bindings::space::whelk::ssh::space::{FileSpace, SpaceError};

/// Returns the room of the part of the tree that a path leads to. Links are followed. A relative path begins at the
/// current directory ([`env::current_dir`]).
///
/// # Errors
/// Those of statvfs(3). [`SpaceError::NoEntry`] also if the session sees no files, or if the path is not UTF-8.
pub fn statvfs(path: impl AsRef<Path>) -> Result<FileSpace, SpaceError> {
    let path = path.as_ref();
    if path.as_os_str().is_empty() {
        return Err(SpaceError::NoEntry);
    }
    // Where there is no current directory, the host takes the one that the session begins in.
    let whole = env::current_dir().map_or_else(|_| path.to_owned(), |directory| directory.join(path));
    space::statvfs(whole.to_str().ok_or(SpaceError::NoEntry)?)
}

impl From<SpaceError> for io::Error {
    fn from(error: SpaceError) -> Self {
        let kind = match error {
            SpaceError::Access | SpaceError::NotPermitted => io::ErrorKind::PermissionDenied,
            SpaceError::Busy => io::ErrorKind::ResourceBusy,
            SpaceError::InsufficientMemory => io::ErrorKind::OutOfMemory,
            SpaceError::InsufficientSpace => io::ErrorKind::StorageFull,
            SpaceError::Invalid => io::ErrorKind::InvalidInput,
            SpaceError::NameTooLong => io::ErrorKind::InvalidFilename,
            SpaceError::NoEntry => io::ErrorKind::NotFound,
            SpaceError::NotDirectory => io::ErrorKind::NotADirectory,
            SpaceError::Quota => io::ErrorKind::QuotaExceeded,
            SpaceError::Loop | SpaceError::Io => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
