//! `file`: says what a file is, by its first bytes. It knows the kinds that users of a shell meet.

mod kinds;

use std::fs::{self, File};
use std::io::{self, Read};
use std::process::ExitCode;

use unix_common::options::{self, Opt, Order, Word, flag, value};
use unix_common::report;

use crate::kinds::{Kind, kind_of};

whelk_guest::whelk_command!();

const OPTIONS: &[Opt] = &[
    flag("b", "brief"),
    flag("i", "mime"),
    flag("", "mime-type"),
    flag("", "mime-encoding"),
    flag("L", "dereference"),
    flag("h", "no-dereference"),
    value("f", "files-from"),
    value("F", "separator"),
    flag("N", "no-pad"),
    flag("0", "print0"),
    flag("", "help"),
    flag("v", "version"),
];

const USAGE: &str = "\
Usage: file [-bhiLN0] [--mime-encoding] [--mime-type] [-F <separator>]  [-f <namefile>]
            <file> ...
       file [--help]
";

/// How much of a file is looked at.
const START: u64 = 1 << 16;

#[derive(Debug, Default)]
struct Settings {
    files: Vec<String>,
    brief: bool,
    mime_type: bool,
    encoding: bool,
    follow: bool,
    separator: Option<String>,
    no_pad: bool,
    /// How often NUL was asked for: once after names, twice also in place of line ends.
    zero: u8,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let settings = match read(&words) {
        Ok(Some(settings)) => settings,
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => {
            eprint!("{message}");
            return ExitCode::FAILURE;
        }
    };
    let width = settings.files.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    for name in &settings.files {
        let kind = look(name, settings.follow);
        let text = match (settings.mime_type, settings.encoding) {
            (false, false) => kind.text,
            (true, false) => kind.mime.to_owned(),
            (false, true) => kind.encoding.to_owned(),
            (true, true) => format!("{}; charset={}", kind.mime, kind.encoding),
        };
        if settings.brief {
            println!("{text}");
            continue;
        }
        let shown = if name == "-" { "/dev/stdin" } else { name };
        let separator = settings.separator.as_deref().unwrap_or(":");
        let pad = if settings.no_pad { 0 } else { width - name.chars().count() };
        match settings.zero {
            0 => println!("{shown}{separator} {}{text}", " ".repeat(pad)),
            1 => println!("{shown}\0{separator} {}{text}", " ".repeat(pad)),
            _ => print!("{shown}\0{text}\0"),
        }
    }
    ExitCode::SUCCESS
}

/// What a file is. One that cannot be read is a kind, too.
fn look(name: &str, follow: bool) -> Kind {
    let cannot = |error: &io::Error| {
        Kind::new(&format!("cannot open `{name}' ({})", report::words(error)), "inode/x-missing", "binary")
    };
    if name == "-" {
        let mut start = Vec::new();
        return match io::stdin().take(START).read_to_end(&mut start) {
            Ok(_) => kind_of(&start),
            Err(error) => cannot(&error),
        };
    }
    let found = if follow { fs::metadata(name) } else { fs::symlink_metadata(name) };
    let found = match found {
        Ok(found) => found,
        Err(error) => return cannot(&error),
    };
    if found.is_dir() {
        return Kind::new("directory", "inode/directory", "binary");
    }
    if found.is_symlink() {
        let target = fs::read_link(name).map(|target| target.to_string_lossy().into_owned()).unwrap_or_default();
        let broken = if fs::metadata(name).is_err() { "broken symbolic link" } else { "symbolic link" };
        return Kind::new(&format!("{broken} to {target}"), "inode/symlink", "binary");
    }
    if !found.is_file() {
        return Kind::new("character special", "inode/chardevice", "binary");
    }
    let mut start = Vec::new();
    match File::open(name).and_then(|file| file.take(START).read_to_end(&mut start)) {
        Ok(_) => kind_of(&start),
        Err(error) => cannot(&error),
    }
}

/// Reads the command line. None if all is done; the error is the text for standard error.
fn read(words: &[String]) -> Result<Option<Settings>, String> {
    let mut settings = Settings::default();
    for word in options::parse(words, OPTIONS, Order::Any).map_err(|message| format!("file: {message}\n{USAGE}"))? {
        let found = match word {
            Word::Operand(operand) => {
                settings.files.push(operand);
                continue;
            }
            Word::Option(found) => found,
        };
        match found.id {
            "brief" => settings.brief = true,
            "mime" => (settings.mime_type, settings.encoding) = (true, true),
            "mime-type" => settings.mime_type = true,
            "mime-encoding" => settings.encoding = true,
            "dereference" => settings.follow = true,
            "no-dereference" => settings.follow = false,
            "files-from" => {
                let text = fs::read_to_string(found.text())
                    .map_err(|error| format!("file: Cannot open `{}' ({})\n", found.text(), report::words(&error)))?;
                settings.files.extend(text.lines().map(str::to_owned));
            }
            "separator" => settings.separator = found.value,
            "no-pad" => settings.no_pad = true,
            "print0" => settings.zero = settings.zero.saturating_add(1),
            "help" => {
                print!("{USAGE}");
                return Ok(None);
            }
            _ => {
                println!("file (Whelk) {}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
        }
    }
    if settings.files.is_empty() { Err(USAGE.to_owned()) } else { Ok(Some(settings)) }
}
