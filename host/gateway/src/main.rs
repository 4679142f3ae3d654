//! The program `whelk`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    whelk::cli::main()
}
