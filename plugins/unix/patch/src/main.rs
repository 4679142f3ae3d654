//! `patch`: applies differences to files, as diff(1) and git write them.

mod apply;
mod body;
mod error;
mod header;
mod hunk;
mod input;
mod messages;
mod place;
mod reject;
mod settings;
mod target;
mod write;

use std::process::ExitCode;

use crate::apply::Run;
use crate::settings::Refusal;

whelk_guest::whelk_command!();

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let settings = match settings::read(&words) {
        Ok(Some(settings)) => settings,
        Ok(None) => return ExitCode::SUCCESS,
        Err(Refusal::Error(error)) => return error.report(),
        Err(Refusal::Usage(message)) => {
            eprintln!("patch: {message}\npatch: Try 'patch --help' for more information.");
            return ExitCode::from(error::STATUS);
        }
    };
    match Run::new(settings).and_then(Run::all) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => error.report(),
    }
}
