//! All directories that a process has opened for tenants, so that none is counted twice.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::directory::{Access, Directory, DirectoryError, Id, Quota};

/// All directories that a process has opened for tenants. A directory that is granted again while sessions still use
/// it, after a reload of the configuration, keeps its counts.
#[derive(Default)]
pub struct Directories(Mutex<HashMap<Id, Weak<Directory>>>);

impl Directories {
    /// Opens a directory as [`Directory::open`]. One that is open already shares its counts with the others, and has
    /// their quota until [`Directory::set_quota`]. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Directory::open`].
    pub fn open(
        &self,
        path: &Path,
        access: Access,
        quota: Quota,
        guest_path: &str,
    ) -> Result<Arc<Directory>, DirectoryError> {
        let wrong = |error| DirectoryError::unopened(path, error);
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(wrong)?;
        let id = Id::of(&dir.dir_metadata().map_err(wrong)?);
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = lock().get(&id).and_then(Weak::upgrade) {
            return Ok(open.again(dir, path, access, guest_path));
        }
        let opened = Directory::of(dir, path, access, quota, guest_path)?;
        let mut all = lock();
        all.retain(|_, other| other.strong_count() > 0);
        all.insert(id, Arc::downgrade(&opened));
        Ok(opened)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Usage;
    use super::*;

    #[test]
    fn a_directory_that_is_granted_again_keeps_its_counts_until_nobody_uses_it() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("file"), "12345").unwrap();
        let (one, two) = (Quota { bytes: 10, files: 2 }, Quota { bytes: 99, files: 9 });
        let all = Directories::default();
        let open = |access, quota| all.open(place.path(), access, quota, "/").unwrap();
        let first = open(Access::ReadWrite, one);
        let usage = Usage { bytes: 5, files: 1 };
        // Nobody counts it again.
        std::fs::write(place.path().join("other"), "12345").unwrap();
        let read_only = open(Access::ReadOnly, two);
        assert_eq!((read_only.usage(), read_only.quota(), read_only.allows_changes()), (usage, one, false));
        read_only.set_quota(two);
        assert_eq!((first.quota(), first.allows_changes()), (two, true));
        assert!(Arc::ptr_eq(&first, &open(Access::ReadWrite, one)));
        drop(first);
        let third = open(Access::ReadWrite, one);
        assert_eq!((third.usage(), third.quota()), (usage, two));
        drop((read_only, third));
        assert_eq!(open(Access::ReadWrite, one).usage(), Usage { bytes: 10, files: 2 });
    }

    #[test]
    fn a_folder_that_has_replaced_another_is_counted() {
        let place = tempfile::tempdir().unwrap();
        let (path, quota) = (place.path().join("files"), Quota { bytes: 10, files: 2 });
        let all = Directories::default();
        let open = || all.open(&path, Access::ReadWrite, quota, "/").unwrap();
        std::fs::create_dir(&path).unwrap();
        let first = open();
        std::fs::rename(&path, place.path().join("old")).unwrap();
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("file"), "12345").unwrap();
        assert_eq!((open().usage().bytes, first.usage().bytes), (5, 0));
    }
}
