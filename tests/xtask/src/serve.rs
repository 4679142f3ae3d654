//! `serve`: a gateway to try.

use crate::build::build;
use crate::step::{Outcome, line};
use crate::workspace::Workspace;
use std::os::unix::process::CommandExt;
use std::process::Command;

pub(crate) const HELP: &str = "\
cargo xtask serve [ARGS..]

Builds, then runs `whelk serve --listen 127.0.0.1:2222 ARGS` in the root of the repository. Without a --config in ARGS it is a
demonstration: try `ssh -p 2222 echo@127.0.0.1`. A --listen in ARGS replaces the address. Prints how long each part of
the build took; the log says after how many seconds the server listens, and when all plugins are prepared.";

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let workspace = Workspace::find()?;
    let took = build(&workspace)?;
    let mut command = Command::new(workspace.program());
    command.current_dir(&workspace.root).arg("serve");
    let names_address = |argument: &String| argument == "--listen" || argument.starts_with("--listen=");
    if !arguments.iter().any(names_address) {
        command.args(["--listen", "127.0.0.1:2222"]);
    }
    command.args(arguments.iter().filter(|argument| *argument != "--"));
    let line = line(&command);
    eprintln!("{took}\n+ {line}");
    // In our place, so that Ctrl-C and SIGTERM reach it and its status is ours.
    Err(format!("{line}: {}", command.exec()))
}
