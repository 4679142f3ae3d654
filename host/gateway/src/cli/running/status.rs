//! `whelk status`: how the running server is.

use clap::Args;

use super::shown::{bytes, local, seconds, text};
use super::{ServerArguments, print_json, unanswered};
use crate::cli::inspect::aligned;
use crate::cli::outcome::{Failure, failed, print};
use crate::server::control::status::{NearLimit, STATUS, ServerStatus, Used};
use crate::server::control::{ask, not_understood};

/// Say how the running server is: version, uptime, addresses, connections, sessions, memory, plugins, whether it is
/// draining, and which limits are near.
#[derive(Args)]
pub(in crate::cli) struct StatusArguments {
    #[command(flatten)]
    server: ServerArguments,
    /// For programs instead of people
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn status(arguments: &StatusArguments) -> Result<(), Failure> {
    let folder = arguments.server.folder()?;
    let answer = ask(&folder, STATUS).map_err(unanswered(&folder))?;
    let status: ServerStatus =
        serde_json::from_value(answer).map_err(|error| failed(not_understood(&folder, &error)))?;
    if arguments.json { print_json(&status) } else { print(&report(&status)) }
}

fn report(status: &ServerStatus) -> String {
    let mut report = aligned(&rows(status).map(|(name, value)| [name.to_owned(), value]));
    near(status).iter().for_each(|line| report.extend([line.as_str(), "\n"]));
    report
}

/// What is said of the server, with the name of each value.
pub(super) fn rows(status: &ServerStatus) -> [(&'static str, String); 12] {
    let count = |used: &Used| of(used, |number| number.to_string());
    let state = match status.drain_left_s {
        Some(left) => format!("{} (sessions have {})", text(Some(&status.state), 20), seconds(left)),
        None => text(Some(&status.state), 20),
    };
    let preparing = match status.plugins.preparing {
        0 => String::new(),
        preparing => format!(", {preparing} more being compiled"),
    };
    let listeners = status.listeners.iter().map(|address| text(Some(address), 64)).collect::<Vec<_>>().join(", ");
    [
        ("version", text(Some(&status.version), 40)),
        ("state", state),
        ("since", format!("{} ({})", local(&status.since), seconds(status.uptime_s))),
        ("process", format!("{}, run {}", status.pid, text(Some(&status.run), 20))),
        ("listening", if listeners.is_empty() { "-".to_owned() } else { listeners }),
        ("connections", count(&status.connections)),
        ("sessions", status.sessions.to_string()),
        ("instances", count(&status.instances)),
        ("memory", of(&status.memory, bytes)),
        ("open files", count(&status.files)),
        ("plugins", format!("{}{preparing}, {} refused", status.plugins.served, status.plugins.refused)),
        ("tenants", status.tenants.to_string()),
    ]
}

/// The limits that are near, a line each.
pub(super) fn near(status: &ServerStatus) -> Vec<String> {
    let line = |NearLimit { tenant, setting, used, limit }: &NearLimit| {
        let whose = tenant.as_ref().map(|tenant| format!("tenant {}: ", text(Some(tenant), 64))).unwrap_or_default();
        format!("near its limit: {whose}{}: {used} of {limit}", text(Some(setting), 64))
    };
    status.near.iter().map(line).collect()
}

fn of(used: &Used, shown: impl Fn(u64) -> String) -> String {
    match used.most {
        Some(most) => format!("{} of {}", shown(used.used), shown(most)),
        None => shown(used.used),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::control::status::PluginCounts;

    #[test]
    fn a_report_names_each_limit_that_is_near() {
        let used = |used, most| Used { used, most: Some(most) };
        let tenant = Some("acme\u{1b}".to_owned());
        let near = NearLimit { tenant, setting: "tenant_sessions".to_owned(), used: 9, limit: 10 };
        let status = ServerStatus {
            version: "0.1.0".to_owned(),
            run: "7f3a9c21".to_owned(),
            pid: 7,
            since: "2026-11-30T10:00:00Z".to_owned(),
            uptime_s: 3700,
            state: "draining".to_owned(),
            drain_left_s: Some(25),
            listeners: vec!["127.0.0.1:2222".to_owned(), "[::1]:2222".to_owned()],
            connections: used(2, 1000),
            sessions: 3,
            instances: used(4, 10_000),
            memory: used(3 << 20, 4 << 30),
            files: Used { used: 1, most: None },
            plugins: PluginCounts { served: 5, preparing: 1, refused: 0 },
            tenants: 1,
            near: vec![near],
        };
        let report = report(&status);
        for line in [
            "state        draining (sessions have 25s)",
            "listening    127.0.0.1:2222, [::1]:2222",
            "connections  2 of 1000",
            "memory       3.0M of 4.0G",
            "open files   1",
            "plugins      5, 1 more being compiled, 0 refused",
            "near its limit: tenant acme\\x1b: tenant_sessions: 9 of 10",
        ] {
            assert!(report.lines().any(|has| has == line), "{line}\n{report}");
        }
    }
}
