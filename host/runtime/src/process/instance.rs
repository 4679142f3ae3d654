//! One plugin's part of a session: an instance is made, opened, told what happens in the client's order, and closed. Which plugin that is,
//! and what comes before and after, is not known here (`session.rs`).
//!
//! ```text
//! instantiate -> open --false--> refused
//!                  | true
//!                  v
//!        what comes next: input, a timer, room, a message  <--.
//!                  |                                           |
//!                  '---------- one call at a time -------------'
//!                  | finish            | the other side ends it     | a trap, a limit         | another plugin takes over
//!                  v                   v                            v                         v
//!         exit, closed(finished)   closed(why), exit   exit; dropped unentered         closed(routed)
//! ```

mod body;
mod guest;
mod smoke;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::channel::{Due, Next, SessionSide, Stage};
use crate::channel_event::{ChannelEvent, Ending, Exit, Pty, SignalName};
use crate::error::Stop;
use crate::event::{Event, emit};
use crate::grants::topics::Mail;
use crate::host::bindings::imports::types as wit;
use crate::host::{Handoff, State};
use crate::plugin::Presence;
use crate::plugin::health::trial::Trial;
use crate::plugin::lookup::Start;
use crate::session::report::Report;
use crate::tenant::Tenant;
use guest::Guest;

/// Why an instance has stopped taking what comes.
pub(crate) enum Pause {
    /// The session is over. The client was told, and the plugin where it could be.
    Over,
    /// The client wants something to be started, and nothing was yet. Which plugin serves it is not decided here.
    Start(ChannelEvent),
    /// The plugin wants the one of this name to take over.
    HandOver(String),
}

/// An instance and the session that it serves.
pub(crate) struct Instance<'s> {
    guest: Guest,
    /// It is one of the plugin's live sessions.
    _presence: Presence,
    side: &'s mut SessionSide,
    tenant: Arc<Tenant>,
    /// Whether this version of the plugin starts is still to be seen.
    trial: Trial,
    /// Whose turn it is when several have something: timers, the client, messages.
    turn: u8,
}

/// What the session does next.
enum Step {
    Timer(u32),
    Caught(SignalName),
    Writable,
    Mail(Mail),
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

impl<'s> Instance<'s> {
    /// Makes one of the plugin that is on trial.
    pub(crate) async fn new(
        mut trial: Trial,
        presence: Presence,
        state: State,
        side: &'s mut SessionSide,
        tenant: &Arc<Tenant>,
    ) -> Result<Self, Stop> {
        match Guest::new(trial.plugin(), Arc::clone(side.shared()), state).await {
            Ok(guest) => Ok(Self { guest, _presence: presence, side, tenant: Arc::clone(tenant), trial, turn: 0 }),
            Err(stop) => {
                trial.saw(&stop);
                Err(stop)
            }
        }
    }

    /// Whether the plugin takes the session.
    pub(crate) async fn open(&mut self) -> Result<bool, Stop> {
        let opened = call!(self, |functions, store| functions.session.call_open(store));
        opened.inspect_err(|stop| self.trial.saw(stop))
    }

    /// Tells the plugin what the client has prepared and an earlier one has accepted. Its own answers reach nobody: the variables and the
    /// terminal are there, and a no to the terminal only keeps its settings from applying.
    pub(crate) async fn prepare(&mut self, handoff: Handoff) -> Result<(), Stop> {
        for (name, value) in handoff.env {
            if self.is_over() {
                return Ok(());
            }
            call!(self, |functions, store| functions.session.call_env(store, &name, &value))?;
            self.guest.state().keep_env(name, value);
        }
        let Some(pty) = handoff.pty.filter(|_| !self.is_over()) else { return Ok(()) };
        let (asked, size) = (wit::Pty::from(pty.clone()), pty.size);
        self.guest.state().keep_pty(pty);
        if !call!(self, |functions, store| functions.session.call_pty_req(store, &asked))? {
            self.guest.state().forget_modes();
        }
        // What was told to an earlier plugin would not be told again.
        let resized = self.side.shared().size().is_some_and(|newest| newest != size);
        if resized && !self.is_over() { self.resize().await } else { Ok(()) }
    }

    /// Takes what comes, a start request first if there is one, until somebody else has to decide.
    pub(crate) async fn run(&mut self, start: Option<&ChannelEvent>, report: &mut Report) -> Pause {
        if let Some(start) = start
            && let Err(stop) = self.start(start).await
        {
            self.stop(stop, report);
            return Pause::Over;
        }
        loop {
            tokio::task::consume_budget().await;
            let step = match self.side.shared().due() {
                Due::Finish(exit) => {
                    self.finish(exit, report).await;
                    return Pause::Over;
                }
                Due::HandOver(plugin) => return Pause::HandOver(plugin),
                Due::Ended(why, since) => match self.rest(why, since) {
                    Some(next) => Step::Next(next),
                    None => {
                        self.hang_up(why, report).await;
                        return Pause::Over;
                    }
                },
                Due::Nothing => match self.ready() {
                    Some(step) => step,
                    None => {
                        self.park().await;
                        continue;
                    }
                },
            };
            let taken = match step {
                Step::Next(Next::ChannelEvent(event)) if self.is_first_start(&event) => return Pause::Start(event),
                step => self.take(step).await,
            };
            if let Err(stop) = taken {
                self.stop(stop, report);
                return Pause::Over;
            }
        }
    }

    /// Whether this is a start request, and none was accepted before.
    fn is_first_start(&self, event: &ChannelEvent) -> bool {
        Start::of(event).is_some() && self.side.shared().stage() == Stage::Waiting
    }

    /// Another plugin takes over: this one is told, and then it is gone.
    pub(crate) async fn leave(mut self, report: &mut Report) -> Handoff {
        self.side.shared().close_for_handoff();
        report.error = self.closed(Ending::Routed).await.err().and_then(Stop::error);
        // What this one caught does not interrupt the next.
        self.side.shared().catch(Vec::new());
        self.side.shared().hand_off();
        let handoff = self.guest.state().take_handoff();
        self.end().await;
        handoff
    }

    /// It is let go.
    pub(crate) async fn end(self) {
        self.guest.reap().await;
    }

    /// Whether the session has been ended, by the plugin or by the other side.
    fn is_over(&self) -> bool {
        self.side.shared().is_ending()
    }

    /// The plugin has said how it ends.
    async fn finish(&mut self, exit: Exit, report: &mut Report) {
        self.side.shared().exit(exit, Some(Ending::Finished));
        report.error = self.closed(Ending::Finished).await.err().and_then(Stop::error);
    }

    /// The connection's side has ended the session.
    async fn hang_up(&mut self, why: Ending, report: &mut Report) {
        let words = self.side.shared().words();
        self.side.shared().close();
        if let Some(words) = &words {
            self.guest.state().last_words(words);
        }
        report.error = self.closed(why).await.err().and_then(Stop::error);
        // A plugin may still say how it ended; nobody else knows better than that it was hung up on.
        let exit = self.side.shared().take_finish().unwrap_or_else(|| hung_up(why, words.as_deref()));
        self.side.shared().exit(exit, Some(why));
    }

    /// The plugin crashed, was stopped, or called WASI's `exit`: it is not entered again.
    pub(crate) fn stop(&mut self, stop: Stop, report: &mut Report) {
        if let Some(words) = self.side.shared().words() {
            self.guest.state().last_words(&words);
        }
        self.trial.saw(&stop);
        match stop {
            Stop::Exited(status) => self.side.shared().exit(Exit::Status(status), Some(Ending::Finished)),
            Stop::Failed(error) => {
                self.guest.state().last_words(&error.for_client());
                self.side.shared().exit(error.exit(), None);
                report.error = Some(error);
            }
        }
    }

    async fn closed(&mut self, why: Ending) -> Result<(), Stop> {
        let (watch, functions, store) = self.guest.enter(self.tenant.limits().closed_ticks);
        let result = watch.run(true, pin!(functions.session.call_closed(store, why.into()))).await;
        self.guest.leave(result)
    }

    /// What is to be done now. Timers, the client and messages take turns, so that none keeps the others waiting for ever.
    fn ready(&mut self) -> Option<Step> {
        self.turn = (self.turn + 1) % 3;
        match self.turn {
            0 => self.due_timer().or_else(|| self.arrived()).or_else(|| self.mail()),
            1 => self.arrived().or_else(|| self.mail()).or_else(|| self.due_timer()),
            _ => self.mail().or_else(|| self.due_timer()).or_else(|| self.arrived()),
        }
    }

    fn mail(&mut self) -> Option<Step> {
        self.guest.state().mailbox()?.take().map(Step::Mail)
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
            || self.side.shared().stage() != Stage::Running
            || since.elapsed() > self.tenant.limits().grace
        {
            return None;
        }
        loop {
            match self.side.next()? {
                next @ (Next::Data { .. } | Next::ChannelEvent(ChannelEvent::Eof | ChannelEvent::Close)) => {
                    return Some(next);
                }
                Next::ChannelEvent(_) => {}
            }
        }
    }

    /// Waits until [`ready`](Self::ready) may have something.
    async fn park(&mut self) {
        let mut alarm: Option<Pin<Box<Sleep>>> = self.guest.state().timers().next().map(|at| Box::pin(sleep_until(at)));
        let watches_room = self.guest.has_drain_handler() && self.side.shared().stage() == Stage::Running;
        let (side, mailbox) = (&*self.side, self.guest.state().mailbox());
        poll_fn(|context| {
            let pipes = side.shared();
            pipes.listen(context);
            if pipes.ended().is_some() || side.has_next() || (watches_room && pipes.has_writable_or_watches()) {
                return Poll::Ready(());
            }
            if mailbox.is_some_and(|mailbox| mailbox.has_mail_or_listens(context)) {
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
            Step::Mail(mail) => self.deliver(mail).await,
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
            Step::Next(Next::ChannelEvent(event)) => self.happen(event).await,
        }
    }

    async fn deliver(&mut self, mail: Mail) -> Result<(), Stop> {
        match mail {
            Mail::Message { topic, data } => {
                call_if!(self, message, |handler, store| handler.call_on_message(store, &topic, &data)).map(|_| ())
            }
            Mail::Lagged { topic, missed } => {
                call_if!(self, message, |handler, store| handler.call_on_lagged(store, &topic, missed)).map(|_| ())
            }
        }
    }

    /// Tells the plugin of one event and answers it.
    async fn happen(&mut self, event: ChannelEvent) -> Result<(), Stop> {
        let answer = match event {
            ChannelEvent::Eof => return call!(self, |functions, store| functions.session.call_eof(store)),
            ChannelEvent::Close => return call!(self, |functions, store| functions.session.call_close(store)),
            // One was accepted before: there is no second.
            ChannelEvent::Shell | ChannelEvent::Exec(_) | ChannelEvent::Subsystem(_) => {
                if let Some(start) = Start::of(&event) {
                    self.refused(&start, "the session has started a program before");
                }
                Ok(false)
            }
            ChannelEvent::Env { name, value } => self.env(name, value).await,
            ChannelEvent::PtyReq(pty) => self.pty_req(pty).await,
            ChannelEvent::WindowChange(_) => self.resize().await.map(|()| true),
            ChannelEvent::Signal(name) => {
                let name = name.into();
                call!(self, |functions, store| functions.session.call_signal(store, &name)).map(|()| true)
            }
            ChannelEvent::Break { length_ms } => call_if!(self, line_break, |handler, store| handler
                .call_on_break(store, length_ms))
            .map(|handled| handled.is_some()),
            ChannelEvent::Request { name, payload } => call_if!(self, request, |handler, store| handler
                .call_on_request(store, &name, &payload))
            .map(|answer| answer.unwrap_or(false)),
        };
        self.side.shared().reply(*answer.as_ref().unwrap_or(&false));
        answer.map(|_| ())
    }

    /// Gives the plugin a start request and answers it, unless the plugin's first output has, or another plugin is to. A plugin that
    /// crashes in one has been started.
    async fn start(&mut self, start: &ChannelEvent) -> Result<(), Stop> {
        let Some(start) = Start::of(start).filter(|_| self.side.shared().begin_start()) else { return Ok(()) };
        if !matches!(start, Start::Shell) {
            self.trial.told();
        }
        let started = match start {
            Start::Shell => call!(self, |functions, store| functions.session.call_shell(store)),
            Start::Exec(command) => call!(self, |functions, store| functions.session.call_exec(store, command)),
            Start::Subsystem(name) => call!(self, |functions, store| functions.session.call_subsystem(store, name)),
        };
        if matches!(started, Ok(true)) {
            self.trial.passed();
        }
        match started {
            Ok(accepted) => {
                if self.side.shared().start_returned(accepted) {
                    self.refused(&start, "the plugin refused it");
                }
            }
            Err(_) => self.side.shared().start_failed(),
        }
        started.map(|_| ())
    }

    fn refused(&mut self, start: &Start<'_>, reason: &str) {
        let (what, detail) = start.describe();
        self.guest.state().log_refusal(what, detail, reason);
    }

    async fn env(&mut self, name: String, value: Vec<u8>) -> Result<bool, Stop> {
        let is_early = self.side.shared().stage() == Stage::Waiting;
        if !is_early || !self.guest.state().has_room_for_env(&name, &value) {
            return Ok(false);
        }
        self.trial.told();
        let accepted = call!(self, |functions, store| functions.session.call_env(store, &name, &value))?;
        if accepted {
            self.guest.state().keep_env(name, value);
        } else {
            emit(Event::SessionVariableRefused { plugin: self.trial.plugin().name(), name: &name });
        }
        Ok(accepted)
    }

    async fn pty_req(&mut self, pty: Pty) -> Result<bool, Stop> {
        if self.side.shared().stage() != Stage::Waiting {
            return Ok(false);
        }
        self.trial.told();
        let asked = wit::Pty::from(pty.clone());
        let accepted = call!(self, |functions, store| functions.session.call_pty_req(store, &asked))?;
        if accepted {
            self.guest.state().keep_pty(pty);
        } else {
            self.guest.state().log_refusal("pty-req", Some(pty.term.as_bytes()), "the plugin refused it");
        }
        Ok(accepted)
    }

    /// The newest size, which may be newer than the one that was queued.
    async fn resize(&mut self) -> Result<(), Stop> {
        let size = self.side.shared().size().unwrap_or_default().into();
        call!(self, |functions, store| functions.session.call_window_change(store, size))
    }
}

/// The end of a program whose client or connection went away, or whose version did, with these words.
pub(crate) fn hung_up(why: Ending, words: Option<&str>) -> Exit {
    let message = words.unwrap_or(match why {
        Ending::Finished => "finished",
        Ending::ClientClosed => "the client closed the channel",
        Ending::ConnectionLost => "connection lost",
        Ending::Drained => "the server is shutting down",
        Ending::Routed => "another plugin took over",
    });
    Exit::Signal { name: SignalName::Hup, core_dumped: false, message: message.to_owned() }
}
