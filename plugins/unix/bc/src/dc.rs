//! `dc`: calculates on a stack.

mod stack;

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::process::ExitCode;

use unix_common::options::{self, Opt, Order, Word, flag, value};

use self::stack::Machine;

const OPTIONS: &[Opt] = &[value("e", "expression"), value("f", "file"), flag("h", "help"), flag("V", "version")];

const USAGE: &str = "Usage: dc [OPTION] [file ...]
  -e, --expression=EXPR    evaluate expression
  -f, --file=FILE          evaluate contents of file
  -h, --help               display this help and exit
  -V, --version            output version information and exit
";

/// Runs what the options name, then the files, or the standard input if there is neither.
pub(crate) fn main(words: &[String]) -> ExitCode {
    let words = match options::parse(words, OPTIONS, Order::Any) {
        Ok(words) => words,
        Err(message) => {
            eprint!("dc: {message}\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    let mut machine = Machine::new();
    let (mut any, mut files) = (false, Vec::new());
    for word in words {
        let found = match word {
            Word::Operand(file) => {
                files.push(file);
                continue;
            }
            Word::Option(found) => found,
        };
        match found.id {
            "expression" => {
                any = true;
                if !machine.run(found.text()) {
                    return ExitCode::SUCCESS;
                }
            }
            "file" => {
                any = true;
                if let Some(status) = run_file(&mut machine, found.text()) {
                    return status;
                }
            }
            "help" => {
                print!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            _ => {
                println!("dc (Whelk) {}", env!("CARGO_PKG_VERSION"));
                return ExitCode::SUCCESS;
            }
        }
    }
    for file in &files {
        if let Some(status) = run_file(&mut machine, file) {
            return status;
        }
    }
    if !any && files.is_empty() {
        run_input(&mut machine);
    }
    ExitCode::SUCCESS
}

/// Runs a file, `-` the standard input. The status of the program, if it ends.
fn run_file(machine: &mut Machine, name: &str) -> Option<ExitCode> {
    if name == "-" {
        return (!run_input(machine)).then_some(ExitCode::SUCCESS);
    }
    let mut bytes = Vec::new();
    if File::open(name).and_then(|mut file| file.read_to_end(&mut bytes)).is_err() {
        eprintln!("dc: Could not open file {name}");
        return Some(ExitCode::FAILURE);
    }
    (!machine.run(&String::from_utf8_lossy(&bytes))).then_some(ExitCode::SUCCESS)
}

/// Runs the standard input line by line, since `?` reads lines of it, too. A text in brackets may have several.
fn run_input(machine: &mut Machine) -> bool {
    let mut text = String::new();
    loop {
        let read = io::stdin().lock().read_line(&mut text).unwrap_or_default();
        let open = text.chars().fold(0_i64, |depth, letter| match letter {
            '[' => depth + 1,
            ']' => depth - 1,
            _ => depth,
        });
        if open <= 0 || read == 0 {
            if !machine.run(&text) {
                return false;
            }
            text.clear();
        }
        if read == 0 {
            return true;
        }
    }
}
