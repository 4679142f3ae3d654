//! `whelk reload`: tells the running server to read its configuration again.

use std::path::{Path, PathBuf};

use super::outcome::{Failure, failed, print, wrong};
use super::plugin::running_state;
use crate::server::control;
use crate::server::reload::{NeedsRestart, RELOAD, RELOAD_TIME, ReloadOutcome};

/// The exit status when everything takes effect except what needs a restart.
const RESTART: u8 = 3;

pub(super) fn reload(config: Option<&Path>, state: Option<PathBuf>) -> Result<(), Failure> {
    let folder = running_state(config, state)?;
    let answer = control::ask_within(&folder, RELOAD, RELOAD_TIME);
    let answer = answer.map_err(|unanswered| failed(unanswered.reason(&folder)))?;
    let unknown =
        |error| failed(format!("{}: an answer that this whelk does not understand: {error}", folder.display()));
    match serde_json::from_value(answer).map_err(unknown)? {
        ReloadOutcome::Refused(problems) => Err(wrong(problems)),
        ReloadOutcome::Done { notes, summary, restart } => {
            let notes: String = notes.iter().map(|note| format!("{note}\n")).collect();
            print(&format!("{notes}reloaded: {summary}\n"))?;
            if restart.is_empty() {
                return Ok(());
            }
            let line = |NeedsRestart { setting, running, configured }: &NeedsRestart| {
                format!("{setting}: takes effect after a restart: {running} now, {configured} in the configuration")
            };
            Err(Failure { status: RESTART, text: restart.iter().map(line).collect::<Vec<_>>().join("\n") })
        }
    }
}
