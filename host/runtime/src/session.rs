//! Drives a session through its lifecycle (`channel/lifecycle.rs`): makes its processes, one at a time today, chooses
//! which plugin serves a program request, tells the client how the session ends, and reports.
//!
//! A *program request* is `shell`, `exec` or `subsystem` (RFC 4254 §6.5); at most one succeeds per channel. A
//! *hand-over* is the change from one plugin to another: because a route says so, or because the plugin asked for it.
//!
//! ```text
//!                      .-- a program request that is routed elsewhere, or a hand-over by the plugin --.
//!                      v                                                                              |
//! opening --true--> a process handles events (`process.rs`) ------------------------------------------+--> the end
//!    | false           ^                   | the next plugin cannot be started, and no program request was accepted
//!    v                 |                   v
//! refused              '-- program request -- waiting, with no process
//! ```
//!
//! Decided 2026-11-21: when a route names a plugin that is not there or not granted, the program request fails and the
//! plugin that has the session keeps it: nothing has happened to it. When the other plugin is there but cannot be
//! started or refuses, the first is gone already (both at once would need room for two instances), so the session waits
//! with none: environment and terminal are kept, the next program request makes an instance of the plugin that it is
//! routed to, and every other request is refused. Ending the session instead would forbid the second try that RFC 4254
//! §6.5 leaves to clients; making a new instance of the first at once would be work for the many that never try.
//!
//! Decided 2026-11-29: a program request that leads to a plugin which is still being prepared waits for it, as a
//! session's opening does. When that takes too long the request succeeds, the client is told to try again, and the
//! session ends: after a refused request nothing could be printed.

mod children;
mod home;
pub(crate) mod notice;
mod programs;
pub(crate) mod report;
mod router;
mod timeouts;

use std::future::Future;
use std::sync::Arc;

use crate::channel::{InputItem, OpenReply, SessionHalf, Shared};
use crate::engine::Purpose;
use crate::error::{Error, Stop};
use crate::event::{LogEvent, emit};
use crate::grants::{OpenCount, Temporary};
use crate::host::{HandOverCheck, HandOverState, LogBook};
use crate::limits::budget::{Finished, Owner, Total};
use crate::limits::usage::SessionUsage;
use crate::plugin::Plugin;
use crate::plugin::health::trial::Trial;
use crate::plugin::lookup::{LookupNotice, Plugins};
use crate::process::{Pause, Process, ProcessContext, ProcessEnd, Selection, StartRequest};
use crate::session::notice::serve_notice;
use crate::session::report::{Processes, Report};
use crate::session_types::{ChannelEvent, Ending, Exit, Facts, Output, ProgramRequest, SignalName};
use crate::supervise::catch_future;
use crate::tenant::Tenant;
use children::Children;
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
        mut half: SessionHalf,
    ) -> impl Future<Output = Report> + Send + use<> {
        let mut session = Session::new(self, facts, tenant, plugins);
        half.shared().count_in(session.processes.session_usage());
        async move {
            match session.tenant.acquire_slot() {
                // One of the tenant's sessions until its output was sent.
                Ok(seat) => half.keep(seat),
                Err(error) => {
                    session.log(session.router.home()).log_exhausted(Total::Sessions);
                    session.serve_refusal(error, &mut half).await;
                    return session.report(&half);
                }
            }
            let timeouts = SessionTimeouts::new(session.tenant.limits(), Arc::clone(half.shared()));
            // Boxed: it is polled by reference, and a task that is spawned is moved.
            let lived = timeouts.run(catch_future(Box::pin(session.run(&mut half)))).await;
            match lived {
                Ok(Ok(())) => {}
                Ok(Err(message)) => session.abort(Error::panicked(&message), &half).await,
                Err(error) => session.abort(error, &half).await,
            }
            session.leave_output(&half);
            session.report(&half)
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
    /// The `/tmp` of its processes, of which each sees the same.
    temporary: Arc<Temporary>,
    /// Counts the open files of its processes.
    open_files: Arc<OpenCount>,
    /// What a program has started that serves the session.
    children: Children,
}

/// The process that follows one that has ended.
struct NextProcess {
    /// Its plugin, or why there is none.
    plugin: Result<Arc<Plugin>, Error>,
    /// The program request that it gets.
    request: StartRequest,
    hand_over: HandOverState,
}

/// Why a process does not take the session.
enum OpenFailure {
    /// The plugin refused the session.
    Refused,
    /// The process could not be made, or failed in `open`.
    Stopped(Stop),
}

impl OpenFailure {
    /// What went wrong; none for a refusal and for WASI's `exit`.
    fn error(self) -> Option<Error> {
        match self {
            Self::Refused => None,
            Self::Stopped(stop) => stop.error(),
        }
    }
}

impl From<Stop> for OpenFailure {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

impl Session {
    /// Creates the session; `home` is the plugin that it is opened with.
    fn new(home: &Arc<Plugin>, facts: Facts, tenant: &Arc<Tenant>, plugins: &Arc<dyn Plugins>) -> Self {
        let router = Router::new(home, plugins, tenant, &facts);
        let usage = SessionUsage::new(tenant.limits()).of_tenant(tenant.budget());
        let (hand_over_check, processes) = (router.hand_over_check(), Processes::new(home, usage));
        Self {
            facts,
            tenant: Arc::clone(tenant),
            router,
            hand_over_check,
            opened: false,
            processes,
            temporary: Arc::default(),
            open_files: Arc::default(),
            children: Children::default(),
        }
    }

    /// Runs the session from its channel open to its exit.
    async fn run(&mut self, half: &mut SessionHalf) {
        let has_home = self.tenant.has_resident();
        let entered = if has_home { Box::pin(self.enter_home(half)).await } else { Ok(()) };
        let mut next = match entered {
            Ok(()) => self.begin(half).await,
            Err(error) => {
                self.serve_refusal(error, half).await;
                None
            }
        };
        while let Some(following) = next {
            next = Box::pin(self.start_next(following, half)).await;
        }
    }

    /// Ends the session at any point, after a timeout or a panic: no process is entered again.
    async fn abort(&mut self, error: Error, half: &SessionHalf) {
        self.children.kill(&self.facts, self.tenant.name()).await;
        // Whether there is a terminal is not known any more; one more return harms nobody.
        half.shared().host_line(&error.for_client(), true);
        half.shared().abort(error.exit());
        self.processes.set_error(Some(error));
    }

    fn report(self, half: &SessionHalf) -> Report {
        self.processes.report(self.opened, half.shared().outcome())
    }

    /// Makes the first process and answers the channel open.
    async fn begin(&mut self, half: &mut SessionHalf) -> Option<NextProcess> {
        let home = Arc::clone(self.router.home());
        match Box::pin(self.open(&home, half)).await {
            Ok(mut process) => {
                half.shared().answer_open(OpenReply::Accepted);
                self.opened = true;
                if self.facts.has_own_type() {
                    process.begin_without_program(half);
                }
                self.serve(process, None, half).await
            }
            Err(OpenFailure::Stopped(Stop::Failed(error))) if error.is_shortage() => {
                self.serve_refusal(error, half).await;
                None
            }
            Err(failure) => {
                let error = failure.error();
                let is_full = matches!(error, Some(Error::Full(_)));
                self.processes.set_error(error);
                half.shared().answer_open(if is_full { OpenReply::Full } else { OpenReply::Refused });
                None
            }
        }
    }

    /// The session has ended. Output that its client has not taken stays until it does, unless the tenant or the server
    /// runs out of room.
    fn leave_output(&self, half: &SessionHalf) {
        if half.shared().is_drained() {
            return;
        }
        let (plugin, stall) = (self.processes.plugin(), self.tenant.limits().output_stall);
        let owner = Arc::new(Owner {
            facts: self.facts.clone(),
            tenant: self.tenant.shared_name(),
            plugin: plugin.shared_name(),
        });
        let shared: Arc<dyn Finished> = Arc::clone(half.shared()) as _;
        for list in [&self.tenant.budget().unsent, &plugin.engine().totals().unsent] {
            half.keep(list.add(Arc::downgrade(&shared), stall, &owner));
        }
    }

    /// Serves the session without a process, because the tenant or the server has no room for one: any program request
    /// prints why, and ends the session.
    async fn serve_refusal(&mut self, error: Error, half: &mut SessionHalf) {
        if self.facts.has_own_type() {
            // There is no program request in whose place something could be printed.
            half.shared().answer_open(OpenReply::Full);
            self.processes.set_error(Some(error));
            return;
        }
        // A process that ran out of memory in `open` may have caught signals there, which nobody would take.
        half.shared().discard_process();
        let text = format!("whelk: {}\r\n", error.for_client());
        Box::pin(serve_notice(half, &text, error.exit())).await;
        // It has exited, unless its client has left before.
        half.shared().exit(error.exit(), None);
        self.processes.set_error(Some(error));
    }

    fn log_refusal(&self, request: &ChannelEvent, reason: &str) {
        if let Some(request) = ProgramRequest::of(request) {
            let (what, detail) = request.describe();
            self.log(self.processes.plugin()).refused(what, detail, reason);
        }
    }

    fn log(&self, plugin: &Plugin) -> LogBook {
        LogBook::new(plugin.shared_name(), &self.facts, Arc::clone(&self.tenant))
    }

    /// Makes a process of the plugin and asks it whether it takes the session. Boxed: each function that has it would
    /// add its size to that of the session.
    async fn open(&mut self, plugin: &Arc<Plugin>, half: &mut SessionHalf) -> Result<Box<Process>, OpenFailure> {
        let trial = Trial::begin(plugin, &self.tenant, &self.facts).map_err(Stop::Failed)?;
        trial.plugin().check_grants(&self.tenant).map_err(Stop::Failed)?;
        self.processes.runs(trial.plugin());
        let is_program = trial.plugin().world().is_program();
        let process = is_program.then(|| self.first_process(half));
        let context = ProcessContext {
            tenant: &self.tenant,
            facts: &self.facts,
            pipes: half.shared(),
            hand_over_check: &self.hand_over_check,
            purpose: Purpose::Session,
            usage: &self.processes.usage(),
            temporary: &self.temporary,
            session_files: &self.open_files,
            process: process.as_ref(),
        };
        // Boxed: it is large and soon over, and every session would carry its size for ever.
        let mut process = Box::new(Box::pin(Process::start(trial, &context)).await?);
        match process.open(half).await {
            Ok(true) => Ok(process),
            Ok(false) => {
                process.end().await;
                Err(OpenFailure::Refused)
            }
            Err(stop) => {
                process.end().await;
                Err(stop.into())
            }
        }
    }

    /// Runs a process, with a program request first if there is one. Returns what follows it, if the session goes on.
    ///
    /// Futures that most sessions need never, or once, are boxed: otherwise each session would hold their size while it
    /// lasts.
    async fn serve(
        &mut self,
        mut process: Box<Process>,
        mut request: Option<StartRequest>,
        half: &mut SessionHalf,
    ) -> Option<NextProcess> {
        let mut deliver_request = request.is_some();
        loop {
            let pause = process.run(half, request.as_ref().filter(|_| deliver_request)).await;
            deliver_request = false;
            match pause {
                Pause::Ended(how) => {
                    Box::pin(self.end_process(process, how, half)).await;
                    return None;
                }
                Pause::ProgramRequest(wanted) => {
                    let here = Arc::clone(self.processes.plugin());
                    match Box::pin(self.router.route(&wanted, Some(&here), half.shared())).await {
                        Route::Here(selection) => {
                            request = Some(self.router.start_request(wanted, selection, here.name()));
                            deliver_request = true;
                        }
                        Route::To(plugin, selection) => {
                            let request = self.router.start_request(wanted, selection, plugin.name());
                            let hand_over = Box::pin(self.end_for_hand_over(process, half)).await;
                            return Some(NextProcess { plugin: Ok(plugin), request, hand_over });
                        }
                        Route::Nowhere => half.shared().refuse_program(),
                        Route::Unavailable(notice) => {
                            let hand_over = Box::pin(self.end_for_hand_over(process, half)).await;
                            self.end_with_notice(&notice, &hand_over, half.shared());
                            return None;
                        }
                    }
                }
                Pause::HandOver(name) => {
                    // Permitted only after a program request was given.
                    let Some(StartRequest { event, .. }) = request.take() else { continue };
                    let request = self.router.start_request(event, Selection::HandOver, &name);
                    let found = Box::pin(self.router.wait_for(&name, half.shared())).await;
                    let notice = found.notice(&name);
                    let plugin = self.router.check_grants(found);
                    let hand_over = Box::pin(self.end_for_hand_over(process, half)).await;
                    let Some(notice) = notice else { return Some(NextProcess { plugin, request, hand_over }) };
                    self.end_with_notice(&notice, &hand_over, half.shared());
                    return None;
                }
            }
        }
    }

    /// Ends the process and with it the session: tells the client how, and the process why.
    async fn end_process(&mut self, mut process: Box<Process>, how: ProcessEnd, half: &mut SessionHalf) {
        let pipes = Arc::clone(half.shared());
        if self.children.are_left() {
            return Box::pin(self.end_with_children(process, how, &pipes)).await;
        }
        let closed = match how {
            ProcessEnd::Finished(exit) => {
                pipes.exit(exit, Some(Ending::Finished));
                process.close(half, Ending::Finished).await
            }
            ProcessEnd::HungUp(why) => {
                let notice = pipes.notice();
                pipes.begin_close();
                if let Some(notice) = &notice {
                    pipes.host_line(notice, process.has_terminal());
                }
                let closed = process.close(half, why).await;
                // The process may still have finished in its last call.
                let exit = pipes.take_finish().unwrap_or_else(|| exit_after_end(why, notice.as_deref()));
                pipes.exit(exit, Some(why));
                closed
            }
            ProcessEnd::Stopped(stop) => {
                if let Some(notice) = pipes.notice() {
                    pipes.host_line(&notice, process.has_terminal());
                }
                exit_after_stop(&stop, process.has_terminal(), Some(Ending::Finished), &pipes);
                Err(stop)
            }
        };
        self.processes.set_error(closed.err().and_then(Stop::error));
        process.end().await;
    }

    /// The program request leads to a plugin that is not ready, or to a program that cannot be run: accepts it, because
    /// nothing can be printed before that, prints why, and ends the session.
    fn end_with_notice(&self, notice: &LookupNotice, hand_over: &HandOverState, pipes: &Shared) {
        let (connection, channel, tenant) = (self.facts.connection(), self.facts.channel(), self.tenant.name());
        emit(LogEvent::SessionPutOff { connection, channel, tenant, reason: &notice.text });
        pipes.accept_for_host();
        let terminal = hand_over.pty.is_some();
        if notice.is_shells {
            let end = if terminal { "\r\n" } else { "\n" };
            pipes.push_whole(Output::Stderr, format!("{}{end}", notice.text).as_bytes());
        } else {
            pipes.host_line(&notice.text, terminal);
        }
        pipes.exit(Exit::Status(notice.status), None);
    }

    /// Closes and drops the process, so that another can have the session. The plugin is told [`Ending::Routed`], in
    /// every case: also if no other takes over after all, because the plugin that the session should go to is not ready
    /// (then the session ends), or cannot be started or refuses (then it ends, or waits without a process). Returns
    /// what the next process gets.
    async fn end_for_hand_over(&mut self, mut process: Box<Process>, half: &mut SessionHalf) -> HandOverState {
        half.shared().close_for_hand_over();
        let closed = process.close(half, Ending::Routed).await;
        self.processes.set_error(closed.err().and_then(Stop::error));
        half.shared().hand_over();
        let hand_over = process.take_hand_over();
        process.end().await;
        self.children.lose_parent();
        self.children.end(self.tenant.limits().grace, &self.facts, self.tenant.name()).await;
        hand_over
    }

    /// Starts the next process and serves the session with it, or waits for a program request that leads to another.
    async fn start_next(&mut self, next: NextProcess, half: &mut SessionHalf) -> Option<NextProcess> {
        let NextProcess { plugin, request, hand_over } = next;
        let pipes = Arc::clone(half.shared());
        if let Some((why, _)) = pipes.ended() {
            exit_without_process(why, &hand_over, &pipes);
            return None;
        }
        let opened = match plugin {
            Err(error) => Err(OpenFailure::Stopped(Stop::Failed(error))),
            Ok(plugin) => {
                self.log_hand_over(&plugin);
                self.processes.hand_over_to(&plugin);
                Box::pin(self.open(&plugin, half)).await
            }
        };
        match opened {
            Ok(mut process) => match Box::pin(process.replay(half, hand_over)).await {
                Ok(()) => self.serve(process, Some(request), half).await,
                Err(stop) => {
                    pipes.refuse_program();
                    self.end_process(process, ProcessEnd::Stopped(stop), half).await;
                    None
                }
            },
            Err(failure) if pipes.has_accepted() => {
                // The client was told that its program has started, and it has not: the session ends.
                match &failure {
                    OpenFailure::Refused => pipes.exit(Exit::Status(1), None),
                    OpenFailure::Stopped(stop) => exit_after_stop(stop, hand_over.pty.is_some(), None, &pipes),
                }
                self.processes.set_error(failure.error());
                None
            }
            Err(failure) => {
                pipes.discard_process();
                pipes.reply(false);
                if matches!(failure, OpenFailure::Refused) {
                    self.log_refusal(&request.event, "the plugin refused the session");
                }
                self.processes.set_error(failure.error());
                self.wait(hand_over, half).await
            }
        }
    }

    fn log_hand_over(&self, plugin: &Plugin) {
        let (connection, channel) = (self.facts.connection(), self.facts.channel());
        let (tenant, from) = (self.tenant.name(), self.processes.plugin().name());
        let (plugin, generation) = (plugin.name(), plugin.generation());
        emit(LogEvent::SessionPassedOn { connection, channel, tenant, plugin, generation, from });
    }

    /// Waits, without a process, for a program request that is routed to a plugin.
    async fn wait(&mut self, mut hand_over: HandOverState, half: &mut SessionHalf) -> Option<NextProcess> {
        let pipes = Arc::clone(half.shared());
        loop {
            if let Some((why, _)) = pipes.ended() {
                exit_without_process(why, &hand_over, &pipes);
                return None;
            }
            tokio::task::consume_budget().await;
            match half.next() {
                None => half.arrival().await,
                Some(InputItem::ChannelEvent(ChannelEvent::Eof | ChannelEvent::Close)) => {}
                Some(InputItem::ChannelEvent(ChannelEvent::HostVariable { name, value })) => {
                    hand_over.keep(name, value)
                }
                // The inbox keeps the newest size.
                Some(InputItem::ChannelEvent(ChannelEvent::WindowChange(_))) => pipes.reply(true),
                Some(InputItem::ChannelEvent(request)) => {
                    let route = match ProgramRequest::of(&request) {
                        Some(_) => Box::pin(self.router.route(&request, None, &pipes)).await,
                        None => Route::Nowhere,
                    };
                    match route {
                        Route::To(plugin, selection) => {
                            pipes.hand_over();
                            let request = self.router.start_request(request, selection, plugin.name());
                            return Some(NextProcess { plugin: Ok(plugin), request, hand_over });
                        }
                        Route::Unavailable(notice) => {
                            self.end_with_notice(&notice, &hand_over, &pipes);
                            return None;
                        }
                        Route::Here(_) | Route::Nowhere => pipes.reply(false),
                    }
                }
                Some(InputItem::Data { .. }) => half.taken(),
            }
        }
    }
}

/// Ends the session after its process crashed, met a limit, or called WASI's `exit`. `ending`: that of WASI's `exit`.
fn exit_after_stop(stop: &Stop, terminal: bool, ending: Option<Ending>, pipes: &Shared) {
    match stop {
        Stop::Exited(status) => pipes.exit(Exit::Status(*status), ending),
        Stop::Failed(error) => {
            pipes.host_line(&error.for_client(), terminal);
            pipes.exit(error.exit(), None);
        }
    }
}

/// Ends a session that the connection's side has ended while it had no process.
fn exit_without_process(why: Ending, hand_over: &HandOverState, pipes: &Shared) {
    let notice = pipes.notice();
    if let Some(notice) = &notice {
        pipes.host_line(notice, hand_over.pty.is_some());
    }
    pipes.exit(exit_after_end(why, notice.as_deref()), Some(why));
}

/// The exit of a session that was ended from outside: its client or connection is gone, its version is retired, or an
/// operator ended it. `notice`: the message for the client about the last two.
fn exit_after_end(why: Ending, notice: Option<&str>) -> Exit {
    let message = notice.unwrap_or(match why {
        Ending::Finished => "finished",
        Ending::ClientClosed => "the client closed the channel",
        Ending::ConnectionLost => "connection lost",
        Ending::Drained => "the server is shutting down",
        Ending::Routed => "another plugin took over",
    });
    Exit::Signal { name: SignalName::Hup, core_dumped: false, message: message.to_owned() }
}
