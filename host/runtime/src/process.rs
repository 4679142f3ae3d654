//! A process: one store that runs something, from its making to its end.
//!
//! A session owns one at a time today, and could own several: a process borrows nothing of its session, has its own
//! usage, and says how it ended. It knows neither which plugins come before and after it nor what the client is told of
//! its end: that is the session's.
//!
//! ```text
//! start -> open --false--> ended unheard
//!            | true
//!            v
//!         prepare (what an earlier process had accepted)
//!            |
//!            v
//! .---->    run: what comes, one call at a time
//! |          |
//! |  a start request is served here
//! '----------+---- Pause::Start, Pause::HandOver: another process may take over ---.
//!            |                                                                     |
//!      Pause::Ended: it has finished, is hung up on, or has failed                 |
//!            |                                                                     |
//!            v                                                                     v
//!         close (why) -- the last call, not after a failure ----------------> take_handoff
//!            |                                                                     |
//!            v                                                                     v
//!           end: its room and its memory are free <--------------------------------'
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
    /// Whether this version of the plugin starts is still to be seen.
    trial: Trial,
    /// It is one of the plugin's live processes.
    _presence: Presence,
}

impl Process {
    /// Makes the process of the plugin that is on trial. Nothing of the plugin's is called but what runs before its
    /// first function.
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

    /// Whether it takes the session.
    pub(crate) async fn open(&mut self, side: &mut SessionSide) -> Result<bool, Stop> {
        self.handler(side).open().await
    }

    /// Tells it what the client has prepared and an earlier process has accepted.
    pub(crate) async fn prepare(&mut self, side: &mut SessionSide, handoff: Handoff) -> Result<(), Stop> {
        self.handler(side).prepare(handoff).await
    }

    /// Handles events, a start request first if there is one, until the session has to decide.
    pub(crate) async fn run(&mut self, side: &mut SessionSide, start: Option<&ChannelEvent>) -> Pause {
        self.handler(side).run(start).await
    }

    /// The last call: its part is over, for this reason.
    pub(crate) async fn close(&mut self, side: &mut SessionSide, why: Ending) -> Result<(), Stop> {
        self.handler(side).closed(why).await
    }

    /// What the client has prepared goes to the next process.
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

    /// What it runs, for the calls of one turn.
    fn handler<'p>(&'p mut self, side: &'p mut SessionSide) -> Handler<'p> {
        let limits = self.tenant.limits();
        let (guest, trial, turn) = (&mut self.guest, &mut self.trial, &mut self.turn);
        match &self.functions {
            Functions::Handler(functions) => Handler { guest, functions, turn, trial, limits, side },
        }
    }
}
