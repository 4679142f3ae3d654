//! Runs the instance of a connection plugin, from the first thing that it is asked to its last call.

use std::pin::pin;
use std::sync::Arc;

use tokio::time::timeout;

use super::link::{ConnectionCall, ConnectionHalf, Messages};
use crate::connection_types::{ClientRefusal, ConnectionMessage, OpenVerdict};
use crate::engine::Purpose;
use crate::error::{Error, Limit, Stop};
use crate::host::bindings::exports::connection_handler as wit;
use crate::host::bindings::imports::channel::HandOverError;
use crate::host::bindings::imports::log::Level;
use crate::host::{Control, HandOverCheck, TEXT, printable};
use crate::limits::ticks;
use crate::limits::usage::{ProcessUsage, SessionUsage};
use crate::plugin::health::trial::Trial;
use crate::plugin::lookup::{Lookup, Plugins};
use crate::plugin::{Plugin, Presence};
use crate::process::{Functions, Guest, ProcessContext};
use crate::session_types::Facts;
use crate::supervise::catch_future;
use crate::tenant::Tenant;

/// The longest answer to a global request: it fits the smallest packet that every implementation accepts. RFC 4253
/// §6.1.
const ANSWER: usize = 32_000;
/// SSH_OPEN_CONNECT_FAILED. RFC 4254 §5.1.
const CONNECT_FAILED: u32 = 2;

/// How the instance of a connection plugin went.
#[derive(Debug)]
pub struct ConnectionReport {
    /// The version that ran, or would have.
    pub plugin: Arc<Plugin>,
    /// Why it was given up before its connection ended; none if its version was retired, and in an orderly end.
    pub error: Option<Error>,
}

impl Plugin {
    /// Whether it handles whole connections, and serves no sessions.
    #[must_use]
    pub fn is_connection_plugin(&self) -> bool {
        self.world().handles_connections()
    }

    /// Serves one connection of a tenant, until that ends, the instance fails or the version is retired. It counts as
    /// one of the tenant's sessions. `plugins`: those that may serve its channels. Spawn the future.
    pub async fn connection(
        self: &Arc<Self>,
        facts: &Facts,
        tenant: &Arc<Tenant>,
        plugins: &Arc<dyn Plugins>,
        mut half: ConnectionHalf,
    ) -> ConnectionReport {
        let mut plugin = Arc::clone(self);
        let served = catch_future(Box::pin(serve(&mut plugin, facts, tenant, plugins, &mut half))).await;
        let error = match served {
            Ok(served) => served.err(),
            Err(message) => Some(Error::panicked(&message)),
        };
        if error.as_ref().is_some_and(|error| !is_shortage(error)) {
            half.fail();
        }
        ConnectionReport { plugin, error }
    }
}

/// Serves the connection to its end. `plugin` is the version that was asked for, and then the one that runs.
async fn serve(
    plugin: &mut Arc<Plugin>,
    facts: &Facts,
    tenant: &Arc<Tenant>,
    plugins: &Arc<dyn Plugins>,
    half: &mut ConnectionHalf,
) -> Result<(), Error> {
    let _seat = tenant.acquire_slot()?;
    let mut trial = Trial::begin(plugin, tenant, facts)?;
    *plugin = Arc::clone(trial.plugin());
    plugin.check_grants(tenant)?;
    let mut instance = match ConnectionInstance::start(plugin, facts, tenant, plugins, half).await {
        Ok(instance) => instance,
        Err(stop) => {
            trial.saw(&stop);
            return Err(failure(stop));
        }
    };
    // All that it is asked is what a client has sent.
    trial.told();
    let mut served = instance.serve(half, &mut trial).await;
    if served.is_ok() {
        served = instance.close().await;
    }
    if let Err(stop) = &served {
        trial.saw(stop);
    }
    instance.guest.reap().await;
    served.map_err(failure)
}

/// An instance that is asked.
struct ConnectionInstance {
    guest: Guest,
    functions: wit::Guest,
    tenant: Arc<Tenant>,
    plugins: Arc<dyn Plugins>,
    messages: Messages,
    /// It is one of the plugin's live instances.
    _presence: Presence,
}

impl ConnectionInstance {
    /// Makes the instance.
    async fn start(
        plugin: &Arc<Plugin>,
        facts: &Facts,
        tenant: &Arc<Tenant>,
        plugins: &Arc<dyn Plugins>,
        half: &ConnectionHalf,
    ) -> Result<Self, Stop> {
        let pipes = half.session.shared();
        let presence = plugin.register_session(pipes, tenant);
        let hand_over_check: HandOverCheck = Arc::new(|_| Err(HandOverError::NotPermitted));
        let usage = SessionUsage::new(tenant.limits()).of_tenant(tenant.budget());
        let usage = Arc::new(ProcessUsage::of(&Arc::new(usage)));
        let tenant = &tenant.enter_home(&usage).await.map_err(|error| Stop::Failed(error.into()))?;
        let (hand_over_check, purpose, usage) = (&hand_over_check, Purpose::Session, &usage);
        let (temporary, session_files, process) = (&Arc::default(), &Arc::default(), None);
        let context =
            ProcessContext { tenant, facts, pipes, hand_over_check, purpose, usage, temporary, session_files, process };
        let (mut guest, functions) = Box::pin(Guest::start(plugin, &context)).await?;
        let Functions::Connection(functions) = functions else {
            guest.reap().await;
            return Err(Stop::Failed(Error::Refused("it is no connection plugin".to_owned())));
        };
        let (messages, known) = (half.messages.clone(), Arc::clone(plugins));
        guest.state().control = Some(Box::new(Control {
            send: Arc::new(move |request| messages.send(ConnectionMessage::Control(request))),
            serves: Arc::new(move |name| serves(&known, name)),
            wait: tenant.limits().client_answer,
        }));
        let (tenant, plugins, messages) = (Arc::clone(tenant), Arc::clone(plugins), half.messages.clone());
        Ok(Self { guest, functions, tenant, plugins, messages, _presence: presence })
    }

    /// Asks it one thing after the other, until the connection ends or the version is retired.
    async fn serve(&mut self, half: &mut ConnectionHalf, trial: &mut Trial) -> Result<(), Stop> {
        loop {
            let call = tokio::select! {
                biased;
                () = half.session.until_ended() => return Ok(()),
                call = half.calls.recv() => call,
            };
            let Some(call) = call else { return Ok(()) };
            let message = self.ask(call).await?;
            trial.passed();
            self.messages.send(message);
        }
    }

    /// One call, with the processor time of a call and `connection_call` by the clock.
    async fn ask(&mut self, call: ConnectionCall) -> Result<ConnectionMessage, Stop> {
        let (cpu, most) = (ticks(self.tenant.limits().cpu_call), self.tenant.limits().connection_call);
        match call {
            ConnectionCall::Open { channel, kind, payload } => {
                let result = {
                    let (limits, store) = self.guest.begin_call(cpu);
                    let call = pin!(self.functions.call_channel_open(store, &kind, &payload));
                    timeout(most, limits.run(false, call)).await
                };
                let verdict = self.guest.leave(result.map_err(|_| overdue())?)?;
                let verdict = self.check_verdict(verdict);
                Ok(ConnectionMessage::Decided { channel, kind, payload, verdict })
            }
            ConnectionCall::Request { name, payload } => {
                let result = {
                    let (limits, store) = self.guest.begin_call(cpu);
                    let call = pin!(self.functions.call_global_request(store, &name, &payload));
                    timeout(most, limits.run(false, call)).await
                };
                let answer = self.guest.leave(result.map_err(|_| overdue())?)?;
                Ok(ConnectionMessage::Answered(self.check_answer(&name, answer.ok())))
            }
        }
    }

    /// The last call.
    async fn close(&mut self) -> Result<(), Stop> {
        let (limits, store) = self.guest.begin_call(ticks(self.tenant.limits().cpu_closed));
        let result = limits.run(true, pin!(self.functions.call_closed(store))).await;
        self.guest.leave(result)
    }

    /// A verdict that can be carried out.
    fn check_verdict(&mut self, verdict: wit::OpenVerdict) -> OpenVerdict {
        match verdict {
            wit::OpenVerdict::Accept(name) if serves(&self.plugins, &name) => OpenVerdict::Accept(name),
            wit::OpenVerdict::Accept(name) => {
                let line = format!("the channel is refused: the tenant has no plugin {name:?} that serves sessions");
                self.guest.state().log.line(Level::Warn, &line);
                let text = "the plugin is not available".to_owned();
                OpenVerdict::Refuse(ClientRefusal { reason: CONNECT_FAILED, text })
            }
            wit::OpenVerdict::Refuse(wit::Refusal { reason, text }) => {
                OpenVerdict::Refuse(ClientRefusal { reason, text: printable(&text, TEXT) })
            }
        }
    }

    /// An answer that fits a packet.
    fn check_answer(&mut self, name: &str, answer: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let length = answer.as_ref().map_or(0, Vec::len);
        if length > ANSWER {
            let line = format!("{name:?} is refused: its answer has {length} bytes, and at most {ANSWER} are sent");
            self.guest.state().log.line(Level::Warn, &line);
            return None;
        }
        answer
    }
}

/// Whether a session may be started with the plugin of this name. One that is still being prepared may.
fn serves(plugins: &Arc<dyn Plugins>, name: &str) -> bool {
    match plugins.lookup(name) {
        Lookup::Found(plugin) => plugin.world().serves_sessions(),
        Lookup::Preparing => true,
        Lookup::Retried | Lookup::Unrunnable(_) | Lookup::Absent => false,
    }
}

/// The call took longer than `connection_call`.
fn overdue() -> Stop {
    let detail = "a call took longer than limits.connection_call".to_owned();
    Stop::Failed(Error::Limit { limit: Limit::Time, detail })
}

/// Whether the plugin may serve the connection later: there was no room for its instance.
fn is_shortage(error: &Error) -> bool {
    matches!(error, Error::Full(_) | Error::Limit { limit: Limit::Sessions, .. })
}

/// A call that did not return is a failure, whatever the plugin calls it.
fn failure(stop: Stop) -> Error {
    match stop {
        Stop::Exited(status) => Error::Refused(format!("it has ended itself with status {status}")),
        Stop::Failed(error) => error,
    }
}
