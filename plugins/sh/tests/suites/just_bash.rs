//! The cases that just-bash tests itself with: those of the Oils project for shells (Apache-2.0), and its own commands
//! that it compares with bash (Apache-2.0). The package of the Python port carries both.
//!
//! As with brush's cases a shell is right when it does what bash does here: standard output and the status.

use crate::cases::{self, Outcome, Ran, Shells, Suite, Verdicts, code_of, each, program_outside, shows};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use yaml_rust2::{Yaml, YamlLoader};

const VERSION: &str = "0.2.1";
const SHA256: &str = "c8545e21a921ae665ec44edfad7cdbe644c6ef1deb1a16d719cc64211745c836";

/// Needs a terminal with bash too.
const INTERACTIVE: &[&str] = &["interactive", "interactive-parse"];

/// Programs that the cases call, as scripts: what they print need only be the same for each shell.
const PROGRAMS: &[(&str, &str)] = &[
    ("argv.py", "printf '['; for a; do printf \"'%s', \" \"$a\"; done; echo ']'"),
    ("printenv.py", "for n; do eval \"printf '%s\\n' \\\"\\${$n-None}\\\"\"; done"),
    ("stdout_stderr.py", "echo \"${1-STDOUT}\"; echo \"${2-STDERR}\" >&2; exit \"${3-0}\""),
    ("read_from_fd.py", "for n; do printf '%s: ' \"$n\"; eval \"cat <&$n\"; echo; done"),
];

struct Case {
    name: String,
    script: String,
    /// Whether the script is an argument, and not standard input.
    as_argument: bool,
    files: Vec<(String, String)>,
}

/// The package's sources, fetched with pip if need be.
fn package() -> PathBuf {
    let test = std::env::current_exe().expect("the path of the test");
    let target = test.ancestors().nth(3).expect("target/PROFILE/deps").join("suites");
    let folder = target.join(format!("just_bash-{VERSION}"));
    if folder.is_dir() {
        return folder;
    }
    std::fs::create_dir_all(&target).expect("a folder in target");
    let work = tempfile::tempdir_in(&target).expect("a temporary folder");
    let requirements = work.path().join("requirements");
    std::fs::write(&requirements, format!("just-bash=={VERSION} --hash=sha256:{SHA256}\n")).expect("a new file");
    program_outside(
        Command::new("python3")
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "just-bash", "--require-hashes"])
            .arg("--dest")
            .arg(work.path())
            .arg("--requirement")
            .arg(&requirements),
    );
    let archive = work.path().join(format!("just_bash-{VERSION}.tar.gz"));
    program_outside(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(work.path()));
    // Another test may have been quicker.
    let _ = std::fs::rename(work.path().join(format!("just_bash-{VERSION}")), &folder);
    assert!(folder.is_dir(), "{}: not there after fetching it", folder.display());
    folder
}

fn files_of(folder: &Path, suffix: &str) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<(String, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            Some((name.strip_suffix(suffix)?.to_owned(), entry.path()))
        })
        .collect();
    files.sort();
    files
}

/// Reads a file of Oils: `#### title`, the script, and lines `## ..` with what is expected, some up to `## END`.
fn oils(class: &str, text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut within = false;
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("#### ") {
            let title = title.trim().replace(": ", " - ");
            let count = seen.entry(title.clone()).or_default();
            *count += 1;
            let title = if *count > 1 { format!("{title} ({count})") } else { title };
            let name = format!("oils/{class}: {title}");
            cases.push(Case { name, script: String::new(), as_argument: false, files: Vec::new() });
            within = false;
        } else if let Some(case) = cases.last_mut() {
            if let Some(expected) = line.strip_prefix("## ") {
                let block = |word: &str| ["STDOUT:", "STDERR:"].contains(&word);
                within = expected.split_whitespace().last().is_some_and(block);
                if let Some(code) = expected.strip_prefix("code: ") {
                    case.script = format!("{code}\n");
                }
            } else if !within {
                let _ = writeln!(case.script, "{line}");
            }
        }
    }
    cases
}

fn comparisons(class: &str, text: &str) -> Vec<Case> {
    let documents = YamlLoader::load_from_str(text).unwrap_or_else(|error| panic!("{class}: {error}"));
    let mut cases = Vec::new();
    for (key, yaml) in documents.iter().filter_map(Yaml::as_hash).flatten() {
        let text = |yaml: &Yaml| yaml.as_str().unwrap_or_default().to_owned();
        let files = yaml["files"].as_hash().into_iter().flatten();
        cases.push(Case {
            name: format!("comparison/{class}: {}", text(key)),
            script: text(&yaml["command"]),
            as_argument: true,
            files: files.map(|(path, content)| (text(path), text(content))).collect(),
        });
    }
    cases
}

fn read(folder: &Path) -> Vec<Case> {
    let source = folder.join("just-bash/src");
    let mut cases = Vec::new();
    for (class, path) in files_of(&source.join("spec-tests/bash/cases"), ".test.sh") {
        let text = std::fs::read(&path).expect("a file of the suite");
        if !INTERACTIVE.contains(&class.as_str()) {
            cases.extend(oils(&class, &String::from_utf8_lossy(&text)));
        }
    }
    for (class, path) in files_of(&source.join("comparison-tests/fixtures"), ".comparison.fixtures.json") {
        cases.extend(comparisons(&class, &std::fs::read_to_string(&path).expect("a file of the suite")));
    }
    cases
}

fn write_programs(folder: &Path) {
    for (name, script) in PROGRAMS {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/usr/bin/dash\n{script}\n")).expect("a new file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("our own file");
    }
}

fn run_case(shells: &Shells, programs: &Path, case: &Case, shell: &str) -> Ran {
    let outer = tempfile::tempdir().expect("a temporary folder");
    let work = outer.path().join("work");
    std::fs::create_dir(&work).expect("a new folder");
    for (path, content) in &case.files {
        let path = work.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a new folder");
        std::fs::write(&path, content).expect("a new file");
    }
    let program = shells.path(shell, "bash");
    let mut command = Command::new(&program);
    command.arg0("bash").current_dir(&work).env_clear();
    if case.as_argument {
        command.arg("-c").arg(&case.script);
    }
    let folders = [programs, program.parent().expect("a folder")].map(|path| path.display().to_string());
    command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", folders.join(":")));
    command
        .env("TERM", "linux")
        .env("HOME", outer.path())
        .env("TMP", &work)
        .env("SH", &program)
        .env("LC_ALL", "C.UTF-8");
    let input = if case.as_argument { "" } else { case.script.as_str() };
    let mut ran = cases::run(command, input, outer.path(), Duration::from_secs(5));
    for (from, to) in [
        (outer.path().display().to_string(), "TEMP"),
        (program.parent().expect("a folder").display().to_string(), "SHELLS"),
    ] {
        ran.stdout = ran.stdout.replace(&from, to);
    }
    ran
}

fn judge(shells: &Shells, programs: &Path, case: &Case) -> Verdicts {
    let oracle = run_case(shells, programs, case, "bash");
    let same = |ran: &Ran| code_of(&oracle) == code_of(ran) && oracle.stdout == ran.stdout;
    if oracle.status.is_none() || !same(&run_case(shells, programs, case, "bash")) {
        // bash itself takes too long, or does something else each time.
        return Verdicts::default();
    }
    let outcome = |ran: &Ran| if same(ran) { Outcome::Passed } else { Outcome::Failed };
    let ran = run_case(shells, programs, case, "ours");
    let ours = outcome(&ran);
    if ours == Outcome::Failed && shows() {
        println!(
            "=== {}\n{}\n--- bash {:?}\n{}{}--- ours {:?}\n{}{}",
            case.name, case.script, oracle.status, oracle.stdout, oracle.stderr, ran.status, ran.stdout, ran.stderr
        );
    }
    Verdicts { ours, dash: outcome(&run_case(shells, programs, case, "dash")), bash: Outcome::Passed }
}

pub(crate) fn run(shells: &Shells, wanted: &dyn Fn(&str) -> bool) -> Suite {
    let mut all = read(&package());
    all.retain(|case| wanted(&case.name));
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_programs(folder.path());
    let judged = each(&all, |case| (case.name.clone(), judge(shells, folder.path(), case)));
    Suite { name: "just-bash", cases: judged.into_iter().collect() }
}
