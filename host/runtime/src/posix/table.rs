//! The processes of one session: who is whose child, groups and the foreground, signals, and what parents are told.
//! POSIX.1-2017, 2.4 Signal Concepts, 3.x definitions of process groups, and the functions that `wit/process` names.
//!
//! The session's first process has number 1 and leads the session and the group 1. Its parent is outside, and so is the
//! parent of a process whose parent has ended: nobody who could continue it is left.
//!
//! A change of a process that was not reported is forgotten when another follows, as under Linux: of a process that was
//! stopped and continued before its parent asked, the parent is told that it was continued.

mod groups;
pub(super) mod record;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use crate::posix::errno::Errno;
use crate::posix::signal::{DefaultAction, Signal, SignalSet};
use record::{Disposition, ProcessChange, ProcessEnding, ProcessFlags, ProcessState, ProcessTimes, Record};

/// The number of the session's first process.
pub(crate) const FIRST: u32 = 1;
/// The highest number of a process: the highest that C's `pid_t` can hold.
const HIGHEST: u32 = i32::MAX.unsigned_abs();

/// The group of a new process, or the one to which one moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupChoice {
    /// That of the parent.
    Inherit,
    /// A new one with the number of the process.
    New,
    /// One that exists.
    Join(u32),
}

/// Whether a process may use the terminal now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TerminalAccess {
    Permitted,
    /// It is in the background: a signal was sent to its group. It has stopped, or a caught signal waits.
    Stopped,
    /// It is in the background, and nobody could continue it: EIO.
    Refused,
}

/// To whom a signal goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignalTarget {
    /// One process; 0 is the caller.
    Process(u32),
    /// All of a group; 0 is the caller's.
    Group(u32),
}

/// Numbers of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: u32,
    /// 0 of the first process; 1 once the parent has ended.
    pub(crate) parent: u32,
    pub(crate) group: u32,
    /// None without a terminal.
    pub(crate) foreground: Option<u32>,
}

/// A process to be added.
#[derive(Debug, Clone)]
pub(crate) struct NewProcess {
    /// The name of its program.
    pub(crate) program: Arc<str>,
    pub(crate) group: GroupChoice,
    pub(crate) ignored: SignalSet,
    /// Processes of the session beyond which there is none more.
    pub(crate) most: usize,
}

/// The table of one session.
pub(crate) struct ProcessTable {
    processes: Mutex<Processes>,
}

/// What the table holds.
struct Processes {
    /// In no order; there are few.
    records: Vec<Record>,
    /// The number that was given last.
    last: u32,
    /// How many ancestors a process may have.
    depth: u32,
    /// None without a terminal.
    foreground: Option<u32>,
    /// The session ends: there are no new processes.
    is_closed: bool,
    /// Woken when a process ends.
    closer: Option<Waker>,
    /// Whom to wake when the lock is free.
    wakes: Vec<Arc<ProcessFlags>>,
}

impl fmt::Debug for ProcessTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessTable").finish_non_exhaustive()
    }
}

impl ProcessTable {
    /// The table of a session with its first process. `depth`: how many ancestors a process may have.
    pub(crate) fn new(depth: u32) -> Self {
        let first = Record::new(FIRST, 0, FIRST, Arc::default());
        let processes = Processes {
            records: vec![first],
            last: FIRST,
            depth,
            foreground: None,
            is_closed: false,
            closer: None,
            wakes: Vec::new(),
        };
        Self { processes: Mutex::new(processes) }
    }

    /// Reads or changes the table, then wakes those whom the change concerns.
    fn change<R>(&self, work: impl FnOnce(&mut Processes) -> R) -> R {
        // Every change is complete or not made.
        let mut processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut processes);
        let wakes = std::mem::take(&mut processes.wakes);
        drop(processes);
        wakes.iter().for_each(|flags| flags.wake());
        result
    }

    /// The session has a terminal, whose foreground group is that of the first process.
    pub(crate) fn has_terminal(&self) {
        self.change(|processes| _ = processes.foreground.get_or_insert(FIRST));
    }

    /// Adds a child of `parent`. Returns its number and flags.
    pub(super) fn add(&self, parent: u32, new: NewProcess) -> Result<(u32, Arc<ProcessFlags>), Errno> {
        self.change(|processes| processes.add(parent, new))
    }

    pub(super) fn flags(&self, id: u32) -> Option<Arc<ProcessFlags>> {
        self.change(|processes| processes.find(id).map(|record| Arc::clone(&record.flags)))
    }

    /// The instance of a process is gone.
    pub(super) fn ended(&self, id: u32, ending: ProcessEnding, times: ProcessTimes) {
        let closer = self.change(|processes| {
            processes.ended(id, ending, times);
            processes.closer.take()
        });
        if let Some(closer) = closer {
            closer.wake();
        }
    }

    /// The instance of the first process is gone: nobody asks how it ended, and its number is that of no process.
    pub(crate) fn first_ended(&self) {
        self.change(|processes| {
            processes.ended(FIRST, ProcessEnding::Status(0), ProcessTimes::default());
            processes.find_mut(FIRST).into_iter().for_each(|record| record.is_reaped = true);
        });
    }

    /// A process that was never made is not there, and its parent is told nothing.
    pub(super) fn abandon(&self, id: u32) {
        let closer = self.change(|processes| {
            processes.records.retain(|record| record.id != id);
            processes.closer.take()
        });
        if let Some(closer) = closer {
            closer.wake();
        }
    }

    /// Another program of this name takes the place of this one: it catches nothing, and ignores these. Signals that
    /// were caught and not taken stay pending, and do to it what they do (POSIX, `exec`).
    pub(super) fn replaced(&self, id: u32, program: Arc<str>, ignored: SignalSet) {
        self.change(|processes| {
            let Some(record) = processes.find_mut(id) else { return };
            record.program = program;
            record.ignored = ignored.catchable();
            record.caught = SignalSet::default();
            let pending: Vec<Signal> = std::iter::from_fn(|| record.take_pending()).collect();
            pending.into_iter().for_each(|signal| processes.deliver(id, signal));
        });
    }

    /// Nobody asks any more how this process ends.
    pub(super) fn disown(&self, id: u32) {
        self.change(|processes| {
            if let Some(record) = processes.find_mut(id) {
                record.is_held = false;
                processes.remove_unheld();
            }
        });
    }

    /// What the parent of a process was not told yet.
    pub(super) fn take_change(&self, id: u32) -> Option<ProcessChange> {
        self.change(|processes| processes.take_change(id))
    }

    /// Whether [`take_change`](Self::take_change) has something, or never will have.
    pub(super) fn has_change(&self, id: u32) -> bool {
        self.change(|processes| processes.find(id).is_none_or(|record| record.unreported.is_some() || record.is_reaped))
    }

    /// Whether nothing will come of a process any more.
    pub(super) fn is_reaped(&self, id: u32) -> bool {
        self.change(|processes| processes.find(id).is_none_or(|record| record.is_reaped))
    }

    /// kill(2) by the process `caller`.
    pub(super) fn kill(&self, caller: u32, to: SignalTarget, signal: Option<Signal>) -> Result<(), Errno> {
        self.change(|processes| {
            let ids = match to {
                SignalTarget::Process(id) => {
                    let id = if id == 0 { caller } else { id };
                    let is_there = processes.find(id).is_some_and(|record| !record.is_reaped);
                    if is_there { vec![id] } else { Vec::new() }
                }
                SignalTarget::Group(0) => processes.members(processes.group_of(caller)),
                SignalTarget::Group(group) => processes.members(group),
            };
            if ids.is_empty() {
                return Err(Errno::NoProcess);
            }
            if let Some(signal) = signal {
                ids.into_iter().for_each(|id| processes.deliver(id, signal));
            }
            Ok(())
        })
    }

    /// Sends a signal of the client to the group of the first process.
    pub(crate) fn signal_first_group(&self, signal: Signal) {
        self.change(|processes| processes.signal_group(processes.group_of(FIRST), signal));
    }

    /// Sends a signal of the terminal to its foreground group.
    pub(crate) fn signal_foreground(&self, signal: Signal) {
        self.change(|processes| processes.signal_group(processes.foreground.unwrap_or(FIRST), signal));
    }

    /// The terminal hangs up: the foreground group gets SIGHUP, without the first process.
    pub(crate) fn hang_up_foreground(&self) {
        self.change(|processes| {
            let Some(group) = processes.foreground else { return };
            for id in processes.members(group) {
                if id != FIRST {
                    processes.deliver(id, Signal::Hup);
                }
            }
        });
    }

    /// The session ends: there are no new processes, and all but the first get this signal. With HUP they also
    /// continue.
    pub(crate) fn close(&self, signal: Signal) {
        self.change(|processes| {
            processes.is_closed = true;
            let others: Vec<u32> = processes.records.iter().map(|record| record.id).filter(|id| *id != FIRST).collect();
            for id in others {
                processes.deliver(id, signal);
                if signal == Signal::Hup {
                    processes.deliver(id, Signal::Cont);
                }
            }
        });
    }

    /// Whether a process but the first lives. If so the task of `context` is woken when one ends.
    pub(crate) fn has_others_or_watches(&self, context: &Context<'_>) -> bool {
        self.change(|processes| {
            let has_others = processes.records.iter().any(|record| record.id != FIRST && record.is_live());
            processes.closer = has_others.then(|| context.waker().clone());
            has_others
        })
    }

    /// Number and program of each that lives, the first left out: `2 (cat)`.
    pub(crate) fn others(&self) -> Vec<String> {
        self.change(|processes| {
            let others = processes.records.iter().filter(|record| record.id != FIRST && record.is_live());
            others.map(|record| format!("{} ({})", record.id, record.program)).collect()
        })
    }

    /// How many processes live.
    pub(crate) fn live(&self) -> usize {
        self.change(|processes| processes.records.iter().filter(|record| record.is_live()).count())
    }

    /// How many processes live, the first left out.
    pub(crate) fn live_others(&self) -> usize {
        self.change(|processes| {
            processes.records.iter().filter(|record| record.id != FIRST && record.is_live()).count()
        })
    }

    pub(super) fn set_disposition(&self, id: u32, signal: Signal, how: Disposition) -> Result<Disposition, Errno> {
        if !signal.is_catchable() {
            return Err(Errno::Invalid);
        }
        self.change(|processes| {
            let record = processes.find_mut(id).ok_or(Errno::NoProcess)?;
            let before = record.disposition(signal);
            record.set_disposition(signal, how);
            Ok(before)
        })
    }

    /// Catches these signals and none else.
    pub(super) fn catch_only(&self, id: u32, signals: SignalSet) {
        self.change(|processes| {
            let Some(record) = processes.find_mut(id) else { return };
            for signal in record.caught.iter().filter(|signal| !signals.contains(*signal)) {
                record.set_disposition(signal, Disposition::Default);
            }
            for signal in signals.iter().filter(|signal| signal.is_catchable()) {
                record.set_disposition(signal, Disposition::Catch);
            }
        });
    }

    pub(super) fn disposition(&self, id: u32, signal: Signal) -> Disposition {
        self.change(|processes| processes.find(id).map_or(Disposition::Default, |record| record.disposition(signal)))
    }

    /// Raises a signal at one process.
    pub(super) fn raise(&self, id: u32, signal: Signal) {
        self.change(|processes| processes.deliver(id, signal));
    }

    pub(super) fn take_pending(&self, id: u32) -> Option<Signal> {
        self.change(|processes| processes.find_mut(id)?.take_pending())
    }

    pub(super) fn identity(&self, id: u32) -> Identity {
        self.change(|processes| {
            let (parent, group) = processes.find(id).map_or((0, id), |record| (record.parent, record.group));
            Identity { id, parent, group, foreground: processes.foreground }
        })
    }

    /// Processor time of its children that were waited for.
    pub(super) fn children_time(&self, id: u32) -> std::time::Duration {
        self.change(|processes| processes.find(id).map(|record| record.times.children).unwrap_or_default())
    }

    pub(super) fn set_group(&self, caller: u32, id: u32, group: GroupChoice) -> Result<(), Errno> {
        self.change(|processes| processes.set_group(caller, if id == 0 { caller } else { id }, group))
    }

    /// The caller may change the terminal.
    pub(super) fn set_foreground(&self, group: u32) -> Result<(), Errno> {
        self.change(|processes| processes.set_foreground(group))
    }

    /// Whether a process may use the terminal, for which `signal` is SIGTTIN or SIGTTOU.
    pub(super) fn terminal_access(&self, id: u32, signal: Signal) -> TerminalAccess {
        self.change(|processes| processes.terminal_access(id, signal))
    }
}

impl Processes {
    fn find(&self, id: u32) -> Option<&Record> {
        self.records.iter().find(|record| record.id == id)
    }

    fn find_mut(&mut self, id: u32) -> Option<&mut Record> {
        self.records.iter_mut().find(|record| record.id == id)
    }

    fn add(&mut self, parent: u32, new: NewProcess) -> Result<(u32, Arc<ProcessFlags>), Errno> {
        // What nobody waited for counts: it takes a number.
        if self.is_closed || self.records.iter().filter(|record| !record.is_reaped).count() >= new.most {
            return Err(Errno::TooManyProcesses);
        }
        if self.ancestors(parent) >= self.depth {
            return Err(Errno::TooManyProcesses);
        }
        let group = self.group_of(parent);
        let id = self.free_number();
        let group = match new.group {
            GroupChoice::Inherit => group,
            GroupChoice::New => id,
            GroupChoice::Join(group) if self.members(group).is_empty() => return Err(Errno::NotPermitted),
            GroupChoice::Join(group) => group,
        };
        self.last = id;
        let mut record = Record::new(id, parent, group, new.program);
        record.ignored = new.ignored.catchable();
        let flags = Arc::clone(&record.flags);
        self.records.push(record);
        Ok((id, flags))
    }

    /// How many ancestors a process has. Fewer when one of them has ended: those whom it leaves have the first process
    /// for a parent.
    fn ancestors(&self, id: u32) -> u32 {
        let parent = |id: &u32| self.find(*id).map(|record| record.parent).filter(|parent| *parent != 0);
        std::iter::successors(parent(&id), parent).fold(0, |count, _| count + 1)
    }

    /// A number that neither a process nor a group has.
    fn free_number(&self) -> u32 {
        let mut number = self.last;
        loop {
            number = if number >= HIGHEST { FIRST + 1 } else { number + 1 };
            let is_used = |record: &Record| record.id == number || record.group == number;
            if !self.records.iter().any(is_used) && self.foreground != Some(number) {
                return number;
            }
        }
    }

    /// What nobody may ask for any more leaves the table.
    fn remove_unheld(&mut self) {
        self.records.retain(|record| record.is_held || record.is_live());
    }

    fn take_change(&mut self, id: u32) -> Option<ProcessChange> {
        let record = self.find_mut(id)?;
        let change = record.unreported.take()?;
        if let ProcessChange::Exited(_) = change {
            record.is_reaped = true;
            let (parent, times) = (record.parent, record.times);
            if let Some(parent) = self.find_mut(parent) {
                parent.times.children += times.own + times.children;
            }
        }
        Some(change)
    }

    fn ended(&mut self, id: u32, ending: ProcessEnding, times: ProcessTimes) {
        let watched = self.groups_that_may_be_orphaned(id);
        let Some(record) = self.find_mut(id).filter(|record| record.is_live()) else { return };
        record.state = ProcessState::Ended;
        record.pending = Vec::new();
        record.times.own = times.own;
        self.report(id, ProcessChange::Exited(ending));
        for child in self.records.iter_mut().filter(|record| record.parent == id) {
            (child.parent, child.is_adopted) = (FIRST, true);
        }
        self.remove_unheld();
        self.signal_orphaned(&watched);
    }

    /// Tells the parent of a change.
    fn report(&mut self, id: u32, change: ProcessChange) {
        let Some(record) = self.find_mut(id) else { return };
        record.unreported = Some(change);
        let parent = record.parent;
        self.deliver(parent, Signal::Chld);
        if let Some(parent) = self.find(parent) {
            let flags = Arc::clone(&parent.flags);
            self.wakes.push(flags);
        }
    }

    /// A signal arrives at a process: it is ignored or caught, or does what it does by default.
    fn deliver(&mut self, id: u32, signal: Signal) {
        let Some(record) = self.find(id).filter(|record| record.is_live() && record.flags.killed().is_none()) else {
            return;
        };
        let flags = Arc::clone(&record.flags);
        if signal == Signal::Cont {
            self.resume(id);
        }
        let orphaned = signal.is_of_terminal() && self.is_orphaned(self.group_of(id));
        let Some(record) = self.find_mut(id) else { return };
        match (record.disposition(signal), signal.default_action()) {
            (Disposition::Catch, _) => record.catch(signal),
            (Disposition::Ignore, _) | (_, DefaultAction::Ignore | DefaultAction::Continue) => return,
            (_, DefaultAction::Stop) if orphaned => return,
            (_, DefaultAction::Stop) => self.stop(id, signal),
            (_, DefaultAction::Terminate) if record.state == ProcessState::Stopped && signal != Signal::Kill => {
                record.held.insert(signal);
            }
            (_, DefaultAction::Terminate) => record.flags.kill(signal),
        }
        self.wakes.push(flags);
    }

    fn stop(&mut self, id: u32, signal: Signal) {
        let Some(record) = self.find_mut(id).filter(|record| record.state == ProcessState::Running) else { return };
        record.state = ProcessState::Stopped;
        record.flags.set_stopped(true);
        self.report(id, ProcessChange::Stopped(signal));
    }

    fn resume(&mut self, id: u32) {
        let Some(record) = self.find_mut(id).filter(|record| record.state == ProcessState::Stopped) else { return };
        record.state = ProcessState::Running;
        if let Some(signal) = std::mem::take(&mut record.held).iter().next() {
            record.flags.kill(signal);
        }
        record.flags.set_stopped(false);
        let flags = Arc::clone(&record.flags);
        self.wakes.push(flags);
        self.report(id, ProcessChange::Continued);
    }

    fn wake_all(&mut self) {
        self.wakes.extend(self.records.iter().map(|record| Arc::clone(&record.flags)));
    }
}
