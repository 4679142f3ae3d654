//! The bounded queue between those who emit events and the thread that writes records.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::record::{FileUser, left_out_line, numbered};
use super::sink::AuditSink;
use crate::observe::event::{ServerEvent, emit};

/// The most bytes of records that wait.
const MOST: usize = 32 << 20;
/// The most file events of one tenant a second, on the average; four times as many may come at once.
const FILES: f64 = 5_000.0;
/// The most bytes of one tenant's file events that wait.
const FILES_WAITING: usize = MOST / 8;
/// The most file events of one user a second, on the average, once half of what the tenant may have at once is gone;
/// four times as many may come at once. So ten users that flood leave room for the others of their tenant.
const USER_FILES: f64 = FILES / 10.0;
/// The most bytes of one user's file events that wait, once half of what the tenant may have is taken.
const USER_WAITING: usize = FILES_WAITING / 16;
/// For how many tenants file events are counted apart. Those beyond share what one tenant has.
const TENANTS: usize = 10_000;
/// The same for the users of a tenant.
const USERS: usize = 1_000;
/// How many users one record about others that were left out names.
const MOST_NAMED: usize = 8;
/// The same for failures of clients that have not logged in.
const STRANGERS: f64 = 1_000.0;
/// For how long one record may be written until `required` refuses new work.
const SLOW: Duration = Duration::from_secs(5);
/// How long the thread waits before it tries again to write a record.
const RETRY: Duration = Duration::from_secs(1);
/// What a record takes beside its bytes.
const RECORD: usize = 64;

/// Priority of a record when the queue fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Importance<'a> {
    /// What a plugin did to a file for this user of this tenant, of which there may be any number.
    File { tenant: &'a str, user: &'a str },
    /// What a client did that has not logged in, of which there may be any number, too.
    Stranger,
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
    records: VecDeque<Entry>,
    /// Of all of them, and of the one that is being written.
    bytes: usize,
    /// The number of the last record, with those that found no room.
    seq: u64,
    /// Records that found no room since the audit was last written again.
    left_out: u64,
    files: HashMap<Arc<str>, FileShare>,
    strangers: Option<Rate>,
    /// Since when the current record is being written.
    writing: Option<Instant>,
    reopen: bool,
    /// Why the last record could not be written, if it could not.
    failing: Option<String>,
    /// Nothing is written any more.
    is_over: bool,
}

/// What stands in the queue.
enum Entry {
    Record(Waiting),
    /// These records found no room.
    LeftOut {
        first: u64,
        last: u64,
        /// How many of them are file events of which users. Those that are not here are of others.
        of: Vec<(FileUser, u64)>,
    },
}

/// A record that waits.
struct Waiting {
    name: &'static str,
    line: Vec<u8>,
    /// The user among whose file events it counts.
    user: Option<FileUser>,
}

/// What file events of one tenant take.
#[derive(Default)]
struct FileShare {
    rate: Option<Rate>,
    /// Bytes that wait.
    bytes: usize,
    users: HashMap<Arc<str>, UserShare>,
}

/// What file events of one user take.
#[derive(Default)]
struct UserShare {
    rate: Option<Rate>,
    /// Bytes that wait.
    bytes: usize,
}

/// How many events may still come now.
struct Rate {
    left: f64,
    at: Instant,
}

impl AuditQueue {
    /// Takes a record, or counts it as left out. Never waits.
    pub(super) fn put(&self, name: &'static str, record: Vec<u8>, importance: Importance<'_>) {
        let mut state = self.lock();
        let user = match importance {
            Importance::File { tenant, user } => Some(state.counted(tenant, user, Instant::now())),
            Importance::Stranger | Importance::Normal => None,
        };
        let most = match (&user, importance) {
            (Some(user), _) if !state.has_room_for_file(user, record.len()) => 0,
            (Some(_), _) => MOST / 4 * 3,
            (None, Importance::Stranger) if !may_take(&mut state.strangers, STRANGERS, Instant::now()) => 0,
            // Less than half, so that strangers alone never make `required` refuse anything.
            (None, Importance::Stranger) => MOST / 4,
            (None, _) => MOST,
        };
        state.seq += 1;
        let line = numbered(record, state.seq);
        let size = line.len() + RECORD;
        if state.is_over || state.bytes.saturating_add(size) > most {
            state.leave_out(user);
            return;
        }
        state.bytes += size;
        if let Some((tenant, user)) = &user {
            let share = state.files.entry(Arc::clone(tenant)).or_default();
            share.bytes += size;
            share.users.entry(Arc::clone(user)).or_default().bytes += size;
        }
        state.records.push_back(Entry::Record(Waiting { name, line, user }));
        drop(state);
        self.more.notify_one();
    }

    /// Why new work should be refused: the last write failed or does not end, or the queue is more than half full.
    pub(super) fn problem(&self) -> Option<String> {
        let state = self.lock();
        match &state.failing {
            Some(reason) => Some(format!("the audit cannot be written: {reason}")),
            None if state.writing.is_some_and(|since| since.elapsed() > SLOW) => {
                Some("the audit cannot be written: its disk or receiver does not answer".to_owned())
            }
            None if state.bytes > MOST / 2 => Some("the audit is not written fast enough".to_owned()),
            None => None,
        }
    }

    /// Nothing is written any more.
    pub(super) fn fail(&self, reason: &str) {
        let mut state = self.lock();
        (state.failing, state.is_over) = (Some(reason.to_owned()), true);
        state.records.clear();
        state.files.clear();
        state.bytes = 0;
        drop(state);
        self.written.notify_all();
    }

    /// Asks the thread to open its destination anew, and to try again at once.
    pub(super) fn reopen(&self) {
        self.lock().reopen = true;
        self.more.notify_one();
    }

    /// Waits until all records are written, at most for `longest`. Returns how many are not.
    pub(super) fn wait_written(&self, longest: Duration) -> usize {
        let waited = self.written.wait_timeout_while(self.lock(), longest, |state| state.bytes > 0);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.records.len() + usize::from(state.writing.is_some())
    }

    /// Writes records for ever.
    pub(super) fn write_to(&self, mut sink: Box<dyn AuditSink>) {
        loop {
            // `next` has noted when the writing began.
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

    /// Waits for the next record, which is being written from then on.
    fn next(&self, sink: &mut dyn AuditSink) -> (&'static str, Vec<u8>) {
        let mut state = self.lock();
        loop {
            if std::mem::take(&mut state.reopen) {
                drop(state);
                sink.reopen();
                state = self.lock();
            } else if let Some(entry) = state.records.pop_front() {
                state.writing = Some(Instant::now());
                return match entry {
                    Entry::Record(Waiting { name, line, user }) => {
                        state.take_file(user, line.len() + RECORD);
                        (name, line)
                    }
                    Entry::LeftOut { first, last, of } => {
                        let line = left_out_line(first, last, &of);
                        state.bytes += line.len() + RECORD;
                        ("audit_left_out", line)
                    }
                };
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
        state.writing = None;
        let has_recovered = state.failing.take().is_some();
        let left_out = if has_recovered { std::mem::take(&mut state.left_out) } else { 0 };
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
        (state.records.iter().filter(|entry| matches!(entry, Entry::Record(_))).count(), state.left_out)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether one more file event of a user may come. Counts it.
    fn has_room_for_file(&mut self, (tenant, user): &FileUser, bytes: usize) -> bool {
        let now = Instant::now();
        let share = self.files.entry(Arc::clone(tenant)).or_default();
        let own = share.users.entry(Arc::clone(user)).or_default();
        // What a user has taken counts from the beginning, so that whoever floods is out of it first.
        let mine = may_take(&mut own.rate, USER_FILES, now);
        let is_ample = Rate::left(&mut share.rate, FILES, now) > FILES * 2.0;
        let (waiting, of_user) = (share.bytes.saturating_add(bytes), own.bytes.saturating_add(bytes));
        let fits = waiting <= FILES_WAITING / 2 || (waiting <= FILES_WAITING && of_user <= USER_WAITING);
        fits && (mine || is_ample) && may_take(&mut share.rate, FILES, now)
    }

    /// The names under which a user's file events are counted.
    fn counted(&mut self, tenant: &str, user: &str, now: Instant) -> FileUser {
        let tenant = match self.files.get_key_value(tenant) {
            Some((name, _)) => Arc::clone(name),
            None => {
                if self.files.len() >= TENANTS {
                    self.files.retain(|_, share| share.bytes > 0 || !Rate::is_full(share.rate.as_ref(), FILES, now));
                }
                if self.files.len() >= TENANTS { Arc::default() } else { tenant.into() }
            }
        };
        let users = &mut self.files.entry(Arc::clone(&tenant)).or_default().users;
        if let Some((name, _)) = users.get_key_value(user) {
            return (tenant, Arc::clone(name));
        }
        if users.len() >= USERS {
            users.retain(|_, share| share.bytes > 0 || !Rate::is_full(share.rate.as_ref(), USER_FILES, now));
        }
        let user = if users.len() >= USERS { Arc::default() } else { user.into() };
        (tenant, user)
    }

    /// A file event of a user waits no longer, which takes so many bytes.
    fn take_file(&mut self, user: Option<FileUser>, bytes: usize) {
        let Some((tenant, user)) = user else { return };
        let Some(share) = self.files.get_mut(&tenant) else { return };
        share.bytes = share.bytes.saturating_sub(bytes);
        if let Some(own) = share.users.get_mut(&user) {
            own.bytes = own.bytes.saturating_sub(bytes);
        }
    }

    /// The record with the newest number finds no room. Where it would be, the audit will say so, and whose file events
    /// they are.
    fn leave_out(&mut self, user: Option<FileUser>) {
        self.left_out += 1;
        let seq = self.seq;
        if self.is_over && !matches!(self.records.back(), Some(Entry::LeftOut { .. })) {
            return;
        }
        if !matches!(self.records.back(), Some(Entry::LeftOut { .. })) {
            self.records.push_back(Entry::LeftOut { first: seq, last: seq, of: Vec::new() });
        }
        let Some(Entry::LeftOut { last, of, .. }) = self.records.back_mut() else { return };
        *last = seq;
        let Some(user) = user else { return };
        if let Some((_, count)) = of.iter_mut().find(|(named, _)| *named == user) {
            *count += 1;
        } else if of.len() < MOST_NAMED {
            of.push((user, 1));
        }
    }
}

impl Rate {
    /// One of which this many events a second may come on the average, as it is now.
    fn refilled(rate: &mut Option<Rate>, a_second: f64, now: Instant) -> &mut Rate {
        let most = a_second * 4.0;
        let rate = rate.get_or_insert(Rate { left: most, at: now });
        let since = now.saturating_duration_since(rate.at).as_secs_f64();
        (rate.left, rate.at) = ((rate.left + since * a_second).min(most), now);
        rate
    }

    /// How many may come at once now.
    fn left(rate: &mut Option<Rate>, a_second: f64, now: Instant) -> f64 {
        Rate::refilled(rate, a_second, now).left
    }

    /// Whether as many may come at once as ever.
    fn is_full(rate: Option<&Rate>, a_second: f64, now: Instant) -> bool {
        let left = |rate: &Rate| rate.left + now.saturating_duration_since(rate.at).as_secs_f64() * a_second;
        rate.is_some_and(|rate| left(rate) >= a_second * 4.0)
    }
}

/// Whether one more event may come, of so many a second on the average.
fn may_take(rate: &mut Option<Rate>, a_second: f64, now: Instant) -> bool {
    let rate = Rate::refilled(rate, a_second, now);
    let may = rate.left >= 1.0;
    if may {
        rate.left -= 1.0;
    }
    may
}

#[cfg(test)]
mod tests {
    use std::io;
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
        put(&queue, "first");
        assert_eq!(told.recv(), Ok(Err(())));
        put(&queue, "second");
        let big = "x".repeat(MOST / 2);
        (0..4).for_each(|_| put(&queue, &big));
        let problem = queue.problem().unwrap();
        assert!(problem.starts_with("the audit cannot be written: no storage space"), "{problem}");
        has_room.store(true, Ordering::Release);
        queue.reopen();
        let written: Vec<String> = told.iter().filter_map(Result::ok).take(4).collect();
        assert_eq!((&*written[0], &*written[1]), ("first,\"seq\":1}\n", "second,\"seq\":2}\n"));
        assert!(written[2].ends_with("x,\"seq\":3}\n"));
        let left_out = &written[3];
        assert!(left_out.contains("audit_left_out"), "{left_out}");
        assert!(left_out.ends_with(",\"left_out\":3,\"last\":6,\"seq\":4}\n"), "{left_out}");
        queue.wait_written(Duration::from_secs(60));
        assert_eq!(queue.problem(), None);
    }

    #[test]
    fn file_events_leave_room_for_everything_else() {
        let queue = AuditQueue::default();
        let line = vec![b'x'; MOST / 32];
        for _ in 0..4 {
            for tenant in 0..32 {
                let (tenant, user) = (&*tenant.to_string(), "alice");
                queue.put("file_used", line.clone(), Importance::File { tenant, user });
            }
        }
        let (held, _) = queue.held();
        assert!((22..=24).contains(&held), "{held}");
        put(&queue, &"x".repeat(MOST / 8));
        let (records, left_out) = queue.held();
        assert_eq!((records, left_out), (held + 1, 4 * 32 - held as u64));
        assert_eq!(queue.problem().as_deref(), Some("the audit is not written fast enough"));
    }

    /// O8: a tenant cannot keep the file events of another out.
    #[test]
    fn file_events_of_one_tenant_leave_room_for_those_of_others() {
        let queue = AuditQueue::default();
        let line = vec![b'x'; MOST / 512];
        let held = |tenant, user| {
            (0..640).for_each(|_| queue.put("file_used", line.clone(), Importance::File { tenant, user }));
            queue.held().0
        };
        assert_eq!((held("loud", "alice"), held("loud", "alice"), held("other", "alice")), (31, 31, 62));
        // Nor a user that of another user of the same tenant.
        assert_eq!((held("loud", "bob"), held("loud", "carol"), held("loud", "alice")), (65, 68, 68));
        // Of short ones the rate is met first.
        let queue = AuditQueue::default();
        let put = |tenant: &str| queue.put("file_used", vec![b'x'; 9], Importance::File { tenant, user: "alice" });
        (0..30_000).for_each(|_| put("loud"));
        let (held, left_out) = queue.held();
        assert!((10_000..19_000).contains(&held) && left_out == 30_000 - held as u64, "{held}, {left_out}");
        put("other");
        assert_eq!(queue.held(), (held + 1, left_out));
        // Nobody can make it count without bound.
        (0..TENANTS * 2).for_each(|number| put(&number.to_string()));
        assert!(queue.lock().files.len() <= TENANTS + 1);
    }

    /// O8: a user that floods the audit has the records of no other user left out, and is named.
    #[test]
    fn file_events_of_one_user_leave_room_for_those_of_others_and_whose_are_left_out_is_said() {
        let queue = AuditQueue::default();
        let put = |user: &str| queue.put("file_used", vec![b'x'; 9], Importance::File { tenant: "acme", user });
        (0..30_000).for_each(|_| put("loud"));
        let (held, left_out) = queue.held();
        for number in 0..10 {
            (0..100).for_each(|_| put(&format!("quiet{number}")));
        }
        assert_eq!(queue.held(), (held + 1_000, left_out));
        let state = queue.lock();
        let said = state.records.iter().filter_map(|entry| match entry {
            Entry::LeftOut { first, last, of } => Some(left_out_line(*first, *last, of)),
            Entry::Record(_) => None,
        });
        let said: Vec<serde_json::Value> = said.map(|line| serde_json::from_slice(&line).unwrap()).collect();
        let named: u64 = said.iter().map(|line| line["of"][0]["left_out"].as_u64().unwrap()).sum();
        assert_eq!(named, left_out);
        for line in &said {
            assert_eq!((&line["of"][0]["tenant"], &line["of"][0]["user"]), (&"acme".into(), &"loud".into()), "{line}");
            assert_eq!(line["of"].as_array().unwrap().len(), 1);
        }
        drop(state);
        // Of many users a few are named, and nobody can make it count without bound.
        let mut floods = State { left_out: 0, ..State::default() };
        for number in 0..USERS * 2 {
            let user = floods.counted("acme", &number.to_string(), Instant::now());
            floods.has_room_for_file(&user, 9);
            floods.seq += 1;
            floods.leave_out(Some(user));
        }
        assert!(floods.files["acme"].users.len() <= USERS + 1);
        assert!(matches!(&floods.records[0], Entry::LeftOut { first: 1, of, .. } if of.len() == MOST_NAMED));
    }

    #[test]
    fn file_events_are_bounded_by_a_rate() {
        let (mut rate, start) = (None, Instant::now());
        let mut taken = |now| (0..100_000).filter(|_| may_take(&mut rate, FILES, now)).count();
        assert_eq!((taken(start), taken(start + Duration::from_secs(1))), (20_000, 5_000));
    }

    #[test]
    fn failures_of_strangers_leave_most_of_the_room_and_never_make_new_work_refused() {
        let queue = AuditQueue::default();
        (0..4_000).for_each(|_| queue.put("login_rejected", vec![b'x'; 8 << 10], Importance::Stranger));
        let (held, left_out) = queue.held();
        assert!((900..1_100).contains(&held) && left_out == 4_000 - held as u64, "{held}, {left_out}");
        assert_eq!(queue.problem(), None);
    }

    #[test]
    fn a_disk_that_hangs_in_one_record_is_noticed() {
        struct Hanging(Sender<()>, Receiver<()>);
        impl AuditSink for Hanging {
            fn write(&mut self, _: &str, _: &[u8]) -> io::Result<()> {
                self.0.send(()).map_err(io::Error::other)?;
                self.1.recv().map_err(io::Error::other)
            }
        }
        let ((began, has_begun), (go_on, goes_on), queue) = (channel(), channel(), Arc::new(AuditQueue::default()));
        let writer = Arc::clone(&queue);
        std::thread::spawn(move || writer.write_to(Box::new(Hanging(began, goes_on))));
        put(&queue, "one");
        has_begun.recv().unwrap();
        assert_eq!((queue.problem(), queue.wait_written(Duration::ZERO)), (None, 1));
        queue.lock().writing = Instant::now().checked_sub(SLOW * 2);
        assert!(queue.problem().unwrap().contains("does not answer"));
        go_on.send(()).unwrap();
        assert_eq!((queue.wait_written(Duration::from_secs(60)), queue.problem()), (0, None));
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
