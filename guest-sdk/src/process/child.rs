//! Children, and how they end.

use std::fmt;
use std::io::{self, Read};

use super::error::from_errno;
use super::fd::Fd;
use super::host::{self, Ending};
use super::signal::Signal;
use super::wasi_poll::{self, Pollable};

/// A child, as [`std::process::Child`]. Dropping it does not end it: nobody waits for it then.
#[derive(Debug)]
pub struct Child {
    /// Its standard input, if that is [`Stdio::piped`](super::Stdio::piped).
    pub stdin: Option<Fd>,
    /// Its standard output, likewise.
    pub stdout: Option<Fd>,
    /// Its standard error, likewise.
    pub stderr: Option<Fd>,
    inner: host::Child,
    ended: Option<ExitStatus>,
}

impl Child {
    pub(super) fn new(inner: host::Child, [stdin, stdout, stderr]: [Option<Fd>; 3]) -> Self {
        Self { stdin, stdout, stderr, inner, ended: None }
    }

    /// Its number in the session.
    pub fn id(&self) -> u32 {
        self.inner.id()
    }

    /// Sends it SIGKILL.
    ///
    /// # Errors
    /// Those of kill(2). A child that has ended is no error.
    pub fn kill(&mut self) -> io::Result<()> {
        if self.ended.is_some() {
            return Ok(());
        }
        host::kill(host::Target::Process(self.id()), Some(Signal::Kill.name())).map_err(from_errno)
    }

    /// Closes its [`stdin`](Self::stdin), and waits until it has ended. Caught signals do not interrupt it, and stops
    /// are not told: [`wait_any`] has both.
    ///
    /// # Errors
    /// `ECHILD` if nothing will ever come from it.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.stdin = None;
        loop {
            if let Some(ended) = self.try_wait()? {
                return Ok(ended);
            }
            self.subscribe().block();
        }
    }

    /// How it has ended, if it has. Does not wait.
    ///
    /// # Errors
    /// None today; as the standard library's.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        while self.ended.is_none() {
            if self.try_change().is_none() {
                break;
            }
        }
        Ok(self.ended)
    }

    /// The oldest change that was not reported: waitpid(2) with WNOHANG, WUNTRACED and WCONTINUED. After its end always
    /// none.
    pub fn try_change(&mut self) -> Option<Change> {
        let change = Change::from_host(self.inner.poll()?);
        self.note(change);
        Some(change)
    }

    /// Waits until it has ended, and reads its piped output and errors meanwhile.
    ///
    /// # Errors
    /// Those of reading.
    pub fn wait_with_output(mut self) -> io::Result<Output> {
        self.stdin = None;
        let mut open = [(self.stdout.take(), Vec::new()), (self.stderr.take(), Vec::new())];
        loop {
            let waiting: Vec<usize> = (0..2).filter(|place| open[*place].0.is_some()).collect();
            let readable: Vec<Pollable> =
                waiting.iter().filter_map(|place| Some(open[*place].0.as_ref()?.0.subscribe_read())).collect();
            if readable.is_empty() {
                break;
            }
            for ready in wasi_poll::poll(&readable.iter().collect::<Vec<_>>()) {
                let (fd, read) = &mut open[waiting[ready as usize]];
                let mut block = vec![0; 64 << 10];
                match fd.as_ref().map_or(Ok(0), |mut fd| fd.read(&mut block))? {
                    0 => *fd = None,
                    count => read.extend_from_slice(&block[..count]),
                }
            }
        }
        let [(_, stdout), (_, stderr)] = open;
        Ok(Output { status: self.wait()?, stdout, stderr })
    }

    pub(super) fn subscribe(&self) -> Pollable {
        self.inner.subscribe()
    }

    fn note(&mut self, change: Change) {
        if let Change::Exited(status) = change {
            self.ended = Some(status);
        }
    }
}

/// Waits until one of several children has changed, and returns its place and the change: waitpid(2) with WUNTRACED and
/// WCONTINUED, for these.
///
/// # Errors
/// `EINTR` while a caught signal waits; `ECHILD` if nothing can come from any of them.
pub fn wait_any(children: &mut [&mut Child]) -> io::Result<(usize, Change)> {
    let all: Vec<&host::Child> = children.iter().map(|child| &child.inner).collect();
    let (place, change) = host::wait(&all).map_err(from_errno)?;
    let (place, change) = (place as usize, Change::from_host(change));
    children[place].note(change);
    Ok((place, change))
}

/// What happens to a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It has ended.
    Exited(ExitStatus),
    /// A signal has stopped it.
    Stopped(Signal),
    /// It goes on.
    Continued,
}

impl Change {
    fn from_host(change: host::Change) -> Self {
        match change {
            host::Change::Exited(Ending::Status(status)) => Self::Exited(ExitStatus(Ok(status))),
            host::Change::Exited(Ending::Signal(name)) => Self::Exited(ExitStatus(Err(Signal::from_host(&name)))),
            host::Change::Stopped(name) => Self::Stopped(Signal::from_host(&name)),
            host::Change::Continued => Self::Continued,
        }
    }
}

/// How a child ended, as [`std::process::ExitStatus`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitStatus(Result<u8, Signal>);

impl ExitStatus {
    /// Whether its status was 0.
    pub fn success(self) -> bool {
        self.0 == Ok(0)
    }

    /// Its status; none if a signal ended it.
    pub fn code(self) -> Option<i32> {
        self.0.ok().map(i32::from)
    }

    /// The signal that ended it.
    pub fn signal(self) -> Option<Signal> {
        self.0.err()
    }

    /// Its status as shells tell it: 128 and the signal's number if one ended it.
    pub fn shell_status(self) -> u8 {
        self.0.unwrap_or_else(|signal| 128 + signal.number())
    }
}

/// Writes it as the standard library does: `exit status: 1`, `signal: 15 (SIGTERM)`.
impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ok(status) => write!(f, "exit status: {status}"),
            Err(signal) => write!(f, "signal: {} (SIG{signal})", signal.number()),
        }
    }
}

/// What a child left, as [`std::process::Output`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to its standard output, if that was piped.
    pub stdout: Vec<u8>,
    /// The same of its standard error.
    pub stderr: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_is_told_as_shells_and_the_standard_library_do() {
        let ended = |how| match Change::from_host(host::Change::Exited(how)) {
            Change::Exited(status) => (status.success(), status.code(), status.shell_status(), status.to_string()),
            other => panic!("{other:?}"),
        };
        assert_eq!(ended(Ending::Status(0)), (true, Some(0), 0, "exit status: 0".to_owned()));
        assert_eq!(ended(Ending::Status(255)), (false, Some(255), 255, "exit status: 255".to_owned()));
        let piped = ended(Ending::Signal("PIPE".to_owned()));
        assert_eq!(piped, (false, None, 141, "signal: 13 (SIGPIPE)".to_owned()));
    }
}
