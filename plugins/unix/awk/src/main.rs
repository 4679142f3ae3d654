//! `awk`: patterns and actions over records and fields. POSIX's language, and much of what gawk adds.

mod builtins;
mod cells;
mod evaluate;
mod language;
mod machine;
mod number;
mod patterns;
mod record;
mod run;
mod streams;
mod value;

use std::io::Read;
use std::process::ExitCode;
use std::{env, fs, io};

use unix_common::options::{self, Opt, Order, Word, flag, value};
use unix_common::report;

use crate::language::ast::{Place, Program};
use crate::language::lexer::unescaped;
use crate::language::special::FS;
use crate::machine::Machine;
use crate::value::Value;

whelk_guest::whelk_command!();

/// The exit status of an error.
const FATAL: u8 = 2;

const OPTIONS: &[Opt] = &[
    value("F", "field-separator"),
    value("v", "assign"),
    value("f", "file"),
    value("e", "source"),
    flag("P", "posix"),
    flag("c", "traditional"),
    flag("r", "re-interval"),
    flag("S", "sandbox"),
    flag("h", "help"),
    flag("V", "version"),
];

const USAGE: &str = "Usage: awk [-F fs] [-v var=value] [--] 'program' [file ...]
       awk [-F fs] [-v var=value] -f progfile [--] [file ...]
  -F fs, --field-separator=fs   set FS
  -v var=val, --assign=var=val  assign before the program begins
  -f progfile, --file=progfile  read the program from a file; may be given several times
  -e text, --source=text        a part of the program
  -h, --help, -V, --version
";

/// What the command line asks for.
#[derive(Debug, Default)]
struct Settings {
    separator: Option<String>,
    assignments: Vec<String>,
    program: String,
    has_program: bool,
    words: Vec<String>,
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let mut settings = match read(&words) {
        Ok(Some(settings)) => settings,
        Ok(None) => return ExitCode::SUCCESS,
        Err((message, status)) => {
            eprint!("{message}");
            return ExitCode::from(status);
        }
    };
    if !settings.has_program {
        if settings.words.is_empty() {
            eprint!("{USAGE}");
            return ExitCode::FAILURE;
        }
        settings.program = settings.words.remove(0);
    }
    let program = match language::parse(&settings.program) {
        Ok(program) => program,
        Err(error) => {
            if let Some(fatal) = error.message.strip_prefix("fatal: ") {
                report::error(&format!("cmd. line:{}: fatal: {fatal}", error.line));
                return ExitCode::from(FATAL);
            }
            let line = settings.program.lines().nth(error.line.saturating_sub(1)).unwrap_or_default();
            let place = format!("cmd. line:{}:", error.line);
            report::error(&format!("{place} {line}"));
            report::error(&format!("{place} {}", error.message));
            return ExitCode::FAILURE;
        }
    };
    ExitCode::from(run(&program, &settings))
}

fn run(program: &Program, settings: &Settings) -> u8 {
    let mut machine = Machine::new(program, &settings.words);
    let result = prepare(&mut machine, settings).and_then(|()| machine.run());
    let closed = machine.streams.close_all();
    if let Err(message) = result {
        // What begins so has no place in the program.
        let place = if message.starts_with("fatal: ") { "" } else { "cmd. line:1: fatal: " };
        report::error(&format!("{place}{message}"));
        return FATAL;
    }
    match closed {
        Err(error) => {
            report::error(&format!("fatal: cannot write: {}", report::words(&error)));
            FATAL
        }
        Ok(()) if machine.failed && machine.status == 0 => FATAL,
        Ok(()) => machine.status,
    }
}

/// Sets what the command line says. The error is a message.
fn prepare(machine: &mut Machine<'_>, settings: &Settings) -> Result<(), String> {
    let message = |stop| match stop {
        machine::Stop::Fatal(message) => message,
        _ => String::new(),
    };
    if let Some(separator) = &settings.separator {
        machine.set_variable(Place::Global(FS), Value::text(&unescaped(separator))).map_err(message)?;
    }
    for assignment in &settings.assignments {
        if !machine.assign_word(assignment).map_err(message)? {
            let name = assignment.split('=').next().unwrap_or_default();
            return Err(match assignment.contains('=') {
                true => format!("fatal: `{name}' is not a legal variable name"),
                false => format!("fatal: `{assignment}' argument to `-v' not in `var=value' form"),
            });
        }
    }
    Ok(())
}

/// Reads the command line. None if all is done; the error is the whole text for standard error, and the exit status.
fn read(words: &[String]) -> Result<Option<Settings>, (String, u8)> {
    let program = report::program();
    let words = options::parse(words, OPTIONS, Order::OptionsFirst);
    let words = words.map_err(|message| (format!("{program}: {message}\n{USAGE}"), 1))?;
    let mut settings = Settings::default();
    for word in words {
        let found = match word {
            Word::Operand(operand) => {
                settings.words.push(operand);
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
                println!("awk (Whelk) {}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
            "field-separator" => settings.separator = Some(text.to_owned()),
            "assign" => settings.assignments.push(text.to_owned()),
            "source" => {
                settings.program.push_str(text);
                settings.program.push('\n');
                settings.has_program = true;
            }
            "file" => {
                let source = source(text).map_err(|error| {
                    let words = report::words(&error);
                    let what = format!("cannot open source file `{text}' for reading: {words}");
                    (format!("{program}: fatal: {what}\n"), FATAL)
                })?;
                settings.program.push_str(&source);
                settings.program.push('\n');
                settings.has_program = true;
            }
            _ => {}
        }
    }
    Ok(Some(settings))
}

fn source(name: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    if name == "-" {
        io::stdin().read_to_end(&mut bytes)?;
    } else {
        bytes = fs::read(name)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
