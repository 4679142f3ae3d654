//! Processes: starting, waiting, signals.

use super::description::NativeFd;
use super::errors::{errno, io_errno, path_of};
use super::signals::Signals;
use crate::system::{Change, Errno, Group, Request, signal_name, signal_number};
use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The command for a request. What the standard library cannot do, a `/bin/sh` in between does: ignored signals, and
/// standard streams that are closed.
fn command(what: &Request) -> Result<Command, Errno> {
    let closed: Vec<u32> = (0..3).filter(|number| !what.fds.iter().any(|(fd, _)| fd == number)).collect();
    let mut command = if what.ignored.is_empty() && closed.is_empty() {
        let mut command = Command::new(path_of(what.program));
        command.arg0(path_of(what.argv.first().map_or("", String::as_str)));
        command
    } else {
        // What cannot be executed must be found out here.
        executable(&Path::new(&path_of(what.cwd)).join(path_of(what.program)))?;
        let mut script = String::new();
        if !what.ignored.is_empty() {
            script.push_str(&format!("trap '' {};", what.ignored.join(" ")));
        }
        script.push_str("exec \"$0\" \"$@\"");
        script.extend(closed.iter().map(|number| format!(" {number}>&-")));
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script).arg(path_of(what.program));
        command
    };
    command.args(what.argv.iter().skip(1).map(|argument| path_of(argument)));
    command.env_clear();
    command.envs(what.env.iter().map(|(name, value)| (path_of(name), path_of(value))));
    command.current_dir(path_of(what.cwd));
    let mut mappings = Vec::new();
    for (number, fd) in &what.fds {
        let native = fd.as_any().downcast_ref::<NativeFd>().ok_or(Errno::EBADF)?;
        let fd = native.duplicate()?;
        match number {
            0 => command.stdin(Stdio::from(fd)),
            1 => command.stdout(Stdio::from(fd)),
            2 => command.stderr(Stdio::from(fd)),
            _ => {
                mappings.push(FdMapping { parent_fd: fd, child_fd: number.cast_signed() });
                &mut command
            }
        };
    }
    for number in closed {
        match number {
            0 => command.stdin(Stdio::null()),
            1 => command.stdout(Stdio::null()),
            _ => command.stderr(Stdio::null()),
        };
    }
    if !mappings.is_empty() {
        command.fd_mappings(mappings).map_err(|_| Errno::EINVAL)?;
    }
    match what.group {
        Group::Inherit => {}
        Group::New => {
            command.process_group(0);
        }
        Group::Join(group) => {
            command.process_group(group.cast_signed());
        }
    }
    Ok(command)
}

/// Whether a file is a program: of the kernel's own format, or a script that names its interpreter.
fn executable(path: &Path) -> Result<(), Errno> {
    use std::io::Read;
    let mut first = [0; 4];
    let mut file = std::fs::File::open(path).map_err(|error| io_errno(&error))?;
    // A file that cannot be read may be executed all the same.
    let count = file.read(&mut first).unwrap_or(4);
    if count < 2 || !(first.starts_with(b"#!") || first == *b"\x7fELF") { Err(Errno::ENOEXEC) } else { Ok(()) }
}

pub(super) fn spawn(what: &Request) -> Result<u32, Errno> {
    // Dropped, the child goes on: it is waited for by its number.
    command(what)?.spawn().map(|child| child.id()).map_err(|error| io_errno(&error))
}

pub(super) fn exec(what: &Request) -> Errno {
    match command(what) {
        Ok(mut command) => io_errno(&command.exec()),
        Err(error) => error,
    }
}

fn change(status: WaitStatus) -> Option<Change> {
    let name = |number: i32| signal_name(number).unwrap_or("TERM").to_owned();
    if let Some(status) = status.exit_status() {
        return Some(Change::Exited(status));
    }
    if let Some(signal) = status.terminating_signal() {
        return Some(Change::Killed(name(signal)));
    }
    if let Some(signal) = status.stopping_signal() {
        return Some(Change::Stopped(name(signal)));
    }
    status.continued().then_some(Change::Continued)
}

pub(super) fn wait(
    signals: &Signals,
    children: &[u32],
    block: bool,
    interruptible: bool,
) -> Result<Option<(u32, Change)>, Errno> {
    loop {
        signals.clear();
        let mut known = false;
        for child in children {
            let Some(pid) = Pid::from_raw(child.cast_signed()) else { continue };
            let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
            match rustix::process::waitpid(Some(pid), options) {
                Ok(Some((_, status))) => {
                    if let Some(change) = change(status) {
                        return Ok(Some((*child, change)));
                    }
                    known = true;
                }
                Ok(None) => known = true,
                Err(_) => {}
            }
        }
        if !known {
            return Err(Errno::ECHILD);
        }
        if !block {
            return Ok(None);
        }
        if interruptible && signals.pending() {
            return Err(Errno::EINTR);
        }
        signals.wait(None);
    }
}

pub(super) fn kill(signals: &Signals, target: i64, signal: Option<&str>) -> Result<(), Errno> {
    if signal == Some("PIPE") && target == i64::from(std::process::id()) {
        // Rust's library ignores that signal.
        signals.broken_pipe();
        return Ok(());
    }
    let number = i32::try_from(target).map_err(|_| Errno::ESRCH)?;
    let pid = Pid::from_raw(number.unsigned_abs().cast_signed());
    let Some(signal) = signal else {
        return match pid {
            Some(pid) if number > 0 => rustix::process::test_kill_process(pid).map_err(errno),
            Some(pid) => rustix::process::test_kill_process_group(pid).map_err(errno),
            None => Ok(()),
        };
    };
    let sent = signal_number(signal).and_then(Signal::from_named_raw).ok_or(Errno::EINVAL)?;
    match pid {
        Some(pid) if number > 0 => rustix::process::kill_process(pid, sent),
        Some(pid) => rustix::process::kill_process_group(pid, sent),
        None => rustix::process::kill_current_process_group(sent),
    }
    .map_err(errno)?;
    if target == 0 || target == i64::from(std::process::id()) {
        signals.wait_for_own(signal);
    }
    Ok(())
}
