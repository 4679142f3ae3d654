//! Cryptography that costs milliseconds of processor time: it runs on blocking threads, a bounded number at a time in
//! the process, so that no client keeps the threads of other connections busy.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::task::spawn_blocking;
use whelk_runtime::limits::ResizableSemaphore;

type Pending<T> = Pin<Box<dyn Future<Output = Option<T>> + Send>>;

/// A computation for one connection, if one is queued or running.
pub(crate) struct BlockingWork<T> {
    pending: Option<Pending<T>>,
}

impl<T> Default for BlockingWork<T> {
    fn default() -> BlockingWork<T> {
        BlockingWork { pending: None }
    }
}

impl<T: Send + 'static> BlockingWork<T> {
    /// Queues `work` for one of `slots`, in the order of arrival.
    pub(crate) fn begin(&mut self, slots: &Arc<ResizableSemaphore>, work: impl FnOnce() -> T + Send + 'static) {
        let slots = Arc::clone(slots);
        self.pending = Some(Box::pin(async move {
            // The permit is held until the work is done, even if the client has gone.
            let permit = ResizableSemaphore::acquire(slots, 1).await;
            let work = spawn_blocking(move || {
                let _permit = permit;
                work()
            });
            work.await.ok()
        }));
    }

    /// Whether work is queued or running.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Waits for the outcome; `None` if the work panicked. Without work it waits for ever. Cancel-safe.
    pub(crate) async fn done(&mut self) -> Option<T> {
        let Some(pending) = &mut self.pending else { return std::future::pending().await };
        let outcome = pending.await;
        self.pending = None;
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    /// K29.
    #[tokio::test]
    async fn only_as_much_is_done_at_a_time_as_there_are_slots() {
        let slots = Arc::new(ResizableSemaphore::new(1));
        let mut context = Context::from_waker(Waker::noop());
        let taken = ResizableSemaphore::acquire(&*slots, 1).await;
        let (mut waiting, mut gone) = (BlockingWork::default(), BlockingWork::default());
        gone.begin(&slots, || 1);
        waiting.begin(&slots, || 2);
        assert!(Box::pin(gone.done()).as_mut().poll(&mut context).is_pending());
        assert!(Box::pin(waiting.done()).as_mut().poll(&mut context).is_pending());
        assert!(gone.is_pending() && waiting.is_pending());
        // A client that goes away leaves the queue.
        drop(gone);
        drop(taken);
        assert_eq!(waiting.done().await, Some(2));
        assert!(!waiting.is_pending());
        assert_eq!(slots.available(), 1);
    }
}
