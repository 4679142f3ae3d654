//! What the page shows and does: the answers of the server, as tables of texts.
//!
//! The texts are those of the tables of `whelk sessions` and others: no character of them steers anything.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cli::inspect::flat::{PluginRows, plugin_rows};
use crate::cli::running::shown::{local, text};
use crate::cli::running::{kill, sessions, status, tenants};
use crate::server::control::kill::{KILL, KillOutcome, KillRequest, TIME};
use crate::server::control::session_id::{SessionId, without_run};
use crate::server::control::sessions::{SESSIONS, SessionEntry, SessionFilter};
use crate::server::control::status::{STATUS, ServerStatus};
use crate::server::control::tenants::{TENANTS, TenantEntry, TenantFilter};
use crate::server::control::{PLUGINS, Unanswered, ask, ask_lines, ask_within, not_understood};

/// Most characters of a name.
const NAME: usize = 64;
/// Most characters of a reason.
const REASON: usize = 200;

/// A table of the page.
#[derive(Debug, PartialEq, Serialize)]
struct PageTable {
    columns: Vec<&'static str>,
    rows: Vec<PageRow>,
    /// How many rows are left out.
    more: usize,
}

/// A row of a table.
#[derive(Debug, PartialEq, Serialize)]
struct PageRow {
    /// Tells it from all other rows of the table.
    id: String,
    cells: Vec<String>,
    /// The session or connection that it is, if that can be ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
}

/// What the page asks to end, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndRequest {
    id: String,
    reason: String,
}

/// Everything that the page shows, with at most so many rows of each table.
///
/// # Errors
/// The server does not answer, or is of another version.
pub(super) fn state(folder: &Path, most: usize) -> Result<Value, String> {
    let failed = |unanswered: Unanswered| unanswered.reason(folder);
    let status = ask(folder, STATUS).map_err(failed)?;
    let status: ServerStatus = serde_json::from_value(status).map_err(|error| not_understood(folder, &error))?;
    let sessions: Vec<SessionEntry> =
        listed(folder, SESSIONS, &SessionFilter { connections: true, ..SessionFilter::default() })?;
    let tenants: Vec<TenantEntry> = listed(folder, TENANTS, &TenantFilter::default())?;
    let PluginRows { plugins, refused, notes } = plugin_rows(&ask(folder, PLUGINS).map_err(failed)?);
    let tenants = tenants.iter().map(|tenant| of_cells(tenants::row(tenant), 1));
    let plugins = plugins.into_iter().map(|cells| of_cells(cells, 4));
    let refused = refused.into_iter().map(|cells| of_cells(cells, 2));
    Ok(json!({
        "status": status::rows(&status),
        "near": status::near(&status),
        "tables": {
            "sessions": session_table(&sessions, most),
            "logins": login_table(&sessions, most),
            "tenants": table(&tenants::HEADER, tenants, most),
            "plugins": table(&PluginRows::HEADER, plugins, most),
            "refused": table(&PluginRows::REFUSED_HEADER, refused, most),
        },
        "notes": notes,
    }))
}

/// Ends a session or a connection, and says what has ended.
///
/// # Errors
/// The server does not answer, or refuses.
pub(super) fn end(folder: &Path, request: EndRequest) -> Result<String, String> {
    let id: SessionId = request.id.parse()?;
    let reason: String = request.reason.trim().chars().take(REASON).collect();
    let reason = Some(reason).filter(|reason| !reason.is_empty());
    let request = KillRequest { ids: vec![id.to_string()], reason, ..KillRequest::default() };
    let question = format!("{KILL} {}", serde_json::to_string(&request).map_err(|error| error.to_string())?);
    let answer = ask_within(folder, &question, TIME).map_err(|unanswered| unanswered.reason(folder))?;
    let outcome: KillOutcome = serde_json::from_value(answer).map_err(|error| not_understood(folder, &error))?;
    Ok(kill::report(&outcome) + &kill::problems(&outcome).map(|problems| problems + "\n").unwrap_or_default())
}

/// The whole answer to the request for a list.
fn listed<T: for<'e> Deserialize<'e>>(folder: &Path, name: &str, filter: &impl Serialize) -> Result<Vec<T>, String> {
    let question = format!("{name} {}", serde_json::to_string(filter).map_err(|error| error.to_string())?);
    let mut entries = Vec::new();
    let listed = ask_lines(folder, &question, |entry: T| {
        entries.push(entry);
        Ok(())
    });
    listed.map_err(|unanswered| unanswered.reason(folder))?;
    Ok(entries)
}

fn table(columns: &[&'static str], rows: impl ExactSizeIterator<Item = PageRow>, most: usize) -> PageTable {
    let more = rows.len().saturating_sub(most);
    PageTable { columns: columns.to_vec(), rows: rows.take(most).collect(), more }
}

/// A row that so many cells tell from all others.
fn of_cells<const COLUMNS: usize>(cells: [String; COLUMNS], keys: usize) -> PageRow {
    let id = cells.iter().take(keys).cloned().collect::<Vec<_>>().join("\n");
    PageRow { id, cells: cells.into(), end: None }
}

fn session_table(entries: &[SessionEntry], most: usize) -> PageTable {
    let mut sessions: Vec<&SessionEntry> = entries.iter().filter(|entry| entry.session.is_some()).collect();
    sessions.sort_by_key(|entry| (&entry.tenant, &entry.user));
    let row = |entry: &SessionEntry| {
        let end = Some(entry.id.clone()).filter(|_| !entry.ending);
        PageRow { id: entry.id.clone(), cells: sessions::row(entry).into(), end }
    };
    table(&sessions::HEADER, sessions.into_iter().map(row), most)
}

/// A row for each connection, with those that have not logged in.
fn login_table(entries: &[SessionEntry], most: usize) -> PageTable {
    const COLUMNS: [&str; 7] = ["ID", "USER", "TENANT", "METHOD", "PEER", "SINCE", "SESSIONS"];
    let mut order: Vec<&SessionEntry> = Vec::new();
    let mut sessions: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in entries {
        let count = sessions.entry(&entry.connection).or_insert_with(|| {
            order.push(entry);
            0
        });
        *count += usize::from(entry.session.is_some());
    }
    order.sort_by_key(|entry| (&entry.tenant, &entry.user));
    let row = |entry: &SessionEntry| {
        let id = entry.id.split('.').next().unwrap_or_default().to_owned();
        let count = sessions.get(entry.connection.as_str()).copied().unwrap_or_default();
        let cells = vec![
            text(Some(without_run(&id)), NAME),
            text(entry.user.as_deref(), NAME),
            text(entry.tenant.as_deref(), NAME),
            text(entry.method.as_deref(), NAME),
            text(Some(&entry.peer), NAME),
            local(&entry.connected),
            count.to_string(),
        ];
        PageRow { id: id.clone(), cells, end: Some(id) }
    };
    table(&COLUMNS, order.into_iter().map(row), most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, user: Option<&str>, session: Option<u64>) -> SessionEntry {
        let connection = format!("7f3a9c21-{}", id.split('.').next().unwrap());
        let user = user.map(str::to_owned);
        SessionEntry { id: id.to_owned(), connection, user, session, ..SessionEntry::default() }
    }

    #[test]
    fn sessions_and_logins_are_tables_of_harmless_texts() {
        let hostile = "<script>\u{1b}]52;c;eA==\u{7}</script>";
        let entries = [
            entry("2.1", Some("zoe"), Some(1)),
            entry("2.2", Some("zoe"), Some(2)),
            entry("3", None, None),
            SessionEntry {
                command: Some(hostile.to_owned()),
                start: Some("exec".to_owned()),
                ..entry("4.1", Some("alice\u{202e}"), Some(1))
            },
            SessionEntry { ending: true, ..entry("5.1", Some("bob"), Some(1)) },
        ];
        let sessions = session_table(&entries, 10);
        let ids: Vec<_> = sessions.rows.iter().map(|row| (row.id.as_str(), row.end.as_deref())).collect();
        assert_eq!(ids, [("4.1", Some("4.1")), ("5.1", None), ("2.1", Some("2.1")), ("2.2", Some("2.2"))]);
        let shown = &sessions.rows[0].cells;
        assert_eq!(
            (shown[1].as_str(), shown[12].as_str()),
            ("alice\\u{202e}", "<script>\\x1b]52;c;eA==\\x07</script>")
        );
        let logins = login_table(&entries, 3);
        let rows = logins.rows.iter().map(|row| [&row.id, &row.cells[1], &row.cells[6]].map(String::as_str));
        assert_eq!(rows.collect::<Vec<_>>(), [["3", "-", "0"], ["4", "alice\\u{202e}", "1"], ["5", "bob", "1"]]);
        assert_eq!(logins.more, 1);
    }

    #[test]
    fn what_is_no_session_cannot_be_ended() {
        let folder = tempfile::tempdir().unwrap();
        let asked = |id: &str| end(folder.path(), EndRequest { id: id.to_owned(), reason: String::new() }).unwrap_err();
        assert!(asked("1.1").starts_with("no whelk is running"));
        for wrong in ["", "x", "1.1\nkill 2", "-1"] {
            assert!(!asked(wrong).starts_with("no whelk"), "{wrong}");
        }
    }
}
