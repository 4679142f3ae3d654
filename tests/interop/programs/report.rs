// `report` in Rust: see report.c.

use std::io::{IsTerminal, Read, Write, stderr, stdin, stdout};
use std::process::{ExitCode, exit};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let last = arguments.last().map_or("", String::as_str);
    for (number, argument) in arguments.iter().enumerate().skip(1) {
        println!("argument {number}: {argument}");
    }
    println!("terminal: {}", if stdin().is_terminal() { "yes" } else { "no" });
    while last == "forever" {
        // An error is not looked at: it is the host that ends such a program.
        let _ = writeln!(stdout(), "more");
    }
    let mut input = Vec::new();
    let bytes = stdin().read_to_end(&mut input).unwrap_or_default();
    println!("{bytes} bytes");
    let _ = writeln!(stderr(), "told apart");
    match last {
        "exit" => exit(42),
        "return" => ExitCode::from(43),
        _ => ExitCode::SUCCESS,
    }
}
