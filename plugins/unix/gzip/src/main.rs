//! `gzip`, `gunzip` and `zcat`: compresses files, and restores them, with the options of GNU's. The compression is that
//! of `flate2`.

mod files;
mod settings;
mod table;

use std::process::ExitCode;

use unix_common::report;

whelk_guest::whelk_command!();

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match settings::read(&words) {
        Ok(Some(settings)) => ExitCode::from(files::run(&settings)),
        Ok(None) => ExitCode::SUCCESS,
        Err(message) => {
            report::error_as("gzip", &format!("{message}\nTry `gzip --help' for more information."));
            ExitCode::FAILURE
        }
    }
}
