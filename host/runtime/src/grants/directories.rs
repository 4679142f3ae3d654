//! All directories that a process has opened for tenants, so that none is counted twice.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::directory::{Access, Directory, DirectoryError, Id, Quota};
use super::homes::{FolderReaper, HomeSettings, Homes, HomesPlace, open_above};

/// All directories that a process has opened for tenants. A directory that is granted again while sessions still use
/// it, after a reload of the configuration, keeps its counts; so do homes.
#[derive(Default)]
pub struct Directories {
    shared: Mutex<HashMap<Id, Weak<Directory>>>,
    /// The folders that hold homes.
    places: Mutex<HashMap<Id, Weak<HomesPlace>>>,
    reaper: Mutex<Weak<FolderReaper>>,
}

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
        if let Some(open) = lock(&self.shared).get(&id).and_then(Weak::upgrade) {
            return Ok(open.again(dir, path, access, guest_path));
        }
        let opened = Directory::of(dir, path, access, quota, guest_path)?;
        let mut all = lock(&self.shared);
        all.retain(|_, other| other.strong_count() > 0);
        all.insert(id, Arc::downgrade(&opened));
        Ok(opened)
    }

    /// The homes of a tenant in this folder, which plugins see as `guest_path`. What an earlier process has left of
    /// temporary ones is removed, in the background. Homes in a folder that holds homes already share its counts, and
    /// have its quota until [`Homes::apply_quota`]. Blocks.
    ///
    /// # Errors
    ///
    /// If it is not a directory, cannot be opened or read, or another process has homes in it.
    pub fn homes(
        &self,
        folder: &Path,
        settings: HomeSettings,
        tenant: &str,
        guest_path: &str,
    ) -> Result<Arc<Homes>, DirectoryError> {
        let wrong = |error| DirectoryError::unopened(folder, error);
        let opened = open_above(folder).map_err(wrong)?;
        let id = Dir::reopen_dir(&opened).and_then(|dir| dir.dir_metadata()).map_err(wrong)?;
        let id = Id::of(&id);
        // Held until it is locked: nobody else of this process opens it meanwhile.
        let mut places = lock(&self.places);
        let place = match places.get(&id).map(Weak::upgrade) {
            Some(Some(place)) => place,
            known => {
                let reaper = self.reaper().map_err(wrong)?;
                let with = (settings.quota, tenant);
                HomesPlace::open(folder, opened, with, &reaper, known.is_some()).map_err(wrong)?
            }
        };
        places.retain(|_, other| other.strong_count() > 0);
        places.insert(id, Arc::downgrade(&place));
        drop(places);
        Homes::of(place, settings, tenant, guest_path).map_err(wrong)
    }

    /// Waits until temporary homes are removed that have ended, and all homes are counted, but not longer than this.
    /// Blocks. Returns whether all is done.
    pub fn settle(&self, most: Duration) -> bool {
        let reaper = lock(&self.reaper).upgrade();
        reaper.is_none_or(|reaper| reaper.settle(most))
    }

    /// The thread that removes folders.
    fn reaper(&self) -> std::io::Result<Arc<FolderReaper>> {
        let mut known = lock(&self.reaper);
        if let Some(reaper) = known.upgrade() {
            return Ok(reaper);
        }
        let reaper = Arc::new(FolderReaper::start()?);
        *known = Arc::downgrade(&reaper);
        Ok(reaper)
    }
}

/// The guarded state is consistent after every step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
