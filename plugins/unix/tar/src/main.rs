//! `tar`: keeps files in an archive, with the options of GNU's. The format is that of the crate `tar`, the compression
//! that of `flate2`.

mod archive;
mod create;
mod extract;
mod list;
mod names;
mod settings;

use std::process::ExitCode;

use unix_common::report;

use crate::settings::{Settings, Task};

whelk_guest::whelk_command!();

/// The exit status after an error.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let settings = match settings::read(&words) {
        Ok(Some(settings)) => settings,
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => {
            report::error(&message);
            eprintln!("Try 'tar --help' or 'tar --usage' for more information.");
            // EX_USAGE
            let unknown = message.starts_with("invalid option") || message.starts_with("unrecognized option");
            return ExitCode::from(if unknown { 64 } else { FAILED });
        }
    };
    match run(&settings) {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => {
            report::error("Exiting with failure status due to previous errors");
            ExitCode::from(FAILED)
        }
        Err(message) => {
            report::error(&message);
            report::error("Error is not recoverable: exiting now");
            ExitCode::from(FAILED)
        }
    }
}

/// Does what is asked. Whether something went wrong that did not end it; the error is a message.
fn run(settings: &Settings) -> Result<bool, String> {
    match settings.task {
        Task::Create | Task::Append | Task::Update => create::run(settings),
        Task::List => list::run(settings),
        Task::Extract => extract::run(settings),
    }
}
