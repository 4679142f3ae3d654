//! Bytes that wait for clients, of a user, a tenant or the server.

use crate::limits::resizable::{ResizablePermit, ResizableSemaphore};

/// Bytes that wait for clients. Writers that want to add more queue.
#[derive(Debug)]
pub(crate) struct Buffered {
    /// One permit a byte.
    room: ResizableSemaphore,
}

impl Buffered {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { room: ResizableSemaphore::new(bytes) }
    }

    /// Changes the budget.
    pub(crate) fn resize(&self, bytes: usize) {
        self.room.resize(bytes);
    }

    /// The most that one may ask for at once: the whole budget.
    pub(crate) fn most(&self) -> usize {
        self.room.size()
    }

    /// Reserves this many bytes, if they are free and nobody waits.
    pub(crate) fn space(&self, bytes: usize) -> Option<ResizablePermit<&ResizableSemaphore>> {
        ResizableSemaphore::try_acquire(&self.room, permits(bytes))
    }

    /// Waits for this many bytes.
    pub(crate) async fn wait(&self, bytes: usize) -> ResizablePermit<&ResizableSemaphore> {
        ResizableSemaphore::acquire(&self.room, permits(bytes)).await
    }

    /// Takes this many bytes, even if they are not free.
    pub(crate) fn overdraw(&self, bytes: usize) {
        self.room.overdraw(bytes);
    }

    /// So many of the bytes that are taken, to be freed on drop.
    pub(crate) fn remembered(&self, bytes: usize) -> ResizablePermit<&ResizableSemaphore> {
        ResizableSemaphore::remembered(&self.room, bytes)
    }

    /// Frees bytes.
    pub(crate) fn give(&self, bytes: usize) {
        self.room.give(bytes);
    }

    /// Whether at least nine tenths are in use.
    pub(crate) fn is_pressed(&self) -> bool {
        self.room.available() <= self.most() / 10
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
