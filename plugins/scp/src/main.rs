//! The program: `scp -t PATH` receives, `scp -f PATH…` sends.

use std::process::ExitCode;

whelk_guest::whelk_command!();

fn main() -> ExitCode {
    ExitCode::from(scp::run())
}
