//! Drives a session through its lifecycle (`channel/lifecycle.rs`): makes its processes, one at a time today, chooses
//! which plugin serves a start request, tells the client how the session ends, and reports.
//!
//! ```text
//!                      .-- a start that is routed elsewhere, a hand-over --.
//!                      v                                                   |
//! opening --true--> a process handles events (`process.rs`) ---------------+--> the end
//!    | false           ^            | the next plugin cannot start, and no start was accepted
//!    v                 |            v
//! refused              '-- start -- waiting, with no process
//! ```
//!
//! Decided 2026-11-21: when a route names a plugin that is not there or not granted, the start fails and the plugin
//! that has the session keeps it: nothing has happened to it. When the other plugin is there but cannot be started or
//! refuses, the first is gone already (both at once would need room for two instances), so the session waits with
//! none: environment and terminal are kept, the next start request makes an instance of the plugin that it is routed
//! to, and every other request is refused. Ending the session instead would forbid the second try that RFC 4254 §6.5
//! leaves to clients; making a new instance of the first at once would be work for the many that never try.
//!
//! Decided 2026-11-29: a start that leads to a plugin which is still being prepared waits for it, as a session's
//! opening does. When that takes too long the start succeeds, the client is told to try again, and the session ends:
//! a refused start could say nothing.

pub(crate) mod notice;
pub(crate) mod report;
mod router;
mod timeouts;

use std::future::Future;
use std::sync::Arc;

use crate::channel::{Next, OpenReply, SessionSide, Shared};
use crate::channel_event::{ChannelEvent, Ending, Exit, Facts, SignalName};
use crate::error::{Error, Stop};
use crate::event::{Event, emit};
use crate::host::{HandOverCheck, Handoff, LogBook};
use crate::limits::budget::{Finished, Owner, Total};
use crate::limits::usage::SessionUsage;
use crate::plugin::Plugin;
use crate::plugin::health::trial::Trial;
use crate::plugin::lookup::{Plugins, Start};
use crate::process::{Pause, Process, ProcessContext, ProcessEnd};
use crate::session::notice::serve_notice;
use crate::session::report::{Processes, Report};
use crate::supervise::catch_future;
use crate::tenant::Tenant;
use router::{Route, Router};
use timeouts::SessionTimeouts;

impl Plugin {
    /// Runs one session of a tenant that begins with this plugin, from its channel open to its exit. `plugins`: those
    /// that it may be routed or handed over to. Spawn the future. Dropping it ends the session without another call of
    /// the plugin; the connection still gets an exit (status 70). A panic of the host inside it is reported as an
    /// [`Error::Host`].
    pub fn session(
        self: &Arc<Self>,
        facts: Facts,
        tenant: &Arc<Tenant>,
        plugins: &Arc<dyn Plugins>,
        mut side: SessionSide,
    ) -> impl Future<Output = Report> + Send + use<> {
        let mut session = Session::new(self, facts, tenant, plugins);
        async move {
            match session.tenant.acquire_slot() {
                // One of the tenant's sessions until its output was sent.
                Ok(seat) => side.keep(seat),
                Err(error) => {
                    session.log(session.router.home()).over(Total::Sessions);
                    session.turn_away(error, &mut side).await;
                    return session.report(&side);
                }
            }
            let timeouts = SessionTimeouts::new(session.tenant.limits(), Arc::clone(side.shared()));
            // Boxed: it is polled by reference, and a task that is spawned is moved.
            let lived = timeouts.over(catch_future(Box::pin(session.run(&mut side)))).await;
            match lived {
                Ok(Ok(())) => {}
                Ok(Err(words)) => session.cut_off(Error::panicked(&words), &side),
                Err(error) => session.cut_off(error, &side),
            }
            session.leave_output(&side);
            session.report(&side)
        }
    }
}

/// A session, apart from its current process.
struct Session {
    facts: Facts,
    tenant: Arc<Tenant>,
    router: Router,
    hand_over_check: HandOverCheck,
    /// The plugin took the session.
    opened: bool,
    processes: Processes,
}

/// A session on its way from one process to the next.
struct Hop {
    to: Result<Arc<Plugin>, Error>,
    start: ChannelEvent,
    handoff: Handoff,
}

impl Session {
    /// Of a session that begins with this plugin.
    fn new(home: &Arc<Plugin>, facts: Facts, tenant: &Arc<Tenant>, plugins: &Arc<dyn Plugins>) -> Self {
        let router = Router::new(home, plugins, tenant, &facts);
        let usage = SessionUsage::new(tenant.limits());
        let (hand_over_check, processes) = (router.hand_over_check(), Processes::new(home, usage));
        Self { facts, tenant: Arc::clone(tenant), router, hand_over_check, opened: false, processes }
    }

    /// Runs the session from its channel open to its exit.
    async fn run(&mut self, side: &mut SessionSide) {
        let mut next = self.begin(side).await;
        while let Some(hop) = next {
            next = Box::pin(self.follow(hop, side)).await;
        }
    }

    /// A timeout or a panic ends the session at any point: no process is entered again.
    fn cut_off(&mut self, error: Error, side: &SessionSide) {
        // Whether there is a terminal is not known any more; one more return harms nobody.
        side.shared().host_line(&error.for_client(), true);
        side.shared().abort(error.exit());
        self.processes.failed(Some(error));
    }

    fn report(self, side: &SessionSide) -> Report {
        self.processes.report(self.opened, side.shared().outcome())
    }

    /// Makes the first process and answers the channel open.
    async fn begin(&mut self, side: &mut SessionSide) -> Option<Hop> {
        let home = Arc::clone(self.router.home());
        match self.open(&home, side).await {
            Ok(process) => {
                side.shared().answer_open(OpenReply::Accepted);
                self.opened = true;
                self.serve(process, None, side).await
            }
            Err(Some(Stop::Failed(error))) if error.is_shortage() => {
                self.turn_away(error, side).await;
                None
            }
            Err(stop) => {
                let error = stop.and_then(Stop::error);
                let is_full = matches!(error, Some(Error::Full(_)));
                self.processes.failed(error);
                side.shared().answer_open(if is_full { OpenReply::Full } else { OpenReply::Refused });
                None
            }
        }
    }

    /// The session has ended. Output that its client has not taken stays until it does, unless the tenant or the server
    /// runs out of room.
    fn leave_output(&self, side: &SessionSide) {
        if side.shared().is_drained() {
            return;
        }
        let (plugin, stall) = (self.processes.plugin(), self.tenant.limits().output_stall);
        let owner = Arc::new(Owner {
            connection: self.facts.connection(),
            channel: self.facts.channel(),
            tenant: self.tenant.name().into(),
            user: self.facts.get("user").unwrap_or_default().to_owned(),
            plugin: plugin.shared_name(),
        });
        let shared: Arc<dyn Finished> = Arc::clone(side.shared()) as _;
        for list in [&self.tenant.budget().unsent, &plugin.engine().totals().unsent] {
            side.keep(list.add(Arc::downgrade(&shared), stall, &owner));
        }
    }

    /// The tenant or the server has no room for the session: tells the client why and ends it.
    async fn turn_away(&mut self, error: Error, side: &mut SessionSide) {
        let words = format!("whelk: {}\r\n", error.for_client());
        Box::pin(serve_notice(side, &words, error.exit())).await;
        // It has exited, unless its client has left before.
        side.shared().exit(error.exit(), None);
        self.processes.failed(Some(error));
    }

    fn log_refusal(&self, start: &ChannelEvent, reason: &str) {
        if let Some(start) = Start::of(start) {
            let (what, detail) = start.describe();
            self.log(self.processes.plugin()).refused(what, detail, reason);
        }
    }

    fn log(&self, plugin: &Plugin) -> LogBook {
        LogBook::new(plugin.shared_name(), &self.facts, Arc::clone(&self.tenant))
    }

    /// Makes a process of the plugin and asks it whether it takes the session. `None` as the error is its refusal.
    async fn open(&mut self, plugin: &Arc<Plugin>, side: &mut SessionSide) -> Result<Process, Option<Stop>> {
        let trial = Trial::begin(plugin, &self.tenant, &self.facts).map_err(Stop::Failed)?;
        trial.plugin().check_grants(&self.tenant).map_err(Stop::Failed)?;
        self.processes.runs(trial.plugin());
        let context = ProcessContext {
            tenant: &self.tenant,
            facts: &self.facts,
            pipes: side.shared(),
            hand_over_check: &self.hand_over_check,
            usage: &self.processes.usage(),
        };
        // Boxed: it is large and soon over, and every session would carry its size for ever.
        let mut process = Box::pin(Process::start(trial, &context)).await?;
        match process.open(side).await {
            Ok(true) => Ok(process),
            Ok(false) => {
                process.end().await;
                Err(None)
            }
            Err(stop) => {
                process.end().await;
                Err(Some(stop))
            }
        }
    }

    /// Runs a process, with a start request first if there is one. Returns where the session goes next, if it goes on.
    ///
    /// Futures that most sessions need never, or once, are boxed: otherwise each session would hold their size while it
    /// lasts.
    async fn serve(
        &mut self,
        mut process: Process,
        mut start: Option<ChannelEvent>,
        side: &mut SessionSide,
    ) -> Option<Hop> {
        let mut due = start.is_some();
        loop {
            let pause = process.run(side, start.as_ref().filter(|_| due)).await;
            due = false;
            match pause {
                Pause::Ended(how) => {
                    Box::pin(self.end_with(process, how, side)).await;
                    return None;
                }
                Pause::Start(wanted) => {
                    let here = Arc::clone(self.processes.plugin());
                    match Box::pin(self.router.route(&wanted, Some(&here), side.shared())).await {
                        Route::Here => (start, due) = (Some(wanted), true),
                        Route::To(plugin) => {
                            return Some(Box::pin(self.leave(process, Ok(plugin), wanted, side)).await);
                        }
                        Route::Nowhere => side.shared().decline_start(),
                        Route::Later(words) => {
                            let hop = Box::pin(self.leave(process, Ok(here), wanted, side)).await;
                            self.put_off(&words, &hop.handoff, side.shared());
                            return None;
                        }
                    }
                }
                Pause::HandOver(name) => {
                    // Permitted only after a start request was given.
                    let Some(start) = start.take() else { continue };
                    let found = Box::pin(self.router.settled(&name, side.shared())).await;
                    let later = found.try_again(&name);
                    let hop = Box::pin(self.leave(process, self.router.admitted(found), start, side)).await;
                    let Some(words) = later else { return Some(hop) };
                    self.put_off(&words, &hop.handoff, side.shared());
                    return None;
                }
            }
        }
    }

    /// The process's end ends the session: tells the client how, and the process why.
    async fn end_with(&mut self, mut process: Process, how: ProcessEnd, side: &mut SessionSide) {
        let pipes = Arc::clone(side.shared());
        let closed = match how {
            ProcessEnd::Finished(exit) => {
                pipes.exit(exit, Some(Ending::Finished));
                process.close(side, Ending::Finished).await
            }
            ProcessEnd::HungUp(why) => {
                let words = pipes.words();
                pipes.close();
                if let Some(words) = &words {
                    pipes.host_line(words, process.has_terminal());
                }
                let closed = process.close(side, why).await;
                // The process may still have finished in its last call.
                let exit = pipes.take_finish().unwrap_or_else(|| hung_up(why, words.as_deref()));
                pipes.exit(exit, Some(why));
                closed
            }
            ProcessEnd::Stopped(stop) => {
                if let Some(words) = pipes.words() {
                    pipes.host_line(&words, process.has_terminal());
                }
                exit_stopped(&stop, process.has_terminal(), Some(Ending::Finished), &pipes);
                Err(stop)
            }
        };
        self.processes.failed(closed.err().and_then(Stop::error));
        process.end().await;
    }

    /// Accepts the start request, because nothing can be printed before that, tells the client to try again, and ends
    /// the session.
    fn put_off(&self, words: &str, handoff: &Handoff, pipes: &Shared) {
        let (connection, channel, tenant) = (self.facts.connection(), self.facts.channel(), self.tenant.name());
        emit(Event::SessionPutOff { connection, channel, tenant, reason: words });
        pipes.accept_for_host();
        pipes.host_line(words, handoff.pty.is_some());
        pipes.exit(Exit::Status(1), None);
    }

    /// Tells the process that another takes over, and ends it.
    async fn leave(
        &mut self,
        mut process: Process,
        to: Result<Arc<Plugin>, Error>,
        start: ChannelEvent,
        side: &mut SessionSide,
    ) -> Hop {
        side.shared().close_for_handoff();
        let closed = process.close(side, Ending::Routed).await;
        self.processes.failed(closed.err().and_then(Stop::error));
        // The next process catches no signals yet.
        side.shared().catch(Vec::new());
        side.shared().hand_off();
        let handoff = process.take_handoff();
        process.end().await;
        Hop { to, start, handoff }
    }

    /// Takes the session to the next process, or waits for the one after that.
    async fn follow(&mut self, hop: Hop, side: &mut SessionSide) -> Option<Hop> {
        let Hop { to, start, handoff } = hop;
        let pipes = Arc::clone(side.shared());
        if let Some((why, _)) = pipes.ended() {
            hang_up(why, &handoff, &pipes);
            return None;
        }
        let opened = match to {
            Err(error) => Err(Some(Stop::Failed(error))),
            Ok(plugin) => {
                self.log_handoff(&plugin);
                self.processes.pass_to(&plugin);
                self.open(&plugin, side).await
            }
        };
        match opened {
            Ok(mut process) => match process.prepare(side, handoff).await {
                Ok(()) => self.serve(process, Some(start), side).await,
                Err(stop) => {
                    pipes.decline_start();
                    self.end_with(process, ProcessEnd::Stopped(stop), side).await;
                    None
                }
            },
            Err(stop) if pipes.has_accepted() => {
                // The client was told that its program has started, and it has not: the session ends.
                match &stop {
                    None => pipes.exit(Exit::Status(1), None),
                    Some(stop) => exit_stopped(stop, handoff.pty.is_some(), None, &pipes),
                }
                self.processes.failed(stop.and_then(Stop::error));
                None
            }
            Err(stop) => {
                pipes.reply(false);
                if stop.is_none() {
                    self.log_refusal(&start, "the plugin refused the session");
                }
                self.processes.failed(stop.and_then(Stop::error));
                self.wait(handoff, side).await
            }
        }
    }

    fn log_handoff(&self, plugin: &Plugin) {
        let (connection, channel) = (self.facts.connection(), self.facts.channel());
        let (tenant, from) = (self.tenant.name(), self.processes.plugin().name());
        let (plugin, generation) = (plugin.name(), plugin.generation());
        emit(Event::SessionPassedOn { connection, channel, tenant, plugin, generation, from });
    }

    /// Waits, without a process, for a start request that is routed to a plugin.
    async fn wait(&mut self, handoff: Handoff, side: &mut SessionSide) -> Option<Hop> {
        let pipes = Arc::clone(side.shared());
        // No process is left that catches them.
        while pipes.take_caught().is_some() {}
        loop {
            if let Some((why, _)) = pipes.ended() {
                hang_up(why, &handoff, &pipes);
                return None;
            }
            tokio::task::consume_budget().await;
            match side.next() {
                None => side.arrival().await,
                Some(Next::ChannelEvent(ChannelEvent::Eof | ChannelEvent::Close)) => {}
                // The inbox keeps the newest size.
                Some(Next::ChannelEvent(ChannelEvent::WindowChange(_))) => pipes.reply(true),
                Some(Next::ChannelEvent(start)) => {
                    let route = match Start::of(&start) {
                        Some(_) => Box::pin(self.router.route(&start, None, &pipes)).await,
                        None => Route::Nowhere,
                    };
                    match route {
                        Route::To(plugin) => {
                            pipes.hand_off();
                            return Some(Hop { to: Ok(plugin), start, handoff });
                        }
                        Route::Later(words) => {
                            self.put_off(&words, &handoff, &pipes);
                            return None;
                        }
                        Route::Here | Route::Nowhere => pipes.reply(false),
                    }
                }
                Some(Next::Data { .. }) => side.taken(),
            }
        }
    }
}

/// A process crashed, met a limit, or called WASI's `exit`: ends the session accordingly. `ending`: that of WASI's
/// `exit`.
fn exit_stopped(stop: &Stop, terminal: bool, ending: Option<Ending>, pipes: &Shared) {
    match stop {
        Stop::Exited(status) => pipes.exit(Exit::Status(*status), ending),
        Stop::Failed(error) => {
            pipes.host_line(&error.for_client(), terminal);
            pipes.exit(error.exit(), None);
        }
    }
}

/// The connection's side has ended the session while it had no process.
fn hang_up(why: Ending, handoff: &Handoff, pipes: &Shared) {
    let words = pipes.words();
    if let Some(words) = &words {
        pipes.host_line(words, handoff.pty.is_some());
    }
    pipes.exit(hung_up(why, words.as_deref()), Some(why));
}

/// The exit of a session whose client or connection is gone, or whose version is retired. `words`: the line about that.
fn hung_up(why: Ending, words: Option<&str>) -> Exit {
    let message = words.unwrap_or(match why {
        Ending::Finished => "finished",
        Ending::ClientClosed => "the client closed the channel",
        Ending::ConnectionLost => "connection lost",
        Ending::Drained => "the server is shutting down",
        Ending::Routed => "another plugin took over",
    });
    Exit::Signal { name: SignalName::Hup, core_dumped: false, message: message.to_owned() }
}
