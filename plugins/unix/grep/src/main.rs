//! `grep`, `egrep` and `fgrep`: prints the lines that match a pattern, with the options of GNU's. The search is that of
//! ripgrep's library (`grep-searcher`).

mod files;
mod output;
mod pattern;
mod settings;

use std::io::{self, Write};
use std::process::ExitCode;

use unix_common::report;

whelk_guest::whelk_command!();

/// The exit status after an error.
const TROUBLE: u8 = 2;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let settings = match settings::read(&words) {
        Ok(settings::Asked::Search(settings)) => settings,
        Ok(settings::Asked::Text(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprint!("{message}");
            return ExitCode::from(TROUBLE);
        }
    };
    let pattern = match pattern::Pattern::new(&settings) {
        Ok(pattern) => pattern,
        Err(message) => {
            report::error(&message);
            return ExitCode::from(TROUBLE);
        }
    };
    let mut search = files::Search::new(&settings, &pattern);
    let result = search.run().and_then(|()| search.out.flush());
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::from(TROUBLE),
        Err(error) => {
            report::error(&format!("write error: {}", report::words(&error)));
            return ExitCode::from(TROUBLE);
        }
        Ok(()) => {}
    }
    match (search.selected, search.failed) {
        (true, true) if settings.quiet => ExitCode::SUCCESS,
        (_, true) => ExitCode::from(TROUBLE),
        (true, false) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    }
}
