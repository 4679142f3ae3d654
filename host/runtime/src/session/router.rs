//! Which plugin serves a program request, and which one takes a session over.

use std::sync::Arc;

use tokio::time::Instant;

use crate::channel::Shared;
use crate::error::Error;
use crate::event::{LogEvent, emit};
use crate::host::HandOverCheck;
use crate::host::bindings::imports::channel::HandOverError;
use crate::limits::Throttle;
use crate::plugin::Plugin;
use crate::plugin::lookup::{Lookup, LookupNotice, Plugins, Unrunnable};
use crate::process::{Selection, StartRequest};
use crate::session_types::{ChannelEvent, Facts, ProgramRequest};
use crate::tenant::Tenant;

/// Finds the plugins of one session.
pub(super) struct Router {
    /// The plugin that the session was opened with, which has what is not routed.
    home: Arc<Plugin>,
    plugins: Arc<dyn Plugins>,
    tenant: Arc<Tenant>,
    /// For the log.
    facts: Facts,
    /// Throttles the log lines about routes that lead nowhere.
    refused_routes: Throttle,
}

/// Who serves a program request.
pub(super) enum Route {
    /// The plugin that has the session.
    Here(Selection),
    To(Arc<Plugin>, Selection),
    /// Nobody.
    Nowhere,
    /// A plugin that is not ready, or a program that cannot be run. What the client is told.
    Unavailable(LookupNotice),
}

impl Router {
    /// Creates the router of a session that is opened with the plugin `home`.
    pub(super) fn new(home: &Arc<Plugin>, plugins: &Arc<dyn Plugins>, tenant: &Arc<Tenant>, facts: &Facts) -> Self {
        let (home, plugins, tenant) = (Arc::clone(home), Arc::clone(plugins), Arc::clone(tenant));
        Self { home, plugins, tenant, facts: facts.clone(), refused_routes: Throttle::first(1) }
    }

    /// The plugin that the session is opened with.
    pub(super) fn home(&self) -> &Arc<Plugin> {
        &self.home
    }

    /// Those that the session can run.
    pub(super) fn plugins(&self) -> &Arc<dyn Plugins> {
        &self.plugins
    }

    /// What the import `hand-over` asks.
    pub(super) fn hand_over_check(&self) -> HandOverCheck {
        let (tenant, plugins) = (Arc::clone(&self.tenant), Arc::clone(&self.plugins));
        Arc::new(move |name| {
            match plugins.lookup(name) {
                Lookup::Found(plugin) => plugin.check_grants(&tenant).map_err(|_| HandOverError::NotPermitted),
                // It is waited for afterwards, and asked then.
                Lookup::Preparing => Ok(()),
                Lookup::Retried | Lookup::Unrunnable(_) | Lookup::Absent => Err(HandOverError::UnknownPlugin),
            }
        })
    }

    /// Who serves a program request. `here`: the plugin that has the session now.
    pub(super) async fn route(&mut self, request: &ChannelEvent, here: Option<&Plugin>, pipes: &Shared) -> Route {
        let asked = ProgramRequest::of(request);
        let routed = asked.as_ref().and_then(|request| self.plugins.route(request));
        let unrouted = asked.filter(|_| routed.is_none());
        let command = match unrouted.map_or(Ok(None), |request| self.plugins.command(&request)) {
            Ok(command) => command,
            Err(notice) => return Route::Unavailable(notice),
        };
        let selection = match (&routed, &command) {
            (Some(_), _) => Selection::Route,
            (None, Some(_)) => Selection::Command,
            (None, None) => Selection::User,
        };
        let name = routed.as_deref().or(command.as_deref()).unwrap_or_else(|| self.home.name());
        if here.is_some_and(|here| here.name() == name) {
            return Route::Here(selection);
        }
        let found = if pipes.hand_overs() < self.tenant.limits().hand_overs {
            let mut found = self.wait_for(name, pipes).await;
            if command.is_some() && matches!(found, Lookup::Absent) {
                found = Lookup::Unrunnable(Unrunnable::not_found());
            }
            if let Some(notice) = found.notice(name) {
                return Route::Unavailable(notice);
            }
            // The session has ended meanwhile.
            if pipes.ended().is_some() {
                return Route::Nowhere;
            }
            self.check_grants(found)
        } else {
            Err(Error::Refused("the session has changed its plugin too often".to_owned()))
        };
        found.map_or_else(
            |reason| {
                if self.refused_routes.allow(Instant::now()).is_some() {
                    let (connection, channel) = (self.facts.connection(), self.facts.channel());
                    let tenant = self.tenant.name();
                    emit(LogEvent::SessionRouteRefused { connection, channel, tenant, plugin: name, reason: &reason });
                }
                Route::Nowhere
            },
            |plugin| Route::To(plugin, selection),
        )
    }

    /// A program request for the process that runs this plugin.
    pub(super) fn start_request(&self, event: ChannelEvent, selection: Selection, plugin: &str) -> StartRequest {
        StartRequest { event, selection, arguments: self.plugins.arguments(plugin) }
    }

    /// What this name means, once it is known or the session has ended.
    pub(super) async fn wait_for(&self, name: &str, pipes: &Shared) -> Lookup {
        tokio::select! {
            biased;
            found = self.plugins.settled(name) => found,
            () = pipes.until_ended() => Lookup::Absent,
        }
    }

    /// The plugin that was found, if the tenant may run it.
    pub(super) fn check_grants(&self, found: Lookup) -> Result<Arc<Plugin>, Error> {
        let plugin = found
            .found()
            .ok_or_else(|| Error::Refused("there is no such plugin, and no such program in `bin`".to_owned()))?;
        plugin.check_grants(&self.tenant)?;
        Ok(plugin)
    }
}
