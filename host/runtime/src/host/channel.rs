//! `whelk:ssh/channel`: the plugin's way to its client.
//!
//! Registered by hand where the other interfaces are generated, so that `write` can take its bytes where they lie in the plugin's memory:
//! they are copied once, into the outbox.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Waking, Poll};

use tokio::time::{Instant, sleep_until};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, WasmList};

use super::log::{NAME, printable_exit};
use super::reserved::is_reserved;
use super::state::State;
use crate::channel::{Flow, News, NoWay, Shared};
use crate::channel_event::{Output, SignalName};
use crate::host::bindings::imports::channel::WriteError;
use crate::host::bindings::imports::log::Level;
use crate::host::bindings::imports::types as wit;
use crate::limits::budget::{Budget, Total};
use crate::limits::output_charges::{OutputCharges, Space};

/// Most names of signals that a plugin may catch: four times those of RFC 4254 §6.10.
const CATCHES: usize = 64;
/// Names that are looked at for those: a list may have any number of the same.
const EXAMINED: usize = 16 * CATCHES;
/// The longest payload of a request: with its name it fits the smallest packet that every implementation takes. RFC 4253 §6.1.
const REQUEST_PAYLOAD: usize = 32_000;

type Context<'s> = StoreContextMut<'s, State>;
type Waits<'s, R> = Box<dyn Future<Output = wasmtime::Result<(R,)>> + Send + 's>;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut channel = linker.instance("whelk:ssh/channel@0.1.0")?;
    link_facts(&mut channel)?;
    link_signals(&mut channel)?;
    channel.func_wrap("writable", |store: Context<'_>, ()| Ok((store.data().writable(),)))?;
    channel.func_wrap_async(
        "write",
        |store: Context<'_>, (to, data): (wit::Output, WasmList<u8>)| -> Waits<'_, _> {
            Box::new(async move { Ok((write(store, to.into(), &data).await,)) })
        },
    )?;
    channel.func_wrap("send-eof", |store: Context<'_>, ()| {
        store.data().pipes.send_eof();
        Ok(())
    })?;
    channel.func_wrap("finish", |store: Context<'_>, (how,): (wit::Exit,)| {
        store.data().pipes.finish(printable_exit(how.into()));
        Ok(())
    })?;
    channel.func_wrap_async("request", |store: Context<'_>, (name, payload): (String, Vec<u8>)| -> Waits<'_, _> {
        Box::new(async move { Ok((request(store, name, payload).await,)) })
    })?;
    channel.func_wrap("hand-over", |mut store: Context<'_>, (plugin,): (String,)| {
        Ok((store.data_mut().hand_over(plugin),))
    })
}

fn link_facts(channel: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    channel.func_wrap("get-pty", |store: Context<'_>, ()| Ok((store.data().pty.clone().map(wit::Pty::from),)))?;
    channel.func_wrap("get-env", |store: Context<'_>, ()| Ok((store.data().env.clone(),)))
}

fn link_signals(channel: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    channel.func_wrap("catch-signals", |mut store: Context<'_>, (names,): (Vec<wit::SignalName>,)| {
        store.data_mut().catch(names.into_iter().map(SignalName::from));
        Ok(())
    })?;
    channel.func_wrap("next-signal", |store: Context<'_>, ()| {
        Ok((store.data().pipes.take_caught().map(wit::SignalName::from),))
    })
}

impl State {
    /// Which signals the plugin catches from now on: each once, and only what can be the name of one.
    fn catch(&mut self, names: impl Iterator<Item = SignalName>) {
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
            // There is no memory to remember them in.
            None => distinct = Vec::new(),
        }
        distinct.shrink_to_fit();
        self.pipes.catch(distinct);
    }

    fn writable(&self) -> u32 {
        u32::try_from(self.pipes.room_for_output(self.limits().held_output)).unwrap_or(u32::MAX)
    }
}

impl From<NoWay> for WriteError {
    fn from(why: NoWay) -> Self {
        match why {
            NoWay::EofSent => Self::EofSent,
            NoWay::Over => Self::Closed,
        }
    }
}

async fn write(store: Context<'_>, to: Output, data: &WasmList<u8>) -> Result<(), WriteError> {
    let flow = store.data().pipes.open_output()?;
    let (pipes, charges) = (Arc::clone(&store.data().pipes), Arc::clone(&store.data().output));
    if flow == Flow::Held {
        let most = store.data().limits().held_output;
        if data.len() > pipes.room_for_output(most) {
            return Err(WriteError::Closed);
        }
        pipes.hold(to, data.as_le_slice(&store).to_vec());
        return Ok(());
    }
    let mut sent = 0;
    while sent < data.len() {
        let room = pipes.room().min(data.len() - sent);
        if room == 0 {
            wait(&pipes, |pipes, _| pipes.has_room_or_watches().then_some(())).await?;
            continue;
        }
        let space = match free_space(store.data(), &charges, room) {
            Ok(space) => space,
            Err(total) => {
                store.data().log.over(total);
                wait_for_space(&pipes, store.data().budget(), &charges, room).await?
            }
        };
        let taken = pipes.push(to, &data.as_le_slice(&store)[sent..], space);
        store.data().budget().output_rate.take(u64::try_from(taken).unwrap_or(u64::MAX));
        sent += taken;
        charges.relieve();
    }
    Ok(())
}

/// Space for output, if there is some and the tenant may send more now; the error is what there is no more of.
fn free_space<'c>(state: &State, charges: &'c OutputCharges, bytes: usize) -> Result<Space<'c>, Total> {
    let rate = &state.budget().output_rate;
    if rate.looks_empty() && rate.empty_until(Instant::now()).is_some() {
        return Err(Total::OutputRate);
    }
    charges.space(bytes)
}

/// Waits until the tenant may send more and there is space for it. Boxed, so that a write that need not wait is small.
async fn wait_for_space<'c>(
    pipes: &Shared,
    budget: &Budget,
    charges: &'c OutputCharges,
    bytes: usize,
) -> Result<Space<'c>, WriteError> {
    let mut space: Pin<Box<dyn Future<Output = Space<'c>> + Send + '_>> = Box::pin(async move {
        while let Some(moment) = budget.output_rate.empty_until(Instant::now()) {
            sleep_until(moment).await;
        }
        charges.wait(bytes).await
    });
    wait(pipes, |_, waking| match space.as_mut().poll(waking) {
        Poll::Ready(space) => Some(space),
        Poll::Pending => None,
    })
    .await
}

/// Waits until `ready` says so. The session's end and caught signals come first.
async fn wait<R>(
    pipes: &Shared,
    mut ready: impl FnMut(&Shared, &mut Waking<'_>) -> Option<R>,
) -> Result<R, WriteError> {
    poll_fn(|waking| {
        pipes.listen(waking);
        match (pipes.news(), ready(pipes, waking)) {
            (Some(News::Ended), _) => Poll::Ready(Err(WriteError::Closed)),
            (_, Some(result)) => Poll::Ready(Ok(result)),
            (Some(News::Caught), None) => Poll::Ready(Err(WriteError::Interrupted)),
            (None, None) => Poll::Pending,
        }
    })
    .await
}

/// Asks the client and waits for its answer. Like output it accepts a start request, and there is no way for it before one: a client that
/// still waits for its own answer would not give one.
async fn request(store: Context<'_>, name: String, payload: Vec<u8>) -> Result<bool, WriteError> {
    let state = store.data();
    let pipes = Arc::clone(&state.pipes);
    if pipes.is_closed() {
        return Err(WriteError::Closed);
    }
    if is_reserved(&name) {
        let words =
            "is not sent: requests of this name are the host's or the client's (`finish` says how a session ends)";
        state.log.line(Level::Warn, &format!("request {name:?} {words}"));
        return Ok(false);
    }
    if pipes.open_request()? == Flow::Held {
        return Err(WriteError::Closed);
    }
    let legal = (1..=NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    // What cannot be sent is a request that nobody grants.
    if !legal || payload.len() > REQUEST_PAYLOAD || !pipes.ask_client(name, payload) {
        return Ok(false);
    }
    let answer = wait(&pipes, |pipes, _| pipes.take_answer()).await;
    if answer.is_err() {
        pipes.forget_answer();
    }
    answer
}
