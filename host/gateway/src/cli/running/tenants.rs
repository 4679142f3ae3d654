//! `whelk tenants` without a configuration: what each tenant of the running server has and has used.

use super::shown::{bytes, processor_time, text};
use super::{ServerArguments, print_json, unanswered};
use crate::cli::inspect::aligned;
use crate::cli::outcome::{Failure, failed, print};
use crate::server::control::ask_lines;
use crate::server::control::status::Used;
use crate::server::control::tenants::{TENANTS, TenantEntry, TenantFilter};

pub(super) const HEADER: [&str; 11] =
    ["TENANT", "SESSIONS", "PROC", "MEM", "FILES", "CPU", "DISK", "KEYVALUE", "IN", "OUT", "INSTANCES"];

/// Most characters of a name in the table.
const NAME: usize = 32;

pub(in crate::cli) fn tenants(server: &ServerArguments, tenant: Option<String>, json: bool) -> Result<(), Failure> {
    let folder = server.folder()?;
    let question = format!("{TENANTS} {}", serde_json::to_string(&TenantFilter { tenant }).map_err(failed)?);
    let mut entries = Vec::new();
    // A pager may take long to read: the server waits for a client only a few seconds.
    let listed = ask_lines(&folder, &question, |entry: TenantEntry| {
        entries.push(entry);
        Ok(())
    });
    listed.map_err(unanswered(&folder))?;
    if json {
        return entries.iter().try_for_each(print_json);
    }
    let header = HEADER.map(str::to_owned);
    let rows: Vec<_> = std::iter::once(header).chain(entries.iter().map(row)).collect();
    if entries.is_empty() { print("no tenants\n") } else { print(&aligned(&rows)) }
}

/// The cells of an entry under [`HEADER`].
pub(super) fn row(entry: &TenantEntry) -> [String; 11] {
    let count = |used: &Used| of(used, |number| number.to_string());
    let size = |used: &Option<Used>| used.as_ref().map_or("-".to_owned(), |used| of(used, bytes));
    [
        text(Some(&entry.tenant), NAME),
        count(&entry.sessions),
        count(&entry.processes),
        of(&entry.memory, bytes),
        count(&entry.files),
        processor_time(entry.cpu_ms),
        size(&entry.disk),
        size(&entry.keyvalue),
        bytes(entry.received),
        bytes(entry.sent),
        entry.instances.to_string(),
    ]
}

/// What is in use, and the limit if there is one: `3/1000`.
fn of(used: &Used, shown: impl Fn(u64) -> String) -> String {
    match used.most {
        Some(most) => format!("{}/{}", shown(used.used), shown(most)),
        None => shown(used.used),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_usage_beside_limits_and_a_dash_for_what_is_not_granted() {
        let used = |used, most| Used { used, most };
        let entry = TenantEntry {
            tenant: "ac\nme".to_owned(),
            sessions: used(2, Some(1000)),
            instances: 3,
            processes: used(1, Some(512)),
            memory: used(3 << 20, Some(1 << 30)),
            files: used(0, None),
            cpu_ms: 1500,
            disk: Some(used(2048, Some(1 << 30))),
            disk_files: None,
            keyvalue: None,
            keyvalue_keys: None,
            received: 10,
            sent: 1 << 20,
        };
        let expected = ["ac\\x0ame", "2/1000", "1/512", "3.0M/1.0G", "0", "1.50s", "2.0K/1.0G", "-", "10", "1.0M", "3"];
        assert_eq!(row(&entry), expected);
    }
}
