//! The bounded queue between those who emit events and the thread that writes records.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::record::left_out_line;
use super::sink::AuditSink;
use crate::observe::event::{ServerEvent, emit};

/// The most bytes of records that wait.
const MOST: usize = 32 << 20;
/// The most file events a second, on the average; as many may come at once in four seconds.
const FILES: f64 = 5_000.0;
/// How long the thread waits before it tries again to write a record.
const RETRY: Duration = Duration::from_secs(1);
/// What a record takes beside its bytes.
const RECORD: usize = 64;

/// What a record gives way to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Importance {
    /// What a plugin did to a file, of which there may be any number.
    File,
    /// Anything else.
    Normal,
}

/// Records on their way.
#[derive(Default)]
pub(super) struct AuditQueue {
    state: Mutex<State>,
    /// Wakes the thread that writes.
    more: Condvar,
    /// Wakes who waits until all is written.
    written: Condvar,
}

#[derive(Default)]
struct State {
    records: VecDeque<(&'static str, Vec<u8>)>,
    /// Of all of them, and of the one that is being written.
    bytes: usize,
    /// Records that found no room since this was last written.
    left_out: u64,
    files: Option<FileRate>,
    reopen: bool,
    /// Why the last record could not be written, if it could not.
    failing: Option<String>,
    /// Nothing is written any more.
    is_over: bool,
}

/// How many file events may still come now.
struct FileRate {
    left: f64,
    at: Instant,
}

impl AuditQueue {
    /// Takes a record, or counts it as left out. Never waits.
    pub(super) fn put(&self, name: &'static str, line: Vec<u8>, importance: Importance) {
        let mut state = self.lock();
        let most = match importance {
            Importance::File if !state.may_take_file(Instant::now()) => 0,
            Importance::File => MOST / 4 * 3,
            Importance::Normal => MOST,
        };
        let size = line.len() + RECORD;
        if state.is_over || state.bytes.saturating_add(size) > most {
            state.left_out += 1;
            return;
        }
        state.bytes += size;
        state.records.push_back((name, line));
        drop(state);
        self.more.notify_one();
    }

    /// Why it should get nothing that can be avoided: the last record could not be written, or half of it is taken.
    pub(super) fn problem(&self) -> Option<String> {
        let state = self.lock();
        match &state.failing {
            Some(reason) => Some(format!("the audit cannot be written: {reason}")),
            None if state.bytes > MOST / 2 => Some("the audit is not written fast enough".to_owned()),
            None => None,
        }
    }

    /// Nothing is written any more.
    pub(super) fn fail(&self, reason: &str) {
        let mut state = self.lock();
        (state.failing, state.is_over) = (Some(reason.to_owned()), true);
        state.records.clear();
        state.bytes = 0;
        drop(state);
        self.written.notify_all();
    }

    /// Asks the thread to open its destination anew, and to try again at once.
    pub(super) fn reopen(&self) {
        self.lock().reopen = true;
        self.more.notify_one();
    }

    /// Waits until all records are written, at most for `longest`.
    pub(super) fn wait_written(&self, longest: Duration) {
        let waited = self.written.wait_timeout_while(self.lock(), longest, |state| state.bytes > 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Writes records for ever.
    pub(super) fn write_to(&self, mut sink: Box<dyn AuditSink>) {
        loop {
            let (name, line) = self.next(&mut *sink);
            while let Err(error) = sink.write(name, &line) {
                let reason = error.to_string();
                let is_news = self.lock().failing.replace(reason.clone()).is_none();
                if is_news {
                    emit(ServerEvent::AuditFailing { reason: &reason });
                }
                self.wait_to_retry(&mut *sink);
            }
            self.is_written(line.len() + RECORD);
        }
    }

    /// Waits for the next record. One that says how many were left out comes first.
    fn next(&self, sink: &mut dyn AuditSink) -> (&'static str, Vec<u8>) {
        let mut state = self.lock();
        loop {
            if std::mem::take(&mut state.reopen) {
                drop(state);
                sink.reopen();
                state = self.lock();
            } else if state.left_out > 0 && state.failing.is_none() {
                let line = left_out_line(std::mem::take(&mut state.left_out));
                state.bytes += line.len() + RECORD;
                return ("audit_left_out", line);
            } else if let Some(record) = state.records.pop_front() {
                return record;
            } else {
                state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn wait_to_retry(&self, sink: &mut dyn AuditSink) {
        let waited = self.more.wait_timeout_while(self.lock(), RETRY, |state| !state.reopen);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut state.reopen) {
            drop(state);
            sink.reopen();
        }
    }

    fn is_written(&self, size: usize) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(size);
        let (has_recovered, left_out) = (state.failing.take().is_some(), state.left_out);
        drop(state);
        self.written.notify_all();
        if has_recovered {
            emit(ServerEvent::AuditRecovered { left_out });
        }
    }

    /// How many records wait, and how many were left out.
    #[cfg(test)]
    fn held(&self) -> (usize, u64) {
        let state = self.lock();
        (state.records.len(), state.left_out)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn may_take_file(&mut self, now: Instant) -> bool {
        let most = FILES * 4.0;
        let rate = self.files.get_or_insert(FileRate { left: most, at: now });
        let since = now.saturating_duration_since(rate.at).as_secs_f64();
        (rate.left, rate.at) = ((rate.left + since * FILES).min(most), now);
        let may = rate.left >= 1.0;
        if may {
            rate.left -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A disk with room when told so.
    struct Disk {
        has_room: Arc<AtomicBool>,
        /// Told of each attempt.
        tell: Sender<Result<String, ()>>,
    }

    impl AuditSink for Disk {
        fn write(&mut self, _: &str, line: &[u8]) -> io::Result<()> {
            if self.has_room.load(Ordering::Acquire) {
                self.tell.send(Ok(String::from_utf8_lossy(line).into_owned())).map_err(io::Error::other)
            } else {
                let _ = self.tell.send(Err(()));
                Err(io::ErrorKind::StorageFull.into())
            }
        }
    }

    fn started(has_room: bool) -> (Arc<AuditQueue>, Arc<AtomicBool>, Receiver<Result<String, ()>>) {
        let (tell, told) = channel();
        let has_room = Arc::new(AtomicBool::new(has_room));
        let (queue, disk) = (Arc::new(AuditQueue::default()), Disk { has_room: Arc::clone(&has_room), tell });
        let writer = Arc::clone(&queue);
        std::thread::spawn(move || writer.write_to(Box::new(disk)));
        (queue, has_room, told)
    }

    fn put(queue: &AuditQueue, line: &str) {
        queue.put("login_succeeded", line.as_bytes().to_vec(), Importance::Normal);
    }

    /// O8: records wait while the disk is full, those beyond the bound are counted, and the rest follows in order.
    #[test]
    fn a_full_disk_loses_only_what_the_queue_has_no_room_for_and_says_how_much() {
        let (queue, has_room, told) = started(false);
        assert_eq!(queue.problem(), None);
        put(&queue, "first\n");
        assert_eq!(told.recv(), Ok(Err(())));
        put(&queue, "second\n");
        let big = "x".repeat(MOST / 2);
        (0..4).for_each(|_| put(&queue, &big));
        let problem = queue.problem().unwrap();
        assert!(problem.starts_with("the audit cannot be written: no storage space"), "{problem}");
        has_room.store(true, Ordering::Release);
        queue.reopen();
        let written: Vec<String> = told.iter().filter_map(Result::ok).take(4).collect();
        assert_eq!((&*written[0], written[2] == "second\n" || written[1] == "second\n"), ("first\n", true));
        let left_out = written.iter().find(|line| line.contains("audit_left_out")).unwrap();
        assert!(left_out.contains("\"left_out\":3"), "{left_out}");
        queue.wait_written(Duration::from_secs(60));
        assert_eq!(queue.problem(), None);
    }

    #[test]
    fn file_events_leave_room_for_everything_else() {
        let queue = AuditQueue::default();
        let line = vec![b'x'; MOST / 16];
        for _ in 0..64 {
            queue.put("file_used", line.clone(), Importance::File);
        }
        let (held, _) = queue.held();
        assert!((10..=12).contains(&held), "{held}");
        put(&queue, &"x".repeat(MOST / 8));
        let (records, left_out) = queue.held();
        assert_eq!((records, left_out), (held + 1, 64 - held as u64));
        assert_eq!(queue.problem().as_deref(), Some("the audit is not written fast enough"));
    }

    #[test]
    fn file_events_are_bounded_by_a_rate() {
        let (mut state, start) = (State::default(), Instant::now());
        let taken = |state: &mut State, now| (0..100_000).filter(|_| state.may_take_file(now)).count();
        assert_eq!(taken(&mut state, start), 20_000);
        assert_eq!(taken(&mut state, start + Duration::from_secs(1)), 5_000);
    }

    #[test]
    fn after_a_panic_of_the_thread_nothing_is_kept_and_nobody_waits() {
        let queue = AuditQueue::default();
        put(&queue, "lost\n");
        queue.fail("the thread that writes it has panicked");
        put(&queue, "lost\n");
        queue.wait_written(Duration::from_secs(60));
        assert_eq!(queue.held(), (0, 1));
        assert!(queue.problem().unwrap().contains("panicked"));
    }
}
