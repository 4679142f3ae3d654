//! What the steps need of a system, and its two implementations.

use std::fmt;

#[cfg(unix)]
pub(crate) mod posix;
#[cfg(target_family = "wasm")]
pub(crate) mod whelk;

/// An error is the name of its number: `EPIPE`.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// POSIX, as far as `whelk:process` has it. Every function is the POSIX function that the interface names.
pub(crate) trait System {
    /// An open file description, without a number.
    type Fd;
    type Child;

    /// A path that starts this program, absolute.
    fn program() -> String;
    fn open(path: &str, how: How) -> Result<Self::Fd>;
    fn pipe() -> Result<(Self::Fd, Self::Fd)>;
    fn get(number: u32) -> Option<Self::Fd>;
    fn put(number: u32, to: &Self::Fd) -> Result<()>;
    fn close(number: u32) -> Result<()>;
    /// The numbers in use, in ascending order.
    fn numbers() -> Vec<u32>;
    fn dup(fd: &Self::Fd) -> Result<Self::Fd>;
    fn read(fd: &Self::Fd, max: u32) -> Result<Vec<u8>>;
    fn write(fd: &Self::Fd, data: &[u8]) -> Result<usize>;
    fn seek(fd: &Self::Fd, offset: i64, whence: Whence) -> Result<u64>;
    fn truncate(fd: &Self::Fd, size: u64) -> Result<()>;
    fn kind(fd: &Self::Fd) -> &'static str;
    /// Whether a read would not wait.
    fn is_readable(fd: &Self::Fd) -> bool;
    /// Whether a write of a byte would not wait.
    fn is_writable(fd: &Self::Fd) -> bool;
    fn spawn(what: &Request<Self::Fd>) -> Result<Self::Child>;
    /// Starts a program that gets its name and this program's standard streams, and waits until it has ended.
    fn run(program: &str) -> Result<Change>;
    /// Returns only when it fails.
    fn exec(what: &Request<Self::Fd>) -> String;
    fn id(child: &Self::Child) -> u32;
    fn poll(child: &Self::Child) -> Option<Change>;
    fn wait(any: &[&Self::Child]) -> Result<(usize, Change)>;
    fn kill(target: Target, signal: Option<&str>) -> Result<()>;
    fn disposition(signal: &str) -> Result<Disposition>;
    /// Returns what it was before.
    fn set_disposition(signal: &str, how: Disposition) -> Result<Disposition>;
    fn next_signal() -> Option<String>;
    /// Waits until [`System::next_signal`] has one.
    fn wait_for_signal();
    fn identity() -> Identity;
    fn set_group(process: u32, group: Group) -> Result<()>;
    fn set_foreground(group: u32) -> Result<()>;
}

/// How [`System::open`] opens.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct How {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) append: bool,
    pub(crate) create: bool,
    pub(crate) exclusive: bool,
    pub(crate) truncate: bool,
    pub(crate) directory: bool,
    pub(crate) no_follow: bool,
}

impl How {
    const NOTHING: Self = Self {
        read: false,
        write: false,
        append: false,
        create: false,
        exclusive: false,
        truncate: false,
        directory: false,
        no_follow: false,
    };
    pub(crate) const READ: Self = Self { read: true, ..Self::NOTHING };
    pub(crate) const WRITE: Self = Self { write: true, ..Self::NOTHING };
    pub(crate) const APPEND: Self = Self { append: true, ..Self::WRITE };
    /// As `>` of a shell.
    pub(crate) const NEW: Self = Self { create: true, truncate: true, ..Self::WRITE };
    pub(crate) const BOTH: Self = Self { read: true, ..Self::NEW };
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Whence {
    Start,
    Current,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Inherit,
    New,
    Join(u32),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    Process(u32),
    Group(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    Default,
    Ignore,
    Catch,
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Ignore => "ignored",
            Self::Catch => "caught",
        })
    }
}

/// What to start. The fields are those of `request` of `whelk:process`.
pub(crate) struct Request<'a, F> {
    pub(crate) program: String,
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: String,
    pub(crate) fds: Vec<(u32, &'a F)>,
    pub(crate) group: Group,
    pub(crate) foreground: bool,
    pub(crate) ignored: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Exited(u8),
    Killed(String),
    Stopped(String),
    Continued,
}

impl Change {
    /// Whether the process has ended by it.
    pub(crate) fn is_end(&self) -> bool {
        matches!(self, Self::Exited(_) | Self::Killed(_))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with {status}"),
            Self::Killed(signal) => write!(f, "killed by {signal}"),
            Self::Stopped(signal) => write!(f, "stopped by {signal}"),
            Self::Continued => f.write_str("continued"),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) id: u32,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    pub(crate) foreground: Option<u32>,
}

/// The signals that the steps speak of: those of POSIX that Linux and Whelk have, but for KILL and STOP, which cannot
/// be changed.
pub(crate) const SIGNALS: [&str; 27] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "CHLD",
    "CONT", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "POLL", "SYS",
];
