//! The shell as a program of Whelk.

use std::process::ExitCode;

whelk_guest::whelk_command!();

#[cfg(target_family = "wasm")]
fn main() -> ExitCode {
    let argv: Vec<String> = std::env::args().collect();
    let cwd = std::env::current_dir().map_or_else(|_| "/".to_owned(), |path| path.display().to_string());
    let status = sh::run(std::rc::Rc::new(sh::whelk::Whelk::new(&argv)), &argv, std::env::vars().collect(), &cwd);
    ExitCode::from(status.to_le_bytes()[0])
}

#[cfg(not(target_family = "wasm"))]
fn main() -> ExitCode {
    eprintln!("sh: this program runs in Whelk; the example native-sh is the shell of this machine");
    ExitCode::from(2)
}
