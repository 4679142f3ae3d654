//! A program that runs under a deadline.
//!
//! Owns the process, its pipes and the threads that read them. Works with any program.

use crate::measure::SOON;
use sha2::{Digest, Sha256};
use std::io::{Read, Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How many bytes of each stream are kept; the rest is only counted.
const KEPT: usize = 256 << 20;

/// The program's stdin.
#[derive(Debug)]
pub enum Input {
    /// Nothing: `/dev/null`.
    Nothing,
    /// These bytes, then EOF.
    Bytes(Vec<u8>),
    /// This many bytes that do not compress or repeat, then EOF. Their digest is in [`Finished::fed`].
    Generated(u64),
    /// A pipe that stays open until [`Running::end_input`]: see [`Running::type_in`].
    Held,
}

/// What happens to the program's stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// It is read to its end.
    Read,
    /// It is a file, which is read once the program has ended: for a program that does not survive a full pipe.
    File,
    /// This many bytes are read, and then none: the pipe stays open and fills up.
    Stall(u64),
}

/// The output of one stream so far.
#[derive(Debug, Default, Clone)]
pub struct Captured {
    /// The first bytes.
    pub kept: Vec<u8>,
    /// How many bytes were read, kept or not.
    pub total: u64,
    /// Whether every byte was zero.
    pub only_zeros: bool,
    ended: bool,
}

impl Captured {
    fn take(&mut self, bytes: &[u8]) {
        self.only_zeros &= bytes.iter().all(|byte| *byte == 0);
        self.total += bytes.len() as u64;
        let room = KEPT.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// The kept bytes as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }
}

/// The state of a running program.
#[derive(Debug, Default)]
pub struct Seen {
    /// Its stdout.
    pub out: Captured,
    /// Its stderr.
    pub err: Captured,
    /// How it ended, once it has.
    pub status: Option<ExitStatus>,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl Shared {
    // A panic in another thread must not hide this program's output.
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, how: impl FnOnce(&mut Seen)) {
        how(&mut self.lock());
        self.changed.notify_all();
    }
}

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// Its stdout.
    pub out: Captured,
    /// Its stderr, as text.
    pub err: String,
    /// SHA-256 in hexadecimal of what [`Input::Generated`] wrote.
    pub fed: Option<String>,
    /// How long it ran.
    pub took: Duration,
}

/// A running program. Dropping it kills it and its children.
#[derive(Debug)]
pub struct Running {
    name: String,
    pid: rustix::process::Pid,
    shared: Arc<Shared>,
    stdin: Option<ChildStdin>,
    feeder: Option<JoinHandle<Option<String>>>,
    /// Kept so that the pipe of [`Output::Stall`] stays open.
    stalled: Option<std::process::ChildStdout>,
    started: Instant,
    deadline: Instant,
}

impl Running {
    /// Starts `command`, which must end within `limit`.
    pub fn start(command: Command, input: Input, output: Output, limit: Duration) -> Self {
        let name = format!("{command:?}");
        let mut command = detached(&command);
        let stdin = if matches!(input, Input::Nothing) { Stdio::null() } else { Stdio::piped() };
        let file = (output == Output::File).then(|| tempfile::tempfile().expect("a temporary file can be made"));
        let stdout = file.as_ref().map_or_else(Stdio::piped, |file| {
            Stdio::from(file.try_clone().expect("the descriptor of a file can be duplicated"))
        });
        command.stdin(stdin).stdout(stdout).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let pid = rustix::process::Pid::from_child(&child);
        let shared = Arc::new(Shared::default());
        shared.change(|seen| (seen.out.only_zeros, seen.err.only_zeros) = (true, true));
        let stalled = Self::watch(&mut child, &shared, output);
        let mut pipe = child.stdin.take();
        let feeder = match input {
            Input::Nothing | Input::Held => None,
            Input::Bytes(bytes) => pipe.take().map(|pipe| std::thread::spawn(move || feed(pipe, &bytes))),
            Input::Generated(count) => pipe.take().map(|pipe| std::thread::spawn(move || generate(pipe, count))),
        };
        let waiting = Arc::clone(&shared);
        std::thread::spawn(move || {
            let status = child.wait().expect("a child that was spawned here can be waited for");
            if let Some(mut file) = file {
                file.rewind().expect("a file can be read from its start");
                drain(file, &waiting, |seen| &mut seen.out);
            }
            waiting.change(|seen| seen.status = Some(status));
        });
        let started = Instant::now();
        Self { name, pid, shared, stdin: pipe, feeder, stalled, started, deadline: started + limit }
    }

    /// Runs `command` to its end.
    pub fn run(command: Command, input: Input, limit: Duration) -> Finished {
        Self::start(command, input, Output::Read, limit).finish()
    }

    fn watch(child: &mut Child, shared: &Arc<Shared>, output: Output) -> Option<std::process::ChildStdout> {
        let err = child.stderr.take().expect("stderr was asked to be a pipe");
        let sharing = Arc::clone(shared);
        std::thread::spawn(move || drain(err, &sharing, |seen| &mut seen.err));
        let mut out = child.stdout.take()?;
        match output {
            Output::Read | Output::File => {
                let sharing = Arc::clone(shared);
                std::thread::spawn(move || drain(out, &sharing, |seen| &mut seen.out));
                None
            }
            Output::Stall(count) => {
                let mut first = vec![0; usize::try_from(count).expect("a stall after a few bytes")];
                out.read_exact(&mut first).unwrap_or_else(|error| panic!("{child:?} gave no {count} bytes: {error}"));
                shared.change(|seen| {
                    seen.out.take(&first);
                    seen.out.ended = true;
                });
                Some(out)
            }
        }
    }

    /// The process id.
    pub fn pid(&self) -> rustix::process::Pid {
        self.pid
    }

    /// Waits until `look` returns something. At the deadline the test fails, saying that `what` did not happen.
    pub fn wait<T>(&self, what: &str, look: impl FnMut(&Seen) -> Option<T>) -> T {
        self.wait_until(self.deadline, what, look)
    }

    /// The same with an earlier deadline, for one event of a long run.
    pub fn wait_soon<T>(&self, what: &str, look: impl FnMut(&Seen) -> Option<T>) -> T {
        self.wait_until(Instant::now() + SOON, what, look)
    }

    /// Waits for so long until `look` returns something.
    pub fn wait_at_most<T>(&self, limit: Duration, look: impl FnMut(&Seen) -> Option<T>) -> Option<T> {
        self.look_until(Instant::now() + limit, look)
    }

    fn wait_until<T>(&self, deadline: Instant, what: &str, look: impl FnMut(&Seen) -> Option<T>) -> T {
        self.look_until(deadline, look).unwrap_or_else(|| {
            let said = self.said();
            self.kill();
            panic!("{}: no {what} in time\n{said}", self.name);
        })
    }

    fn look_until<T>(&self, deadline: Instant, mut look: impl FnMut(&Seen) -> Option<T>) -> Option<T> {
        let mut seen = self.shared.lock();
        loop {
            if let Some(found) = look(&seen) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            seen = self.shared.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until stdout contains `text`. Fails at once when stdout ends without it.
    pub fn wait_for_output(&self, text: &str) {
        let found = self.wait(text, |seen| {
            let held = seen.out.text().contains(text);
            (held || seen.out.ended).then_some(held)
        });
        assert!(found, "{}: ended without {text:?}\n{}", self.name, self.said());
    }

    /// Waits until stderr contains `text`. Fails at once when stderr ends without it.
    pub fn wait_for_stderr(&self, text: &str) {
        let found = self.wait(text, |seen| {
            let held = seen.err.text().contains(text);
            (held || seen.err.ended).then_some(held)
        });
        assert!(found, "{}: ended without {text:?}\n{}", self.name, self.said());
    }

    /// Both streams, for a message.
    pub fn said(&self) -> String {
        let seen = self.shared.lock();
        format!("stdout:\n{}\nstderr:\n{}", tail(&seen.out.text()), tail(&seen.err.text()))
    }

    /// Whether the program still runs.
    pub fn is_alive(&self) -> bool {
        self.shared.lock().status.is_none()
    }

    /// Writes to a stdin that is [`Input::Held`].
    pub fn type_in(&mut self, bytes: &[u8]) {
        let pipe = self.stdin.as_mut().expect("stdin is held");
        pipe.write_all(bytes)
            .and_then(|()| pipe.flush())
            .unwrap_or_else(|error| panic!("{}: stdin: {error}", self.name));
    }

    /// Ends a stdin that is [`Input::Held`].
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Ends stdin and waits for the program to end.
    pub fn finish(mut self) -> Finished {
        self.end_input();
        self.wait("end", |seen| (seen.status.is_some() && seen.out.ended && seen.err.ended).then_some(()));
        let took = self.started.elapsed();
        let fed = self.feeder.take().and_then(|feeder| feeder.join().expect("feeding does not panic"));
        let seen = std::mem::take(&mut *self.shared.lock());
        let status = seen.status.expect("waited for above");
        // `drop` checks whether the program still runs.
        self.shared.change(|left| left.status = Some(status));
        Finished { status: status.code(), out: seen.out, err: seen.err.text(), fed, took }
    }

    /// Kills it at once, like a client that loses the network, and waits until it has ended.
    pub fn kill_and_wait(self) {
        self.kill();
        self.wait("end after a kill", |seen| seen.status);
    }

    /// The signal that ended it, if one did.
    pub fn ended_by(&self) -> Option<i32> {
        self.wait("end", |seen| seen.status).signal()
    }

    pub(crate) fn kill(&self) {
        let signal = rustix::process::Signal::KILL;
        if rustix::process::kill_process_group(self.pid, signal).is_err() {
            // It does not lead a group yet, or has just ended by itself.
            let _ = rustix::process::kill_process(self.pid, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stalled = None;
        if self.is_alive() {
            self.kill();
        }
    }
}

/// The same in a session of its own: without the terminal of the person who runs the tests, on which a client would ask
/// for a password, and as the leader of a group that can be killed whole. `setsid` becomes the program, so the process
/// is the program's.
fn detached(command: &Command) -> Command {
    let mut detached = Command::new("setsid");
    detached.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => detached.env(name, value),
            None => detached.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        detached.current_dir(folder);
    }
    detached
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

fn drain(mut from: impl Read, shared: &Shared, stream: impl Fn(&mut Seen) -> &mut Captured) {
    let mut block = vec![0; 64 << 10];
    loop {
        match from.read(&mut block) {
            Ok(0) | Err(_) => break shared.change(|seen| stream(seen).ended = true),
            Ok(count) => shared.change(|seen| stream(seen).take(&block[..count])),
        }
    }
}

// A program may end without reading everything: the test judges it by its output.
fn feed(mut pipe: ChildStdin, bytes: &[u8]) -> Option<String> {
    let _ = pipe.write_all(bytes);
    None
}

fn generate(mut pipe: ChildStdin, count: u64) -> Option<String> {
    let mut digest = Sha256::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = vec![0_u8; 64 << 10];
    let mut left = count;
    while left > 0 {
        for word in block.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        let part = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
        digest.update(&block[..part]);
        if pipe.write_all(&block[..part]).is_err() {
            return None;
        }
        left -= part as u64;
    }
    Some(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
