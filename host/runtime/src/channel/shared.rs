//! What both ends of the pipes hold: the two queues behind a lock each, the credit, and who is to be woken.
//!
//! The order that makes it free of lost wake-ups: the session first leaves its waker ([`Shared::listen`]), then looks; the connection
//! first changes something, then rings.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::buffer::Buffer;
use super::input::{Answer, Inward, Next, Without};
use super::lifecycle::Lifecycle;
use super::output::{Drained, Message, Queue, Sink};
use crate::channel_event::{ChannelEvent, Ending, Exit, Output, SignalName, WindowSize};
use crate::limits::budget::Finished;
use crate::limits::output_charges::{OutputCharges, Space};

/// Credit below this waits until the connection's side looks by itself: a keystroke's credit travels with its echo.
const CREDIT_WORTH_A_WAKE: usize = 16 << 10;

/// Called when the connection's side has something to do and had nothing before. Must be cheap; any thread may call it.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Why a call that waits should stop waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// The session is over from the connection's side.
    Ended,
    /// A caught signal is there to be taken.
    Caught,
}

/// What a session has of others, such as its place among its user's: given back when its task is over and nothing is
/// left to send.
#[derive(Default)]
struct Kept {
    values: Vec<Box<dyn Send>>,
    /// Whatever is left, nobody will send it, or it is next to nothing.
    released: bool,
}

pub(crate) struct Shared {
    inward: Mutex<Inward>,
    output: Mutex<Queue>,
    /// Bytes that the plugin has taken and that nobody has asked for yet.
    credit: AtomicUsize,
    /// The session's task, if it waits.
    session: Mutex<Option<Waker>>,
    connection: Wake,
    /// Who is charged for its output; none before the session has begun.
    charges: OnceLock<Arc<OutputCharges>>,
    /// What the session has of others until its output is sent.
    kept: Mutex<Kept>,
    /// The session's task is over.
    over: AtomicBool,
    /// Something came from the client or was written since this was asked last.
    stirred: AtomicBool,
}

impl Shared {
    pub(super) fn new(capacity: usize, connection: Wake) -> Self {
        Self {
            inward: Mutex::default(),
            output: Mutex::new(Queue::new(capacity)),
            credit: AtomicUsize::new(0),
            session: Mutex::new(None),
            connection,
            charges: OnceLock::new(),
            kept: Mutex::default(),
            over: AtomicBool::new(false),
            stirred: AtomicBool::new(false),
        }
    }

    // The connection's side.

    pub(super) fn receive(&self, change: impl FnOnce(&mut Inward)) {
        change(&mut lock(&self.inward));
        self.stir();
        self.ring();
    }

    /// Something other than data comes from the client. Who answers it is settled before the session can see it.
    pub(super) fn event(&self, event: ChannelEvent) {
        self.answered_by(|inward| inward.event(event));
        self.stir();
        self.ring();
    }

    /// A request that is refused without asking the plugin, with these words on stderr before the answer if there are
    /// any.
    pub(super) fn refuse(&self, words: Option<&str>) {
        let Some(words) = words else { return self.answered_by(|inward| inward.refuse()) };
        let inward = lock(&self.inward);
        if inward.refuse() != Answer::None {
            let line = line(words, inward.input.size().is_some());
            self.emit(|output| output.refuse(line.as_bytes()));
        }
    }

    fn answered_by(&self, change: impl FnOnce(&mut Inward) -> Answer) {
        let mut inward = lock(&self.inward);
        let said = match change(&mut inward) {
            Answer::None => false,
            Answer::Session => lock(&self.output).ask(),
            Answer::Host(success) => lock(&self.output).answer(success),
        };
        // It may stand before output for which there is no room, so that nobody looks.
        if said {
            (self.connection)();
        }
    }

    pub(super) fn take_credit(&self) -> usize {
        self.credit.swap(0, Ordering::AcqRel)
    }

    pub(super) fn drain(&self, sink: &mut impl Sink) -> Drained {
        let mut output = lock(&self.output);
        let drained = output.drain(sink);
        let ring = output.watched && output.is_at_most_half_full();
        if ring {
            output.watched = false;
        }
        self.settle(output);
        if ring {
            self.ring();
        }
        self.release();
        drained
    }

    /// The connection has let go of the session: nothing more will be sent.
    pub(super) fn let_go(&self) {
        lock(&self.kept).released = true;
        self.release();
    }

    /// Gives back what has left the queue.
    fn settle(&self, mut output: MutexGuard<'_, Queue>) {
        let gone = output.take_uncharged();
        drop(output);
        if let Some(charges) = self.charges.get()
            && gone > 0
        {
            charges.give(gone);
        }
    }

    /// Gives back what the session has of others, if its task is over and nothing is left to send.
    fn release(&self) {
        if !self.over.load(Ordering::Acquire) {
            return;
        }
        let mut kept = lock(&self.kept);
        if !kept.released && !self.is_drained() {
            return;
        }
        let values = std::mem::take(&mut kept.values);
        drop(kept);
        // Whatever happens as they go, nothing is locked.
        drop(values);
    }

    pub(crate) fn is_drained(&self) -> bool {
        lock(&self.output).is_empty()
    }

    /// Wakes the session's task if it waits.
    fn ring(&self) {
        let waker = lock(&self.session).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    // The session's side.

    /// From now on a change wakes the task of `context`. Call it before looking.
    pub(crate) fn listen(&self, context: &Context<'_>) {
        let mut session = lock(&self.session);
        if !session.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *session = Some(context.waker().clone());
        }
    }

    /// The plugin's version has reached its last day: the session is over, and its client is to be told these words.
    pub(crate) fn recall(&self, words: &Arc<str>) {
        self.receive(|inward| inward.recall(words));
    }

    /// Asks the session's life, or changes it where the client hears nothing of that; `transitions.rs` does the rest.
    pub(super) fn life<R>(&self, ask: impl FnOnce(&mut Lifecycle) -> R) -> R {
        ask(&mut lock(&self.inward).life)
    }

    /// Why the session is over from the other side, and since when.
    pub(crate) fn ended(&self) -> Option<(Ending, Instant)> {
        self.life(|life| life.ended())
    }

    /// Waits until the session is over from the connection's side. Only the session's task may wait.
    pub(crate) async fn until_ended(&self) {
        poll_fn(|context| {
            self.listen(context);
            if self.ended().is_some() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Whether a call that waits should stop.
    pub(crate) fn news(&self) -> Option<News> {
        let inward = lock(&self.inward);
        if inward.life.ended().is_some() {
            Some(News::Ended)
        } else {
            inward.input.interrupts().then_some(News::Caught)
        }
    }

    pub(crate) fn has_input(&self) -> bool {
        let inward = lock(&self.inward);
        inward.has_next() || inward.input.has_caught()
    }

    pub(super) fn next(&self, into: &mut Buffer, piece: usize) -> Option<Next> {
        lock(&self.inward).next(into, piece)
    }

    /// The session is gone: what waits for it is freed, and what still arrives is dropped.
    pub(super) fn abandon(&self) {
        lock(&self.inward).abandon();
    }

    /// The newest size that the client has told, delivered or not.
    pub(crate) fn size(&self) -> Option<WindowSize> {
        lock(&self.inward).input.size()
    }

    /// What the plugin that has the session now does not export.
    pub(crate) fn serve_without(&self, without: Without) {
        lock(&self.inward).input.serve_without(without);
    }

    /// Keeps something of others' until the session's task is over and its output was sent, or its connection has let
    /// go of it.
    pub(crate) fn keep(&self, value: Box<dyn Send>) {
        lock(&self.kept).values.push(value);
    }

    /// The session's task is over.
    pub(super) fn end_task(&self) {
        self.over.store(true, Ordering::Release);
        self.release();
    }

    pub(crate) fn catch(&self, names: Vec<SignalName>) {
        lock(&self.inward).input.catch(names);
    }

    pub(crate) fn take_caught(&self) -> Option<SignalName> {
        lock(&self.inward).input.take_caught()
    }

    pub(crate) fn take_answer(&self) -> Option<bool> {
        lock(&self.inward).input.take_answer()
    }

    pub(crate) fn forget_answer(&self) {
        lock(&self.inward).input.forget_answer();
    }

    /// The plugin has taken so many bytes.
    pub(super) fn credit(&self, bytes: usize) {
        let before = self.credit.fetch_add(bytes, Ordering::AcqRel);
        if before < CREDIT_WORTH_A_WAKE && before + bytes >= CREDIT_WORTH_A_WAKE {
            (self.connection)();
        }
    }

    /// Queues a message that is not bytes; false if it was dropped.
    pub(super) fn say(&self, message: Message) -> bool {
        self.emit(|output| output.say(message))
    }

    /// From now on what is pushed is charged like this. Says to whom it really is: the first word counts.
    pub(crate) fn charge_to(&self, charges: Arc<OutputCharges>) -> Arc<OutputCharges> {
        // A session has one user of one tenant; handed over to another plugin it keeps them.
        Arc::clone(self.charges.get_or_init(|| charges))
    }

    /// Queues as many of the bytes as there is room for, in the space that the tenant has for them, and says how many those were. The rest of
    /// the space goes back.
    pub(crate) fn push(&self, to: Output, bytes: &[u8], space: Space<'_>) -> usize {
        self.stir();
        self.emit(|output| {
            let taken = output.push(to, &bytes[..bytes.len().min(space.bytes())]);
            output.charge(taken);
            space.spend(taken);
            taken
        })
    }

    fn stir(&self) {
        // Read first: a flag that many tasks write without need goes from one processor to the other.
        if !self.stirred.load(Ordering::Relaxed) {
            self.stirred.store(true, Ordering::Relaxed);
        }
    }

    /// Whether something came from the client or was written since this was asked last.
    pub(crate) fn has_stirred(&self) -> bool {
        self.stirred.swap(false, Ordering::Relaxed)
    }

    /// Queues all of the bytes, whatever the room.
    pub(crate) fn push_whole(&self, to: Output, bytes: &[u8]) {
        self.emit(|output| output.push_whole(to, bytes));
    }

    fn emit<R>(&self, change: impl FnOnce(&mut Queue) -> R) -> R {
        let mut output = lock(&self.output);
        let (was_empty, had_ended) = (output.is_empty(), output.end().is_some());
        let result = change(&mut output);
        // The last message wakes once more, in case that a wake-up before it has failed.
        let wake = (was_empty && !output.is_empty()) || (!had_ended && output.end().is_some());
        drop(output);
        if wake {
            (self.connection)();
        }
        result
    }

    pub(crate) fn room(&self) -> usize {
        lock(&self.output).room()
    }

    /// Whether there is room for a writer that waits; if not, the session is rung when there is.
    pub(crate) fn has_room_or_watches(&self) -> bool {
        let mut output = lock(&self.output);
        let room = output.is_at_most_half_full();
        output.watched = !room;
        room
    }

    /// Whether the plugin is owed a word that it can write again; if it will be, the session is rung then.
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
        lock(&self.output).end().unwrap_or_else(Instant::now)
    }

    fn discard(&self, words: &str) -> usize {
        let terminal = lock(&self.inward).input.size().is_some();
        let exit = Exit::Signal { name: SignalName::Kill, core_dumped: false, message: words.to_owned() };
        let mut output = lock(&self.output);
        let Some(bytes) = output.cut(line(words, terminal).as_bytes(), exit) else { return 0 };
        self.settle(output);
        // What is left is next to nothing.
        self.let_go();
        (self.connection)();
        bytes
    }
}

/// What no connection will take any more is its user's, its tenant's and the server's again.
impl Drop for Shared {
    fn drop(&mut self) {
        let mut output = lock(&self.output);
        output.discard_bytes();
        self.settle(output);
    }
}

/// A line from the host to the person at the other end.
pub(super) fn line(words: &str, terminal: bool) -> String {
    let end = if terminal { "\r\n" } else { "\n" };
    format!("whelk: {words}{end}")
}

/// A panic elsewhere leaves the queues as they are: every change to them is complete or not made.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
