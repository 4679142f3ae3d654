//! Descriptors of the kernel.

use super::errors::errno;
use super::signals::Signals;
use crate::system::{Description, Errno, Fd};
use rustix::event::{PollFd, PollFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

pub(super) struct NativeFd {
    fd: OwnedFd,
    signals: Rc<Signals>,
}

impl NativeFd {
    pub(super) fn shared(fd: OwnedFd, signals: &Rc<Signals>) -> Fd {
        Rc::new(Self { fd, signals: signals.clone() })
    }

    pub(super) fn duplicate(&self) -> Result<OwnedFd, Errno> {
        rustix::io::fcntl_dupfd_cloexec(&self.fd, 64).map_err(errno)
    }
}

impl Description for NativeFd {
    fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        // The handlers of signals let a read go on: what waits is looked for before it.
        if self.signals.catches() && !self.signals.wait_readable(self.fd.as_fd()) {
            return Err(Errno::EINTR);
        }
        rustix::io::read(&self.fd, buffer).map_err(errno)
    }

    fn write(&self, data: &[u8]) -> Result<usize, Errno> {
        rustix::io::write(&self.fd, data).map_err(|error| {
            if error == rustix::io::Errno::PIPE {
                self.signals.broken_pipe();
            }
            errno(error)
        })
    }

    fn seek(&self, by: i64) -> Result<u64, Errno> {
        rustix::fs::seek(&self.fd, rustix::fs::SeekFrom::Current(by)).map_err(errno)
    }

    fn wait_readable(&self, timeout: Option<Duration>) -> bool {
        let timeout = timeout.and_then(|timeout| rustix::event::Timespec::try_from(timeout).ok());
        let mut polled = [PollFd::new(&self.fd, PollFlags::IN)];
        rustix::event::poll(&mut polled, timeout.as_ref()).is_ok_and(|count| count > 0)
    }

    fn is_terminal(&self) -> bool {
        rustix::termios::isatty(&self.fd)
    }

    fn access(&self) -> (bool, bool) {
        let flags = rustix::fs::fcntl_getfl(&self.fd).unwrap_or(rustix::fs::OFlags::RDWR);
        let mode = flags & rustix::fs::OFlags::RWMODE;
        (mode != rustix::fs::OFlags::WRONLY, mode != rustix::fs::OFlags::RDONLY)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
