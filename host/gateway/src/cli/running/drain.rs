//! `whelk drain`: has the running server take no more logins, and exit when its sessions have ended.

use std::time::Duration;

use clap::Args;

use super::shown::seconds;
use super::{ServerArguments, print_json, unanswered};
use crate::cli::outcome::{Failure, failed, print};
use crate::config;
use crate::server::control::drain::{DRAIN, DrainOutcome, DrainRequest};
use crate::server::control::{ask, not_understood};

/// Have the running server stop as SIGTERM does: no new connections, sessions go on, and it exits when none is left or
/// the time is over.
///
/// It cannot be undone, since the addresses are free for the next server. SIGTERM after it stops at once.
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
    if arguments.json { print_json(&outcome) } else { print(&report(&outcome)) }
}

fn report(outcome: &DrainOutcome) -> String {
    let DrainOutcome { begun, left_s, connections, sessions } = outcome;
    let what = if *begun { "draining" } else { "the server was stopping already" };
    format!("{what}: {connections} connections with {sessions} sessions have {}\n", seconds(*left_s))
}
