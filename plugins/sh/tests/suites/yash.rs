//! yash's tests for any POSIX shell: `run-test.sh SHELL FILE LOG`, whose log has a line for each case.

use crate::cases::{self, Outcome, Shells, Suite, Verdicts, each, package, shows};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const VERSION: &str = "3.0.8";

fn run_all(shells: &Shells, wanted: &dyn Fn(&str) -> bool, folder: &Path) -> Vec<(String, &'static str, Outcome)> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("the suite").filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with("-p.sh"));
    // Their cases do not end without a terminal, with dash and bash neither.
    files.retain(|file| !["bg-p.sh", "fg-p.sh"].iter().any(|name| file.ends_with(name)));
    files.retain(|file| wanted(&file.file_name().unwrap_or_default().to_string_lossy()));
    files.sort();
    let jobs: Vec<(PathBuf, &'static str)> =
        files.iter().flat_map(|file| ["ours", "dash", "bash"].map(|shell| (file.clone(), shell))).collect();
    each(&jobs, |(file, shell)| run_file(shells, folder, file, shell)).into_iter().flatten().collect()
}

fn run_file(shells: &Shells, folder: &Path, file: &Path, shell: &'static str) -> Vec<(String, &'static str, Outcome)> {
    let work = tempfile::tempdir().expect("a temporary folder");
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut command = Command::new("/usr/bin/dash");
    // The tests name the files beside them.
    command.arg(folder.join("run-test.sh")).arg(shells.path(shell, "sh")).arg(&name).arg(work.path().join("log"));
    command.current_dir(folder).env("TMPDIR", work.path()).env("LC_ALL", "C.UTF-8");
    let ran = cases::run(command, "", work.path(), Duration::from_secs(60));
    let log = std::fs::read(work.path().join("log")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
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
        if outcome == Outcome::Failed && shell == "ours" && shows() {
            let shown: Vec<&str> = log.lines().take(line_number).collect();
            let from = shown.iter().rposition(|line| line.starts_with("%%% START")).unwrap_or(0);
            println!("{}\n", shown[from..].join("\n"));
        }
        started = None;
        results.push((key, shell, outcome));
    }
    // What was not finished has failed.
    results.extend(started.map(|key| (key, shell, Outcome::Failed)));
    if ran.status.is_none() {
        println!("{name} with {shell}: took too long");
    }
    results
}

pub(crate) fn run(shells: &Shells, wanted: &dyn Fn(&str) -> bool) -> Suite {
    let folder = package("yash-cli", VERSION).join("tests/scripted_test");
    let mut cases: BTreeMap<String, Verdicts> = BTreeMap::new();
    for (key, shell, outcome) in run_all(shells, wanted, &folder) {
        let verdicts = cases.entry(key).or_default();
        match shell {
            "ours" => verdicts.ours = outcome,
            "dash" => verdicts.dash = outcome,
            _ => verdicts.bash = outcome,
        }
    }
    Suite { name: "yash", cases }
}
