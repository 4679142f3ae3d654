//! Lock files that only their owner and root can open, so that nobody else can hold the lock.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use whelk_runtime::lock_file;

use super::strict_modes::me;

/// How long to wait for another program that holds a lock, which an edit does for less than a second.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens a lock file, and creates it (0600) if it does not exist. If root creates it, it is given to the folder's
/// owner, whose server must be able to open it.
///
/// # Errors
/// When it is a link, no regular file, or cannot be opened.
pub(super) fn open(path: &Path, folder: &Metadata) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // Neither follows a link nor waits for the reader of a FIFO.
    options.write(true).mode(0o600).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    let (file, is_new) = match options.clone().create_new(true).open(path) {
        Ok(file) => (file, true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => match options.open(path) {
            // Removed meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => (options.clone().create_new(true).open(path)?, true),
            opened => (opened?, false),
        },
        Err(error) => return Err(error),
    };
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Err(io::Error::other("is no regular file: remove it"));
    }
    // Only root's own file: another one may be a hard link to a file elsewhere.
    if me() == 0 && folder.uid() != 0 && (is_new || facts.uid() == 0 && facts.nlink() == 1) {
        fchown(&file, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(file)
}

/// A lock file that exists only while its lock is held.
pub(crate) struct HeldFile {
    path: PathBuf,
    /// The lock.
    _file: File,
}

impl HeldFile {
    /// Creates the file and locks it. Waits at most `timeout` for another program that holds it.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] when another program still holds it; other kinds when it cannot be created or opened.
    pub(crate) fn hold(path: &Path, timeout: Duration) -> io::Result<HeldFile> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.metadata()?;
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match open(path, &folder) {
                Ok(file) => {
                    lock_file(&file, left)?;
                    if is_at(&file, path)? {
                        return Ok(HeldFile { path: path.to_owned(), _file: file });
                    }
                    // The program that held it has removed it since it was opened here.
                }
                // Removed and created again between the attempts to create and to open it.
                Err(error) if error.kind() == ErrorKind::AlreadyExists && !left.is_zero() => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for HeldFile {
    fn drop(&mut self) {
        // If it stays, the next program locks it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a path still leads to an open file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let facts = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (facts.dev(), facts.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_lock_is_private_is_held_once_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = HeldFile::hold(&path, Duration::ZERO).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        let refused = HeldFile::hold(&path, Duration::ZERO).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::WouldBlock);
        drop(held);
        assert!(!path.exists());
        HeldFile::hold(&path, Duration::ZERO).unwrap();
    }

    #[test]
    fn a_link_a_fifo_and_a_folder_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let target = folder.path().join("target");
        symlink(&target, &path).unwrap();
        assert!(HeldFile::hold(&path, Duration::ZERO).is_err());
        assert!(!target.exists());
        fs::remove_file(&path).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(HeldFile::hold(&path, Duration::ZERO).is_err());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(HeldFile::hold(&path, Duration::ZERO).is_err());
    }

    #[test]
    fn root_gives_away_only_what_it_has_made() {
        if me() != 0 {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(folder.path(), Some(7), Some(7)).unwrap();
        let facts = folder.path().metadata().unwrap();
        let (own, linked) = (folder.path().join("own"), folder.path().join("linked"));
        open(&own, &facts).unwrap();
        assert_eq!(own.metadata().unwrap().uid(), 7);
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, "").unwrap();
        fs::hard_link(&elsewhere, &linked).unwrap();
        open(&linked, &facts).unwrap();
        assert_eq!(elsewhere.metadata().unwrap().uid(), 0);
    }
}
