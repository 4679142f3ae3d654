//! The request `sessions`: the sessions that there are, a line each.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use whelk_runtime::event::ConnectionIdentity;

use super::lines::AnswerLines;
use super::{AskedRequest, Requests, error, session_id};
use crate::server::connection_table::{Began, ConnectionInfo, ConnectionTable, SessionInfo};

/// The request.
pub const SESSIONS: &str = "sessions";

/// Which sessions are listed: those for which all that is given is true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionFilter {
    /// Those of this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Those of this tenant's users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Those that this plugin serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Also connections without a session.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub connections: bool,
}

/// One session, or one connection without a session. `whelk sessions --json` prints one a line; fields are added and
/// never changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionEntry {
    /// By which `whelk kill` and `whelk watch` name it: `7f3a9c21-42.1` is session 1 of connection 42 in this run of
    /// the server, and `7f3a9c21-42` a connection without a session.
    pub id: String,
    /// The connection, as in the log and the audit.
    pub connection: String,
    /// The number of the session on its connection, as in the log and the audit.
    pub session: Option<u64>,
    /// The number of its channel. Later sessions may have the same.
    pub channel: Option<u32>,
    /// Who has logged in. Null until somebody has.
    pub user: Option<String>,
    /// The user's tenant.
    pub tenant: Option<String>,
    /// The authentication method, by its name in RFC 4252.
    pub method: Option<String>,
    /// The address and port of the client, or `unknown`.
    pub peer: String,
    /// When the connection began, RFC 3339.
    pub connected: String,
    /// The plugin or program that serves it.
    pub plugin: Option<String>,
    /// Its generation: how many versions of it were loaded before, and 1.
    pub generation: Option<u32>,
    /// `shell`, `exec` or `subsystem`: what was asked for last.
    pub start: Option<String>,
    /// The command that runs, or the name of the subsystem: the first 256 bytes, what is not UTF-8 replaced.
    pub command: Option<String>,
    /// When it began, RFC 3339.
    pub since: String,
    /// How long ago that was, seconds.
    pub age_s: u64,
    /// How long no byte has passed either way, seconds. Null for a connection without a session.
    pub idle_s: Option<u64>,
    /// Processor time, milliseconds.
    pub cpu_ms: u64,
    /// Linear memory now, bytes.
    pub memory: u64,
    /// Processes. 0: nothing of it runs any more.
    pub processes: u64,
    /// Bytes from the client.
    pub received: u64,
    /// Bytes to the client.
    pub sent: u64,
    /// Somebody has ended it, or it has exited and its client has not taken all of its output.
    pub ending: bool,
}

impl Requests {
    /// With the request [`SESSIONS`].
    #[must_use]
    pub fn with_sessions(self, table: &Arc<ConnectionTable>) -> Requests {
        let table = Arc::clone(table);
        self.with_lines(SESSIONS, move |asked, lines| answer(asked, lines, Arc::clone(&table)))
    }
}

async fn answer(asked: AskedRequest, mut lines: AnswerLines, table: Arc<ConnectionTable>) {
    let sent = match asked.parse::<SessionFilter>() {
        Ok(filter) => send(&filter, &mut lines, &table).await,
        Err(reason) => lines.send_last(&error(&reason)).await,
    };
    // An error means that the client has gone.
    let _ = sent;
}

async fn send(filter: &SessionFilter, lines: &mut AnswerLines, table: &ConnectionTable) -> std::io::Result<()> {
    for connection in table.each() {
        for entry in filter.entries(&connection) {
            lines.add(&entry).await?;
        }
        // Ten thousand of them are some milliseconds of work.
        tokio::task::consume_budget().await;
    }
    lines.send_last(&json!({ "done": {} })).await
}

impl SessionFilter {
    /// The entries of one connection that are listed.
    fn entries(&self, connection: &ConnectionInfo) -> Vec<SessionEntry> {
        if !self.is_of(connection) {
            return Vec::new();
        }
        if connection.sessions.is_empty() {
            let is_listed = self.connections && self.plugin.is_none();
            return is_listed.then(|| SessionEntry::of_connection(connection)).into_iter().collect();
        }
        let serves = |session: &&SessionInfo| match (&self.plugin, &session.plugin) {
            (None, _) => true,
            (Some(wanted), Some((name, _))) => **wanted == **name,
            (Some(_), None) => false,
        };
        connection.sessions.iter().filter(serves).map(|session| SessionEntry::of(connection, session)).collect()
    }

    fn is_of(&self, connection: &ConnectionInfo) -> bool {
        let login = connection.login.as_ref();
        let is =
            |wanted: &Option<String>, has: Option<&String>| wanted.as_ref().is_none_or(|wanted| has == Some(wanted));
        is(&self.user, login.map(|login| &login.user)) && is(&self.tenant, login.map(|login| &login.tenant))
    }
}

impl SessionEntry {
    pub(super) fn of(connection: &ConnectionInfo, session: &SessionInfo) -> SessionEntry {
        let start = session.start.as_ref();
        SessionEntry {
            id: session_id::with_run(connection.connection, Some(session.number)),
            session: Some(session.number),
            channel: Some(session.channel),
            plugin: session.plugin.as_ref().map(|(name, _)| name.to_string()),
            generation: session.plugin.as_ref().map(|(_, generation)| *generation),
            start: start.map(|start| start.kind.as_str().to_owned()),
            command: start.map(|start| String::from_utf8_lossy(&start.command).into_owned()),
            since: since(&session.began),
            age_s: session.began.age().as_secs(),
            idle_s: Some(session.idle.as_secs()),
            cpu_ms: session.figures.cpu_ms,
            memory: session.figures.memory as u64,
            processes: session.figures.processes as u64,
            received: session.received,
            sent: session.sent,
            ending: session.figures.is_ending || connection.is_ending,
            ..SessionEntry::of_connection(connection)
        }
    }

    fn of_connection(connection: &ConnectionInfo) -> SessionEntry {
        let login = connection.login.as_ref();
        SessionEntry {
            id: session_id::with_run(connection.connection, None),
            connection: ConnectionIdentity(connection.connection).to_string(),
            session: None,
            channel: None,
            user: login.map(|login| login.user.clone()),
            tenant: login.map(|login| login.tenant.clone()),
            method: login.map(|login| login.method.to_owned()),
            peer: connection.peer.to_string(),
            connected: since(&connection.began),
            plugin: None,
            generation: None,
            start: None,
            command: None,
            since: since(&connection.began),
            age_s: connection.began.age().as_secs(),
            idle_s: None,
            cpu_ms: 0,
            memory: 0,
            processes: 0,
            received: connection.received,
            sent: connection.sent,
            ending: connection.is_ending,
        }
    }
}

/// RFC 3339, whole seconds.
pub(super) fn since(began: &Began) -> String {
    Timestamp::try_from(began.at).map(|time| format!("{time:.0}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use whelk_runtime::session_pipes;

    use super::*;
    use crate::server::connection_table::{LoginInfo, StartKind, Started};
    use crate::source::Peer;

    #[tokio::test]
    async fn sessions_are_listed_as_the_filter_says_and_ten_thousand_of_them_have_an_end() {
        let table = Arc::new(ConnectionTable::default());
        let (mut connections, mut kept) = (Vec::new(), Vec::new());
        for number in 1..=5_000 {
            let registration = table.register(number, Peer::Unknown, Arc::new(|| ()));
            let (user, tenant) = (format!("user{}", number % 2), format!("tenant{}", number % 5));
            registration.row().logged_in(LoginInfo { user, tenant, method: "publickey" }, Arc::default());
            for channel in 0..2 {
                let (inbox, outbox, half) = session_pipes(1 << 10, Arc::new(|| ()));
                let session = registration.row().add_session(channel, inbox.handle());
                session.asked_to_start(Started::new(StartKind::Exec, b"echo \x1b[31m\xff"));
                kept.push((session, inbox, outbox, half));
            }
            connections.push(registration);
            kept.first().unwrap().0.counters().add_received(3, std::time::Instant::now());
        }
        let requests = Requests::default().with_sessions(&table);
        let listed = async |filter: &str| {
            let mut lines = requests.ask(&format!("sessions {filter}")).await;
            assert_eq!(lines.pop().unwrap(), json!({ "done": {} }));
            lines.into_iter().map(|line| serde_json::from_value::<SessionEntry>(line).unwrap()).collect::<Vec<_>>()
        };
        let all = listed("{}").await;
        assert_eq!(all.len(), 10_000);
        assert_eq!((all[0].id.as_str(), all[1].id.as_str(), all[9_999].id.as_str()), ("1.1", "1.2", "5000.2"));
        let first = (all[0].command.as_deref(), all[0].start.as_deref(), all[0].received, all[0].sent);
        assert_eq!(first, (Some("echo \u{1b}[31m\u{fffd}"), Some("exec"), 15_000, 0));
        assert_eq!(listed("{\"user\":\"user1\",\"tenant\":\"tenant3\"}").await.len(), 1_000);
        assert_eq!(listed("{\"user\":\"user\"}").await.len(), 0);
        assert_eq!(listed("{\"plugin\":\"sh\"}").await.len(), 0);
        kept.retain(|(session, ..)| session.number() != 2);
        let _without = table.register(5_001, Peer::Unknown, Arc::new(|| ()));
        let with = listed("{\"connections\":true}").await;
        assert_eq!((with.len(), with[5_000].id.as_str()), (5_001, "5001"));
        let refused = requests.ask("sessions {\"colour\":\"red\"}").await;
        assert!(refused[0]["error"].as_str().unwrap().contains("is it of another version?"), "{refused:?}");
    }
}
