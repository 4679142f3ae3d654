//! The connection plugin of the user's tenant: it decides about channel types and global requests of its own, and
//! begins some itself. RFC 4250 §4.6.1.
//!
//! Without such a plugin nothing here is ever reached: the protocol refuses all of these. With one it passes on names
//! that it does not know, and those that mean something in the field are refused here ([`is_private_name`]). A plugin
//! that fails takes nothing with it: what waits for it and what comes later is refused.

use std::sync::Arc;

use tokio::sync::oneshot;
use whelk_runtime::{
    ClientAnswer, ClientRefusal, ConnectionLink, ConnectionMessage, ControlRequest, OpenOutcome, OpenVerdict,
    is_private_name,
};
use whelk_ssh::connection::Server as ServerConnection;
use whelk_ssh::error::Error;
use whelk_ssh::message::mux::ChannelId;
use whelk_ssh::mux::{Decline, NotAsked, OpenFailure};

use super::delegation::Opening;
use super::session::{self, OpenRefusal, OwnChannel};
use super::user::SessionUser;
use super::{Bridge, Channel, RefusedChannel};
use crate::observe::escape::escape;
use crate::observe::event::{ConnectionEvent, emit};
use crate::server::drain::ShutdownPhase;
use crate::server::gateway::Gateway;
use crate::tenant::SessionPermit;

/// Most bytes of a client's text that a plugin is told.
const TEXT: usize = 1 << 10;
/// Most messages of the plugin that one turn carries out.
pub(super) const MESSAGES: usize = 32;

/// Why a channel of a plugin's own type is not opened.
type Refusal = (OpenFailure, String);

// In: what the client asks for.
impl Bridge {
    /// Whether the user's tenant has a connection plugin.
    pub(crate) fn has_connection_plugin(&self) -> bool {
        self.delegation.is_some()
    }

    /// CHANNEL_OPEN of any type but `session`: asks the connection plugin, or refuses it. RFC 4254 §5.1.
    pub(super) fn open_own(&mut self, channel: ChannelId, kind: &[u8], payload: &[u8]) {
        match self.ask_about(channel, kind, payload) {
            Ok(()) => {}
            Err((failure, text)) => self.refuse(channel, kind, failure, text),
        }
    }

    fn ask_about(&mut self, channel: ChannelId, kind: &[u8], payload: &[u8]) -> Result<(), Refusal> {
        let unknown = || (OpenFailure::UnknownChannelType, "unknown channel type".to_owned());
        let name = std::str::from_utf8(kind).ok().filter(|name| is_private_name(name)).ok_or_else(unknown)?;
        let (delegation, user) = self.delegation.as_mut().zip(self.user.as_ref()).ok_or_else(unknown)?;
        check(&self.gateway, user)?;
        let link = delegation.link(&self.gateway, self.connection_id, user, self.channels.waker());
        let link = link.ok_or_else(unavailable)?;
        if !link.open(channel.0, name.to_owned(), payload.to_vec()) {
            let text = "too many requests wait for the server's plugin: try again later".to_owned();
            return Err((OpenFailure::ResourceShortage, text));
        }
        delegation.offered.insert(channel);
        Ok(())
    }

    /// GLOBAL_REQUEST: asks the connection plugin, or declines it. RFC 4254 §4.
    pub(super) fn request_own(&mut self, name: &[u8], body: &[u8], decline: Decline<'_>) {
        if !self.is_asked(name, body) {
            decline.decline();
        }
    }

    /// Asks the connection plugin about a global request. False if it is not asked.
    fn is_asked(&mut self, name: &[u8], body: &[u8]) -> bool {
        let Some(name) = std::str::from_utf8(name).ok().filter(|name| is_private_name(name)) else { return false };
        let Some((delegation, user)) = self.delegation.as_mut().zip(self.user.as_ref()) else { return false };
        if check(&self.gateway, user).is_err() {
            return false;
        }
        let link = delegation.link(&self.gateway, self.connection_id, user, self.channels.waker());
        let asked = link.is_some_and(|link| link.request(name.to_owned(), body.to_vec()));
        delegation.unanswered += u32::from(asked);
        asked
    }

    /// CHANNEL_OPEN_CONFIRMATION: starts the session on a channel that the plugin has asked for. RFC 4254 §5.1.
    pub(super) fn opened_own(&mut self, channel: ChannelId) {
        let Some((delegation, user)) = self.delegation.as_mut().zip(self.user.clone()) else { return };
        let Some(Opening { own, permit, answer }) = delegation.opening.remove(&channel) else { return };
        if answer.send(OpenOutcome::Opened).is_err() {
            // Nobody waits any more.
            delegation.unwanted.push(channel);
            return;
        }
        self.begin_own(channel, own, &user, permit, "the server");
    }

    /// CHANNEL_OPEN_FAILURE, RFC 4254 §5.1.
    pub(super) fn open_own_failed(&mut self, channel: ChannelId, reason: u32, description: &[u8]) {
        let opening = self.delegation.as_mut().and_then(|delegation| delegation.opening.remove(&channel));
        if let Some(Opening { answer, .. }) = opening {
            let text = escape(description.get(..TEXT).unwrap_or(description)).to_string();
            let text = text.get(..text.floor_char_boundary(TEXT)).unwrap_or_default().to_owned();
            // An error means that nobody waits any more.
            let _ = answer.send(OpenOutcome::Refused(ClientRefusal { reason, text }));
        }
    }

    /// REQUEST_SUCCESS or REQUEST_FAILURE to a request that the plugin has made. RFC 4254 §4.
    pub(super) fn answered_own(&mut self, tag: Option<u64>, success: bool, body: &[u8]) {
        let asked = tag.and_then(|tag| self.delegation.as_mut()?.asked.remove(&tag));
        if let Some(answer) = asked {
            let _ = answer.send(if success { ClientAnswer::Success(body.to_vec()) } else { ClientAnswer::Failure });
        }
    }

    /// Starts the session on a channel of a plugin's own type.
    fn begin_own(
        &mut self,
        channel: ChannelId,
        own: OwnChannel,
        user: &Arc<SessionUser>,
        permit: SessionPermit,
        opened_by: &str,
    ) {
        let (connection, kind, plugin) =
            (self.connection_id, escape(own.kind.as_bytes()), escape(own.plugin.as_bytes()));
        emit(ConnectionEvent::OwnChannel { connection, channel: channel.0, kind, plugin, opened_by });
        let (gateway, row) = (&self.gateway, self.registration.row());
        self.channels.insert(channel, |wake| {
            Channel::Session(session::open(gateway, row, channel, user, permit, wake, Some(own)))
        });
    }
}

/// Whether a user may have a channel or a request of a plugin's own now.
fn check(gateway: &Gateway, user: &SessionUser) -> Result<(), Refusal> {
    let restrictions = &user.identity.restrictions;
    if restrictions.forced_command.is_some() {
        // Either would be another way in.
        return Err((OpenFailure::AdministrativelyProhibited, "this login may run one command only".to_owned()));
    }
    if !restrictions.port_forwarding {
        let text = "the key or certificate of this login permits sessions only".to_owned();
        return Err((OpenFailure::AdministrativelyProhibited, text));
    }
    if gateway.drain().phase() > ShutdownPhase::Serving {
        return Err(OpenRefusal::Stopping.failure());
    }
    Ok(())
}

fn unavailable() -> Refusal {
    (OpenFailure::ConnectFailed, "the plugin is not available".to_owned())
}

/// The reason with which a plugin refuses a channel: those of RFC 4254 §5.1, and those for private use.
fn failure_of(reason: u32) -> OpenFailure {
    match reason {
        1 => OpenFailure::AdministrativelyProhibited,
        2 => OpenFailure::ConnectFailed,
        3 => OpenFailure::UnknownChannelType,
        4 => OpenFailure::ResourceShortage,
        0xFE00_0000.. => OpenFailure::Other(reason),
        // No client knows another.
        _ => OpenFailure::AdministrativelyProhibited,
    }
}

// Out: what the plugin says.
impl Bridge {
    /// Carries out what the connection plugin has said, at most [`MESSAGES`] messages. Returns how many.
    ///
    /// # Errors
    /// [`Error::Requested`]: it ends the connection.
    pub(super) fn heed_plugin(&mut self, connection: &mut ServerConnection) -> Result<usize, Error> {
        let mut heeded = 0;
        while heeded < MESSAGES
            && let Some(message) = self.delegation.as_mut().and_then(|delegation| delegation.link.as_mut()?.take())
        {
            heeded += 1;
            match message {
                ConnectionMessage::Decided { channel, kind, payload, verdict } => {
                    self.decided(ChannelId(channel), kind, payload, verdict);
                }
                ConnectionMessage::Answered(body) => {
                    self.delegation.iter_mut().for_each(|delegation| delegation.unanswered -= 1);
                    connection.answer_global_request(body);
                }
                ConnectionMessage::Control(ControlRequest::Open { kind, payload, plugin, answer }) => {
                    self.ask_to_open(connection, OwnChannel { kind, payload, plugin }, answer);
                }
                ConnectionMessage::Control(ControlRequest::Ask { name, payload, answer }) => {
                    self.ask_client(connection, &name, &payload, answer);
                }
                ConnectionMessage::Failed => {
                    self.delegation.iter_mut().for_each(|delegation| delegation.failed = true);
                }
                ConnectionMessage::Disconnect { reason, text } => return Err(Error::Requested { reason, text }),
                ConnectionMessage::Debug { text, always_display } => {
                    // Sealed at once: see `PacketSink::debug`.
                    if connection.can_write() {
                        connection.debug(&text, always_display);
                    }
                }
            }
        }
        if let Some(delegation) = &mut self.delegation {
            delegation.take_unwanted().for_each(|channel| connection.close(channel));
            if delegation.link.as_ref().is_some_and(ConnectionLink::is_over) {
                delegation.link = None;
                (0..std::mem::take(&mut delegation.unanswered)).for_each(|_| connection.answer_global_request(None));
                for channel in std::mem::take(&mut delegation.offered) {
                    let (failure, text) = unavailable();
                    self.pending_open_failures.push(RefusedChannel { channel, failure, text });
                }
            }
        }
        Ok(heeded)
    }

    /// What becomes of a channel that the client asked for.
    fn decided(&mut self, channel: ChannelId, kind: String, payload: Vec<u8>, verdict: OpenVerdict) {
        let was_offered = self.delegation.as_mut().is_some_and(|delegation| delegation.offered.remove(&channel));
        let Some(user) = self.user.clone().filter(|_| was_offered) else { return };
        let plugin = match verdict {
            OpenVerdict::Accept(plugin) => plugin,
            OpenVerdict::Refuse(ClientRefusal { reason, text }) => {
                return self.refuse(channel, kind.as_bytes(), failure_of(reason), text);
            }
        };
        match session::acquire_permit(&self.gateway, self.connection_id, Some(channel), &user.identity) {
            Ok(permit) => self.begin_own(channel, OwnChannel { kind, payload, plugin }, &user, permit, "the client"),
            Err(refusal) => {
                let (failure, text) = refusal.failure();
                self.refuse(channel, kind.as_bytes(), failure, text);
            }
        }
    }

    /// The plugin wants to open a channel to the client.
    fn ask_to_open(
        &mut self,
        connection: &mut ServerConnection,
        own: OwnChannel,
        answer: oneshot::Sender<OpenOutcome>,
    ) {
        let Some((delegation, user)) = self.delegation.as_mut().zip(self.user.as_ref()) else { return };
        // An error of `send` means that nobody waits any more.
        if answer.is_closed() {
            return;
        }
        if check(&self.gateway, user).is_err() {
            let _ = answer.send(OpenOutcome::NotPermitted);
            return;
        }
        // In this order: nothing is asked of the client for which there is no room.
        let Ok(permit) = session::acquire_permit(&self.gateway, self.connection_id, None, &user.identity) else {
            let _ = answer.send(OpenOutcome::TooMany);
            return;
        };
        match connection.open_channel(own.kind.as_bytes(), &own.payload) {
            Ok(channel) => {
                delegation.opening.insert(channel, Opening { own, permit, answer });
            }
            Err(NotAsked::TooLong) => drop(answer.send(OpenOutcome::TooLarge)),
            Err(NotAsked::TooMany) => drop(answer.send(OpenOutcome::TooMany)),
        }
    }

    /// The plugin makes a global request.
    fn ask_client(
        &mut self,
        connection: &mut ServerConnection,
        name: &str,
        payload: &[u8],
        answer: oneshot::Sender<ClientAnswer>,
    ) {
        let Some(delegation) = self.delegation.as_mut().filter(|_| !answer.is_closed()) else { return };
        delegation.tag += 1;
        match connection.ask(name.as_bytes(), payload, delegation.tag) {
            Ok(()) => drop(delegation.asked.insert(delegation.tag, answer)),
            Err(NotAsked::TooLong) => drop(answer.send(ClientAnswer::TooLarge)),
            Err(NotAsked::TooMany) => drop(answer.send(ClientAnswer::TooMany)),
        }
    }
}

#[cfg(test)]
mod tests {
    use whelk_ssh::connection::Event;
    use whelk_ssh::mux;

    use super::super::delegation::Delegation;
    use super::super::fixture::{unlisted, user};
    use super::*;
    use crate::auth::restrictions::Restrictions;
    use crate::source::Peer;

    /// A bridge whose user has a connection plugin that never comes.
    fn bridge(restrictions: Restrictions) -> (tempfile::TempDir, Bridge) {
        let (folder, gateway) = unlisted();
        let mut bridge = Bridge::new(Arc::new(gateway), 1, Peer::Unknown);
        let mut user = user();
        user.identity.restrictions = Arc::new(restrictions);
        bridge.logged_in(user);
        bridge.delegation = Some(Box::new(Delegation::new("switchboard")));
        (folder, bridge)
    }

    /// Logins that may do less than ask a plugin: by a forced command, and by `restrict`.
    fn restricted() -> [Restrictions; 2] {
        let forced_command = Some("rsync --server".to_owned());
        let forced = Restrictions { forced_command, ..Restrictions::default() };
        [forced, Restrictions { port_forwarding: false, ..Restrictions::default() }]
    }

    /// What becomes of a channel of this type.
    fn refusal(kind: &[u8], restrictions: Restrictions) -> Option<Refusal> {
        let (_folder, mut bridge) = bridge(restrictions);
        bridge.receive(Event::Channel(mux::Event::Open { channel: ChannelId(3), kind, payload: b"" }));
        bridge.pending_open_failures.pop().map(|refused| (refused.failure, refused.text))
    }

    #[tokio::test]
    async fn a_plugin_is_asked_about_names_of_its_own_by_logins_that_may_do_anything() {
        assert_eq!(refusal(b"thing@example.org", Restrictions::default()), None, "the plugin is asked");
        for kind in [&b"auth-agent@example.org"[..], b"thing@openssh.org", b"thing", b"\xff@example.org"] {
            let unknown = (OpenFailure::UnknownChannelType, "unknown channel type".to_owned());
            assert_eq!(refusal(kind, Restrictions::default()), Some(unknown), "{}", kind.escape_ascii());
        }
        for (restrictions, why) in restricted().into_iter().zip(["one command only", "permits sessions only"]) {
            let (failure, text) = refusal(b"thing@example.org", restrictions).unwrap();
            assert_eq!(failure, OpenFailure::AdministrativelyProhibited);
            assert!(text.contains(why), "{text}");
        }
    }

    #[tokio::test]
    async fn a_restricted_login_makes_no_requests() {
        let asked = |restrictions| bridge(restrictions).1.is_asked(b"thing@example.org", b"");
        assert!(asked(Restrictions::default()) && !restricted().into_iter().any(asked));
    }

    #[tokio::test]
    async fn an_instance_counts_as_a_session_of_the_user() {
        let (_folder, mut bridge) = bridge(Restrictions::default());
        let identity = bridge.user.as_ref().unwrap().identity.clone();
        let most = bridge.gateway.limits_of(&identity).plugins.sessions_per_user;
        let all: Vec<_> =
            (0..most).map(|_| session::acquire_permit(&bridge.gateway, 1, None, &identity).ok().unwrap()).collect();
        assert!(!bridge.is_asked(b"thing@example.org", b""), "there is no room");
        drop(all);
        assert!(bridge.is_asked(b"thing@example.org", b""));
    }

    #[test]
    fn a_plugins_reason_is_sent_if_the_standard_has_it() {
        for reason in [1, 2, 3, 4, 0xFE00_0000, u32::MAX] {
            assert_eq!(failure_of(reason).code(), reason);
        }
        for reason in [0, 5, 0xFDFF_FFFF] {
            assert_eq!(failure_of(reason), OpenFailure::AdministrativelyProhibited);
        }
    }
}
