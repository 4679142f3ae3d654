//! What a server of files needs beside `wasi:filesystem`, which the standard library uses.
//!
//! Programs and plugins that see files can call it, without a grant.
//!
//! ```no_run
//! whelk_guest::whelk_command!();
//!
//! /// Publishes what was uploaded, unless something was published before.
//! fn main() -> std::io::Result<()> {
//!     Ok(whelk_guest::files::rename_new("uploaded", "published")?)
//! }
//! ```

use std::path::{Path, PathBuf};
use std::{env, io};

use crate::bindings::files::whelk::ssh::files;

pub use crate::bindings::files::whelk::ssh::files::FileError;

/// Renames something, unless something else has the new name. Links at the end of the paths are not followed. A
/// relative path begins at the current directory ([`env::current_dir`]).
///
/// # Errors
/// Those of renameat2(2) with `RENAME_NOREPLACE`: [`FileError::Exist`] if something has the new name, and
/// [`FileError::NoEntry`] also if the session sees no files, or if a path is not UTF-8.
pub fn rename_new(old: impl AsRef<Path>, new: impl AsRef<Path>) -> Result<(), FileError> {
    files::rename_new(text(&whole(old.as_ref())?)?, text(&whole(new.as_ref())?)?)
}

/// How many names in a directory the standard library's listings leave out, because they are not UTF-8. Reads the
/// directory once more.
///
/// # Errors
/// Those of opening a directory.
pub fn unlisted_names(directory: impl AsRef<Path>) -> Result<u32, FileError> {
    files::unlisted_names(text(&whole(directory.as_ref())?)?)
}

/// How many files and directories the session may have open at once. A directory whose names are being read counts
/// twice.
#[must_use]
pub fn open_files_limit() -> u32 {
    files::open_files_limit()
}

/// The path from the current directory. Where there is none, the host takes the one that the session begins in.
fn whole(path: &Path) -> Result<PathBuf, FileError> {
    if path.as_os_str().is_empty() {
        return Err(FileError::NoEntry);
    }
    Ok(env::current_dir().map_or_else(|_| path.to_owned(), |directory| directory.join(path)))
}

fn text(path: &Path) -> Result<&str, FileError> {
    path.to_str().ok_or(FileError::NoEntry)
}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        let kind = match error {
            FileError::Access | FileError::NotPermitted => io::ErrorKind::PermissionDenied,
            FileError::Busy => io::ErrorKind::ResourceBusy,
            FileError::CrossDevice => io::ErrorKind::CrossesDevices,
            FileError::Exist => io::ErrorKind::AlreadyExists,
            FileError::InsufficientMemory => io::ErrorKind::OutOfMemory,
            FileError::InsufficientSpace => io::ErrorKind::StorageFull,
            FileError::Invalid => io::ErrorKind::InvalidInput,
            FileError::NameTooLong => io::ErrorKind::InvalidFilename,
            FileError::NoEntry => io::ErrorKind::NotFound,
            FileError::NotDirectory => io::ErrorKind::NotADirectory,
            FileError::Quota => io::ErrorKind::QuotaExceeded,
            FileError::ReadOnly => io::ErrorKind::ReadOnlyFilesystem,
            FileError::Loop | FileError::Io => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
