//! `whelk metrics`: the metrics of the running server, as Prometheus reads them.

use clap::Args;
use serde_json::Value;

use super::{ServerArguments, unanswered};
use crate::cli::outcome::{Failure, failed, print};
use crate::server::control::{METRICS, ask};

/// Print the metrics of the running server, as Prometheus reads them (METRICS.md lists them).
#[derive(Args)]
pub(in crate::cli) struct MetricsArguments {
    #[command(flatten)]
    server: ServerArguments,
    /// In the form of OpenMetrics 1.0
    #[arg(long)]
    openmetrics: bool,
}

pub(in crate::cli) fn metrics(arguments: &MetricsArguments) -> Result<(), Failure> {
    let folder = arguments.server.folder()?;
    let request = if arguments.openmetrics { &format!("{METRICS} openmetrics") } else { METRICS };
    let answer = ask(&folder, request).map_err(unanswered(&folder))?;
    let text = answer.get("text").and_then(Value::as_str);
    print(text.ok_or_else(|| failed("an answer that this whelk does not understand: is it of another version?"))?)
}
