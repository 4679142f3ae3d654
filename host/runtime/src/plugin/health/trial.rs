//! The start of a session, which shows whether this version of the plugin works; and the choice of the version for a
//! session.
//!
//! `health.rs` decides what counts and for whom; this file applies it to plugins and logs it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Limit, Stop};
use crate::event::{LogEvent, emit};
use crate::plugin::Plugin;
use crate::plugin::health::{BreakerScope, Cause, Choice, Opened, Who};
use crate::session_types::Facts;
use crate::tenant::Tenant;

/// A session that has not started yet. It counts once: as started, as crashed, or not at all.
pub(crate) struct Trial {
    plugin: Arc<Plugin>,
    who: Who,
    began: Instant,
    cause: Cause,
    over: bool,
}

impl Trial {
    /// A new session: it gets this version, or the older one in its place. [`Error::Suspended`] if neither starts for
    /// this user.
    pub(crate) fn begin(asked: &Arc<Plugin>, tenant: &Tenant, facts: &Facts) -> Result<Self, Error> {
        let who = Who { tenant: tenant.shared_name(), user: facts.account().into() };
        let now = Instant::now();
        let plugin = choose(asked, &who, now).ok_or(Error::Suspended)?;
        Ok(Self { plugin, who, began: now, cause: Cause::Plugin, over: false })
    }

    /// The version that it gets.
    pub(crate) fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// From here on the plugin has received data that the client chose.
    pub(crate) fn told(&mut self) {
        self.cause = Cause::Client;
    }

    /// It has started well: a handler has accepted the program request; a program has waited for something, read,
    /// written or ended by itself.
    pub(crate) fn passed(&mut self) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let Some(standing) = self.plugin.standing() else { return };
        for scope in standing.passed(&self.who) {
            let (plugin, generation) = (self.plugin.name(), standing.generation());
            let (tenant, user) = names(&scope);
            emit(LogEvent::PluginResumed { plugin, generation, tenant, user });
        }
    }

    /// A call has failed.
    pub(crate) fn saw(&mut self, stop: &Stop) {
        match stop {
            Stop::Exited(_) => {}
            Stop::Failed(error) => self.failed(error),
        }
    }

    fn failed(&mut self, error: &Error) {
        if std::mem::replace(&mut self.over, true) || !is_crash(error) {
            return;
        }
        let now = Instant::now();
        let Some(standing) = self.plugin.standing() else { return };
        let after = now.saturating_duration_since(self.began);
        for opened in standing.failed(&self.who, self.cause, after, now) {
            let older = standing.older().filter(|older| choice(older, &self.who, now) == Choice::Run);
            tell(&self.plugin, &opened, older.map(|older| older.generation()));
        }
    }
}

/// This version, the older one if that starts and this one does not, or none.
fn choose(asked: &Arc<Plugin>, who: &Who, now: Instant) -> Option<Arc<Plugin>> {
    let wanted = choice(asked, who, now);
    if wanted == Choice::Run {
        return Some(Arc::clone(asked));
    }
    let older = asked.standing().and_then(|standing| standing.older());
    let older = older.filter(|older| choice(older, who, now) != Choice::Avoid);
    let older = older.map(|older| older.called(asked.name()));
    older.or_else(|| (wanted == Choice::PreferOlder).then(|| Arc::clone(asked)))
}

fn choice(plugin: &Plugin, who: &Who, now: Instant) -> Choice {
    plugin.standing().map_or(Choice::Run, |standing| standing.choice(who, now))
}

/// Whether a failure is the plugin's fault.
fn is_crash(error: &Error) -> bool {
    match error {
        Error::Trap { .. } => true,
        Error::Limit { limit, .. } => match limit {
            Limit::Cpu | Limit::Time | Limit::Memory | Limit::HostCall | Limit::Resources => true,
            // The tenant or the operator can change that, not the plugin.
            Limit::Session | Limit::Idle | Limit::Sessions | Limit::TenantMemory | Limit::AllMemory | Limit::Home => {
                false
            }
        },
        Error::Refused(_)
        | Error::Unfinished(_)
        | Error::Killed(_)
        | Error::Full { .. }
        | Error::Suspended
        | Error::Host { .. } => false,
    }
}

/// One event for each breaker that opens, however many sessions crash.
fn tell(plugin: &Plugin, opened: &Opened, older: Option<u32>) {
    let (plugin, generation, pause) = (plugin.name(), plugin.generation(), &*seconds(opened.pause));
    let (tenant, user) = names(&opened.scope);
    match (older, opened.choice) {
        (Some(to), _) => emit(LogEvent::PluginRolledBack { plugin, generation, to, tenant, user, pause }),
        (None, Choice::Avoid) => emit(LogEvent::PluginSuspended { plugin, generation, tenant, user, pause }),
        // A client's data made it crash, and no other version can run: it stays as it is.
        (None, Choice::Run | Choice::PreferOlder) => {}
    }
}

/// The tenant and the user of a scope, for the log.
fn names(scope: &BreakerScope) -> (&str, Option<&str>) {
    match scope {
        BreakerScope::Tenant(tenant) => (tenant, None),
        BreakerScope::User { tenant, user } => (tenant, Some(user)),
    }
}

fn seconds(pause: Duration) -> String {
    format!("{} s", pause.as_secs())
}
