//! `find` and `xargs`: looks for files, and runs commands with what is found. Which one it is says the name that it is
//! called by.

mod command;
mod compare;
mod expression;
mod files;
mod find;
mod parse;
mod print;
mod xargs;

use std::process::ExitCode;

use unix_common::report;

whelk_guest::whelk_command!();

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let status = if report::program() == "xargs" { xargs::run(&words) } else { find::run(&words) };
    ExitCode::from(status)
}
