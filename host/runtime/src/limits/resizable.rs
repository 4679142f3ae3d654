//! A semaphore whose size a reload of the configuration can change while permits are held.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// A semaphore whose size can change. When it shrinks, permits that are held stay valid: the surplus is removed as they
/// are returned.
#[derive(Debug)]
pub struct ResizableSemaphore {
    semaphore: Arc<Semaphore>,
    size: AtomicUsize,
    /// Permits to remove once they are free.
    surplus: AtomicUsize,
}

impl ResizableSemaphore {
    /// With this many permits: at least one, and at most [`Semaphore::MAX_PERMITS`].
    #[must_use]
    pub fn new(size: usize) -> Self {
        let size = size.clamp(1, Semaphore::MAX_PERMITS);
        Self { semaphore: Arc::new(Semaphore::new(size)), size: AtomicUsize::new(size), surplus: AtomicUsize::new(0) }
    }

    /// How many permits there are, free or held. Whoever waits for more would wait for ever.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    /// The semaphore, to take permits from.
    #[must_use]
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        self.settle();
        &self.semaphore
    }

    /// Returns permits that were taken and forgotten.
    pub fn give(&self, permits: usize) {
        let less = |surplus: usize| Some(surplus.saturating_sub(permits));
        // The closure always gives a value.
        let surplus = self.surplus.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).unwrap_or_default();
        self.semaphore.add_permits(permits.saturating_sub(surplus));
    }

    /// Changes the size. Two calls must not run at the same time.
    pub fn resize(&self, size: usize) {
        let size = size.clamp(1, Semaphore::MAX_PERMITS);
        let before = self.size.swap(size, Ordering::Relaxed);
        if size >= before {
            self.give(size - before);
        } else {
            self.surplus.fetch_add(before - size, Ordering::AcqRel);
            self.settle();
        }
    }

    /// Removes the surplus as far as its permits are free.
    fn settle(&self) {
        if self.surplus.load(Ordering::Relaxed) == 0 {
            return;
        }
        let surplus = self.surplus.swap(0, Ordering::AcqRel);
        let kept = surplus - self.semaphore.forget_permits(surplus);
        if kept > 0 {
            self.surplus.fetch_add(kept, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_at_once_and_shrinks_as_permits_come_back() {
        let resizable = ResizableSemaphore::new(10);
        let held = resizable.semaphore().try_acquire_many(8).unwrap();
        resizable.resize(5);
        assert_eq!((resizable.size(), resizable.semaphore().available_permits()), (5, 0));
        drop(held);
        assert_eq!(resizable.semaphore().available_permits(), 5);
        resizable.semaphore().try_acquire_many(5).unwrap().forget();
        resizable.resize(2);
        resizable.give(4);
        assert_eq!(resizable.semaphore().available_permits(), 1);
        resizable.resize(4);
        assert_eq!(resizable.semaphore().available_permits(), 3);
        resizable.give(1);
        assert_eq!(resizable.semaphore().available_permits(), 4);
        // Growing pays the surplus first.
        resizable.semaphore().try_acquire_many(4).unwrap().forget();
        resizable.resize(1);
        resizable.resize(4);
        assert_eq!(resizable.semaphore().available_permits(), 0);
        resizable.give(4);
        assert_eq!(resizable.semaphore().available_permits(), 4);
        resizable.resize(0);
        assert_eq!((resizable.size(), resizable.semaphore().available_permits()), (1, 1));
    }
}
