//! The world `program`: a process that runs `wasi:cli/run` once, from the program request to its end.
//!
//! The call goes on while the session's events are handled beside it ([`Events`]), in one task: before each poll of
//! the call. A program that computes is interrupted by each tick of the epoch, so that nothing waits for it. Its input
//! stays in the inbox until it reads (`host/wasi/stdio.rs`).

use std::pin::pin;
use std::sync::Arc;
use std::task::Context;

use super::arguments::arguments;
use super::environment::{HOME, Sources};
use super::guest::{Failure, Guest, Watch};
use super::pause::{Pause, ProcessEnd, Selection, StartRequest};
use super::spawn::child::{notice_stop, run_ticks, take_replacement};
use super::spawn::made::MadeProgram;
use crate::channel::{InputItem, NextAction, SessionHalf, Shared, Stage};
use crate::engine::Engine;
use crate::error::{Error, Limit, Stop};
use crate::host::bindings::run;
use crate::host::{BrokenPipe, HandOverState, LogBook, ProcessIo, ProgramStart, Replaced, lock};
use crate::limits::{Limits, ticks};
use crate::plugin::Presence;
use crate::plugin::health::trial::Trial;
use crate::posix::Descriptors;
use crate::posix::process::ProcessEntry;
use crate::posix::signal::Signal;
use crate::session_types::{ChannelEvent, Ending, Exit, Output, ProgramRequest, Pty, SignalName};
use crate::terminal::Modes;

/// A process of this world, for as long as it is served without a pause.
pub(super) struct Program<'p> {
    pub(super) guest: &'p mut Guest,
    pub(super) functions: &'p mut run::Guest,
    pub(super) trial: &'p mut Trial,
    pub(super) presence: &'p mut Presence,
    pub(super) limits: &'p Limits,
    /// Where its events come from.
    pub(super) half: &'p mut SessionHalf,
}

/// What became of a program request.
enum Accepted {
    /// It was refused; another may come.
    No,
    /// The program has these arguments.
    Yes(Vec<String>),
    /// It was accepted, and ends like this before the program runs.
    Over(Exit),
}

/// Why the host ends a program.
enum Killed {
    /// A signal that it neither catches nor ignores.
    Signal(Signal),
    /// The connection's side has ended the session.
    HungUp(Ending),
}

impl Program<'_> {
    /// Serves the session until it has to decide: runs the program if there is a program request or needs none, and
    /// waits for one otherwise.
    pub(super) async fn run(mut self, request: Option<&StartRequest>) -> Pause {
        let accepted = match request {
            Some(request) => self.accept(request),
            // The channel has a type without program requests.
            None if self.half.shared().stage() == Stage::Running => {
                Accepted::Yes(vec![self.trial.plugin().name().to_owned()])
            }
            None => Accepted::No,
        };
        match accepted {
            Accepted::Yes(arguments) => self.execute(arguments, request).await,
            Accepted::Over(exit) => Pause::Ended(ProcessEnd::Finished(exit)),
            Accepted::No => self.wait_for_request().await,
        }
    }

    /// Keeps the environment and the terminal that an earlier process accepted.
    pub(super) fn replay(&mut self, hand_over: HandOverState) {
        for (name, value) in hand_over.env {
            self.guest.state().channel.keep_env(name, value);
        }
        if let Some(pty) = hand_over.pty {
            self.keep_pty(pty);
        }
    }

    /// Handles what comes before a program request.
    async fn wait_for_request(mut self) -> Pause {
        loop {
            tokio::task::consume_budget().await;
            match self.half.shared().next_action() {
                NextAction::Finish(exit) => return Pause::Ended(ProcessEnd::Finished(exit)),
                NextAction::Ended(why, _) => return Pause::Ended(ProcessEnd::HungUp(why)),
                // Its start functions have no program request that they could hand over.
                NextAction::Continue | NextAction::HandOver(_) => {}
            }
            match self.half.next_early() {
                None => self.half.arrival().await,
                Some(InputItem::Data { .. }) => self.half.taken(),
                Some(InputItem::ChannelEvent(event)) => {
                    let is_first = self.half.shared().stage() == Stage::Waiting;
                    if is_first && ProgramRequest::of(&event).is_some() {
                        return Pause::ProgramRequest(event);
                    }
                    self.handle_early(event);
                }
            }
        }
    }

    fn handle_early(&mut self, event: ChannelEvent) {
        let answer = match event {
            ChannelEvent::Eof | ChannelEvent::Close => return,
            ChannelEvent::HostVariable { name, value } => return self.guest.state().channel.keep_env(name, value),
            ChannelEvent::Env { name, value } => self.env(name, value),
            ChannelEvent::PtyReq(pty) => {
                self.trial.told();
                self.keep_pty(pty);
                true
            }
            // The inbox keeps the newest size.
            ChannelEvent::WindowChange(_) => true,
            // There is no program yet that could get it.
            ChannelEvent::Signal(_)
            | ChannelEvent::Break { .. }
            | ChannelEvent::Request { .. }
            | ChannelEvent::Shell
            | ChannelEvent::Exec(_)
            | ChannelEvent::Subsystem(_) => false,
        };
        self.half.shared().reply(answer);
    }

    /// Whether the client's variable becomes one of the program's.
    fn env(&mut self, name: String, value: Vec<u8>) -> bool {
        let channel = &mut self.guest.state().channel;
        let accepted = channel.admits_env(&name, &value);
        if accepted {
            channel.keep_env(name, value);
            self.trial.told();
        }
        accepted
    }

    fn keep_pty(&mut self, pty: Pty) {
        let (modes, by_width) = (Modes::of_client(&pty.modes), pty.erase_by_width);
        self.half.shared().terminal_accepted();
        self.half.shared().set_terminal_modes(&modes, by_width);
        let state = self.guest.state();
        lock(&state.terminal).begin(modes, by_width);
        state.channel.keep_pty(pty);
    }

    /// Answers a program request. A subsystem is the program's only if it was chosen for that: a client that starts
    /// `sftp` must not talk to any program.
    fn accept(&mut self, request: &StartRequest) -> Accepted {
        let pipes = Arc::clone(self.half.shared());
        let Some(wanted) = ProgramRequest::of(&request.event).filter(|wanted| pipes.begin_program(wanted)) else {
            return Accepted::No;
        };
        if matches!(wanted, ProgramRequest::Subsystem(_)) && request.selection == Selection::User {
            if pipes.program_returned(false) {
                let (what, detail) = wanted.describe();
                self.guest.state().log.refused(what, detail, "a program serves a subsystem only where a route says so");
            }
            return Accepted::No;
        }
        if matches!(wanted, ProgramRequest::Exec(_)) {
            self.trial.told();
        }
        pipes.program_returned(true);
        let name = self.trial.plugin().name();
        match arguments(name, wanted, request) {
            Ok(arguments) => Accepted::Yes(arguments),
            Err(reason) => {
                let (to, end) = if self.guest.state().channel.has_terminal() {
                    (Output::Stdout, "\r\n")
                } else {
                    (Output::Stderr, "\n")
                };
                pipes.push_whole(to, format!("{name}: {reason}{end}").as_bytes());
                Accepted::Over(Exit::Status(reason.status()))
            }
        }
    }

    /// Runs the program to its end.
    async fn execute(self, arguments: Vec<String>, request: Option<&StartRequest>) -> Pause {
        let Self { guest, functions, trial, presence, limits, half } = self;
        half.begin_stdin();
        let engine = trial.plugin().engine().clone();
        let pipes = Arc::clone(half.shared());
        let wanted = request.and_then(|request| ProgramRequest::of(&request.event));
        let Some(mut events) = begin(guest, &pipes, arguments, wanted, engine) else {
            return out_of_memory();
        };
        let ran = loop {
            let most = run_ticks(guest.state(), limits.cpu_program);
            let ran = {
                let (call_limits, store) = guest.begin_run(most, ticks(limits.cpu_session));
                let call = pin!(functions.call_run(store));
                call_limits.run_watched(false, call, &mut Watched { events: &mut events, trial }).await
            };
            // Whoever waits at the other ends of its pipes does not wait for the end of the instance.
            events.io.descriptors().close_all();
            if events.io.streams().were_used() {
                trial.passed();
            }
            let is_replaced = matches!(&ran, Err(Failure::Wasm(error)) if error.is::<Replaced>());
            let next = if is_replaced { take_replacement(guest.state()) } else { None };
            let Some(next) = next.filter(|_| events.killed().is_none()) else { break ran };
            // Each program has a grace period of its own: once the session is over, there are no more of them.
            let is_over = pipes.ended().is_some_and(|(_, at)| at.elapsed() >= limits.grace);
            if is_over || pipes.has_decided() {
                break Err(Failure::Overdue);
            }
            // Another program takes its place in the session.
            trial.passed();
            events.process.replaced(next.trial.plugin().shared_name(), next.ignored);
            let MadeProgram { guest: other, functions: run, trial: of_other, presence: its, start, .. } = *next;
            std::mem::replace(guest, other).reap().await;
            (*functions, *trial, *presence) = (run, of_other, its);
            let Some(io) = start.and_then(|start| guest.state().begin_program(start)) else { return out_of_memory() };
            events.io = io;
        };
        let killed = match (&ran, events.killed()) {
            (Err(Failure::Wasm(error)), None) if error.is::<BrokenPipe>() => Some(Killed::Signal(Signal::Pipe)),
            (Err(Failure::Overdue), None) => pipes.ended().map(|(why, _)| Killed::HungUp(why)),
            (_, killed) => killed,
        };
        let exit = match (killed, ran) {
            (Some(Killed::HungUp(why)), _) => return Pause::Ended(ProcessEnd::HungUp(why)),
            (Some(Killed::Signal(signal)), _) => {
                pipes.forget_decision();
                return by_signal(signal, &pipes);
            }
            // It did not return after `finish` or `hand-over`.
            (None, Err(Failure::Overdue)) if pipes.has_decided() => Exit::Status(0),
            (None, ran) => match guest.leave(ran) {
                Ok(Ok(())) => Exit::Status(0),
                Ok(Err(())) => Exit::Status(1),
                Err(Stop::Exited(status)) => Exit::Status(status),
                Err(stop) => {
                    trial.saw(&stop);
                    return Pause::Ended(ProcessEnd::Stopped(stop));
                }
            },
        };
        trial.passed();
        ended(exit, &pipes, &events.process)
    }
}

/// It could not begin.
fn out_of_memory() -> Pause {
    let detail = "there is no memory for its arguments and its environment".to_owned();
    Pause::Ended(ProcessEnd::Stopped(Stop::Failed(Error::Limit { limit: Limit::TenantMemory, detail })))
}

/// Gives the program what it starts with. None if its tenant has no memory left for that.
fn begin(
    guest: &mut Guest,
    pipes: &Arc<Shared>,
    arguments: Vec<String>,
    request: Option<ProgramRequest<'_>>,
    engine: Engine,
) -> Option<Events> {
    let state = guest.state();
    let environment = Sources {
        facts: &state.facts,
        granted: &state.tenant.grants().environment,
        accepted: state.channel.env(),
        pty: state.channel.pty(),
        request,
    }
    .environment();
    let most = state.most_files();
    let descriptors = Arc::new(Descriptors::of_session(state.channel.has_terminal(), most));
    let start = ProgramStart {
        arguments,
        environment,
        directory: HOME.to_owned(),
        descriptors,
        file_limit: None,
        charge: None,
    };
    let io = state.begin_program(start)?;
    let process = Arc::clone(state.process.as_ref()?);
    if io.streams().has_terminal() {
        process.table().has_terminal();
    }
    let (pipes, log) = (Arc::clone(pipes), Arc::clone(&state.log));
    Some(Events { engine, pipes, io, process, log, ends: None, hung_up: false, was_stopped: false, is_first: true })
}

/// What follows a program that has ended by itself: what it asked for with `finish` or `hand-over`, or else this exit.
fn ended(exit: Exit, pipes: &Shared, process: &ProcessEntry) -> Pause {
    match pipes.next_action() {
        NextAction::Finish(exit) => Pause::Ended(ProcessEnd::Finished(exit)),
        NextAction::HandOver(plugin) => {
            while let Some(signal) = process.next_signal() {
                pipes.leave_caught(SignalName::from_wire(signal.name()));
            }
            Pause::HandOver(plugin)
        }
        NextAction::Ended(why, _) => {
            pipes.request_exit(exit);
            Pause::Ended(ProcessEnd::HungUp(why))
        }
        NextAction::Continue => Pause::Ended(ProcessEnd::Finished(exit)),
    }
}

/// What follows a program that a signal has ended, whatever it asked for before: its exit.
fn by_signal(signal: Signal, pipes: &Shared) -> Pause {
    let message = format!("ended by SIG{}", signal.name());
    let exit = Exit::Signal { name: SignalName::from_wire(signal.name()), core_dumped: false, message };
    match pipes.ended() {
        Some((why, _)) => {
            pipes.request_exit(exit);
            Pause::Ended(ProcessEnd::HungUp(why))
        }
        None => Pause::Ended(ProcessEnd::Finished(exit)),
    }
}

/// The session's events while a program runs.
struct Events {
    engine: Engine,
    pipes: Arc<Shared>,
    io: Arc<ProcessIo>,
    process: Arc<ProcessEntry>,
    log: Arc<LogBook>,
    /// The program is to end with the session.
    ends: Option<Ending>,
    /// The program was told that the session ends, by a SIGHUP that it catches or ignores.
    hung_up: bool,
    /// The program was found stopped.
    was_stopped: bool,
    /// Nothing was handled yet.
    is_first: bool,
}

/// The events, and the trial that shows whether the program has started well.
struct Watched<'e> {
    events: &'e mut Events,
    trial: &'e mut Trial,
}

impl Watch for Watched<'_> {
    fn must_end(&mut self, context: &Context<'_>) -> bool {
        self.events.handle(context)
    }

    /// It has started well once it has waited for something, read or written.
    fn polled(&mut self, waits: bool) {
        if waits || self.events.io.streams().were_used() {
            self.trial.passed();
        }
    }

    fn is_stopped(&self) -> bool {
        self.events.process.is_stopped()
    }

    /// It has called `finish` or `hand-over`: what is left to do has the grace period.
    fn is_over(&self) -> bool {
        self.events.pipes.has_decided()
    }
}

impl Events {
    /// Handles what has arrived. True if the program is to end.
    fn handle(&mut self, context: &Context<'_>) -> bool {
        self.pipes.register_waker(context);
        self.process.register_waker(context);
        if std::mem::take(&mut self.is_first) {
            // A process before this one has caught them, and taken nothing more.
            while let Some(name) = self.pipes.take_caught() {
                self.signal(&name);
            }
        }
        while self.killed().is_none()
            && let Some(event) = self.pipes.next_event()
        {
            self.event(event);
        }
        while self.killed().is_none()
            && let Some(name) = self.pipes.take_terminal_signal()
        {
            Signal::from_name(name.as_str()).inspect(|signal| self.process.table().signal_foreground(*signal));
        }
        if self.killed().is_none()
            && let Some((why, _)) = self.pipes.ended()
        {
            self.session_ended(why);
        }
        notice_stop(&self.process, &self.io, &self.engine, &mut self.was_stopped);
        self.killed().is_some()
    }

    /// Why the program is to end.
    fn killed(&self) -> Option<Killed> {
        self.ends.map(Killed::HungUp).or_else(|| self.process.killed().map(Killed::Signal))
    }

    fn event(&mut self, event: ChannelEvent) {
        let answer = match event {
            ChannelEvent::Eof | ChannelEvent::Close | ChannelEvent::HostVariable { .. } => return,
            ChannelEvent::Signal(name) => {
                self.signal(&name);
                true
            }
            // COLUMNS and LINES stay; the inbox keeps the newest size.
            ChannelEvent::WindowChange(_) => {
                self.process.table().signal_foreground(Signal::Winch);
                true
            }
            ChannelEvent::Shell | ChannelEvent::Exec(_) | ChannelEvent::Subsystem(_) => {
                if let Some(request) = ProgramRequest::of(&event) {
                    let (what, detail) = request.describe();
                    self.log.refused(what, detail, "the session has started a program before");
                }
                false
            }
            ChannelEvent::Env { .. }
            | ChannelEvent::PtyReq(_)
            | ChannelEvent::Break { .. }
            | ChannelEvent::Request { .. } => false,
        };
        self.pipes.reply(answer);
    }

    /// A signal of the client's. Names that no Unix knows do nothing.
    fn signal(&self, name: &SignalName) {
        Signal::from_name(name.as_str()).inspect(|signal| self.process.table().signal_first_group(*signal));
    }

    /// The session is over. Without a terminal a client that has left is only a pipe whose other end is closed: the
    /// program reads what has come and then the end, and its next write is its last. A terminal that hangs up, and a
    /// server that stops, end it by SIGHUP. Whatever it makes of that, it has the grace period from now on, however
    /// much there is still to read, and also while it is stopped: then it ends by SIGHUP. Under Unix it would go on,
    /// but nobody is left whose session it is, and its place is for others.
    fn session_ended(&mut self, why: Ending) {
        let is_pipe = matches!(why, Ending::ClientClosed | Ending::ConnectionLost) && !self.io.streams().has_terminal();
        if is_pipe || self.hung_up {
            return;
        }
        self.process.table().hang_up_foreground();
        self.hung_up = self.process.hang_up();
        if !self.hung_up {
            self.ends = Some(why);
        }
    }
}
