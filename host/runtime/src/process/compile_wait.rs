//! The wait for a program that is compiled for the first time: what the user is told, and what ends the wait.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;

use crate::host::ProcessIo;
use crate::posix::Errno;
use crate::posix::process::ProcessEntry;

/// A wait that is over before takes no notice of signals, and nobody is told.
const SHORT: Duration = Duration::from_secs(1);

/// The process that waits.
#[derive(Clone, Copy)]
pub(crate) struct CompileWait<'p> {
    pub(crate) process: &'p ProcessEntry,
    /// Its descriptors.
    pub(crate) io: Option<&'p ProcessIo>,
}

impl CompileWait<'_> {
    /// Waits until the program of this name is found. After a second a line on descriptor 2 says what the process waits
    /// for, if that is a terminal. Cancel safe.
    ///
    /// # Errors
    /// [`Errno::Interrupted`] if a signal that the process catches has arrived and a second is over.
    pub(crate) async fn for_program<F>(self, name: &str, found: impl Future<Output = F>) -> Result<F, Errno> {
        let mut found = pin!(found);
        if let Ok(found) = timeout(SHORT, &mut found).await {
            return Ok(found);
        }
        if let Some(io) = self.io
            && io.descriptors().get(2).is_some_and(|description| description.is_terminal())
        {
            io.complain(&format!("{name}: compiling for the first time...\n"), Duration::ZERO).await;
        }
        poll_fn(|context| {
            if let Poll::Ready(found) = found.as_mut().poll(context) {
                return Poll::Ready(Ok(found));
            }
            self.process.register_waker(context);
            let is_interrupted = self.process.is_interrupted() && !self.process.must_wait();
            if is_interrupted { Poll::Ready(Err(Errno::Interrupted)) } else { Poll::Pending }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::posix::process::Disposition;
    use crate::posix::signal::Signal;

    #[tokio::test(start_paused = true)]
    async fn a_caught_signal_ends_a_wait_of_more_than_a_second() {
        let process = ProcessEntry::alone();
        process.set_disposition(Signal::Int, Disposition::Catch).unwrap();
        let wait = CompileWait { process: &process, io: None };
        let began = Instant::now();
        let (waited, ()) = tokio::join!(wait.for_program("ls", pending::<()>()), async {
            sleep(SHORT * 5).await;
            process.raise(Signal::Int);
        });
        assert_eq!((waited, began.elapsed()), (Err(Errno::Interrupted), SHORT * 5));
        // The signal still waits: a program that is there is started all the same.
        assert_eq!(wait.for_program("ls", async { 1 }).await, Ok(1));
        assert_eq!(wait.for_program("ls", sleep(SHORT / 2)).await, Ok(()));
        assert_eq!(wait.for_program("ls", sleep(SHORT * 2)).await, Err(Errno::Interrupted));
        assert_eq!(process.next_signal(), Some(Signal::Int));
        assert_eq!(wait.for_program("ls", sleep(SHORT * 2)).await, Ok(()));
    }
}
