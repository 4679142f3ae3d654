//! Signals, groups, the foreground, limits and usage.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use wasmtime::StoreContextMut;
use wasmtime::component::LinkerInstance;
use wasmtime_wasi::p2::Pollable;

use super::bindings::wit;
use super::children::{milliseconds, pollable};
use crate::host::State;
use crate::posix::Errno;
use crate::posix::process::{Disposition, ProcessEntry};
use crate::posix::signal::Signal;
use crate::posix::table::SignalTarget;

type Context<'s> = StoreContextMut<'s, State>;
type Waits<'s, R> = Box<dyn Future<Output = wasmtime::Result<(R,)>> + Send + 's>;

pub(super) fn link(process: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    link_signals(process)?;
    link_groups(process)?;
    process.func_wrap("get-limits", |store: Context<'_>, ()| {
        let limits = store.data().spawning.as_ref().map(|spawning| spawning.limits);
        Ok((wit::Limits::from(limits.unwrap_or_default()),))
    })?;
    process.func_wrap("get-usage", |store: Context<'_>, ()| {
        let state = store.data();
        let children = state.process.as_ref().map(|process| process.children_time()).unwrap_or_default();
        Ok((wit::Usage {
            cpu_ms: u32::try_from(state.charges.usage().ticks()).unwrap_or(u32::MAX),
            children_cpu_ms: milliseconds(children),
            memory_kib: u32::try_from(state.memory.now() >> 10).unwrap_or(u32::MAX),
        },))
    })
}

fn link_signals(process: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    process.func_wrap_async(
        "kill",
        |store: Context<'_>, (to, signal): (wit::Target, Option<String>)| -> Waits<'_, _> {
            Box::new(async move {
                let sent = kill(&store, to, signal.as_deref()).map_err(wit::Errno::from);
                // What a process sends to itself has arrived when the call returns.
                if let Ok(process) = entry(&store) {
                    process.pass().await;
                }
                Ok((sent,))
            })
        },
    )?;
    process.func_wrap("get-disposition", |store: Context<'_>, (signal,): (String,)| {
        let found = entry(&store).and_then(|process| Ok(process.disposition(named(&signal)?)));
        Ok((found.map(wit::Disposition::from).map_err(wit::Errno::from),))
    })?;
    process.func_wrap("set-disposition", |store: Context<'_>, (signal, how): (String, wit::Disposition)| {
        let set = entry(&store).and_then(|process| process.set_disposition(named(&signal)?, how.into()));
        Ok((set.map(wit::Disposition::from).map_err(wit::Errno::from),))
    })?;
    process.func_wrap("next-signal", |store: Context<'_>, ()| {
        let signal = entry(&store).ok().and_then(|process| process.next_signal());
        Ok((signal.map(|signal| signal.name().to_owned()),))
    })?;
    process.func_wrap("subscribe-signals", |mut store: Context<'_>, ()| {
        let process = entry(&store).ok();
        Ok((pollable(&mut store, SignalReady(process))?,))
    })
}

fn link_groups(process: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    process.func_wrap("get-identity", |store: Context<'_>, ()| {
        let identity = entry(&store).map(|process| process.identity());
        // What is no program has no number.
        let none = wit::Identity { id: 0, parent: 0, group: 0, foreground: None };
        Ok((identity.map_or(none, |identity| wit::Identity {
            id: identity.id,
            parent: identity.parent,
            group: identity.group,
            foreground: identity.foreground,
        }),))
    })?;
    process.func_wrap("set-group", |store: Context<'_>, (process, group): (u32, wit::GroupChoice)| {
        let set = entry(&store).and_then(|caller| caller.set_group(process, group.into()));
        Ok((set.map_err(wit::Errno::from),))
    })?;
    process.func_wrap_async("set-foreground", |store: Context<'_>, (group,): (u32,)| -> Waits<'_, _> {
        Box::new(async move {
            let set = match entry(&store) {
                Ok(process) => set_foreground(&process, group).await,
                Err(errno) => Err(errno),
            };
            Ok((set.map_err(wit::Errno::from),))
        })
    })
}

/// The process that runs here.
fn entry(store: &Context<'_>) -> Result<Arc<ProcessEntry>, Errno> {
    store.data().process.clone().ok_or(Errno::NotSupported)
}

fn named(signal: &str) -> Result<Signal, Errno> {
    Signal::from_name(signal).ok_or(Errno::Invalid)
}

/// kill(2).
fn kill(store: &Context<'_>, to: wit::Target, signal: Option<&str>) -> Result<(), Errno> {
    let process = entry(store)?;
    let signal = signal.map(named).transpose()?;
    let to = match to {
        wit::Target::Process(id) => SignalTarget::Process(id),
        wit::Target::Group(group) => SignalTarget::Group(group),
    };
    process.kill(to, signal)
}

/// tcsetpgrp(3).
async fn set_foreground(process: &ProcessEntry, group: u32) -> Result<(), Errno> {
    if process.identity().foreground.is_none() {
        return Err(Errno::NoTerminal);
    }
    process.may_change_terminal().await?;
    process.set_foreground(group)
}

/// Ready when a caught signal waits.
struct SignalReady(Option<Arc<ProcessEntry>>);

#[wasmtime_wasi::async_trait]
impl Pollable for SignalReady {
    async fn ready(&mut self) {
        poll_fn(|context| {
            let Some(process) = &self.0 else { return Poll::Pending };
            process.register_waker(context);
            if process.is_interrupted() && !process.must_wait() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl From<Disposition> for wit::Disposition {
    fn from(how: Disposition) -> Self {
        match how {
            Disposition::Default => Self::Default,
            Disposition::Ignore => Self::Ignore,
            Disposition::Catch => Self::Catch,
        }
    }
}

impl From<wit::Disposition> for Disposition {
    fn from(how: wit::Disposition) -> Self {
        match how {
            wit::Disposition::Default => Self::Default,
            wit::Disposition::Ignore => Self::Ignore,
            wit::Disposition::Catch => Self::Catch,
        }
    }
}
