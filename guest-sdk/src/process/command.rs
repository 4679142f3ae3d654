//! What to start, and with what.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{env, io};

use super::child::{Child, ExitStatus, Output};
use super::error::{from_errno, invalid, not_text};
use super::fd::{self, Fd, OpenOptions, absolute};
use super::host::{self, Errno, GroupChoice, Request};
use super::signal::{Disposition, Signal, disposition};

/// The most bytes of arguments and environment.
const ARGUMENTS: usize = 1 << 20;

/// A program to start, as [`std::process::Command`]: with the environment and the current directory of this one, its
/// standard streams and the signals that it ignores, unless something else is said. Other descriptors are closed.
#[derive(Debug)]
pub struct Command {
    program: OsString,
    name: OsString,
    arguments: Vec<OsString>,
    inherits_environment: bool,
    environment: BTreeMap<OsString, Option<OsString>>,
    directory: Option<PathBuf>,
    fds: BTreeMap<u32, Stdio>,
    group: GroupChoice,
    foreground: bool,
    signals: BTreeMap<Signal, bool>,
    limits: Limits,
}

impl Command {
    /// A program of the program table, or with a slash the path of one. A relative path begins at the directory of the
    /// child.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let program = program.as_ref().to_owned();
        Self {
            name: program.clone(),
            program,
            arguments: Vec::new(),
            inherits_environment: true,
            environment: BTreeMap::new(),
            directory: None,
            fds: BTreeMap::new(),
            group: GroupChoice::Inherit,
            foreground: false,
            signals: BTreeMap::new(),
            limits: Limits::default(),
        }
    }

    /// Adds an argument.
    pub fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets the first argument, the name of the program; by default what it was started as.
    pub fn arg0(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.name = name.as_ref().to_owned();
        self
    }

    /// Sets a variable.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.environment.insert(name.as_ref().to_owned(), Some(value.as_ref().to_owned()));
        self
    }

    /// Sets variables.
    pub fn envs(&mut self, variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>) -> &mut Self {
        for (name, value) in variables {
            self.env(name, value);
        }
        self
    }

    /// Removes a variable.
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.environment.insert(name.as_ref().to_owned(), None);
        self
    }

    /// Removes all variables, those of this program too.
    pub fn env_clear(&mut self) -> &mut Self {
        self.inherits_environment = false;
        self.environment.clear();
        self
    }

    /// Sets the directory in which it starts. A relative path begins at the current directory of this program.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Sets the standard input: by default this program's, and nothing for [`output`](Self::output).
    pub fn stdin(&mut self, stream: impl Into<Stdio>) -> &mut Self {
        self.fd(0, stream)
    }

    /// Sets the standard output: by default this program's, and a pipe for [`output`](Self::output).
    pub fn stdout(&mut self, stream: impl Into<Stdio>) -> &mut Self {
        self.fd(1, stream)
    }

    /// Sets the standard error, likewise.
    pub fn stderr(&mut self, stream: impl Into<Stdio>) -> &mut Self {
        self.fd(2, stream)
    }

    /// Gives it a descriptor of any number.
    pub fn fd(&mut self, number: u32, stream: impl Into<Stdio>) -> &mut Self {
        self.fds.insert(number, stream.into());
        self
    }

    /// Puts it into a group that exists; 0 is a new one with its own number. By default it is in that of this program.
    pub fn process_group(&mut self, group: u32) -> &mut Self {
        self.group = if group == 0 { GroupChoice::New } else { GroupChoice::Join(group) };
        self
    }

    /// Sets whether its group becomes the foreground group of the terminal before it runs.
    pub fn foreground(&mut self, foreground: bool) -> &mut Self {
        self.foreground = foreground;
        self
    }

    /// Lets it ignore a signal.
    pub fn ignore_signal(&mut self, signal: Signal) -> &mut Self {
        self.signals.insert(signal, true);
        self
    }

    /// Lets a signal have its default action, which this program ignores.
    pub fn reset_signal(&mut self, signal: Signal) -> &mut Self {
        self.signals.insert(signal, false);
        self
    }

    /// Sets its limits. They cannot be higher than those of this program.
    pub fn limits(&mut self, limits: Limits) -> &mut Self {
        self.limits = limits;
        self
    }

    /// The program.
    pub fn get_program(&self) -> &OsStr {
        &self.program
    }

    /// Its arguments, without its name.
    pub fn get_args(&self) -> impl ExactSizeIterator<Item = &OsStr> {
        self.arguments.iter().map(OsString::as_os_str)
    }

    /// Starts it.
    ///
    /// # Errors
    /// Those of execve(2) and fork(2): `ENOENT`, `EACCES`, `ENOEXEC`, `E2BIG`, `EAGAIN` for a limit of processes.
    /// `EPERM` where the tenant does not grant `process`; `EILSEQ` for what is not UTF-8; `EINVAL` for a pipe to
    /// another descriptor than 0, 1 and 2.
    pub fn spawn(&mut self) -> io::Result<Child> {
        self.spawn_with([Fallback::Inherit; 3])
    }

    /// Starts it and waits until it has ended.
    ///
    /// # Errors
    /// Those of [`spawn`](Self::spawn).
    pub fn status(&mut self) -> io::Result<ExitStatus> {
        self.spawn()?.wait()
    }

    /// Starts it, waits until it has ended, and returns what it has written.
    ///
    /// # Errors
    /// Those of [`spawn`](Self::spawn).
    pub fn output(&mut self) -> io::Result<Output> {
        self.spawn_with([Fallback::Null, Fallback::Piped, Fallback::Piped])?.wait_with_output()
    }

    /// Lets it take the place of this program, with its number, its parent and its children: execve(2). Destructors are
    /// not run. Returns only when it fails.
    pub fn exec(&mut self) -> io::Error {
        let prepared = self.prepare([Fallback::Inherit; 3]);
        match prepared.and_then(|(fds, _)| self.request(&fds).map(|request| host::exec(&request))) {
            Ok(errno) => from_errno(errno),
            Err(error) => error,
        }
    }

    fn spawn_with(&self, fallback: [Fallback; 3]) -> io::Result<Child> {
        let (fds, ours) = self.prepare(fallback)?;
        host::spawn(&self.request(&fds)?).map(|child| Child::new(child, ours)).map_err(from_errno)
    }

    /// The descriptors of the child, and our ends of the pipes to it.
    fn prepare(&self, fallback: [Fallback; 3]) -> io::Result<(Descriptors<'_>, [Option<Fd>; 3])> {
        let mut ours = [None, None, None];
        let mut fds = Vec::new();
        let numbers = [0, 1, 2].into_iter().chain(self.fds.keys().copied().filter(|number| *number > 2));
        for number in numbers {
            let place = number as usize;
            let (fallback, given) = (fallback.get(place), self.fds.get(&number).map(|stdio| &stdio.0));
            let source = match (given, fallback) {
                (Some(Source::Inherit), _) | (None, None | Some(Fallback::Inherit)) => fd::get(number).map(Given::Made),
                (Some(Source::Null), _) | (None, Some(Fallback::Null)) => {
                    Some(Given::Made(OpenOptions::new().read(number == 0).write(number != 0).open("/dev/null")?))
                }
                (Some(Source::Piped), _) | (None, Some(Fallback::Piped)) => {
                    let (reader, writer) = fd::pipe()?;
                    let (theirs, our) = if number == 0 { (reader, writer) } else { (writer, reader) };
                    *ours.get_mut(place).ok_or_else(invalid)? = Some(our);
                    Some(Given::Made(theirs))
                }
                (Some(Source::Closed), _) => None,
                (Some(Source::Fd(fd)), _) => Some(Given::Lent(fd)),
            };
            // What is not open here is not open there.
            fds.extend(source.map(|fd| (number, fd)));
        }
        Ok((fds, ours))
    }

    fn request<'a>(&self, fds: &'a [(u32, Given<'_>)]) -> io::Result<Request<'a>> {
        let argv: Vec<String> =
            [&self.name].into_iter().chain(&self.arguments).map(|word| text(word)).collect::<io::Result<_>>()?;
        let directory = self.directory.as_deref().unwrap_or(Path::new("."));
        let env = self.environment()?;
        let words: usize = argv.iter().chain(env.iter().flat_map(|(name, value)| [name, value])).map(String::len).sum();
        // The host ends a program that hands over much more.
        if words > ARGUMENTS {
            return Err(from_errno(Errno::TooBig));
        }
        Ok(Request {
            program: text(&self.program)?,
            argv,
            env,
            cwd: absolute(directory)?,
            fds: fds.iter().map(|(number, given)| (*number, &given.fd().0)).collect(),
            group: self.group,
            foreground: self.foreground,
            ignored: self.ignored(),
            limits: self.limits.to_host(),
        })
    }

    fn environment(&self) -> io::Result<Vec<(String, String)>> {
        let inherited = env::vars_os().filter(|_| self.inherits_environment);
        let inherited = inherited.filter(|(name, _)| !self.environment.contains_key(name));
        let own = self.environment.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
        inherited.chain(own).map(|(name, value)| Ok((text(&name)?, text(&value)?))).collect()
    }

    fn ignored(&self) -> Vec<String> {
        let is_ignored = |signal: Signal| {
            let said = self.signals.get(&signal).copied();
            said.unwrap_or_else(|| disposition(signal) == Disposition::Ignore)
        };
        let all = Signal::ALL.iter().copied().filter(|signal| is_ignored(*signal));
        all.map(|signal| signal.name().to_owned()).collect()
    }
}

fn text(word: &OsStr) -> io::Result<String> {
    word.to_str().map(str::to_owned).ok_or_else(not_text)
}

/// What a standard stream is of which nothing was said.
#[derive(Debug, Clone, Copy)]
enum Fallback {
    Inherit,
    Null,
    Piped,
}

/// The descriptors of a child.
type Descriptors<'a> = Vec<(u32, Given<'a>)>;

/// A description for the child.
enum Given<'a> {
    Made(Fd),
    Lent(&'a Fd),
}

impl Given<'_> {
    fn fd(&self) -> &Fd {
        match self {
            Self::Made(fd) => fd,
            Self::Lent(fd) => fd,
        }
    }
}

/// What a descriptor of a child leads to, as [`std::process::Stdio`]. An [`Fd`] becomes one by itself.
#[derive(Debug)]
pub struct Stdio(Source);

#[derive(Debug)]
enum Source {
    Inherit,
    Closed,
    Null,
    Piped,
    Fd(Fd),
}

impl Stdio {
    /// What the same number leads to here.
    pub fn inherit() -> Self {
        Self(Source::Inherit)
    }

    /// Nothing: the number is not in use.
    pub fn closed() -> Self {
        Self(Source::Closed)
    }

    /// `/dev/null`.
    pub fn null() -> Self {
        Self(Source::Null)
    }

    /// A new pipe, whose other end the [`Child`] has. For 0, 1 and 2.
    pub fn piped() -> Self {
        Self(Source::Piped)
    }
}

impl From<Fd> for Stdio {
    fn from(fd: Fd) -> Self {
        Self(Source::Fd(fd))
    }
}

/// Limits of one process, setrlimit(2). None: no other than those of the session and the tenant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Processor time, in milliseconds. RLIMIT_CPU
    pub cpu_ms: Option<u32>,
    /// Memory, in KiB. RLIMIT_AS
    pub memory_kib: Option<u32>,
    /// Open descriptions. RLIMIT_NOFILE
    pub files: Option<u32>,
    /// Processes of the session beyond which it starts no more. RLIMIT_NPROC
    pub processes: Option<u32>,
    /// The size of a file that it writes, in KiB. RLIMIT_FSIZE
    pub file_kib: Option<u32>,
}

impl Limits {
    pub(super) fn from_host(limits: host::Limits) -> Self {
        let host::Limits { cpu_ms, memory_kib, files, processes, file_kib } = limits;
        Self { cpu_ms, memory_kib, files, processes, file_kib }
    }

    fn to_host(self) -> host::Limits {
        let Self { cpu_ms, memory_kib, files, processes, file_kib } = self;
        host::Limits { cpu_ms, memory_kib, files, processes, file_kib }
    }
}
