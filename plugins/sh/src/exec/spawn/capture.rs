//! The text of command substitutions: what builtins write is collected in memory, and programs get a pipe.

use crate::state::Shell;
use crate::system::{Description, Errno, Fd};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// A description that keeps what is written to it.
#[derive(Default)]
pub(in crate::exec) struct Capture {
    data: RefCell<Vec<u8>>,
}

impl Capture {
    pub(in crate::exec) fn take(&self) -> Vec<u8> {
        self.data.take()
    }
}

impl Description for Capture {
    fn read(&self, _: &mut [u8]) -> Result<usize, Errno> {
        Err(Errno::EBADF)
    }

    fn write(&self, data: &[u8]) -> Result<usize, Errno> {
        self.data.borrow_mut().extend_from_slice(data);
        Ok(data.len())
    }

    fn seek(&self, _: i64) -> Result<u64, Errno> {
        Err(Errno::ESPIPE)
    }

    fn wait_readable(&self, _: Option<Duration>) -> bool {
        true
    }

    fn is_terminal(&self) -> bool {
        false
    }

    fn access(&self) -> (bool, bool) {
        (false, true)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// Pipes that lead from programs to captures, while programs are started: the capture, and both ends.
#[derive(Default)]
pub(in crate::exec) struct CapturePipes {
    pipes: Vec<(Fd, Fd, Fd)>,
}

impl Shell {
    /// The descriptors for a program: a pipe in the place of each capture.
    pub(in crate::exec) fn program_fds(&self, pipes: &mut CapturePipes) -> Result<Vec<(u32, Fd)>, Errno> {
        let mut fds = Vec::new();
        for (number, fd) in &self.fds {
            if fd.as_any().downcast_ref::<Capture>().is_none() {
                fds.push((*number, fd.clone()));
                continue;
            }
            let known = pipes.pipes.iter().find(|(capture, _, _)| Rc::ptr_eq(capture, fd));
            let write = match known {
                Some((_, _, write)) => write.clone(),
                None => {
                    let (read, write) = self.system.pipe()?;
                    pipes.pipes.push((fd.clone(), read, write.clone()));
                    write
                }
            };
            fds.push((*number, write));
        }
        Ok(fds)
    }

    /// Reads what programs in the foreground write, until they have closed it.
    pub(in crate::exec) fn drain(&self, pipes: CapturePipes) {
        // All writing ends go first: a program may hold several.
        let ends: Vec<(Fd, Fd)> = pipes.pipes.into_iter().map(|(capture, read, _)| (capture, read)).collect();
        for (capture, read) in ends {
            self.copy(&read, &capture);
        }
    }

    /// Leaves the pipes of programs in the background to be read at the end of the substitution.
    pub(in crate::exec) fn drain_later(&mut self, pipes: CapturePipes) {
        self.drains.extend(pipes.pipes.into_iter().map(|(capture, read, _)| (capture, read)));
    }

    pub(in crate::exec) fn copy(&self, from: &Fd, to: &Fd) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return,
                // A capture takes everything.
                Ok(count) => {
                    let _ = to.write(&buffer[..count]);
                }
                Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }
}
