//! `bc`: the language.

mod ast;
mod lexer;
mod parse;
mod run;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::process::ExitCode;

use unix_common::options::{self, Opt, Order, Word, flag};

use self::ast::Unit;
use self::lexer::Lexer;
use self::parse::{Parser, Stop};
use self::run::Machine;

const OPTIONS: &[Opt] = &[
    flag("h", "help"),
    flag("i", "interactive"),
    flag("l", "mathlib"),
    flag("q", "quiet"),
    flag("s", "standard"),
    flag("w", "warn"),
    flag("v", "version"),
];

const USAGE: &str = "usage: bc [options] [file ...]
  -h  --help         print this usage and exit
  -i  --interactive  force interactive mode
  -l  --mathlib      use the predefined math routines
  -q  --quiet        don't print initial banner
  -s  --standard     non-standard bc constructs are errors
  -w  --warn         warn about non-standard bc constructs
  -v  --version      print version information and exit
";

const LIBRARY: &str = include_str!("bc/library.bc");

/// Runs the files, then the standard input.
pub(crate) fn main(words: &[String]) -> ExitCode {
    let (mut files, mut library) = (Vec::new(), false);
    let words = match options::parse(words, OPTIONS, Order::Any) {
        Ok(words) => words,
        Err(message) => {
            eprintln!("bc: {message}");
            print!("{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    for word in words {
        match word {
            Word::Operand(file) => files.push(file),
            Word::Option(found) => match found.id {
                "mathlib" => library = true,
                "help" => {
                    print!("{USAGE}");
                    return ExitCode::SUCCESS;
                }
                "version" => {
                    println!("bc (Whelk) {}", env!("CARGO_PKG_VERSION"));
                    return ExitCode::SUCCESS;
                }
                // There is no banner; what POSIX lacks is allowed.
                _ => {}
            },
        }
    }
    let mut machine = Machine::new();
    if library {
        run(&mut machine, &mut LIBRARY.as_bytes(), "(library)");
    }
    for name in files {
        let Ok(file) = File::open(&name) else {
            eprintln!("File {name} is unavailable.");
            return ExitCode::FAILURE;
        };
        if !run(&mut machine, &mut BufReader::new(file), &name) {
            return ExitCode::SUCCESS;
        }
    }
    run(&mut machine, &mut io::stdin().lock(), "(standard_in)");
    ExitCode::SUCCESS
}

/// Runs a program. Whether the next one comes: not after `quit` and `halt`.
fn run(machine: &mut Machine, input: &mut dyn BufRead, name: &str) -> bool {
    let mut parser = Parser::new(Lexer::new(input));
    loop {
        let unit = parser.unit();
        for (message, line) in parser.warnings.drain(..) {
            eprintln!("{name} {line}: {message}");
        }
        match unit {
            Ok(Unit::Function(name, function)) => machine.define(name, function),
            Ok(Unit::Statements(statements)) => {
                if !machine.run_line(&statements, &mut parser.lexer) {
                    return false;
                }
            }
            Err(Stop::Wrong(message, line)) => eprintln!("{name} {line}: {message}"),
            Err(Stop::Quit) => return false,
            Err(Stop::End) => return true,
        }
    }
}
