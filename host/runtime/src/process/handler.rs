//! The world `session-plugin`: a process whose functions are called for each event, one call at a time, in the client's
//! order.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::time::{Instant, Sleep, sleep_until};

use super::functions::HandlerFunctions;
use super::guest::Guest;
use super::pause::{Pause, ProcessEnd};
use crate::channel::{InputItem, NextAction, SessionHalf, Stage};
use crate::error::Stop;
use crate::event::{LogEvent, emit};
use crate::grants::topics::Mail;
use crate::host::bindings::imports::types as wit;
use crate::host::{HandOverState, lock, raw};
use crate::limits::{Limits, ticks};
use crate::plugin::health::trial::Trial;
use crate::session_types::{ChannelEvent, Ending, ProgramRequest, Pty, SignalName};

/// A process of this world, for as long as it is served without a pause.
pub(super) struct Handler<'p> {
    pub(super) guest: &'p mut Guest,
    pub(super) functions: &'p HandlerFunctions,
    /// Rotates through timers, input and messages, so that none starves.
    pub(super) next_source: &'p mut u8,
    pub(super) trial: &'p mut Trial,
    pub(super) limits: &'p Limits,
    /// Where its events come from.
    pub(super) half: &'p mut SessionHalf,
}

/// One thing to deliver to the plugin: a timer, a signal that is no request, writability, a message, or input.
enum Step {
    Timer(u32),
    Signal(SignalName),
    Writable,
    Mail(Mail),
    Input(InputItem),
}

/// Calls one function of the plugin.
macro_rules! call {
    ($handler:ident, |$functions:ident, $store:ident| $call:expr) => {{
        let $functions = $handler.functions;
        let (call_limits, $store) = $handler.guest.begin_call(ticks($handler.limits.cpu_call));
        let result = call_limits.run(false, pin!($call)).await;
        $handler.guest.leave(result)
    }};
}

/// The same for an optional function; `None` if the plugin has none.
macro_rules! call_if {
    ($handler:ident, $interface:ident, |$functions:ident, $store:ident| $call:expr) => {{
        match &$handler.functions.$interface {
            Some($functions) => {
                let (call_limits, $store) = $handler.guest.begin_call(ticks($handler.limits.cpu_call));
                let result = call_limits.run(false, pin!($call)).await;
                $handler.guest.leave(result).map(Some)
            }
            None => Ok(None),
        }
    }};
}

impl Handler<'_> {
    /// Whether the plugin takes the session.
    pub(super) async fn open(&mut self) -> Result<bool, Stop> {
        let opened = call!(self, |functions, store| functions.session.call_open(store));
        opened.inspect_err(|stop| self.trial.saw(stop))
    }

    /// Repeats the environment and the terminal that an earlier process accepted. The client has its answers: a refusal
    /// of the terminal only drops its settings.
    pub(super) async fn replay(&mut self, hand_over: HandOverState) -> Result<(), Stop> {
        self.replay_calls(hand_over).await.inspect_err(|stop| self.trial.saw(stop))
    }

    async fn replay_calls(&mut self, hand_over: HandOverState) -> Result<(), Stop> {
        for (name, value) in hand_over.env {
            if self.is_over() {
                return Ok(());
            }
            call!(self, |functions, store| functions.session.call_env(store, &name, &value))?;
            self.guest.state().channel.keep_env(name, value);
        }
        let Some(pty) = hand_over.pty.filter(|_| !self.is_over()) else { return Ok(()) };
        let (asked, size) = (wit::Pty::from(pty.clone()), pty.size);
        self.keep_pty(pty);
        if !call!(self, |functions, store| functions.session.call_pty_req(store, &asked))? {
            lock(&self.guest.state().terminal).forget();
            self.half.shared().set_terminal_modes(&raw(&[]), false);
        }
        // A resize that an earlier process was told of is not queued again.
        let resized = self.half.shared().size().is_some_and(|newest| newest != size);
        if resized && !self.is_over() { self.resize().await } else { Ok(()) }
    }

    /// Handles events, a program request first if there is one, until the session has to decide.
    pub(super) async fn run(mut self, request: Option<&ChannelEvent>) -> Pause {
        if let Some(request) = request
            && let Err(stop) = Box::pin(self.start_program(request)).await
        {
            return self.stopped(stop);
        }
        loop {
            tokio::task::consume_budget().await;
            let step = match self.half.shared().next_action() {
                NextAction::Finish(exit) => return Pause::Ended(ProcessEnd::Finished(exit)),
                NextAction::HandOver(plugin) => return Pause::HandOver(plugin),
                NextAction::Ended(why, since) => match self.next_after_close(why, since) {
                    Some(next) => Step::Input(next),
                    None => return Pause::Ended(ProcessEnd::HungUp(why)),
                },
                NextAction::Continue => match self.next_step() {
                    Some(step) => step,
                    None => {
                        self.wait_for_step().await;
                        continue;
                    }
                },
            };
            let taken = match step {
                Step::Input(InputItem::ChannelEvent(event)) if self.is_first_program_request(&event) => {
                    return Pause::ProgramRequest(event);
                }
                // Boxed: a call is large and soon over, and most sessions wait most of the time.
                step => Box::pin(self.handle_step(step)).await,
            };
            if let Err(stop) = taken {
                return self.stopped(stop);
            }
        }
    }

    fn stopped(&mut self, stop: Stop) -> Pause {
        self.trial.saw(&stop);
        Pause::Ended(ProcessEnd::Stopped(stop))
    }

    /// Whether this is a program request, and none was accepted before.
    fn is_first_program_request(&self, event: &ChannelEvent) -> bool {
        ProgramRequest::of(event).is_some() && self.half.shared().stage() == Stage::Waiting
    }

    /// Whether the session has been ended, by the plugin or by the other side.
    fn is_over(&self) -> bool {
        self.half.shared().is_ending()
    }

    /// The last call: tells the plugin why its process ends.
    pub(super) async fn closed(&mut self, why: Ending) -> Result<(), Stop> {
        let functions = self.functions;
        let (call_limits, store) = self.guest.begin_call(ticks(self.limits.cpu_closed));
        let result = call_limits.run(true, pin!(functions.session.call_closed(store, why.into()))).await;
        self.guest.leave(result)
    }

    /// The next thing to deliver. Rotates through timers, input and messages, so that none starves.
    fn next_step(&mut self) -> Option<Step> {
        *self.next_source = (*self.next_source + 1) % 3;
        match *self.next_source {
            0 => self.due_timer().or_else(|| self.next_input()).or_else(|| self.next_message()),
            1 => self.next_input().or_else(|| self.next_message()).or_else(|| self.due_timer()),
            _ => self.next_message().or_else(|| self.due_timer()).or_else(|| self.next_input()),
        }
    }

    fn next_message(&mut self) -> Option<Step> {
        self.guest.state().topics.mailbox()?.take().map(Step::Mail)
    }

    fn due_timer(&mut self) -> Option<Step> {
        let timers = &mut self.guest.state().timers;
        timers.next()?;
        timers.take_due(Instant::now()).map(Step::Timer)
    }

    fn next_input(&mut self) -> Option<Step> {
        if let Some(name) = self.half.shared().take_signal() {
            return Some(Step::Signal(name));
        }
        if self.functions.drain.is_some() && self.half.shared().take_writable() {
            return Some(Step::Writable);
        }
        self.half.next().map(Step::Input)
    }

    /// Data that the client sent before it closed the channel is still delivered, within the grace period; its
    /// requests are not.
    fn next_after_close(&mut self, why: Ending, since: Instant) -> Option<InputItem> {
        if why != Ending::ClientClosed
            || self.half.shared().stage() != Stage::Running
            || since.elapsed() > self.limits.grace
        {
            return None;
        }
        loop {
            match self.half.next()? {
                next @ (InputItem::Data { .. } | InputItem::ChannelEvent(ChannelEvent::Eof | ChannelEvent::Close)) => {
                    return Some(next);
                }
                InputItem::ChannelEvent(_) => {}
            }
        }
    }

    /// Waits until [`next_step`](Self::next_step) may have something.
    async fn wait_for_step(&mut self) {
        let mut alarm: Option<Pin<Box<Sleep>>> = self.guest.state().timers.next().map(|at| Box::pin(sleep_until(at)));
        let watches_room = self.functions.drain.is_some() && self.half.shared().stage() == Stage::Running;
        let (half, mailbox) = (&*self.half, self.guest.state().topics.mailbox());
        poll_fn(|context| {
            let pipes = half.shared();
            pipes.register_waker(context);
            if pipes.ended().is_some() || half.has_next() || (watches_room && pipes.has_writable_or_watches()) {
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

    /// Calls the plugin with one step.
    async fn handle_step(&mut self, step: Step) -> Result<(), Stop> {
        match step {
            Step::Timer(number) => {
                call_if!(self, timer, |handler, store| handler.call_on_timer(store, number)).map(|_| ())
            }
            Step::Mail(mail) => self.deliver(mail).await,
            Step::Writable => call_if!(self, drain, |handler, store| handler.call_on_writable(store)).map(|_| ()),
            Step::Signal(name) if name.as_str() == "WINCH" => self.resize().await,
            Step::Signal(name) => {
                let name = name.into();
                call!(self, |functions, store| functions.session.call_signal(store, &name))
            }
            Step::Input(InputItem::Data { kind }) => {
                let result = match kind {
                    None => call!(self, |functions, store| functions.session.call_data(store, self.half.data())),
                    Some(kind) => {
                        call!(self, |functions, store| functions.session.call_extended_data(
                            store,
                            kind,
                            self.half.data()
                        ))
                    }
                };
                self.half.taken();
                result
            }
            Step::Input(InputItem::ChannelEvent(event)) => self.handle_event(event).await,
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

    /// Calls the plugin with one event, and answers it if it is a request.
    async fn handle_event(&mut self, event: ChannelEvent) -> Result<(), Stop> {
        let answer = match event {
            ChannelEvent::Eof => return call!(self, |functions, store| functions.session.call_eof(store)),
            ChannelEvent::Close => return call!(self, |functions, store| functions.session.call_close(store)),
            // RFC 4254 section 6.5: one program request for each channel.
            ChannelEvent::Shell | ChannelEvent::Exec(_) | ChannelEvent::Subsystem(_) => {
                if let Some(request) = ProgramRequest::of(&event) {
                    self.refused(&request, "the session has started a program before");
                }
                Ok(false)
            }
            ChannelEvent::HostVariable { name, value } => return self.host_variable(name, value).await,
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
        self.half.shared().reply(*answer.as_ref().unwrap_or(&false));
        answer.map(|_| ())
    }

    /// Calls the plugin with a program request. The lifecycle decides how the client is answered.
    async fn start_program(&mut self, event: &ChannelEvent) -> Result<(), Stop> {
        let Some(request) = ProgramRequest::of(event).filter(|request| self.half.shared().begin_program(request))
        else {
            return Ok(());
        };
        if !matches!(request, ProgramRequest::Shell) {
            self.trial.told();
        }
        let started = match request {
            ProgramRequest::Shell => call!(self, |functions, store| functions.session.call_shell(store)),
            ProgramRequest::Exec(command) => {
                call!(self, |functions, store| functions.session.call_exec(store, command))
            }
            ProgramRequest::Subsystem(name) => {
                call!(self, |functions, store| functions.session.call_subsystem(store, name))
            }
        };
        if matches!(started, Ok(true)) {
            self.trial.passed();
        }
        match started {
            Ok(accepted) => {
                if self.half.shared().program_returned(accepted) {
                    self.refused(&request, "the plugin refused it");
                }
            }
            Err(_) => self.half.shared().program_failed(),
        }
        started.map(|_| ())
    }

    fn refused(&mut self, request: &ProgramRequest<'_>, reason: &str) {
        let (what, detail) = request.describe();
        self.guest.state().log.refused(what, detail, reason);
    }

    async fn env(&mut self, name: String, value: Vec<u8>) -> Result<bool, Stop> {
        let is_early = self.half.shared().stage() == Stage::Waiting;
        if !is_early || !self.guest.state().channel.admits_env(&name, &value) {
            return Ok(false);
        }
        self.trial.told();
        let accepted = call!(self, |functions, store| functions.session.call_env(store, &name, &value))?;
        if accepted {
            self.guest.state().channel.keep_env(name, value);
        } else {
            emit(LogEvent::SessionVariableRefused { plugin: self.trial.plugin().name(), name: &name });
        }
        Ok(accepted)
    }

    /// Tells the plugin a variable of the host's, which it has whatever it answers.
    async fn host_variable(&mut self, name: String, value: Vec<u8>) -> Result<(), Stop> {
        if self.half.shared().stage() != Stage::Waiting {
            return Ok(());
        }
        self.trial.told();
        call!(self, |functions, store| functions.session.call_env(store, &name, &value))?;
        self.guest.state().channel.keep_env(name, value);
        Ok(())
    }

    async fn pty_req(&mut self, pty: Pty) -> Result<bool, Stop> {
        if self.half.shared().stage() != Stage::Waiting {
            return Ok(false);
        }
        self.trial.told();
        let asked = wit::Pty::from(pty.clone());
        let accepted = call!(self, |functions, store| functions.session.call_pty_req(store, &asked))?;
        if accepted {
            self.keep_pty(pty);
        } else {
            self.guest.state().log.refused("pty-req", Some(pty.term.as_bytes()), "the plugin refused it");
        }
        Ok(accepted)
    }

    fn keep_pty(&mut self, pty: Pty) {
        self.half.shared().terminal_accepted();
        let modes = raw(&pty.modes);
        self.half.shared().set_terminal_modes(&modes, pty.erase_by_width);
        let state = self.guest.state();
        lock(&state.terminal).begin(modes, pty.erase_by_width);
        state.channel.keep_pty(pty);
    }

    /// The newest size, which may be newer than the one that was queued.
    async fn resize(&mut self) -> Result<(), Stop> {
        let size = self.half.shared().size().unwrap_or_default().into();
        call!(self, |functions, store| functions.session.call_window_change(store, size))
    }
}
