//! The embedded store: one file for all tenants, with crash-safe transactions.
//!
//! Decided 2026-11-21: redb with a thread of our own that writes, instead of a write transaction in each caller. redb
//! allows one at a time, so callers would queue for a lock in threads of the pool; batched, sixty sessions wait for one
//! disk flush instead of sixty.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use redb::{ReadTransaction, ReadableDatabase};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;

use super::backup::{self, BackupSummary};
use super::buckets::{Buckets, KeyValue, Keys, Page, StoreError, StoreFuture, StoreUsage, Values};
use super::file::File;
use super::flow::{FlowControl, InFlight};
use super::tables::{self, Change};
use super::writer::{Job, WriterThread, gone};

pub use super::tables::StoreQuota;

/// Threads that may read at once, of those that the program has for blocking work.
const READERS: usize = 4;

/// The open store. A process opens a file once; every tenant's [`Buckets`] keep it open.
pub struct Embedded {
    // Before the file: its thread has ended when the file is closed.
    writer: WriterThread,
    file: Arc<File>,
    readers: Arc<Semaphore>,
    /// The flow control of each tenant that has buckets, by name.
    flows: Mutex<HashMap<Arc<str>, Weak<FlowControl>>>,
}

impl Embedded {
    /// Opens the file, or creates it with access for its owner only. Blocks, rarely for long: after a crash no longer
    /// than usual.
    ///
    /// The error names the file, the reason, and what to do about it: [`StoreError::Unusable`].
    pub fn open(path: &Path) -> Result<Arc<Self>, StoreError> {
        let unusable = |reason: String| StoreError::Unusable { file: path.to_owned(), reason };
        Self::over(File::open(path)?).map_err(|error| unusable(format!("cannot be written to: {error}")))
    }

    fn over(file: File) -> std::io::Result<Arc<Self>> {
        let file = Arc::new(file);
        let writer = WriterThread::start(Arc::clone(&file))?;
        Ok(Arc::new(Self { writer, file, readers: Arc::new(Semaphore::new(READERS)), flows: Mutex::default() }))
    }

    /// The buckets of one tenant, with this quota. Buckets of one name share data and flow control; each
    /// handle has its own quota.
    #[must_use]
    pub fn tenant(self: &Arc<Self>, name: &str, quota: StoreQuota) -> Arc<dyn Buckets> {
        let name: Arc<str> = name.into();
        let mut flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        let flow = flows.get(&name).and_then(Weak::upgrade).unwrap_or_else(|| {
            flows.retain(|_, other| other.strong_count() > 0);
            let flow = Arc::default();
            flows.insert(Arc::clone(&name), Arc::downgrade(&flow));
            flow
        });
        drop(flows);
        Arc::new(Tenancy { store: Arc::clone(self), name, quota, flow })
    }
}

impl Embedded {
    /// Copies the last committed state of all tenants into a file that does not exist yet, for its owner only. Writers
    /// and readers go on. Blocks until the copy is on disk.
    ///
    /// # Errors
    /// When the copy cannot be written, or the store fails.
    pub fn back_up(&self, path: &Path) -> Result<BackupSummary, StoreError> {
        backup::copy(&self.file, path)
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").finish_non_exhaustive()
    }
}

/// One tenant's part of the store.
#[derive(Debug)]
struct Tenancy {
    store: Arc<Embedded>,
    name: Arc<str>,
    quota: StoreQuota,
    flow: Arc<FlowControl>,
}

impl Tenancy {
    /// Reads on a thread where blocking is allowed. Does not wait for writers: it sees the last committed state.
    fn read<R: Send + 'static>(
        &self,
        room: InFlight,
        read: impl FnOnce(&ReadTransaction, &str) -> Result<R, redb::Error> + Send + 'static,
    ) -> StoreFuture<'_, R> {
        Box::pin(async move {
            // The semaphore is never closed.
            let turn = Arc::clone(&self.store.readers).acquire_owned().await.ok();
            let (file, tenant) = (Arc::clone(&self.store.file), Arc::clone(&self.name));
            let reading = spawn_blocking(move || {
                let result = file.with_database(|database| {
                    let _working = room.working();
                    read(&database.begin_read()?, &tenant)
                });
                drop((turn, room));
                result
            });
            reading.await.unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())))
        })
    }

    fn change(&self, room: InFlight, change: Change) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let (answer, verdict) = oneshot::channel();
            let (tenant, quota) = (Arc::clone(&self.name), self.quota);
            self.store.writer.send(Job { tenant, quota, change, room, answer });
            verdict.await.unwrap_or_else(|_| Err(gone()))
        })
    }
}

impl Buckets for Tenancy {
    fn flow(&self) -> &FlowControl {
        &self.flow
    }

    fn get_many(&self, room: InFlight, bucket: String, keys: Vec<String>, most: usize) -> StoreFuture<'_, Values> {
        let reading = self.read(room, move |from, tenant| tables::get_many(from, tenant, &bucket, &keys, most));
        Box::pin(async move { reading.await? })
    }

    fn exists(&self, room: InFlight, bucket: String, key: String) -> StoreFuture<'_, bool> {
        self.read(room, move |from, tenant| tables::exists(from, tenant, &bucket, &key))
    }

    fn list_keys(&self, room: InFlight, bucket: String, page: Page) -> StoreFuture<'_, Keys> {
        self.read(room, move |from, tenant| tables::list_keys(from, tenant, &bucket, page))
    }

    fn set_many(&self, room: InFlight, bucket: String, entries: Vec<KeyValue>) -> StoreFuture<'_, ()> {
        let changing = self.change(room, Change::Set { bucket, entries });
        Box::pin(async move { changing.await.map(drop) })
    }

    fn delete_many(&self, room: InFlight, bucket: String, keys: Vec<String>) -> StoreFuture<'_, ()> {
        let changing = self.change(room, Change::Delete { bucket, keys });
        Box::pin(async move { changing.await.map(drop) })
    }

    fn usage(&self, room: InFlight) -> StoreFuture<'_, StoreUsage> {
        let StoreQuota { bytes: most_bytes, keys: most_keys } = self.quota;
        self.read(room, move |from, tenant| {
            let (bytes, keys) = tables::usage(from, tenant)?;
            Ok(StoreUsage { bytes, keys, most_bytes, most_keys })
        })
    }

    fn increment(&self, room: InFlight, bucket: String, key: String, delta: u64) -> StoreFuture<'_, u64> {
        self.change(room, Change::Increment { bucket, key, delta })
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};

    use redb::backends::InMemoryBackend;
    use redb::{Database, StorageBackend};

    use super::super::flow::Load;
    use super::*;

    /// A disk that can be full. Written data persists when the store is closed and opened again.
    #[derive(Debug, Clone)]
    struct Disk {
        bytes: Arc<InMemoryBackend>,
        full: Arc<AtomicBool>,
    }

    impl Disk {
        fn check(&self) -> io::Result<()> {
            if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
    }

    impl StorageBackend for Disk {
        fn len(&self) -> io::Result<u64> {
            self.bytes.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.bytes.read(offset, out)
        }
        fn set_len(&self, len: u64) -> io::Result<()> {
            self.check()?;
            self.bytes.set_len(len)
        }
        fn sync_data(&self) -> io::Result<()> {
            self.check()
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.check()?;
            self.bytes.write(offset, data)
        }
    }

    async fn set(buckets: &dyn Buckets, key: &str) -> Result<(), StoreError> {
        let room = buckets.flow().room(Load::write(1, 1)).await;
        buckets.set_many(room, String::new(), vec![(key.to_owned(), vec![1])]).await
    }

    async fn has(buckets: &dyn Buckets, key: &str) -> Result<bool, StoreError> {
        let room = buckets.flow().room(Load::read(1, 0)).await;
        buckets.exists(room, String::new(), key.to_owned()).await
    }

    #[tokio::test]
    async fn a_full_disk_fails_writes_until_there_is_room_again() {
        let full = Arc::new(AtomicBool::new(false));
        let disk = Disk { bytes: Arc::new(InMemoryBackend::new()), full: Arc::clone(&full) };
        let open = move || Database::builder().create_with_backend(disk.clone());
        let store = Embedded::over(File::with(Box::new(open)).unwrap()).unwrap();
        let buckets = store.tenant("acme", StoreQuota { bytes: 100, keys: 10 });
        set(&*buckets, "before").await.unwrap();
        full.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            assert!(matches!(set(&*buckets, "meanwhile").await, Err(StoreError::Failed(_))));
        }
        full.store(false, Ordering::SeqCst);
        set(&*buckets, "after").await.unwrap();
        // The bucket counts as well.
        let used = buckets.usage(buckets.flow().room(Load::read(1, 0)).await).await.unwrap();
        assert_eq!((used.keys, used.most_bytes, used.most_keys), (3, 100, 10));
        assert!(used.bytes >= "before".len() as u64 + "after".len() as u64, "{used:?}");
        assert_eq!(has(&*buckets, "before").await, Ok(true));
        assert_eq!(has(&*buckets, "meanwhile").await, Ok(false));
        assert_eq!(has(&*buckets, "after").await, Ok(true));
    }

    #[tokio::test]
    async fn a_panic_of_the_writer_fails_the_changes_in_hand_and_no_later_ones() {
        let disk = Disk { bytes: Arc::new(InMemoryBackend::new()), full: Arc::default() };
        let open = move || Database::builder().create_with_backend(disk.clone());
        let store = Embedded::over(File::with(Box::new(open)).unwrap()).unwrap();
        let buckets = store.tenant("acme", StoreQuota { bytes: 1_000, keys: 200 });
        store.writer.fault.inject();
        assert_eq!(set(&*buckets, "lost").await, Err(gone()));
        set(&*buckets, "kept").await.unwrap();
        assert_eq!((has(&*buckets, "lost").await, has(&*buckets, "kept").await), (Ok(false), Ok(true)));
    }

    #[tokio::test]
    async fn a_refused_change_does_not_fail_others_of_its_transaction() {
        let disk = Disk { bytes: Arc::new(InMemoryBackend::new()), full: Arc::default() };
        let open = move || Database::builder().create_with_backend(disk.clone());
        let store = Embedded::over(File::with(Box::new(open)).unwrap()).unwrap();
        // The quota's two keys are the bucket and one key in it.
        let small = store.tenant("small", StoreQuota { bytes: 100, keys: 2 });
        let large = store.tenant("large", StoreQuota { bytes: 1_000, keys: 200 });
        let keys: Vec<_> = (0..50).map(|number| number.to_string()).collect();
        let mut waiting = tokio::task::JoinSet::new();
        for key in keys {
            for buckets in [Arc::clone(&small), Arc::clone(&large)] {
                let key = key.clone();
                waiting.spawn(async move { set(&*buckets, &key).await });
            }
        }
        let verdicts = waiting.join_all().await;
        assert_eq!(verdicts.iter().filter(|verdict| verdict.is_ok()).count(), 51);
        assert_eq!(verdicts.iter().filter(|verdict| **verdict == Err(StoreError::OverQuota)).count(), 49);
    }
}
