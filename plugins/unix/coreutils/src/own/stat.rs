//! `stat`: what is known of a file. Modes and owners are what `ls -l` shows; a change of the metadata has no time.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use unix_common::syntax::{Syntax, Take};
use unix_common::time::Moment;
use uucore::display::Quotable;

use super::command::{failed, parse, worst};
use crate::utility::Arguments;

const SYNTAX: Syntax = Syntax {
    name: "stat",
    usage: "stat [OPTION]... FILE...",
    status: 1,
    options: &[
        ('L', "dereference", Take::Nothing),
        ('c', "format", Take::Value),
        ('\u{391}', "printf", Take::Value),
        ('t', "terse", Take::Nothing),
    ],
    stops: false,
};

const DEFAULT: &str = "  File: %N\\n  Size: %s\\t\\tBlocks: %b          IO Block: %o  %F\\nAccess: (%a/%A)  Uid: (%u/%U)   \
                       Gid: (%g/%G)\\nAccess: %x\\nModify: %y\\nBirth: %w\\n";
const TERSE: &str = "%n %s %b %a %u %g %X %Y %W %o\\n";

pub(super) fn main(arguments: Arguments) -> i32 {
    let given = match parse(&SYNTAX, arguments) {
        Ok(given) => given,
        Err(status) => return status,
    };
    if given.operands.is_empty() {
        return SYNTAX.refuse("missing operand").tell();
    }
    let format = match (given.value('c'), given.value('\u{391}'), given.has('t')) {
        (Some(format), _, _) => format.to_owned(),
        (None, Some(format), _) => with_escapes(format),
        (None, None, true) => with_escapes(TERSE),
        (None, None, false) => with_escapes(DEFAULT),
    };
    let end = if given.has('c') { "\n" } else { "" };
    worst(given.operands.iter().map(|file| {
        let found = if given.has('L') { fs::metadata(file) } else { fs::symlink_metadata(file) };
        match found {
            Err(error) => failed("stat", &format!("cannot statx {}", file.quote()), &error),
            Ok(metadata) => {
                print!("{}{end}", shown(&format, file, &metadata));
                0
            }
        }
    }))
}

/// `\n`, `\t` and the like, as `--printf` takes them.
fn with_escapes(format: &str) -> String {
    let mut text = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        match (letter, if letter == '\\' { letters.next() } else { None }) {
            ('\\', Some('n')) => text.push('\n'),
            ('\\', Some('t')) => text.push('\t'),
            ('\\', Some('0')) => text.push('\0'),
            ('\\', Some(other)) => text.push(other),
            _ => text.push(letter),
        }
    }
    text
}

fn shown(format: &str, file: &str, metadata: &fs::Metadata) -> String {
    let mut text = String::new();
    let mut letters = format.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let mut width = String::new();
        while let Some(digit) = letters.next_if(|letter| "-0123456789".contains(*letter)) {
            width.push(digit);
        }
        let Some(directive) = letters.next() else {
            text.push('%');
            break;
        };
        let value = value(directive, file, metadata);
        let count = width.trim_start_matches('-').parse().unwrap_or(0);
        text += &if width.starts_with('-') { format!("{value:<count$}") } else { format!("{value:>count$}") };
    }
    text
}

fn value(directive: char, file: &str, metadata: &fs::Metadata) -> String {
    let kind = metadata.file_type();
    let seconds = |time: std::io::Result<SystemTime>| {
        time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_secs())
    };
    let letter = if kind.is_dir() {
        'd'
    } else if kind.is_symlink() {
        'l'
    } else {
        '-'
    };
    match directive {
        '%' => "%".to_owned(),
        'n' => file.to_owned(),
        'N' => match fs::read_link(Path::new(file)) {
            Ok(target) if kind.is_symlink() => format!("'{file}' -> '{}'", target.display()),
            _ => format!("'{file}'"),
        },
        's' => metadata.len().to_string(),
        'b' => metadata.len().div_ceil(512).to_string(),
        'B' => "512".to_owned(),
        'o' => "4096".to_owned(),
        'F' if kind.is_dir() => "directory".to_owned(),
        'F' if kind.is_symlink() => "symbolic link".to_owned(),
        'F' if kind.is_file() && metadata.len() == 0 => "regular empty file".to_owned(),
        'F' if kind.is_file() => "regular file".to_owned(),
        'F' => "character special file".to_owned(),
        'a' => "555".to_owned(),
        'A' => format!("{letter}r-xr-xr-x"),
        'u' | 'g' => "0".to_owned(),
        'U' => "somebody".to_owned(),
        'G' => "somegroup".to_owned(),
        'X' => seconds(metadata.accessed()).to_string(),
        'Y' | 'Z' => seconds(metadata.modified()).to_string(),
        'W' => metadata.created().map_or_else(|_| "0".to_owned(), |time| seconds(Ok(time)).to_string()),
        'x' => calendar(metadata.accessed()),
        'y' | 'z' => calendar(metadata.modified()),
        'w' => metadata.created().map_or_else(|_| "-".to_owned(), |time| calendar(Ok(time))),
        _ => "?".to_owned(),
    }
}

/// `2001-09-09 01:46:40.000000000 +0000`: in UTC.
fn calendar(time: std::io::Result<SystemTime>) -> String {
    Moment::from(time.unwrap_or(UNIX_EPOCH)).format("%Y-%m-%d %H:%M:%S.%N %z")
}
