//! What a session has closed, and whose end may wait for a disk or a server.
//!
//! It is closed on a thread that may block, before the session's next operation there. A file that was written waits
//! for that operation, and for [`CLOSE_DELAY`] at most: a client that sends small files, one after the other, thus pays
//! for two hops to such a thread for each of them, and not for three.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// How long a file stays open for the session's next operation to close it. If others remove it meanwhile, its bytes
/// stay charged so long.
pub(super) const CLOSE_DELAY: Duration = Duration::from_millis(10);

/// What is to be closed.
#[derive(Default)]
pub(super) struct PendingClose {
    waiting: Mutex<Waiting>,
    /// Held while something is closed.
    closing: Mutex<()>,
}

/// At most as much as the session may have open.
#[derive(Default)]
struct Waiting {
    opened: Vec<Box<dyn Send>>,
    /// Whether a task sees to it that they are closed.
    has_task: bool,
}

impl PendingClose {
    /// Whether everything is closed. Does not wait.
    pub(super) fn is_done(&self) -> bool {
        // In this order: what is being closed is not waiting any more.
        lock(&self.waiting).opened.is_empty() && !matches!(self.closing.try_lock(), Err(TryLockError::WouldBlock))
    }

    /// Closes everything. Blocks.
    pub(super) fn close_all(&self) {
        let _closing = lock(&self.closing);
        let opened = mem::take(&mut lock(&self.waiting).opened);
        drop(opened);
    }

    /// Adds something.
    pub(super) fn push(&self, opened: Box<dyn Send>) {
        lock(&self.waiting).opened.push(opened);
    }

    /// Whether a new task has to see to it that everything is closed.
    pub(super) fn begin_task(&self) -> bool {
        !mem::replace(&mut lock(&self.waiting).has_task, true)
    }

    /// The task is at its end: what is added from now on is for another. Returns whether there is something to close.
    pub(super) fn finish_task(&self) -> bool {
        let mut waiting = lock(&self.waiting);
        waiting.has_task = false;
        !waiting.opened.is_empty()
    }
}

/// The guarded state is consistent after every step, so a panic elsewhere does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Says when its end begins, and waits there until it may go on.
    struct Slow(Sender<()>, Receiver<()>);

    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
            self.1.recv().unwrap();
        }
    }

    #[test]
    fn it_is_done_when_everything_is_closed_and_not_while_something_is_being_closed() {
        let pending = PendingClose::default();
        assert!(pending.is_done());
        let ((began, begins), (go_on, goes_on)) = (channel(), channel());
        pending.push(Box::new(Slow(began, goes_on)));
        assert!(pending.begin_task() && !pending.begin_task());
        assert!(!pending.is_done());
        std::thread::scope(|scope| {
            scope.spawn(|| pending.close_all());
            begins.recv().unwrap();
            assert!(!pending.is_done());
            go_on.send(()).unwrap();
        });
        assert!(pending.is_done());
        assert!(!pending.finish_task());
        pending.push(Box::new(()));
        assert!(pending.begin_task() && pending.finish_task());
    }
}
