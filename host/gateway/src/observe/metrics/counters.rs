//! What the events are counted in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use whelk_runtime::FailureLabel;
use whelk_runtime::event::LogEvent;

use super::counted::{Counted, Observed, gauge};
use super::description as described;
use crate::observe::event::{
    ConnectionEvent, Event, LimitEvent, LoginEvent, PluginEvent, ProcessEvent, ServerEvent, SessionEvent,
};

/// The methods of RFC 4252 that a login may use. Any other name of a client's is `other`.
const METHODS: [&str; 5] = ["publickey", "password", "keyboard-interactive", "hostbased", "none"];

/// What an authenticator may have answered.
const ANSWERS: [&str; 8] =
    ["accept", "partial", "challenge", "change password", "reject", "failed", "begin anew", "not asked"];

/// What the events are counted in.
#[derive(Debug)]
pub(super) struct Counters {
    opened: Counted<0>,
    closed: Counted<1>,
    refused: Counted<1>,
    waited: Counted<0>,
    displaced: Counted<0>,
    connection_panics: Counted<0>,
    accept_errors: Counted<0>,
    revoked: Counted<0>,
    handshake: Observed<0>,
    algorithms: Counted<2>,
    attempts: Counted<2>,
    logins_failed: Counted<0>,
    logins_undecided: Counted<0>,
    authenticator: Observed<1>,
    authenticator_failures: Counted<0>,
    sessions_opened: Counted<0>,
    session_starts: Counted<1>,
    sessions_ended: Counted<1>,
    sessions_refused: Counted<1>,
    failures: Counted<2>,
    instance_start: Observed<1>,
    limits_hit: Counted<1>,
    destinations_denied: Counted<0>,
    plugin_changes: Counted<1>,
    reloads: Counted<1>,
    last_reload_done: Gauge,
    config_read: Gauge,
    audit_failures: Counted<0>,
    audit_failing: Gauge,
    audit_left_out: Counted<0>,
    store_failing: Gauge,
    panics: Counted<0>,
    scheduling_delay: Observed<0>,
}

/// From a tenth of a millisecond to ten seconds.
fn short_times() -> Histogram {
    let bounds = [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
    Histogram::new(bounds)
}

/// From a millisecond to a minute and a half.
fn long_times() -> Histogram {
    let bounds = [1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 90.0];
    Histogram::new(bounds)
}

impl Counters {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let of_result = |result| METHODS.map(|method| [result, method]);
        let attempts: Vec<_> = ["success", "partial", "rejected"].into_iter().flat_map(of_result).collect();
        let counters = Self {
            opened: Counted::new(registry, &described::CONNECTIONS_OPENED, &[[]]),
            closed: Counted::new(registry, &described::CONNECTIONS_CLOSED, &[]),
            refused: Counted::new(registry, &described::CONNECTIONS_REFUSED, &[]),
            waited: Counted::new(registry, &described::CONNECTIONS_WAITED, &[[]]),
            displaced: Counted::new(registry, &described::CONNECTIONS_DISPLACED, &[[]]),
            connection_panics: Counted::new(registry, &described::CONNECTION_PANICS, &[[]]),
            accept_errors: Counted::new(registry, &described::ACCEPT_ERRORS, &[[]]),
            revoked: Counted::new(registry, &described::REVOKED, &[[]]),
            handshake: Observed::new(registry, &described::HANDSHAKE, long_times, &[[]]),
            algorithms: Counted::new(registry, &described::ALGORITHMS, &[]),
            attempts: Counted::new(registry, &described::LOGIN_ATTEMPTS, &attempts),
            logins_failed: Counted::new(registry, &described::LOGINS_FAILED, &[[]]),
            logins_undecided: Counted::new(registry, &described::LOGINS_UNDECIDED, &[[]]),
            authenticator: Observed::new(registry, &described::AUTHENTICATOR, long_times, &[]),
            authenticator_failures: Counted::new(registry, &described::AUTHENTICATOR_FAILURES, &[[]]),
            sessions_opened: Counted::new(registry, &described::SESSIONS_OPENED, &[[]]),
            session_starts: Counted::new(registry, &described::SESSION_STARTS, &[["shell"], ["exec"], ["subsystem"]]),
            sessions_ended: Counted::new(registry, &described::SESSIONS_ENDED, &[["finished"], ["crashed"]]),
            sessions_refused: Counted::new(registry, &described::SESSIONS_REFUSED, &[["not_ready"], ["no_plugin"]]),
            failures: Counted::new(registry, &described::FAILURES, &[["host", "host"], ["full", "instances"]]),
            instance_start: Observed::new(registry, &described::INSTANCE_START, short_times, &[["session"]]),
            limits_hit: Counted::new(registry, &described::LIMITS_HIT, &[]),
            destinations_denied: Counted::new(registry, &described::DESTINATIONS_DENIED, &[[]]),
            plugin_changes: Counted::new(registry, &described::PLUGIN_CHANGES, &[["loaded"], ["refused"]]),
            reloads: Counted::new(registry, &described::RELOADS, &[["done"], ["refused"], ["failed"]]),
            last_reload_done: gauge(registry, &described::LAST_RELOAD_DONE),
            config_read: gauge(registry, &described::CONFIG_READ),
            audit_failures: Counted::new(registry, &described::AUDIT_FAILURES, &[[]]),
            audit_failing: gauge(registry, &described::AUDIT_FAILING),
            audit_left_out: Counted::new(registry, &described::AUDIT_LEFT_OUT, &[[]]),
            store_failing: gauge(registry, &described::STORE_FAILING),
            panics: Counted::new(registry, &described::PANICS, &[[]]),
            scheduling_delay: Observed::new(registry, &described::SCHEDULING_DELAY, short_times, &[[]]),
        };
        counters.last_reload_done.set(1);
        counters.config_read.set(now());
        counters
    }

    /// A task of the server has run so late.
    pub(super) fn ran_late(&self, delay: Duration) {
        self.scheduling_delay.observe([], delay);
    }

    /// Counts an event.
    pub(super) fn take(&self, event: &Event<'_>) {
        match event {
            Event::Connection(event) => self.connection(event),
            Event::Login(event) => self.login(event),
            Event::Session(event) => self.session(event),
            Event::Process(ProcessEvent::Failed { failure, .. }) => self.failed(*failure),
            Event::Plugin(event) => self.plugin(event),
            Event::Limit(event) => self.limit(event),
            Event::Server(event) => self.server(event),
            Event::Runtime(event) => self.runtime(event),
        }
    }

    fn connection(&self, event: &ConnectionEvent<'_>) {
        match event {
            ConnectionEvent::Opened { .. } => self.opened.inc([]),
            ConnectionEvent::Closed { outcome, .. } => self.closed.inc([outcome]),
            ConnectionEvent::Refused { cause, .. } => self.refused.inc([cause]),
            ConnectionEvent::Waits { .. } => self.waited.inc([]),
            ConnectionEvent::Displaced { .. } => self.displaced.inc([]),
            ConnectionEvent::Panicked { .. } => self.connection_panics.inc([]),
            ConnectionEvent::NotAccepted { .. } => self.accept_errors.inc([]),
            ConnectionEvent::Revoked { .. } => self.revoked.inc([]),
            ConnectionEvent::Negotiated { key_exchange, host_key, cipher, mac, compression, took_ms, .. } => {
                let mac = mac.unwrap_or("none");
                let chosen = [
                    ("key_exchange", *key_exchange),
                    ("host_key", *host_key),
                    ("cipher", *cipher),
                    ("mac", mac),
                    ("compression", *compression),
                ];
                chosen.into_iter().for_each(|(kind, algorithm)| self.algorithms.inc([kind, algorithm]));
                self.handshake.observe([], milliseconds(*took_ms));
            }
            _ => {}
        }
    }

    fn login(&self, event: &LoginEvent<'_>) {
        match event {
            LoginEvent::Succeeded { method, .. } => self.attempts.inc(["success", known(&METHODS, method)]),
            LoginEvent::Partial { method, .. } => self.attempts.inc(["partial", known(&METHODS, method)]),
            LoginEvent::Rejected { method, .. } => self.attempts.inc(["rejected", known(&METHODS, method)]),
            LoginEvent::Failed { .. } => self.logins_failed.inc([]),
            LoginEvent::Undecided { .. } => self.logins_undecided.inc([]),
            LoginEvent::AuthenticatorAsked { answer, took_ms, .. } => {
                self.authenticator.observe([known(&ANSWERS, answer)], milliseconds(*took_ms));
            }
            LoginEvent::AuthenticatorFailed { more, .. } => self.authenticator_failures.add([], more.saturating_add(1)),
            _ => {}
        }
    }

    fn session(&self, event: &SessionEvent<'_>) {
        match event {
            SessionEvent::Opened { .. } => self.sessions_opened.inc([]),
            SessionEvent::Started { kind, .. } => self.session_starts.inc([kind]),
            SessionEvent::Ended { ending, failure, .. } => {
                self.sessions_ended.inc([ending]);
                if let Some(failure) = failure {
                    self.failed(*failure);
                }
            }
            SessionEvent::NotReady { .. } => self.sessions_refused.inc(["not_ready"]),
            SessionEvent::WithoutPlugin { .. } => self.sessions_refused.inc(["no_plugin"]),
            _ => {}
        }
    }

    fn failed(&self, FailureLabel { kind, reason }: FailureLabel) {
        self.failures.inc([kind, reason]);
    }

    fn plugin(&self, event: &PluginEvent<'_>) {
        let change = match event {
            PluginEvent::Loaded { .. } => "loaded",
            PluginEvent::Removed { .. } => "removed",
            PluginEvent::ProgramLoaded { .. } => "program_loaded",
            PluginEvent::ProgramRemoved { .. } => "program_removed",
            PluginEvent::Refused { .. } => "refused",
            PluginEvent::LoadCancelled { .. } => "cancelled",
            PluginEvent::FolderLost { .. } => "folder_lost",
            PluginEvent::FolderBack { .. } => "folder_back",
            _ => return,
        };
        self.plugin_changes.inc([change]);
    }

    fn limit(&self, event: &LimitEvent<'_>) {
        let limit = match event {
            LimitEvent::UserConnections { limit, .. }
            | LimitEvent::UserSessions { limit, .. }
            | LimitEvent::TenantFailures { limit, .. }
            | LimitEvent::AuthenticatorInstances { limit, .. } => *limit,
        };
        self.limits_hit.inc([limit]);
    }

    fn server(&self, event: &ServerEvent<'_>) {
        match event {
            ServerEvent::Reloaded { .. } => {
                self.reloads.inc(["done"]);
                self.last_reload_done.set(1);
                self.config_read.set(now());
            }
            ServerEvent::ReloadRefused { is_first: true, .. } => {
                self.reloads.inc(["refused"]);
                self.last_reload_done.set(0);
            }
            ServerEvent::ReloadFailed { .. } => {
                self.reloads.inc(["failed"]);
                self.last_reload_done.set(0);
            }
            ServerEvent::AuditFailing { .. } => {
                self.audit_failures.inc([]);
                self.audit_failing.set(1);
            }
            ServerEvent::AuditRecovered { left_out } => {
                self.audit_left_out.add([], *left_out);
                self.audit_failing.set(0);
            }
            ServerEvent::Panicked { .. } => self.panics.inc([]),
            _ => {}
        }
    }

    fn runtime(&self, event: &LogEvent<'_>) {
        match event {
            LogEvent::ProcessStarted { took_ms, purpose, .. } => {
                self.instance_start.observe([purpose], milliseconds(*took_ms));
            }
            LogEvent::ProcessChildFailed { failure, .. } => self.failed(*failure),
            LogEvent::LimitOfServer { limit, .. }
            | LogEvent::LimitOfTenant { limit, .. }
            | LogEvent::LimitOfUser { limit, .. } => self.limits_hit.inc([limit]),
            LogEvent::PluginDestinationDenied { .. } => self.destinations_denied.inc([]),
            LogEvent::PluginRolledBack { .. } => self.plugin_changes.inc(["rolled_back"]),
            LogEvent::PluginSuspended { .. } => self.plugin_changes.inc(["suspended"]),
            LogEvent::PluginResumed { .. } => self.plugin_changes.inc(["resumed"]),
            LogEvent::PluginGenerationEnded { .. } => self.plugin_changes.inc(["generation_ended"]),
            LogEvent::ServerStoreFailing { .. } => {
                self.store_failing.set(1);
            }
            LogEvent::ServerStoreRecovered {} => {
                self.store_failing.set(0);
            }
            _ => {}
        }
    }
}

/// The same name if it is one of these, and `other` if not.
fn known(names: &[&'static str], name: &str) -> &'static str {
    names.iter().find(|known| **known == name).copied().unwrap_or("other")
}

fn milliseconds(time: f32) -> Duration {
    Duration::try_from_secs_f32(time / 1_000.0).unwrap_or_default()
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
