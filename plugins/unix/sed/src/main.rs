//! `sed`: edits a stream of lines by a script, with the options and commands of GNU's.

mod compile;
mod delimited;
mod in_place;
mod input;
mod output;
mod reader;
mod run;
mod script;
mod status;
mod substitute;

use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;
use std::{env, fs};

use unix_common::options::{self, Opt, Order, Word, flag, optional, value};
use unix_common::report;

use crate::input::Input;
use crate::output::Output;
use crate::reader::Piece;
use crate::run::{Machine, Options};
use crate::script::{Mode, Script};
use crate::status::{BAD_INPUT, BAD_USAGE, PANIC};

whelk_guest::whelk_command!();

const OPTIONS: &[Opt] = &[
    flag("n", "quiet"),
    flag("", "silent"),
    flag("", "debug"),
    value("e", "expression"),
    value("f", "file"),
    flag("", "follow-symlinks"),
    optional("i", "in-place"),
    value("l", "line-length"),
    flag("", "posix"),
    flag("E", "regexp-extended"),
    flag("r", ""),
    flag("s", "separate"),
    flag("", "sandbox"),
    flag("u", "unbuffered"),
    flag("z", "null-data"),
    flag("", "zero-terminated"),
    flag("", "help"),
    flag("", "version"),
];

const USAGE: &str = "Usage: sed [OPTION]... {script-only-if-no-other-script} [input-file]...

  -n, --quiet, --silent      suppress automatic printing of pattern space
  -e script, --expression=script
                             add the script to the commands to be executed
  -f script-file, --file=script-file
                             add the contents of script-file to the commands to be executed
  -E, -r, --regexp-extended  use extended regular expressions in the script
  -i[SUFFIX], --in-place[=SUFFIX]
                             edit files in place (makes backup if SUFFIX supplied)
  -l N, --line-length=N      specify desired line-wrap length for the `l' command
  -s, --separate             consider files as separate rather than as a single continuous long stream
  -u, --unbuffered           load minimal amounts of data from the input files and flush the output more often
  -z, --null-data            separate lines by NUL characters
      --posix                disable all GNU extensions
      --sandbox              operate in sandbox mode (disable e/r/w commands)
      --follow-symlinks      follow symlinks when processing in place
      --debug                accepted and without effect
      --help, --version

If no -e, --expression, -f, or --file option is given, then the first non-option argument is taken as the sed script to
interpret. All remaining arguments are names of input files; if no input files are specified, standard input is read.
";

/// What the command line asks for.
#[derive(Debug, Default)]
struct Settings {
    pieces: Vec<Piece>,
    files: Vec<String>,
    mode: Mode,
    silent: bool,
    separate: bool,
    unbuffered: bool,
    in_place: Option<String>,
    follow: bool,
    line_length: usize,
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let settings = match read(&words) {
        Ok(Some(settings)) => settings,
        Ok(None) => return ExitCode::SUCCESS,
        Err((message, status)) => {
            eprint!("{message}");
            return ExitCode::from(status);
        }
    };
    let mut script = match compile::compile(&settings.pieces, settings.mode) {
        Ok(script) => script,
        Err(error) => {
            report::error(&error.message);
            return ExitCode::from(if error.in_label { PANIC } else { BAD_USAGE });
        }
    };
    match edit(&settings, &mut script) {
        Ok(status) => ExitCode::from(status),
        Err(message) => {
            report::error(&message);
            ExitCode::from(if message == run::NO_PATTERN { BAD_USAGE } else { PANIC })
        }
    }
}

/// Runs the script over the files. The exit status.
fn edit(settings: &Settings, script: &mut Script) -> Result<u8, String> {
    let terminator = if settings.mode.null_data { 0 } else { b'\n' };
    let options = Options {
        silent: settings.silent || script.silent,
        posix: settings.mode.posix,
        terminator,
        line_length: settings.line_length,
    };
    let immediate = settings.unbuffered || io::stdout().is_terminal();
    let standard = [String::from("-")];
    let files = if settings.files.is_empty() { &standard[..] } else { &settings.files[..] };
    let message = |error: io::Error| report::words(&error);
    if let Some(suffix) = &settings.in_place {
        return in_place::edit(files, suffix, settings.follow, script, options);
    }
    let input = Input::new(files, terminator, settings.separate);
    let mut machine = Machine::new(script, options, input, Output::standard(immediate))?;
    let mut status = machine.run().map_err(message)?;
    while settings.separate && status.is_none() && machine.input.next_file() {
        machine.reset();
        status = machine.run().map_err(message)?;
    }
    machine.out.flush().map_err(|error| format!("couldn't flush stdout: {}", report::words(&error)))?;
    let failed = if machine.input.failed { BAD_INPUT } else { 0 };
    Ok(status.filter(|status| *status != 0).unwrap_or(failed))
}

/// Reads the command line. None if all is done; the error is the whole text for
/// standard error and the exit status.
fn read(words: &[String]) -> Result<Option<Settings>, (String, u8)> {
    let program = report::program();
    let words = options::parse(words, OPTIONS, Order::Any)
        .map_err(|message| (format!("{program}: {message}\n{USAGE}"), BAD_USAGE))?;
    let mut settings = Settings { line_length: 70, ..Settings::default() };
    for word in words {
        let found = match word {
            Word::Operand(operand) => {
                settings.files.push(operand);
                continue;
            }
            Word::Option(found) => found,
        };
        let text = found.text();
        match found.id {
            "help" => {
                print!("{USAGE}");
                return Ok(None);
            }
            "version" => {
                println!("sed (Whelk) {}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
            "quiet" | "silent" => settings.silent = true,
            "expression" => settings.pieces.push(Piece { text: text.to_owned(), file: None }),
            "file" => {
                let text = script_file(text).map_err(|error| {
                    (format!("{program}: couldn't open file {text}: {}\n", report::words(&error)), PANIC)
                })?;
                settings.pieces.push(Piece { text, file: found.value.clone() });
            }
            "in-place" => {
                settings.in_place = Some(text.to_owned());
                settings.separate = true;
            }
            "line-length" => {
                let length = text.parse();
                settings.line_length =
                    length.map_err(|_| (format!("{program}: invalid line length: {text}\n"), BAD_USAGE))?;
            }
            "posix" => settings.mode.posix = true,
            "regexp-extended" | "r" => settings.mode.extended = true,
            "separate" => settings.separate = true,
            "sandbox" => settings.mode.sandbox = true,
            "unbuffered" => settings.unbuffered = true,
            "null-data" | "zero-terminated" => settings.mode.null_data = true,
            "follow-symlinks" => settings.follow = true,
            _ => {}
        }
    }
    if settings.pieces.is_empty() {
        if settings.files.is_empty() {
            return Err((USAGE.to_owned(), BAD_USAGE));
        }
        let text = settings.files.remove(0);
        settings.pieces.push(Piece { text, file: None });
    }
    Ok(Some(settings))
}

fn script_file(name: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    if name == "-" {
        io::stdin().read_to_end(&mut bytes)?;
    } else {
        bytes = fs::read(name)?;
    }
    // Scripts are text; `#!` and the rest of that line is a comment anyway.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
