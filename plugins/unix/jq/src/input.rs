//! The values that a filter gets.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::iter;

use jaq_json::{Val, read};
use unix_common::report;

use crate::settings::Settings;

/// The values of the input, each or an error as a message.
pub(crate) type Values = Box<dyn Iterator<Item = Result<Val, String>>>;

/// The inputs of the command line, and what could not be opened.
pub(crate) fn values(settings: &Settings) -> (Values, bool) {
    let (mut readers, mut failed) = (Vec::<(String, Box<dyn Read>)>::new(), false);
    if settings.files.is_empty() {
        readers.push(("<stdin>".to_owned(), Box::new(io::stdin())));
    }
    for name in &settings.files {
        match open(name) {
            Ok(file) => readers.push((name.clone(), Box::new(file))),
            Err(error) => {
                failed = true;
                eprintln!("jq: error: Could not open file {name}: {}", report::words(&error));
            }
        }
    }
    if settings.raw_input {
        return (raw(readers, settings.slurp), failed);
    }
    let each = readers.into_iter().flat_map(|(name, reader)| {
        let parsed = read::read_many(BufReader::with_capacity(1 << 16, reader));
        let mut ended = false;
        parsed
            .map(move |value| value.map_err(|error| format!("{error} (while reading {name})")))
            .take_while(move |value| !std::mem::replace(&mut ended, value.is_err()))
    });
    if settings.slurp {
        let all: Result<Vec<Val>, String> = each.collect();
        return (Box::new(iter::once(all.map(|values| values.into_iter().collect()))), failed);
    }
    (Box::new(each), failed)
}

fn open(name: &str) -> io::Result<File> {
    let file = File::open(name)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

/// Lines as texts, or all of the input as one.
fn raw(readers: Vec<(String, Box<dyn Read>)>, slurp: bool) -> Values {
    let words = |error: io::Error| report::words(&error);
    if slurp {
        let mut all = Vec::new();
        let read = readers.into_iter().try_for_each(|(_, mut reader)| reader.read_to_end(&mut all).map(|_| ()));
        return Box::new(iter::once(read.map(|()| Val::utf8_str(all)).map_err(words)));
    }
    let lines = readers.into_iter().flat_map(|(_, reader)| BufReader::new(reader).split(b'\n'));
    Box::new(lines.map(move |line| line.map(Val::utf8_str).map_err(words)))
}

/// All values of a text of JSON.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<Val>, String> {
    read::parse_many(text).collect::<Result<_, _>>().map_err(|error| error.to_string())
}
