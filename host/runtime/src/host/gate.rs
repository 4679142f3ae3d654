//! The gate at which a stopped process waits.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

/// Whether a process may run on: closed by SIGSTOP, opened by SIGCONT.
///
/// The process waits here only where it holds nothing that others wait for: in its own code, when the epoch is over,
/// and before it reads or writes its standard streams. Its task is polled all the time. A task that was not polled
/// would keep others waiting, since tokio's semaphores hand permits to sleeping waiters.
#[derive(Default)]
pub(crate) struct StopGate {
    closed: AtomicBool,
}

impl StopGate {
    pub(crate) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Relaxed)
    }

    pub(crate) fn set_open(&self, open: bool) {
        self.closed.store(!open, Ordering::Relaxed);
    }

    /// Waits until the gate is open. It registers no waker: the gate is opened in the poll that then polls this.
    pub(crate) async fn pass(&self) {
        poll_fn(|_| if self.is_open() { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}
