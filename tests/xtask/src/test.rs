//! `test` and `prove`: every test there is, and the promises at their full sizes.

use crate::build::build;
use crate::clients::Clients;
use crate::step::{Outcome, line};
use crate::workspace::{Workspace, cargo};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

pub(crate) const HELP: &str = "\
cargo xtask test [FILTER]

Brings the foreign clients (OpenSSH 9.2 and 10.0, dbclient, plink, AsyncSSH, paramiko, libssh, ssh2 for node, ssh-audit,
tmux) and OpenSSH's sshd into target/clients, builds program and plugins, and runs every test of the workspace whose name contains
FILTER. As root on Debian it installs what is missing; elsewhere it names it and fails. Nothing is skipped.";

pub(crate) const PROVE_HELP: &str = "\
cargo xtask prove [NAME]

Runs the tests against foreign clients and hostile plugins, and those of the plugin host, as far as their name contains NAME, one at a
time and at their full sizes (hundreds of megabytes, two hundred kills, ten thousand sessions), and prints the figures they find.";

/// The results of all test programs together.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Tally {
    /// Reads `test result: ok. 12 passed; 0 failed; 0 ignored; ...`.
    fn take(&mut self, line: &str) {
        let Some(counts) = line.strip_prefix("test result: ") else { return };
        for part in counts.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(count), Some(kind)) = (words.next().and_then(|word| word.parse::<u64>().ok()), words.next())
            else {
                continue;
            };
            match kind {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let filter = at_most_one(arguments)?;
    let workspace = Workspace::find()?;
    let mut command = prepared(&workspace)?;
    command.args(["--workspace", "--no-fail-fast"]);
    command.args(filter);
    tested(&mut command)
}

pub(crate) fn prove(arguments: &[String]) -> Outcome {
    let name = at_most_one(arguments)?;
    let workspace = Workspace::find()?;
    let mut command = prepared(&workspace)?;
    // Of the whole workspace, so that nothing is compiled anew with fewer features than for `test`.
    command.env("WHELK_PROVE", "1").args(["--workspace", "--no-fail-fast"]);
    command.args(["--test", "interop", "--test", "hostile", "--test", "floor"]);
    command.args(name).args(["--", "--nocapture", "--test-threads=1"]);
    tested(&mut command)
}

fn at_most_one(arguments: &[String]) -> Outcome<Option<&String>> {
    match arguments {
        [] => Ok(None),
        [one] if !one.starts_with('-') => Ok(Some(one)),
        [one] => Err(format!("no option {one}")),
        [_, surplus, ..] => Err(format!("one argument at most, {surplus:?} is too many")),
    }
}

/// Clients and program are there; gives the call of `cargo test` that finds them.
fn prepared(workspace: &Workspace) -> Outcome<Command> {
    let clients = Clients::bring(workspace)?;
    build(workspace)?;
    let mut command = cargo();
    command.current_dir(&workspace.root).args(["test", "--release"]);
    command.env("WHELK_BIN", workspace.program()).env("WHELK_CLIENTS", clients.folder());
    Ok(command)
}

/// Runs the tests, passes on what they print and sums up.
fn tested(command: &mut Command) -> Outcome {
    let line = line(command);
    eprintln!("+ {line}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| format!("{line}: {error}"))?;
    let mut tally = Tally::default();
    let out = child.stdout.take().ok_or("stdout was asked to be a pipe")?;
    for text in BufReader::new(out).split(b'\n') {
        let text = text.map_err(|error| format!("{line}: {error}"))?;
        let text = String::from_utf8_lossy(&text);
        println!("{text}");
        tally.take(&text);
    }
    let status = child.wait().map_err(|error| format!("{line}: {error}"))?;
    println!("\n{} passed, {} failed, {} ignored", tally.passed, tally.failed, tally.ignored);
    if !status.success() {
        return Err(format!("{line}: {status}"));
    }
    if tally.passed == 0 { Err("no test has this name".to_owned()) } else { Ok(()) }
}
