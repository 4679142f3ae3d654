//! Open file descriptions of the host.

use super::errors::io_errno;
use crate::system::{Description, Errno, Fd};
use std::io::{Read, Seek, SeekFrom, Write};
use std::rc::Rc;
use std::time::Duration;
use whelk_guest::process::{self, Event};

pub(super) struct HostFd {
    fd: process::Fd,
    /// What it was opened for; of what the parent gave, everything.
    access: (bool, bool),
}

impl HostFd {
    pub(super) fn shared(fd: process::Fd, access: (bool, bool)) -> Fd {
        Rc::new(Self { fd, access })
    }

    pub(super) fn duplicate(&self) -> Result<process::Fd, Errno> {
        self.fd.try_clone().map_err(|error| io_errno(&error))
    }

    /// Does something while the description has a number.
    pub(super) fn with_number<T>(&self, number: u32, act: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
        process::put(number, &self.fd).map_err(|error| io_errno(&error))?;
        let result = act();
        // It was put there above.
        let _ = process::close(number);
        result
    }
}

impl Description for HostFd {
    fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        (&self.fd).read(buffer).map_err(|error| io_errno(&error))
    }

    fn write(&self, data: &[u8]) -> Result<usize, Errno> {
        (&self.fd).write(data).map_err(|error| io_errno(&error))
    }

    fn seek(&self, by: i64) -> Result<u64, Errno> {
        (&self.fd).seek(SeekFrom::Current(by)).map_err(|error| io_errno(&error))
    }

    fn wait_readable(&self, timeout: Option<Duration>) -> bool {
        let event = Event::Readable(&self.fd);
        match timeout {
            None => !process::poll(&[event]).is_empty(),
            Some(timeout) => !process::poll_timeout(&[event], timeout).is_empty(),
        }
    }

    fn is_terminal(&self) -> bool {
        self.fd.is_terminal()
    }

    fn access(&self) -> (bool, bool) {
        self.access
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
