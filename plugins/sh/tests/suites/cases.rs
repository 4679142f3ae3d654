//! Cases, their verdicts, and running commands with a limit on their time.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How a case went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// It says nothing about the shell, for a reason.
    #[default]
    NotApplicable,
}

/// How a case went with each shell.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Verdicts {
    pub(crate) ours: Outcome,
    pub(crate) dash: Outcome,
    pub(crate) bash: Outcome,
}

impl Verdicts {
    /// Whether a failure counts: somebody passes it.
    pub(crate) fn counts(&self) -> bool {
        self.dash == Outcome::Passed || self.bash == Outcome::Passed
    }
}

/// The cases of a suite by name.
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    pub(crate) cases: BTreeMap<String, Verdicts>,
}

impl Suite {
    /// Prints a table: the rates of each class of cases, a class being a file.
    pub(crate) fn print(&self) {
        let mut classes: BTreeMap<&str, Vec<&Verdicts>> = BTreeMap::new();
        for (name, verdicts) in &self.cases {
            classes.entry(name.split(':').next().unwrap_or_default()).or_default().push(verdicts);
        }
        let all: Vec<&Verdicts> = self.cases.values().collect();
        classes.insert("all", all);
        println!("{:<48} {:>6} {:>6} {:>6} {:>6} {:>6}", self.name, "cases", "n/a", "ours", "dash", "bash");
        for (class, verdicts) in classes {
            let count =
                |outcome, of: fn(&Verdicts) -> Outcome| verdicts.iter().filter(|one| of(one) == outcome).count();
            println!(
                "{class:<48} {:>6} {:>6} {:>6} {:>6} {:>6}",
                verdicts.len(),
                count(Outcome::NotApplicable, |one| one.ours),
                count(Outcome::Passed, |one| one.ours),
                count(Outcome::Passed, |one| one.dash),
                count(Outcome::Passed, |one| one.bash),
            );
        }
    }
}

/// Where the shells are: folders with links `sh` and `bash`.
pub(crate) struct Shells {
    folder: tempfile::TempDir,
}

impl Shells {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let test = std::env::current_exe().expect("the path of the test");
        let own = test.parent().and_then(Path::parent).expect("target/PROFILE/deps").join("examples/native-sh");
        assert!(own.is_file(), "{}: run the test with cargo, which builds it", own.display());
        for (name, program) in
            [("ours", own.as_path()), ("dash", Path::new("/usr/bin/dash")), ("bash", Path::new("/usr/bin/bash"))]
        {
            let shell = folder.path().join(name);
            std::fs::create_dir(&shell).expect("a new folder");
            for link in ["sh", "bash"] {
                std::os::unix::fs::symlink(program, shell.join(link)).expect("a new link");
            }
        }
        Self { folder }
    }

    /// The path of one of `ours`, `dash` and `bash`, called `sh` or `bash`.
    pub(crate) fn path(&self, shell: &str, name: &str) -> PathBuf {
        self.folder.path().join(shell).join(name)
    }
}

/// The sources of a package of the registry, fetched if need be.
pub(crate) fn package(name: &str, version: &str) -> PathBuf {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = cargo_home.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").expect("HOME")).join(".cargo"));
    let find = || {
        let registries = std::fs::read_dir(home.join("registry/src")).ok()?;
        registries
            .filter_map(Result::ok)
            .map(|entry| entry.path().join(format!("{name}-{version}")))
            .find(|path| path.is_dir())
    };
    if let Some(path) = find() {
        return path;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let info = Command::new(cargo).args(["info", &format!("{name}@{version}")]).output().expect("cargo runs this test");
    let said = String::from_utf8_lossy(&info.stderr).into_owned();
    find().unwrap_or_else(|| panic!("{name} {version} is in no registry's sources after `cargo info`: {said}"))
}

/// What a command wrote, and its status; none if it took too long.
pub(crate) struct Ran {
    pub(crate) status: Option<std::process::ExitStatus>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command with a text as its input, and ends it and its group after a time.
pub(crate) fn run(mut command: Command, input: &str, folder: &Path, limit: Duration) -> Ran {
    let file = |name: &str| folder.join(name);
    std::fs::write(file("in"), input).expect("a file in a temporary folder");
    let open = |name: &str| std::fs::File::create(file(name)).expect("a file in a temporary folder");
    command.stdin(std::fs::File::open(file("in")).expect("it was written"));
    command.stdout(Stdio::from(open("out"))).stderr(Stdio::from(open("err")));
    command.process_group(0);
    let mut child = command.spawn().expect("the shell starts");
    let pid = rustix::process::Pid::from_child(&child);
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).expect("the child is there");
    let timeout = rustix::event::Timespec::try_from(limit).expect("some seconds");
    let mut polled = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    let ended = rustix::event::poll(&mut polled, Some(&timeout)).is_ok_and(|count| count > 0);
    // What a case leaves running ends with it.
    let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    let status = child.wait().expect("it is our child");
    let text = |name: &str| String::from_utf8_lossy(&std::fs::read(file(name)).unwrap_or_default()).into_owned();
    Ran { status: ended.then_some(status), stdout: text("out"), stderr: text("err") }
}

/// The status of a command as a shell shows it. None: it took too long.
pub(crate) fn code_of(ran: &Ran) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt;
    ran.status.map(|status| status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}

/// Runs a program that the tests need.
pub(crate) fn program_outside(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
}

/// Runs something for each item, on as many threads as there are processors.
pub(crate) fn each<T: Sync, R: Send>(items: &[T], one: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let result = one(item);
                    results.lock().expect("no thread has panicked").push(result);
                }
            });
        }
    });
    results.into_inner().expect("no thread has panicked")
}

pub(crate) fn shows() -> bool {
    std::env::var_os("SUITE_SHOW").is_some()
}
