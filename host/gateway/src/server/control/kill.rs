//! The request `kill`: ends sessions and connections, and waits until nothing of them runs.
//!
//! A session is ended as by the end of its plugin's version: its client gets the reason on stderr and as the message of
//! exit-signal HUP (RFC 4254 §6.10). A connection is ended by DISCONNECT with the reason (RFC 4253 §11.1), which the
//! sessions at a terminal are shown, too. Neither waits for a guest or a client: the runtime drops what does not end
//! within `grace`, the driver of a connection what its client does not read within a second, and output of an ended
//! session that its client does not take is discarded here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use whelk_runtime::SessionHandle;

use super::session_id::{self, SessionId};
use super::{AskedRequest, Requests, error};
use crate::server::connection_table::ConnectionTable;

/// The request.
pub const KILL: &str = "kill";
/// How long what is ended may take until nothing of it runs.
const END_TIME: Duration = Duration::from_secs(10);
/// How long a client may take to read the end of a session that is over, before its unread output is discarded.
const UNREAD_TIME: Duration = Duration::from_secs(2);
/// How long a client may take to close the channel once its output is discarded.
const CLOSE_TIME: Duration = Duration::from_secs(1);
/// How often to look whether sessions are over.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The shortest time between two looks.
const SCAN_PAUSE: Duration = Duration::from_millis(10);
/// The time limit of the answer.
pub const TIME: Duration = Duration::from_secs(30);
/// The reason if none is given.
const REASON: &str = "ended by the operator";

/// What to end, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KillRequest {
    /// Sessions and connections by their names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// All connections of this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// All connections of this tenant's users; with `user` those that are of both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What clients are told and the audit records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What was ended. `whelk kill --json` prints it; fields are added and never changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KillOutcome {
    /// How many sessions have ended, those of ended connections included.
    pub sessions: u64,
    /// How many connections have ended.
    pub connections: u64,
    /// IDs that were not found.
    pub unknown: Vec<String>,
    /// What has not ended in time.
    pub remaining: Vec<String>,
    /// Sessions that have ended, but are listed until their clients close the channel or the connection.
    pub closing: Vec<String>,
}

impl Requests {
    /// With the request [`KILL`].
    #[must_use]
    pub fn with_kill(self, table: &Arc<ConnectionTable>) -> Requests {
        let table = Arc::clone(table);
        self.with_asked(KILL, TIME, move |asked| answer(asked, Arc::clone(&table)))
    }
}

/// What is being ended.
#[derive(Default)]
struct Ended {
    connections: BTreeSet<u64>,
    /// By connection and number.
    sessions: BTreeMap<(u64, u64), EndedSession>,
}

/// A session that is being ended.
struct EndedSession {
    handle: SessionHandle,
    progress: Progress,
}

/// How far the end of a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Something of it runs.
    Running,
    /// Nothing of it runs. Its client has not taken all of its output, or has not closed the channel.
    Unread { since: Instant },
    /// Its output was discarded. Its client is being told.
    Discarded { since: Instant },
    /// Its client has not closed the channel in time. Nothing else is left of it.
    Closing,
    /// Something of it runs still, after [`END_TIME`].
    Late,
    /// It is in no list any more.
    Gone,
}

async fn answer(asked: AskedRequest, table: Arc<ConnectionTable>) -> Value {
    // A task of its own: what has begun goes on when the client hangs up.
    let work = tokio::spawn(async move {
        let request = match asked.parse::<KillRequest>() {
            Ok(request) => request,
            Err(reason) => return error(&reason),
        };
        let mut outcome = KillOutcome::default();
        match request.end(&table, asked.uid, &mut outcome).await {
            Ok(ended) => ended.wait(&table, request.reason(), asked.uid, &mut outcome).await,
            Err(reason) => return error(&reason),
        }
        json!(outcome)
    });
    work.await.unwrap_or_else(|_| error("the request has failed: see the log of the server"))
}

impl KillRequest {
    fn reason(&self) -> &str {
        self.reason.as_deref().filter(|reason| !reason.is_empty()).unwrap_or(REASON)
    }

    /// Asks for the end of everything that is named. The error says which name is none; then nothing is ended.
    async fn end(&self, table: &ConnectionTable, by: u32, outcome: &mut KillOutcome) -> Result<Ended, String> {
        let parse = |id: &String| id.parse::<SessionId>().map_err(|reason| format!("{id:?}: {reason}"));
        let ids = self.ids.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let mut ended = Ended::default();
        if self.user.is_some() || self.tenant.is_some() {
            for connection in table.each() {
                let Some(login) = &connection.login else { continue };
                let is = |wanted: &Option<String>, has: &String| wanted.as_ref().is_none_or(|wanted| wanted == has);
                if is(&self.user, &login.user) && is(&self.tenant, &login.tenant) {
                    ended.end_connection(table, connection.connection, self.reason(), by);
                    // Ten thousand of them would keep a thread busy.
                    tokio::task::consume_budget().await;
                }
            }
        }
        for id in ids {
            let is_there = id.is_of_this_run()
                && match id.session {
                    None => ended.end_connection(table, id.connection, self.reason(), by),
                    Some(session) => ended.end_session(table, id.connection, session, self.reason(), by),
                };
            if !is_there {
                outcome.unknown.push(id.to_string());
            }
        }
        Ok(ended)
    }
}

impl Ended {
    /// Ends a connection. One that is ending already counts as well. False if there is none.
    fn end_connection(&mut self, table: &ConnectionTable, connection: u64, reason: &str, by: u32) -> bool {
        // Before it ends, so that its sessions are waited for.
        let sessions = table.handles(connection);
        if !table.end_connection(connection, reason, by) && !table.has(connection) {
            return false;
        }
        self.connections.insert(connection);
        for (number, handle) in sessions {
            self.add((connection, number), handle);
        }
        true
    }

    /// Ends one session, in the same way.
    fn end_session(&mut self, table: &ConnectionTable, connection: u64, session: u64, reason: &str, by: u32) -> bool {
        let found = table.handles(connection).into_iter().find(|(number, _)| *number == session);
        let Some((_, handle)) = found else { return false };
        let _ = table.end_session(connection, session, reason, by);
        self.add((connection, session), handle);
        true
    }

    fn add(&mut self, id: (u64, u64), handle: SessionHandle) {
        self.sessions.entry(id).or_insert(EndedSession { handle, progress: Progress::Running });
    }

    /// Waits until the connections are gone and nothing of the sessions runs, and discards what clients do not read.
    async fn wait(mut self, table: &ConnectionTable, reason: &str, by: u32, outcome: &mut KillOutcome) {
        let end = Instant::now() + END_TIME;
        let mut connections = self.connections.clone();
        loop {
            let gone = table.gone();
            let now = Instant::now();
            connections.retain(|connection| table.has(*connection));
            let mut is_done = connections.is_empty() || now >= end;
            for (id, session) in &mut self.sessions {
                session.advance(table, *id, (reason, by), (now, end));
                is_done &= session.progress.is_final();
                tokio::task::consume_budget().await;
            }
            if is_done {
                break;
            }
            let _ = timeout(POLL_INTERVAL, gone).await;
            // When thousands end one after the other, looking at all of them after each would keep a thread busy.
            sleep(SCAN_PAUSE).await;
        }
        outcome.connections = (self.connections.len() - connections.len()) as u64;
        outcome.remaining.extend(connections.iter().map(|connection| session_id::with_run(*connection, None)));
        for ((connection, number), session) in &self.sessions {
            let id = || session_id::with_run(*connection, Some(*number));
            match session.progress {
                Progress::Late => outcome.remaining.push(id()),
                Progress::Closing => outcome.closing.push(id()),
                _ => {}
            }
            outcome.sessions += u64::from(session.progress != Progress::Late);
        }
    }
}

impl EndedSession {
    /// Looks how far the end is, and discards its output if its client has not read it in time.
    fn advance(
        &mut self,
        table: &ConnectionTable,
        (connection, number): (u64, u64),
        (reason, by): (&str, u32),
        (now, end): (Instant, Instant),
    ) {
        if self.progress == Progress::Running && self.handle.is_over() {
            self.progress = Progress::Unread { since: now };
        }
        if self.progress != Progress::Running && !table.has_session(connection, number) {
            self.progress = Progress::Gone;
        }
        self.progress = match self.progress {
            Progress::Running if now >= end => Progress::Late,
            Progress::Unread { since } if now >= since + UNREAD_TIME => {
                if table.discard_unsent(connection, number, reason, by) {
                    Progress::Discarded { since: now }
                } else {
                    Progress::Closing
                }
            }
            Progress::Discarded { since } if now >= since + CLOSE_TIME => Progress::Closing,
            other => other,
        };
    }
}

impl Progress {
    /// Whether nothing more is waited for.
    fn is_final(self) -> bool {
        matches!(self, Progress::Closing | Progress::Late | Progress::Gone)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::advance;
    use whelk_runtime::session_pipes;

    use super::*;
    use crate::server::connection_table::LoginInfo;
    use crate::source::Peer;

    fn table() -> (Arc<ConnectionTable>, Requests) {
        let table = Arc::new(ConnectionTable::default());
        let requests = Requests::default().with_kill(&table);
        (table, requests)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_still_there_is_not_reported_as_ended() {
        let (table, requests) = table();
        let connection = table.register(7, Peer::Address("192.0.2.1:22".parse().unwrap()), Arc::new(|| ()));
        // One whose guest never returns, one that is over while its client leaves the channel open, one that goes.
        let (running, _outbox, _side) = session_pipes(1 << 10, Arc::new(|| ()));
        let (over, over_outbox, over_side) = session_pipes(1 << 10, Arc::new(|| ()));
        let (gone, _gone_outbox, gone_side) = session_pipes(1 << 10, Arc::new(|| ()));
        let _first = connection.row().add_session(0, running.handle());
        let _second = connection.row().add_session(1, over.handle());
        let third = connection.row().add_session(2, gone.handle());
        drop((over, over_outbox, over_side, gone, gone_side, third));
        let answer = requests.answer("kill {\"ids\":[\"7.1\",\"7.2\",\"7.3\",\"8\"]}").await;
        let expected = json!({
            "sessions": 1, "connections": 0, "unknown": ["7.3", "8"], "remaining": ["7.1"], "closing": ["7.2"],
        });
        assert_eq!(answer, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kill_goes_on_when_its_client_hangs_up() {
        let (table, requests) = table();
        let connection = table.register(7, Peer::Address("192.0.2.1:22".parse().unwrap()), Arc::new(|| ()));
        let (inbox, _outbox, side) = session_pipes(1 << 10, Arc::new(|| ()));
        let _session = connection.row().add_session(0, inbox.handle());
        let references = Arc::strong_count(&table);
        let mut asked = Box::pin(requests.answer("kill {\"ids\":[\"7.1\"]}"));
        assert!(is_pending(&mut asked).await);
        side.until_ended().await;
        drop(asked);
        assert!(Arc::strong_count(&table) > references);
        let looks = 2 * (END_TIME + UNREAD_TIME).as_millis() / POLL_INTERVAL.as_millis();
        for _ in 0..looks {
            advance(POLL_INTERVAL).await;
        }
        assert_eq!(Arc::strong_count(&table), references);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_thousands_leaves_turns_to_others() {
        let (table, requests) = table();
        let ended = Arc::new(AtomicUsize::new(0));
        let register = |number| {
            let ended = Arc::clone(&ended);
            let count = Arc::new(move || {
                ended.fetch_add(1, Ordering::Relaxed);
            });
            let connection = table.register(number, Peer::Unknown, count);
            let (user, tenant) = ("alice".to_owned(), "acme".to_owned());
            connection.row().logged_in(LoginInfo { user, tenant, method: "none" }, Arc::default());
            connection
        };
        let connections: Vec<_> = (1..=2_000).map(register).collect();
        let mut asked = Box::pin(requests.answer("kill {\"tenant\":\"acme\"}"));
        assert!(is_pending(&mut asked).await);
        // This test had its turn in between.
        let first = ended.load(Ordering::Relaxed);
        assert!(first > 0 && first < connections.len(), "{first}");
        assert_eq!(asked.await["remaining"].as_array().map(Vec::len), Some(connections.len()));
        assert_eq!(ended.load(Ordering::Relaxed), connections.len());
    }

    /// Whether a request is still being answered after everything that can run now has run.
    async fn is_pending(asked: &mut (impl Future<Output = Value> + Unpin)) -> bool {
        tokio::select! {
            biased;
            _ = asked => false,
            () = tokio::task::yield_now() => true,
        }
    }
}
