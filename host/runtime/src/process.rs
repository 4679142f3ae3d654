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

mod arguments;
mod compile_wait;
mod environment;
mod executable;
mod functions;
mod guest;
mod handler;
mod pause;
mod program;
mod smoke;
mod spawn;
mod store;

use std::sync::Arc;

use crate::channel::SessionHalf;
use crate::error::{Error, Stop};
use crate::host::HandOverState;
use crate::host::bindings::run;
use crate::plugin::Presence;
use crate::plugin::health::trial::Trial;
use crate::session_types::Ending;
use crate::tenant::Tenant;
pub(crate) use functions::Functions;
use functions::HandlerFunctions;
pub(crate) use guest::Guest;
use handler::Handler;
pub(crate) use pause::{Pause, ProcessEnd, Selection, StartRequest};
use program::Program;
pub(crate) use spawn::SharedSpawner;
pub(crate) use spawn::made::SessionSpawner;
pub(crate) use store::{ProcessContext, ProgramContext};

/// One wasmtime store with one instance of a plugin.
pub(crate) struct Process {
    guest: Guest,
    runs: Runs,
    tenant: Arc<Tenant>,
    /// Whether this version of the plugin starts well.
    trial: Trial,
    /// It is one of the plugin's live processes.
    presence: Presence,
}

/// What a process of a session runs.
#[expect(clippy::large_enum_variant, reason = "most sessions have the large one")]
enum Runs {
    /// Functions that are called for each event.
    Handler {
        functions: HandlerFunctions,
        /// Rotates through timers, input and messages, so that none starves.
        next_source: u8,
    },
    /// One function that runs once.
    Program(run::Guest),
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
                let runs = match functions {
                    Functions::Handler(functions) => Runs::Handler { functions, next_source: 0 },
                    Functions::Program(functions) => Runs::Program(functions),
                    Functions::Authenticator(_) | Functions::Connection(_) => {
                        return Err(Stop::Failed(Error::Refused("it serves no sessions".to_owned())));
                    }
                };
                let tenant = Arc::clone(context.tenant);
                Ok(Self { guest, runs, tenant, trial, presence })
            }
            Err(stop) => {
                trial.saw(&stop);
                Err(stop)
            }
        }
    }

    /// Asks the plugin whether it takes the session. A program takes any.
    pub(crate) async fn open(&mut self, half: &mut SessionHalf) -> Result<bool, Stop> {
        match self.view(half) {
            View::Handler(mut handler) => handler.open().await,
            View::Program(_) => Ok(true),
        }
    }

    /// Lets data flow without a program request: the channel is of a type that has none.
    pub(crate) fn begin_without_program(&mut self, half: &SessionHalf) {
        half.shared().begin_without_program();
        // A program has not run yet.
        if let Runs::Handler { .. } = self.runs {
            self.trial.passed();
        }
    }

    /// Repeats the environment and the terminal that an earlier process accepted.
    pub(crate) async fn replay(&mut self, half: &mut SessionHalf, hand_over: HandOverState) -> Result<(), Stop> {
        match self.view(half) {
            View::Handler(mut handler) => handler.replay(hand_over).await,
            View::Program(mut program) => {
                program.replay(hand_over);
                Ok(())
            }
        }
    }

    /// Handles events, a program request first if there is one, until the session has to decide.
    pub(crate) async fn run(&mut self, half: &mut SessionHalf, request: Option<&StartRequest>) -> Pause {
        match self.view(half) {
            View::Handler(handler) => handler.run(request.map(|request| &request.event)).await,
            // Boxed, so that the sessions of handlers do not carry its size.
            View::Program(program) => Box::pin(program.run(request)).await,
        }
    }

    /// The last call of a handler: why it ends.
    pub(crate) async fn close(&mut self, half: &mut SessionHalf, why: Ending) -> Result<(), Stop> {
        match self.view(half) {
            View::Handler(mut handler) => handler.closed(why).await,
            View::Program(_) => Ok(()),
        }
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

    /// A view for what it runs.
    fn view<'p>(&'p mut self, half: &'p mut SessionHalf) -> View<'p> {
        let limits = self.tenant.limits();
        let (guest, trial, presence) = (&mut self.guest, &mut self.trial, &mut self.presence);
        match &mut self.runs {
            Runs::Handler { functions, next_source } => {
                View::Handler(Handler { guest, functions, next_source, trial, limits, half })
            }
            Runs::Program(functions) => View::Program(Program { guest, functions, trial, presence, limits, half }),
        }
    }
}

/// A process, as what it runs.
enum View<'p> {
    Handler(Handler<'p>),
    Program(Program<'p>),
}
