//! A process: one wasmtime store with one instance of a plugin. A session has one at a time, and could have several: a
//! process borrows nothing of its session, counts its own usage, and says how it ended. Which plugins come before and
//! after it, and what the client is told of its end, is decided in `session`.
//!
//! ```text
//! start --> open --false--> end
//!             | true
//!             v
//!           replay: environment and terminal that an earlier process has accepted
//!             |
//!             v
//! .-------> run: events, one call at a time
//! |           |
//! |           +-- Pause::ProgramRequest: the session chooses who serves it -------------.
//! '-----------|------- this process ----------------------------------------------------+
//!             +-- Pause::HandOver: another plugin is to take over -----------------------+
//!             |                                                                          |
//!             +-- Pause::Ended: finished, hung up or stopped                             | another process
//!             v                                                                          v
//!           close: the last call, unless it was stopped                       close, take_hand_over
//!             |                                                                          |
//!             v                                                                          |
//!            end: its slot and its memory are free <-------------------------------------'
//! ```

mod functions;
mod guest;
mod handler;
mod pause;
mod smoke;
mod store;

use std::sync::Arc;

use crate::channel::SessionHalf;
use crate::error::{Error, Stop};
use crate::host::HandOverState;
use crate::plugin::Presence;
use crate::plugin::health::trial::Trial;
use crate::session_types::{ChannelEvent, Ending};
use crate::tenant::Tenant;
pub(crate) use functions::Functions;
use functions::HandlerFunctions;
pub(crate) use guest::Guest;
use handler::Handler;
pub(crate) use pause::{Pause, ProcessEnd};
pub(crate) use store::ProcessContext;

/// One wasmtime store with one instance of a plugin.
pub(crate) struct Process {
    guest: Guest,
    functions: HandlerFunctions,
    /// Rotates through timers, input and messages, so that none starves.
    next_source: u8,
    tenant: Arc<Tenant>,
    /// Whether this version of the plugin starts well.
    trial: Trial,
    /// It is one of the plugin's live processes.
    _presence: Presence,
}

impl Process {
    /// Makes a process of the plugin that is on trial. No function of the plugin is called yet; its start functions
    /// run.
    pub(crate) async fn start(mut trial: Trial, context: &ProcessContext<'_>) -> Result<Self, Stop> {
        let plugin = Arc::clone(trial.plugin());
        if let Some(reason) = plugin.world().serves_no_sessions() {
            return Err(Stop::Failed(Error::Refused(reason.to_owned())));
        }
        let presence = plugin.register_session(context.pipes, context.tenant);
        context.pipes.set_missing_handlers(plugin.world().missing_handlers());
        match Guest::start(&plugin, context).await {
            Ok((guest, functions)) => {
                let Functions::Handler(functions) = functions else {
                    return Err(Stop::Failed(Error::Refused("it serves no sessions".to_owned())));
                };
                let tenant = Arc::clone(context.tenant);
                Ok(Self { guest, functions, next_source: 0, tenant, trial, _presence: presence })
            }
            Err(stop) => {
                trial.saw(&stop);
                Err(stop)
            }
        }
    }

    /// Asks the plugin whether it takes the session.
    pub(crate) async fn open(&mut self, half: &mut SessionHalf) -> Result<bool, Stop> {
        self.handler(half).open().await
    }

    /// Lets data flow without a program request: the channel is of a type that has none.
    pub(crate) fn begin_without_program(&mut self, half: &SessionHalf) {
        half.shared().begin_without_program();
        self.trial.passed();
    }

    /// Repeats the environment and the terminal that an earlier process accepted.
    pub(crate) async fn replay(&mut self, half: &mut SessionHalf, hand_over: HandOverState) -> Result<(), Stop> {
        self.handler(half).replay(hand_over).await
    }

    /// Handles events, a program request first if there is one, until the session has to decide.
    pub(crate) async fn run(&mut self, half: &mut SessionHalf, request: Option<&ChannelEvent>) -> Pause {
        self.handler(half).run(request).await
    }

    /// The last call: why it ends.
    pub(crate) async fn close(&mut self, half: &mut SessionHalf, why: Ending) -> Result<(), Stop> {
        self.handler(half).closed(why).await
    }

    /// Takes what goes to the next process.
    pub(crate) fn take_hand_over(&mut self) -> HandOverState {
        self.guest.state().channel.take_hand_over()
    }

    /// Whether the client has a terminal.
    pub(crate) fn has_terminal(&mut self) -> bool {
        self.guest.state().channel.has_terminal()
    }

    /// Drops the store. Its slot and its memory are free when this returns, and all its usage is counted.
    pub(crate) async fn end(self) {
        self.guest.reap().await;
    }

    /// A view for calls of the functions that it runs.
    fn handler<'p>(&'p mut self, half: &'p mut SessionHalf) -> Handler<'p> {
        let limits = self.tenant.limits();
        let (guest, trial, next_source) = (&mut self.guest, &mut self.trial, &mut self.next_source);
        Handler { guest, functions: &self.functions, next_source, trial, limits, half }
    }
}
