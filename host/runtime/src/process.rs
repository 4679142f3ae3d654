//! A process: one store that runs something, from its making to its end.
//!
//! A session owns one process at a time today and could own several: a process borrows nothing of its session, counts
//! its own usage, and says how it ended. Which plugins come before and after it, and what the client is told of its
//! end, is decided in `session`.
//!
//! ```text
//! start --> open --false--> end
//!             | true
//!             v
//!           prepare: environment and terminal that an earlier process has accepted
//!             |
//!             v
//! .-------> run: events, one call at a time
//! |           |
//! |           +-- Pause::Start: a start request. The session chooses who serves it. --.
//! '-----------|------- this process ---------------------------------------------------+
//!             +-- Pause::HandOver: another plugin is to take over ----------------------+
//!             |                                                                         |
//!             +-- Pause::Ended: finished, hung up or stopped                            | another process
//!             v                                                                         v
//!           close: the last call, unless it was stopped                      close, take_handoff
//!             |                                                                         |
//!             v                                                                         |
//!            end: its slot and its memory are free <------------------------------------'
//! ```

mod functions;
mod guest;
mod handler;
mod pause;
mod smoke;
mod store;

use std::sync::Arc;

use crate::channel::SessionSide;
use crate::channel_event::{ChannelEvent, Ending};
use crate::error::Stop;
use crate::host::Handoff;
use crate::plugin::Presence;
use crate::plugin::health::trial::Trial;
use crate::tenant::Tenant;
use functions::Functions;
use guest::Guest;
use handler::Handler;
pub(crate) use pause::{Pause, ProcessEnd};
pub(crate) use store::ProcessContext;

/// One store that runs something.
pub(crate) struct Process {
    guest: Guest,
    functions: Functions,
    /// Whose turn it is when several have something: timers, the client, messages.
    turn: u8,
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
        let presence = plugin.register_session(context.pipes);
        context.pipes.set_missing_handlers(plugin.world().missing_handlers());
        match Guest::start(&plugin, context).await {
            Ok((guest, functions)) => {
                let tenant = Arc::clone(context.tenant);
                Ok(Self { guest, functions, turn: 0, tenant, trial, _presence: presence })
            }
            Err(stop) => {
                trial.saw(&stop);
                Err(stop)
            }
        }
    }

    /// Asks the plugin whether it takes the session.
    pub(crate) async fn open(&mut self, side: &mut SessionSide) -> Result<bool, Stop> {
        self.handler(side).open().await
    }

    /// Passes on what an earlier process has accepted.
    pub(crate) async fn prepare(&mut self, side: &mut SessionSide, handoff: Handoff) -> Result<(), Stop> {
        self.handler(side).prepare(handoff).await
    }

    /// Handles events, a start request first if there is one, until the session has to decide.
    pub(crate) async fn run(&mut self, side: &mut SessionSide, start: Option<&ChannelEvent>) -> Pause {
        self.handler(side).run(start).await
    }

    /// The last call: why it ends.
    pub(crate) async fn close(&mut self, side: &mut SessionSide, why: Ending) -> Result<(), Stop> {
        self.handler(side).closed(why).await
    }

    /// Takes what the client has prepared, for the next process.
    pub(crate) fn take_handoff(&mut self) -> Handoff {
        self.guest.state().channel.take_handoff()
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
    fn handler<'p>(&'p mut self, side: &'p mut SessionSide) -> Handler<'p> {
        let limits = self.tenant.limits();
        let (guest, trial, turn) = (&mut self.guest, &mut self.trial, &mut self.turn);
        match &self.functions {
            Functions::Handler(functions) => Handler { guest, functions, turn, trial, limits, side },
        }
    }
}
