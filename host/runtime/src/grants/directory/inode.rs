//! The open files, by device and inode. Changes of the size of one file are serialized, and a file that was removed
//! while it was open stays charged until it is closed, as it stays on the disk.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};

use cap_std::fs::{Metadata, MetadataExt};
use rustix::fs::Stat;

use super::quota::{QuotaAccount, Usage};
use super::refused::Refused;

/// The longest file: the system's offsets are signed.
const LONGEST: u64 = i64::MAX as u64;

/// Identifies a file regardless of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    device: u64,
    inode: u64,
}

impl Id {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// Whether it is on the same device.
    pub(super) fn is_beside(self, other: Self) -> bool {
        self.device == other.device
    }

    pub(super) fn of_stat(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }
}

/// Where to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// At this offset.
    At(u64),
    /// At the end of the file at the time of the write.
    End,
}

/// All open files of one directory, and its files with several names.
pub(in crate::grants) struct Inodes {
    open: Mutex<HashMap<Id, Weak<Inode>>>,
    /// How many names a file has in the directory, for those that have more than one. Not more entries than the
    /// directory has files.
    names: Mutex<HashMap<Id, u64>>,
    account: Arc<QuotaAccount>,
}

impl Inodes {
    /// `names`: the files with several names that the directory has already.
    pub(in crate::grants) fn new(account: Arc<QuotaAccount>, names: HashMap<Id, u64>) -> Self {
        Self { open: Mutex::default(), names: Mutex::new(names), account }
    }

    /// What they are charged to.
    pub(in crate::grants) fn account(&self) -> &Arc<QuotaAccount> {
        &self.account
    }

    /// How many names this file has in the directory.
    pub(super) fn names(&self, id: Id) -> u64 {
        lock(&self.names).get(&id).copied().unwrap_or(1)
    }

    /// This file has one name more. `links`: how many it had of all.
    pub(super) fn add_name(&self, id: Id, links: u64) {
        let mut names = lock(&self.names);
        // With one link before, what is known of the number is of an older file.
        let known = names.get(&id).copied().filter(|_| links > 1).unwrap_or(1);
        names.insert(id, known + 1);
    }

    /// This file has lost a name. `links`: how many it had of all. Whether that was its last one in the directory.
    pub(super) fn remove_name(&self, id: Id, links: u64) -> bool {
        let mut names = lock(&self.names);
        let left = names.get(&id).map_or(0, |known| known.saturating_sub(1));
        let is_last = links <= 1 || left == 0;
        if is_last || left == 1 {
            names.remove(&id);
        } else {
            names.insert(id, left);
        }
        is_last
    }

    /// The entry of this file, created with this size if it is not open yet.
    pub(super) fn track(self: &Arc<Self>, id: Id, bytes: u64) -> Arc<Inode> {
        let mut open = lock(&self.open);
        let (inode, ending) = self.track_in(&mut open, id, bytes);
        // The end of an entry takes the lock: it must not be dropped while that is held here.
        drop(open);
        drop(ending);
        inode
    }

    /// Also returns an entry without a name that has the same number, which is being closed elsewhere.
    fn track_in(
        self: &Arc<Self>,
        open: &mut HashMap<Id, Weak<Inode>>,
        id: Id,
        bytes: u64,
    ) -> (Arc<Inode>, Option<Arc<Inode>>) {
        let ending = match open.get(&id).and_then(Weak::upgrade) {
            Some(inode) if inode.is_linked() => return (inode, None),
            ending => ending,
        };
        let (bytes, linked, changed) = (Mutex::new(bytes), AtomicBool::new(true), AtomicBool::new(false));
        let inode = Arc::new(Inode { id, bytes, linked, changed, names: Mutex::default(), inodes: Arc::clone(self) });
        open.insert(id, Arc::downgrade(&inode));
        (inode, ending)
    }

    /// The entry of this file, if it is open.
    pub(super) fn find(&self, id: Id) -> Option<Arc<Inode>> {
        // Judged without the lock, which the end of an entry takes.
        let known = lock(&self.open).get(&id).and_then(Weak::upgrade);
        known.filter(|inode| inode.is_linked())
    }
}

/// One open file or directory, however often it is open.
pub(super) struct Inode {
    id: Id,
    /// Its size, as charged. Locked while that changes.
    bytes: Mutex<u64>,
    /// Whether it still has a name. One without is not found by look-ups: its number may belong to a newer file while
    /// it is being closed.
    linked: AtomicBool,
    /// A write, or a change of its size, was tried since it was opened.
    changed: AtomicBool,
    /// Held while it is closed, or its name is removed.
    names: Mutex<()>,
    inodes: Arc<Inodes>,
}

impl Inode {
    /// Keeps it from losing its last name; `None` if that is gone or going. Does not wait.
    pub(super) fn hold_names(&self) -> Option<MutexGuard<'_, ()>> {
        let names = match self.names.try_lock() {
            Ok(names) => names,
            Err(TryLockError::Poisoned(names)) => names.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        self.is_linked().then_some(names)
    }

    /// Held while a name of it is removed.
    pub(super) fn remove_names(&self) -> MutexGuard<'_, ()> {
        lock(&self.names)
    }

    /// Whether a write, or a change of its size, was tried since it was opened.
    pub(super) fn is_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    pub(super) fn id(&self) -> Id {
        self.id
    }

    /// Writes all of it. Growth is charged first, and refunded as far as the file did not grow. Returns the offset
    /// behind the bytes.
    pub(super) fn write(&self, file: &File, position: Position, data: &[u8]) -> Result<u64, Refused> {
        self.resize(file, |size| {
            let start = match position {
                Position::At(offset) => offset,
                Position::End => size,
            };
            let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
            let end = start.checked_add(length).filter(|end| *end <= LONGEST).ok_or(Refused::TooLarge)?;
            // An empty write changes no size at any offset.
            let size = if data.is_empty() { size } else { size.max(end) };
            Ok((size, move || file.write_all_at(data, start).map(|()| end)))
        })
    }

    /// Truncates or extends it. Returns its previous size.
    pub(super) fn set_size(&self, file: &File, size: u64) -> Result<u64, Refused> {
        self.resize(file, |before| {
            if size > LONGEST {
                return Err(Refused::TooLarge);
            }
            Ok((size, move || file.set_len(size).map(|()| before)))
        })
    }

    /// Runs an operation that may change the size. `plan` gets the size and returns the new one and the operation; the
    /// size cannot change meanwhile.
    fn resize<R, W>(&self, file: &File, plan: impl FnOnce(u64) -> Result<(u64, W), Refused>) -> Result<R, Refused>
    where
        W: FnOnce() -> std::io::Result<R>,
    {
        let mut bytes = lock(&self.bytes);
        let account = &self.inodes.account;
        let before = file.metadata()?.len();
        let (wanted, work) = plan(before)?;
        let charged = wanted.saturating_sub(before);
        if !account.charge_bytes(charged) {
            return Err(Refused::Quota);
        }
        self.changed.store(true, Ordering::Relaxed);
        let result = work();
        // If the new size is unknown, the charge stays.
        let after = file.metadata().map_or(before.max(wanted), |metadata| metadata.len());
        let spare = before.saturating_add(charged).saturating_sub(after);
        account.give_back(Usage { bytes: spare, files: 0 });
        *bytes = after;
        Ok(result?)
    }

    /// It has lost its last name. Its quota is freed when it is closed everywhere.
    pub(super) fn unlinked(&self) {
        self.linked.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_linked(&self) -> bool {
        self.linked.load(Ordering::Relaxed)
    }
}

impl Drop for Inode {
    fn drop(&mut self) {
        if !self.is_linked() {
            let bytes = *self.bytes.get_mut().unwrap_or_else(PoisonError::into_inner);
            self.inodes.account.give_back(Usage { bytes, files: 1 });
        }
        let mut open = lock(&self.inodes.open);
        // The number may belong to a newer file already.
        if open.get(&self.id).is_some_and(|known| std::ptr::eq(known.as_ptr(), self)) {
            open.remove(&self.id);
        }
    }
}

/// The guarded state is consistent after every step, so a panic elsewhere does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grants::directory::quota::Quota;

    fn tracked(file: &File) -> (Arc<QuotaAccount>, Arc<Inode>) {
        let account = Arc::new(QuotaAccount::new(Quota { bytes: 100, files: 10 }, Usage { bytes: 0, files: 1 }));
        let inodes = Arc::new(Inodes::new(Arc::clone(&account), HashMap::new()));
        let id = Id::of(&Metadata::from_file(file).unwrap());
        (account, inodes.track(id, 0))
    }

    #[test]
    fn growth_is_charged_once_and_overwriting_is_free() {
        let file = tempfile::tempfile().unwrap();
        let (account, inode) = tracked(&file);
        assert_eq!(inode.write(&file, Position::At(10), &[1; 20]).unwrap(), 30);
        assert_eq!(inode.write(&file, Position::At(0), &[1; 30]).unwrap(), 30);
        assert_eq!(inode.write(&file, Position::End, &[1; 10]).unwrap(), 40);
        assert_eq!(account.usage().bytes, 40);
        assert!(matches!(inode.write(&file, Position::End, &[1; 61]), Err(Refused::Quota)));
        assert!(matches!(inode.set_size(&file, 101), Err(Refused::Quota)));
        assert!(matches!(inode.write(&file, Position::At(u64::MAX), &[1]), Err(Refused::TooLarge)));
        assert_eq!(inode.set_size(&file, 5).unwrap(), 40);
        assert_eq!(account.usage().bytes, 5);
    }

    #[test]
    fn a_failed_write_is_refunded() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        std::fs::write(&path, b"").unwrap();
        let file = File::open(&path).unwrap();
        let (account, inode) = tracked(&file);
        assert!(matches!(inode.write(&file, Position::End, &[1; 10]), Err(Refused::System(_))));
        assert_eq!(account.usage().bytes, 0);
    }

    #[test]
    fn an_entry_that_ends_while_its_number_is_looked_up_is_dropped_without_the_lock() {
        let file = tempfile::tempfile().unwrap();
        let (account, ending) = tracked(&file);
        let (inodes, id) = (Arc::clone(&ending.inodes), ending.id());
        ending.unlinked();
        let mut open = lock(&inodes.open);
        let (newer, rejected) = inodes.track_in(&mut open, id, 0);
        // Whoever closed it is done: what the look-up has is the last one.
        drop(ending);
        assert_eq!(rejected.as_ref().map(Arc::strong_count), Some(1));
        drop(open);
        drop(rejected);
        assert!(inodes.find(id).is_some_and(|found| Arc::ptr_eq(&found, &newer)));
        assert_eq!(account.usage().files, 0);
    }

    #[test]
    fn a_file_removed_while_open_stays_charged_until_it_is_closed() {
        let file = tempfile::tempfile().unwrap();
        let (account, inode) = tracked(&file);
        inode.write(&file, Position::End, &[1; 10]).unwrap();
        inode.unlinked();
        inode.write(&file, Position::End, &[1; 10]).unwrap();
        assert_eq!(account.usage(), Usage { bytes: 20, files: 1 });
        drop(inode);
        assert_eq!(account.usage(), Usage::default());
    }
}
