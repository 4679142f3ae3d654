//! One process in the table.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use crate::posix::signal::{Signal, SignalSet};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProcessEnding {
    /// WIFEXITED and WEXITSTATUS.
    Status(u8),
    /// WIFSIGNALED and WTERMSIG.
    Signal(Signal),
}

/// A change of a process, which its parent is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProcessChange {
    Exited(ProcessEnding),
    /// WIFSTOPPED and WSTOPSIG.
    Stopped(Signal),
    /// WIFCONTINUED.
    Continued,
}

/// What a signal does to one process (`sigaction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    Default,
    Ignore,
    Catch,
}

/// What the process is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcessState {
    Running,
    Stopped,
    /// Its instance is gone. It stays in the table while its parent may ask how it ended.
    Ended,
}

/// Processor time of a process that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ProcessTimes {
    pub(crate) own: Duration,
    /// That of its children that have ended and were waited for, and of theirs.
    pub(crate) children: Duration,
}

/// One process, as the table has it.
pub(super) struct Record {
    pub(super) id: u32,
    /// The name of its program; none of the first process.
    pub(super) program: Arc<str>,
    /// 0 of the first process; 1 after the parent has ended.
    pub(super) parent: u32,
    /// Its parent has ended, so that for its group it has none in the session (POSIX: the parent is `init`).
    pub(super) is_adopted: bool,
    pub(super) group: u32,
    pub(super) state: ProcessState,
    pub(super) ignored: SignalSet,
    pub(super) caught: SignalSet,
    /// Caught signals that it has not taken, the oldest first, each once.
    pub(super) pending: Vec<Signal>,
    /// Signals that end it as soon as it continues: a stopped process handles none but KILL.
    pub(super) held: SignalSet,
    /// The newest change that its parent was not told.
    pub(super) unreported: Option<ProcessChange>,
    /// Its parent may ask for changes.
    pub(super) is_held: bool,
    /// The parent was told that it has ended: only its number is kept.
    pub(super) is_reaped: bool,
    pub(super) times: ProcessTimes,
    pub(super) flags: Arc<ProcessFlags>,
}

impl Record {
    /// A process that runs, and ignores and catches nothing.
    pub(super) fn new(id: u32, parent: u32, group: u32, program: Arc<str>) -> Self {
        Self {
            id,
            program,
            parent,
            is_adopted: false,
            group,
            state: ProcessState::Running,
            ignored: SignalSet::default(),
            caught: SignalSet::default(),
            pending: Vec::new(),
            held: SignalSet::default(),
            unreported: None,
            is_held: true,
            is_reaped: false,
            times: ProcessTimes::default(),
            flags: Arc::default(),
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.state != ProcessState::Ended
    }

    pub(super) fn disposition(&self, signal: Signal) -> Disposition {
        if self.caught.contains(signal) {
            Disposition::Catch
        } else if self.ignored.contains(signal) {
            Disposition::Ignore
        } else {
            Disposition::Default
        }
    }

    pub(super) fn set_disposition(&mut self, signal: Signal, how: Disposition) {
        self.caught.remove(signal);
        self.ignored.remove(signal);
        match how {
            Disposition::Default => {}
            Disposition::Ignore => self.ignored.insert(signal),
            Disposition::Catch => self.caught.insert(signal),
        }
        if how != Disposition::Catch {
            // As if its handler had run.
            self.pending.retain(|pending| *pending != signal);
        }
        self.flags.set_interrupted(!self.pending.is_empty());
    }

    /// A caught signal arrives. One that waits counts once.
    pub(super) fn catch(&mut self, signal: Signal) {
        if !self.pending.contains(&signal) {
            self.pending.push(signal);
        }
        self.flags.set_interrupted(true);
    }

    pub(super) fn take_pending(&mut self) -> Option<Signal> {
        let oldest = (!self.pending.is_empty()).then(|| self.pending.remove(0));
        self.flags.set_interrupted(!self.pending.is_empty());
        oldest
    }
}

/// What the task of a process looks at without the table's lock, and what wakes it.
#[derive(Default)]
pub(crate) struct ProcessFlags {
    stopped: AtomicBool,
    interrupted: AtomicBool,
    /// The number of the signal that ends it, plus 1.
    killed: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

impl ProcessFlags {
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    pub(super) fn set_stopped(&self, stopped: bool) {
        self.stopped.store(stopped, Ordering::Release);
    }

    /// Whether a caught signal waits.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    fn set_interrupted(&self, interrupted: bool) {
        self.interrupted.store(interrupted, Ordering::Release);
    }

    /// The signal that ends it.
    pub(crate) fn killed(&self) -> Option<Signal> {
        Signal::from_number(self.killed.load(Ordering::Acquire).checked_sub(1)?)
    }

    /// A signal ends it. The first counts.
    pub(super) fn kill(&self, signal: Signal) {
        let number = signal as u8 + 1;
        let _ = self.killed.compare_exchange(0, number, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Registers the task of `context` to be woken by the next change. Call it before looking.
    pub(crate) fn register_waker(&self, context: &Context<'_>) {
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
    }

    pub(super) fn wake(&self) {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
