//! Ends the connections of users who may no longer log in.
//!
//! Their logins are judged again when a file they depend on changes (a user's keys, the authorities, the revoked keys),
//! and all of them after a reload. No signal is needed: the files are looked at, each once in `PERIOD` however many
//! connections depend on it. Logins that depend on no file cost nothing.
//!
//! `LiveLogins` knows which connections depend on which file. The task here looks, and asks
//! [`Access`] for its judgement. Both wait for the disk on blocking threads, a few at the
//! same time, and a hung file delays only the other files of its slice.
//!
//! Editors remove or empty a file and write it anew. So a login whose file cannot be used or does not have its key is
//! judged a second time, not before `PERIOD` has passed, and only then its connection ends. Where the disk fails, or
//! nothing but the file of revoked keys is missing, connections are kept.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::{Id, JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval};
use whelk_runtime::limits::Throttle;
use whelk_runtime::supervise::supervise;

use crate::auth::access::{AcceptedLogin, Access, Revocation, Standing};
use crate::observe::escape::escape;
use crate::observe::event::{ConnectionEvent, emit};
use crate::server::connection_table::ConnectionTable;
use crate::server::connection_table::live_logins::{self, Looked, SLICES, TURNS};
use crate::server::gateway::Gateway;
use crate::server::generation::CurrentGateway;

/// Interval between checks of a file. Two checks fit into the two seconds that LOGINS.md promises.
const PERIOD: Duration = Duration::from_millis(800);
/// How many logins are judged at the same time.
const JUDGES: usize = 16;
/// Delay before rechecking a login whose files could not be read, or whose check panicked.
const RETRY: Duration = Duration::from_secs(10);
/// Of logins about which nothing could be found out at most one is logged in this time.
const LOG_PERIOD: Duration = Duration::from_secs(10);

/// A login that was judged again.
struct Judged {
    connection: u64,
    login: Arc<AcceptedLogin>,
    /// The number of the [`Access`] that rechecked it.
    number: u64,
    began: Instant,
    standing: Standing,
}

/// The task's own state.
struct Watch {
    newest: watch::Receiver<Arc<Gateway>>,
    table: Arc<ConnectionTable>,
    /// The looks that have not ended, by their slices.
    looks: Vec<Option<JoinHandle<Vec<Looked>>>>,
    judging: JoinSet<Judged>,
    judges: Arc<Semaphore>,
    /// The connections that are being judged, and whether each has to be judged once more.
    in_flight: BTreeMap<u64, bool>,
    /// Which connection each task judges.
    tasks: HashMap<Id, u64>,
    /// Scheduled rechecks.
    again: BTreeMap<u64, Again>,
    unknown: Throttle,
}

#[derive(Clone, Copy)]
struct Again {
    at: Instant,
    /// When the check began that was the first to find the login doubtful.
    doubted: Option<Instant>,
}

/// Starts the task that ends connections of users who may no longer log in.
pub fn start(current: &CurrentGateway) {
    let current = current.clone();
    tokio::spawn(supervise("revocation", move || run(current.clone()), |_| ()));
}

/// Ends connections of users who may no longer log in, for as long as it is polled.
async fn run(current: CurrentGateway) -> Infallible {
    let newest = current.subscribe();
    let table = Arc::clone(newest.borrow().connections());
    let mut watch = Watch {
        newest,
        table,
        looks: (0..SLICES).map(|_| None).collect(),
        judging: JoinSet::new(),
        judges: Arc::new(Semaphore::new(JUDGES)),
        in_flight: BTreeMap::new(),
        tasks: HashMap::new(),
        again: BTreeMap::new(),
        unknown: Throttle::one_in(LOG_PERIOD),
    };
    // After a panic of this task, those that it was judging.
    watch.table.logins().judge_all();
    let turns = u32::try_from(TURNS).expect("there are few");
    let mut clock = interval(PERIOD / turns);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        for turn in 0..TURNS {
            clock.tick().await;
            watch.turn(turn).await;
        }
        watch.rest().await;
    }
}

impl Watch {
    /// Waits while no login depends on a file and none is judged: for a login that does, or a reload.
    async fn rest(&mut self) {
        while self.again.is_empty() && self.judging.is_empty() && !self.table.logins().depends_on_files() {
            tokio::select! {
                _ = self.newest.changed() => return,
                () = self.table.logins().added() => {}
            }
        }
    }

    /// Starts the looks at the files of two slices, and judges whatever has to be judged.
    async fn turn(&mut self, turn: usize) {
        let access = self.newest.borrow().access();
        let logins = self.table.logins();
        logins.set_newest(&access);
        let mut due = logins.take_pending();
        if !access.ends_revoked() {
            self.again.clear();
            return;
        }
        due.extend(self.changed(turn).await);
        let now = Instant::now();
        due.extend(self.again.iter().filter(|(_, again)| again.at <= now).map(|(connection, _)| *connection));
        due.sort_unstable();
        due.dedup();
        for connection in due {
            self.judge(connection, &access);
        }
        while let Some(judged) = self.judging.try_join_next_with_id() {
            let task = judged.as_ref().map_or_else(|panic| panic.id(), |(task, _)| *task);
            let connection = self.tasks.remove(&task);
            let is_due = connection.and_then(|connection| self.in_flight.remove(&connection)).unwrap_or_default();
            match (judged, connection) {
                (Ok((_, judged)), _) => self.conclude(judged, &access),
                // It was logged.
                (Err(_), Some(connection)) => self.postpone(connection),
                (Err(_), None) => {}
            }
            if let Some(connection) = connection.filter(|_| is_due) {
                self.judge(connection, &access);
            }
        }
    }

    /// The connections whose files have changed, by the looks that have ended. Starts the next look at each slice of a
    /// turn, unless the last one still waits for the disk.
    async fn changed(&mut self, turn: usize) -> Vec<u64> {
        let logins = self.table.logins();
        let mut changed = Vec::new();
        for (slice, look) in self.looks.iter_mut().enumerate() {
            if look.as_ref().is_some_and(JoinHandle::is_finished)
                && let Some(ended) = look.take()
            {
                changed.extend(logins.looked(slice, ended.await.unwrap_or_default()));
            }
        }
        for slice in [turn, TURNS + turn] {
            let files = logins.files(slice);
            if let Some(look) = self.looks.get_mut(slice)
                && look.is_none()
                && !files.is_empty()
            {
                *look = Some(spawn_blocking(move || live_logins::look(files)));
            }
        }
        changed
    }

    fn judge(&mut self, connection: u64, access: &Arc<Access>) {
        let Some(login) = self.table.logins().get(connection) else {
            self.again.remove(&connection);
            return;
        };
        if let Some(again) = self.again.get_mut(&connection) {
            // Until it is judged.
            again.at = Instant::now() + RETRY;
        }
        if let Some(is_due) = self.in_flight.get_mut(&connection) {
            *is_due = true;
            return;
        }
        self.in_flight.insert(connection, false);
        let (access, judges) = (Arc::clone(access), Arc::clone(&self.judges));
        let task = self.judging.spawn(async move {
            let _permit = judges.acquire_owned().await;
            let (began, since) = (Instant::now(), std::time::Instant::now());
            let standing = access.rejudge(&login, since).await;
            Judged { connection, login, number: access.number(), began, standing }
        });
        self.tasks.insert(task.id(), connection);
    }

    /// Judges a login later about which nothing could be found out.
    fn postpone(&mut self, connection: u64) {
        self.again.insert(connection, Again { at: Instant::now() + RETRY, doubted: None });
    }

    /// Ends the connection of a login that is no longer valid.
    fn conclude(&mut self, judged: Judged, newest: &Arc<Access>) {
        let Judged { connection, login, number, began, standing } = judged;
        if number != newest.number() {
            // There was a reload meanwhile.
            return self.judge(connection, newest);
        }
        match standing {
            Standing::Valid(granted) => {
                self.again.remove(&connection);
                self.table.logins().judged(connection, number, &granted.files);
            }
            Standing::Revoked(revocation) => self.end(connection, &login, &revocation),
            Standing::Doubtful(revocation) => {
                let first = self.again.get(&connection).and_then(|again| again.doubted).unwrap_or(began);
                if began.duration_since(first) >= PERIOD {
                    self.end(connection, &login, &revocation);
                } else {
                    self.again.insert(connection, Again { at: first + PERIOD, doubted: Some(first) });
                }
            }
            Standing::Unknown(reason) => {
                self.postpone(connection);
                if let Some(admitted) = self.unknown.allow(Instant::now()) {
                    let (user, reason, more) = (escape(login.user().as_bytes()), &*reason, admitted.suppressed);
                    emit(ConnectionEvent::NotRejudged { connection, user, reason, more });
                }
            }
        }
    }

    fn end(&mut self, connection: u64, login: &AcceptedLogin, revocation: &Revocation) {
        self.again.remove(&connection);
        if self.table.revoke_connection(connection, revocation.told) {
            let (user, reason) = (escape(login.user().as_bytes()), escape(revocation.reason.as_bytes()));
            emit(ConnectionEvent::Revoked { connection, user, reason });
        }
    }
}
