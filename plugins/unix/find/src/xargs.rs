//! `xargs`: runs a command with words from its input.

mod input;
mod jobs;
mod settings;

use std::io::{self, BufReader, Read};

use unix_common::report;

use input::Items;
use jobs::Jobs;
use settings::{Settings, Wrong};

/// Runs `xargs` with the words after its name. The exit status.
pub(crate) fn run(words: &[String]) -> u8 {
    let settings = match settings::read(words) {
        Ok(Some(settings)) => settings,
        Ok(None) => return 0,
        Err(Wrong::Usage(message)) => {
            report::usage_error(&message);
            return 1;
        }
        Err(Wrong::Value(message)) => {
            report::error(&message);
            return 1;
        }
    };
    let reader: Box<dyn Read> = match &settings.file {
        Some(file) if file != "-" => match std::fs::File::open(file) {
            Ok(file) => Box::new(file),
            Err(error) => {
                report::error(&format!("Cannot open input file {}: {}", report::quoted(file), report::words(&error)));
                return 1;
            }
        },
        _ => Box::new(io::stdin()),
    };
    if settings.show_limits {
        eprintln!("Size of command buffer we are actually using: {}", settings.length);
    }
    let items = Items::new(BufReader::new(reader), settings.separator, settings.end.clone());
    let mut jobs = Jobs::new(&settings);
    let result = distribute(&settings, items, &mut jobs);
    let status = jobs.finish();
    match result {
        Ok(()) => status,
        Err(message) => {
            report::error(&message);
            status.max(1)
        }
    }
}

/// Gives the items to commands. The error is a message.
fn distribute(settings: &Settings, mut items: Items, jobs: &mut Jobs<'_>) -> Result<(), String> {
    let fixed: usize = settings.command.iter().map(|word| word.len() + 1).sum();
    let too_long = || "argument line too long".to_owned();
    if fixed > settings.length {
        return Err(too_long());
    }
    let mut ran = false;
    if let Some(replace) = &settings.replace {
        while let Some(item) = items.next_line()? {
            let words: Vec<String> = settings.command.iter().map(|word| word.replace(replace, &item)).collect();
            if words.iter().map(|word| word.len() + 1).sum::<usize>() > settings.length {
                return Err(too_long());
            }
            jobs.start(words)?;
        }
        return Ok(());
    }
    let (mut words, mut length, mut lines) = (Vec::new(), fixed, 0);
    while let Some((item, ends_line)) = items.next_item()? {
        let needed = item.len() + 1;
        if length + needed > settings.length {
            let cut_short = settings.exits && (settings.words.is_some() || settings.lines.is_some());
            if cut_short {
                return Err("argument list too long".to_owned());
            }
            if words.is_empty() {
                return Err(too_long());
            }
            jobs.start(settings.command.iter().cloned().chain(std::mem::take(&mut words)).collect())?;
            (length, ran, lines) = (fixed, true, 0);
            if fixed + needed > settings.length {
                return Err(too_long());
            }
        }
        length += needed;
        words.push(item);
        lines += usize::from(ends_line);
        let full = settings.words.is_some_and(|most| words.len() >= most)
            || settings.lines.is_some_and(|most| lines >= most && ends_line);
        if full {
            jobs.start(settings.command.iter().cloned().chain(std::mem::take(&mut words)).collect())?;
            (length, ran, lines) = (fixed, true, 0);
        }
    }
    if !words.is_empty() || !ran && !settings.skip_empty {
        jobs.start(settings.command.iter().cloned().chain(words).collect())?;
    }
    Ok(())
}
