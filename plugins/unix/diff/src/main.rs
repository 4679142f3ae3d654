//! `diff` and `cmp`: compares files. Which one it is says the name that it is called by.

mod bytes;
mod changes;
mod folders;
mod lines;
mod print;
mod settings;
mod side;

use std::process::ExitCode;

use unix_common::report;

whelk_guest::whelk_command!();

/// The exit status of an error.
const TROUBLE: u8 = 2;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if report::program() == "cmp" {
        return ExitCode::from(bytes::run(&words));
    }
    match settings::read(&words) {
        Ok(Some(settings)) => ExitCode::from(folders::run(&settings)),
        Ok(None) => ExitCode::SUCCESS,
        Err(message) => {
            report::error(&message);
            eprintln!("diff: Try 'diff --help' for more information.");
            ExitCode::from(TROUBLE)
        }
    }
}
