//! Linux, with real processes. It has one thread.
//!
//! A caught signal is one that is blocked: it waits, once, and is taken through a signalfd. What waits for something
//! waits for that too.

mod become_other;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::str::FromStr;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, killpg, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{self, ForkResult, Pid};

use super::{Change, Disposition, Group, How, Identity, Request, Result, SIGNALS, System, Target, Whence};

thread_local! {
    static CAUGHT: RefCell<BTreeSet<Signal>> = const { RefCell::new(BTreeSet::new()) };
}

/// From here on are the numbers of descriptors that have none for the steps.
const UNNUMBERED: i32 = 512;

/// What Linux does for a program before it begins, as far as the steps need it: no files of dead processes, and CHLD
/// blocked, for [`Posix::wait`].
pub(crate) fn begin() {
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let _ = SigSet::from(Signal::SIGCHLD).thread_block();
}

pub(crate) struct Posix;

pub(crate) struct Child {
    id: Pid,
    ended: Cell<bool>,
}

fn name(errno: Errno) -> String {
    // Two names of one number.
    if errno == Errno::EOPNOTSUPP { "ENOTSUP".to_owned() } else { format!("{errno:?}") }
}

fn signal(name: &str) -> Result<Signal> {
    // Two names of one signal.
    let name = if name == "POLL" { "IO" } else { name };
    Signal::from_str(&format!("SIG{name}")).map_err(|_| "EINVAL".to_owned())
}

fn name_of(signal: Signal) -> String {
    if signal == Signal::SIGIO { "POLL".to_owned() } else { signal.as_str()["SIG".len()..].to_owned() }
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap_or(i32::MAX))
}

fn number(pid: Pid) -> u32 {
    pid.as_raw().unsigned_abs()
}

/// The descriptor of a number. It need not be open.
fn numbered(number: u32) -> BorrowedFd<'static> {
    let raw = i32::try_from(number).expect("the steps use small numbers");
    // SAFETY: no owner closes a number that the steps name; one that is not open gives EBADF.
    unsafe { BorrowedFd::borrow_raw(raw) }
}

/// Moves a descriptor out of the numbers of the steps; a child does not get it.
fn unnumbered(fd: impl AsFd) -> Result<OwnedFd> {
    let raw = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(UNNUMBERED)).map_err(name)?;
    // SAFETY: the kernel has just made it, for us.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Gives a description a number, which children get.
fn dup2(number: u32, to: &OwnedFd) -> nix::Result<()> {
    let raw = i32::try_from(number).map_err(|_| Errno::EBADF)?;
    // SAFETY: nothing owns a number that the steps name.
    let made = unsafe { unistd::dup2_raw(to, raw) }?;
    let _ = made.into_raw_fd();
    Ok(())
}

fn act(signal: Signal, how: SigHandler) -> nix::Result<()> {
    // SAFETY: the default action and none run no code of this program.
    unsafe { sigaction(signal, &SigAction::new(how, SaFlags::empty(), SigSet::empty())) }.map(|_| ())
}

/// Ready when one of these signals waits.
fn waiting(signals: impl IntoIterator<Item = Signal>) -> SignalFd {
    let set: SigSet = signals.into_iter().collect();
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).expect("the kernel has signalfd")
}

fn caught() -> Vec<Signal> {
    CAUGHT.with_borrow(|caught| caught.iter().copied().collect())
}

/// Whether it is ready; waits for it, or for ever.
fn is_ready(fds: &mut [PollFd<'_>], timeout: PollTimeout) -> bool {
    while poll(fds, timeout) == Err(Errno::EINTR) {}
    fds.first().is_some_and(|fd| fd.any().unwrap_or(true))
}

/// Waits until it is ready. A caught signal interrupts it.
fn wait_for(fd: &OwnedFd, flags: PollFlags) -> Result<()> {
    let caught = caught();
    // The read itself has to stop a process that is not in the foreground.
    let in_background = || unistd::tcgetpgrp(fd).is_ok_and(|group| group != unistd::getpgrp());
    if caught.is_empty() || in_background() {
        return Ok(());
    }
    let signals = waiting(caught);
    let mut fds = [PollFd::new(fd.as_fd(), flags), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    if is_ready(&mut fds, PollTimeout::NONE) { Ok(()) } else { Err("EINTR".to_owned()) }
}

fn terminal() -> Result<OwnedFd> {
    let opened = nix::fcntl::open("/dev/tty", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).map_err(name)?;
    unnumbered(opened)
}

impl System for Posix {
    type Fd = OwnedFd;
    type Child = Child;

    fn program() -> String {
        fs::read_link("/proc/self/exe").expect("there is /proc").display().to_string()
    }

    fn open(path: &str, how: How) -> Result<OwnedFd> {
        let mut flags = match (how.read, how.write) {
            (true, true) => OFlag::O_RDWR,
            (false, true) => OFlag::O_WRONLY,
            _ => OFlag::O_RDONLY,
        };
        for (asked, flag) in [
            (how.append, OFlag::O_APPEND),
            (how.create, OFlag::O_CREAT),
            (how.exclusive, OFlag::O_EXCL),
            (how.truncate, OFlag::O_TRUNC),
            (how.directory, OFlag::O_DIRECTORY),
            (how.no_follow, OFlag::O_NOFOLLOW),
        ] {
            flags.set(flag, asked);
        }
        // WASI has no modes: whatever is a program can be run.
        let opened = nix::fcntl::open(path, flags | OFlag::O_CLOEXEC | OFlag::O_NOCTTY, Mode::S_IRWXU).map_err(name)?;
        unnumbered(opened)
    }

    fn pipe() -> Result<(OwnedFd, OwnedFd)> {
        let (reader, writer) = unistd::pipe2(OFlag::O_CLOEXEC).map_err(name)?;
        Ok((unnumbered(reader)?, unnumbered(writer)?))
    }

    fn get(number: u32) -> Option<OwnedFd> {
        unnumbered(numbered(number)).ok()
    }

    fn put(number: u32, to: &OwnedFd) -> Result<()> {
        dup2(number, to).map_err(name)
    }

    fn close(number: u32) -> Result<()> {
        let raw = i32::try_from(number).map_err(|_| "EBADF".to_owned())?;
        unistd::close(raw).map_err(name)
    }

    fn numbers() -> Vec<u32> {
        let entries = fs::read_dir("/proc/self/fd").expect("there is /proc").filter_map(std::result::Result::ok);
        let open = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
        // A child gets exactly those; the listing itself is not one of them.
        let is_ours = |number: &u32| {
            let flags = fcntl(numbered(*number), FcntlArg::F_GETFD);
            flags.is_ok_and(|flags| !FdFlag::from_bits_truncate(flags).contains(FdFlag::FD_CLOEXEC))
        };
        let mut numbers: Vec<u32> = open.filter(is_ours).collect();
        numbers.sort_unstable();
        numbers
    }

    fn dup(fd: &OwnedFd) -> Result<OwnedFd> {
        unnumbered(fd)
    }

    fn read(fd: &OwnedFd, max: u32) -> Result<Vec<u8>> {
        wait_for(fd, PollFlags::POLLIN)?;
        let mut bytes = vec![0; (max as usize).min(64 << 10)];
        let count = unistd::read(fd, &mut bytes).map_err(name)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    fn write(fd: &OwnedFd, data: &[u8]) -> Result<usize> {
        wait_for(fd, PollFlags::POLLOUT)?;
        unistd::write(fd, data).map_err(name)
    }

    fn seek(fd: &OwnedFd, offset: i64, whence: Whence) -> Result<u64> {
        let whence = match whence {
            Whence::Start => unistd::Whence::SeekSet,
            Whence::Current => unistd::Whence::SeekCur,
            Whence::End => unistd::Whence::SeekEnd,
        };
        unistd::lseek(fd, offset, whence).map(i64::unsigned_abs).map_err(name)
    }

    fn truncate(fd: &OwnedFd, size: u64) -> Result<()> {
        unistd::ftruncate(fd, i64::try_from(size).map_err(|_| "EINVAL".to_owned())?).map_err(name)
    }

    fn kind(fd: &OwnedFd) -> &'static str {
        let mode = fstat(fd).expect("it is open").st_mode;
        match SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFREG => "file",
            SFlag::S_IFDIR => "directory",
            SFlag::S_IFCHR if unistd::isatty(fd) == Ok(true) => "terminal",
            SFlag::S_IFCHR => "device",
            _ => "pipe",
        }
    }

    fn is_readable(fd: &OwnedFd) -> bool {
        is_ready(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO)
    }

    fn is_writable(fd: &OwnedFd) -> bool {
        is_ready(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLOUT)], PollTimeout::ZERO)
    }

    fn spawn(what: &Request<OwnedFd>) -> Result<Child> {
        let (reader, writer) = Self::pipe()?;
        // SAFETY: there is one thread, so the child may do whatever this process may.
        match unsafe { unistd::fork() }.map_err(name)? {
            ForkResult::Child => {
                let errno = become_other::become_other(what);
                let _ = unistd::write(&writer, &(errno as i32).to_ne_bytes());
                std::process::exit(127)
            }
            ForkResult::Parent { child } => {
                drop(writer);
                // The writer is closed when the program begins.
                let failure = Self::read(&reader, 4)?;
                let Ok(errno) = <[u8; 4]>::try_from(failure) else {
                    return Ok(Child { id: child, ended: Cell::new(false) });
                };
                while waitpid(child, None) == Err(Errno::EINTR) {}
                Err(name(Errno::from_raw(i32::from_ne_bytes(errno))))
            }
        }
    }

    fn run(program: &str) -> Result<Change> {
        let (actions, attributes) = (PosixSpawnFileActions::init(), PosixSpawnAttr::init());
        let name_of_program = CString::new(program).map_err(|_| "EINVAL".to_owned())?;
        let (actions, attributes) = (actions.map_err(name)?, attributes.map_err(name)?);
        let nothing: [&CStr; 0] = [];
        let id = posix_spawn(program, &actions, &attributes, &[&name_of_program], &nothing).map_err(name)?;
        match waitpid(id, None).map_err(name)? {
            WaitStatus::Exited(_, status) => Ok(Change::Exited(status.to_le_bytes()[0])),
            WaitStatus::Signaled(_, signal, _) => Ok(Change::Killed(name_of(signal))),
            other => Err(format!("{other:?}")),
        }
    }

    fn exec(what: &Request<OwnedFd>) -> String {
        // Once it has begun there is no way back.
        match fs::metadata(become_other::path(what)) {
            Ok(_) => name(become_other::become_other(what)),
            Err(error) => name(Errno::from_raw(error.raw_os_error().unwrap_or(0))),
        }
    }

    fn id(child: &Child) -> u32 {
        number(child.id)
    }

    fn poll(child: &Child) -> Option<Change> {
        if child.ended.get() {
            return None;
        }
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED | WaitPidFlag::WCONTINUED;
        let change = match waitpid(child.id, Some(flags)).ok()? {
            WaitStatus::Exited(_, status) => Change::Exited(status.to_le_bytes()[0]),
            WaitStatus::Signaled(_, signal, _) => Change::Killed(name_of(signal)),
            WaitStatus::Stopped(_, signal) => Change::Stopped(name_of(signal)),
            WaitStatus::Continued(_) => Change::Continued,
            _ => return None,
        };
        child.ended.set(change.is_end());
        Some(change)
    }

    fn wait(any: &[&Child]) -> Result<(usize, Change)> {
        loop {
            let caught = caught();
            if !caught.contains(&Signal::SIGCHLD) {
                let _ = waiting([Signal::SIGCHLD]).read_signal();
            }
            let changed = any.iter().enumerate().find_map(|(place, child)| Some((place, Self::poll(child)?)));
            if let Some(found) = changed {
                return Ok(found);
            }
            if any.iter().all(|child| child.ended.get()) {
                return Err("ECHILD".to_owned());
            }
            let interrupting = waiting(caught.clone());
            if is_ready(&mut [PollFd::new(interrupting.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) {
                return Err("EINTR".to_owned());
            }
            let either = waiting(caught.into_iter().chain([Signal::SIGCHLD]));
            is_ready(&mut [PollFd::new(either.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE);
        }
    }

    fn kill(target: Target, name_of_signal: Option<&str>) -> Result<()> {
        let signal = name_of_signal.map(signal).transpose()?;
        match target {
            Target::Process(0) => kill(unistd::getpid(), signal),
            Target::Process(id) => kill(pid(id), signal),
            Target::Group(0) => killpg(unistd::getpgrp(), signal),
            Target::Group(id) => killpg(pid(id), signal),
        }
        .map_err(name)
    }

    fn disposition(name: &str) -> Result<Disposition> {
        let signal = signal(name)?;
        if CAUGHT.with_borrow(|caught| caught.contains(&signal)) {
            return Ok(Disposition::Catch);
        }
        let status = fs::read_to_string("/proc/self/status").expect("there is /proc");
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("proc_pid_status(5)");
        let ignored = u64::from_str_radix(ignored.trim(), 16).expect("proc_pid_status(5)");
        let is_ignored = ignored >> (signal as u32 - 1) & 1 == 1;
        Ok(if is_ignored { Disposition::Ignore } else { Disposition::Default })
    }

    fn set_disposition(name_of_signal: &str, how: Disposition) -> Result<Disposition> {
        let signal = signal(name_of_signal)?;
        let before = Self::disposition(name_of_signal)?;
        let handler = if how == Disposition::Ignore { SigHandler::SigIgn } else { SigHandler::SigDfl };
        act(signal, handler).map_err(name)?;
        let set = SigSet::from(signal);
        if how == Disposition::Catch {
            CAUGHT.with_borrow_mut(|caught| caught.insert(signal));
            set.thread_block().map_err(name)?;
        } else {
            CAUGHT.with_borrow_mut(|caught| caught.remove(&signal));
            if signal != Signal::SIGCHLD {
                set.thread_unblock().map_err(name)?;
            }
        }
        Ok(before)
    }

    fn next_signal() -> Option<String> {
        let taken = waiting(caught()).read_signal().ok()??;
        Signal::try_from(i32::try_from(taken.ssi_signo).ok()?).ok().map(name_of)
    }

    fn wait_for_signal() {
        let signals = waiting(caught());
        is_ready(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE);
    }

    fn identity() -> Identity {
        Identity {
            id: number(unistd::getpid()),
            parent: number(unistd::getppid()),
            group: number(unistd::getpgrp()),
            foreground: terminal().and_then(|fd| unistd::tcgetpgrp(fd).map_err(name)).ok().map(number),
        }
    }

    fn set_group(process: u32, group: Group) -> Result<()> {
        let group = match group {
            Group::Inherit => unistd::getpgrp(),
            Group::New => Pid::from_raw(0),
            Group::Join(group) => pid(group),
        };
        unistd::setpgid(pid(process), group).map_err(name)
    }

    fn set_foreground(group: u32) -> Result<()> {
        let terminal = terminal().or_else(|_| Self::get(0).ok_or("ENOTTY".to_owned()))?;
        unistd::tcsetpgrp(terminal, pid(group)).map_err(name)
    }
}

/// All that a signal can be changed for.
fn all_signals() -> impl Iterator<Item = Signal> {
    SIGNALS.into_iter().filter_map(|name| signal(name).ok())
}
