//! A folder for a server, and the running server: its log, its signals, its status.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A folder with a plugin folder and a state folder.
pub(crate) fn place() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    fs::write(folder.path().join("plugins/echo.wasm"), "").unwrap();
    folder
}

pub(crate) fn whelk(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whelk"));
    command.args(arguments).current_dir(folder).env_remove("WHELK_LOG").env("XDG_STATE_HOME", folder.join("state"));
    command
}

pub(crate) fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = whelk(folder, arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A process that is killed when the test ends, however it ends.
pub(crate) struct Running {
    pub(crate) child: Child,
    /// Threads that this test has stopped. Until they have been waited for the process is a zombie, and `wait` does not
    /// return.
    stopped: Vec<libc::pid_t>,
}

impl Running {
    pub(crate) fn new(child: Child) -> Running {
        Running { child, stopped: Vec::new() }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Stops all threads except those of these names, for as long as the process lives. Each stops while it waits for
    /// something to do, so that none holds a lock that the others need.
    pub(crate) fn stop_threads(&mut self, except: &[&str]) {
        let tasks = PathBuf::from(format!("/proc/{}/task", self.pid().as_raw_nonzero()));
        let read =
            |thread: libc::pid_t, file: &str| fs::read_to_string(tasks.join(thread.to_string()).join(file)).unwrap();
        let waits =
            [libc::SYS_epoll_wait, libc::SYS_epoll_pwait, libc::SYS_futex, libc::SYS_clock_nanosleep, libc::SYS_read];
        loop {
            let threads = fs::read_dir(&tasks).unwrap().map(|task| task.unwrap().file_name().into_string().unwrap());
            let threads = threads.map(|thread| thread.parse::<libc::pid_t>().unwrap());
            self.stopped = threads.filter(|thread| !except.contains(&read(*thread, "comm").trim())).collect();
            for thread in &self.stopped {
                // Whatever happens to this test, the stopped threads must not stay.
                ptrace(libc::PTRACE_SEIZE, *thread, libc::PTRACE_O_EXITKILL);
                ptrace(libc::PTRACE_INTERRUPT, *thread, 0);
                wait_for(*thread);
            }
            let is_waiting = |thread: &libc::pid_t| {
                let call = read(*thread, "syscall");
                call.split(' ').next().and_then(|call| call.parse().ok()).is_some_and(|call| waits.contains(&call))
            };
            if self.stopped.iter().all(is_waiting) {
                break;
            }
            self.stopped.drain(..).for_each(|thread| ptrace(libc::PTRACE_DETACH, thread, 0));
            std::thread::yield_now();
        }
        // The main thread is waited for with the process.
        let leader = self.pid().as_raw_nonzero().get();
        self.stopped.retain(|thread| *thread != leader);
        assert!(!self.stopped.is_empty());
    }

    /// Its status, once it has ended. A process that does not end is killed after a minute and has none.
    pub(crate) fn status(mut self) -> Option<i32> {
        let pid = self.pid();
        let (ended, over) = channel::<()>();
        let watchdog = std::thread::spawn(move || {
            if over.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
                kill_process(pid, Signal::KILL).unwrap();
            }
        });
        self.stopped.drain(..).for_each(wait_for);
        let status = self.child.wait().unwrap();
        drop(ended);
        watchdog.join().unwrap();
        status.code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if it has ended already, which is fine.
        let _ = self.child.kill();
        self.stopped.drain(..).for_each(wait_for);
        let _ = self.child.wait();
    }
}

/// A server, and its log.
pub(crate) struct Server {
    pub(crate) child: Running,
    pub(crate) lines: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl Server {
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Server {
        Server::spawn(whelk(folder, arguments))
    }

    /// The same, started by a program that has changed the disposition of SIGHUP: an option of env(1).
    pub(crate) fn start_by(option: &str, folder: &Path, arguments: &[&str]) -> Server {
        let inner = whelk(folder, arguments);
        let mut command = Command::new("env");
        command.arg(option).arg(inner.get_program()).args(inner.get_args()).current_dir(folder);
        command.env_remove("WHELK_LOG").env("XDG_STATE_HOME", folder.join("state"));
        Server::spawn(command)
    }

    fn spawn(mut command: Command) -> Server {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Server { child: Running::new(child), lines }
    }

    /// The next line of the log that contains `text`.
    pub(crate) fn line(&mut self, text: &str) -> String {
        self.lines.by_ref().map(Result::unwrap).find(|line| line.contains(text)).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.child.signal(signal);
    }

    pub(crate) fn status(self) -> Option<i32> {
        self.child.status()
    }
}

/// A ptrace(2) request that concerns no memory, with flags or a signal as its only argument.
#[expect(unsafe_code, reason = "ptrace(2) is the only way to stop a single thread, and has no safe face")]
fn ptrace(request: libc::c_uint, thread: libc::pid_t, argument: libc::c_int) {
    let argument = usize::try_from(argument).unwrap();
    // SAFETY: these requests neither read nor write memory of this process.
    let result = unsafe { libc::ptrace(request, thread, std::ptr::null_mut::<libc::c_void>(), argument) };
    assert_eq!(result, 0, "thread {thread}: {}", std::io::Error::last_os_error());
}

/// Waits until a traced thread has stopped or ended.
#[expect(unsafe_code, reason = "threads are waited for by waitpid(2) with __WALL only, which has no safe face")]
fn wait_for(thread: libc::pid_t) {
    let mut status = 0;
    // SAFETY: the pointer is to a local variable.
    let waited = unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL) };
    assert_eq!(waited, thread, "{}", std::io::Error::last_os_error());
}
