//! `test` and `prove`: every test there is, and the promises at their full sizes.

use crate::build::{BuildTimes, build_served};
use crate::clients::Clients;
use crate::step::{Outcome, doing, line, run as step};
use crate::workspace::{Workspace, cargo};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead, BufReader};
use std::num::NonZero;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// A test program that prints nothing for so long hangs. It is killed, so that a hang costs a failure and not the whole
/// run.
const LONGEST_SILENCE: Duration = Duration::from_secs(10 * 60);
/// The same at full sizes, where a single test works for long.
const LONGEST_SILENCE_OF_PROOFS: Duration = Duration::from_secs(2 * 60 * 60);

/// The test programs with tests that have a full size: whatever reads `WHELK_PROVE`.
const PROOFS: [&str; 6] = ["interop", "hostile", "floor", "terminal", "components", "plugins"];

pub(crate) const HELP: &str = "\
cargo xtask test [FILTER]

Brings the foreign clients (OpenSSH 9.2 and 10.0, dbclient, plink, pscp, psftp, curl, AsyncSSH, paramiko, Conch, libssh,
Net::SSH2, net-ssh, x/crypto, JSch, ssh2, ssh2-sftp-client and russh for node, sshfs, lftp, rclone, FileZilla's fzsftp,
ssh-audit, tmux, fail2ban-regex, chromium, asciinema), OpenSSH's sshd and regress scripts, the utilities of Debian that
ours are compared with (gawk, jq, ripgrep and others), and the toolchains of Python, JavaScript, C and Go
(componentize-py, componentize-js, jco, zig, clang, go) into target/clients, builds program and plugins, and runs every test of the workspace whose name contains FILTER; then those of the shell's library on this machine, with some cases of
each class of the public suites of shells, and those of the utilities. As root on Debian it installs what is missing; elsewhere it names it and
fails. Nothing is skipped.
A test program that prints nothing for ten minutes is killed and has failed.";

pub(crate) const PROVE_HELP: &str = "\
cargo xtask prove [NAME]

Runs the tests against foreign clients and hostile plugins, those of the plugin host and of what plugins are loaded
from, and the public suites of shells, as far as their name contains NAME, one at a time and at their full sizes
(hundreds of megabytes, two hundred kills, ten thousand sessions, ten thousand components, five thousand cases of
shells), and prints the figures they find.";

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
    let mut all = prepared(&workspace, &[])?;
    all.args(filter).env("RUST_TEST_THREADS", threads().to_string());
    let mut shell = shell_tests(&workspace)?;
    shell.args(filter);
    let mut utilities = utility_tests(&workspace)?;
    utilities.args(filter);
    tested(&mut [all, shell, utilities], LONGEST_SILENCE)
}

pub(crate) fn prove(arguments: &[String]) -> Outcome {
    let name = at_most_one(arguments)?;
    let workspace = Workspace::find()?;
    let targets = PROOFS.map(|target| ["--test", target]).concat();
    let mut commands = [prepared(&workspace, &targets)?, shell_tests(&workspace)?];
    for command in &mut commands {
        command.env("WHELK_PROVE", "1").args(name).args(["--", "--nocapture", "--test-threads=1"]);
    }
    tested(&mut commands, LONGEST_SILENCE_OF_PROOFS)
}

fn at_most_one(arguments: &[String]) -> Outcome<Option<&String>> {
    match arguments {
        [] => Ok(None),
        [one] if !one.starts_with('-') => Ok(Some(one)),
        [one] => Err(format!("no option {one}")),
        [_, surplus, ..] => Err(format!("one argument at most, {surplus:?} is too many")),
    }
}

/// How many tests run at the same time. Those with real clients wait a third of their time, for clients that start and
/// for time that must pass: twice as many as there are processors keep these busy.
fn threads() -> usize {
    2 * std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Brings the clients, builds the plugins and compiles the program and the tests. Gives the call of `cargo test` that
/// runs them.
fn prepared(workspace: &Workspace, targets: &[&str]) -> Outcome<Command> {
    let clients = Clients::bring(workspace)?;
    build_served(workspace, &mut BuildTimes::default())?;
    let tests = || {
        let mut command = cargo_with_signals();
        // Of the whole workspace, so that nothing is compiled anew with other features.
        command.current_dir(&workspace.root).args(["test", "--release", "--workspace", "--no-fail-fast"]).args(targets);
        command
    };
    // Apart, since a compiler may be silent for as long as it likes. It builds the program, too, with the features that
    // tests ask of shared crates: `cargo build` before it would compile all that depends on these twice.
    step(tests().arg("--no-run"))?;
    let mut command = tests();
    command.env("WHELK_BIN", workspace.program()).env("WHELK_CLIENTS", clients.folder());
    Ok(command)
}

/// Cargo, with the signals of the keyboard as a terminal starts it. Whoever calls us may ignore them, as a script does
/// for what it starts in the background, and the shells that tests run cannot trap what was ignored at their start.
fn cargo_with_signals() -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal=INT,QUIT").arg(cargo().get_program());
    command
}

/// Compiles the tests of the shell's library over the processes of this machine, and gives the call that runs them. A
/// call of its own: their feature asks for others of `libc`, with which all of the workspace would be compiled again.
fn shell_tests(workspace: &Workspace) -> Outcome<Command> {
    let tests = || {
        let mut command = cargo_with_signals();
        command.current_dir(&workspace.root);
        command.args(["test", "--release", "--package", "sh", "--features", "native", "--no-fail-fast"]);
        command
    };
    step(tests().arg("--no-run"))?;
    Ok(tests())
}

/// Compiles the tests of the utilities for this machine, and gives the call that runs them. Only packages with tests
/// are compiled: what `coreutils` depends on takes minutes.
fn utility_tests(workspace: &Workspace) -> Outcome<Command> {
    let folder = workspace.root.join("plugins/unix");
    let mut without = Vec::new();
    for entry in doing(folder.display(), std::fs::read_dir(&folder))? {
        let path = doing(folder.display(), entry)?.path();
        // The folder of a program has its name.
        if path.is_dir() && !has_tests(&path.join("src"))? {
            without.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    without.sort();
    let tests = || {
        let mut command = cargo();
        command.current_dir(&workspace.root).args(["test", "--no-fail-fast", "--manifest-path"]).arg(workspace.unix());
        command.arg("--target-dir").arg(&workspace.target).arg("--workspace");
        command.args(without.iter().flat_map(|package| ["--exclude", package]));
        command
    };
    step(tests().arg("--no-run"))?;
    Ok(tests())
}

/// Whether a folder of sources has tests.
fn has_tests(folder: &Path) -> Outcome<bool> {
    if !folder.is_dir() {
        return Ok(false);
    }
    for entry in doing(folder.display(), std::fs::read_dir(folder))? {
        let path = doing(folder.display(), entry)?.path();
        let found = if path.is_dir() {
            has_tests(&path)?
        } else {
            path.extension().is_some_and(|extension| extension == "rs")
                && doing(path.display(), std::fs::read_to_string(&path))?.contains("#[test]")
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The tests that have run for over a minute and have not ended, by what the test programs print.
#[derive(Default)]
struct Slow(BTreeSet<String>);

impl Slow {
    /// Reads `test NAME has been running for over 60 seconds`, and `test NAME ... ok`.
    fn take(&mut self, line: &str) {
        let Some(test) = line.strip_prefix("test ") else { return };
        if let Some((name, _)) = test.split_once(" has been running for over") {
            self.0.insert(name.to_owned());
        } else if let Some((name, _)) = test.split_once(" ... ") {
            self.0.remove(name);
        }
    }
}

impl std::fmt::Display for Slow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none has said so");
        }
        f.write_str(&self.0.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
    }
}

/// What failed tests printed, to be repeated at the end: between their output and the end of a run lie thousands of
/// lines of the other test programs.
#[derive(Default)]
struct Failures {
    /// Of each failed test, its name and its last lines.
    tests: Vec<(String, VecDeque<String>)>,
    /// The output of the last of them goes on.
    goes_on: bool,
}

impl Failures {
    /// Most lines that are kept of a test: its last ones, where the panic is.
    const LINES: usize = 60;
    /// Most tests that are kept.
    const TESTS: usize = 20;

    /// Reads `---- NAME stdout ----`, the lines that follow, and `failures:`, which ends them.
    fn take(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("---- ").and_then(|line| line.strip_suffix(" stdout ----")) {
            self.goes_on = self.tests.len() < Self::TESTS;
            if self.goes_on {
                self.tests.push((name.to_owned(), VecDeque::new()));
            }
        } else if line == "failures:" {
            self.goes_on = false;
        } else if let Some((_, lines)) = self.tests.last_mut().filter(|_| self.goes_on) {
            lines.push_back(line.to_owned());
            if lines.len() > Self::LINES {
                lines.pop_front();
            }
        }
    }
}

impl std::fmt::Display for Failures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, lines) in &self.tests {
            writeln!(f, "\nfailed: {name}")?;
            lines.iter().try_for_each(|line| writeln!(f, "    {line}"))?;
        }
        Ok(())
    }
}

/// Kills the children of a process: of `cargo test`, the test program that runs.
fn kill_children(process: u32) -> Outcome {
    let tasks = format!("/proc/{process}/task");
    for task in std::fs::read_dir(&tasks).map_err(|error| format!("{tasks}: {error}"))? {
        let children = task.map_err(|error| format!("{tasks}: {error}"))?.path().join("children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| Pid::from_raw(child.parse().ok()?)) {
            // It may have ended in the meantime.
            let _ = kill_process(child, Signal::KILL);
        }
    }
    Ok(())
}

/// Runs the calls of `cargo test` one after another, passes on what they print and sums up.
fn tested(commands: &mut [Command], silence: Duration) -> Outcome {
    let mut tally = Tally::default();
    let mut failures = Failures::default();
    let mut wrong = Vec::new();
    for command in commands {
        wrong.extend(tested_one(command, silence, &mut tally, &mut failures).err());
    }
    print!("{failures}");
    println!("\n{} passed, {} failed, {} ignored", tally.passed, tally.failed, tally.ignored);
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    if tally.passed == 0 { Err("no test has this name".to_owned()) } else { Ok(()) }
}

/// Runs a call of `cargo test`. A test program that is silent for longer than `silence` is killed and has failed.
fn tested_one(command: &mut Command, silence: Duration, tally: &mut Tally, failures: &mut Failures) -> Outcome {
    let line = line(command);
    eprintln!("+ {line}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| format!("{line}: {error}"))?;
    let mut slow = Slow::default();
    let out = child.stdout.take().ok_or("stdout was asked to be a pipe")?;
    let (sender, lines) = channel();
    let reader = std::thread::spawn(move || {
        BufReader::new(out).split(b'\n').try_for_each(|text| sender.send(text)).unwrap_or_default();
    });
    loop {
        let text = match lines.recv_timeout(silence) {
            Ok(text) => text.map_err(|error| format!("{line}: {error}"))?,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                println!("no output for {} s; killed. Tests that hang: {slow}", silence.as_secs());
                kill_children(child.id())?;
                continue;
            }
        };
        let text = String::from_utf8_lossy(&text);
        println!("{text}");
        tally.take(&text);
        slow.take(&text);
        failures.take(&text);
    }
    let _ = reader.join();
    let status = child.wait().map_err(|error| format!("{line}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{line}: {status}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// The Rust files in a folder and below it.
    fn sources(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let found = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
        found.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
    }

    #[test]
    fn every_test_with_a_full_size_is_proved() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("we are in tests/xtask");
        let mut proved = BTreeSet::new();
        for folder in ["host/ssh/tests", "host/runtime/tests", "host/gateway/tests", "tests"] {
            for file in sources(&root.join(folder)) {
                let path = file.strip_prefix(root.join(folder)).expect("it is below it").with_extension("");
                let target = path.iter().next().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
                let text = std::fs::read_to_string(&file).expect("our own file");
                // These run tests or are fuzzed, and are none.
                let is_test = !["fuzz", "src", "suites", "xtask"].contains(&target.as_str());
                if is_test && (text.contains("WHELK_PROVE") || (folder == "tests" && text.contains("size("))) {
                    proved.insert(target);
                }
            }
        }
        assert_eq!(proved, PROOFS.map(str::to_owned).into());
    }

    #[test]
    fn unfinished_tests_are_named() {
        let mut slow = Slow::default();
        assert_eq!(slow.to_string(), "none has said so");
        for line in [
            "running 3 tests",
            "test quick ... ok",
            "test crowd::hangs has been running for over 60 seconds",
            "test slow has been running for over 60 seconds",
            "test slow ... ok",
        ] {
            slow.take(line);
        }
        assert_eq!(slow.to_string(), "crowd::hangs");
    }

    #[test]
    fn what_failed_tests_printed_is_repeated() {
        let mut failures = Failures::default();
        let output = "test fine ... ok\n\nfailures:\n\n---- one stdout ----\n1 is not 2\n\n---- two stdout ----\n2 is \
                      not 3\n\nfailures:\n    one\n    two\n\ntest result: FAILED. 1 passed; 2 failed";
        output.lines().for_each(|line| failures.take(line));
        let expected = "\nfailed: one\n    1 is not 2\n    \n\nfailed: two\n    2 is not 3\n    \n";
        assert_eq!(failures.to_string(), expected);
        (0..1000).for_each(|line| failures.take(&format!("---- test{line} stdout ----")));
        (0..1000).for_each(|line| failures.take(&line.to_string()));
        assert_eq!(failures.tests.len(), Failures::TESTS);
    }

    #[test]
    fn a_program_that_prints_nothing_is_killed_and_the_run_has_failed() {
        let mut command = Command::new("sh");
        // The shell stands for cargo, which starts test programs one after another.
        command.args(["-c", "sleep 3600; echo 'test result: ok. 1 passed; 0 failed'; exit 101"]);
        let error = tested(&mut [command], Duration::from_millis(50)).unwrap_err();
        assert!(error.ends_with("exit status: 101"), "{error}");
    }
}
