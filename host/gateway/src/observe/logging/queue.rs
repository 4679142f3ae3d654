//! The queue between those who log and whoever reads standard error.
//!
//! A thread of tracing-appender writes. tracing-appender's WorkerGuard prints to stdout when the queue is full, which
//! can block for ever; we wait ourselves.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder};
use whelk_runtime::supervise::catch;

/// Lines that may wait to be written. The others are dropped.
const WAITING: usize = 10_000;

/// Lines on their way.
pub(super) struct LogQueue {
    out: NonBlocking,
    /// How many were put in, dropped ones included.
    put: Arc<AtomicUsize>,
    written: Arc<Written>,
}

/// How many lines were written, or could not be.
#[derive(Default)]
struct Written {
    lines: Mutex<usize>,
    more: Condvar,
}

impl LogQueue {
    /// Starts the thread that writes to `out`. Calls `give_up` when `out` panics, on that thread; nothing is written
    /// any more then.
    pub(super) fn start(out: impl Write + Send + 'static, give_up: impl FnOnce() + Send + 'static) -> LogQueue {
        let written = Arc::new(Written::default());
        let builder = NonBlockingBuilder::default().buffered_lines_limit(WAITING).lossy(true).thread_name("log");
        let (out, guard) = builder.finish(Out { out, written: Arc::clone(&written), give_up: Some(give_up) });
        // See the top of this file. The thread ends with the process.
        std::mem::forget(guard);
        LogQueue { out, put: Arc::default(), written }
    }

    /// Takes lines, each with one call. Never waits.
    pub(super) fn writer(&self) -> In {
        In { out: self.out.clone(), put: Arc::clone(&self.put) }
    }

    /// How many lines found no room.
    pub(super) fn dropped(&self) -> usize {
        self.out.error_counter().dropped_lines()
    }

    /// Waits until all lines that were put in are written, at most for `longest`. False if some are not.
    pub(super) fn wait_written(&self, longest: Duration) -> bool {
        let is_behind =
            |written: &mut usize| *written < self.put.load(Ordering::Acquire).saturating_sub(self.dropped());
        let lines = self.written.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.written.more.wait_timeout_while(lines, longest, is_behind);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// The end where lines are put in.
pub(super) struct In {
    out: NonBlocking,
    put: Arc<AtomicUsize>,
}

impl Write for In {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put.fetch_add(1, Ordering::AcqRel);
        self.out.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The end where they come out.
struct Out<W, G> {
    out: W,
    written: Arc<Written>,
    /// None after a panic.
    give_up: Option<G>,
}

impl<W: Write, G: FnOnce()> Write for Out<W, G> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // A line that cannot be written is lost, and waited for no longer.
        let result = match catch(|| self.out.write_all(line)) {
            Ok(result) => result,
            Err(_) => {
                // Not logged: nobody would write it.
                if let Some(give_up) = self.give_up.take() {
                    give_up();
                }
                Err(io::ErrorKind::Other.into())
            }
        };
        *self.written.lines.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.written.more.notify_all();
        result.map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Somebody who takes a line when told to.
    struct Slow(Receiver<()>, Sender<String>);

    impl Write for Slow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(io::Error::other)?;
            self.1.send(String::from_utf8(line.to_vec()).unwrap()).unwrap();
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_of_the_writer_ends_the_process() {
        struct Panics;
        impl Write for Panics {
            fn write(&mut self, _line: &[u8]) -> io::Result<usize> {
                panic!("a test")
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (tell, told) = channel();
        let queue = LogQueue::start(Panics, move || tell.send(()).unwrap());
        queue.writer().write_all(b"one\n").unwrap();
        queue.writer().write_all(b"two\n").unwrap();
        assert_eq!(told.recv(), Ok(()));
        assert!(queue.wait_written(Duration::from_secs(60)), "nobody waits for what cannot be written");
        assert!(told.recv().is_err(), "once");
    }

    #[test]
    fn the_last_lines_are_written_within_a_time_limit() {
        let (go, turns) = channel();
        let (tell, lines) = channel();
        let queue = LogQueue::start(Slow(turns, tell), || unreachable!("nothing panics"));
        let mut writer = queue.writer();
        // More than there is room for.
        for number in 0..WAITING + 5_000 {
            writer.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        assert!(queue.dropped() > 4_000);
        assert!(!queue.wait_written(Duration::from_millis(1)));
        for _ in 0..WAITING + 5_000 - queue.dropped() {
            go.send(()).unwrap();
        }
        assert!(queue.wait_written(Duration::from_secs(60)));
        assert_eq!(lines.iter().next().as_deref(), Some("0\n"));
        assert_eq!(lines.try_iter().count() + 1, WAITING + 5_000 - queue.dropped());
        // Nobody is left who reads, and nobody waits for that.
        drop(go);
        writer.write_all(b"lost\n").unwrap();
        assert!(queue.wait_written(Duration::from_secs(60)));
    }
}
