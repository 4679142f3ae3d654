//! `whelk:ssh/channel`: the plugin's channel to its client.
//!
//! Registered by hand, unlike the generated interfaces, so that `write` can read its bytes in the plugin's memory: they
//! are copied once, into the outbox.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context as Waking, Poll};

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, WasmList};

use super::charges::Charges;
use super::log::{NAME, printable_exit};
use super::reserved::is_reserved;
use crate::channel::{Flow, Interrupt, OutputClosed, Shared};
use crate::host::bindings::imports::channel::{HandOverError, WriteError};
use crate::host::bindings::imports::log::Level;
use crate::host::bindings::imports::types as wit;
use crate::limits::Limits;
use crate::limits::budget::{Budget, Charge, Total};
use crate::limits::output_charges::{OutputCharges, Space};
use crate::posix::process::ProcessEntry;
use crate::posix::signal::Signal;
use crate::session_types::{Exit, Facts, Output, Pty, SignalName, WindowSize};

/// The variable with the command that the client sent.
pub(crate) const ORIGINAL_COMMAND: &str = "SSH_ORIGINAL_COMMAND";

/// The variables that say what the host knows of a connection, where it knows it. No client and no key sets them.
pub const HOST_VARIABLES: [&str; 4] = [ORIGINAL_COMMAND, "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY"];
/// Most bytes of one write to a descriptor.
const PIECE: usize = 64 << 10;
/// The most signals that a plugin may catch: four times those of RFC 4254 §6.10.
const CATCHES: usize = 64;
/// The most names that are read for that: a list may repeat names.
const EXAMINED: usize = 16 * CATCHES;
/// The longest payload of a request: with its name it fits the smallest packet that every implementation accepts.
/// RFC 4253 §6.1.
const REQUEST_PAYLOAD: usize = 32_000;

/// Whether the plugin of this name may take the session over. Set by the session, which knows the plugins.
pub(crate) type HandOverCheck = Arc<dyn Fn(&str) -> Result<(), HandOverError> + Send + Sync>;

/// What is carried from one process to the next in a hand-over: the environment and the terminal that were accepted.
#[derive(Clone, Default)]
pub(crate) struct HandOverState {
    pub(crate) env: Vec<(String, Vec<u8>)>,
    pub(crate) pty: Option<Pty>,
}

impl HandOverState {
    /// Adds a variable; an earlier one of the same name is replaced.
    pub(crate) fn keep(&mut self, name: String, value: Vec<u8>) {
        self.env.retain(|(before, _)| *before != name);
        self.env.push((name, value));
    }
}

/// What a process has of its client.
pub(crate) struct Channel {
    pub(super) pipes: Arc<Shared>,
    pub(super) charges: Charges,
    hand_over: HandOverState,
    hand_over_check: HandOverCheck,
    /// Who is charged for what is written.
    pub(super) output: Arc<OutputCharges>,
    /// For the names of the signals that it catches.
    caught: Option<Charge>,
    /// What a program is in the process table: its signals are there.
    process: Option<Arc<ProcessEntry>>,
    /// The exit for which a process that is not the first has called `finish`.
    finished: Option<Arc<OnceLock<Exit>>>,
}

/// A store whose data has a channel.
pub(super) trait HasChannel: Send + 'static {
    fn channel(&self) -> &Channel;
    fn channel_mut(&mut self) -> &mut Channel;
    /// Writes some of the bytes to a descriptor of a program that runs, and returns how many.
    fn write_descriptor(&self, number: u32, bytes: Bytes) -> DescriptorWrite;
}

/// A write to a descriptor.
pub(super) type DescriptorWrite = Pin<Box<dyn Future<Output = Result<usize, WriteError>> + Send>>;

type Context<'s, T> = StoreContextMut<'s, T>;
type Waits<'s, R> = Box<dyn Future<Output = wasmtime::Result<(R,)>> + Send + 's>;

pub(super) fn link<T: HasChannel>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut channel = linker.instance("whelk:ssh/channel@0.1.0")?;
    link_facts(&mut channel)?;
    link_signals(&mut channel)?;
    channel.func_wrap("writable", |store: Context<'_, T>, ()| Ok((store.data().channel().writable(),)))?;
    channel.func_wrap_async(
        "write",
        |store: Context<'_, T>, (to, data): (wit::Output, WasmList<u8>)| -> Waits<'_, _> {
            let to = to.into();
            match write_at_once(&store, to, &data) {
                Ok(written) => Box::new(std::future::ready(Ok((written,)))),
                Err(sent) => Box::new(async move { Ok((write(store, to, &data, sent).await,)) }),
            }
        },
    )?;
    channel.func_wrap("send-eof", |store: Context<'_, T>, ()| {
        let channel = store.data().channel();
        if !channel.is_of_child() {
            channel.pipes.send_eof();
        }
        Ok(())
    })?;
    channel.func_wrap("finish", |store: Context<'_, T>, (how,): (wit::Exit,)| {
        store.data().channel().finish(printable_exit(how.into()));
        Ok(())
    })?;
    channel.func_wrap_async(
        "request",
        |store: Context<'_, T>, (name, payload): (String, Vec<u8>)| -> Waits<'_, _> {
            Box::new(async move { Ok((request(store, name, payload).await,)) })
        },
    )?;
    channel.func_wrap("hand-over", |store: Context<'_, T>, (plugin,): (String,)| {
        Ok((store.data().channel().hand_over(plugin),))
    })
}

fn link_facts<T: HasChannel>(channel: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    channel.func_wrap("get-pty", |store: Context<'_, T>, ()| {
        Ok((store.data().channel().hand_over.pty.clone().map(wit::Pty::from),))
    })?;
    channel.func_wrap("get-env", |store: Context<'_, T>, ()| Ok((store.data().channel().hand_over.env.clone(),)))
}

fn link_signals<T: HasChannel>(channel: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    channel.func_wrap("catch-signals", |mut store: Context<'_, T>, (names,): (Vec<wit::SignalName>,)| {
        store.data_mut().channel_mut().catch(names.into_iter().map(|name| known(&name.into())));
        Ok(())
    })?;
    channel.func_wrap("next-signal", |store: Context<'_, T>, ()| {
        Ok((store.data().channel().next_signal().map(wit::SignalName::from),))
    })
}

/// The same name, as it arrives from clients: `other("INT")` is `int`.
fn known(name: &SignalName) -> SignalName {
    SignalName::from_wire(name.as_str())
}

impl Channel {
    /// Creates the channel of a process; `facts` are those of its session.
    pub(crate) fn new(
        pipes: &Arc<Shared>,
        facts: &Facts,
        hand_over_check: &HandOverCheck,
        charges: &Charges,
        process: Option<Arc<ProcessEntry>>,
    ) -> Self {
        let (budget, totals) = (charges.tenant().budget(), charges.totals());
        let output = OutputCharges::new(facts.account(), budget, totals);
        Self {
            pipes: Arc::clone(pipes),
            charges: charges.clone(),
            hand_over: HandOverState::default(),
            hand_over_check: Arc::clone(hand_over_check),
            output: pipes.charge_to(Arc::new(output)),
            caught: None,
            finished: process.as_ref().filter(|process| !process.is_first()).map(|_| Arc::default()),
            process,
        }
    }

    /// The accepted variables.
    pub(crate) fn env(&self) -> &[(String, Vec<u8>)] {
        &self.hand_over.env
    }

    /// The accepted terminal.
    pub(crate) fn pty(&self) -> Option<&Pty> {
        self.hand_over.pty.as_ref()
    }

    /// The process has accepted a variable; an earlier one of the same name is replaced.
    pub(crate) fn keep_env(&mut self, name: String, value: Vec<u8>) {
        self.hand_over.keep(name, value);
    }

    /// The process has accepted a terminal, or an earlier one had.
    pub(crate) fn keep_pty(&mut self, pty: Pty) {
        self.hand_over.pty = Some(pty);
    }

    /// The newest size of the client's window; none without a terminal.
    pub(super) fn window_size(&self) -> Option<WindowSize> {
        let pty = self.hand_over.pty.as_ref()?;
        Some(self.pipes.size().unwrap_or(pty.size))
    }

    pub(crate) fn has_terminal(&self) -> bool {
        self.hand_over.pty.is_some()
    }

    /// Takes what goes to the next process.
    pub(crate) fn take_hand_over(&mut self) -> HandOverState {
        std::mem::take(&mut self.hand_over)
    }

    /// Sets the signals that the plugin catches from now on: each once, and only valid names; of a program, only names
    /// that Unix has.
    fn catch(&mut self, names: impl Iterator<Item = SignalName>) {
        if let Some(process) = &self.process {
            let signals = names.take(EXAMINED).filter_map(|name| Signal::from_name(name.as_str()));
            return process.catch_only(signals.collect());
        }
        let mut distinct: Vec<SignalName> = Vec::new();
        for name in names.take(EXAMINED) {
            if name.is_legal() && !distinct.contains(&name) {
                distinct.push(name);
            }
            if distinct.len() == CATCHES {
                break;
            }
        }
        self.caught = None;
        let bytes = distinct.iter().map(|name| size_of::<SignalName>() + name.as_str().len()).sum();
        match self.charges.memory(bytes) {
            Some(charge) => self.caught = Some(charge),
            // The tenant has no memory left to keep them in.
            None => distinct = Vec::new(),
        }
        distinct.shrink_to_fit();
        self.pipes.catch(distinct);
    }

    /// Takes the oldest caught signal.
    fn next_signal(&self) -> Option<SignalName> {
        match &self.process {
            Some(process) => process.next_signal().map(|signal| SignalName::from_wire(signal.name())),
            None => self.pipes.take_caught(),
        }
    }

    /// Whether an import that waits must return, and why.
    fn interrupt(&self) -> Option<Interrupt> {
        let is_caught = || self.process.as_ref().is_some_and(|process| process.is_interrupted());
        self.pipes.interrupt().or_else(|| is_caught().then_some(Interrupt::Caught))
    }

    fn limits(&self) -> &Limits {
        self.charges.tenant().limits()
    }

    /// Whether it is that of a process that another one has started: the session's channel is not its own.
    fn is_of_child(&self) -> bool {
        self.finished.is_some()
    }

    /// The process wants to end like this when its call returns: the first process the session, another one itself.
    fn finish(&self, how: Exit) {
        match &self.finished {
            // The first decision counts.
            Some(finished) => _ = finished.set(how),
            None => self.pipes.request_exit(how),
        }
    }

    /// How a process that is not the first wants to end, once it has called `finish`.
    pub(crate) fn finished(&self) -> Option<&Arc<OnceLock<Exit>>> {
        self.finished.as_ref()
    }

    fn writable(&self) -> u32 {
        if self.is_of_child() {
            // Its output goes to descriptors, whose room it asks for itself.
            return 0;
        }
        u32::try_from(self.pipes.room_for_output(self.limits().held_output)).unwrap_or(u32::MAX)
    }

    /// The process wants another plugin to take over when its call returns.
    fn hand_over(&self, plugin: String) -> Result<(), HandOverError> {
        if self.is_of_child() || !self.pipes.may_hand_over(self.limits().hand_overs) {
            return Err(HandOverError::NotPermitted);
        }
        (self.hand_over_check)(&plugin)?;
        self.pipes.request_hand_over(plugin);
        Ok(())
    }

    /// Whether the process may have one more variable of the client's: there is room, and the host does not set it.
    pub(crate) fn admits_env(&self, name: &str, value: &[u8]) -> bool {
        if HOST_VARIABLES.contains(&name) {
            return false;
        }
        let used: usize = self.hand_over.env.iter().map(|(name, value)| name.len() + value.len()).sum();
        used + name.len() + value.len() <= self.limits().environment_bytes
    }
}

impl From<OutputClosed> for WriteError {
    fn from(why: OutputClosed) -> Self {
        match why {
            OutputClosed::EofSent => Self::EofSent,
            OutputClosed::SessionOver => Self::Closed,
        }
    }
}

/// Writes without waiting. The error is how many bytes were written before it has to wait. Most writes end here: the
/// future of one that waits takes so much of the fiber's stack that each session would touch a page more.
#[inline(never)]
fn write_at_once<T: HasChannel>(
    store: &Context<'_, T>,
    to: Output,
    data: &WasmList<u8>,
) -> Result<Result<(), WriteError>, usize> {
    let channel = store.data().channel();
    if channel.is_of_child() {
        return Err(0);
    }
    let (pipes, charges) = (&channel.pipes, &channel.output);
    match pipes.open_output() {
        Err(why) => return Ok(Err(why.into())),
        Ok(Flow::Held) if data.len() > pipes.room_for_output(channel.limits().held_output) => {
            return Ok(Err(WriteError::Closed));
        }
        Ok(Flow::Held) => {
            pipes.hold(to, data.as_le_slice(store).to_vec());
            return Ok(Ok(()));
        }
        Ok(Flow::Open) => {}
    }
    let budget = channel.charges.tenant().budget();
    let mut sent = 0;
    while sent < data.len() {
        let room = pipes.room().min(data.len() - sent);
        if room == 0 {
            return Err(sent);
        }
        let Ok(space) = free_space(budget, charges, room) else { return Err(sent) };
        sent += push(channel, to, &data.as_le_slice(store)[sent..], space);
    }
    Ok(Ok(()))
}

/// Queues as many of the bytes as there is room for. Returns how many.
fn push(channel: &Channel, to: Output, bytes: &[u8], space: Space<'_>) -> usize {
    let taken = channel.pipes.push(to, bytes, space);
    channel.charges.tenant().budget().output_rate.take(u64::try_from(taken).unwrap_or(u64::MAX));
    channel.output.relieve();
    taken
}

/// Writes what is left behind the first `sent` bytes.
async fn write<T: HasChannel>(
    store: Context<'_, T>,
    to: Output,
    data: &WasmList<u8>,
    mut sent: usize,
) -> Result<(), WriteError> {
    let channel = store.data().channel();
    if channel.is_of_child() {
        return write_descriptor(store, to, data).await;
    }
    let (pipes, budget) = (&channel.pipes, channel.charges.tenant().budget());
    while sent < data.len() {
        let room = pipes.room().min(data.len() - sent);
        if room == 0 {
            // A signal that drops the output makes room, and still interrupts the write.
            wait(channel, |_| (channel.interrupt().is_none() && pipes.has_room_or_watches()).then_some(())).await?;
            continue;
        }
        let space = match free_space(budget, &channel.output, room) {
            Ok(space) => space,
            Err(total) => {
                channel.charges.log().log_exhausted(total);
                wait_for_space(channel, room).await?
            }
        };
        sent += push(channel, to, &data.as_le_slice(&store)[sent..], space);
    }
    Ok(())
}

/// In a process that another one has started, output goes to its descriptor 1 or 2.
async fn write_descriptor<T: HasChannel>(
    store: Context<'_, T>,
    to: Output,
    data: &WasmList<u8>,
) -> Result<(), WriteError> {
    let number = match to {
        Output::Stdout => 1,
        Output::Stderr => 2,
        Output::Extended(_) => return Err(WriteError::Closed),
    };
    let mut sent = 0;
    while sent < data.len() {
        let bytes = data.as_le_slice(&store);
        let piece = Bytes::copy_from_slice(&bytes[sent..bytes.len().min(sent + PIECE)]);
        let write = store.data().write_descriptor(number, piece);
        sent += write.await?;
    }
    Ok(())
}

/// Room for output, if there is some and the tenant may send now; the error says what is exhausted.
pub(super) fn free_space<'c>(budget: &Budget, charges: &'c OutputCharges, bytes: usize) -> Result<Space<'c>, Total> {
    let rate = &budget.output_rate;
    if rate.looks_empty() && rate.empty_until(Instant::now()).is_some() {
        return Err(Total::OutputRate);
    }
    charges.space(bytes)
}

/// Waits until the tenant may send and there is room.
pub(super) async fn space<'c>(budget: &Budget, charges: &'c OutputCharges, bytes: usize) -> Space<'c> {
    while let Some(moment) = budget.output_rate.empty_until(Instant::now()) {
        sleep_until(moment).await;
    }
    charges.wait(bytes).await
}

/// The same, unless the session ends or a caught signal comes first. Boxed, so that a write that need not wait is
/// small.
async fn wait_for_space(channel: &Channel, bytes: usize) -> Result<Space<'_>, WriteError> {
    let budget = channel.charges.tenant().budget();
    let mut space: Pin<Box<dyn Future<Output = Space<'_>> + Send + '_>> =
        Box::pin(space(budget, &channel.output, bytes));
    wait(channel, |waking| match space.as_mut().poll(waking) {
        Poll::Ready(space) => Some(space),
        Poll::Pending => None,
    })
    .await
}

/// Waits for `ready`. The termination of the session and caught signals take precedence.
async fn wait<R>(channel: &Channel, mut ready: impl FnMut(&mut Waking<'_>) -> Option<R>) -> Result<R, WriteError> {
    poll_fn(|waking| {
        channel.pipes.register_waker(waking);
        match (channel.interrupt(), ready(waking)) {
            (Some(Interrupt::Ended), _) => Poll::Ready(Err(WriteError::Closed)),
            (_, Some(result)) => Poll::Ready(Ok(result)),
            (Some(Interrupt::Caught), None) => Poll::Ready(Err(WriteError::Interrupted)),
            (None, None) => Poll::Pending,
        }
    })
    .await
}

/// Sends a request to the client and waits for the reply. Like output it accepts a program request, and it fails before
/// one: a client that waits for its own reply would not answer.
async fn request<T: HasChannel>(store: Context<'_, T>, name: String, payload: Vec<u8>) -> Result<bool, WriteError> {
    let channel = store.data().channel();
    let pipes = &channel.pipes;
    if pipes.is_closed() || channel.is_of_child() {
        return Err(WriteError::Closed);
    }
    if is_reserved(&name) {
        let reason =
            "is not sent: requests of this name are the host's or the client's (`finish` says how a session ends)";
        channel.charges.log().line(Level::Warn, &format!("request {name:?} {reason}"));
        return Ok(false);
    }
    if pipes.open_request()? == Flow::Held {
        return Err(WriteError::Closed);
    }
    let legal = (1..=NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    // A request that cannot be sent is answered as one that the client refuses.
    if !legal || payload.len() > REQUEST_PAYLOAD || !pipes.queue_client_request(name, payload) {
        return Ok(false);
    }
    let answer = wait(channel, |_| pipes.take_answer()).await;
    if answer.is_err() {
        pipes.forget_answer();
    }
    answer
}
