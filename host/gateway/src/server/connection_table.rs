//! The table of live connections and their sessions: what an operator lists, and how one of them is ended from outside.
//!
//! A row is there from the moment a connection is served until its task is over, whatever ends it: `Registration` and
//! `SessionRegistration` remove their rows when they are dropped. The task of a connection writes its row; anybody
//! may take a [`snapshot`](ConnectionTable::snapshot), or ask for an end.
//!
//! Rows cost the path of a byte nothing but an addition to a counter that only one task writes. Everything else is
//! written when connections and sessions begin, log in, start their program or end.
//!
//! `live_logins` has the logins of all connections, and the files that they depend on.
//!
//! Decided 2026-11-29: the table is in `server`, not in `connection`, since [`Gateway`](super::gateway::Gateway) owns
//! it and every connection uses that. Refused: a table that follows the events; a row has to be able to end its
//! connection, and has to go when a task panics.

pub(crate) mod live_logins;
mod session_row;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use whelk_runtime::{SessionHandle, Wake};

use crate::auth::access::AcceptedLogin;
use crate::observe::escape::escape;
use crate::observe::event::{ConnectionEvent, SessionEvent, emit};
use crate::observe::tap::TapPoint;
use crate::source::Peer;
use crate::tenant::counts::Traffic;
use live_logins::LiveLogins;
pub use session_row::{Began, SessionInfo, StartKind, Started};
use session_row::{SessionCounters, SessionRow, add};

/// Most bytes of a reason that a client is told.
const REASON: usize = 255;

/// All connections that are served.
#[derive(Default)]
pub struct ConnectionTable {
    rows: Mutex<BTreeMap<u64, Arc<ConnectionRow>>>,
    /// The peak of connections since [`ConnectionTable::take_peak`] was called last.
    peak: AtomicUsize,
    /// How many there have been.
    opened: AtomicU64,
    /// Bytes of large buffers that connections have released.
    released: AtomicU64,
    /// Completed logins, and the files they depend on.
    logins: LiveLogins,
    /// Told whenever a connection or a session is gone.
    gone: Arc<Notify>,
    /// Bytes that connections have received which are over. Changed while the rows are locked ...
    past_received: AtomicU64,
    /// ... and sent.
    past_sent: AtomicU64,
}

/// What all connections have together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableFigures {
    pub(crate) connections: usize,
    /// Those that have not logged in.
    pub(crate) unauthenticated: usize,
    pub(crate) sessions: usize,
    /// Bytes received and sent since the start.
    pub(crate) moved: (u64, u64),
}

/// One connection, as it was when the table was asked.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// Its number, as in the log.
    pub connection: u64,
    /// Where it comes from.
    pub peer: Peer,
    /// When it was accepted.
    pub began: Began,
    /// Who logged in; none until somebody has.
    pub login: Option<LoginInfo>,
    /// Bytes read from the client, encrypted as they are.
    pub received: u64,
    /// Bytes written to the client, encrypted as they are.
    pub sent: u64,
    /// Its sessions, by channel.
    pub sessions: Vec<SessionInfo>,
    /// Its end was asked for, or it is over.
    pub is_ending: bool,
}

/// Who has logged in on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginInfo {
    /// The name that the user logged in with.
    pub user: String,
    /// The tenant that the user belongs to.
    pub tenant: String,
    /// The authentication method, by its name in RFC 4252.
    pub method: &'static str,
}

impl ConnectionTable {
    /// Adds a connection, until what this returns is dropped. `wake` makes its task look at
    /// [`ConnectionRow::end_reason`].
    pub(crate) fn register(self: &Arc<Self>, connection: u64, peer: Peer, wake: Wake) -> Registration {
        let row = Arc::new(ConnectionRow {
            connection,
            peer,
            began: Began::now(),
            login: OnceLock::new(),
            traffic: OnceLock::new(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            sessions: Mutex::default(),
            opened: AtomicU64::new(0),
            end: OnceLock::new(),
            wake,
            gone: Arc::clone(&self.gone),
        });
        let mut rows = lock(&self.rows);
        rows.insert(connection, Arc::clone(&row));
        self.peak.fetch_max(rows.len(), Ordering::Relaxed);
        drop(rows);
        self.opened.fetch_add(1, Ordering::Relaxed);
        Registration { table: Arc::clone(self), row }
    }

    /// All connections, by number.
    #[must_use]
    pub fn snapshot(&self) -> Vec<ConnectionInfo> {
        self.each().collect()
    }

    /// All connections that there are now, by number, each as it is when its turn comes; those that have ended by then
    /// are left out. Takes a pointer for each connection, however many sessions there are.
    pub fn each(&self) -> impl Iterator<Item = ConnectionInfo> + use<> {
        let rows = self.rows();
        // Only this list has it: the connection is over.
        rows.into_iter().filter(|row| Arc::strong_count(row) > 1).map(|row| row.info())
    }

    /// How many connections and sessions there are.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let rows = self.rows();
        (rows.len(), rows.iter().map(|row| lock(&row.sessions).len()).sum())
    }

    fn rows(&self) -> Vec<Arc<ConnectionRow>> {
        lock(&self.rows).values().cloned().collect()
    }

    /// How many connections, how many of them have not logged in, and how many sessions there are; and the bytes that
    /// all connections have received and sent since the start.
    pub(crate) fn figures(&self) -> TableFigures {
        let rows = lock(&self.rows);
        // Under the lock: a row that goes adds its bytes to those of the past under it.
        let moved = (self.past_received.load(Ordering::Relaxed), self.past_sent.load(Ordering::Relaxed));
        let mut figures = TableFigures { moved, ..TableFigures::default() };
        for row in rows.values() {
            figures.connections += 1;
            figures.unauthenticated += usize::from(row.login.get().is_none());
            figures.sessions += lock(&row.sessions).len();
            figures.moved.0 += row.received.load(Ordering::Relaxed);
            figures.moved.1 += row.sent.load(Ordering::Relaxed);
        }
        figures
    }

    /// How many connections there have been since the start.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// A connection has released large buffers of so many bytes.
    pub(crate) fn add_released(&self, bytes: usize) {
        self.released.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Bytes of large buffers that connections have released since the start.
    pub(crate) fn released(&self) -> u64 {
        self.released.load(Ordering::Relaxed)
    }

    /// The peak of connections since the last call, and the current number.
    pub(crate) fn take_peak(&self) -> (usize, usize) {
        let rows = lock(&self.rows);
        (self.peak.swap(rows.len(), Ordering::Relaxed), rows.len())
    }

    /// Ends a connection: the client gets DISCONNECT (11, by application) with this reason, at most 255 bytes of it,
    /// and its sessions hear that the connection is lost. RFC 4253 §11.1. False if there is none of this number, or it
    /// is ending. `by`: the user of the system who asks.
    #[must_use]
    pub fn end_connection(&self, connection: u64, reason: &str, by: u32) -> bool {
        let Some(row) = self.row(connection) else { return false };
        if row.end.set(printable(reason)).is_err() {
            return false;
        }
        emit(ConnectionEvent::EndRequested { connection, uid: by, reason: escape(reason.as_bytes()) });
        (row.wake)();
        true
    }

    /// Ends the connection of a user who may no longer log in, in the same way.
    pub(crate) fn revoke_connection(&self, connection: u64, told: &str) -> bool {
        let Some(row) = self.row(connection) else { return false };
        if row.end.set(printable(told)).is_err() {
            return false;
        }
        (row.wake)();
        true
    }

    /// The sessions of a connection, by their numbers; of one that is gone there are none.
    pub(crate) fn handles(&self, connection: u64) -> Vec<(u64, SessionHandle)> {
        let Some(row) = self.row(connection) else { return Vec::new() };
        lock(&row.sessions).values().map(|session| (session.number, session.handle.clone())).collect()
    }

    /// A connection, and where the output of one of its sessions passes whoever looks on.
    pub(crate) fn tap_point(&self, connection: u64, number: u64) -> Option<(ConnectionInfo, Arc<TapPoint>)> {
        let row = self.row(connection)?;
        let found =
            lock(&row.sessions).values().find(|session| session.number == number).map(|row| Arc::clone(&row.tap));
        Some((row.info(), found?))
    }

    /// Discards what the client of a session that is over has not taken; it is told this reason instead, at most 255
    /// bytes of it. False if there is nothing to discard. `by`: the user of the system who asks.
    pub(crate) fn discard_unsent(&self, connection: u64, number: u64, reason: &str, by: u32) -> bool {
        let found = self.row(connection).and_then(|row| row.session(number));
        let Some((channel, session)) = found else { return false };
        if !session.discard_unsent(&printable(reason)) {
            return false;
        }
        let reason = escape(reason.as_bytes());
        emit(SessionEvent::OutputDiscarded { connection, channel, session: number, uid: by, reason });
        true
    }

    /// Whether a session is there.
    pub(crate) fn has_session(&self, connection: u64, number: u64) -> bool {
        self.row(connection).is_some_and(|row| row.session(number).is_some())
    }

    /// Whether a connection is there.
    pub(crate) fn has(&self, connection: u64) -> bool {
        self.row(connection).is_some()
    }

    /// Whenever a connection or a session is gone from now on.
    pub(crate) fn gone(&self) -> Notified<'_> {
        self.gone.notified()
    }

    /// The logins of all connections.
    pub(crate) fn logins(&self) -> &LiveLogins {
        &self.logins
    }

    /// Ends one session of a connection, by its [`number`](SessionInfo::number), and leaves the others alone: the
    /// client gets this reason, at most 255 bytes of it, on stderr and as the message of exit-signal HUP.
    /// RFC 4254 §6.10. False if there is no such session, or it is ending. `by`: the user of the system who asks.
    #[must_use]
    pub fn end_session(&self, connection: u64, number: u64, reason: &str, by: u32) -> bool {
        let Some(row) = self.row(connection) else { return false };
        let Some((channel, session)) = row.session(number) else { return false };
        if !session.end(&printable(reason)) {
            return false;
        }
        let reason = escape(reason.as_bytes());
        emit(SessionEvent::EndRequested { connection, channel, session: number, uid: by, reason });
        true
    }

    fn row(&self, connection: u64) -> Option<Arc<ConnectionRow>> {
        lock(&self.rows).get(&connection).cloned()
    }
}

/// What the table knows of a connection.
pub(crate) struct ConnectionRow {
    connection: u64,
    peer: Peer,
    began: Began,
    login: OnceLock<LoginInfo>,
    /// That of the user's tenant.
    traffic: OnceLock<Arc<Traffic>>,
    received: AtomicU64,
    sent: AtomicU64,
    /// By channel. Boxed: the map has room for eleven from the first one on.
    sessions: Mutex<BTreeMap<u32, Box<SessionRow>>>,
    /// The number of sessions that it has had.
    opened: AtomicU64,
    /// Why its end was asked for, or empty if it came by itself.
    end: OnceLock<String>,
    /// Wakes its task.
    wake: Wake,
    /// That of the table.
    gone: Arc<Notify>,
}

/// What a connection has moved and had.
pub(crate) struct Totals {
    /// How long ago it was accepted.
    pub(crate) age: Duration,
    /// Bytes read from the client, encrypted as they are.
    pub(crate) received: u64,
    /// Bytes written to the client, encrypted as they are.
    pub(crate) sent: u64,
    /// Sessions.
    pub(crate) sessions: u64,
}

impl ConnectionRow {
    /// The number of the connection.
    pub(crate) fn connection(&self) -> u64 {
        self.connection
    }

    /// Where it comes from.
    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// Who has logged in, if somebody has.
    pub(crate) fn login(&self) -> Option<&LoginInfo> {
        self.login.get()
    }

    /// What the connection has moved and had so far.
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            age: self.began.age(),
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            sessions: self.opened.load(Ordering::Relaxed),
        }
    }

    /// Somebody has logged in, whose sessions count for this traffic. A connection has one login: the first counts.
    pub(crate) fn logged_in(&self, login: LoginInfo, traffic: Arc<Traffic>) {
        let _ = self.login.set(login);
        let _ = self.traffic.set(traffic);
    }

    /// So many bytes were read. For the task of the connection alone.
    pub(crate) fn add_received(&self, bytes: usize) {
        add(&self.received, bytes);
    }

    /// So many bytes were written. For the task of the connection alone.
    pub(crate) fn add_sent(&self, bytes: usize) {
        add(&self.sent, bytes);
    }

    /// Why the connection is to end, if somebody has asked for that. Can be shown to the client.
    pub(crate) fn end_reason(&self) -> Option<&str> {
        self.end.get().map(String::as_str)
    }

    /// Adds a session, until what this returns is dropped.
    pub(crate) fn add_session(self: &Arc<Self>, channel: u32, handle: SessionHandle) -> SessionRegistration {
        let number = self.opened.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let row = SessionRow::new(number, handle, self.traffic.get().cloned());
        let (counters, tap) = (Arc::clone(&row.counters), Arc::clone(&row.tap));
        lock(&self.sessions).insert(channel, Box::new(row));
        SessionRegistration { row: Arc::clone(self), channel, number, counters, tap }
    }

    /// Whether the connection has or had a session.
    pub(crate) fn has_had_sessions(&self) -> bool {
        self.opened.load(Ordering::Relaxed) > 0
    }

    /// The connection is over: nobody can ask for its end any more.
    pub(crate) fn close(&self) {
        // It may be over because somebody has asked.
        let _ = self.end.set(String::new());
    }

    /// The session of this number, and its channel.
    fn session(&self, number: u64) -> Option<(u32, SessionHandle)> {
        let sessions = lock(&self.sessions);
        let mut found = sessions.iter().filter(|(_, session)| session.number == number);
        found.next().map(|(channel, session)| (*channel, session.handle.clone()))
    }

    fn info(&self) -> ConnectionInfo {
        ConnectionInfo {
            connection: self.connection,
            peer: self.peer,
            began: self.began,
            login: self.login.get().cloned(),
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            sessions: lock(&self.sessions).iter().map(|(channel, session)| session.info(*channel)).collect(),
            is_ending: self.end.get().is_some(),
        }
    }
}

/// A connection's place in the table. Dropping it removes the row.
pub(crate) struct Registration {
    table: Arc<ConnectionTable>,
    row: Arc<ConnectionRow>,
}

impl Registration {
    pub(crate) fn row(&self) -> &Arc<ConnectionRow> {
        &self.row
    }

    /// The login is complete, and judged again from now on. The `Access` of this number has accepted it.
    pub(crate) fn watch_login(&self, login: AcceptedLogin, judged_by: u64) {
        self.table.logins.add(self.row.connection, login, judged_by);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.table.logins.remove(self.row.connection);
        let mut rows = lock(&self.table.rows);
        let row = rows.remove(&self.row.connection);
        self.table.past_received.fetch_add(self.row.received.load(Ordering::Relaxed), Ordering::Relaxed);
        self.table.past_sent.fetch_add(self.row.sent.load(Ordering::Relaxed), Ordering::Relaxed);
        drop(rows);
        // Not while the table is locked.
        drop(row);
        self.row.gone.notify_waiters();
    }
}

/// A session's place in the row of its connection. Dropping it removes it.
pub(crate) struct SessionRegistration {
    row: Arc<ConnectionRow>,
    channel: u32,
    number: u64,
    counters: Arc<SessionCounters>,
    tap: Arc<TapPoint>,
}

impl SessionRegistration {
    /// The session's [`number`](SessionInfo::number).
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// What it has moved.
    pub(crate) fn counters(&self) -> &SessionCounters {
        &self.counters
    }

    /// Where its output passes whoever looks on.
    pub(crate) fn tap(&self) -> &Arc<TapPoint> {
        &self.tap
    }

    /// The client asks to start this. The latest counts: a refused start may be followed by another.
    pub(crate) fn asked_to_start(&self, start: Started) {
        if let Some(session) = lock(&self.row.sessions).get_mut(&self.channel) {
            session.start = Some(start);
        }
    }
}

impl Drop for SessionRegistration {
    fn drop(&mut self) {
        let session = lock(&self.row.sessions).remove(&self.channel);
        drop(session);
        self.tap.end();
        self.row.gone.notify_waiters();
    }
}

/// The reason as a client may be shown it.
fn printable(reason: &str) -> String {
    let end = reason.floor_char_boundary(REASON);
    escape(&reason.as_bytes()[..end]).to_string()
}

/// A panic elsewhere leaves the table as it is: every change of it is complete or not made.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use whelk_runtime::session_pipes;

    use super::*;

    fn peer() -> Peer {
        Peer::Address("192.0.2.1:22".parse().unwrap())
    }

    fn woken(count: &Arc<AtomicUsize>) -> Wake {
        let count = Arc::clone(count);
        Arc::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        })
    }

    #[test]
    fn rows_show_what_was_told_of_them_and_go_with_their_registrations() {
        let table = Arc::new(ConnectionTable::default());
        let registration = table.register(7, peer(), Arc::new(|| ()));
        let row = registration.row();
        let login = LoginInfo { user: "alice".to_owned(), tenant: "a".to_owned(), method: "publickey" };
        row.logged_in(login.clone(), Arc::default());
        row.add_received(3);
        row.add_received(4);
        row.add_sent(5);
        let (inbox, _outbox, side) = session_pipes(1 << 10, Arc::new(|| ()));
        assert!(!row.has_had_sessions());
        let session = row.add_session(2, inbox.handle());
        session.asked_to_start(Started::new(StartKind::Exec, b"id"));
        let shown = table.snapshot();
        assert_eq!((shown.len(), shown[0].connection, shown[0].peer), (1, 7, peer()));
        assert_eq!((shown[0].login.as_ref(), shown[0].received, shown[0].sent), (Some(&login), 7, 5));
        let [shown] = &shown[0].sessions[..] else { panic!("{shown:?}") };
        let identity = (shown.number, shown.channel);
        let start = Some(Started::new(StartKind::Exec, b"id"));
        assert_eq!((identity, shown.plugin.as_ref(), &shown.start), ((1, 2), None, &start));
        assert_eq!(table.counts(), (1, 1));
        let figures = TableFigures { connections: 1, unauthenticated: 0, sessions: 1, moved: (7, 5) };
        assert_eq!(table.figures(), figures);
        drop(table.register(8, peer(), Arc::new(|| ())));
        assert_eq!([table.take_peak(), table.take_peak()], [(2, 1), (1, 1)]);
        drop((inbox, side));
        assert!(!table.end_session(7, 1, "its pipes are gone", 0));
        drop(session);
        assert!(table.snapshot()[0].sessions.is_empty() && row.has_had_sessions());
        drop(registration);
        assert!(table.snapshot().is_empty());
        assert_eq!(table.figures(), TableFigures { moved: (7, 5), ..TableFigures::default() });
    }

    #[tokio::test]
    async fn an_end_is_asked_for_once_and_reaches_who_it_is_for() {
        let (table, wakes) = (Arc::new(ConnectionTable::default()), Arc::new(AtomicUsize::new(0)));
        let registrations: Vec<Registration> =
            (1..=2).map(|number| table.register(number, peer(), woken(&wakes))).collect();
        let long = format!("line\n{}", "é".repeat(200));
        assert!(
            table.end_connection(1, &long, 0)
                && !table.end_connection(1, "again", 0)
                && !table.end_connection(3, "none", 0)
        );
        let reason = registrations[0].row().end_reason().unwrap();
        assert!(reason.starts_with("line\\x0aéé") && reason.chars().count() == 133, "{reason}");
        assert_eq!((registrations[1].row().end_reason(), wakes.load(Ordering::Relaxed)), (None, 1));
        let (inbox, _outbox, side) = session_pipes(1 << 10, Arc::new(|| ()));
        let session = registrations[1].row().add_session(0, inbox.handle());
        assert!(!table.end_session(1, 1, "another connection", 0) && !table.end_session(2, 2, "another session", 0));
        assert!(table.end_session(2, 1, "enough", 0) && !table.end_session(2, 1, "again", 0));
        side.until_ended().await;
        drop(session);
        let (inbox, _outbox, _side) = session_pipes(1 << 10, Arc::new(|| ()));
        let _next = registrations[1].row().add_session(0, inbox.handle());
        assert!(!table.end_session(2, 1, "the session that had this channel before", 0));
        registrations[1].row().close();
        assert!(!table.end_connection(2, "it is over", 0));
    }
}
