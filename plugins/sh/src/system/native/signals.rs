//! Caught signals: flags, and a pipe that wakes whoever waits.

use crate::system::{Disposition, Errno, SIGNALS, signal_name, signal_number};
use rustix::event::{PollFd, PollFlags};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A signal that was caught once: its handler stays, and does what the flags say.
struct Caught {
    arrived: Arc<AtomicBool>,
    default: Arc<AtomicBool>,
    how: Disposition,
}

pub(super) struct Signals {
    caught: RefCell<BTreeMap<&'static str, Caught>>,
    wakes: UnixStream,
    woken: UnixStream,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        let (wakes, woken) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        wakes.set_nonblocking(true)?;
        // Each change of a child ends a wait.
        signal_hook::low_level::pipe::register(17, wakes.try_clone()?)?;
        Ok(Self { caught: RefCell::default(), wakes, woken })
    }

    pub(super) fn set(&self, signal: &'static str, how: Disposition) -> Result<(), Errno> {
        if signal == "KILL" || signal == "STOP" {
            return Err(Errno::EINVAL);
        }
        let mut caught = self.caught.borrow_mut();
        if let Some(known) = caught.get_mut(signal) {
            known.how = how;
            known.default.store(how == Disposition::Default, Ordering::SeqCst);
            return Ok(());
        }
        if how == Disposition::Default {
            return Ok(());
        }
        let number = signal_number(signal).ok_or(Errno::EINVAL)?;
        let (arrived, default) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let registered = signal_hook::flag::register_conditional_default(number, default.clone())
            .and_then(|_| signal_hook::flag::register(number, arrived.clone()))
            .and_then(|_| signal_hook::low_level::pipe::register(number, self.wakes.try_clone()?));
        registered.map_err(|_| Errno::EINVAL)?;
        caught.insert(signal, Caught { arrived, default, how });
        Ok(())
    }

    /// Whether any signal is caught.
    pub(super) fn catches(&self) -> bool {
        self.caught.borrow().values().any(|caught| caught.how == Disposition::Catch)
    }

    pub(super) fn next(&self) -> Option<&'static str> {
        let caught = self.caught.borrow();
        caught
            .iter()
            .find(|(_, caught)| caught.arrived.swap(false, Ordering::SeqCst) && caught.how == Disposition::Catch)
            .map(|(signal, _)| *signal)
    }

    pub(super) fn pending(&self) -> bool {
        self.caught
            .borrow()
            .values()
            .any(|caught| caught.how == Disposition::Catch && caught.arrived.load(Ordering::SeqCst))
    }

    /// Forgets that it was woken. Whoever waits looks for what it waits for after that.
    pub(super) fn clear(&self) {
        let mut buffer = [0; 64];
        let mut woken = &self.woken;
        while woken.read(&mut buffer).is_ok_and(|count| count > 0) {}
    }

    /// Waits until it is woken.
    pub(super) fn wait(&self, timeout: Option<Duration>) {
        let timeout = timeout.and_then(|timeout| rustix::event::Timespec::try_from(timeout).ok());
        let mut polled = [PollFd::new(&self.woken, PollFlags::IN)];
        // An interrupted poll is as good as one that was woken.
        let _ = rustix::event::poll(&mut polled, timeout.as_ref());
    }

    /// Waits for a signal that the process has sent to itself, and that another thread may be handling: POSIX's kill
    /// returns after it has arrived.
    pub(super) fn wait_for_own(&self, signal: &str) {
        let arrived = || {
            let caught = self.caught.borrow();
            caught
                .get(signal)
                .is_none_or(|caught| caught.how != Disposition::Catch || caught.arrived.load(Ordering::SeqCst))
        };
        for _ in 0..100 {
            self.clear();
            if arrived() {
                return;
            }
            self.wait(Some(Duration::from_millis(10)));
        }
    }

    /// Waits until a descriptor is readable. False: a caught signal arrived first.
    pub(super) fn wait_readable(&self, fd: BorrowedFd) -> bool {
        loop {
            self.clear();
            if self.pending() {
                return false;
            }
            let mut polled = [PollFd::new(&fd, PollFlags::IN), PollFd::new(&self.woken, PollFlags::IN)];
            match rustix::event::poll(&mut polled, None) {
                Ok(_) if !polled[0].revents().is_empty() => return true,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return true,
            }
        }
    }

    /// Nobody reads: the process ends, unless SIGPIPE is ignored or caught.
    pub(super) fn broken_pipe(&self) {
        let caught = self.caught.borrow();
        match caught.get("PIPE").map(|caught| caught.how) {
            None | Some(Disposition::Default) => {
                // It does not come back.
                let _ = signal_hook::low_level::emulate_default_handler(13);
            }
            Some(Disposition::Catch) => {
                if let Some(caught) = caught.get("PIPE") {
                    caught.arrived.store(true, Ordering::SeqCst);
                }
            }
            Some(Disposition::Ignore) => {}
        }
    }

    pub(super) fn ignored_at_start(&self) -> Vec<&'static str> {
        let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = text.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
        // Rust's library ignores SIGPIPE itself.
        let ignored = |number: i32| mask & (1 << (number - 1)) != 0 && number != 13;
        SIGNALS.iter().filter(|(number, _)| ignored(*number)).filter_map(|(number, _)| signal_name(*number)).collect()
    }
}
