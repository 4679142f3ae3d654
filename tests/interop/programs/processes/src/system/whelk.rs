//! Whelk, through the SDK.

use std::ffi::{CString, c_char, c_int};
use std::io::{self, Read, Seek, SeekFrom, Write};

use whelk_guest::process::{self as sdk, Command, Event, Fd, Kind, OpenOptions, Signal, Stdio};

use super::{Change, Disposition, Group, How, Identity, Request, Result, System, Target, Whence};

pub(crate) struct Whelk;

/// The SDK wants a child to itself where it changes, which the steps have no need of.
pub(crate) struct Child(std::cell::RefCell<sdk::Child>);

/// The name of an error by its number in the C library of WASI.
fn name(error: &io::Error) -> String {
    const NAMES: [(i32, &str); 34] = [
        (1, "E2BIG"),
        (2, "EACCES"),
        (6, "EAGAIN"),
        (8, "EBADF"),
        (10, "EBUSY"),
        (12, "ECHILD"),
        (19, "EDQUOT"),
        (20, "EEXIST"),
        (22, "EFBIG"),
        (25, "EILSEQ"),
        (27, "EINTR"),
        (28, "EINVAL"),
        (29, "EIO"),
        (31, "EISDIR"),
        (32, "ELOOP"),
        (33, "EMFILE"),
        (37, "ENAMETOOLONG"),
        (44, "ENOENT"),
        (45, "ENOEXEC"),
        (48, "ENOMEM"),
        (51, "ENOSPC"),
        (54, "ENOTDIR"),
        (55, "ENOTEMPTY"),
        (58, "ENOTSUP"),
        (59, "ENOTTY"),
        (60, "ENXIO"),
        (63, "EPERM"),
        (64, "EPIPE"),
        (68, "ERANGE"),
        (69, "EROFS"),
        (70, "ESPIPE"),
        (71, "ESRCH"),
        (73, "ETIMEDOUT"),
        (75, "EXDEV"),
    ];
    let number = error.raw_os_error();
    let known = NAMES.iter().find(|(known, _)| Some(*known) == number);
    known.map_or_else(|| error.to_string(), |(_, name)| (*name).to_owned())
}

fn named<T>(result: io::Result<T>) -> Result<T> {
    result.map_err(|error| name(&error))
}

/// By its plain name only, as the interface has it.
fn signal(name: &str) -> Result<Signal> {
    let known = Signal::ALL.iter().copied().find(|signal| signal.name() == name);
    known.ok_or("EINVAL".to_owned())
}

fn change(change: sdk::Change) -> Change {
    match change {
        sdk::Change::Exited(status) => status.signal().map_or_else(
            || Change::Exited(status.code().and_then(|code| u8::try_from(code).ok()).expect("it has one of the two")),
            |signal| Change::Killed(signal.to_string()),
        ),
        sdk::Change::Stopped(signal) => Change::Stopped(signal.to_string()),
        sdk::Change::Continued => Change::Continued,
    }
}

fn command(what: &Request<Fd>) -> Result<Command> {
    let mut command = Command::new(&what.program);
    let (name, arguments) = what.argv.split_first().ok_or("EINVAL")?;
    command.arg0(name).args(arguments).env_clear().envs(what.env.iter().map(|(name, value)| (name, value)));
    command.current_dir(&what.cwd).foreground(what.foreground);
    (0..3).for_each(|number| _ = command.fd(number, Stdio::closed()));
    for (number, fd) in &what.fds {
        command.fd(*number, Stdio::from(named(fd.try_clone())?));
    }
    match what.group {
        Group::Inherit => {}
        Group::New => _ = command.process_group(0),
        Group::Join(group) => _ = command.process_group(group),
    }
    for signal in Signal::ALL {
        if what.ignored.iter().any(|name| name == signal.name()) {
            command.ignore_signal(*signal);
        } else {
            command.reset_signal(*signal);
        }
    }
    Ok(command)
}

impl System for Whelk {
    type Fd = Fd;
    type Child = Child;

    fn program() -> String {
        "/bin/processes".to_owned()
    }

    fn open(path: &str, how: How) -> Result<Fd> {
        let options = OpenOptions::new().read(how.read).write(how.write).append(how.append).truncate(how.truncate);
        let options = options.create(how.create).create_new(how.create && how.exclusive);
        named(options.directory(how.directory).no_follow(how.no_follow).open(path))
    }

    fn pipe() -> Result<(Fd, Fd)> {
        named(sdk::pipe())
    }

    fn get(number: u32) -> Option<Fd> {
        sdk::get(number)
    }

    fn put(number: u32, to: &Fd) -> Result<()> {
        named(sdk::put(number, to))
    }

    fn close(number: u32) -> Result<()> {
        named(sdk::close(number))
    }

    fn numbers() -> Vec<u32> {
        sdk::numbers()
    }

    fn dup(fd: &Fd) -> Result<Fd> {
        named(fd.try_clone())
    }

    fn read(mut fd: &Fd, max: u32) -> Result<Vec<u8>> {
        let mut bytes = vec![0; max as usize];
        let count = named(fd.read(&mut bytes))?;
        bytes.truncate(count);
        Ok(bytes)
    }

    fn write(mut fd: &Fd, data: &[u8]) -> Result<usize> {
        named(fd.write(data))
    }

    fn seek(mut fd: &Fd, offset: i64, whence: Whence) -> Result<u64> {
        named(fd.seek(match whence {
            // The standard library has no negative one.
            Whence::Start => SeekFrom::Start(u64::try_from(offset).map_err(|_| "EINVAL")?),
            Whence::Current => SeekFrom::Current(offset),
            Whence::End => SeekFrom::End(offset),
        }))
    }

    fn truncate(fd: &Fd, size: u64) -> Result<()> {
        named(fd.set_len(size))
    }

    fn kind(fd: &Fd) -> &'static str {
        match fd.kind() {
            Kind::File => "file",
            Kind::Directory => "directory",
            Kind::Pipe => "pipe",
            Kind::Terminal => "terminal",
            Kind::Device => "device",
        }
    }

    fn is_readable(fd: &Fd) -> bool {
        Event::Readable(fd).is_ready()
    }

    fn is_writable(fd: &Fd) -> bool {
        Event::Writable(fd).is_ready()
    }

    fn spawn(what: &Request<Fd>) -> Result<Child> {
        named(command(what)?.spawn()).map(|child| Child(child.into()))
    }

    fn run(program: &str) -> Result<Change> {
        named(Command::new(program).env_clear().status()).map(|status| change(sdk::Change::Exited(status)))
    }

    fn exec(what: &Request<Fd>) -> String {
        command(what).map_or_else(|error| error, |mut command| name(&command.exec()))
    }

    fn id(child: &Child) -> u32 {
        child.0.borrow().id()
    }

    fn poll(child: &Child) -> Option<Change> {
        child.0.borrow_mut().try_change().map(change)
    }

    fn wait(any: &[&Child]) -> Result<(usize, Change)> {
        let mut children: Vec<_> = any.iter().map(|child| child.0.borrow_mut()).collect();
        let mut children: Vec<&mut sdk::Child> = children.iter_mut().map(|child| &mut **child).collect();
        named(sdk::wait_any(&mut children)).map(|(place, how)| (place, change(how)))
    }

    fn kill(target: Target, name: Option<&str>) -> Result<()> {
        let target = match target {
            Target::Process(id) => sdk::Target::Process(id),
            Target::Group(id) => sdk::Target::Group(id),
        };
        match name {
            Some(name) => named(sdk::kill(target, signal(name)?)),
            None => sdk::exists(target).then_some(()).ok_or("ESRCH".to_owned()),
        }
    }

    fn disposition(name: &str) -> Result<Disposition> {
        Ok(from_host(sdk::disposition(signal(name)?)))
    }

    fn set_disposition(name: &str, how: Disposition) -> Result<Disposition> {
        let how = match how {
            Disposition::Default => sdk::Disposition::Default,
            Disposition::Ignore => sdk::Disposition::Ignore,
            Disposition::Catch => sdk::Disposition::Catch,
        };
        named(sdk::set_disposition(signal(name)?, how)).map(from_host)
    }

    fn next_signal() -> Option<String> {
        sdk::next_signal().map(|signal| signal.to_string())
    }

    fn wait_for_signal() {
        sdk::poll(&[Event::Signal]);
    }

    fn identity() -> Identity {
        let sdk::Identity { id, parent, group, foreground } = sdk::identity();
        Identity { id, parent, group, foreground }
    }

    fn set_group(process: u32, group: Group) -> Result<()> {
        named(sdk::set_process_group(
            process,
            match group {
                Group::Inherit => sdk::identity().group,
                Group::New => 0,
                Group::Join(group) => group,
            },
        ))
    }

    fn set_foreground(group: u32) -> Result<()> {
        named(sdk::set_foreground(group))
    }
}

fn from_host(how: sdk::Disposition) -> Disposition {
    match how {
        sdk::Disposition::Default => Disposition::Default,
        sdk::Disposition::Ignore => Disposition::Ignore,
        sdk::Disposition::Catch => Disposition::Catch,
    }
}

/// The standard library has it for other systems only.
pub(crate) fn symlink(to: &str, from: &str) -> io::Result<()> {
    unsafe extern "C" {
        fn symlink(to: *const c_char, from: *const c_char) -> c_int;
    }
    let (to, from) = (CString::new(to)?, CString::new(from)?);
    // SAFETY: both end with a zero byte, and the C library keeps neither.
    if unsafe { symlink(to.as_ptr(), from.as_ptr()) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
