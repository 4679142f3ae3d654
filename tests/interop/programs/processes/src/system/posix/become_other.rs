//! Another program in place of this one.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::{SigHandler, SigSet};
use nix::unistd::{self, Pid};

use super::{Posix, act, all_signals, dup2, name_of, pid, terminal};
use crate::system::{Group, Request, System};

/// The path of the program. One without a slash is beside this one, as in the program table.
pub(super) fn path(what: &Request<OwnedFd>) -> PathBuf {
    if what.program.contains('/') {
        return Path::new(&what.cwd).join(&what.program);
    }
    Path::new(&Posix::program()).with_file_name(&what.program)
}

/// Does what a request says, and returns only when it fails.
pub(super) fn become_other(what: &Request<OwnedFd>) -> Errno {
    match prepare(what) {
        Ok(()) => {}
        Err(errno) => return errno,
    }
    if what.program.is_empty() {
        return Errno::ENOENT;
    }
    // A relative one begins at the directory of the child, which is the current one by now.
    let path = if what.program.contains('/') { text(&what.program) } else { text(&path(what).display().to_string()) };
    let argv: Vec<CString> = what.argv.iter().map(|word| text(word)).collect();
    let env: Vec<CString> = what.env.iter().map(|(name, value)| text(&format!("{name}={value}"))).collect();
    unistd::execve(&path, &argv, &env).err().unwrap_or(Errno::UnknownErrno)
}

fn prepare(what: &Request<OwnedFd>) -> nix::Result<()> {
    // None may arrive in between, TTOU of `tcsetpgrp` least of all.
    SigSet::all().thread_block()?;
    match what.group {
        Group::Inherit => {}
        Group::New => unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))?,
        Group::Join(group) => unistd::setpgid(Pid::from_raw(0), pid(group))?,
    }
    if what.foreground {
        unistd::tcsetpgrp(terminal().map_err(|_| Errno::ENOTTY)?, unistd::getpgrp())?;
    }
    unistd::chdir(what.cwd.as_str())?;
    for signal in all_signals() {
        let is_ignored = what.ignored.contains(&name_of(signal));
        act(signal, if is_ignored { SigHandler::SigIgn } else { SigHandler::SigDfl })?;
    }
    for number in Posix::numbers().into_iter().filter(|number| !what.fds.iter().any(|(given, _)| given == number)) {
        unistd::close(i32::try_from(number).map_err(|_| Errno::EBADF)?)?;
    }
    for (number, fd) in &what.fds {
        dup2(*number, fd)?;
    }
    SigSet::empty().thread_set_mask()
}

fn text(word: &str) -> CString {
    CString::new(word).expect("the steps use no zero bytes")
}
