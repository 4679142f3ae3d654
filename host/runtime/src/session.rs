//! The life of a session, from the opening of its channel to its end, whatever plugins it passes through.
//!
//! ```text
//!                      .-- a start that is routed elsewhere, a hand-over --.
//!                      v                                                   |
//! opening --true--> one plugin's part (`instance.rs`) ---------------------+--> the end
//!    | false           ^            | what should take over cannot, and nothing was started
//!    v                 |            v
//! refused              '-- start -- waiting, with no plugin
//! ```
//!
//! Decided 2026-11-21: when a route names a plugin that is not there or not granted, the start fails and the plugin that has the session
//! keeps it: nothing has happened to it. When the other plugin is there but cannot be started or refuses, the first is gone already (both
//! at once would need room for two instances), so the session waits with none: environment and terminal are kept, the next start request
//! makes an instance of the plugin that it is routed to, and every other request is refused. Ending the session instead would forbid the
//! second try that RFC 4254 §6.5 leaves to clients; making a new instance of the first at once would be work for the many that never try.
//!
//! Decided 2026-11-29: a start that leads to a plugin which is still being prepared waits for it, as a session's opening does. When that takes
//! too long the start succeeds, the client is told to try again, and the session ends: a refused start could say nothing.

pub(crate) mod notice;
pub(crate) mod report;
mod timeouts;

use std::future::Future;
use std::sync::Arc;

use tokio::time::Instant;

use crate::channel::{Next, OpenReply, SessionSide, Shared, Without};
use crate::channel_event::{ChannelEvent, Ending, Exit, Facts};
use crate::error::{Error, Stop};
use crate::event::{Event, emit};
use crate::host::bindings::imports::channel::HandOverError;
use crate::host::{Handoff, LogBook, State, Takers};
use crate::limits::Throttle;
use crate::limits::budget::{Finished, Owner, Total};
use crate::limits::usage::SessionUsage;
use crate::plugin::Plugin;
use crate::plugin::health::trial::Trial;
use crate::plugin::lookup::{Lookup, Plugins, Start};
use crate::process::instance::{Instance, Pause, hung_up};
use crate::session::notice::serve_notice;
use crate::session::report::Report;
use crate::supervise::catch_future;
use crate::tenant::Tenant;
use timeouts::SessionTimeouts;

impl Plugin {
    /// One session of a tenant that begins with this plugin, from the opening of its channel to its end. `plugins` are those that it may
    /// pass to. Spawn it; dropping it ends the session without another word to the plugin, and the connection still hears an exit
    /// (status 70). A panic of the host's inside of it ends in the report, as an [`Error::Host`].
    pub fn session(
        self: &Arc<Self>,
        facts: Facts,
        tenant: &Arc<Tenant>,
        plugins: &Arc<dyn Plugins>,
        mut side: SessionSide,
    ) -> impl Future<Output = Report> + Send + use<> {
        let mut life = Life {
            takers: takers(tenant, plugins),
            home: Arc::clone(self),
            facts,
            tenant: Arc::clone(tenant),
            plugins: Arc::clone(plugins),
            refused_routes: Throttle::first(1),
            usage: Arc::new(SessionUsage::new(tenant.limits().share_ticks, tenant.limits().burst_ticks)),
            report: Report::new(self),
        };
        async move {
            match life.tenant.enter() {
                // One of the tenant's sessions until its output was sent.
                Ok(seat) => side.keep(seat),
                Err(error) => {
                    life.log(&life.home).over(Total::Sessions);
                    life.turn_away(error, &mut side).await;
                    life.report.end(side.shared().outcome(), &life.usage);
                    return life.report;
                }
            }
            let timeouts = SessionTimeouts::new(life.tenant.limits(), Arc::clone(side.shared()));
            // Boxed: it is polled by reference, and a task that is spawned is moved.
            let lived = timeouts.over(catch_future(Box::pin(life.live(&mut side)))).await;
            match lived {
                Ok(Ok(())) => {}
                Ok(Err(words)) => life.cut_off(Error::panicked(&words), &side),
                Err(error) => life.cut_off(error, &side),
            }
            life.report.end(side.shared().outcome(), &life.usage);
            life.leave_output(&side);
            life.report
        }
    }
}

/// What `hand-over` asks.
fn takers(tenant: &Arc<Tenant>, plugins: &Arc<dyn Plugins>) -> Takers {
    let (tenant, plugins) = (Arc::clone(tenant), Arc::clone(plugins));
    Arc::new(move |name| {
        match plugins.lookup(name) {
            Lookup::Found(plugin) => plugin.admit(&tenant).map_err(|_| HandOverError::NotPermitted),
            // It is waited for afterwards, and asked then.
            Lookup::Preparing => Ok(()),
            Lookup::Retried | Lookup::Absent => Err(HandOverError::UnknownPlugin),
        }
    })
}

/// What a session is apart from the plugin that has it now.
struct Life {
    /// The plugin that it was opened with, which has what is not routed.
    home: Arc<Plugin>,
    facts: Facts,
    tenant: Arc<Tenant>,
    plugins: Arc<dyn Plugins>,
    takers: Takers,
    /// Of the lines that say that a route leads nowhere.
    refused_routes: Throttle,
    usage: Arc<SessionUsage>,
    report: Report,
}

/// The way of a session from one plugin to the next.
struct Hop {
    to: Result<Arc<Plugin>, Error>,
    start: ChannelEvent,
    handoff: Handoff,
}

/// Who serves a start request.
enum Way {
    /// The plugin that has the session.
    Here,
    To(Arc<Plugin>),
    /// Nobody.
    Nowhere,
    /// Nobody yet. What the client is told.
    Later(String),
}

impl Life {
    /// All of it.
    async fn live(&mut self, side: &mut SessionSide) {
        let mut next = self.begin(side).await;
        while let Some(hop) = next {
            next = Box::pin(self.pass(hop, side)).await;
        }
    }

    /// It is over from outside, in the middle of whatever it was: no plugin is entered again.
    fn cut_off(&mut self, error: Error, side: &SessionSide) {
        // Whether there is a terminal is not known any more; one more return harms nobody.
        side.shared().last_words(&error.for_client(), true);
        side.shared().abort(error.exit());
        self.report.error = Some(error);
    }

    /// The channel is opened, or is not.
    async fn begin(&mut self, side: &mut SessionSide) -> Option<Hop> {
        let pipes = Arc::clone(side.shared());
        let home = Arc::clone(&self.home);
        match self.open(&home, side).await {
            Ok(instance) => {
                pipes.answer_open(OpenReply::Accepted);
                self.report.opened = true;
                self.serve(instance, None, &pipes).await
            }
            Err(Some(Stop::Failed(error))) if error.is_shortage() => {
                self.turn_away(error, side).await;
                None
            }
            Err(stop) => {
                self.report.error = stop.and_then(Stop::error);
                let is_full = matches!(self.report.error, Some(Error::Full(_)));
                pipes.answer_open(if is_full { OpenReply::Full } else { OpenReply::Refused });
                None
            }
        }
    }

    /// No plugin has the session any more. What its client has not taken stays until it does, unless its tenant or the
    /// server runs short.
    fn leave_output(&self, side: &SessionSide) {
        if side.shared().is_drained() {
            return;
        }
        let (plugin, stall) = (&self.report.plugin, self.tenant.limits().output_stall);
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

    /// The tenant or the server has no more to give: the client is told why, and the session ends.
    async fn turn_away(&mut self, error: Error, side: &mut SessionSide) {
        let words = format!("whelk: {}\r\n", error.for_client());
        Box::pin(serve_notice(side, &words, error.exit())).await;
        // It has exited, unless its client has left before.
        side.shared().exit(error.exit(), None);
        self.report.error = Some(error);
    }

    fn refused(&self, start: &ChannelEvent, reason: &str) {
        if let Some(start) = Start::of(start) {
            let (what, detail) = start.describe();
            self.log(&self.report.plugin).refused(what, detail, reason);
        }
    }

    fn log(&self, plugin: &Plugin) -> LogBook {
        LogBook::new(plugin.shared_name(), &self.facts, Arc::clone(&self.tenant))
    }

    /// Makes an instance of the plugin and asks it whether it takes the session. An error without a reason is its no.
    async fn open<'s>(
        &mut self,
        plugin: &Arc<Plugin>,
        side: &'s mut SessionSide,
    ) -> Result<Instance<'s>, Option<Stop>> {
        let trial = Trial::begin(plugin, &self.tenant, &self.facts).map_err(Stop::Failed)?;
        let plugin = Arc::clone(trial.plugin());
        plugin.admit(&self.tenant).map_err(Stop::Failed)?;
        self.report.plugin = Arc::clone(&plugin);
        let presence = plugin.enter(side.shared());
        let log = self.log(&plugin);
        let (pipes, takers) = (Arc::clone(side.shared()), Arc::clone(&self.takers));
        let exports = plugin.exports();
        pipes.serve_without(Without { requests: exports.request.is_none(), breaks: exports.line_break.is_none() });
        let totals = plugin.engine().totals();
        let state = State::new(pipes, self.facts.clone(), log, totals, &self.usage, takers);
        // Boxed: it is large and soon over, and every session would carry its size for ever.
        let mut instance = Box::pin(Instance::new(trial, presence, state, side, &self.tenant)).await?;
        match instance.open().await {
            Ok(true) => Ok(instance),
            Ok(false) => {
                instance.end().await;
                Err(None)
            }
            Err(stop) => {
                instance.end().await;
                Err(Some(stop))
            }
        }
    }

    /// One plugin's part, with the start request that it is to be given first, if there is one. Comes back with where the session goes next.
    ///
    /// What most sessions never do is boxed, here and in `live`: each would carry its size for as long as it lasts.
    async fn serve(
        &mut self,
        mut instance: Instance<'_>,
        mut start: Option<ChannelEvent>,
        pipes: &Shared,
    ) -> Option<Hop> {
        let mut due = start.is_some();
        loop {
            let pause = instance.run(start.as_ref().filter(|_| due), &mut self.report).await;
            due = false;
            match pause {
                Pause::Over => {
                    instance.end().await;
                    return None;
                }
                Pause::Start(wanted) => {
                    let here = Arc::clone(&self.report.plugin);
                    match Box::pin(self.way(&wanted, Some(&here), pipes)).await {
                        Way::Here => (start, due) = (Some(wanted), true),
                        Way::To(plugin) => return Some(Box::pin(self.leave(instance, Ok(plugin), wanted)).await),
                        Way::Nowhere => pipes.decline_start(),
                        Way::Later(words) => {
                            let hop = Box::pin(self.leave(instance, Ok(here), wanted)).await;
                            self.put_off(&words, &hop.handoff, pipes);
                            return None;
                        }
                    }
                }
                Pause::HandOver(name) => {
                    // Permitted only after a start request was given.
                    let Some(start) = start.take() else { continue };
                    let found = Box::pin(self.settled(&name, pipes)).await;
                    let later = found.try_again(&name);
                    let hop = Box::pin(self.leave(instance, self.admitted(found), start)).await;
                    let Some(words) = later else { return Some(hop) };
                    self.put_off(&words, &hop.handoff, pipes);
                    return None;
                }
            }
        }
    }

    /// Where a start request is served, if `here` is the plugin that has the session.
    async fn way(&mut self, start: &ChannelEvent, here: Option<&Plugin>, pipes: &Shared) -> Way {
        let routed = Start::of(start).and_then(|start| self.plugins.route(&start));
        let name = routed.as_deref().unwrap_or_else(|| self.home.name());
        if here.is_some_and(|here| here.name() == name) {
            return Way::Here;
        }
        let found = if pipes.handoffs() < self.tenant.limits().handoffs {
            let found = self.settled(name, pipes).await;
            if let Some(words) = found.try_again(name) {
                return Way::Later(words);
            }
            // Nobody is left to whom it matters.
            if pipes.ended().is_some() {
                return Way::Nowhere;
            }
            self.admitted(found)
        } else {
            Err(Error::Refused("the session has changed its plugin too often".to_owned()))
        };
        found.map_or_else(
            |reason| {
                if self.refused_routes.admit(Instant::now()).is_some() {
                    let (connection, channel) = (self.facts.connection(), self.facts.channel());
                    let tenant = self.tenant.name();
                    emit(Event::SessionRouteRefused { connection, channel, tenant, plugin: name, reason: &reason });
                }
                Way::Nowhere
            },
            Way::To,
        )
    }

    /// What this name means once it is known. Ends with the session.
    async fn settled(&self, name: &str, pipes: &Shared) -> Lookup {
        tokio::select! {
            biased;
            found = self.plugins.settled(name) => found,
            () = pipes.until_ended() => Lookup::Absent,
        }
    }

    /// The start is answered with a yes, since nothing can be said before it; then the client is told to try again, and that is the end.
    fn put_off(&mut self, words: &str, handoff: &Handoff, pipes: &Shared) {
        let (connection, channel, tenant) = (self.facts.connection(), self.facts.channel(), self.tenant.name());
        emit(Event::SessionPutOff { connection, channel, tenant, reason: words });
        pipes.accept_for_host();
        pipes.last_words(words, handoff.pty.is_some());
        pipes.exit(Exit::Status(1), None);
    }

    /// The plugin that was found, if the tenant may run it.
    fn admitted(&self, found: Lookup) -> Result<Arc<Plugin>, Error> {
        let plugin = found.found().ok_or_else(|| Error::Refused("there is no such plugin".to_owned()))?;
        plugin.admit(&self.tenant)?;
        Ok(plugin)
    }

    /// The plugin that has the session is told that it goes, and is gone.
    async fn leave(&mut self, instance: Instance<'_>, to: Result<Arc<Plugin>, Error>, start: ChannelEvent) -> Hop {
        let handoff = instance.leave(&mut self.report).await;
        Hop { to, start, handoff }
    }

    /// Another plugin's part, or the wait for the one after it.
    async fn pass(&mut self, hop: Hop, side: &mut SessionSide) -> Option<Hop> {
        let Hop { to, start, handoff } = hop;
        let pipes = Arc::clone(side.shared());
        if let Some((why, _)) = pipes.ended() {
            self.hang_up(why, &handoff, &pipes);
            return None;
        }
        let opened = match to {
            Err(error) => Err(Some(Stop::Failed(error))),
            Ok(plugin) => {
                self.announce(&plugin);
                self.report.pass_to(&plugin);
                self.open(&plugin, side).await
            }
        };
        match opened {
            Ok(mut instance) => match instance.prepare(handoff).await {
                Ok(()) => self.serve(instance, Some(start), &pipes).await,
                Err(stop) => {
                    pipes.decline_start();
                    instance.stop(stop, &mut self.report);
                    instance.end().await;
                    None
                }
            },
            Err(stop) if pipes.has_accepted() => {
                self.fail(stop, &handoff, &pipes);
                None
            }
            Err(stop) => {
                pipes.reply(false);
                if stop.is_none() {
                    self.refused(&start, "the plugin refused the session");
                }
                self.report.error = stop.and_then(Stop::error);
                self.wait(handoff, side).await
            }
        }
    }

    fn announce(&self, plugin: &Plugin) {
        let (connection, channel) = (self.facts.connection(), self.facts.channel());
        let (tenant, from) = (self.tenant.name(), self.report.plugin.name());
        let (plugin, generation) = (plugin.name(), plugin.generation());
        emit(Event::SessionPassedOn { connection, channel, tenant, plugin, generation, from });
    }

    /// The client was told that its program has started, and there is none: this is its end.
    fn fail(&mut self, stop: Option<Stop>, handoff: &Handoff, pipes: &Shared) {
        let exit = match stop {
            None => Exit::Status(1),
            Some(Stop::Exited(status)) => Exit::Status(status),
            Some(Stop::Failed(error)) => {
                pipes.last_words(&error.for_client(), handoff.pty.is_some());
                let exit = error.exit();
                self.report.error = Some(error);
                exit
            }
        };
        pipes.exit(exit, None);
    }

    /// No plugin has the session: it waits for a start that leads to one.
    async fn wait(&mut self, handoff: Handoff, side: &mut SessionSide) -> Option<Hop> {
        let pipes = Arc::clone(side.shared());
        // Nobody is left who wanted to catch them.
        while pipes.take_caught().is_some() {}
        loop {
            if let Some((why, _)) = pipes.ended() {
                self.hang_up(why, &handoff, &pipes);
                return None;
            }
            tokio::task::consume_budget().await;
            match side.next() {
                None => side.arrival().await,
                Some(Next::ChannelEvent(ChannelEvent::Eof | ChannelEvent::Close)) => {}
                // The newest size is kept without anybody's help.
                Some(Next::ChannelEvent(ChannelEvent::WindowChange(_))) => {
                    pipes.reply(true);
                }
                Some(Next::ChannelEvent(start)) => {
                    let way = match Start::of(&start) {
                        Some(_) => Box::pin(self.way(&start, None, &pipes)).await,
                        None => Way::Nowhere,
                    };
                    match way {
                        Way::To(plugin) => {
                            pipes.hand_off();
                            return Some(Hop { to: Ok(plugin), start, handoff });
                        }
                        Way::Later(words) => {
                            self.put_off(&words, &handoff, &pipes);
                            return None;
                        }
                        Way::Here | Way::Nowhere => {
                            pipes.reply(false);
                        }
                    }
                }
                Some(Next::Data { .. }) => side.taken(),
            }
        }
    }

    /// The other side has ended the session while no plugin had it.
    fn hang_up(&mut self, why: Ending, handoff: &Handoff, pipes: &Shared) {
        let words = pipes.words();
        if let Some(words) = &words {
            pipes.last_words(words, handoff.pty.is_some());
        }
        pipes.exit(hung_up(why, words.as_deref()), Some(why));
    }
}
