//! The request `kill`: ends sessions and connections, and waits until nothing of them runs.
//!
//! A session is ended as by the end of its plugin's version: its client gets the reason on stderr and as the message of
//! exit-signal HUP (RFC 4254 §6.10). A connection is ended by DISCONNECT with the reason (RFC 4253 §11.1), which the
//! sessions at a terminal are shown, too. Neither waits for a guest or a client: the runtime drops what does not end
//! within `grace`, the driver of a connection what its client does not read within a second, and output of an ended
//! session that its client does not take is discarded here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};
use whelk_runtime::SessionHandle;

use super::session_id::SessionId;
use super::{AskedRequest, Requests, error};
use crate::server::connection_table::ConnectionTable;

/// The request.
pub const KILL: &str = "kill";
/// How long what is ended may take until nothing of it runs.
const END_TIME: Duration = Duration::from_secs(10);
/// How long a client may take to read the end of a session that is over, before its unread output is discarded.
const UNREAD_TIME: Duration = Duration::from_secs(2);
/// How often to look whether a session without a connection is over.
const LOOK: Duration = Duration::from_millis(50);
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
pub struct KillOutcome {
    /// How many sessions were ended, those of ended connections included.
    pub sessions: u64,
    /// How many connections were ended.
    pub connections: u64,
    /// The names that name nothing that is there.
    pub unknown: Vec<String>,
    /// What has not ended in time.
    pub remaining: Vec<String>,
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
    sessions: Vec<(u64, u64, SessionHandle)>,
}

async fn answer(asked: AskedRequest, table: Arc<ConnectionTable>) -> Value {
    let request = match asked.parse::<KillRequest>() {
        Ok(request) => request,
        Err(reason) => return error(&reason),
    };
    let mut outcome = KillOutcome::default();
    let ended = match request.end(&table, asked.uid, &mut outcome) {
        Ok(ended) => ended,
        Err(reason) => return error(&reason),
    };
    outcome.connections = ended.connections.len() as u64;
    outcome.sessions = ended.sessions.len() as u64;
    outcome.remaining = ended.wait(&table, request.reason()).await;
    json!(outcome)
}

impl KillRequest {
    fn reason(&self) -> &str {
        self.reason.as_deref().filter(|reason| !reason.is_empty()).unwrap_or(REASON)
    }

    /// Asks for the end of everything that is named. The error says which name is none; then nothing is ended.
    fn end(&self, table: &ConnectionTable, by: u32, outcome: &mut KillOutcome) -> Result<Ended, String> {
        let parse = |id: &String| id.parse::<SessionId>().map_err(|reason| format!("{id:?}: {reason}"));
        let ids = self.ids.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let mut ended = Ended::default();
        if self.user.is_some() || self.tenant.is_some() {
            for connection in table.each() {
                let Some(login) = &connection.login else { continue };
                let is = |wanted: &Option<String>, has: &String| wanted.as_ref().is_none_or(|wanted| wanted == has);
                if is(&self.user, &login.user) && is(&self.tenant, &login.tenant) {
                    ended.end_connection(table, connection.connection, self.reason(), by);
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
        if self.connections.insert(connection) {
            self.sessions.retain(|(of, ..)| *of != connection);
            self.sessions.extend(sessions.into_iter().map(|(number, handle)| (connection, number, handle)));
        }
        true
    }

    /// Ends one session, in the same way.
    fn end_session(&mut self, table: &ConnectionTable, connection: u64, session: u64, reason: &str, by: u32) -> bool {
        let found = table.handles(connection).into_iter().find(|(number, _)| *number == session);
        let Some((_, handle)) = found else { return false };
        let _ = table.end_session(connection, session, reason, by);
        let is_known = self.sessions.iter().any(|(of, number, _)| (*of, *number) == (connection, session));
        if !is_known {
            self.sessions.push((connection, session, handle));
        }
        true
    }

    /// Waits until the connections are gone and nothing of the sessions runs. Returns what has not ended in time.
    async fn wait(mut self, table: &ConnectionTable, reason: &str) -> Vec<String> {
        let (end, mut unread) = (Instant::now() + END_TIME, None);
        loop {
            let gone = table.gone();
            let (over, running): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.sessions).into_iter().partition(|(.., handle)| handle.is_over());
            self.sessions = running;
            self.connections.retain(|connection| table.has(*connection));
            // The others are over, and their clients have not taken their ends.
            let left: Vec<_> = over.into_iter().filter(|(of, number, _)| is_listed(table, *of, *number)).collect();
            let is_done = self.sessions.is_empty() && self.connections.is_empty();
            let now = Instant::now();
            if is_done && (left.is_empty() || now >= *unread.get_or_insert(now + UNREAD_TIME)) {
                for (.., handle) in &left {
                    handle.discard_unsent(reason);
                }
                return Vec::new();
            }
            if now >= end {
                let connections = self.connections.iter().map(u64::to_string);
                let sessions = self.sessions.iter().map(|(connection, number, _)| format!("{connection}.{number}"));
                return connections.chain(sessions).collect();
            }
            // Those come back to be looked at again.
            self.sessions.extend(left);
            tokio::select! {
                _ = timeout_at(end, gone) => {}
                () = sleep(LOOK) => {}
            }
        }
    }
}

/// Whether a session is in the table.
fn is_listed(table: &ConnectionTable, connection: u64, session: u64) -> bool {
    table.handles(connection).iter().any(|(number, _)| *number == session)
}
