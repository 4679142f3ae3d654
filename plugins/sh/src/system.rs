//! What the shell needs of a system. Modelled on `whelk:process` and `wasi:filesystem`, so that one implementation is a
//! thin layer over these; `native` is another, over the processes of Unix.

#[cfg(all(unix, feature = "native"))]
pub mod native;
#[cfg(target_family = "wasm")]
pub mod whelk;

use std::rc::Rc;
use std::time::Duration;

/// Why a call failed: POSIX's name of the error, such as `ENOENT`, and its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno {
    /// POSIX's name.
    pub name: &'static str,
    /// What a user is told.
    pub text: &'static str,
}

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident $text:literal)*) => {
        impl Errno {
            $(
                $(#[$doc])*
                pub const $name: Self = Self { name: stringify!($name), text: $text };
            )*
            /// Every error, for implementations that translate them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

errnos! {
    /// The arguments and the environment are too long.
    E2BIG "Argument list too long"
    /// Not permitted by the file.
    EACCES "Permission denied"
    /// Out of processes, or it would have to wait.
    EAGAIN "Resource temporarily unavailable"
    /// Not open, or not open for this.
    EBADF "Bad file descriptor"
    /// No such child.
    ECHILD "No child processes"
    /// It is there already.
    EEXIST "File exists"
    /// Larger than the limit of a file.
    EFBIG "File too large"
    /// It is not UTF-8, in a system that takes nothing else.
    EILSEQ "Invalid or incomplete multibyte or wide character"
    /// A caught signal arrived first.
    EINTR "Interrupted system call"
    /// No such value.
    EINVAL "Invalid argument"
    /// The device failed.
    EIO "Input/output error"
    /// It is a directory.
    EISDIR "Is a directory"
    /// Too many symbolic links.
    ELOOP "Too many levels of symbolic links"
    /// Too many descriptors.
    EMFILE "Too many open files"
    /// A name is too long.
    ENAMETOOLONG "File name too long"
    /// Not there.
    ENOENT "No such file or directory"
    /// No program.
    ENOEXEC "Exec format error"
    /// No memory.
    ENOMEM "Cannot allocate memory"
    /// The disk is full.
    ENOSPC "No space left on device"
    /// The quota is used up.
    EDQUOT "Disk quota exceeded"
    /// Not in this system.
    ENOTSUP "Operation not supported"
    /// A part of the path is no directory.
    ENOTDIR "Not a directory"
    /// No terminal.
    ENOTTY "Inappropriate ioctl for device"
    /// No such device.
    ENXIO "No such device or address"
    /// Not permitted.
    EPERM "Operation not permitted"
    /// Nobody reads it.
    EPIPE "Broken pipe"
    /// The file system is read-only.
    EROFS "Read-only file system"
    /// It has no offset.
    ESPIPE "Illegal seek"
    /// No such process.
    ESRCH "No such process"
}

/// An open file description: duplicates share it, and it is closed with the last.
pub trait Description {
    /// read(2): waits for at least one byte; 0 is the end.
    ///
    /// # Errors
    /// `EINTR` if a caught signal arrives first.
    fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno>;
    /// write(2): how many were taken.
    ///
    /// # Errors
    /// `EPIPE` if nobody reads and SIGPIPE is ignored or caught.
    fn write(&self, data: &[u8]) -> Result<usize, Errno>;
    /// lseek(2) from the current offset.
    ///
    /// # Errors
    /// `ESPIPE` if it has no offset.
    fn seek(&self, by: i64) -> Result<u64, Errno>;
    /// Waits until a read would not wait; false after `timeout`.
    fn wait_readable(&self, timeout: Option<Duration>) -> bool;
    /// isatty(3).
    fn is_terminal(&self) -> bool;
    /// Whether it is open for reading, and for writing.
    fn access(&self) -> (bool, bool);
    /// For the implementation that made it.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// A shared description.
pub type Fd = Rc<dyn Description>;

/// How [`System::open`] opens.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenHow {
    /// O_RDONLY or O_RDWR.
    pub read: bool,
    /// O_WRONLY or O_RDWR.
    pub write: bool,
    /// O_APPEND.
    pub append: bool,
    /// O_CREAT.
    pub create: bool,
    /// O_EXCL.
    pub exclusive: bool,
    /// O_TRUNC.
    pub truncate: bool,
}

/// The type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A pipe with a name.
    Fifo,
    /// A socket.
    Socket,
    /// A block device.
    Block,
    /// A character device.
    Character,
}

/// What `test` asks of a file.
#[derive(Debug, Clone, Copy)]
pub struct FileStatus {
    /// Its type.
    pub kind: FileKind,
    /// Its size in bytes.
    pub size: u64,
    /// Its modification, and its last access, since 1970.
    pub modified: Duration,
    /// See `modified`.
    pub accessed: Duration,
    /// What tells it from all others.
    pub identity: (u64, u64),
    /// Its mode: set-uid, set-gid and sticky among them. 0 in a system without modes.
    pub mode: u32,
    /// Whether it belongs to the user, and to the user's group.
    pub owned: (bool, bool),
}

/// The group of a new process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// That of the shell.
    Inherit,
    /// One of its own.
    New,
    /// One that exists.
    Join(u32),
}

/// What to start.
pub struct Request<'a> {
    /// The path of the program.
    pub program: &'a str,
    /// Its arguments, its name first.
    pub argv: &'a [String],
    /// Its environment.
    pub env: &'a [(String, String)],
    /// Its directory.
    pub cwd: &'a str,
    /// Its descriptors: all that it has.
    pub fds: Vec<(u32, Fd)>,
    /// Its group.
    pub group: Group,
    /// Whether its group gets the terminal.
    pub foreground: bool,
    /// The signals that it ignores.
    pub ignored: Vec<&'static str>,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// With a status.
    Exited(i32),
    /// By a signal.
    Killed(String),
    /// It is stopped by a signal.
    Stopped(String),
    /// It goes on.
    Continued,
}

/// What a signal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// What it does by itself.
    Default,
    /// Nothing.
    Ignore,
    /// It waits for [`System::next_signal`].
    Catch,
}

/// The terminal and the processes of a shell, as seen by itself.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Its number.
    pub id: u32,
    /// Its parent's.
    pub parent: u32,
    /// Its group's.
    pub group: u32,
    /// The user's number, real and effective.
    pub user: (u32, u32),
}

/// A limit of processes: what `ulimit` shows and sets. None: without a limit.
pub type Limit = (Option<u64>, Option<u64>);

/// The system under the shell. Paths are absolute: the shell knows its current directory itself.
pub trait System {
    /// open(2).
    ///
    /// # Errors
    /// Those of POSIX.
    fn open(&self, path: &str, how: OpenHow) -> Result<Fd, Errno>;
    /// unlink(2).
    ///
    /// # Errors
    /// Those of unlink(2).
    fn unlink(&self, path: &str) -> Result<(), Errno>;
    /// pipe(2): the end to read from and the end to write to.
    ///
    /// # Errors
    /// `EMFILE`.
    fn pipe(&self) -> Result<(Fd, Fd), Errno>;
    /// A description that holds these bytes and ends: a here-document.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSPC`, `EMFILE`.
    fn buffer(&self, data: &[u8]) -> Result<Fd, Errno>;
    /// The descriptors that the parent gave.
    fn inherited(&self) -> Vec<(u32, Fd)>;
    /// stat(2), or lstat(2) without `follow`.
    ///
    /// # Errors
    /// Those of POSIX.
    fn status(&self, path: &str, follow: bool) -> Result<FileStatus, Errno>;
    /// fstat(2).
    ///
    /// # Errors
    /// Those of POSIX.
    fn fd_status(&self, fd: &Fd) -> Result<FileStatus, Errno>;
    /// access(2) for `r`, `w` and `x`.
    fn may(&self, path: &str, what: char) -> bool;
    /// The names in a directory, in any order, without `.` and `..`.
    ///
    /// # Errors
    /// Those of POSIX.
    fn names(&self, path: &str) -> Result<Vec<String>, Errno>;
    /// The path without symbolic links, `.` and `..` (realpath(3)).
    ///
    /// # Errors
    /// Those of POSIX.
    fn real_path(&self, path: &str) -> Result<String, Errno>;
    /// posix_spawn(3): the number of the child.
    ///
    /// # Errors
    /// `ENOENT`, `EACCES`, `ENOEXEC` and others of execve(2).
    fn spawn(&self, what: &Request) -> Result<u32, Errno>;
    /// execve(2): comes back only if it fails.
    fn exec(&self, what: &Request) -> Errno;
    /// The path with which the shell starts itself.
    fn own_program(&self) -> String;
    /// Waits until one of these children changes, and says which and how. None at once if nothing has changed and
    /// `block` is false.
    ///
    /// # Errors
    /// `ECHILD` if none of them is there; `EINTR` if a caught signal arrives first and `interruptible`.
    fn wait(&self, children: &[u32], block: bool, interruptible: bool) -> Result<Option<(u32, Change)>, Errno>;
    /// kill(2). A negative number is a group; no signal only asks whether it is there.
    ///
    /// # Errors
    /// `ESRCH`, `EPERM`.
    fn kill(&self, target: i64, signal: Option<&str>) -> Result<(), Errno>;
    /// sigaction(2).
    ///
    /// # Errors
    /// `EINVAL` for a signal that cannot be changed.
    fn set_disposition(&self, signal: &'static str, how: Disposition) -> Result<(), Errno>;
    /// The signals that were ignored when the shell was started.
    fn ignored_at_start(&self) -> Vec<&'static str>;
    /// Takes the oldest caught signal that has arrived.
    fn next_signal(&self) -> Option<&'static str>;
    /// Waits until a caught signal arrives, or until `timeout`.
    fn wait_signal(&self, timeout: Duration);
    /// Who the shell is.
    fn identity(&self) -> Identity;
    /// setpgid(2) of a child, or of the shell itself (0).
    ///
    /// # Errors
    /// Those of POSIX.
    fn set_group(&self, process: u32, group: u32) -> Result<(), Errno>;
    /// tcsetpgrp(3).
    ///
    /// # Errors
    /// `ENOTTY` without a terminal.
    fn set_foreground(&self, group: u32) -> Result<(), Errno>;
    /// The time since 1970.
    fn now(&self) -> Duration;
    /// The processor time of the shell and of its children that have ended: user and system of each.
    fn times(&self) -> [Duration; 4];
    /// Random bits.
    fn random(&self) -> u32;
    /// umask(2): sets it if one is given, and returns the one before.
    fn umask(&self, mask: Option<u32>) -> u32;
    /// getrlimit(2) by the option letter of `ulimit`; none for what the system does not limit. In the unit of that
    /// letter.
    fn limit(&self, letter: char) -> Option<Limit>;
    /// setrlimit(2).
    ///
    /// # Errors
    /// `EPERM` upwards, `EINVAL` for what the system does not limit.
    fn set_limit(&self, letter: char, limit: Limit) -> Result<(), Errno>;
    /// The home of a user.
    fn home_of(&self, user: &str) -> Option<String>;
    /// The name of the machine.
    fn host_name(&self) -> String;
    /// Lets the terminal give keys as they are pressed, without echo, editing and signals, or sets the modes again that
    /// it had before that.
    fn set_raw(&self, raw: bool);
    /// The columns and rows of the terminal.
    fn terminal_size(&self) -> Option<(u32, u32)>;
    /// The stack that nested commands may take (functions that call themselves, `eval` in `eval`), in bytes of an
    /// instance's.
    fn stack(&self) -> u32;
}

/// The signals, by their numbers under Linux: `$?` is 128 plus that number.
pub const SIGNALS: &[(i32, &str)] = &[
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (4, "ILL"),
    (5, "TRAP"),
    (6, "ABRT"),
    (7, "BUS"),
    (8, "FPE"),
    (9, "KILL"),
    (10, "USR1"),
    (11, "SEGV"),
    (12, "USR2"),
    (13, "PIPE"),
    (14, "ALRM"),
    (15, "TERM"),
    (16, "STKFLT"),
    (17, "CHLD"),
    (18, "CONT"),
    (19, "STOP"),
    (20, "TSTP"),
    (21, "TTIN"),
    (22, "TTOU"),
    (23, "URG"),
    (24, "XCPU"),
    (25, "XFSZ"),
    (26, "VTALRM"),
    (27, "PROF"),
    (28, "WINCH"),
    (29, "IO"),
    (30, "PWR"),
    (31, "SYS"),
];

/// The number of a signal.
#[must_use]
pub fn signal_number(name: &str) -> Option<i32> {
    SIGNALS.iter().find(|(_, known)| *known == name).map(|(number, _)| *number)
}

/// The name of a signal.
#[must_use]
pub fn signal_name(number: i32) -> Option<&'static str> {
    SIGNALS.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}
