//! Bytes that wait for clients, of a user, a tenant or the server.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Bytes that wait for clients. Writers that want to add more queue.
#[derive(Debug)]
pub(crate) struct Buffered {
    /// One permit a byte.
    room: Semaphore,
    /// The most that one may ask for: the whole budget.
    most: usize,
}

impl Buffered {
    pub(crate) fn new(bytes: usize) -> Self {
        let most = bytes.clamp(1, Semaphore::MAX_PERMITS);
        Self { room: Semaphore::new(most), most }
    }

    /// The most that one may ask for at once.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// Reserves this many bytes, if they are free and nobody waits.
    pub(crate) fn space(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        self.room.try_acquire_many(permits(bytes)).ok()
    }

    /// Waits for this many bytes.
    pub(crate) async fn wait(&self, bytes: usize) -> SemaphorePermit<'_> {
        self.room.acquire_many(permits(bytes)).await.expect("it is never closed")
    }

    /// Frees bytes.
    pub(crate) fn give(&self, bytes: usize) {
        self.room.add_permits(bytes);
    }

    /// Whether at least nine tenths are in use.
    pub(crate) fn is_pressed(&self) -> bool {
        self.room.available_permits() <= self.most / 10
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
