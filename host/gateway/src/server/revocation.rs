//! Ends the connections of users who may no longer log in.
//!
//! Their logins are judged again when a file has changed that had a say in them (a user's keys, the authorities, the
//! revoked keys), and all of them after a reload. No signal is needed: the files are looked at, each once in [`PERIOD`]
//! however many connections depend on it. Logins that depend on no file cost nothing.
//!
//! [`LiveLogins`](live_logins::LiveLogins) knows which connections depend on which file. The task here looks, and asks
//! [`Access`](crate::auth::access::Access) for its judgement. Both wait for the disk on blocking threads, a few at the
//! same time, and a file that hangs holds up only those that are looked at together with it.
//!
//! Editors remove a file and make it anew, and a network file system may be gone for a moment. So a login whose file
//! cannot be used is judged a second time before its connection ends, and without the file of revoked keys all
//! connections are kept.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval};
use whelk_runtime::limits::Throttle;
use whelk_runtime::supervise::supervise;

use crate::auth::access::{AcceptedLogin, Access, Revocation, Standing};
use crate::observe::escape::escape;
use crate::observe::event::{ConnectionEvent, emit};
use crate::server::connection_table::ConnectionTable;
use crate::server::connection_table::live_logins::{self, Looked, SLICES};
use crate::server::gateway::Gateway;
use crate::server::generation::CurrentGateway;

/// How often each file is looked at. Two looks, of which the second finds a missing file still missing, are over within
/// two seconds.
const PERIOD: Duration = Duration::from_millis(800);
/// How many logins are judged at the same time.
const JUDGES: usize = 16;
/// After this time a login is judged again about which nothing could be found out.
const RETRY: Duration = Duration::from_secs(10);
/// Of logins about which nothing could be found out at most one is logged in this time.
const LOG_PERIOD: Duration = Duration::from_secs(10);

/// What a connection was judged to be, by the [`Access`] of this number.
type Judged = (u64, Arc<AcceptedLogin>, u64, Standing);

/// The task's own state.
struct Watch {
    newest: watch::Receiver<Arc<Gateway>>,
    table: Arc<ConnectionTable>,
    /// The looks that have not ended, by their slices.
    looks: Vec<Option<JoinHandle<Vec<Looked>>>>,
    judging: JoinSet<Judged>,
    judges: Arc<Semaphore>,
    /// When to judge a login again, and whether its connection ends then unless a file can be used again.
    again: BTreeMap<u64, Again>,
    unknown: Throttle,
}

#[derive(Clone, Copy)]
struct Again {
    at: Instant,
    is_last: bool,
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
        again: BTreeMap::new(),
        unknown: Throttle::one_in(LOG_PERIOD),
    };
    let slices = u32::try_from(SLICES).expect("there are few");
    let mut clock = interval(PERIOD / slices);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        for slice in 0..SLICES {
            clock.tick().await;
            watch.turn(slice).await;
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

    /// Starts the look at the files of a slice, and judges whatever has to be judged.
    async fn turn(&mut self, slice: usize) {
        let access = Arc::clone(self.newest.borrow().access());
        let logins = self.table.logins();
        logins.set_newest(&access);
        let mut due = logins.take_pending();
        if !access.ends_revoked() {
            self.again.clear();
            return;
        }
        due.extend(self.changed(slice).await);
        let now = Instant::now();
        due.extend(self.again.iter().filter(|(_, again)| again.at <= now).map(|(connection, _)| *connection));
        due.sort_unstable();
        due.dedup();
        for connection in due {
            self.judge(connection, &access);
        }
        while let Some(judged) = self.judging.try_join_next() {
            // A panic was logged; it is judged again when a file changes.
            if let Ok(judged) = judged {
                self.conclude(judged, &access);
            }
        }
    }

    /// The connections whose files have changed, by the looks that have ended. Starts the next look at a slice, unless
    /// the last one still waits for the disk.
    async fn changed(&mut self, slice: usize) -> Vec<u64> {
        let logins = self.table.logins();
        let mut changed = Vec::new();
        for (slice, look) in self.looks.iter_mut().enumerate() {
            if look.as_ref().is_some_and(JoinHandle::is_finished)
                && let Some(ended) = look.take()
            {
                changed.extend(logins.looked(slice, ended.await.unwrap_or_default()));
            }
        }
        let files = logins.files(slice);
        if let Some(look) = self.looks.get_mut(slice)
            && look.is_none()
            && !files.is_empty()
        {
            *look = Some(spawn_blocking(move || live_logins::look(files)));
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
        let (access, judges, since) = (Arc::clone(access), Arc::clone(&self.judges), std::time::Instant::now());
        self.judging.spawn(async move {
            let _permit = judges.acquire_owned().await;
            let standing = access.rejudge(&login, since).await;
            (connection, login, access.number(), standing)
        });
    }

    /// Ends the connection of a login that is no longer valid.
    fn conclude(&mut self, (connection, login, number, standing): Judged, newest: &Arc<Access>) {
        if number != newest.number() {
            // There was a reload meanwhile.
            return self.judge(connection, newest);
        }
        match standing {
            Standing::Valid => {
                self.again.remove(&connection);
                self.table.logins().judged(connection, number);
            }
            Standing::Revoked(revocation) => self.end(connection, &login, &revocation),
            Standing::Doubtful(revocation) => match self.again.get(&connection) {
                Some(Again { is_last: true, .. }) => self.end(connection, &login, &revocation),
                Some(Again { is_last: false, .. }) | None => {
                    self.again.insert(connection, Again { at: Instant::now() + PERIOD, is_last: true });
                }
            },
            Standing::Unknown(reason) => {
                self.again.insert(connection, Again { at: Instant::now() + RETRY, is_last: false });
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
