//! The life of a session: an instance is made, opened, told what happens in the client's order, and closed.
//!
//! ```text
//! instantiate -> open --false--> refused
//!                  | true
//!                  v
//!              what comes next: input, a timer, room again  <--.
//!                  |                                           |
//!                  '---------- one call at a time -------------'
//!                  | finish            | the other side ends it     | a trap, a limit
//!                  v                   v                            v
//!         exit, closed(finished)   closed(why), exit            exit, and the instance is dropped unentered
//! ```

mod guest;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::bindings::imports::types as wit;
use crate::error::{Error, Stop};
use crate::happening::{Ending, Exit, Facts, Happening, Pty, SignalName};
use crate::host::{LogBook, Phase, State};
use crate::pipe::{Message, Next, SessionSide};
use crate::plugin::Plugin;
use crate::tenant::Tenant;
use guest::Guest;

/// How a session went, for the operator.
#[derive(Debug, Default)]
pub struct Report {
    /// The plugin took the session.
    pub opened: bool,
    /// Why it is over; none if it was refused, crashed or was stopped.
    pub ending: Option<Ending>,
    /// What the client was told; none if it was refused.
    pub exit: Option<Exit>,
    /// What went wrong, whole. A plugin may also fail in its last call, after an orderly ending.
    pub error: Option<Error>,
    /// Processor time used, in ticks of 1 ms; calls shorter than a tick count nothing.
    pub cpu_ticks: u64,
    /// The most linear memory that it had, bytes.
    pub peak_memory: usize,
}

impl Plugin {
    /// One session of a tenant with this plugin, from the opening of its channel to its end. Spawn it; dropping it ends the session without another
    /// word to the plugin, and the connection still hears an exit (status 70).
    pub fn session(
        self: &Arc<Self>,
        facts: Facts,
        tenant: &Arc<Tenant>,
        side: SessionSide,
    ) -> impl Future<Output = Report> + Send + use<> {
        let plugin = Arc::clone(self);
        let tenant = Arc::clone(tenant);
        async move {
            if let Err(error) = plugin.admit(tenant.grants()) {
                side.shared().say(Message::Opened(false));
                return Report { error: Some(error), ..Report::default() };
            }
            let log = LogBook::new(plugin.shared_name(), &facts, Arc::clone(&tenant));
            let state = State::new(Arc::clone(side.shared()), facts, log, Arc::clone(&tenant));
            // Boxed: it is large and soon over, and every session would carry its size for ever.
            match Box::pin(Guest::new(&plugin, Arc::clone(side.shared()), state)).await {
                Ok(guest) => Box::new(Session { guest, side, tenant, timer_first: false }).live().await,
                Err(stop) => {
                    side.shared().say(Message::Opened(false));
                    Report { error: error_of(stop), ..Report::default() }
                }
            }
        }
    }
}

fn error_of(stop: Stop) -> Option<Error> {
    match stop {
        Stop::Exited(_) => None,
        Stop::Failed(error) => Some(error),
    }
}

/// A session whose instance is made.
struct Session {
    guest: Guest,
    side: SessionSide,
    tenant: Arc<Tenant>,
    /// Whose turn it is when both a timer and something else are due.
    timer_first: bool,
}

/// What the session does next.
enum Step {
    Timer(u32),
    Caught(SignalName),
    Writable,
    Next(Next),
}

/// Calls one function of the plugin and says how that went.
macro_rules! call {
    ($session:ident, |$functions:ident, $store:ident| $call:expr) => {{
        let (watch, $functions, $store) = $session.guest.enter($session.tenant.limits().call_ticks);
        let result = watch.run(false, pin!($call)).await;
        $session.guest.leave(result)
    }};
}

/// The same for an optional function; `None` if the plugin has none.
macro_rules! call_if {
    ($session:ident, $handler:ident, |$functions:ident, $store:ident| $call:expr) => {{
        let (watch, functions, $store) = $session.guest.enter($session.tenant.limits().call_ticks);
        match &functions.$handler {
            Some($functions) => {
                let result = watch.run(false, pin!($call)).await;
                $session.guest.leave(result).map(Some)
            }
            None => Ok(None),
        }
    }};
}

impl Session {
    async fn live(mut self: Box<Self>) -> Report {
        let mut report = Report::default();
        match call!(self, |functions, store| functions.session.call_open(store)) {
            Ok(opened) => {
                self.say(Message::Opened(opened));
                report.opened = opened;
                if opened {
                    self.run(&mut report).await;
                }
            }
            Err(stop) => {
                self.say(Message::Opened(false));
                report.error = error_of(stop);
            }
        }
        report.cpu_ticks = self.guest.ticks();
        report.peak_memory = self.guest.state().memory().peak();
        report
    }

    /// From the opening to the end.
    async fn run(&mut self, report: &mut Report) {
        loop {
            tokio::task::consume_budget().await;
            if let Some(exit) = self.guest.state().take_timely_finish() {
                self.guest.state().close();
                self.say(Message::Exit(Box::new(exit.clone())));
                report.error = self.closed(Ending::Finished).await.err().and_then(error_of);
                report.ending = Some(Ending::Finished);
                report.exit = Some(exit);
                return;
            }
            match self.next().await {
                Err(why) => return self.end(why, report).await,
                Ok(step) => {
                    if let Err(stop) = self.take(step).await {
                        return self.stop(stop, report);
                    }
                }
            }
        }
    }

    /// The connection's side has ended the session.
    async fn end(&mut self, why: Ending, report: &mut Report) {
        self.guest.state().close();
        report.error = self.closed(why).await.err().and_then(error_of);
        // A plugin may still say how it ended; nobody else knows better than that it was hung up on.
        let exit = self.guest.state().take_finish().unwrap_or_else(|| hung_up(why));
        self.say(Message::Exit(Box::new(exit.clone())));
        report.ending = Some(why);
        report.exit = Some(exit);
    }

    /// The plugin crashed, was stopped, or called WASI's `exit`: it is not entered again.
    fn stop(&mut self, stop: Stop, report: &mut Report) {
        let exit = match stop {
            Stop::Exited(status) => {
                report.ending = Some(Ending::Finished);
                Exit::Status(status)
            }
            Stop::Failed(error) => {
                self.guest.state().last_words(&error.for_client());
                let exit = error.exit();
                report.error = Some(error);
                exit
            }
        };
        self.say(Message::Exit(Box::new(exit.clone())));
        report.exit = Some(exit);
    }

    async fn closed(&mut self, why: Ending) -> Result<(), Stop> {
        let (watch, functions, store) = self.guest.enter(self.tenant.limits().closed_ticks);
        let result = watch.run(true, pin!(functions.session.call_closed(store, why.into()))).await;
        self.guest.leave(result)
    }

    fn say(&self, message: Message) {
        self.side.shared().say(message);
    }

    /// Waits for what comes next; an error is the end.
    async fn next(&mut self) -> Result<Step, Ending> {
        loop {
            if let Some(step) = self.ready() {
                return step;
            }
            self.park().await;
        }
    }

    /// What is to be done now. Timers and the rest take turns, so that neither keeps the other waiting for ever.
    fn ready(&mut self) -> Option<Result<Step, Ending>> {
        if let Some((why, since)) = self.side.shared().ended() {
            return Some(self.rest(why, since).map(Step::Next).ok_or(why));
        }
        self.timer_first = !self.timer_first;
        let step = if self.timer_first {
            self.due_timer().or_else(|| self.arrived())
        } else {
            self.arrived().or_else(|| self.due_timer())
        };
        step.map(Ok)
    }

    fn due_timer(&mut self) -> Option<Step> {
        let timers = self.guest.state().timers();
        timers.next()?;
        timers.take_due(Instant::now()).map(Step::Timer)
    }

    fn arrived(&mut self) -> Option<Step> {
        if let Some(name) = self.side.shared().take_caught() {
            return Some(Step::Caught(name));
        }
        if self.guest.has_drain_handler() && self.side.shared().take_writable() {
            return Some(Step::Writable);
        }
        self.side.next().map(Step::Next)
    }

    /// What a client sent before it closed is still delivered, for as long as the grace lasts; its requests are not.
    fn rest(&mut self, why: Ending, since: Instant) -> Option<Next> {
        if why != Ending::ClientClosed
            || self.guest.state().phase() != Phase::Running
            || since.elapsed() > self.tenant.limits().grace
        {
            return None;
        }
        loop {
            match self.side.next()? {
                next @ (Next::Data { .. } | Next::Happening(Happening::Eof | Happening::Close)) => return Some(next),
                Next::Happening(_) | Next::Answered { .. } => {}
            }
        }
    }

    /// Waits until [`ready`](Self::ready) may have something.
    async fn park(&mut self) {
        let mut alarm: Option<Pin<Box<Sleep>>> = self.guest.state().timers().next().map(|at| Box::pin(sleep_until(at)));
        let watches_room = self.guest.has_drain_handler() && self.guest.state().phase() == Phase::Running;
        let side = &self.side;
        poll_fn(|context| {
            let pipes = side.shared();
            pipes.listen(context);
            if pipes.ended().is_some() || side.has_next() || (watches_room && pipes.has_writable_or_watches()) {
                return Poll::Ready(());
            }
            match alarm.as_mut() {
                Some(alarm) => alarm.as_mut().poll(context),
                None => Poll::Pending,
            }
        })
        .await;
    }

    async fn take(&mut self, step: Step) -> Result<(), Stop> {
        match step {
            Step::Timer(number) => {
                call_if!(self, timer, |handler, store| handler.call_on_timer(store, number)).map(|_| ())
            }
            Step::Writable => call_if!(self, drain, |handler, store| handler.call_on_writable(store)).map(|_| ()),
            Step::Caught(name) if name.as_str() == "WINCH" => self.resize().await,
            Step::Caught(name) => {
                let name = name.into();
                call!(self, |functions, store| functions.session.call_signal(store, &name))
            }
            Step::Next(Next::Data { kind }) => {
                let result = match kind {
                    None => call!(self, |functions, store| functions.session.call_data(store, self.side.data())),
                    Some(kind) => {
                        call!(self, |functions, store| functions.session.call_extended_data(
                            store,
                            kind,
                            self.side.data()
                        ))
                    }
                };
                self.side.taken();
                result
            }
            Step::Next(Next::Answered { success, times }) => {
                (0..times).for_each(|_| self.say(Message::Reply(success)));
                Ok(())
            }
            Step::Next(Next::Happening(happening)) => self.happen(happening).await,
        }
    }

    /// Tells the plugin of one happening and answers it.
    async fn happen(&mut self, happening: Happening) -> Result<(), Stop> {
        let answer = match happening {
            Happening::Eof => return call!(self, |functions, store| functions.session.call_eof(store)),
            Happening::Close => return call!(self, |functions, store| functions.session.call_close(store)),
            // One was accepted before: there is no second.
            Happening::Shell | Happening::Exec(_) | Happening::Subsystem(_) if !self.guest.state().begin_start() => {
                Ok(false)
            }
            Happening::Shell => {
                let started = call!(self, |functions, store| functions.session.call_shell(store));
                return self.started(started);
            }
            Happening::Exec(command) => {
                let started = call!(self, |functions, store| functions.session.call_exec(store, &command));
                return self.started(started);
            }
            Happening::Subsystem(name) => {
                let started = call!(self, |functions, store| functions.session.call_subsystem(store, &name));
                return self.started(started);
            }
            Happening::Env { name, value } => self.env(name, value).await,
            Happening::PtyReq(pty) => self.pty_req(pty).await,
            Happening::WindowChange(_) => self.resize().await.map(|()| true),
            Happening::Signal(name) => {
                let name = name.into();
                call!(self, |functions, store| functions.session.call_signal(store, &name)).map(|()| true)
            }
            Happening::Break { length_ms } => call_if!(self, line_break, |handler, store| handler
                .call_on_break(store, length_ms))
            .map(|handled| handled.is_some()),
            Happening::Request { name, payload } => call_if!(self, request, |handler, store| handler
                .call_on_request(store, &name, &payload))
            .map(|answer| answer.unwrap_or(false)),
        };
        self.say(Message::Reply(*answer.as_ref().unwrap_or(&false)));
        answer.map(|_| ())
    }

    async fn env(&mut self, name: String, value: Vec<u8>) -> Result<bool, Stop> {
        let state = self.guest.state();
        if state.phase() != Phase::Waiting || !state.has_room_for_env(&name, &value) {
            return Ok(false);
        }
        let accepted = call!(self, |functions, store| functions.session.call_env(store, &name, &value))?;
        if accepted {
            self.guest.state().keep_env(name, value);
        }
        Ok(accepted)
    }

    async fn pty_req(&mut self, pty: Pty) -> Result<bool, Stop> {
        if self.guest.state().phase() != Phase::Waiting {
            return Ok(false);
        }
        let asked = wit::Pty::from(pty.clone());
        let accepted = call!(self, |functions, store| functions.session.call_pty_req(store, &asked))?;
        if accepted {
            self.guest.state().keep_pty(pty);
        }
        Ok(accepted)
    }

    /// The newest size, which may be newer than the one that was queued.
    async fn resize(&mut self) -> Result<(), Stop> {
        let size = self.side.shared().size().unwrap_or_default().into();
        call!(self, |functions, store| functions.session.call_window_change(store, size))
    }

    /// Answers a start request, unless the plugin's first output has. A plugin that crashes in one has been started.
    fn started(&mut self, started: Result<bool, Stop>) -> Result<(), Stop> {
        match started {
            Ok(false) => self.guest.state().refuse(),
            Ok(true) | Err(_) => self.guest.state().accept(),
        }
        started.map(|_| ())
    }
}

/// The end of a program whose client or connection went away.
fn hung_up(why: Ending) -> Exit {
    let message = match why {
        Ending::Finished => "finished",
        Ending::ClientClosed => "the client closed the channel",
        Ending::ConnectionLost => "connection lost",
        Ending::Drained => "the server is shutting down",
        Ending::Routed => "another plugin took over",
    };
    Exit::Signal { name: SignalName::Hup, core_dumped: false, message: message.to_owned() }
}
