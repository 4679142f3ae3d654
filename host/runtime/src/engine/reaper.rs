//! Drops large instances on a thread of its own, one after another.
//!
//! The memory of an instance returns to the system when it is dropped, which takes milliseconds for 64 MiB and cannot
//! be interrupted. On a worker thread nobody would be charged for that time: eight sessions that fill their memory and
//! end, again and again, would delay the keystrokes of all tenants. Here it takes one processor at most, tenants take
//! turns, and the memory stays charged to its tenant until the instance is gone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::error::Error;
use crate::event::{LogEvent, emit};
use crate::supervise::{Fault, catch, supervise_thread};

/// The remains of an instance.
type Finished = Box<dyn Send>;
/// An instance to drop, and the sender that reports when it is gone.
type DropJob = (Finished, oneshot::Sender<()>);

pub(crate) struct Reaper {
    line: Arc<Line>,
}

/// The queue: one line for each tenant, served in turns.
#[derive(Default)]
struct Line {
    waiting: Mutex<Waiting>,
    bell: Condvar,
    fault: Fault,
}

#[derive(Default)]
struct Waiting {
    /// The lines, by tenant. No line is empty.
    lines: BTreeMap<usize, VecDeque<DropJob>>,
    /// The tenant that was served last.
    last: usize,
    closed: bool,
}

impl Reaper {
    /// Starts the thread. It ends when the value is dropped and the queue is empty.
    pub(crate) fn start() -> Result<Self, Error> {
        let line = Arc::new(Line::default());
        let work = Arc::clone(&line);
        supervise_thread("reaper", Some(256 << 10), move || work.serve())
            .map_err(|error| Error::host(&error.into()))?;
        Ok(Self { line })
    }

    /// Queues an instance to be dropped. `tenant` identifies whose it is. The caller can wait on the returned receiver
    /// until the instance is gone.
    pub(crate) fn take(&self, tenant: usize, finished: Finished) -> oneshot::Receiver<()> {
        let (done, gone) = oneshot::channel();
        self.line.waiting().lines.entry(tenant).or_default().push_back((finished, done));
        self.line.bell.notify_one();
        gone
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.line.waiting().closed = true;
        self.line.bell.notify_one();
    }
}

impl Line {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        while let Some((finished, done)) = self.next() {
            self.fault.point();
            if let Err(words) = catch(|| drop(finished)) {
                emit(LogEvent::ProcessDropFailed { panic: &words });
            }
            // The waiting side may have been dropped.
            let _ = done.send(());
        }
    }

    /// Waits for the next one; `None` once the reaper was dropped.
    fn next(&self) -> Option<DropJob> {
        let mut waiting = self.waiting();
        loop {
            if let Some(next) = waiting.next() {
                return Some(next);
            }
            if waiting.closed {
                return None;
            }
            waiting = self.bell.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Waiting {
    fn next(&mut self) -> Option<DropJob> {
        let after = self.lines.range(self.last.saturating_add(1)..).next();
        let (&tenant, _) = after.or_else(|| self.lines.first_key_value())?;
        self.last = tenant;
        let line = self.lines.get_mut(&tenant)?;
        let next = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&tenant);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;

    use super::*;

    /// Reports when it is dropped, and on which thread.
    struct Body(Sender<Option<String>>);

    impl Drop for Body {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().name().map(str::to_owned));
        }
    }

    #[tokio::test]
    async fn a_queued_instance_is_dropped_on_the_thread_and_can_be_awaited() {
        let (sender, dropped): (_, Receiver<Option<String>>) = channel();
        let reaper = Reaper::start().unwrap();
        for _ in 0..3 {
            reaper.take(1, Box::new(Body(sender.clone()))).await.unwrap();
            assert_eq!(dropped.try_recv(), Ok(Some("reaper".to_owned())));
        }
    }

    #[tokio::test]
    async fn after_a_panic_the_others_are_dropped_and_no_caller_waits_for_ever() {
        let (sender, dropped): (_, Receiver<Option<String>>) = channel();
        let reaper = Reaper::start().unwrap();
        reaper.line.fault.inject();
        let gone = [1, 2, 3].map(|tenant| reaper.take(tenant, Box::new(Body(sender.clone()))));
        for gone in gone {
            // The panic drops the current one, and its receiver sees the channel close.
            let _ = gone.await;
        }
        drop(sender);
        assert_eq!(dropped.iter().collect::<Vec<_>>(), vec![Some("reaper".to_owned()); 3]);
    }

    #[test]
    fn waiting_is_optional() {
        let (sender, dropped): (_, Receiver<Option<String>>) = channel();
        let reaper = Reaper::start().unwrap();
        drop(reaper.take(1, Box::new(Body(sender))));
        drop(reaper);
        assert_eq!(dropped.iter().collect::<Vec<_>>(), [Some("reaper".to_owned())]);
    }

    #[test]
    fn tenants_take_turns_and_a_panic_ends_nothing() {
        struct Named(&'static str, Sender<&'static str>);
        impl Drop for Named {
            fn drop(&mut self) {
                self.1.send(self.0).unwrap();
                assert!(self.0 != "worse");
            }
        }
        let (sender, dropped) = channel();
        let mut waiting = Waiting::default();
        let mut wait = |tenant, name| {
            let (done, _) = oneshot::channel();
            waiting.lines.entry(tenant).or_default().push_back((Box::new(Named(name, sender.clone())), done));
        };
        ["a1", "worse", "a3"].into_iter().for_each(|name| wait(1, name));
        wait(2, "b1");
        wait(usize::MAX, "c1");
        waiting.closed = true;
        Line { waiting: Mutex::new(waiting), ..Line::default() }.serve();
        drop(sender);
        assert_eq!(dropped.iter().collect::<Vec<_>>(), ["a1", "b1", "c1", "worse", "a3"]);
    }
}
