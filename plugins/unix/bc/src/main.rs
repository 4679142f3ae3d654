//! `bc` and `dc`: calculates with as many digits as one likes. Which one it is says the name that it is called by.

mod bc;
mod dc;
mod number;
mod output;

use std::process::ExitCode;

use unix_common::report;

whelk_guest::whelk_command!();

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if report::program() == "dc" { dc::main(&words) } else { bc::main(&words) }
}
