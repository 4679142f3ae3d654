//! Requests on paths.

use super::{Server, realpath};
use crate::attributes::Attributes;
use crate::filesystem::{FileKind, FileSystem};
use crate::status::{Failure, FileError};

impl<F: FileSystem> Server<F> {
    pub(super) fn stat(&mut self, id: u32, path: &str, follow: bool) -> Result<(), Failure> {
        let metadata = self.files.metadata(self.paths.absolute(path)?, follow)?;
        self.put_attributes(id, &metadata);
        Ok(())
    }

    /// Sets size and times. The file system has no permissions and no owners: to set them succeeds without effect.
    pub(super) fn set_stat(
        &mut self,
        id: u32,
        path: &str,
        follow: bool,
        attributes: Attributes,
    ) -> Result<(), Failure> {
        let path = self.paths.absolute(path)?;
        let Attributes { size, times, owner, permissions } = attributes;
        if size.is_some() && !follow {
            return Err(Failure::malformed("the size of a link cannot be set"));
        }
        let sized = size.map_or(Ok(()), |size| self.files.set_size(path, size));
        // Even if the size cannot be set.
        let timed = times.map_or(Ok(()), |times| self.files.set_times(path, follow, times));
        timed.and(sized)?;
        let is_effective = size.is_some() || times.is_some();
        if !is_effective && (owner.is_some() || permissions.is_some()) {
            // `chmod` of what is not there fails.
            self.files.metadata(path, follow)?;
        }
        self.replies.put_ok(id);
        Ok(())
    }

    pub(super) fn remove(&mut self, id: u32, path: &str) -> Result<(), Failure> {
        self.files.remove_file(self.paths.absolute(path)?)?;
        self.replies.put_ok(id);
        Ok(())
    }

    pub(super) fn make_directory(&mut self, id: u32, path: &str) -> Result<(), Failure> {
        self.files.create_directory(self.paths.absolute(path)?)?;
        self.replies.put_ok(id);
        Ok(())
    }

    pub(super) fn remove_directory(&mut self, id: u32, path: &str) -> Result<(), Failure> {
        self.files.remove_directory(self.paths.absolute(path)?)?;
        self.replies.put_ok(id);
        Ok(())
    }

    pub(super) fn real_path(&mut self, id: u32, path: &str) -> Result<(), Failure> {
        let path = if path.is_empty() { "." } else { path };
        let resolved = realpath::resolve(&mut self.files, self.paths.absolute(path)?)?;
        self.replies.put_path(id, &resolved);
        Ok(())
    }

    /// `replace`: as rename(2). Otherwise it fails if something has the new name.
    pub(super) fn rename(&mut self, id: u32, old: &str, new: &str, replace: bool) -> Result<(), Failure> {
        let (old, new) = self.paths.both(old, new)?;
        if replace {
            self.files.rename(&old, new)?;
        } else {
            self.files.rename_new(&old, new).map_err(|error| match error {
                FileError::Exists => refusal_of_rename(&mut self.files, &old, new),
                error => error,
            })?;
        }
        self.replies.put_ok(id);
        Ok(())
    }

    pub(super) fn link(&mut self, id: u32, old: &str, new: &str) -> Result<(), Failure> {
        let (old, new) = self.paths.both(old, new)?;
        self.files.link(&old, new)?;
        self.replies.put_ok(id);
        Ok(())
    }

    pub(super) fn read_link(&mut self, id: u32, path: &str) -> Result<(), Failure> {
        let target = self.files.read_link(self.paths.absolute(path)?)?;
        self.replies.put_path(id, &target);
        Ok(())
    }

    pub(super) fn symlink(&mut self, id: u32, target: &str, path: &str) -> Result<(), Failure> {
        if target.is_empty() {
            return Err(FileError::NoEntry.into());
        }
        self.files.symlink(target, self.paths.absolute(path)?)?;
        self.replies.put_ok(id);
        Ok(())
    }
}

/// Why something is not renamed to a name that exists. The system may have looked at nothing else.
fn refusal_of_rename(files: &mut impl FileSystem, old: &str, new: &str) -> FileError {
    match files.metadata(old, false) {
        Err(error) => error,
        // What a slash is behind has to be a directory. OpenSSH's server looks at that first, unless it makes a link.
        Ok(found) if found.kind != FileKind::Regular && new.ends_with('/') && files.metadata(new, false).is_err() => {
            FileError::NotDirectory
        }
        Ok(_) => FileError::Exists,
    }
}
