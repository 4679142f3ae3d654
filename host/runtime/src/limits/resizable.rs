//! A semaphore whose size a reload of the configuration can change while permits are held and others wait for some.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// A semaphore whose size can change. When it shrinks, permits that are held stay valid: the surplus is removed as they
/// are returned, before anybody who waits gets one.
#[derive(Debug)]
pub struct ResizableSemaphore {
    semaphore: Semaphore,
    size: AtomicUsize,
    /// Permits to remove once they are free.
    surplus: AtomicUsize,
}

/// Permits of a semaphore, which is borrowed or shared. Dropping it returns them.
///
/// Decided 2026-11-29: a type of our own, since a permit of tokio's goes to whoever waits as soon as it is dropped, so
/// that a semaphore for which somebody always waits would never shrink.
#[derive(Debug)]
pub struct ResizablePermit<S: Deref<Target = ResizableSemaphore>> {
    semaphore: S,
    permits: usize,
}

impl ResizableSemaphore {
    /// With this many permits: at least one, and at most [`Semaphore::MAX_PERMITS`].
    #[must_use]
    pub fn new(size: usize) -> Self {
        let size = size.clamp(1, Semaphore::MAX_PERMITS);
        Self { semaphore: Semaphore::new(size), size: AtomicUsize::new(size), surplus: AtomicUsize::new(0) }
    }

    /// How many permits there are, free or held. Never request more: the request would not complete.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    /// How many permits are free.
    #[must_use]
    pub fn available(&self) -> usize {
        self.settle();
        self.semaphore.available_permits()
    }

    /// Takes this many permits if they are free and nobody waits.
    pub fn try_acquire<S: Deref<Target = Self>>(semaphore: S, permits: u32) -> Option<ResizablePermit<S>> {
        semaphore.settle();
        semaphore.semaphore.try_acquire_many(permits).ok()?.forget();
        Some(ResizablePermit::of(semaphore, permits))
    }

    /// Waits for this many permits, in the order of arrival. Cancel safe: dropping the future leaves the queue.
    pub async fn acquire<S: Deref<Target = Self>>(semaphore: S, permits: u32) -> ResizablePermit<S> {
        semaphore.settle();
        semaphore.semaphore.acquire_many(permits).await.expect("the semaphore is never closed").forget();
        ResizablePermit::of(semaphore, permits)
    }

    /// Returns permits that were forgotten.
    pub fn give(&self, permits: usize) {
        let less = |surplus: usize| Some(surplus.saturating_sub(permits));
        // The closure always gives a value.
        let surplus = self.surplus.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).unwrap_or_default();
        self.semaphore.add_permits(permits.saturating_sub(surplus));
    }

    /// Takes permits whether they are free or not: as many as are missing are removed as others are returned. They come
    /// back by [`give`](Self::give).
    pub fn overdraw(&self, permits: usize) {
        self.surplus.fetch_add(permits, Ordering::AcqRel);
        self.settle();
    }

    /// Permits that were forgotten, to be returned on drop again.
    pub fn remembered<S: Deref<Target = Self>>(semaphore: S, permits: usize) -> ResizablePermit<S> {
        ResizablePermit { semaphore, permits }
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
        let surplus = self.surplus.load(Ordering::Acquire);
        if surplus > 0 {
            // They pay for the surplus like others; what others have paid meanwhile comes back.
            self.give(self.semaphore.forget_permits(surplus));
        }
    }
}

impl<S: Deref<Target = ResizableSemaphore>> ResizablePermit<S> {
    fn of(semaphore: S, permits: u32) -> Self {
        Self { semaphore, permits: usize::try_from(permits).unwrap_or(usize::MAX) }
    }

    /// Keeps this many taken until [`give`](ResizableSemaphore::give) returns them, and returns the others.
    pub fn forget(mut self, permits: usize) {
        self.permits = self.permits.saturating_sub(permits);
    }
}

impl<S: Deref<Target = ResizableSemaphore>> Drop for ResizablePermit<S> {
    fn drop(&mut self) {
        if self.permits > 0 {
            self.semaphore.give(self.permits);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::task::{Context, Waker};
    use std::thread;

    use super::*;

    fn taken(semaphore: &ResizableSemaphore, permits: u32) -> ResizablePermit<&ResizableSemaphore> {
        ResizableSemaphore::try_acquire(semaphore, permits).unwrap()
    }

    #[test]
    fn what_is_overdrawn_is_paid_by_the_next_permits_that_come_back() {
        let resizable = ResizableSemaphore::new(10);
        let held = taken(&resizable, 8);
        resizable.overdraw(7);
        assert_eq!(resizable.available(), 0);
        drop(held);
        assert_eq!(resizable.available(), 3);
        resizable.give(7);
        assert_eq!(resizable.available(), 10);
        taken(&resizable, 6).forget(6);
        drop(ResizableSemaphore::remembered(&resizable, 6));
        assert_eq!(resizable.available(), 10);
    }

    #[test]
    fn it_grows_at_once_and_shrinks_as_permits_come_back() {
        let resizable = ResizableSemaphore::new(10);
        let held = taken(&resizable, 8);
        resizable.resize(5);
        assert_eq!((resizable.size(), resizable.available()), (5, 0));
        drop(held);
        assert_eq!(resizable.available(), 5);
        taken(&resizable, 5).forget(5);
        resizable.resize(2);
        resizable.give(4);
        assert_eq!(resizable.available(), 1);
        resizable.resize(4);
        assert_eq!(resizable.available(), 3);
        resizable.give(1);
        assert_eq!(resizable.available(), 4);
        // Growing pays the surplus first.
        taken(&resizable, 4).forget(4);
        resizable.resize(1);
        resizable.resize(4);
        assert_eq!(resizable.available(), 0);
        resizable.give(4);
        assert_eq!(resizable.available(), 4);
        resizable.resize(0);
        assert_eq!((resizable.size(), resizable.available()), (1, 1));
    }

    #[test]
    fn permits_that_are_not_forgotten_come_back() {
        let resizable = ResizableSemaphore::new(10);
        taken(&resizable, 8).forget(3);
        assert_eq!(resizable.available(), 7);
        resizable.give(3);
        assert_eq!(resizable.available(), 10);
    }

    #[test]
    fn it_shrinks_although_others_wait() {
        let resizable = Arc::new(ResizableSemaphore::new(2));
        let (first, second) = (taken(&resizable, 1), taken(&resizable, 1));
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting = pin!(ResizableSemaphore::acquire(Arc::clone(&resizable), 1));
        let mut also_waiting = pin!(ResizableSemaphore::acquire(&*resizable, 1));
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        assert!(also_waiting.as_mut().poll(&mut context).is_pending());
        resizable.resize(1);
        drop(first);
        assert!(waiting.as_mut().poll(&mut context).is_pending(), "one is held, which is all there is by now");
        drop(second);
        let third = waiting.as_mut().poll(&mut context);
        assert!(third.is_ready() && also_waiting.as_mut().poll(&mut context).is_pending());
        drop(third);
        assert!(also_waiting.as_mut().poll(&mut context).is_ready());
        assert_eq!(resizable.available(), 1);
    }

    #[test]
    fn no_permit_is_lost_or_made_while_many_take_some_and_the_size_changes() {
        let (resizable, over) = (ResizableSemaphore::new(8), AtomicBool::new(false));
        thread::scope(|scope| {
            for permits in [1, 2, 3] {
                let (resizable, over) = (&resizable, &over);
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        drop(ResizableSemaphore::try_acquire(resizable, permits));
                    }
                });
            }
            for round in 0..20_000 {
                resizable.resize(1 + round % 8);
            }
            over.store(true, Ordering::Relaxed);
        });
        resizable.resize(5);
        assert_eq!(resizable.available(), 5);
    }
}
