//! `whelk:ssh/connection-control`: channels and global requests that a connection plugin begins by itself.
//!
//! Registered by hand, unlike the generated interfaces: its functions wait for the client, and a call that waits holds
//! no thread.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use super::log::LogBook;
use super::reserved::is_private_name;
use crate::channel::Shared;
use crate::connection_types::{ClientAnswer, ClientRefusal, ControlRequest, OpenOutcome};
use crate::host::bindings::imports::connection_control::{OpenError, OpenRefusal, RequestError};
use crate::host::bindings::imports::log::Level;

/// The longest payload: with its name it fits the smallest packet that every implementation accepts. RFC 4253 §6.1.
const PAYLOAD: usize = 32_000;

/// What a connection plugin may begin by itself. Set by whoever runs the plugin.
pub(crate) struct Control {
    /// Hands a request to the connection; false if that is over.
    pub(crate) send: Arc<dyn Fn(ControlRequest) -> bool + Send + Sync>,
    /// Whether the tenant has a plugin of this name that serves sessions.
    pub(crate) serves: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    /// How long the client may take for an answer.
    pub(crate) wait: Duration,
}

/// A store whose data may have a connection to control.
pub(super) trait HasControl: Send + 'static {
    fn control(&self) -> Option<&Control>;
    fn pipes(&self) -> &Arc<Shared>;
    fn log(&self) -> &LogBook;
}

type Context<'s, T> = StoreContextMut<'s, T>;
type Waits<'s, R> = Box<dyn Future<Output = wasmtime::Result<(R,)>> + Send + 's>;

/// An answer of the client that is waited for.
struct Awaited<R> {
    answer: oneshot::Receiver<R>,
    pipes: Arc<Shared>,
    most: Duration,
}

/// Why there is no answer.
enum Unanswered {
    /// There was none in time.
    Late,
    /// The connection is over.
    Over,
}

impl<R> Awaited<R> {
    async fn wait(mut self) -> Result<R, Unanswered> {
        tokio::select! {
            biased;
            () = self.pipes.until_ended() => Err(Unanswered::Over),
            answered = timeout(self.most, &mut self.answer) => match answered {
                Ok(answered) => answered.map_err(|_| Unanswered::Over),
                Err(_) => {
                    // The connection now frees what it keeps for the answer.
                    drop(self.answer);
                    self.pipes.wake_connection();
                    Err(Unanswered::Late)
                }
            },
        }
    }
}

pub(super) fn link<T: HasControl>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut control = linker.instance("whelk:ssh/connection-control@0.1.0")?;
    control.func_wrap_async(
        "open-channel",
        |store: Context<'_, T>, (kind, payload, plugin): (String, Vec<u8>, String)| -> Waits<'_, _> {
            let awaited = open_channel(store.data(), kind, payload, plugin);
            Box::new(async move { Ok((opened(awaited).await,)) })
        },
    )?;
    control.func_wrap_async(
        "global-request",
        |store: Context<'_, T>, (name, payload): (String, Vec<u8>)| -> Waits<'_, _> {
            let awaited = global_request(store.data(), name, payload);
            Box::new(async move { Ok((answered(awaited).await,)) })
        },
    )
}

/// Why something is not asked of the client.
enum Unasked {
    Name,
    Payload,
}

/// Whether the plugin may ask for this. A name that it may not use is logged.
fn check(state: &impl HasControl, name: &str, payload: &[u8]) -> Result<(), Unasked> {
    if !is_private_name(name) {
        let reason =
            "is not sent: a plugin may use names with an @ and a domain of its own that mean nothing elsewhere";
        let shown: String = name.chars().take(64).collect();
        state.log().line(Level::Warn, &format!("{shown:?} {reason}"));
        return Err(Unasked::Name);
    }
    if payload.len() > PAYLOAD { Err(Unasked::Payload) } else { Ok(()) }
}

/// Hands a request to the connection. None if that is over, or the plugin is not run for one.
fn send<R>(state: &impl HasControl, request: impl FnOnce(oneshot::Sender<R>) -> ControlRequest) -> Option<Awaited<R>> {
    // Afterwards nothing waits for an answer, so nothing would bound what it asks for.
    let control = state.control().filter(|_| state.pipes().ended().is_none())?;
    let (sender, answer) = oneshot::channel();
    let pipes = Arc::clone(state.pipes());
    (control.send)(request(sender)).then_some(Awaited { answer, pipes, most: control.wait })
}

fn open_channel(
    state: &impl HasControl,
    kind: String,
    payload: Vec<u8>,
    plugin: String,
) -> Result<Awaited<OpenOutcome>, OpenError> {
    check(state, &kind, &payload).map_err(|why| match why {
        Unasked::Name => OpenError::NotPermitted,
        Unasked::Payload => OpenError::TooLarge,
    })?;
    if !state.control().is_some_and(|control| (control.serves)(&plugin)) {
        return Err(OpenError::UnknownPlugin);
    }
    send(state, |answer| ControlRequest::Open { kind, payload, plugin, answer }).ok_or(OpenError::Closed)
}

async fn opened(awaited: Result<Awaited<OpenOutcome>, OpenError>) -> Result<(), OpenError> {
    match awaited?.wait().await {
        Ok(OpenOutcome::Opened) => Ok(()),
        Ok(OpenOutcome::NotPermitted) => Err(OpenError::NotPermitted),
        Ok(OpenOutcome::TooLarge) => Err(OpenError::TooLarge),
        Ok(OpenOutcome::TooMany) => Err(OpenError::TooMany),
        Ok(OpenOutcome::Refused(ClientRefusal { reason, text })) => {
            Err(OpenError::Refused(OpenRefusal { reason, text }))
        }
        Err(Unanswered::Late) => Err(OpenError::NoAnswer),
        Err(Unanswered::Over) => Err(OpenError::Closed),
    }
}

fn global_request(
    state: &impl HasControl,
    name: String,
    payload: Vec<u8>,
) -> Result<Awaited<ClientAnswer>, RequestError> {
    check(state, &name, &payload).map_err(|why| match why {
        Unasked::Name => RequestError::NotPermitted,
        Unasked::Payload => RequestError::TooLarge,
    })?;
    send(state, |answer| ControlRequest::Ask { name, payload, answer }).ok_or(RequestError::Closed)
}

async fn answered(awaited: Result<Awaited<ClientAnswer>, RequestError>) -> Result<Vec<u8>, RequestError> {
    match awaited?.wait().await {
        Ok(ClientAnswer::Success(body)) => Ok(body),
        Ok(ClientAnswer::Failure) => Err(RequestError::Refused),
        Ok(ClientAnswer::TooLarge) => Err(RequestError::TooLarge),
        Ok(ClientAnswer::TooMany) => Err(RequestError::TooMany),
        Err(Unanswered::Late) => Err(RequestError::NoAnswer),
        Err(Unanswered::Over) => Err(RequestError::Closed),
    }
}
