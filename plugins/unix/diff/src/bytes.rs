//! `cmp`: compares two files byte by byte.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};

use unix_common::options::{self, Found, Opt, Order, Word, flag, value};
use unix_common::report;

const OPTIONS: &[Opt] = &[
    flag("b", "print-bytes"),
    value("i", "ignore-initial"),
    flag("l", "verbose"),
    value("n", "bytes"),
    flag("s", "quiet"),
    flag("", "silent"),
    flag("", "help"),
    flag("v", "version"),
];

const HELP: &str = "Usage: cmp [OPTION]... FILE1 [FILE2 [SKIP1 [SKIP2]]]
Compare two files byte by byte.

  -b, --print-bytes          print differing bytes
  -i, --ignore-initial=SKIP  skip first SKIP bytes of both inputs; SKIP1:SKIP2 of each
  -l, --verbose              output byte numbers and differing byte values
  -n, --bytes=LIMIT          compare at most LIMIT bytes
  -s, --quiet, --silent      suppress all normal output
      --help, -v, --version

If a FILE is '-' or missing, read standard input. Exit status is 0 if inputs are the same, 1 if different, 2 if trouble.
";

#[derive(Debug, Default)]
struct Settings {
    files: Vec<String>,
    skip: [u64; 2],
    limit: Option<u64>,
    all: bool,
    silent: bool,
    bytes: bool,
}

/// Runs `cmp` with the words after its name. The exit status.
pub(crate) fn run(words: &[String]) -> u8 {
    let settings = match read(words) {
        Ok(Some(settings)) => settings,
        Ok(None) => return 0,
        Err(message) => {
            report::error(&message);
            eprintln!("cmp: Try 'cmp --help' for more information.");
            return 2;
        }
    };
    let mut readers = Vec::new();
    for (name, skip) in settings.files.iter().zip(settings.skip) {
        let opened = open(name).and_then(|mut reader| {
            io::copy(&mut reader.by_ref().take(skip), &mut io::sink())?;
            Ok(reader.take(settings.limit.unwrap_or(u64::MAX)))
        });
        match opened {
            Ok(reader) => readers.push(BufReader::with_capacity(1 << 16, reader).bytes()),
            Err(error) => {
                if !settings.silent {
                    report::error(&format!("{name}: {}", report::words(&error)));
                }
                return 2;
            }
        }
    }
    let mut readers = readers.into_iter();
    let (Some(first), Some(second)) = (readers.next(), readers.next()) else {
        return 2;
    };
    compare(&settings, first, second).unwrap_or_else(|(name, error)| {
        report::error(&format!("{name}: {}", report::words(&error)));
        2
    })
}

fn open(name: &str) -> io::Result<Box<dyn Read>> {
    if name == "-" {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(name)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(Box::new(file))
}

type Bytes<'a> = &'a mut dyn Iterator<Item = io::Result<u8>>;

fn compare(
    settings: &Settings,
    mut first: impl Iterator<Item = io::Result<u8>>,
    mut second: impl Iterator<Item = io::Result<u8>>,
) -> Result<u8, (String, io::Error)> {
    let name = |number: usize| settings.files.get(number).cloned().unwrap_or_default();
    let next = |bytes: Bytes<'_>, number: usize| bytes.next().transpose().map_err(|error| (name(number), error));
    let mut out = BufWriter::new(io::stdout());
    // The column of numbers is as wide as that of the last byte of the shorter file.
    let sizes = settings.files.iter().filter_map(|name| std::fs::metadata(name).ok()).map(|found| found.len());
    let width = sizes.min().unwrap_or_default().to_string().len();
    let written = |error: io::Error| ("write error".to_owned(), error);
    let (mut at, mut line, mut status, mut last) = (0_u64, 1_u64, 0, b'\n');
    loop {
        let (one, other) = (next(&mut first, 0)?, next(&mut second, 1)?);
        match (one, other) {
            (None, None) => break,
            (Some(one), Some(other)) if one == other => last = one,
            (Some(one), Some(other)) => {
                status = 1;
                if settings.silent {
                    return Ok(1);
                }
                let shown = |byte: u8| if settings.bytes { format!(" {}", visible(byte)) } else { String::new() };
                if !settings.all {
                    let (files, place) = (format!("{} {}", name(0), name(1)), at + 1);
                    let bytes = if settings.bytes {
                        format!(" is {one:3o}{} {other:3o}{}", shown(one), shown(other))
                    } else {
                        String::new()
                    };
                    writeln!(out, "{files} differ: byte {place}, line {line}{bytes}").map_err(written)?;
                    break;
                }
                let bytes = if settings.bytes {
                    format!("{one:3o} {:<4} {other:3o} {}", visible(one), visible(other))
                } else {
                    format!("{one:3o} {other:3o}")
                };
                writeln!(out, "{:>width$} {bytes}", at + 1).map_err(written)?;
                last = one;
            }
            (one, _) => {
                out.flush().map_err(written)?;
                let short = name(usize::from(one.is_some()));
                if !settings.silent {
                    report::error(&end_of(&short, at, (last != b'\n').then_some(line), line, settings.all));
                }
                return Ok(1);
            }
        }
        at += 1;
        line += u64::from(last == b'\n');
    }
    out.flush().map_err(written)?;
    Ok(status)
}

/// What is said of the shorter file. `within`: the line in which it ends.
fn end_of(name: &str, bytes: u64, within: Option<u64>, line: u64, all: bool) -> String {
    match (bytes, within) {
        (0, _) => format!("EOF on {name} which is empty"),
        _ if all => format!("EOF on {name} after byte {bytes}"),
        (_, None) => format!("EOF on {name} after byte {bytes}, line {}", line - 1),
        (_, Some(line)) => format!("EOF on {name} after byte {bytes}, in line {line}"),
    }
}

/// A byte as `cat -v` shows it.
fn visible(byte: u8) -> String {
    let (prefix, low) = if byte >= 128 { ("M-", byte - 128) } else { ("", byte) };
    match low {
        0..=31 => format!("{prefix}^{}", char::from(low + 64)),
        127 => format!("{prefix}^?"),
        low => format!("{prefix}{}", char::from(low)),
    }
}

fn number(found: &Found, text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => Some(1),
        "k" | "K" => Some(1 << 10),
        "kB" => Some(1_000),
        "M" => Some(1 << 20),
        "MB" => Some(1_000_000),
        _ => None,
    };
    let number = digits.parse::<u64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    number.ok_or_else(|| format!("invalid --{} value '{}'", found.id, found.text()))
}

fn read(words: &[String]) -> Result<Option<Settings>, String> {
    let mut settings = Settings::default();
    for word in options::parse(words, OPTIONS, Order::Any)? {
        let found = match word {
            Word::Operand(operand) => {
                settings.files.push(operand);
                continue;
            }
            Word::Option(found) => found,
        };
        match found.id {
            "print-bytes" => settings.bytes = true,
            "ignore-initial" => {
                let text = found.text();
                let (one, other) = text.split_once(':').unwrap_or((text, text));
                settings.skip = [number(&found, one)?, number(&found, other)?];
            }
            "verbose" => settings.all = true,
            "bytes" => settings.limit = Some(number(&found, found.text())?),
            "quiet" | "silent" => settings.silent = true,
            "help" => {
                print!("{HELP}");
                return Ok(None);
            }
            _ => {
                println!("cmp (Whelk) {}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
        }
    }
    if settings.all && settings.silent {
        return Err("options -l and -s are incompatible".to_owned());
    }
    match settings.files.len() {
        0 => return Err("missing operand after 'cmp'".to_owned()),
        1 => settings.files.push("-".to_owned()),
        2 => {}
        _ => {
            for (number, text) in settings.files.split_off(2).iter().enumerate() {
                let skip: u64 = text.parse().map_err(|_| format!("invalid --ignore-initial value '{text}'"))?;
                *settings.skip.get_mut(number).ok_or_else(|| format!("extra operand '{text}'"))? += skip;
            }
        }
    }
    Ok(Some(settings))
}
