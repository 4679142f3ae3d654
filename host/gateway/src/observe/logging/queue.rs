//! The queue between those who log and where the lines go.
//!
//! A thread of tracing-appender writes. tracing-appender's WorkerGuard prints to stdout when the queue is full, which
//! can block for ever; we wait ourselves.
//!
//! A line that cannot be written, for example on a full disk, is lost and counted; the next line written is preceded by
//! one that says how many were lost and why.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder};
use whelk_runtime::supervise::catch;

use super::file::LineSink;
use crate::observe::event::{ServerEvent, emit};

/// Lines that may wait to be written. The others are dropped.
const WAITING: usize = 10_000;
/// How long after a failed reopening the next one is tried.
const RETRY: Duration = Duration::from_secs(10);
/// Goes through the queue to wake the thread that writes, and is not written. No line has a control byte.
const WAKE: &[u8] = b"\0";

/// Lines on their way.
pub(super) struct LogQueue {
    out: NonBlocking,
    /// How many were put in, dropped ones included.
    put: Arc<AtomicUsize>,
    written: Arc<Written>,
    reopen: Arc<AtomicBool>,
}

/// Formats the line that says how many lines were lost, and why.
pub(super) type LostLine = fn(usize, &str) -> Vec<u8>;

/// How many lines were written, or could not be.
#[derive(Default)]
struct Written {
    lines: Mutex<usize>,
    more: Condvar,
}

impl LogQueue {
    /// Starts the thread that writes to `sink`. Calls `give_up` when `sink` panics, on that thread; nothing is written
    /// any more then.
    pub(super) fn start(
        sink: impl LineSink + Send + 'static,
        lost_line: LostLine,
        give_up: impl FnOnce() + Send + 'static,
    ) -> LogQueue {
        let (written, reopen) = (Arc::new(Written::default()), Arc::new(AtomicBool::new(false)));
        let builder = NonBlockingBuilder::default().buffered_lines_limit(WAITING).lossy(true).thread_name("log");
        let out = Out {
            sink,
            written: Arc::clone(&written),
            reopen: Arc::clone(&reopen),
            lost: None,
            lost_line,
            not_reopened: None,
            give_up: Some(give_up),
        };
        let (out, guard) = builder.finish(out);
        // See the top of this file. The thread ends with the process.
        std::mem::forget(guard);
        LogQueue { out, put: Arc::default(), written, reopen }
    }

    /// Asks the thread to reopen its destination before the next line. Never waits.
    pub(super) fn reopen(&self) {
        if !self.reopen.swap(true, Ordering::AcqRel) {
            // If the queue is full, the thread is awake.
            let _ = self.writer().write(WAKE);
        }
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
struct Out<S, G> {
    sink: S,
    written: Arc<Written>,
    /// Whether to reopen the destination.
    reopen: Arc<AtomicBool>,
    /// When the last reopening failed, if it did.
    not_reopened: Option<Instant>,
    /// How many lines could not be written since the last that could, and why the last of them could not.
    lost: Option<(usize, io::Error)>,
    lost_line: LostLine,
    /// None after a panic.
    give_up: Option<G>,
}

impl<S: LineSink, G> Out<S, G> {
    /// Writes a line, after the one that says how many were lost before.
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let asked = self.reopen.swap(false, Ordering::AcqRel);
        if asked || self.not_reopened.is_some_and(|failed| failed.elapsed() >= RETRY) {
            self.reopen(asked);
        }
        if line == WAKE {
            return Ok(());
        }
        if let Some((count, error)) = &self.lost {
            self.sink.write_line(&(self.lost_line)(*count, &error.to_string()))?;
            self.lost = None;
        }
        self.sink.write_line(line)
    }

    /// Reopens the destination; `asked` by the operator, who is told of a failure. Both events go through the queue: it
    /// takes them without a wait.
    fn reopen(&mut self, asked: bool) {
        let file = self.sink.path().display().to_string();
        match self.sink.reopen() {
            Some(Ok(())) => {
                self.not_reopened = None;
                emit(ServerEvent::LogReopened { file: &file });
            }
            Some(Err(error)) => {
                self.not_reopened = Some(Instant::now());
                if asked {
                    // The old file may be deleted, so that nobody would read it there.
                    let _ = writeln!(io::stderr(), "log file not reopened; still writing to the old one: {error}");
                    emit(ServerEvent::LogNotReopened { error: &error });
                }
            }
            None => {}
        }
    }
}

impl<S: LineSink, G: FnOnce()> Write for Out<S, G> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match catch(|| self.write_line(line)) {
            Ok(Ok(())) => {}
            // Counts as done, so that `wait_written` returns.
            Ok(Err(error)) => {
                let before = self.lost.as_ref().map_or(0, |(count, _)| *count);
                self.lost = Some((before.saturating_add(1), error));
            }
            Err(_) => {
                // Not logged: nobody would write it.
                if let Some(give_up) = self.give_up.take() {
                    give_up();
                }
            }
        }
        *self.written.lines.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.written.more.notify_all();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::super::file::LineWriter;
    use super::*;

    fn lost_line(count: usize, error: &str) -> Vec<u8> {
        format!("{count} lost: {error}\n").into_bytes()
    }

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
        let queue = LogQueue::start(LineWriter::new(Panics), lost_line, move || tell.send(()).unwrap());
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
        let slow = LineWriter::new(Slow(turns, tell));
        let queue = LogQueue::start(slow, lost_line, || unreachable!("nothing panics"));
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

    /// A disk with room when told so, that can be reopened.
    struct Disk {
        has_room: Arc<AtomicBool>,
        lines: Sender<String>,
    }

    impl LineSink for Disk {
        fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
            if !self.has_room.load(Ordering::Acquire) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.lines.send(String::from_utf8_lossy(line).into_owned()).map_err(io::Error::other)
        }

        fn reopen(&mut self) -> Option<Result<(), super::super::file::LineFileError>> {
            self.lines.send("reopened".to_owned()).unwrap();
            Some(Ok(()))
        }
    }

    #[test]
    fn the_first_line_after_a_full_disk_follows_the_count_of_those_that_were_lost() {
        let (has_room, (tell, lines)) = (Arc::new(AtomicBool::new(true)), channel());
        let disk = Disk { has_room: Arc::clone(&has_room), lines: tell };
        let queue = LogQueue::start(disk, lost_line, || unreachable!("nothing panics"));
        let put = |line: &str| {
            queue.writer().write_all(line.as_bytes()).unwrap();
            assert!(queue.wait_written(Duration::from_secs(60)));
        };
        put("before\n");
        has_room.store(false, Ordering::Release);
        (0..3).for_each(|_| put("lost\n"));
        has_room.store(true, Ordering::Release);
        put("after\n");
        put("later\n");
        let written: Vec<String> = lines.try_iter().collect();
        assert_eq!(written, ["before\n", "3 lost: no storage space\n", "after\n", "later\n"]);
    }

    #[test]
    fn a_request_to_reopen_takes_effect_without_a_line_and_before_the_next() {
        let (tell, lines) = channel();
        let disk = Disk { has_room: Arc::new(AtomicBool::new(true)), lines: tell };
        let queue = LogQueue::start(disk, lost_line, || unreachable!("nothing panics"));
        queue.writer().write_all(b"old\n").unwrap();
        assert_eq!(lines.recv().as_deref(), Ok("old\n"));
        queue.reopen();
        assert_eq!(lines.recv().as_deref(), Ok("reopened"));
        queue.writer().write_all(b"new\n").unwrap();
        assert_eq!(lines.recv().as_deref(), Ok("new\n"));
    }
}
