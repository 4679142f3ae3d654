//! yash's tests for any POSIX shell: `run-test.sh SHELL FILE LOG`, whose log has a line for each case.

use crate::case::Outcome;
use crate::native::Native;
use crate::package;
use crate::run::{run_command, shows};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const VERSION: &str = "3.0.8";

/// The script that runs a file of tests.
pub const RUNNER: &str = "run-test.sh";

/// How long a file may take.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The folder of the tests. They name files beside them.
pub fn folder() -> PathBuf {
    package::of_cargo("yash-cli", VERSION).join("tests/scripted_test")
}

/// The names of the files of tests.
pub fn files() -> Vec<String> {
    let names = package::files_of(&folder(), "-p.sh").into_iter().map(|(name, _)| format!("{name}-p.sh"));
    // Their cases do not end without a terminal, with dash and bash neither.
    names.filter(|name| !["bg-p.sh", "fg-p.sh"].contains(&name.as_str())).collect()
}

/// Runs a file of tests with a shell of this machine; dash runs the tests.
pub fn run_file(shell: &Native, name: &str) -> Vec<(String, Outcome)> {
    let work = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new("/usr/bin/dash");
    command.arg(folder().join(RUNNER)).arg(shell.folder.join("sh")).arg(name).arg(work.path().join("log"));
    command.current_dir(folder()).env("TMPDIR", work.path()).env("LC_ALL", "C.UTF-8");
    let ran = run_command(command, "", work.path(), LIMIT);
    if ran.status.is_none() {
        println!("{name} with {}: took too long", shell.name);
    }
    let log = std::fs::read(work.path().join("log")).unwrap_or_default();
    outcomes(name, &String::from_utf8_lossy(&log))
}

/// How the cases of the file `name` went, by the log of [`RUNNER`]. Their names are `FILE: TITLE`.
pub fn outcomes(name: &str, log: &str) -> Vec<(String, Outcome)> {
    let mut results = Vec::new();
    let mut started = None;
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for (line_number, line) in log.lines().enumerate() {
        let Some((verdict, rest)) = line.strip_prefix("%%% ").and_then(|line| line.split_once(": ")) else { continue };
        let mut parts = rest.splitn(3, ':');
        // The number of the line depends on the shell that runs the tests.
        let title = parts.nth(2).unwrap_or_default().trim();
        if verdict == "START" || verdict == "SKIPPED" {
            *seen.entry(title.to_owned()).or_default() += 1;
        }
        let count = seen.get(title).copied().unwrap_or(1);
        let key = if count > 1 { format!("{name}: {title} ({count})") } else { format!("{name}: {title}") };
        let outcome = match verdict {
            "START" => {
                started = Some(key);
                continue;
            }
            "OK[PASSED]" | "OK[FAILED_AS_EXPECTED]" => Outcome::Passed,
            "SKIPPED" => Outcome::NotApplicable,
            _ => Outcome::Failed,
        };
        if outcome == Outcome::Failed && shows() {
            let shown: Vec<&str> = log.lines().take(line_number).collect();
            let from = shown.iter().rposition(|line| line.starts_with("%%% START")).unwrap_or(0);
            println!("{}\n", shown[from..].join("\n"));
        }
        started = None;
        results.push((key, outcome));
    }
    // What was not finished has failed.
    results.extend(started.map(|key| (key, Outcome::Failed)));
    results
}
