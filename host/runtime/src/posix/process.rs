//! One process, as its own task and its imports see it ([`ProcessEntry`]), and as its parent sees it
//! ([`ChildHandle`]).

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

pub(crate) use super::table::record::{Disposition, ProcessChange, ProcessEnding};

use super::errno::Errno;
use super::signal::{Signal, SignalSet};
use super::table::record::{ProcessFlags, ProcessTimes};
use super::table::{FIRST, GroupChoice, Identity, NewProcess, ProcessTable, SignalTarget, TerminalAccess};

/// One process in the table of its session.
///
/// A stopped process waits only where it holds nothing that others wait for: in its own code, when the epoch is over,
/// and in the imports that can wait, when their permits and locks are back. Its task is polled all the time: a task
/// that was not polled would keep others waiting, since tokio's semaphores hand permits to sleeping waiters.
pub(crate) struct ProcessEntry {
    id: u32,
    flags: Arc<ProcessFlags>,
    table: Arc<ProcessTable>,
}

impl ProcessEntry {
    /// The first process of the table.
    pub(crate) fn first(table: &Arc<ProcessTable>) -> Self {
        let flags = table.flags(FIRST).unwrap_or_default();
        Self { id: FIRST, flags, table: Arc::clone(table) }
    }

    /// A process of no session, for an instance that is made to try a plugin.
    pub(crate) fn alone() -> Self {
        Self::first(&Arc::new(ProcessTable::new(0)))
    }

    /// A new child of this process.
    pub(crate) fn add_child(&self, new: NewProcess) -> Result<(Self, ChildHandle), Errno> {
        let (id, flags) = self.table.add(self.id, new)?;
        let (table, of_parent) = (Arc::clone(&self.table), Arc::clone(&self.flags));
        let child = Self { id, flags, table: Arc::clone(&table) };
        Ok((child, ChildHandle { id, table, parent: of_parent }))
    }

    pub(crate) fn table(&self) -> &Arc<ProcessTable> {
        &self.table
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn is_first(&self) -> bool {
        self.id == FIRST
    }

    /// Registers the process's task, which `context` belongs to: it is woken by signals, by changes of the process and
    /// its children, and when the foreground changes.
    pub(crate) fn register_waker(&self, context: &Context<'_>) {
        self.flags.register_waker(context);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.flags.is_stopped()
    }

    /// Whether the process must not go on: it is stopped, or a signal ends it and its task has not seen that yet. Then
    /// it takes nothing, and a call that would go on waits: its task drops it.
    pub(crate) fn must_wait(&self) -> bool {
        self.is_stopped() || self.killed().is_some()
    }

    /// Waits while the process is stopped, and for ever once a signal ends it: only where the caller holds nothing that
    /// others wait for.
    pub(crate) async fn pass(&self) {
        poll_fn(|context| {
            self.register_waker(context);
            if self.must_wait() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Whether a caught signal waits: calls that wait return `interrupted`.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.flags.is_interrupted()
    }

    /// The signal that ends the process. Its task drops the instance then.
    pub(crate) fn killed(&self) -> Option<Signal> {
        self.flags.killed()
    }

    /// Whether it may read from the terminal now. In the background its group gets SIGTTIN: it waits at the gate, and
    /// asks again, unless a caught signal waits.
    pub(crate) fn read_terminal(&self) -> TerminalAccess {
        self.table.terminal_access(self.id, Signal::Ttin)
    }

    /// Whether it may change the terminal now, or write to it where the mode TOSTOP is on. The same with SIGTTOU.
    pub(crate) fn change_terminal(&self) -> TerminalAccess {
        self.table.terminal_access(self.id, Signal::Ttou)
    }

    /// Waits until it may change the terminal: in the background it is stopped, and asks again when it continues.
    ///
    /// # Errors
    /// [`Errno::Io`] if nobody could continue it, [`Errno::Interrupted`] if it catches the signal.
    pub(crate) async fn may_change_terminal(&self) -> Result<(), Errno> {
        loop {
            self.pass().await;
            match self.change_terminal() {
                TerminalAccess::Permitted => return Ok(()),
                TerminalAccess::Refused => return Err(Errno::Io),
                TerminalAccess::Stopped if self.is_interrupted() && !self.must_wait() => {
                    return Err(Errno::Interrupted);
                }
                TerminalAccess::Stopped => {}
            }
        }
    }

    /// It has written to a pipe that nobody reads: SIGPIPE. True if that ends the process.
    pub(crate) fn broken_pipe(&self) -> bool {
        self.table.raise(self.id, Signal::Pipe);
        self.killed().is_some()
    }

    /// The session hangs up, or ends. True if the process is told by a SIGHUP that it catches, or ignores it.
    pub(crate) fn hang_up(&self) -> bool {
        let ends = self.disposition(Signal::Hup) == Disposition::Default;
        if !ends {
            self.table.raise(self.id, Signal::Hup);
        }
        !ends
    }

    /// A signal that does not come from another process arrives.
    pub(crate) fn raise(&self, signal: Signal) {
        self.table.raise(self.id, signal);
    }

    /// kill(2).
    pub(crate) fn kill(&self, to: SignalTarget, signal: Option<Signal>) -> Result<(), Errno> {
        self.table.kill(self.id, to, signal)
    }

    pub(crate) fn disposition(&self, signal: Signal) -> Disposition {
        self.table.disposition(self.id, signal)
    }

    /// sigaction(2). Returns what it was before.
    pub(crate) fn set_disposition(&self, signal: Signal, how: Disposition) -> Result<Disposition, Errno> {
        self.table.set_disposition(self.id, signal, how)
    }

    /// Catches these signals and none else.
    pub(crate) fn catch_only(&self, signals: SignalSet) {
        self.table.catch_only(self.id, signals);
    }

    /// Takes the oldest caught signal that has arrived.
    pub(crate) fn next_signal(&self) -> Option<Signal> {
        if self.is_interrupted() { self.table.take_pending(self.id) } else { None }
    }

    pub(crate) fn identity(&self) -> Identity {
        self.table.identity(self.id)
    }

    /// setpgid(2). `id`: this process (0) or a child.
    pub(crate) fn set_group(&self, id: u32, group: GroupChoice) -> Result<(), Errno> {
        self.table.set_group(self.id, id, group)
    }

    /// tcsetpgrp(3), after [`change_terminal`](Self::change_terminal) has permitted it.
    pub(crate) fn set_foreground(&self, group: u32) -> Result<(), Errno> {
        self.table.set_foreground(group)
    }

    /// Processor time of its children that have ended and were waited for.
    pub(crate) fn children_time(&self) -> Duration {
        self.table.children_time(self.id)
    }

    /// Its instance could not be made: it is not there, and its parent is told nothing.
    pub(crate) fn abandon(&self) {
        self.table.abandon(self.id);
    }

    /// Another program of this name takes its place, which ignores these signals. What it has caught and not taken may
    /// end it.
    pub(crate) fn replaced(&self, program: Arc<str>, ignored: SignalSet) {
        self.table.replaced(self.id, program, ignored);
    }

    /// Its instance is gone.
    pub(crate) fn ended(&self, ending: ProcessEnding, own: Duration) {
        self.table.ended(self.id, ending, ProcessTimes { own, children: Duration::ZERO });
    }
}

impl fmt::Debug for ProcessEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessEntry").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A child, as its parent holds it. Its number is not given to another process while this lives; dropping it disowns
/// the child.
pub(crate) struct ChildHandle {
    id: u32,
    table: Arc<ProcessTable>,
    parent: Arc<ProcessFlags>,
}

impl ChildHandle {
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Takes the change that was not reported. After the child's end has been reported always none.
    pub(crate) fn take_change(&self) -> Option<ProcessChange> {
        self.table.take_change(self.id)
    }

    /// Whether nothing will come any more.
    pub(crate) fn is_over(&self) -> bool {
        self.table.is_reaped(self.id)
    }

    /// Waits until there is a change to take, or none will ever come. Only in the parent's task.
    pub(crate) async fn changed(&self) {
        poll_fn(|context| {
            self.parent.register_waker(context);
            if self.table.has_change(self.id) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Drop for ChildHandle {
    fn drop(&mut self) {
        self.table.disown(self.id);
    }
}
