//! The queue between those who log and where the lines go.
//!
//! A line that cannot be written, for example on a full disk, is lost and counted; the next line written is preceded by
//! one that says how many were lost and why.
//!
//! Decided 2026-11-30: a buffer behind a lock, and a thread that sleeps and writes what has come together in
//! [`LINGER`]. Refused: the thread of tracing-appender, which spins before it sleeps and makes a system call for each
//! line. It took a sixth of the CPU time of a short session. While many lines come the thread sleeps for
//! [`BUSY_LINGER`], and the first of them does not wake it: that took another twentieth.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use whelk_runtime::supervise::catch;

use super::file::LineSink;
use crate::observe::event::{ServerEvent, emit};

/// Lines that may wait to be written. The others are dropped.
const WAITING: usize = 10_000;
/// How long the first line waits for others, to be written with them in one system call.
const LINGER: Duration = Duration::from_millis(5);
/// The same while there are at least [`BUSY`] lines at a time: fewer system calls, and nobody has to wake the thread.
const BUSY_LINGER: Duration = Duration::from_millis(20);
/// So many lines written at once are many.
const BUSY: usize = 20;
/// As many waiting lines are written at once, without [`LINGER`].
const PROMPT: usize = 1_000;
/// The most bytes of one system call, unless a line is longer. An allocation that is not larger is kept.
const PIECE: usize = 64 << 10;
/// How long after a failed reopening the next one is tried.
const RETRY: Duration = Duration::from_secs(10);

/// Lines on their way.
pub(super) struct LogQueue {
    shared: Arc<Shared>,
}

/// Formats the line that says how many lines were lost, and why.
pub(super) type LostLine = fn(usize, &str) -> Vec<u8>;

#[derive(Default)]
struct Shared {
    state: Mutex<QueueState>,
    /// There are lines, or something else to do for the thread that writes.
    more: Condvar,
    /// Lines were written.
    written: Condvar,
}

#[derive(Default)]
struct QueueState {
    /// The lines that wait, one after the other.
    lines: Vec<u8>,
    /// How many lines were put in, without those that were dropped. Counted by their line feeds.
    put: usize,
    /// How many of them were taken by the thread that writes.
    taken: usize,
    /// How many of them were written, or cannot be.
    written: usize,
    dropped: usize,
    /// The thread that writes waits for the first line.
    is_idle: bool,
    /// It has taken many lines the last time, and expects more.
    is_busy: bool,
    /// How many wait until lines are written.
    waiters: usize,
    /// Whether to reopen the destination.
    reopens: bool,
}

impl QueueState {
    /// How many lines the thread that writes has not taken.
    fn untaken(&self) -> usize {
        self.put - self.taken
    }

    /// Whether there is nothing to do for the thread that writes.
    fn has_nothing(&self) -> bool {
        self.lines.is_empty() && !self.reopens
    }

    /// Whether what waits is written now, without waiting for more lines.
    fn is_urgent(&self) -> bool {
        self.reopens || self.waiters > 0 || self.untaken() >= PROMPT
    }
}

impl Shared {
    /// Nothing panics while the lock is held.
    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines, then for others that come soon after, and moves all into `lines`, an empty buffer. Returns
    /// whether to reopen the destination.
    fn take(&self, lines: &mut Vec<u8>) -> bool {
        let mut state = self.state();
        let linger = |state, time| {
            let waited = self.more.wait_timeout_while(state, time, |state: &mut QueueState| !state.is_urgent());
            waited.unwrap_or_else(PoisonError::into_inner).0
        };
        if std::mem::take(&mut state.is_busy) {
            state = linger(state, BUSY_LINGER);
        }
        if state.has_nothing() {
            state.is_idle = true;
            state = self.more.wait_while(state, |state| state.has_nothing()).unwrap_or_else(PoisonError::into_inner);
            state.is_idle = false;
            state = linger(state, LINGER);
        }
        state.is_busy = state.untaken() >= BUSY;
        std::mem::swap(&mut state.lines, lines);
        state.taken = state.put;
        std::mem::take(&mut state.reopens)
    }

    /// So many of the lines that were taken are written, or cannot be; all if `None`.
    fn done(&self, count: Option<usize>) {
        let mut state = self.state();
        state.written = count.map_or(state.taken, |count| state.written + count);
        if state.waiters > 0 {
            self.written.notify_all();
        }
    }
}

impl LogQueue {
    /// Starts the thread that writes to `sink`. Calls `give_up` when `sink` panics, on that thread; nothing is written
    /// any more then.
    ///
    /// # Errors
    /// The system has no thread.
    pub(super) fn start(
        sink: impl LineSink + Send + 'static,
        lost_line: LostLine,
        give_up: impl FnOnce() + Send + 'static,
    ) -> io::Result<LogQueue> {
        let shared = Arc::<Shared>::default();
        let mut out = Out {
            sink,
            shared: Arc::clone(&shared),
            lost: None,
            lost_line,
            not_reopened: None,
            give_up: Some(give_up),
        };
        // It ends with the process.
        thread::Builder::new().name("log".to_owned()).spawn(move || out.run())?;
        Ok(LogQueue { shared })
    }

    /// Asks the thread to reopen its destination before the next line. Never waits.
    pub(super) fn reopen(&self) {
        self.shared.state().reopens = true;
        self.shared.more.notify_one();
    }

    /// Takes lines, each with one call. Never waits.
    pub(super) fn writer(&self) -> In {
        In { shared: Arc::clone(&self.shared) }
    }

    /// How many lines found no room.
    pub(super) fn dropped(&self) -> usize {
        self.shared.state().dropped
    }

    /// Waits until all lines that were put in are written, at most for `longest`. False if some are not.
    pub(super) fn wait_written(&self, longest: Duration) -> bool {
        let mut state = self.shared.state();
        state.waiters += 1;
        self.shared.more.notify_one();
        let put = state.put;
        let waited = self.shared.written.wait_timeout_while(state, longest, |state| state.written < put);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiters -= 1;
        !timeout.timed_out()
    }
}

/// The end where lines are put in.
pub(super) struct In {
    shared: Arc<Shared>,
}

impl Write for In {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.shared.state();
        if state.put - state.written >= WAITING {
            state.dropped += 1;
            return Ok(line.len());
        }
        let before = state.untaken();
        state.lines.extend_from_slice(line);
        state.put += line_feeds(line);
        if state.is_idle || (before < PROMPT && state.untaken() >= PROMPT) {
            // One line wakes the thread, and those after it do not.
            state.is_idle = false;
            drop(state);
            self.shared.more.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The end where they come out.
struct Out<S, G> {
    sink: S,
    shared: Arc<Shared>,
    /// When the last reopening failed, if it did.
    not_reopened: Option<Instant>,
    /// How many lines could not be written since the last that could, and why the last of them could not.
    lost: Option<(usize, io::Error)>,
    lost_line: LostLine,
    /// None after a panic.
    give_up: Option<G>,
}

impl<S: LineSink, G: FnOnce()> Out<S, G> {
    fn run(&mut self) {
        let mut lines = Vec::new();
        loop {
            let reopens = self.shared.take(&mut lines);
            if catch(|| self.write_all(&lines, reopens)).is_err() {
                // Not logged: nobody would write it.
                if let Some(give_up) = self.give_up.take() {
                    give_up();
                }
                // So that `wait_written` returns.
                self.shared.done(None);
            }
            lines.clear();
            lines.shrink_to(PIECE);
        }
    }

    /// Writes these lines, in pieces.
    fn write_all(&mut self, mut lines: &[u8], reopens: bool) {
        if reopens || self.not_reopened.is_some_and(|failed| failed.elapsed() >= RETRY) {
            self.reopen(reopens);
        }
        while !lines.is_empty() {
            let piece = &lines[..whole_lines(lines)];
            // What was lost has to be told first.
            let taken = if self.lost.is_none() { self.sink.write_lines(piece) } else { 0 };
            let taken = if taken > 0 { taken } else { self.write_line(piece) };
            self.shared.done(Some(line_feeds(&lines[..taken])));
            lines = &lines[taken..];
        }
    }

    /// Writes the first line, after the one that says how many were lost before. Returns its length.
    fn write_line(&mut self, lines: &[u8]) -> usize {
        let line = &lines[..first_line(lines)];
        if let Err(error) = self.try_line(line) {
            let before = self.lost.as_ref().map_or(0, |(count, _)| *count);
            self.lost = Some((before.saturating_add(1), error));
        }
        line.len()
    }

    fn try_line(&mut self, line: &[u8]) -> io::Result<()> {
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

/// The length of the first line.
fn first_line(lines: &[u8]) -> usize {
    lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| end + 1)
}

/// The length of the first lines that together are not longer than a piece; of the first line, if that is longer.
fn whole_lines(lines: &[u8]) -> usize {
    let Some(piece) = lines.get(..PIECE) else { return lines.len() };
    piece.iter().rposition(|byte| *byte == b'\n').map_or_else(|| first_line(lines), |end| end + 1)
}

fn line_feeds(lines: &[u8]) -> usize {
    // Sums of a byte each, which the compiler adds with vector instructions.
    let count = |piece: &[u8]| piece.iter().fold(0_u8, |sum, byte| sum.wrapping_add(u8::from(*byte == b'\n')));
    lines.chunks(255).map(|piece| usize::from(count(piece))).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::super::file::LineWriter;
    use super::*;

    fn lost_line(count: usize, error: &str) -> Vec<u8> {
        format!("{count} lost: {error}\n").into_bytes()
    }

    /// Somebody who takes a line when told to.
    struct Slow(Receiver<()>, Sender<String>);

    impl Write for Slow {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(io::Error::other)?;
            let line = &lines[..first_line(lines)];
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
        let queue = LogQueue::start(LineWriter::new(Panics), lost_line, move || tell.send(()).unwrap()).unwrap();
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
        let queue = LogQueue::start(slow, lost_line, || unreachable!("nothing panics")).unwrap();
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
        let queue = LogQueue::start(disk, lost_line, || unreachable!("nothing panics")).unwrap();
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
        let queue = LogQueue::start(disk, lost_line, || unreachable!("nothing panics")).unwrap();
        queue.writer().write_all(b"old\n").unwrap();
        assert_eq!(lines.recv().as_deref(), Ok("old\n"));
        queue.reopen();
        assert_eq!(lines.recv().as_deref(), Ok("reopened"));
        queue.writer().write_all(b"new\n").unwrap();
        assert_eq!(lines.recv().as_deref(), Ok("new\n"));
    }

    #[test]
    fn nothing_is_lost_that_comes_after_many_lines() {
        let (tell, lines) = channel();
        let disk = Disk { has_room: Arc::new(AtomicBool::new(true)), lines: tell };
        let queue = LogQueue::start(disk, lost_line, || unreachable!("nothing panics")).unwrap();
        for round in 0..3 {
            let mut state = queue.shared.state();
            (0..BUSY).for_each(|_| state.lines.extend(b"many\n"));
            state.put += BUSY;
            drop(state);
            assert!(queue.wait_written(Duration::from_secs(60)));
            assert_eq!(lines.try_iter().filter(|line| line == "many\n").count(), BUSY, "{round}");
            // The thread expects more of them, or waits for the first line again.
            queue.writer().write_all(b"one\n").unwrap();
            assert_eq!(lines.recv().as_deref(), Ok("one\n"));
        }
    }

    #[test]
    fn lines_that_come_together_are_written_with_one_call_and_cut_at_line_feeds() {
        struct Calls(Sender<Vec<u8>>);
        impl Write for Calls {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (tell, calls) = channel();
        let queue =
            LogQueue::start(LineWriter::new(Calls(tell)), lost_line, || unreachable!("nothing panics")).unwrap();
        let line = [vec![b'x'; 999], vec![b'\n']].concat();
        // Put in while nothing is taken.
        let mut state = queue.shared.state();
        (0..100).for_each(|_| state.lines.extend(&line));
        state.put = 100;
        drop(state);
        assert!(queue.wait_written(Duration::from_secs(60)));
        assert_eq!(calls.try_iter().map(|call| call.len()).collect::<Vec<_>>(), [65_000, 35_000]);
        let long = [vec![b'x'; 2 * PIECE], vec![b'\n'], line].concat();
        queue.writer().write_all(&long).unwrap();
        assert!(queue.wait_written(Duration::from_secs(60)));
        assert_eq!(calls.try_iter().map(|call| call.len()).collect::<Vec<_>>(), [2 * PIECE + 1, 1_000]);
        assert_eq!(queue.shared.state().written, 102);
    }
}
