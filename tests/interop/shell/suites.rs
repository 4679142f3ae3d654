//! Cases of the public suites of shells over SSH: each is a session of one connection, and has to do what the same case
//! does natively, with our shell or with bash.
//!
//! Natively the utilities are those of this machine, here they are ours. `suites/failures.txt` lists the cases that
//! differ, with the reason. `SUITE` and `SUITE_SHOW` are as in `plugins/sh/tests/suites/main.rs`.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicUsize, Ordering};

use whelk_suites::{
    Case, Choice, Failures, Folders, Outcome, Ran, Shell, Shells, Start, brush, each, just_bash, run_command, yash,
};
use whelk_tests::{Access, Call, Client, OPENSSH_VERSIONS, Setup, figure, size};

use super::master::Master;
use super::screens::warm_up;

const CONFIGURATION: &str = "\
[users.alice]
plugin = \"bash\"
auth = \"none\"
[limits]
sessions_per_user = 200
[tenants.default.grants]
process = true
directory = { path = \"home\", access = \"read-write\" }
";

/// The programs that the cases start.
const PROGRAMS: &str = "ls env awk diff find grep jq sed tar";

/// Of the cases that a native run without `WHELK_PROVE` has, one of so many is run here.
const SHORT: usize = 6;

/// The files of yash that are run, and how many of them in a short run.
const FILES_OF_YASH: [&str; 6] = ["param-p.sh", "redir-p.sh", "case-p.sh", "errexit-p.sh", "fsplit-p.sh", "tilde-p.sh"];
const SHORT_OF_YASH: usize = 1;

/// The shell in sessions of one connection.
struct Sessions<'a> {
    master: &'a Master,
    /// What a session sees as `/`.
    root: PathBuf,
    /// The number of the next session.
    next: AtomicUsize,
}

impl Sessions<'_> {
    /// A new folder: its path here, and its path in a session.
    fn folder(&self) -> (PathBuf, String) {
        let name = format!("session-{}", self.next.fetch_add(1, Ordering::Relaxed));
        let folder = self.root.join(&name);
        std::fs::create_dir(&folder).expect("our own folder");
        (folder, format!("/{name}"))
    }

    /// Runs a file of yash, with our shell as the one that runs the tests, too.
    fn run_file(&self, name: &str) -> Vec<(String, Outcome)> {
        let (folder, home) = self.folder();
        for entry in std::fs::read_dir(yash::folder()).expect("the suite").filter_map(Result::ok) {
            if entry.path().is_file() {
                std::fs::copy(entry.path(), folder.join(entry.file_name())).expect("our own folder");
            }
        }
        // A link to a program is no program here.
        let runner = folder.join(yash::RUNNER);
        let text = std::fs::read_to_string(&runner).expect("the suite has it");
        let linked = "testee_sh=\"$(absolute sh)\"";
        assert!(text.contains(linked), "{} has no line {linked}", yash::RUNNER);
        std::fs::write(&runner, text.replace(linked, "testee_sh=\"$testee\"")).expect("our own folder");
        let runner = yash::RUNNER;
        let line =
            format!("cd {home} && mkdir work && TMPDIR={home}/work LC_ALL=C.UTF-8 exec sh {runner} sh {name} log");
        let streams = tempfile::tempdir().expect("a temporary folder");
        let ran = run_command(self.master.exec(&line).command(), "", streams.path(), yash::LIMIT);
        if ran.status.is_none() {
            println!("{name}: took too long");
        }
        let log = std::fs::read(folder.join("log")).unwrap_or_default();
        yash::outcomes(name, &String::from_utf8_lossy(&log))
    }
}

fn quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    shlex::try_join(words).expect("no word has a zero byte")
}

impl Shell for Sessions<'_> {
    fn run(&self, start: &Start) -> Ran {
        let (folder, home) = self.folder();
        start.write(&Folders::new(&folder), "/bin/sh");
        let folders = Folders::new(Path::new(&home));
        let variables = start.variables(&folders, Path::new(SHELLS));
        let variables: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let words = ["env", "-i"].into_iter().chain(variables.iter().map(String::as_str)).chain(["bash"]);
        let words = words.chain(start.bash_options.iter().chain(&start.arguments).map(String::as_str));
        let line = format!("cd {home}/work && exec {}", quoted(words));
        let streams = tempfile::tempdir().expect("a temporary folder");
        let mut ran = run_command(self.master.exec(&line).command(), &start.input, streams.path(), start.limit);
        // Other programs are in the same folder.
        let shells = [("/usr/bin/bash", "SHELLS/bash"), (":/usr/bin:/usr/local/", ":SHELLS:/usr/local/")];
        ran.replace(&[(&home, "TEMP"), shells[0], shells[1]]);
        ran
    }
}

/// Where the shell is.
const SHELLS: &str = "/usr/bin";

/// What OpenSSH's client makes of a run: 255 of a signal (RFC 4254 §6.10).
fn over_ssh(mut ran: Ran) -> Ran {
    if ran.status.is_some_and(|status| status.signal().is_some()) {
        ran.status = Some(ExitStatus::from_raw(255 << 8));
    }
    ran
}

/// Whether a case differs from the native runs of our shell and of bash. `None`: it says nothing.
fn differs(shells: &Shells, sessions: &Sessions<'_>, case: &Case) -> Option<bool> {
    let bash = over_ssh(case.oracle(&shells.get("bash"))?);
    let here = sessions.run(&case.start);
    if case.comparison.is_same(&bash, &here) {
        return Some(false);
    }
    let ours = over_ssh(shells.get("ours").run(&case.start));
    if case.comparison.is_same(&ours, &here) {
        return Some(false);
    }
    case.show(&[("bash", &bash), ("ours", &ours), ("over SSH", &here)]);
    Some(true)
}

/// Whether each case of some files of yash differs from the native run of our shell.
fn compare_yash(shells: &Shells, sessions: &Sessions<'_>, files: &[&str]) -> Vec<(String, bool)> {
    let ran = each(files, |file| {
        let native: BTreeMap<String, Outcome> = yash::run_file(&shells.get("ours"), file).into_iter().collect();
        let here: BTreeMap<String, Outcome> = sessions.run_file(file).into_iter().collect();
        // A case that is missing has failed.
        let passes = |outcomes: &BTreeMap<String, Outcome>, case: &str| {
            outcomes.get(case).is_some_and(|outcome| *outcome != Outcome::Failed)
        };
        let compared =
            native.keys().map(|case| (format!("yash: {case}"), passes(&native, case) && !passes(&here, case)));
        compared.collect::<Vec<_>>()
    });
    ran.into_iter().flatten().collect()
}

/// The chosen cases of brush and just-bash, one of `step` of them.
fn chosen(choice: &Choice, step: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for (suite, all) in [("brush", brush::cases()), ("just-bash", just_bash::cases())] {
        let is_chosen = choice.picker();
        let chosen = all.into_iter().filter(|case| case.is_applicable && is_chosen(&case.name));
        cases.extend(chosen.map(|case| Case { name: format!("{suite}: {}", case.name), ..case }));
    }
    cases.into_iter().step_by(step).collect()
}

#[test]
fn cases_of_the_suites_of_shells_do_over_ssh_what_they_do_natively() {
    let setup = Setup::default();
    let root = setup.folder().join("home");
    std::fs::create_dir(&root).expect("our own folder");
    let gateway = setup.configuration(CONFIGURATION).utilities().start();
    warm_up(&Call::new(Client::OpenSsh100, &gateway, "alice"), PROGRAMS);
    let master = Master::open(&gateway, OPENSSH_VERSIONS[1], "alice", &Access::Nothing, ":");
    let sessions = Sessions { master: &master, root, next: AtomicUsize::new(0) };
    let shells = Shells::new();
    let failures = Failures::read(include_str!("suites/failures.txt"));

    let named = Choice::named();
    let choice = named.clone().unwrap_or(Choice::Slice);
    let is_full = named.is_some() || size(0, 1) == 1;
    let cases = chosen(&choice, if is_full { 1 } else { SHORT });
    let run = |case: &Case| Some((case.name.clone(), differs(&shells, &sessions, case)?));
    let mut went: BTreeMap<String, bool> = each(&cases, run).into_iter().flatten().collect();
    // A busy machine may take longer for a case than it has: what differs unexpectedly is run once more.
    let is_wrong = |case: &&Case| went.get(&case.name) == Some(&true) && !failures.contains(&case.name);
    let again: Vec<_> = cases.iter().filter(is_wrong).filter_map(run).collect();
    went.extend(again);
    let files = FILES_OF_YASH.into_iter().filter(|file| choice.has_file(file, &FILES_OF_YASH));
    let files: Vec<&str> = files.take(if is_full { usize::MAX } else { SHORT_OF_YASH }).collect();
    went.extend(compare_yash(&shells, &sessions, &files));

    master.close();
    gateway.end();
    figure("cases of the suites of shells over SSH", went.len());
    figure("of these, with a difference", went.values().filter(|differs| **differs).count());
    let mut wrong: Vec<String> = went.iter().filter_map(|(name, differs)| failures.check(name, *differs)).collect();
    if named.is_none() && is_full {
        let is_known = |name: &str| went.contains_key(name) || cases.iter().any(|case| case.name == name);
        wrong.extend(failures.unknown(is_known));
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}
