//! The embedded store: one file for all tenants, with transactions that survive a kill.
//!
//! Decided 2026-11-21: redb with a thread of our own that writes, instead of a write transaction in each caller. redb allows one at a
//! time, so callers would queue for a lock in threads of the pool; gathered, sixty sessions wait for one flush of the disk instead of
//! sixty.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use redb::{ReadTransaction, ReadableDatabase};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;

use super::buckets::{Answer, Buckets, Entry, Error, Keys, Page};
use super::file::File;
use super::flow::{Flow, Room};
use super::tables::{self, Change};
use super::writer::{Job, Writer, gone};

pub use super::tables::Quota;

/// Threads that may read at once, of those that the program has for work that blocks.
const READERS: usize = 4;

/// The store, open. There is one in a process for a file; every tenant's [`Buckets`] keep it open.
pub struct Embedded {
    // Before the file: its thread has ended when the file is closed.
    writer: Writer,
    file: Arc<File>,
    readers: Arc<Semaphore>,
}

impl Embedded {
    /// Opens the file, or makes it, readable by its owner alone. Blocks, seldom for long: after a kill no more than usual.
    ///
    /// The error names the file, why it cannot be used, and what to do about it: [`Error::Unusable`].
    pub fn open(path: &Path) -> Result<Arc<Self>, Error> {
        let unusable = |reason: String| Error::Unusable { file: path.to_owned(), reason };
        Self::over(File::open(path)?).map_err(|error| unusable(format!("cannot be written to: {error}")))
    }

    fn over(file: File) -> std::io::Result<Arc<Self>> {
        let file = Arc::new(file);
        let writer = Writer::start(Arc::clone(&file))?;
        Ok(Arc::new(Self { writer, file, readers: Arc::new(Semaphore::new(READERS)) }))
    }

    /// The buckets of one tenant. Ask once for each tenant: what holds its sessions to a measure is in the answer.
    #[must_use]
    pub fn tenant(self: &Arc<Self>, name: &str, quota: Quota) -> Arc<dyn Buckets> {
        Arc::new(Tenancy { store: Arc::clone(self), name: name.into(), quota, flow: Flow::default() })
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
    quota: Quota,
    flow: Flow,
}

impl Tenancy {
    /// Reads where blocking is allowed. Writers are not waited for: what is read is what was last committed.
    fn read<R: Send + 'static>(
        &self,
        room: Room,
        read: impl FnOnce(&ReadTransaction, &str) -> Result<R, redb::Error> + Send + 'static,
    ) -> Answer<'_, R> {
        Box::pin(async move {
            // The semaphore is never closed.
            let turn = Arc::clone(&self.store.readers).acquire_owned().await.ok();
            let (file, tenant) = (Arc::clone(&self.store.file), Arc::clone(&self.name));
            let reading = spawn_blocking(move || {
                let result = file.with_database(|database| read(&database.begin_read()?, &tenant));
                drop((turn, room));
                result
            });
            reading.await.unwrap_or_else(|error| Err(Error::Failed(error.to_string())))
        })
    }

    fn change(&self, room: Room, change: Change) -> Answer<'_, u64> {
        Box::pin(async move {
            let (answer, verdict) = oneshot::channel();
            let (tenant, quota) = (Arc::clone(&self.name), self.quota);
            self.store.writer.send(Job { tenant, quota, change, room, answer });
            verdict.await.unwrap_or_else(|_| Err(gone()))
        })
    }
}

impl Buckets for Tenancy {
    fn flow(&self) -> &Flow {
        &self.flow
    }

    fn get_many(&self, room: Room, bucket: String, keys: Vec<String>, most: usize) -> Answer<'_, Vec<Option<Vec<u8>>>> {
        let reading = self.read(room, move |from, tenant| tables::get_many(from, tenant, &bucket, &keys, most));
        Box::pin(async move { reading.await? })
    }

    fn exists(&self, room: Room, bucket: String, key: String) -> Answer<'_, bool> {
        self.read(room, move |from, tenant| tables::exists(from, tenant, &bucket, &key))
    }

    fn list_keys(&self, room: Room, bucket: String, page: Page) -> Answer<'_, Keys> {
        self.read(room, move |from, tenant| tables::list_keys(from, tenant, &bucket, page))
    }

    fn set_many(&self, room: Room, bucket: String, entries: Vec<Entry>) -> Answer<'_, ()> {
        let changing = self.change(room, Change::Set { bucket, entries });
        Box::pin(async move { changing.await.map(drop) })
    }

    fn delete_many(&self, room: Room, bucket: String, keys: Vec<String>) -> Answer<'_, ()> {
        let changing = self.change(room, Change::Delete { bucket, keys });
        Box::pin(async move { changing.await.map(drop) })
    }

    fn increment(&self, room: Room, bucket: String, key: String, delta: u64) -> Answer<'_, u64> {
        self.change(room, Change::Increment { bucket, key, delta })
    }
}
