//! A channel of kind `session` (RFC 4254 §6.1): its half of the pipes to a session of a plugin, and how it is opened.

use std::sync::Arc;

use whelk_runtime::{Exit, Inbox, Outbox, Plugins, SessionHalf, Wake, notice, session_pipes};
use whelk_ssh::message::mux::ChannelId;
use whelk_ssh::message::request::Request;
use whelk_ssh::mux::OpenFailure;

use super::request::RequestLimits;
use super::user::SessionUser;
use crate::auth::access::Identity;
use crate::observe::audit;
use crate::observe::escape::{Brief, escape};
use crate::observe::event::{LimitEvent, SessionEvent, emit, emit_throttled};
use crate::observe::recording::{RecordingSubject, SessionRecording};
use crate::observe::refusals::Refusals;
use crate::observe::session_summary::SessionSummary;
use crate::observe::tap::TapPoint;
use crate::server::connection_table::{ConnectionRow, SessionRegistration};
use crate::server::drain::ShutdownPhase;
use crate::server::gateway::Gateway;
use crate::tenant::{SessionPermit, UserPermit};

/// The connection's half of one session.
pub(super) struct SessionChannel {
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
    /// What the client may still ask for.
    pub(super) requests: RequestLimits,
    /// Throttles the log lines about refused requests.
    pub(super) refusal_log: Refusals,
    /// The session's place in the table of connections.
    pub(super) registration: SessionRegistration,
    /// After `registration`, whose drop tells it of the end.
    pub(super) recording: Option<SessionRecording>,
    /// The channel has the type `session`, and none of a plugin's own.
    pub(super) is_session: bool,
    /// How many start requests are still logged.
    pub(super) starts_to_log: u8,
}

/// How many start requests of a session are logged. One is usual: a client may only repeat it when it was refused.
const STARTS: u8 = 10;

/// What a client is told while the audit is required and cannot be written.
pub(super) const NO_AUDIT: &str = "the server cannot write its audit log; try again later";

/// Which session it is.
#[derive(Clone, Copy)]
struct Place {
    connection: u64,
    channel: ChannelId,
    session: u64,
}

/// What is special about a channel of a plugin's own type.
pub(super) struct OwnChannel {
    /// The type.
    pub(super) kind: String,
    /// What came with its open.
    pub(super) payload: Vec<u8>,
    /// The plugin that serves it.
    pub(super) plugin: String,
}

/// Why a session is not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OpenRefusal {
    /// The server is draining.
    Stopping,
    /// No more instances fit.
    Full,
    /// The audit is required, and cannot be written.
    Audit,
    /// The user has as many sessions as allowed.
    UserLimit {
        /// How many that is.
        most: u32,
        /// Whether the log has a line about it already.
        logged: bool,
    },
    /// The plugin does not exist, cannot be started, or has refused the session.
    Plugin,
}

impl OpenRefusal {
    /// What the client is told. RFC 4254 §5.1.
    pub(super) fn failure(self) -> (OpenFailure, String) {
        let (failure, text) = match self {
            OpenRefusal::Stopping => (OpenFailure::AdministrativelyProhibited, "the server is stopping"),
            OpenRefusal::Audit => (OpenFailure::ResourceShortage, NO_AUDIT),
            OpenRefusal::Full => (OpenFailure::ResourceShortage, "the server is full: try again later"),
            OpenRefusal::UserLimit { most, .. } => {
                let text = format!("this user has {most} sessions and may have no more: close one first");
                return (OpenFailure::ResourceShortage, text);
            }
            OpenRefusal::Plugin => (OpenFailure::ConnectFailed, "the plugin is not available"),
        };
        (failure, text.to_owned())
    }
}

impl SessionChannel {
    /// Logs what the client asks to start, and tells the subscribers of each one.
    pub(super) fn log_start(&mut self, (connection, channel): (u64, u32), user: &SessionUser, request: &Request<'_>) {
        let Identity { user, tenant, restrictions, .. } = &user.identity;
        let (command, kind): (&[u8], _) = match *request {
            Request::Exec { command } => (command, "exec"),
            Request::Subsystem { name } => (name, "subsystem"),
            _ => (b"", "shell"),
        };
        let forced = restrictions.forced_command.as_ref().map(|forced| Brief(forced.as_bytes()).to_string());
        let plugin = self.inbox.handle().plugin();
        let has_line = self.starts_to_log > 0;
        self.starts_to_log = self.starts_to_log.saturating_sub(1);
        let started = SessionEvent::Started {
            connection,
            channel,
            session: self.registration.number(),
            user: escape(user.as_bytes()),
            tenant: escape(tenant.as_bytes()),
            plugin: plugin.as_ref().map(|(plugin, _)| &**plugin),
            start: escape(request.kind()),
            command: Brief(command),
            forced: forced.as_deref(),
            kind,
        };
        emit_throttled(has_line, started);
    }
}

/// Acquires the permit for one more session of this user. `channel`: its number, if it has one already.
///
/// # Errors
/// The server is stopping or full, or the user has as many sessions as allowed.
pub(super) fn acquire_permit(
    gateway: &Gateway,
    connection: u64,
    channel: Option<ChannelId>,
    identity: &Identity,
) -> Result<SessionPermit, OpenRefusal> {
    acquire_permit_until(ShutdownPhase::Serving, gateway, connection, channel, identity)
}

/// The same for the first session of a connection: one that was accepted before the server began to stop may still have
/// it.
pub(super) fn acquire_first_permit(
    gateway: &Gateway,
    connection: u64,
    channel: ChannelId,
    identity: &Identity,
) -> Result<SessionPermit, OpenRefusal> {
    acquire_permit_until(ShutdownPhase::Draining, gateway, connection, Some(channel), identity)
}

/// The same until this phase of the shutdown.
fn acquire_permit_until(
    last: ShutdownPhase,
    gateway: &Gateway,
    connection: u64,
    channel: Option<ChannelId>,
    identity: &Identity,
) -> Result<SessionPermit, OpenRefusal> {
    if gateway.drain().phase() > last {
        return Err(OpenRefusal::Stopping);
    }
    if gateway.is_full() {
        return Err(OpenRefusal::Full);
    }
    if audit::refusal().is_some() {
        return Err(OpenRefusal::Audit);
    }
    let most = gateway.limits_of(identity).plugins.sessions_per_user;
    gateway.tenants().acquire_session(&identity.account(), most).map_err(|crowded| {
        let (user, tenant) = (escape(identity.principal.as_bytes()), escape(identity.tenant.as_bytes()));
        let (channel, limit) = (channel.map(|channel| channel.0), "sessions_per_user");
        let over = LimitEvent::UserSessions { connection, channel, user, tenant, limit, most };
        emit_throttled(crowded.is_news, over);
        OpenRefusal::UserLimit { most, logged: crowded.is_news }
    })
}

/// Makes the pipes of a session that holds `permit` until its output was sent, and starts its task. `own`: the channel
/// is no session of RFC 4254 §6 and has this type.
pub(super) fn open(
    gateway: &Arc<Gateway>,
    row: &Arc<ConnectionRow>,
    channel: ChannelId,
    user: &Arc<SessionUser>,
    permit: SessionPermit,
    wake: Wake,
    own: Option<OwnChannel>,
) -> SessionChannel {
    let limits = gateway.limits_of(&user.identity);
    let (inbox, outbox, half) = session_pipes(limits.output, Arc::clone(&wake));
    let SessionPermit { unsent, task } = permit;
    half.keep(unsent);
    let registration = row.add_session(channel.0, inbox.handle());
    registration.tap().set_wake(wake);
    let is_session = own.is_none();
    let session = (registration.number(), channel.0, registration.tap());
    let recording = if is_session { record(gateway, row.connection(), session, user, &inbox) } else { None };
    let place = Place { connection: row.connection(), channel, session: registration.number() };
    start(gateway, place, user, (half, task), own);
    let (names, by_width) = (gateway.environment_names(), gateway.erases_by_width());
    let requests = RequestLimits::new(limits, names, by_width, &user.identity.restrictions);
    requests.host_variables().for_each(|variable| inbox.event(variable));
    let (refusal_log, starts_to_log) = (Refusals::default(), STARTS);
    SessionChannel { inbox, outbox, requests, refusal_log, registration, recording, is_session, starts_to_log }
}

/// Records the session if its tenant is recorded.
fn record(
    gateway: &Gateway,
    connection: u64,
    (session, channel, point): (u64, u32, &Arc<TapPoint>),
    user: &SessionUser,
    inbox: &Inbox,
) -> Option<SessionRecording> {
    let Identity { user, principal, tenant, .. } = &user.identity;
    let config = gateway.tenants().recording(tenant)?;
    let subject = RecordingSubject { connection, channel, session, user, principal, tenant };
    gateway.recordings().record(config, &subject, (inbox, point))
}

/// Starts the task of a session, which says through the pipes whether the channel is opened, and holds `permit`.
fn start(
    gateway: &Arc<Gateway>,
    place: Place,
    user: &Arc<SessionUser>,
    (half, permit): (SessionHalf, UserPermit),
    own: Option<OwnChannel>,
) {
    let (gateway, user) = (Arc::clone(gateway), Arc::clone(user));
    tokio::spawn(async move {
        run(&gateway, place, &user, half, own).await;
        drop(permit);
    });
}

/// The task of a session: finds the plugin and runs it to its end.
async fn run(gateway: &Gateway, place: Place, user: &SessionUser, half: SessionHalf, own: Option<OwnChannel>) {
    let Place { connection, channel, session } = place;
    let Identity { tenant: name, plugin, .. } = &user.identity;
    let plugin = own.as_ref().map_or(plugin, |own| &own.plugin);
    // On a channel of a plugin's own type nothing can be printed. The drop of `half` says that it is not opened.
    let prints = own.is_none();
    let found = tokio::select! {
        // Boxed, as `find` below: both are soon over, and the session would carry their size for ever.
        found = Box::pin(gateway.tenants().settled(name, plugin)) => found,
        // The client has gone. The drop of `half` says that the channel is not opened.
        () = half.until_ended() => return,
    };
    if let Some(told) = found.notice(plugin) {
        let (tenant, plugin) = (escape(name.as_bytes()), escape(plugin.as_bytes()));
        emit(SessionEvent::NotReady { connection, channel: channel.0, tenant, plugin, reason: &told.text });
        if prints {
            Box::pin(notice(half, &format!("{}\r\n", told.text), Exit::Status(told.status))).await;
        }
        return;
    }
    let tenant = Box::pin(gateway.tenants().find(name)).await;
    let Some((tenant, plugin)) = tenant.zip(found.found()) else {
        let (tenant, plugin) = (escape(name.as_bytes()), escape(plugin.as_bytes()));
        emit(SessionEvent::WithoutPlugin { connection, channel: channel.0, tenant, plugin });
        if prints {
            Box::pin(notice(half, &gateway.no_such_plugin(), Exit::Status(1))).await;
        }
        return;
    };
    let (channel, user_name, shown) = (channel.0, escape(user.identity.user.as_bytes()), escape(name.as_bytes()));
    emit(SessionEvent::Opened {
        connection,
        channel,
        session,
        user: user_name,
        tenant: shown,
        plugin: plugin.name(),
        generation: plugin.generation(),
    });
    let (shared, plugins) = (user.tenant(tenant.shared()), tenant as Arc<dyn Plugins>);
    let facts = user.facts(gateway.identification()).on_channel(channel);
    let facts = match &own {
        Some(own) => facts.of_type(&own.kind, &own.payload),
        None => facts,
    };
    drop(own);
    let report = plugin.session(facts, &shared, &plugins, half).await;
    SessionSummary { connection, channel, session, user: &user.identity.user, tenant: &shared }.write(&report);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::super::fixture::{unlisted, user};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_goes_while_it_waits_for_its_plugin_leaves_no_task_behind() {
        let (_folder, gateway) = unlisted();
        let user = user();
        let (inbox, _outbox, half) = session_pipes(1 << 10, Arc::new(|| ()));
        let mut session = std::pin::pin!(run(
            &gateway,
            Place { connection: 1, channel: ChannelId(0), session: 1 },
            &user,
            half,
            None
        ));
        let second = Duration::from_secs(1);
        assert!(timeout(second, &mut session).await.is_err(), "it waits for the plugin");
        drop(inbox);
        assert!(timeout(second, session).await.is_ok(), "it has ended");
    }
}
