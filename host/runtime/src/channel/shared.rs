//! The state that both halves of the pipes share: the two queues, each behind a lock, the credit, and the wakers.
//!
//! No wake-up is lost, because of the order: the session registers its waker ([`Shared::register_waker`]) before it
//! looks at the queues, and the connection changes the queues before it wakes the session.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Poll, Waker};

use tokio::time::Instant;

use super::buffer::Buffer;
use super::input::{Answer, Inbound, InputItem, MissingHandlers};
use super::lifecycle::Lifecycle;
use super::output::{Drained, Message, OutputQueue, Sink};
use crate::limits::budget::Finished;
use crate::limits::output_charges::{OutputCharges, Space};
use crate::limits::usage::SessionUsage;
use crate::posix::Wakers;
use crate::posix::table::ProcessTable;
use crate::session_types::{ChannelEvent, Ending, Exit, Output, SignalName, WindowSize};

/// Below this much credit, in bytes, the connection is not woken. It takes the credit when it next drains output, so
/// that the credit of a keystroke travels with its echo.
const CREDIT_WORTH_A_WAKE: usize = 16 << 10;

/// Wakes the connection's task: called when its side has something to do and had nothing before. Must be cheap; any
/// thread may call it.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Told of what a client types while its terminal edits lines and echoes. Must be cheap and leave the session alone.
pub type TypedObserver = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Why an import that waits must return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// The connection's side has ended the session.
    Ended,
    /// A signal that the plugin catches has arrived.
    Caught,
}

/// Values that a session holds until the connection has taken its exit and all output before it, such as its place in
/// its user's session count.
#[derive(Default)]
struct Kept {
    values: Vec<Box<dyn Send>>,
    /// The connection has taken the exit, or the refusal of the channel open: CLOSE follows, and a client that has it
    /// may open the next session at once.
    exit_taken: bool,
    /// They are dropped as soon as the task is over: the rest of the output will not be sent, or is negligible.
    released: bool,
}

/// Those who wait for a change of the queues.
#[derive(Default)]
pub(super) struct SessionWakers {
    /// The session's task, which runs its first process. Present while it waits.
    pub(super) first: Option<Waker>,
    /// The tasks of its other processes, by their numbers.
    pub(super) others: Wakers,
}

/// What the list of sessions has of a session.
#[derive(Default)]
pub(super) struct ListedSession {
    /// The plugin that serves it, or served it last, and its generation.
    pub(super) served: Mutex<Option<(Arc<str>, u32)>>,
    pub(super) usage: OnceLock<Arc<SessionUsage>>,
    /// The processes of the program that serves it; dead while none does.
    pub(super) processes: Mutex<Weak<ProcessTable>>,
}

pub(crate) struct Shared {
    inbound: Mutex<Inbound>,
    output: Mutex<OutputQueue>,
    /// Bytes that the plugin has taken and whose credit the connection has not taken.
    credit: AtomicUsize,
    /// Wakes the tasks of the session's processes.
    pub(super) session: Mutex<SessionWakers>,
    connection: Wake,
    /// The accounts that are charged for output. Set by the first process.
    charges: OnceLock<Arc<OutputCharges>>,
    kept: Mutex<Kept>,
    /// The session's task is over: its half was dropped.
    task_finished: AtomicBool,
    /// The client reads no more ordinary output.
    output_unread: AtomicBool,
    /// Input arrived or output was written since [`take_active`](Self::take_active).
    active: AtomicBool,
    /// Output of the process passes the terminal's line discipline.
    pub(super) processes_output: AtomicBool,
    /// The mode TOSTOP is on: a background process that writes to the terminal is stopped.
    pub(super) stops_output: AtomicBool,
    /// The terminal has not received all input: it goes on when output was taken.
    pub(super) input_waits: AtomicBool,
    /// For the list of sessions.
    pub(super) listed: ListedSession,
    pub(super) typed_observer: OnceLock<TypedObserver>,
}

impl Shared {
    pub(super) fn new(capacity: usize, connection: Wake) -> Self {
        Self {
            inbound: Mutex::default(),
            output: Mutex::new(OutputQueue::new(capacity)),
            credit: AtomicUsize::new(0),
            session: Mutex::default(),
            connection,
            charges: OnceLock::new(),
            kept: Mutex::default(),
            task_finished: AtomicBool::new(false),
            output_unread: AtomicBool::new(false),
            active: AtomicBool::new(false),
            processes_output: AtomicBool::new(false),
            stops_output: AtomicBool::new(false),
            input_waits: AtomicBool::new(false),
            listed: ListedSession::default(),
            typed_observer: OnceLock::new(),
        }
    }

    // The connection's half.

    /// Changes the inbound queue or the lifecycle for the connection, and wakes the session.
    pub(super) fn update_inbound(&self, change: impl FnOnce(&mut Inbound)) {
        change(&mut lock(&self.inbound));
        self.mark_active();
        self.wake_session();
    }

    /// Queues an event from the client. Decides who answers it before the session can see it.
    pub(super) fn event(&self, event: ChannelEvent) {
        self.answered_by(|inbound| inbound.event(event));
        self.mark_active();
        self.wake_session();
    }

    /// Queues a program request, and before it a variable that belongs to it.
    pub(super) fn event_with_variable(&self, variable: ChannelEvent, event: ChannelEvent) {
        self.answered_by(|inbound| inbound.event_with_variable(variable, event));
        self.mark_active();
        self.wake_session();
    }

    /// Refuses a request without asking the plugin. `message`: a line for stderr before the answer.
    pub(super) fn refuse(&self, message: Option<&str>) {
        let Some(message) = message else { return self.answered_by(|inbound| inbound.refuse()) };
        let inbound = lock(&self.inbound);
        if inbound.refuse() != Answer::None {
            let line = line(message, inbound.queue.size().is_some());
            self.emit(|output| output.refuse(line.as_bytes()));
        }
    }

    fn answered_by(&self, change: impl FnOnce(&mut Inbound) -> Answer) {
        let mut inbound = lock(&self.inbound);
        let was_queued = match change(&mut inbound) {
            Answer::None => false,
            Answer::Session => lock(&self.output).queue_request(),
            Answer::Host(success) => lock(&self.output).push_answer(success),
        };
        // The answer is queued before output that may be blocked; without this wake the connection would not look.
        if was_queued {
            (self.connection)();
        }
    }

    /// Wakes the connection.
    pub(crate) fn wake_connection(&self) {
        (self.connection)();
    }

    pub(super) fn take_credit(&self) -> usize {
        self.credit.swap(0, Ordering::AcqRel)
    }

    pub(super) fn drain(&self, sink: &mut impl Sink) -> Drained {
        let mut output = lock(&self.output);
        let drained = output.drain(sink);
        let exit_taken = drained == Drained::Empty && output.has_ended();
        let wakes = output.take_watched();
        self.return_charges(output);
        if wakes {
            self.wake_session();
        }
        if self.input_waits.load(Ordering::Relaxed) {
            self.resume_input();
        }
        if exit_taken {
            lock(&self.kept).exit_taken = true;
        }
        if exit_taken || self.task_finished.load(Ordering::Acquire) {
            self.release();
        }
        drained
    }

    /// The connection has dropped its outbox: nothing more will be sent.
    pub(super) fn outbox_dropped(&self) {
        lock(&self.kept).released = true;
        self.release();
    }

    /// Returns the charges for bytes that have left the queue.
    fn return_charges(&self, mut output: MutexGuard<'_, OutputQueue>) {
        let gone = output.take_uncharged();
        drop(output);
        self.give_charges(gone);
    }

    pub(super) fn give_charges(&self, gone: usize) {
        if let Some(charges) = self.charges.get()
            && gone > 0
        {
            charges.give(gone);
        }
    }

    /// Drops the kept values if the connection has taken the exit, or if the task is over and nothing will be sent.
    fn release(&self) {
        let mut kept = lock(&self.kept);
        let is_over = kept.released && self.task_finished.load(Ordering::Acquire);
        if !kept.exit_taken && !is_over {
            return;
        }
        let values = std::mem::take(&mut kept.values);
        drop(kept);
        // Outside the lock: a drop may do anything.
        drop(values);
    }

    pub(crate) fn is_drained(&self) -> bool {
        lock(&self.output).is_empty()
    }

    /// The client reads no more ordinary output.
    pub(super) fn set_output_unread(&self) {
        self.output_unread.store(true, Ordering::Relaxed);
        self.wake_session();
    }

    /// Whether the client has said that it reads no more ordinary output.
    pub(crate) fn is_output_unread(&self) -> bool {
        self.output_unread.load(Ordering::Relaxed)
    }

    // The session's half.

    /// Ends the session because its version of the plugin is retired. The client gets `notice` on stderr.
    pub(crate) fn retire(&self, notice: &Arc<str>) {
        self.update_inbound(|inbound| inbound.retire(notice));
    }

    /// Ends the session as [`retire`](Self::retire) does, because an operator wants it. False if it is ending already
    /// or has exited; then nothing changes.
    pub(super) fn end_by_operator(&self, notice: &Arc<str>) -> bool {
        let mut ends = false;
        self.update_inbound(|inbound| ends = inbound.end_by_operator(notice));
        ends
    }

    /// Reads or changes the lifecycle. Transitions of which the client is told are made in `transitions.rs`.
    pub(super) fn lifecycle<R>(&self, ask: impl FnOnce(&mut Lifecycle) -> R) -> R {
        ask(&mut lock(&self.inbound).lifecycle)
    }

    /// Why the connection's side has ended the session, and when.
    pub(crate) fn ended(&self) -> Option<(Ending, Instant)> {
        self.lifecycle(|lifecycle| lifecycle.ended())
    }

    /// Waits until the connection's side ends the session. Only the session's task may call it.
    pub(crate) async fn until_ended(&self) {
        poll_fn(|context| {
            self.register_waker(context);
            if self.ended().is_some() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Whether an import that waits must return, and why.
    pub(crate) fn interrupt(&self) -> Option<Interrupt> {
        let inbound = lock(&self.inbound);
        if inbound.lifecycle.ended().is_some() {
            Some(Interrupt::Ended)
        } else {
            inbound.queue.interrupts().then_some(Interrupt::Caught)
        }
    }

    pub(crate) fn has_input(&self) -> bool {
        self.inbound(|inbound| self.has_next(inbound) || inbound.queue.has_caught())
    }

    /// Takes the next entry, and returns whether its credit was returned before. Data is moved to `into`, which must be
    /// empty.
    pub(super) fn next(&self, into: &mut Buffer, piece: usize) -> Option<(InputItem, bool)> {
        self.inbound(|inbound| self.take_next(inbound, into, piece))
    }

    /// Reads or changes the input queue, the terminal or the lifecycle, for the session.
    pub(super) fn inbound<R>(&self, ask: impl FnOnce(&mut Inbound) -> R) -> R {
        ask(&mut lock(&self.inbound))
    }

    /// Whom output is charged to, once there was a process.
    pub(super) fn charges(&self) -> Option<&OutputCharges> {
        self.charges.get().map(|charges| &**charges)
    }

    /// The session half was dropped: frees the queue and drops what still arrives.
    pub(super) fn discard_input(&self) {
        lock(&self.inbound).discard_input();
    }

    /// The newest window size from the client, delivered or not.
    pub(crate) fn size(&self) -> Option<WindowSize> {
        lock(&self.inbound).queue.size()
    }

    /// A process has accepted the client's terminal: the session has one for as long as it lasts.
    pub(crate) fn terminal_accepted(&self) {
        lock(&self.output).has_terminal = true;
    }

    /// The process gets a program request. A subsystem speaks a protocol, whether there is a terminal or not.
    pub(super) fn program_requested(&self, is_subsystem: bool) {
        lock(&self.output).is_subsystem = is_subsystem;
    }

    /// The client's answer to its program request is queued.
    pub(super) fn program_accepted(&self) {
        self.emit(OutputQueue::program_accepted);
    }

    /// Sets which optional handlers the current process lacks.
    pub(crate) fn set_missing_handlers(&self, missing: MissingHandlers) {
        lock(&self.inbound).queue.set_missing_handlers(missing);
    }

    /// Keeps a value until the connection has taken the exit, or the outbox is dropped and the task is over.
    pub(crate) fn keep(&self, value: Box<dyn Send>) {
        lock(&self.kept).values.push(value);
    }

    /// Whether the session's task is over.
    pub(super) fn is_finished(&self) -> bool {
        self.task_finished.load(Ordering::Acquire)
    }

    /// The session's task is over.
    pub(super) fn finish_task(&self) {
        self.task_finished.store(true, Ordering::Release);
        self.release();
    }

    pub(crate) fn catch(&self, names: Vec<SignalName>) {
        lock(&self.inbound).queue.catch(names);
    }

    /// No process is left that catches signals: those that wait are dropped, and later ones are events.
    pub(super) fn discard_caught(&self) {
        lock(&self.inbound).queue.discard_caught();
    }

    pub(crate) fn take_caught(&self) -> Option<SignalName> {
        lock(&self.inbound).queue.take_caught()
    }

    pub(crate) fn take_answer(&self) -> Option<bool> {
        lock(&self.inbound).queue.take_answer()
    }

    pub(crate) fn forget_answer(&self) {
        lock(&self.inbound).queue.forget_answer();
    }

    /// Adds credit for bytes that the plugin has taken.
    pub(super) fn credit(&self, bytes: usize) {
        let before = self.credit.fetch_add(bytes, Ordering::AcqRel);
        if before < CREDIT_WORTH_A_WAKE && before + bytes >= CREDIT_WORTH_A_WAKE {
            (self.connection)();
        }
    }

    /// Queues a message; false if it was dropped.
    pub(super) fn push_message(&self, message: Message) -> bool {
        self.emit(|output| output.push_message(message))
    }

    /// Sets the accounts that output is charged to, unless an earlier process has. Returns those in force.
    pub(crate) fn charge_to(&self, charges: Arc<OutputCharges>) -> Arc<OutputCharges> {
        // A session has one user and one tenant, whichever process it has.
        Arc::clone(self.charges.get_or_init(|| charges))
    }

    /// Queues as many of the bytes as the queue and `space` have room for. Returns how many; the rest of `space` is
    /// given back.
    pub(crate) fn push(&self, to: Output, bytes: &[u8], space: Space<'_>) -> usize {
        self.mark_active();
        if self.processes_output.load(Ordering::Relaxed) {
            return self.push_processed(to, bytes, space);
        }
        self.emit(|output| {
            let taken = output.push(to, &bytes[..bytes.len().min(space.bytes())]);
            output.charge(taken);
            space.spend(taken);
            taken
        })
    }

    pub(super) fn mark_active(&self) {
        // Read first: a write to a flag that is already set would move its cache line between processors.
        if !self.active.load(Ordering::Relaxed) {
            self.active.store(true, Ordering::Relaxed);
        }
    }

    /// Whether input arrived or output was written since the last call.
    pub(crate) fn take_active(&self) -> bool {
        self.active.swap(false, Ordering::Relaxed)
    }

    /// Queues all of the bytes as they are, even beyond the capacity.
    pub(crate) fn push_whole(&self, to: Output, bytes: &[u8]) {
        self.emit(|output| output.push_whole(to, bytes));
    }

    pub(super) fn emit<R>(&self, change: impl FnOnce(&mut OutputQueue) -> R) -> R {
        let mut output = lock(&self.output);
        let (was_empty, had_ended) = (output.is_empty(), output.has_ended());
        let result = change(&mut output);
        // The last message always wakes, in case an earlier wake-up panicked.
        let wake = (was_empty && !output.is_empty()) || (!had_ended && output.has_ended());
        drop(output);
        if wake {
            (self.connection)();
        }
        result
    }

    pub(crate) fn room(&self) -> usize {
        lock(&self.output).room()
    }

    /// Whether a waiting writer has room; if not, the session is woken when it has.
    pub(crate) fn has_room_or_watches(&self) -> bool {
        let mut output = lock(&self.output);
        let room = output.has_much_room();
        output.watched = !room;
        room
    }

    /// Whether `on-writable` is due; if it will be, the session is woken then.
    pub(crate) fn has_writable_or_watches(&self) -> bool {
        let mut output = lock(&self.output);
        let ready = output.has_writable();
        output.watched = !ready && output.owes_writable();
        ready
    }

    pub(crate) fn take_writable(&self) -> bool {
        lock(&self.output).take_writable()
    }
}

impl Finished for Shared {
    fn progress(&self) -> Instant {
        lock(&self.output).last_progress().unwrap_or_else(Instant::now)
    }

    fn discard(&self, message: &str) -> usize {
        let terminal = lock(&self.inbound).queue.size().is_some();
        let exit = Exit::Signal { name: SignalName::Kill, core_dumped: false, message: message.to_owned() };
        let mut output = lock(&self.output);
        let Some(bytes) = output.cut(line(message, terminal).as_bytes(), exit) else { return 0 };
        self.return_charges(output);
        // The rest is negligible.
        self.outbox_dropped();
        (self.connection)();
        bytes
    }
}

/// Returns the charges for output that no connection will take.
impl Drop for Shared {
    fn drop(&mut self) {
        let mut output = lock(&self.output);
        output.discard_bytes();
        self.return_charges(output);
    }
}

/// A line from the host for the user's terminal or stderr.
pub(super) fn line(message: &str, terminal: bool) -> String {
    let end = if terminal { "\r\n" } else { "\n" };
    format!("whelk: {message}{end}")
}

/// Ignores poisoning: every change to the queues is complete or not made.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
