//! The life of a process that is not the first of its session, in a task of its own: from its instance to its end,
//! through every program that it becomes by `exec`.
//!
//! | how it ends | what its parent is told |
//! |---|---|
//! | it returns, or calls WASI's `exit` or `finish` | the status, of which POSIX keeps eight bits |
//! | by a signal | the signal |
//! | by a trap | `SEGV`, `FPE`, `ABRT` (unreachable code) or `ILL`, as a native program |
//! | at the limit of processor time | `XCPU` |
//! | at any other limit, or by a fault of the host | `KILL` |
//!
//! Of the last three it says why in one line on its descriptor 2, as a shell would, and the operator's log says more.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Context;
use std::time::Duration;

use super::made::{MadeProgram, ProcessPlace, SessionSpawner};
use crate::engine::Engine;
use crate::error::{Error, Limit, Stop};
use crate::event::{LogEvent, emit};
use crate::host::{BrokenPipe, ProcessIo, Replaced, State};
use crate::limits::ticks;
use crate::plugin::health::trial::Trial;
use crate::posix::process::{ProcessEnding, ProcessEntry};
use crate::posix::signal::Signal;
use crate::process::guest::{Failure, Watch};
use crate::session_types::Exit;
use crate::supervise::catch_future;
use crate::tenant::Telling;

/// Tells the parent how the process ended, at the latest when the task is gone.
struct Ended {
    session: Arc<SessionSpawner>,
    process: Arc<ProcessEntry>,
    ending: ProcessEnding,
    time: Duration,
    _place: ProcessPlace,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.session.pipes.forget_process(self.process.id());
        self.process.ended(self.ending, self.time);
    }
}

/// Runs a process to its end.
pub(in crate::process) async fn run(
    session: Arc<SessionSpawner>,
    program: MadeProgram,
    process: Arc<ProcessEntry>,
    place: ProcessPlace,
) {
    let ending = ProcessEnding::Signal(Signal::Kill);
    let mut ended = Ended { session: Arc::clone(&session), process, ending, time: Duration::ZERO, _place: place };
    let mut program = program;
    let usage = Arc::clone(program.guest.state().charges.usage());
    let lived = catch_future(Box::pin(live(&session, &mut program, &ended.process))).await;
    ended.ending = lived.unwrap_or_else(|message| {
        fault(&session, &program.trial, &Error::panicked(&message));
        ending
    });
    program.guest.reap().await;
    ended.time = Duration::from_millis(usage.ticks());
}

/// Runs one program after the other until one ends.
async fn live(session: &SessionSpawner, program: &mut MadeProgram, process: &Arc<ProcessEntry>) -> ProcessEnding {
    loop {
        let start = program.start.take();
        let name = start.as_ref().and_then(|start| start.arguments.first().cloned()).unwrap_or_default();
        let Some(io) = start.and_then(|start| program.guest.state().begin_program(start)) else {
            let detail = "there is no memory for its arguments and its environment".to_owned();
            let error = Error::Limit { limit: Limit::TenantMemory, detail };
            fault(session, &program.trial, &error);
            return ending_of(&error);
        };
        let ran = call(session, program, process, &io).await;
        if io.streams().were_used() {
            program.trial.passed();
        }
        let ending = match ran {
            Ran::Replaced(next) => {
                program.trial.passed();
                io.descriptors().close_all();
                process.replaced(next.trial.plugin().shared_name(), next.ignored);
                std::mem::replace(program, *next).guest.reap().await;
                continue;
            }
            Ran::Ended(ending) => {
                program.trial.passed();
                ending
            }
            Ran::Failed(stop) => {
                program.trial.saw(&stop);
                match stop {
                    Stop::Exited(status) => ProcessEnding::Status(status_of(status)),
                    Stop::Failed(error) => {
                        let line = format!("{name}: {}\n", error.for_client());
                        io.complain(&line, session.tenant.limits().grace).await;
                        fault(session, &program.trial, &error);
                        ending_of(&error)
                    }
                }
            }
        };
        // Whoever waits at the other ends of its pipes does not wait for the end of the instance.
        io.descriptors().close_all();
        return ending;
    }
}

/// What became of a program.
enum Ran {
    Ended(ProcessEnding),
    /// It trapped, or met a limit.
    Failed(Stop),
    /// Another takes its place.
    Replaced(Box<MadeProgram>),
}

async fn call(
    session: &SessionSpawner,
    program: &mut MadeProgram,
    process: &Arc<ProcessEntry>,
    io: &Arc<ProcessIo>,
) -> Ran {
    let MadeProgram { guest, functions, trial, .. } = program;
    let finished = guest.state().channel.finished().cloned();
    let mut watched = ChildWatch {
        engine: trial.plugin().engine().clone(),
        process: Arc::clone(process),
        io: Arc::clone(io),
        finished: finished.clone(),
        trial,
        was_stopped: false,
    };
    let of_tenant = session.tenant.limits();
    let most = run_ticks(guest.state(), of_tenant.cpu_program);
    let ran = {
        let (call_limits, store) = guest.begin_run(most, ticks(of_tenant.cpu_session));
        let call = pin!(functions.call_run(store));
        call_limits.run_watched(false, call, &mut watched).await
    };
    match (process.killed(), ran) {
        (Some(signal), _) => Ran::Ended(ProcessEnding::Signal(signal)),
        (None, Err(Failure::Wasm(error))) if error.is::<BrokenPipe>() => {
            Ran::Ended(ProcessEnding::Signal(Signal::Pipe))
        }
        (None, Err(Failure::Wasm(error))) if error.is::<Replaced>() => match take_replacement(guest.state()) {
            Some(next) => Ran::Replaced(next),
            None => Ran::Ended(ProcessEnding::Signal(Signal::Kill)),
        },
        (None, ran) => {
            let asked = finished.and_then(|finished| finished.get().cloned());
            match (asked, ran) {
                (Some(exit), Ok(_) | Err(Failure::Overdue)) => Ran::Ended(ending_of_exit(&exit)),
                (_, Ok(Ok(()))) => Ran::Ended(ProcessEnding::Status(0)),
                (_, Ok(Err(()))) => Ran::Ended(ProcessEnding::Status(1)),
                (_, ran) => match guest.leave(ran) {
                    Ok(_) => Ran::Ended(ProcessEnding::Status(0)),
                    Err(stop) => Ran::Failed(stop),
                },
            }
        }
    }
}

/// The processor time that a program may use, in ticks: what is left of the limit of its process.
pub(in crate::process) fn run_ticks(state: &State, most: Duration) -> u32 {
    let used = Duration::from_millis(state.charges.usage().ticks());
    let own = state.spawning.as_ref().and_then(|spawning| spawning.limits.cpu);
    ticks(own.map_or(most, |limit| limit.saturating_sub(used).min(most)))
}

/// What takes the place of a program that has called `exec`.
pub(in crate::process) fn take_replacement(state: &mut State) -> Option<Box<MadeProgram>> {
    let replacement = state.spawning.as_mut()?.replacement.get_mut();
    let replacement = replacement.unwrap_or_else(std::sync::PoisonError::into_inner).take()?;
    replacement.downcast().ok()
}

/// POSIX keeps eight bits of an exit status.
fn status_of(status: u32) -> u8 {
    status.to_le_bytes()[0]
}

fn ending_of_exit(exit: &Exit) -> ProcessEnding {
    match exit {
        Exit::Status(status) => ProcessEnding::Status(status_of(*status)),
        Exit::Signal { name, .. } => ProcessEnding::Signal(Signal::from_name(name.as_str()).unwrap_or(Signal::Kill)),
    }
}

/// As what a process ends that this error has ended.
fn ending_of(error: &Error) -> ProcessEnding {
    ProcessEnding::Signal(match error {
        Error::Limit { limit: Limit::Cpu, .. } => Signal::Xcpu,
        Error::Trap { signal, .. } => Signal::from_name(signal.as_str()).unwrap_or(Signal::Kill),
        _ => Signal::Kill,
    })
}

/// Tells the operator of a process that has failed. Of a tenant whose processes fail all the time not of each: faults
/// of the host are always told.
fn fault(session: &SessionSpawner, trial: &Trial, error: &Error) {
    if !matches!(error, Error::Host { .. }) && session.tenant.failed() != Telling::Whole {
        return;
    }
    let (error, failure) = (error.to_string(), error.label());
    let plugin = trial.plugin();
    emit(LogEvent::ProcessChildFailed {
        connection: session.facts.connection(),
        channel: session.facts.channel(),
        tenant: session.tenant.name(),
        plugin: plugin.name(),
        generation: plugin.generation(),
        error: &error,
        failure,
    });
}

/// Watches the call of a process that is not the first.
struct ChildWatch<'t> {
    engine: Engine,
    process: Arc<ProcessEntry>,
    io: Arc<ProcessIo>,
    finished: Option<Arc<OnceLock<Exit>>>,
    trial: &'t mut Trial,
    was_stopped: bool,
}

impl Watch for ChildWatch<'_> {
    fn must_end(&mut self, context: &Context<'_>) -> bool {
        self.process.register_waker(context);
        notice_stop(&self.process, &self.io, &self.engine, &mut self.was_stopped);
        self.process.killed().is_some()
    }

    fn polled(&mut self, waits: bool) {
        if waits || self.io.streams().were_used() {
            self.trial.passed();
        }
    }

    fn is_stopped(&self) -> bool {
        self.process.is_stopped()
    }

    fn is_over(&self) -> bool {
        self.finished.as_ref().is_some_and(|finished| finished.get().is_some())
    }

    fn is_of_session(&self) -> bool {
        false
    }
}

/// A stopped program waits at the next point of its own code.
pub(in crate::process) fn notice_stop(process: &ProcessEntry, io: &ProcessIo, engine: &Engine, was_stopped: &mut bool) {
    let is_stopped = process.is_stopped();
    if is_stopped && !*was_stopped {
        io.streams().give_back_space();
        // An import that the program waits in may return at any time. The epoch is over then, until the program comes
        // to the gate. Of many stops at once the others wait for the next tick.
        engine.ticker().end_epoch(engine.wasmtime());
    }
    *was_stopped = is_stopped;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session_types::SignalName;

    #[test]
    fn what_ends_a_process_is_told_as_a_shell_knows_it() {
        let limit = |limit| ending_of(&Error::Limit { limit, detail: String::new() });
        assert_eq!(limit(Limit::Cpu), ProcessEnding::Signal(Signal::Xcpu));
        assert_eq!(limit(Limit::Memory), ProcessEnding::Signal(Signal::Kill));
        for (name, signal) in [("SEGV", Signal::Segv), ("ABRT", Signal::Abrt), ("FPE", Signal::Fpe)] {
            let trap = Error::Trap { signal: SignalName::from_wire(name), detail: String::new() };
            assert_eq!(ending_of(&trap), ProcessEnding::Signal(signal));
        }
        assert_eq!(ending_of_exit(&Exit::Status(0x1_02)), ProcessEnding::Status(2));
    }
}
