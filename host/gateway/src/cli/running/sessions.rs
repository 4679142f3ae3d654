//! `whelk sessions`: who is there, and what they do and use.

use std::cmp::Reverse;

use clap::{Args, ValueEnum};

use super::shown::{bytes, local, processor_time, seconds, text};
use super::{ServerArguments, print_json, unanswered};
use crate::cli::inspect::aligned;
use crate::cli::outcome::{Failure, failed, print};
use crate::server::control::ask_lines;
use crate::server::control::session_id::without_run;
use crate::server::control::sessions::{SESSIONS, SessionEntry, SessionFilter};

/// List the sessions of the running server: who, from where, since when, with which plugin and command, and what each
/// uses.
///
/// IDLE: how long no byte has passed either way. CPU: processor time so far. MEM: memory now. IN and OUT: bytes from
/// and to the client. PROC: processes. `whelk kill ID` ends a session, `whelk watch ID` shows it.
#[derive(Args)]
pub(in crate::cli) struct SessionsArguments {
    #[command(flatten)]
    server: ServerArguments,
    /// Only those of this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Only those of this tenant's users
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Only those that this plugin serves
    #[arg(long, value_name = "NAME")]
    plugin: Option<String>,
    /// Also connections without a session
    #[arg(long)]
    connections: bool,
    /// The order of the table
    #[arg(long, value_name = "ORDER", default_value = "user", conflicts_with = "json")]
    sort: Order,
    /// For programs instead of people: one object a line, the oldest connection first
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Order {
    /// By tenant and user, the oldest first
    User,
    /// The newest first
    Since,
    /// The longest first
    Idle,
    /// The most processor time first
    Cpu,
    /// The most memory first
    Memory,
    /// The most bytes moved first
    Traffic,
}

/// Most characters of a name, and of a command, in the table.
const NAME: usize = 32;
const COMMAND: usize = 60;

pub(super) const HEADER: [&str; 13] =
    ["ID", "USER", "TENANT", "PEER", "PLUGIN", "SINCE", "IDLE", "CPU", "MEM", "IN", "OUT", "PROC", "COMMAND"];

pub(in crate::cli) fn sessions(arguments: SessionsArguments) -> Result<(), Failure> {
    let SessionsArguments { server, user, tenant, plugin, connections, sort, json } = arguments;
    let folder = server.folder()?;
    let filter = SessionFilter { user, tenant, plugin, connections };
    let question = format!("{SESSIONS} {}", serde_json::to_string(&filter).map_err(failed)?);
    let mut entries: Vec<SessionEntry> = Vec::new();
    // A pager may take long to read: the server waits for a client only a few seconds.
    let listed = ask_lines(&folder, &question, |entry: SessionEntry| {
        entries.push(entry);
        Ok(())
    });
    listed.map_err(unanswered(&folder))?;
    if json {
        return entries.iter().try_for_each(print_json);
    }
    sort_by(&mut entries, sort);
    print(&table(&entries))
}

fn sort_by(entries: &mut [SessionEntry], order: Order) {
    match order {
        // Those of one user stay in the order of the server, the oldest connection first.
        Order::User => entries.sort_by(|one, other| (&one.tenant, &one.user).cmp(&(&other.tenant, &other.user))),
        Order::Since => entries.sort_by_key(|entry| entry.age_s),
        Order::Idle => entries.sort_by_key(|entry| Reverse(entry.idle_s)),
        Order::Cpu => entries.sort_by_key(|entry| Reverse(entry.cpu_ms)),
        Order::Memory => entries.sort_by_key(|entry| Reverse(entry.memory)),
        Order::Traffic => entries.sort_by_key(|entry| Reverse(entry.received.saturating_add(entry.sent))),
    }
}

fn table(entries: &[SessionEntry]) -> String {
    if entries.is_empty() {
        return "no sessions\n".to_owned();
    }
    let header = HEADER.map(str::to_owned);
    let rows: Vec<_> = std::iter::once(header).chain(entries.iter().map(row)).collect();
    aligned(&rows)
}

/// The cells of an entry under [`HEADER`].
pub(super) fn row(entry: &SessionEntry) -> [String; 13] {
    let plugin = entry.plugin.as_ref().zip(entry.generation).map(|(name, generation)| format!("{name}:{generation}"));
    let command = match (entry.start.as_deref(), entry.command.as_deref()) {
        (Some("exec"), command) => text(command, COMMAND),
        (Some("subsystem"), Some(name)) => text(Some(&format!("({name})")), COMMAND),
        (start, _) => text(start.map(|start| format!("({start})")).as_deref(), COMMAND),
    };
    let is_session = entry.session.is_some();
    let of_session = |figure: String| if is_session { figure } else { "-".to_owned() };
    [
        text(Some(without_run(&entry.id)), NAME),
        text(entry.user.as_deref(), NAME),
        text(entry.tenant.as_deref(), NAME),
        text(Some(&entry.peer), NAME * 2),
        text(plugin.as_deref(), NAME),
        local(&entry.since),
        entry.idle_s.map_or("-".to_owned(), seconds),
        of_session(processor_time(entry.cpu_ms)),
        of_session(bytes(entry.memory)),
        bytes(entry.received),
        bytes(entry.sent),
        of_session(if entry.ending { "ending".to_owned() } else { entry.processes.to_string() }),
        command,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, user: &str, cpu_ms: u64) -> SessionEntry {
        SessionEntry {
            id: id.to_owned(),
            connection: "7f3a9c21-42".to_owned(),
            session: Some(1),
            channel: Some(0),
            user: Some(user.to_owned()),
            tenant: Some("acme".to_owned()),
            method: Some("publickey".to_owned()),
            peer: "192.0.2.1:5022".to_owned(),
            connected: String::new(),
            plugin: Some("sh".to_owned()),
            generation: Some(3),
            start: Some("exec".to_owned()),
            command: Some("echo hi".to_owned()),
            since: String::new(),
            age_s: 70,
            idle_s: Some(65),
            cpu_ms,
            memory: 3 << 20,
            processes: 2,
            received: 10,
            sent: 2048,
            ending: false,
        }
    }

    #[test]
    fn what_users_chose_cannot_steer_the_terminal_or_forge_a_row() {
        let hostile = SessionEntry {
            command: Some("\u{1b}[2J\nroot  acme\u{202e}\u{9b}1m".to_owned()),
            plugin: Some("a\rb".to_owned()),
            ..entry("1.1", "al\u{7}ice\u{1b}]52;c;eA==\u{7}", 0)
        };
        let shown = table(&[hostile]);
        assert_eq!(shown.lines().count(), 2);
        assert!(shown.chars().all(|character| character == '\n' || (' '..='~').contains(&character)), "{shown:?}");
    }

    #[test]
    fn the_table_is_in_the_order_that_was_asked_for() {
        let mut entries = [entry("1.1", "zoe", 5), entry("2.1", "alice", 900), entry("10.1", "alice", 70_000)];
        let ids = |entries: &[SessionEntry]| entries.iter().map(|entry| entry.id.clone()).collect::<Vec<_>>();
        sort_by(&mut entries, Order::User);
        assert_eq!(ids(&entries), ["2.1", "10.1", "1.1"]);
        sort_by(&mut entries, Order::Cpu);
        assert_eq!(ids(&entries), ["10.1", "2.1", "1.1"]);
        let shown = table(&entries[..1]);
        let row: Vec<&str> = shown.lines().nth(1).unwrap().split_whitespace().collect();
        let expected = ["10.1", "alice", "acme", "192.0.2.1:5022", "sh:3", "1m05s", "1m10s", "3.0M", "10", "2.0K", "2"];
        assert_eq!(row, [&expected[..], &["echo", "hi"]].concat());
        assert_eq!(table(&[]), "no sessions\n");
    }
}
