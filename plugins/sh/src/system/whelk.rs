//! The processes and files of Whelk: `whelk:process` and `wasi:filesystem`.
//!
//! There are no modes, owners and users. What may be executed is what the host would start: a name of the program
//! table, a script with `#!`, a component.

mod description;
mod errors;
mod files;
mod signals;
mod terminal;

use super::{Change, Disposition, Errno, Fd, FileStatus, Group, Identity, Limit, OpenHow, Request, System};
use description::HostFd;
use errors::io_errno;
use files::Files;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};
use whelk_guest::process::{self, Child, Command, Event, Limits, Signal, Target};

/// What nested commands may take of the stack of an instance, 1,280 KiB (`stack` in the host's configuration), in
/// bytes. The rest is for what the innermost command calls.
const STACK: u32 = 960_000;

/// The number that a description has while its status is asked for: no redirection has so high a number.
const STATUS_NUMBER: u32 = 1023;

/// The most bytes that a pipe takes without a reader.
const PIPE: usize = 64 << 10;

/// The user's number: the name is all that the host knows.
const USER: u32 = 1000;

/// The system of the process that calls.
pub struct Whelk {
    files: Files,
    inherited: Vec<(u32, Fd)>,
    children: RefCell<BTreeMap<u32, Child>>,
    ignored: Vec<&'static str>,
    own_program: String,
    mask: Cell<u32>,
    limits: Cell<Limits>,
    buffers: Cell<u32>,
    modes: terminal::Modes,
}

impl Whelk {
    /// Takes over the descriptors of the process: only the shell decides how long they are open.
    #[must_use]
    pub fn new(argv: &[String]) -> Self {
        let mut inherited = Vec::new();
        for number in process::numbers() {
            let Some(fd) = process::get(number) else { continue };
            inherited.push((number, HostFd::shared(fd, (true, true))));
            // The host says there why it ends an instance.
            if number != 2 {
                // It was in use a moment ago.
                let _ = process::close(number);
            }
        }
        let files = Files::new();
        Self {
            own_program: own_program(&files, argv),
            files,
            inherited,
            children: RefCell::default(),
            ignored: signals::ignored(),
            mask: Cell::new(0o22),
            limits: Cell::new(process::limits()),
            buffers: Cell::default(),
            modes: terminal::Modes::default(),
        }
    }

    fn command(&self, what: &Request) -> Result<Command, Errno> {
        let mut command = Command::new(files::utf8(what.program)?.as_ref());
        let (name, arguments) = what.argv.split_first().ok_or(Errno::EINVAL)?;
        command.arg0(files::utf8(name)?.as_ref());
        for argument in arguments {
            command.arg(files::utf8(argument)?.as_ref());
        }
        command.env_clear();
        for (name, value) in what.env {
            command.env(files::utf8(name)?.as_ref(), files::utf8(value)?.as_ref());
        }
        command.current_dir(files::utf8(what.cwd)?.as_ref());
        for number in 0..3 {
            command.fd(number, process::Stdio::closed());
        }
        for (number, fd) in &what.fds {
            let fd = fd.as_any().downcast_ref::<HostFd>().ok_or(Errno::EBADF)?;
            command.fd(*number, fd.duplicate()?);
        }
        match what.group {
            Group::Inherit => {}
            Group::New => {
                command.process_group(0);
            }
            Group::Join(group) => {
                command.process_group(group);
            }
        }
        command.foreground(what.foreground && process::identity().foreground.is_some());
        for signal in Signal::ALL {
            if what.ignored.contains(&signals::name(*signal)) {
                command.ignore_signal(*signal);
            } else {
                command.reset_signal(*signal);
            }
        }
        command.limits(self.limits.get());
        Ok(command)
    }

    /// The change of one of these children, if there is one, and whether any of them is known.
    fn changed(&self, children: &[u32]) -> (Option<(u32, Change)>, bool) {
        let mut known = false;
        let mut all = self.children.borrow_mut();
        for number in children {
            let Some(child) = all.get_mut(number) else { continue };
            known = true;
            let Some(change) = child.try_change() else { continue };
            let change = signals::change(change);
            if matches!(change, Change::Exited(_) | Change::Killed(_)) {
                all.remove(number);
            }
            return (Some((*number, change)), true);
        }
        (None, known)
    }
}

/// The path with which the shell starts itself: that by which it was started, if it is in the program table.
fn own_program(files: &Files, argv: &[String]) -> String {
    let is_program = |path: &str| files.status(path, true).is_ok();
    // A shell that starts itself sets it, and its name may be that of a script.
    let started_by_shell = argv.get(1).is_some_and(|first| first.starts_with("--subshell="));
    if let Some(path) = std::env::var("_").ok().filter(|path| started_by_shell && is_program(path)) {
        return path;
    }
    let name = argv.first().map_or("sh", String::as_str);
    let path = format!("/bin/{}", name.rsplit('/').next().unwrap_or_default().trim_start_matches('-'));
    if is_program(&path) && !path.ends_with('/') { path } else { "/bin/sh".to_owned() }
}

impl System for Whelk {
    fn open(&self, path: &str, how: OpenHow) -> Result<Fd, Errno> {
        let path = files::utf8(path)?;
        if path.ends_with('/') && how.write {
            return Err(Errno::EISDIR);
        }
        let options = process::OpenOptions::new().read(how.read).write(how.write).append(how.append);
        let options = options.create(how.create).truncate(how.truncate);
        let options = if how.exclusive { options.create_new(how.create) } else { options };
        let fd = options.open(path.as_ref()).map_err(|error| io_errno(&error))?;
        Ok(HostFd::shared(fd, (how.read, how.write || how.append)))
    }

    fn unlink(&self, path: &str) -> Result<(), Errno> {
        self.files.remove(path)
    }

    fn pipe(&self) -> Result<(Fd, Fd), Errno> {
        let (read, write) = process::pipe().map_err(|error| io_errno(&error))?;
        Ok((HostFd::shared(read, (true, false)), HostFd::shared(write, (false, true))))
    }

    fn buffer(&self, data: &[u8]) -> Result<Fd, Errno> {
        let (fd, write) = if data.len() <= PIPE {
            self.pipe()?
        } else {
            // A pipe would wait for a reader.
            let number = self.buffers.get();
            self.buffers.set(number.wrapping_add(1));
            let path = format!("/tmp/.sh-{}-{number}", process::identity().id);
            let how = OpenHow { read: true, write: true, create: true, truncate: true, ..OpenHow::default() };
            let fd = self.open(&path, how)?;
            self.files.remove(&path)?;
            (fd.clone(), fd)
        };
        let mut rest = data;
        while !rest.is_empty() {
            let count = write.write(rest)?;
            rest = &rest[count..];
        }
        if data.len() > PIPE {
            write.seek(-i64::try_from(data.len()).map_err(|_| Errno::ENOMEM)?)?;
        }
        Ok(fd)
    }

    fn inherited(&self) -> Vec<(u32, Fd)> {
        self.inherited.clone()
    }

    fn status(&self, path: &str, follow: bool) -> Result<FileStatus, Errno> {
        self.files.status(path, follow)
    }

    fn fd_status(&self, fd: &Fd) -> Result<FileStatus, Errno> {
        let fd = fd.as_any().downcast_ref::<HostFd>().ok_or(Errno::EBADF)?;
        fd.with_number(STATUS_NUMBER, || self.files.status(&format!("/dev/fd/{STATUS_NUMBER}"), true))
    }

    fn may(&self, path: &str, what: char) -> bool {
        match what {
            'r' => self.files.status(path, true).is_ok(),
            'w' => self.files.is_writable(path),
            _ => self.files.is_executable(path),
        }
    }

    fn names(&self, path: &str) -> Result<Vec<String>, Errno> {
        self.files.names(path)
    }

    fn real_path(&self, path: &str) -> Result<String, Errno> {
        self.files.real_path(path)
    }

    fn spawn(&self, what: &Request) -> Result<u32, Errno> {
        let child = self.command(what)?.spawn().map_err(|error| io_errno(&error))?;
        let number = child.id();
        self.children.borrow_mut().insert(number, child);
        Ok(number)
    }

    fn exec(&self, what: &Request) -> Errno {
        match self.command(what) {
            Ok(mut command) => io_errno(&command.foreground(false).exec()),
            Err(error) => error,
        }
    }

    fn own_program(&self) -> String {
        self.own_program.clone()
    }

    fn wait(&self, children: &[u32], block: bool, interruptible: bool) -> Result<Option<(u32, Change)>, Errno> {
        loop {
            match self.changed(children) {
                (Some(change), _) => return Ok(Some(change)),
                (None, false) => return Err(Errno::ECHILD),
                (None, true) if !block => return Ok(None),
                (None, true) => {}
            }
            if interruptible && Event::Signal.is_ready() {
                return Err(Errno::EINTR);
            }
            let all = self.children.borrow();
            let mut events: Vec<Event> =
                children.iter().filter_map(|child| all.get(child).map(Event::Changed)).collect();
            if interruptible {
                events.push(Event::Signal);
            }
            process::poll(&events);
        }
    }

    fn kill(&self, target: i64, signal: Option<&str>) -> Result<(), Errno> {
        let number = u32::try_from(target.unsigned_abs()).map_err(|_| Errno::ESRCH)?;
        let target = match target {
            // There is no number for all processes but the first.
            -1 => return Err(Errno::EPERM),
            1.. => Target::Process(number),
            _ => Target::Group(number),
        };
        let Some(signal) = signal else {
            return if process::exists(target) { Ok(()) } else { Err(Errno::ESRCH) };
        };
        let signal = signals::of_name(signal).ok_or(Errno::EINVAL)?;
        process::kill(target, signal).map_err(|error| io_errno(&error))
    }

    fn set_disposition(&self, signal: &'static str, how: Disposition) -> Result<(), Errno> {
        signals::set(signal, how)
    }

    fn ignored_at_start(&self) -> Vec<&'static str> {
        self.ignored.clone()
    }

    fn next_signal(&self) -> Option<&'static str> {
        process::next_signal().map(signals::name)
    }

    fn wait_signal(&self, timeout: Duration) {
        process::poll_timeout(&[Event::Signal], timeout);
    }

    fn identity(&self) -> Identity {
        let process::Identity { id, parent, group, .. } = process::identity();
        Identity { id, parent, group, user: (USER, USER) }
    }

    fn set_group(&self, process: u32, group: u32) -> Result<(), Errno> {
        process::set_process_group(process, group).map_err(|error| io_errno(&error))
    }

    fn set_foreground(&self, group: u32) -> Result<(), Errno> {
        process::set_foreground(group).map_err(|error| io_errno(&error))
    }

    fn now(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    fn times(&self) -> [Duration; 4] {
        let process::Usage { cpu_ms, children_cpu_ms, .. } = process::usage();
        let time = |milliseconds: u32| Duration::from_millis(milliseconds.into());
        [time(cpu_ms), Duration::ZERO, time(children_cpu_ms), Duration::ZERO]
    }

    fn random(&self) -> u32 {
        let bits = wasip2::random::random::get_random_u64();
        u32::try_from(bits >> 32).unwrap_or(0)
    }

    fn umask(&self, mask: Option<u32>) -> u32 {
        let before = self.mask.get();
        self.mask.set(mask.unwrap_or(before));
        before
    }

    fn limit(&self, letter: char) -> Option<Limit> {
        let limits = self.limits.get();
        let limit = match letter {
            'f' => limits.file_kib.map(|kib| u64::from(kib) * 2),
            'n' => limits.files.map(u64::from),
            't' => limits.cpu_ms.map(|milliseconds| u64::from(milliseconds) / 1000),
            'u' => limits.processes.map(u64::from),
            'v' => limits.memory_kib.map(u64::from),
            _ => return None,
        };
        Some((limit, limit))
    }

    fn set_limit(&self, letter: char, (limit, _): Limit) -> Result<(), Errno> {
        let before = self.limits.get();
        let mut limits = before;
        let most = |limit: u64| u32::try_from(limit).unwrap_or(u32::MAX);
        let (field, old, new) = match letter {
            'f' => (&mut limits.file_kib, before.file_kib, limit.map(|blocks| most(blocks.div_ceil(2)))),
            'n' => (&mut limits.files, before.files, limit.map(most)),
            't' => (&mut limits.cpu_ms, before.cpu_ms, limit.map(|seconds| most(seconds.saturating_mul(1000)))),
            'u' => (&mut limits.processes, before.processes, limit.map(most)),
            'v' => (&mut limits.memory_kib, before.memory_kib, limit.map(most)),
            _ => return Err(Errno::EINVAL),
        };
        // A process can only give its children smaller ones.
        if old.is_some_and(|old| new.is_none_or(|new| new > old)) {
            return Err(Errno::EPERM);
        }
        *field = new;
        self.limits.set(limits);
        Ok(())
    }

    fn home_of(&self, user: &str) -> Option<String> {
        let is_user = std::env::var("USER").is_ok_and(|own| own == user);
        is_user.then(|| std::env::var("HOME").unwrap_or_else(|_| "/".to_owned()))
    }

    fn host_name(&self) -> String {
        "whelk".to_owned()
    }

    fn set_raw(&self, raw: bool) {
        terminal::set_raw(&self.modes, raw);
    }

    fn terminal_size(&self) -> Option<(u32, u32)> {
        whelk_guest::terminal::size().map(|size| (size.columns, size.rows))
    }

    fn stack(&self) -> u32 {
        STACK
    }
}
