//! A file that is written under a temporary name, whole or not at all, for its owner only.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::cli::outcome::{Failure, failed, wrong};

/// The file, still under its temporary name, which is removed when this is dropped.
pub(super) struct NewFile {
    temporary: PathBuf,
    path: PathBuf,
    file: File,
}

impl NewFile {
    /// Begins a file that does not exist.
    pub(super) fn create(path: &Path) -> Result<NewFile, Failure> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(wrong(format!("{} is there already: name a new file", path.display())));
        }
        let mut name = OsString::from(".");
        name.push(path.file_name().ok_or_else(|| wrong(format!("{} names no file", path.display())))?);
        name.push(format!(".new-{}", std::process::id()));
        Self::at(path.with_file_name(name), path)
    }

    /// Begins a file that replaces another in a folder of which the caller has exclusive use.
    pub(super) fn replacing(path: &Path) -> Result<NewFile, Failure> {
        let temporary = with_suffix(path, ".new");
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed(format!("{} cannot be removed: {error}", temporary.display())));
            }
            // One from a process that was killed.
            Ok(()) | Err(_) => {}
        }
        Self::at(temporary, path)
    }

    fn at(temporary: PathBuf, path: &Path) -> Result<NewFile, Failure> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(&temporary).map_err(|error| {
            failed(format!("{} cannot be written: {}: {error}", path.display(), temporary.display()))
        })?;
        Ok(NewFile { temporary, path: path.to_owned(), file })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn fill(&mut self, mut from: File) -> Result<(), Failure> {
        io::copy(&mut from, &mut self.file).map(drop).map_err(|error| self.unwritable(&error))
    }

    pub(super) fn give_to(&self, user: u32, group: u32) -> Result<(), Failure> {
        fchown(&self.file, Some(user), Some(group)).map_err(|error| self.unwritable(&error))
    }

    /// Gives it its name, and replaces no file.
    pub(super) fn name(self) -> Result<(), Failure> {
        let named = self.file.sync_all().and_then(|()| name_new(&self.temporary, &self.path));
        named.and_then(|()| self.sync_folder()).map_err(|error| self.unwritable(&error))
    }

    /// Gives it its name, and replaces the file of that name.
    pub(super) fn rename_to_place(self) -> Result<(), Failure> {
        let (new, place) = (self.temporary.display(), self.path.display());
        self.file.sync_all().and_then(|()| fs::rename(&self.temporary, &self.path)).map_err(|error| {
            failed(format!("{new} cannot be renamed to {place}: {error}; the store that was there is still there"))
        })?;
        // It is in its place: an error here must not lead to the removal of the one before.
        if let Err(error) = self.sync_folder() {
            eprintln!("whelk: {place} is in its place, but may not be on disk: {error}");
        }
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }

    fn unwritable(&self, error: &io::Error) -> Failure {
        failed(format!("{} cannot be written: {error}", self.path.display()))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // After it has its name there is none; otherwise the error is told.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// A path whose last part has more characters at its end.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Renames a file, and replaces none where the file system can promise that.
fn name_new(temporary: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // PERM: seccomp filters return EPERM for unknown calls.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::PERM) if fs::symlink_metadata(path).is_err() => {
            fs::rename(temporary, path)
        }
        Err(error) => Err(error.into()),
    }
}
