//! The utilities that start or signal processes, as one program: which one it is says the name that it is called by.
//! They need the grant `process`, and are apart from the others, which run without it.

mod env;
mod kill;
mod start;
mod timeout;

use std::path::Path;
use std::process::ExitCode;

whelk_guest::whelk_command!();

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().collect();
    let mut name = called_as(&words);
    if name == "procutils" && words.len() > 1 {
        words.remove(0);
        name = called_as(&words);
    }
    let words = words.into_iter().skip(1).collect();
    let status = match name.as_str() {
        "env" => env::main(words),
        "kill" => kill::main(words),
        "nice" => start::nice(words),
        "nohup" => start::nohup(words),
        "timeout" => timeout::main(words),
        _ => {
            eprintln!("procutils: unknown program '{name}'");
            1
        }
    };
    ExitCode::from(status)
}

/// The last part of the name that the program was called by.
fn called_as(words: &[String]) -> String {
    let path = words.first().map(Path::new);
    path.and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned()
}
