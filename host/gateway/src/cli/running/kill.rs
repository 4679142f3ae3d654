//! `whelk kill`: ends sessions and connections.

use std::fmt::Write;

use clap::{ArgGroup, Args};

use super::shown::text;
use super::{ServerArguments, print_json, unanswered};
use crate::cli::outcome::{Failure, failed, print};
use crate::server::control::kill::{KILL, KillOutcome, KillRequest, TIME};
use crate::server::control::session_id::{SessionId, without_run};
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
    #[arg(value_name = "ID", conflicts_with_all = ["user", "tenant"])]
    ids: Vec<SessionId>,
    /// All connections of this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// All connections of this tenant's users; with --user those that are of both
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
    let asked: Result<(), Failure> = requests.iter().try_for_each(|request| {
        let question = format!("{KILL} {}", serde_json::to_string(request).map_err(failed)?);
        let answer = ask_within(&folder, &question, TIME).map_err(unanswered(&folder))?;
        let part = serde_json::from_value(answer).map_err(|error| failed(not_understood(&folder, &error)))?;
        add(&mut outcome, part);
        Ok(())
    });
    // What has ended by then is told even if a later request fails.
    if asked.is_ok() || outcome != KillOutcome::default() {
        if json { print_json(&outcome)? } else { print(&report(&outcome))? }
    }
    asked?;
    problems(&outcome).map_or(Ok(()), |problems| Err(failed(problems)))
}

fn add(outcome: &mut KillOutcome, part: KillOutcome) {
    outcome.sessions += part.sessions;
    outcome.connections += part.connections;
    outcome.unknown.extend(part.unknown);
    outcome.remaining.extend(part.remaining);
    outcome.closing.extend(part.closing);
}

/// What has ended, a line each.
pub(super) fn report(outcome: &KillOutcome) -> String {
    let mut report = match (outcome.sessions, outcome.connections) {
        (0, 0) => String::new(),
        (sessions, 0) => format!("ended: {sessions} {}\n", plural(sessions, "session")),
        (sessions, connections) => format!(
            "ended: {connections} {} with {sessions} {}\n",
            plural(connections, "connection"),
            plural(sessions, "session")
        ),
    };
    for id in &outcome.closing {
        let _ = writeln!(report, "{}: is listed until its client closes the channel", text(Some(without_run(id)), 40));
    }
    report
}

pub(super) fn plural(number: u64, word: &str) -> String {
    if number == 1 { word.to_owned() } else { format!("{word}s") }
}

/// What has not ended, a line each; none if everything has.
pub(super) fn problems(outcome: &KillOutcome) -> Option<String> {
    let mut lines = String::new();
    for id in &outcome.unknown {
        let _ = writeln!(lines, "{}: there is no such session or connection", text(Some(id), 40));
    }
    for id in &outcome.remaining {
        let _ = writeln!(lines, "{}: has been told to end, and has not ended yet", text(Some(without_run(id)), 40));
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
        let closing = KillOutcome { closing: vec!["1.2".to_owned()], ..outcome(1, 0) };
        let expected = "ended: 1 session\n1.2: is listed until its client closes the channel\n";
        assert_eq!((report(&closing).as_str(), problems(&closing)), (expected, None));
        assert_eq!(problems(&outcome(1, 0)), None);
        assert_eq!(problems(&outcome(0, 0)).as_deref(), Some("nothing matches"));
        let unknown = KillOutcome { unknown: vec!["9.1".to_owned()], ..outcome(0, 0) };
        assert_eq!(problems(&unknown).as_deref(), Some("9.1: there is no such session or connection"));
        let remaining = KillOutcome { remaining: vec!["1.1".to_owned()], ..outcome(1, 0) };
        assert_eq!(problems(&remaining).as_deref(), Some("1.1: has been told to end, and has not ended yet"));
    }
}
