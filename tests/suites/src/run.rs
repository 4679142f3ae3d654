//! Running commands with a limit on their time.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What a command wrote, and its status.
#[derive(Debug, Clone)]
pub struct Ran {
    /// `None`: it took too long.
    pub status: Option<ExitStatus>,
    /// What is not UTF-8 in it is replaced, as in `stderr`.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ran {
    /// The status as a shell shows it. `None`: it took too long.
    pub fn code(&self) -> Option<i32> {
        self.status.map(|status| status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
    }

    /// Replaces texts, such as the paths of temporary folders, in what it wrote.
    pub fn replace(&mut self, texts: &[(&str, &str)]) {
        for (from, to) in texts {
            self.stdout = self.stdout.replace(from, to);
            self.stderr = self.stderr.replace(from, to);
        }
    }
}

/// Runs a command with a text as its input, and ends it and its process group after `limit`. The streams are files of
/// `folder`: `in`, `out` and `err`.
pub fn run_command(mut command: Command, input: &str, folder: &Path, limit: Duration) -> Ran {
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

/// Runs something for each item, on as many threads as there are processors.
pub fn each<T: Sync, R: Send>(items: &[T], one: impl Fn(&T) -> R + Sync) -> Vec<R> {
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
