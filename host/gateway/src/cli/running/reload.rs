//! `whelk reload`: tells the running server to read its configuration again.

use std::time::Duration;

use super::ServerArguments;
use crate::cli::outcome::{Failure, failed, print, wrong};
use crate::server::control::{self, Unanswered};
use crate::server::reload::{NeedsRestart, RELOAD, RELOAD_TIME, ReloadOutcome};

/// How long to wait for the answer: longer than the server lets it take, so that the server's own error arrives.
const ANSWER_TIME: Duration = RELOAD_TIME.saturating_add(Duration::from_secs(30));
/// The exit status when everything takes effect except what needs a restart.
const RESTART: u8 = 3;

pub(in crate::cli) fn reload(server: &ServerArguments) -> Result<(), Failure> {
    let is_of_file = server.config.is_some();
    let folder = server.folder()?;
    let answer = control::ask_within(&folder, RELOAD, ANSWER_TIME);
    let answer = answer.map_err(|unanswered| {
        let hint = match unanswered {
            // It is looked for where the next start would be.
            Unanswered::Nobody if is_of_file => " (if `state` was changed, name the old folder by --state)",
            Unanswered::Nobody | Unanswered::Failed(_) => "",
        };
        failed(unanswered.reason(&folder) + hint)
    })?;
    let unknown = |error| failed(control::not_understood(&folder, &error));
    match serde_json::from_value(answer).map_err(unknown)? {
        ReloadOutcome::Refused(problems) => Err(wrong(problems)),
        ReloadOutcome::Failed(reason) => Err(failed(reason)),
        ReloadOutcome::Done { notes, summary, restart } => {
            let notes: String = notes.iter().map(|note| format!("{note}\n")).collect();
            print(&format!("{notes}reloaded: {summary}\n"))?;
            if restart.is_empty() {
                return Ok(());
            }
            let line = |NeedsRestart { setting, running, configured }: &NeedsRestart| {
                format!("{setting}: still {running}, the file says {configured}: restart to apply")
            };
            Err(Failure { status: RESTART, text: restart.iter().map(line).collect::<Vec<_>>().join("\n") })
        }
    }
}
