//! The budget of a tenant for the large packets of its clients, shared by all their connections.
//!
//! Connections wait in the order of their arrival, so that small requests never overtake a large one for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use whelk_runtime::limits::{ResizablePermit, ResizableSemaphore};

/// Bytes of the budget, until it is dropped.
pub(crate) type InputPermit = ResizablePermit<Arc<ResizableSemaphore>>;

/// The budget of a tenant for the large packets of its clients.
#[derive(Debug)]
pub(crate) struct InputBudget {
    /// One permit a byte.
    free: Arc<ResizableSemaphore>,
    /// Connections that wait for bytes.
    waiting: AtomicUsize,
}

/// Counts a connection as waiting until it is dropped.
struct Waiting(Arc<InputBudget>);

impl InputBudget {
    pub(crate) fn new(bytes: usize) -> Arc<InputBudget> {
        Arc::new(InputBudget { free: Arc::new(ResizableSemaphore::new(bytes)), waiting: AtomicUsize::new(0) })
    }

    /// Changes the size. What is taken stays taken.
    pub(crate) fn resize(&self, bytes: usize) {
        self.free.resize(bytes);
    }

    /// Takes this many bytes if they are free and nobody waits, however few they are.
    pub(crate) fn try_acquire(&self, bytes: u32) -> Option<InputPermit> {
        ResizableSemaphore::try_acquire(Arc::clone(&self.free), bytes)
    }

    /// Waits for this many bytes. Cancel safe: dropping the future leaves the queue.
    pub(crate) async fn acquire(self: Arc<InputBudget>, bytes: u32) -> InputPermit {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(self);
        ResizableSemaphore::acquire(Arc::clone(&waiting.0.free), bytes).await
    }

    /// Whether a connection waits for bytes.
    pub(crate) fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// The bytes that are free, and the connections that wait.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.free.available(), self.waiting.load(Ordering::Relaxed))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
