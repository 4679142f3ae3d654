//! `whelk drain`: has the running server take no more logins, and exit when its sessions have ended.

use std::time::Duration;

use clap::Args;

use super::kill::plural;
use super::shown::seconds;
use super::{ServerArguments, print_json, unanswered};
use crate::cli::outcome::{Failure, failed, print};
use crate::config;
use crate::server::control::drain::{DRAIN, DrainOutcome, DrainRequest};
use crate::server::control::{ask, not_understood};

/// Have the running server stop as SIGTERM does: no new connections, sessions go on, and it exits when none is left or
/// the time is over.
///
/// It cannot be undone. The addresses are free for another server at once; until one binds them, nobody can connect.
/// The server exits with status 0: systemd does not start it again with Restart=on-failure. SIGTERM after it stops at
/// once.
///
/// Exit status: 0 if it drains now; 1 if it was stopping already: then --time changes nothing.
#[derive(Args)]
pub(in crate::cli) struct DrainArguments {
    #[command(flatten)]
    server: ServerArguments,
    /// How long sessions have, such as "10 min" [default: `drain` of the configuration]
    #[arg(long, value_name = "TIME", value_parser = config::parse_time)]
    time: Option<Duration>,
    /// For programs instead of people
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn drain(arguments: &DrainArguments) -> Result<(), Failure> {
    let folder = arguments.server.folder()?;
    let time_ms = arguments.time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let question = format!("{DRAIN} {}", serde_json::to_string(&DrainRequest { time_ms }).map_err(failed)?);
    let answer = ask(&folder, &question).map_err(unanswered(&folder))?;
    let outcome: DrainOutcome =
        serde_json::from_value(answer).map_err(|error| failed(not_understood(&folder, &error)))?;
    if arguments.json {
        print_json(&outcome)?
    } else {
        print(&report(&outcome))?
    }
    if outcome.begun {
        return Ok(());
    }
    Err(failed("the server was stopping already: the time that its sessions have is as it was"))
}

fn report(outcome: &DrainOutcome) -> String {
    let DrainOutcome { connections, sessions, .. } = *outcome;
    let (connection, session) = (plural(connections, "connection"), plural(sessions, "session"));
    let left = seconds(outcome.left_s);
    format!("draining: {connections} {connection} with {sessions} {session}; time left {left}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_connections_and_sessions() {
        let outcome = DrainOutcome { begun: true, left_s: 600, connections: 1, sessions: 2 };
        assert_eq!(report(&outcome), "draining: 1 connection with 2 sessions; time left 10m00s\n");
    }
}
