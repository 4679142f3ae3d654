//! `rg`: searches files recursively, with the libraries of ripgrep.

mod options;
mod search;
mod settings;
mod walk;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

use crate::search::Search;
use crate::settings::{Mode, Settings, Sort};
use crate::walk::{Files, Found};

whelk_guest::whelk_command!();

/// The exit status of an error.
const TROUBLE: u8 = 2;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let result = match settings::read(&words) {
        Ok(Some(settings)) => run(&settings),
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => Err(format!("error: {message}")),
    };
    result.unwrap_or_else(|message| {
        eprintln!("{message}");
        ExitCode::from(TROUBLE)
    })
}

fn run(settings: &Settings) -> Result<ExitCode, String> {
    match settings.mode {
        Mode::TypeList => {
            for definition in walk::types(settings)?.definitions() {
                println!("{}: {}", definition.name(), definition.globs().join(", "));
            }
            return Ok(ExitCode::SUCCESS);
        }
        Mode::Files => {
            let mut files = walk::files(settings)?;
            let any = if settings.sort == Sort::Path {
                search::list(&mut files, settings)?
            } else {
                search::list(walk::by_time(&mut files, settings).into_iter(), settings)?
            };
            return Ok(status(any, files.failed, settings));
        }
        _ => {}
    }
    if settings.max_count == Some(0) {
        return Ok(ExitCode::FAILURE);
    }
    let from_input = settings.paths.is_empty() && reads_input();
    let one_file = settings.paths.len() == 1 && settings.paths.iter().all(|path| !Path::new(path).is_dir());
    let mut search = Search::new(settings, !from_input && !one_file)?;
    let mut failed = false;
    if from_input {
        search.input();
    } else {
        let mut files = walk::files(settings)?;
        search_all(&mut search, &mut files, settings);
        files.tell_of_none();
        failed = files.failed;
    }
    search.finish();
    Ok(status(search.matched, failed || search.failed, settings))
}

fn search_all(search: &mut Search<'_>, files: &mut Files, settings: &Settings) {
    let mut one = |found: &Found| {
        if found.is_input {
            search.input();
            return true;
        }
        search.file(found)
    };
    if settings.sort == Sort::Path {
        while files.next().is_some_and(|found| one(&found)) {}
    } else {
        walk::by_time(files, settings).iter().all(one);
    }
}

fn status(matched: bool, failed: bool, settings: &Settings) -> ExitCode {
    match (matched, failed) {
        (true, true) if settings.quiet => ExitCode::SUCCESS,
        (_, true) => ExitCode::from(TROUBLE),
        (true, false) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    }
}

/// Whether the standard input has something to search: a file or a pipe.
fn reads_input() -> bool {
    if io::stdin().is_terminal() {
        return false;
    }
    #[cfg(target_family = "wasm")]
    {
        use whelk_guest::process::{self, Kind};
        process::get(0).is_none_or(|input| matches!(input.kind(), Kind::File | Kind::Pipe))
    }
    #[cfg(not(target_family = "wasm"))]
    {
        use std::os::unix::fs::FileTypeExt;
        std::fs::metadata("/dev/stdin").is_ok_and(|found| found.is_file() || found.file_type().is_fifo())
    }
}
