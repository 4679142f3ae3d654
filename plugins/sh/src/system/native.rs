//! The processes and files of Unix, for tests and comparisons beside other shells.
//!
//! No `fork`: programs are started by the standard library. Signals are caught by `signal-hook`, whose handlers only
//! set flags and wake a pipe.

mod description;
mod errors;
mod process;
mod signals;

use super::{Errno, Fd, FileKind, FileStatus, Identity, Limit, OpenHow, Request, System};
use description::NativeFd;
use errors::{errno, io_errno, path_of};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit};
use signals::Signals;
use std::cell::RefCell;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// The system of the process that calls.
pub struct Native {
    signals: Rc<Signals>,
    inherited: Vec<(u32, Fd)>,
    random: RefCell<u64>,
    modes: RefCell<Option<rustix::termios::Termios>>,
}

/// The stack for commands, as in an instance.
const OF_COMMANDS: u32 = 960_000;

/// The size of the stack on which the shell runs, in bytes: the frames of this machine's code are larger, and much
/// larger without optimisation.
pub const STACK: usize = 256 << 20;

impl Native {
    /// Takes over the descriptors of the process.
    ///
    /// # Errors
    /// Of the system, when descriptors cannot be duplicated or signals not be caught.
    pub fn new() -> std::io::Result<Self> {
        let signals = Rc::new(Signals::new()?);
        let own = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty())?;
        let mut inherited: Vec<(u32, Fd)> = Vec::new();
        let listed = std::fs::read_dir("/proc/self/fd")?.filter_map(Result::ok);
        let numbers: Vec<i32> = listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        for number in numbers {
            let Ok(fd) = rustix::process::pidfd_getfd(&own, number, rustix::process::PidfdGetfdFlags::empty()) else {
                continue;
            };
            // What this process itself has opened is closed on exec.
            let link = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
            let flags = link
                .lines()
                .find_map(|line| line.strip_prefix("flags:"))
                .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
            if number > 2 && flags.is_some_and(|flags| flags & 0o2_000_000 != 0) {
                continue;
            }
            if let Ok(number) = u32::try_from(number) {
                inherited.push((number, NativeFd::shared(fd, &signals)));
            }
        }
        // Children get what the shell gives them, and nothing else.
        close_fds::set_fds_cloexec(3, &[]);
        Ok(Self {
            signals,
            inherited,
            random: RefCell::new(u64::from(std::process::id()) << 32 | 0x9E37),
            modes: RefCell::default(),
        })
    }
}

fn file_status(status: &std::fs::Metadata) -> FileStatus {
    use std::os::unix::fs::FileTypeExt;
    let kind = status.file_type();
    let kind = match kind {
        _ if kind.is_dir() => FileKind::Directory,
        _ if kind.is_symlink() => FileKind::Link,
        _ if kind.is_fifo() => FileKind::Fifo,
        _ if kind.is_socket() => FileKind::Socket,
        _ if kind.is_block_device() => FileKind::Block,
        _ if kind.is_char_device() => FileKind::Character,
        _ => FileKind::Regular,
    };
    let time = |seconds: i64, nanos: i64| {
        Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanos).unwrap_or(0))
    };
    FileStatus {
        kind,
        size: status.size(),
        modified: time(status.mtime(), status.mtime_nsec()),
        accessed: time(status.atime(), status.atime_nsec()),
        identity: (status.dev(), status.ino()),
        mode: status.mode() & 0o7777,
        owned: (
            status.uid() == rustix::process::geteuid().as_raw(),
            status.gid() == rustix::process::getegid().as_raw(),
        ),
    }
}

/// The kernel's limit of an option letter, and its unit in bytes or counts.
fn resource(letter: char) -> Option<(Resource, u64)> {
    Some(match letter {
        'c' => (Resource::Core, 512),
        'd' => (Resource::Data, 1024),
        'f' => (Resource::Fsize, 512),
        'l' => (Resource::Memlock, 1024),
        'm' => (Resource::Rss, 1024),
        'n' => (Resource::Nofile, 1),
        's' => (Resource::Stack, 1024),
        't' => (Resource::Cpu, 1),
        'u' => (Resource::Nproc, 1),
        'v' => (Resource::As, 1024),
        _ => return None,
    })
}

impl System for Native {
    fn open(&self, path: &str, how: OpenHow) -> Result<Fd, Errno> {
        let mut flags = OFlags::CLOEXEC | OFlags::NOCTTY;
        flags |= match (how.read, how.write) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            _ => OFlags::RDONLY,
        };
        for (on, flag) in [
            (how.append, OFlags::APPEND),
            (how.create, OFlags::CREATE),
            (how.exclusive, OFlags::EXCL),
            (how.truncate, OFlags::TRUNC),
        ] {
            flags.set(flag, on);
        }
        let opened = rustix::fs::open(path_of(path), flags, Mode::from_bits_truncate(0o666)).map_err(errno)?;
        if path.ends_with('/') && how.write {
            return Err(Errno::EISDIR);
        }
        Ok(NativeFd::shared(opened, &self.signals))
    }

    fn pipe(&self) -> Result<(Fd, Fd), Errno> {
        let (read, write) = std::io::pipe().map_err(|error| io_errno(&error))?;
        Ok((NativeFd::shared(read.into(), &self.signals), NativeFd::shared(write.into(), &self.signals)))
    }

    fn buffer(&self, data: &[u8]) -> Result<Fd, Errno> {
        let file = rustix::fs::memfd_create("sh", rustix::fs::MemfdFlags::CLOEXEC).map_err(errno)?;
        let mut rest = data;
        while !rest.is_empty() {
            let count = rustix::io::write(&file, rest).map_err(errno)?;
            rest = &rest[count..];
        }
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).map_err(errno)?;
        Ok(NativeFd::shared(file, &self.signals))
    }

    fn inherited(&self) -> Vec<(u32, Fd)> {
        self.inherited.clone()
    }

    fn status(&self, path: &str, follow: bool) -> Result<FileStatus, Errno> {
        let path = path_of(path);
        let status = if follow { std::fs::metadata(path) } else { std::fs::symlink_metadata(path) };
        status.map(|status| file_status(&status)).map_err(|error| io_errno(&error))
    }

    fn fd_status(&self, fd: &Fd) -> Result<FileStatus, Errno> {
        let native = fd.as_any().downcast_ref::<NativeFd>().ok_or(Errno::EBADF)?;
        let file = std::fs::File::from(native.duplicate()?);
        file.metadata().map(|status| file_status(&status)).map_err(|error| io_errno(&error))
    }

    fn may(&self, path: &str, what: char) -> bool {
        let access = match what {
            'r' => rustix::fs::Access::READ_OK,
            'w' => rustix::fs::Access::WRITE_OK,
            _ => rustix::fs::Access::EXEC_OK,
        };
        rustix::fs::access(path_of(path), access).is_ok()
    }

    fn unlink(&self, path: &str) -> Result<(), Errno> {
        std::fs::remove_file(path_of(path)).map_err(|error| io_errno(&error))
    }

    fn names(&self, path: &str) -> Result<Vec<String>, Errno> {
        use std::os::unix::ffi::OsStrExt;
        let entries = std::fs::read_dir(path_of(path)).map_err(|error| io_errno(&error))?;
        Ok(entries.filter_map(Result::ok).map(|entry| crate::text::decode(entry.file_name().as_bytes())).collect())
    }

    fn real_path(&self, path: &str) -> Result<String, Errno> {
        use std::os::unix::ffi::OsStrExt;
        let real = Path::new(&path_of(path)).canonicalize().map_err(|error| io_errno(&error))?;
        Ok(crate::text::decode(real.as_os_str().as_bytes()))
    }

    fn spawn(&self, what: &Request) -> Result<u32, Errno> {
        process::spawn(what)
    }

    fn exec(&self, what: &Request) -> Errno {
        process::exec(what)
    }

    fn own_program(&self) -> String {
        std::env::current_exe().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn wait(&self, children: &[u32], block: bool, interruptible: bool) -> Result<Option<(u32, super::Change)>, Errno> {
        process::wait(&self.signals, children, block, interruptible)
    }

    fn kill(&self, target: i64, signal: Option<&str>) -> Result<(), Errno> {
        process::kill(&self.signals, target, signal)
    }

    fn set_disposition(&self, signal: &'static str, how: super::Disposition) -> Result<(), Errno> {
        self.signals.set(signal, how)
    }

    fn ignored_at_start(&self) -> Vec<&'static str> {
        self.signals.ignored_at_start()
    }

    fn next_signal(&self) -> Option<&'static str> {
        self.signals.next()
    }

    fn wait_signal(&self, timeout: Duration) {
        self.signals.wait(Some(timeout));
    }

    fn identity(&self) -> Identity {
        let parent = rustix::process::getppid().map_or(0, |process| process.as_raw_nonzero().get());
        Identity {
            id: std::process::id(),
            parent: parent.cast_unsigned(),
            group: rustix::process::getpgrp().as_raw_nonzero().get().cast_unsigned(),
            user: (rustix::process::getuid().as_raw(), rustix::process::geteuid().as_raw()),
        }
    }

    fn set_group(&self, process: u32, group: u32) -> Result<(), Errno> {
        let pid = |number: u32| rustix::process::Pid::from_raw(number.cast_signed());
        rustix::process::setpgid(pid(process), pid(group)).map_err(errno)
    }

    fn set_foreground(&self, group: u32) -> Result<(), Errno> {
        let terminal = self
            .open("/dev/tty", OpenHow { read: true, write: true, ..OpenHow::default() })
            .map_err(|_| Errno::ENOTTY)?;
        let native = terminal.as_any().downcast_ref::<NativeFd>().ok_or(Errno::ENOTTY)?;
        let group = rustix::process::Pid::from_raw(group.cast_signed()).ok_or(Errno::EINVAL)?;
        rustix::termios::tcsetpgrp(native.duplicate()?, group).map_err(errno)
    }

    fn now(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    fn times(&self) -> [Duration; 4] {
        let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        // utime, stime, cutime and cstime of proc(5), in hundredths of a second.
        [11, 12, 13, 14].map(|at| {
            let ticks = fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
            Duration::from_millis(ticks * 10)
        })
    }

    fn random(&self) -> u32 {
        // SplitMix64, begun with the number of the process and the time.
        let mut state = self.random.borrow_mut();
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15).wrapping_add(u64::from(self.now().subsec_nanos()));
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        u32::try_from((mixed ^ (mixed >> 27)) >> 32).unwrap_or(0)
    }

    fn umask(&self, mask: Option<u32>) -> u32 {
        let before = rustix::process::umask(Mode::from_bits_truncate(mask.unwrap_or(0o77)));
        if mask.is_none() {
            rustix::process::umask(before);
        }
        before.bits()
    }

    fn limit(&self, letter: char) -> Option<Limit> {
        let (resource, unit) = resource(letter)?;
        let limit = rustix::process::getrlimit(resource);
        Some((limit.current.map(|limit| limit / unit), limit.maximum.map(|limit| limit / unit)))
    }

    fn set_limit(&self, letter: char, (soft, hard): Limit) -> Result<(), Errno> {
        let (resource, unit) = resource(letter).ok_or(Errno::EINVAL)?;
        let scaled = |limit: Option<u64>| limit.map(|limit| limit.saturating_mul(unit));
        rustix::process::setrlimit(resource, Rlimit { current: scaled(soft), maximum: scaled(hard) }).map_err(errno)
    }

    fn home_of(&self, user: &str) -> Option<String> {
        let users = std::fs::read_to_string("/etc/passwd").ok()?;
        let line = users.lines().find(|line| line.split(':').next() == Some(user))?;
        line.split(':').nth(5).map(str::to_owned)
    }

    fn host_name(&self) -> String {
        std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim_end().to_owned()
    }

    fn set_raw(&self, raw: bool) {
        let Some((_, terminal)) = self.inherited.iter().find(|(_, fd)| fd.is_terminal()) else { return };
        let Some(Ok(terminal)) = terminal.as_any().downcast_ref::<NativeFd>().map(NativeFd::duplicate) else { return };
        let mut modes = self.modes.borrow_mut();
        if raw {
            let Ok(before) = rustix::termios::tcgetattr(&terminal) else { return };
            let mut wanted = before.clone();
            wanted.make_raw();
            *modes = Some(before);
            // A terminal that is gone has no modes.
            let _ = rustix::termios::tcsetattr(&terminal, rustix::termios::OptionalActions::Drain, &wanted);
        } else if let Some(before) = modes.as_ref() {
            let _ = rustix::termios::tcsetattr(&terminal, rustix::termios::OptionalActions::Drain, before);
        }
    }

    fn terminal_size(&self) -> Option<(u32, u32)> {
        let (_, terminal) = self.inherited.iter().find(|(_, fd)| fd.is_terminal())?;
        let terminal = terminal.as_any().downcast_ref::<NativeFd>()?.duplicate().ok()?;
        let size = rustix::termios::tcgetwinsize(terminal).ok()?;
        Some((size.ws_col.into(), size.ws_row.into()))
    }

    fn stack(&self) -> u32 {
        OF_COMMANDS
    }
}
