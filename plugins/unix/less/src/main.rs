//! `less` and `more`: shows a text page by page. The text may come from a pipe: keys come from the terminal.

mod pager;
mod rows;
mod settings;
mod text;

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::process::ExitCode;

use unix_common::report;
use unix_common::tty::Raw;

use crate::pager::Pager;
use crate::settings::Settings;
use crate::text::Text;

whelk_guest::whelk_command!();

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let settings = match settings::read(&words) {
        Ok(Some(settings)) => settings,
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => {
            report::error(&message);
            return ExitCode::FAILURE;
        }
    };
    if settings.is_more && !io::stdout().is_terminal() && !settings.files.is_empty() {
        return match more_all(&settings.files) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                report::error(&report::words(&error));
                ExitCode::FAILURE
            }
            _ => ExitCode::SUCCESS,
        };
    }
    let (texts, failed) = open(&settings);
    if texts.is_empty() {
        return ExitCode::FAILURE;
    }
    let result = if io::stdout().is_terminal() {
        show(texts, &settings)
    } else {
        texts.into_iter().try_for_each(|(_, mut reader)| io::copy(&mut reader, &mut io::stdout().lock()).map(|_| ()))
    };
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            report::error(&report::words(&error));
            ExitCode::FAILURE
        }
        _ if failed => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// `more` without a terminal: each text below its name. One that cannot be read is no failure.
fn more_all(names: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for name in names {
        if fs::metadata(name).is_ok_and(|found| found.is_dir()) {
            write!(out, "\n*** {name}: directory ***\n\n")?;
            continue;
        }
        match File::open(name) {
            Ok(mut file) => {
                write!(out, "{MARK}\n{name}\n{MARK}\n")?;
                io::copy(&mut file, &mut out)?;
            }
            Err(error) => report::error(&format!("cannot open {name}: {}", report::words(&error))),
        }
    }
    Ok(())
}

/// What `more` prints around a name.
const MARK: &str = "::::::::::::::";

type Source = (String, Box<dyn Read>);

/// Opens all texts. Whether any could not be.
fn open(settings: &Settings) -> (Vec<Source>, bool) {
    let (mut texts, mut failed) = (Vec::<Source>::new(), false);
    if settings.files.is_empty() {
        if io::stdin().is_terminal() {
            eprintln!("Missing filename (\"less --help\" for help)");
            return (texts, true);
        }
        texts.push((String::new(), Box::new(io::stdin())));
    }
    for name in &settings.files {
        if name == "-" {
            texts.push((String::new(), Box::new(io::stdin())));
        } else if fs::metadata(name).is_ok_and(|found| found.is_dir()) {
            eprintln!("{name} is a directory");
            failed = true;
        } else {
            match File::open(name) {
                Ok(file) => texts.push((name.clone(), Box::new(file))),
                Err(error) => {
                    eprintln!("{name}: {}", report::words(&error));
                    failed = true;
                }
            }
        }
    }
    (texts, failed)
}

fn show(texts: Vec<Source>, settings: &Settings) -> io::Result<()> {
    let texts = texts.into_iter().map(|(name, reader)| Text::new(&name, reader)).collect();
    let mut pager = Pager::new(texts, settings);
    if settings.quit_if_one_screen && pager.fits()? {
        return pager.print_all();
    }
    let mut keys = Raw::open()?;
    let mut out = io::stdout();
    let screen = !settings.no_screen;
    if screen {
        write!(out, "\x1b[?1049h")?;
    }
    let result = pager.run(&mut keys);
    write!(out, "\r\x1b[K")?;
    if screen {
        write!(out, "\x1b[?1049l")?;
    }
    out.flush()?;
    result
}
