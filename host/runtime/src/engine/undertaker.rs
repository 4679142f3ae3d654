//! Where large instances are let go: a thread of its own that drops one after another.
//!
//! What an instance had goes back to the system as it is dropped, which takes milliseconds for a memory of 64 MiB, and cannot be interrupted.
//! On a worker that would be time that nobody is charged for: eight sessions that fill their memory and end, again and again, would
//! hold up everybody's keys. Here it is one processor's at most, and until an instance is gone its memory stays its tenant's.

use std::sync::mpsc::{SendError, Sender, channel};
use std::thread;

use tokio::sync::oneshot;

use crate::error::Error;

/// What is left of an instance.
type Remains = Box<dyn Send>;

pub(crate) struct Undertaker {
    line: Sender<(Remains, oneshot::Sender<()>)>,
}

impl Undertaker {
    /// Starts the thread. It ends with the value and with what was handed over before.
    pub(crate) fn start() -> Result<Self, Error> {
        let (line, remains) = channel::<(Remains, oneshot::Sender<()>)>();
        let bury = |(remains, done): (Remains, oneshot::Sender<()>)| {
            drop(remains);
            // Who waited may be gone.
            let _ = done.send(());
        };
        thread::Builder::new()
            .name("undertaker".to_owned())
            .stack_size(256 << 10)
            .spawn(move || remains.into_iter().for_each(bury))
            .map_err(|error| Error::host(&error.into()))?;
        Ok(Self { line })
    }

    /// Drops it there. Who wants to can wait until that is done: then it is gone, whatever the wait gives.
    pub(crate) fn take(&self, remains: Remains) -> oneshot::Receiver<()> {
        let (done, gone) = oneshot::channel();
        if let Err(SendError((remains, _))) = self.line.send((remains, done)) {
            drop(remains);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// Says when it is dropped, and on which thread.
    struct Body(Sender<Option<String>>);

    impl Drop for Body {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().name().map(str::to_owned));
        }
    }

    #[tokio::test]
    async fn what_is_handed_over_is_dropped_elsewhere_and_waited_for() {
        let (sender, dropped): (_, Receiver<Option<String>>) = channel();
        let undertaker = Undertaker::start().unwrap();
        for _ in 0..3 {
            undertaker.take(Box::new(Body(sender.clone()))).await.unwrap();
            assert_eq!(dropped.try_recv(), Ok(Some("undertaker".to_owned())));
        }
    }

    #[test]
    fn nobody_has_to_wait() {
        let (sender, dropped): (_, Receiver<Option<String>>) = channel();
        let undertaker = Undertaker::start().unwrap();
        drop(undertaker.take(Box::new(Body(sender))));
        drop(undertaker);
        assert_eq!(dropped.iter().collect::<Vec<_>>(), [Some("undertaker".to_owned())]);
    }
}
