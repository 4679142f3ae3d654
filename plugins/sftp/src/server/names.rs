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

    /// `replace`: as rename(2). Otherwise it fails if something has the new name. A file is linked to it and then
    /// unlinked, so that nothing is replaced that is created at the same moment. Where a link cannot be made but
    /// rename(2) may work, as for vfat, for other users' files (`fs.protected_hardlinks`) or with the last file of a
    /// quota, and for directories and links, the new name is looked up before.
    pub(super) fn rename(&mut self, id: u32, old: &str, new: &str, replace: bool) -> Result<(), Failure> {
        let (old, new) = self.paths.both(old, new)?;
        let files = &mut self.files;
        if replace {
            files.rename(&old, new)?;
        } else if files.metadata(&old, false)?.kind == FileKind::Regular {
            match files.link(&old, new) {
                Ok(()) => {
                    if let Err(error) = files.remove_file(&old) {
                        // The client is told that the rename failed, so there must be no second name.
                        let _ = files.remove_file(new);
                        return Err(error.into());
                    }
                }
                Err(
                    FileError::Unsupported
                    | FileError::CrossDevice
                    | FileError::NotPermitted
                    | FileError::Quota
                    | FileError::TooManyLinks,
                ) => rename_checked(files, &old, new)?,
                Err(error) => return Err(error.into()),
            }
        } else {
            rename_checked(files, &old, new)?;
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

/// Renames if nothing has the new name.
fn rename_checked(files: &mut impl FileSystem, old: &str, new: &str) -> Result<(), FileError> {
    match files.metadata(new, false) {
        Ok(_) => Err(FileError::Exists),
        Err(_) => files.rename(old, new),
    }
}
