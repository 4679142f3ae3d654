//! `whelk kill`: ends sessions and connections.

use std::fmt::Write;

use clap::{ArgGroup, Args};

use super::shown::text;
use super::{ServerArguments, print_json, unanswered};
use crate::cli::outcome::{Failure, failed, print};
use crate::server::control::kill::{KILL, KillOutcome, KillRequest, TIME};
use crate::server::control::session_id::SessionId;
use crate::server::control::{ask_within, not_understood};

/// Most names in one request.
const AT_ONCE: usize = 500;

/// End sessions or connections of the running server. Their clients are told the reason.
///
/// Exit status: 0 if everything named has ended; 1 if nothing matches, if an ID names nothing, or if something has not
/// ended in time. The audit records who asked.
#[derive(Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true).args(["ids", "user", "tenant"]))]
pub(in crate::cli) struct KillArguments {
    #[command(flatten)]
    server: ServerArguments,
    /// Sessions, such as 42.1, and connections, such as 42, as `whelk sessions` and the log name them
    #[arg(value_name = "ID")]
    ids: Vec<SessionId>,
    /// All connections of this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// All connections of this tenant's users
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// What the clients are told
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// For programs instead of people
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn kill(arguments: KillArguments) -> Result<(), Failure> {
    let KillArguments { server, ids, user, tenant, reason, json } = arguments;
    let folder = server.folder()?;
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let mut requests: Vec<KillRequest> = ids
        .chunks(AT_ONCE)
        .map(|ids| KillRequest { ids: ids.to_vec(), reason: reason.clone(), ..KillRequest::default() })
        .collect();
    if user.is_some() || tenant.is_some() {
        requests.push(KillRequest { user, tenant, reason, ..KillRequest::default() });
    }
    let mut outcome = KillOutcome::default();
    for request in requests {
        let question = format!("{KILL} {}", serde_json::to_string(&request).map_err(failed)?);
        let answer = ask_within(&folder, &question, TIME).map_err(unanswered(&folder))?;
        let part: KillOutcome =
            serde_json::from_value(answer).map_err(|error| failed(not_understood(&folder, &error)))?;
        outcome.sessions += part.sessions;
        outcome.connections += part.connections;
        outcome.unknown.extend(part.unknown);
        outcome.remaining.extend(part.remaining);
    }
    if json {
        print_json(&outcome)?
    } else {
        print(&report(&outcome))?
    }
    problems(&outcome).map_or(Ok(()), |problems| Err(failed(problems)))
}

fn report(outcome: &KillOutcome) -> String {
    match (outcome.sessions, outcome.connections) {
        (0, 0) => String::new(),
        (sessions, 0) => format!("ended: {sessions} {}\n", plural(sessions, "session")),
        (sessions, connections) => format!(
            "ended: {connections} {} with {sessions} {}\n",
            plural(connections, "connection"),
            plural(sessions, "session")
        ),
    }
}

fn plural(number: u64, word: &str) -> String {
    if number == 1 { word.to_owned() } else { format!("{word}s") }
}

/// Why the exit status is 1, if it is.
fn problems(outcome: &KillOutcome) -> Option<String> {
    let mut lines = String::new();
    for id in &outcome.unknown {
        let _ = writeln!(lines, "{}: there is no such session or connection", text(Some(id), 40));
    }
    for id in &outcome.remaining {
        let _ = writeln!(lines, "{}: has been told to end, and has not ended yet", text(Some(id), 40));
    }
    if lines.is_empty() && outcome.sessions + outcome.connections == 0 {
        lines.push_str("nothing matches");
    }
    (!lines.is_empty()).then(|| lines.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_ended_is_counted_and_what_was_not_is_named() {
        let outcome = |sessions, connections| KillOutcome { sessions, connections, ..KillOutcome::default() };
        let reports = [(1, 0), (2, 0), (2, 1), (1, 2), (0, 1)].map(|(one, two)| report(&outcome(one, two)));
        let expected = [
            "ended: 1 session\n",
            "ended: 2 sessions\n",
            "ended: 1 connection with 2 sessions\n",
            "ended: 2 connections with 1 session\n",
            "ended: 1 connection with 0 sessions\n",
        ];
        assert_eq!(reports, expected);
        assert_eq!(problems(&outcome(1, 0)), None);
        assert_eq!(problems(&outcome(0, 0)).as_deref(), Some("nothing matches"));
        let unknown = KillOutcome { unknown: vec!["9.1".to_owned()], ..outcome(0, 0) };
        assert_eq!(problems(&unknown).as_deref(), Some("9.1: there is no such session or connection"));
        let remaining = KillOutcome { remaining: vec!["1.1".to_owned()], ..outcome(1, 0) };
        assert_eq!(problems(&remaining).as_deref(), Some("1.1: has been told to end, and has not ended yet"));
    }
}
