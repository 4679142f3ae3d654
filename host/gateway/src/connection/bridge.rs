//! The bridge between SSH and WebAssembly: translates the events of a connection into session events and back. No other
//! module translates; `server/gateway.rs` only constructs both halves.
//!
//! ```text
//!  whelk_ssh                      bridge                          whelk_runtime
//!  connection::Event   ──────►  inbound   (request, session)  ──────►  Inbox
//!  connection::Server  ◄──────  outbound                      ◄──────  Outbox
//! ```
//!
//! | direction | SSH | bridge | runtime |
//! |---|---|---|---|
//! | in | CHANNEL_OPEN | `inbound`; `session`: permit, pipes, task | `session_pipes`, `Plugin::session` |
//! | in | CHANNEL_OPEN of a plugin's own type, GLOBAL_REQUEST | `connection_plugin` | `ConnectionLink` |
//! | in | CHANNEL_REQUEST | `request`: limits, names as text | `ChannelEvent` |
//! | in | data, EOF, CLOSE | `inbound` | `Inbox::{data, event, end}` |
//! | in | CHANNEL_SUCCESS, CHANNEL_FAILURE | `inbound` | `Inbox::answered` |
//! | out | confirmation or failure of the open | `outbound` | `OpenReply` |
//! | out | data | `outbound`: one packet at a time | `Output` |
//! | out | replies, requests, EOF, exit, DISCONNECT, DEBUG | `outbound` | `Sink` |
//! | out | WINDOW_ADJUST | `outbound` | `Inbox::take_credit` |
//! | out | a plugin's CHANNEL_OPEN, GLOBAL_REQUEST, and its answers | `connection_plugin` | `ConnectionMessage` |
//!
//! Nothing here waits. Events come in while the protocol handles a packet, and only change the session's pipes; output
//! of the sessions is sent when [`Bridge::send`] lets one channel after the other write a packet; `channels` decides
//! the order.
//!
//! Another kind of channel, such as `direct-tcpip` (RFC 4254 §7.2), becomes an arm of the match in `inbound`, a variant
//! of [`Channel`], and a file beside `session`; and `may_open` in `mux/policy.rs` of `whelk-ssh` has to let it through.

mod connection_plugin;
mod delegation;
#[cfg(test)]
pub(in crate::connection) mod fixture;
mod inbound;
mod outbound;
mod request;
mod session;
pub(crate) mod user;

use std::sync::Arc;
use std::time::Instant;

use whelk_runtime::Ending;
use whelk_ssh::connection::Server;
use whelk_ssh::message::mux::ChannelId;
use whelk_ssh::mux::OpenFailure;

use crate::auth::access::AcceptedLogin;
use crate::connection::bridge::delegation::Delegation;
use crate::connection::bridge::session::SessionChannel;
use crate::connection::bridge::user::SessionUser;
use crate::connection::channels::Channels;
use crate::observe::refusals::Refusals;
use crate::server::connection_table::{ConnectionRow, LoginInfo, Registration};
use crate::server::gateway::Gateway;
use crate::source::Peer;

/// Most bytes that are put into packets when a connection ends on request.
const LAST_BYTES: usize = 16 << 10;

/// All channels of one connection, and what they belong to.
pub(crate) struct Bridge {
    gateway: Arc<Gateway>,
    /// The number of the connection, for the log.
    connection_id: u64,
    /// Once somebody has logged in. Before that the protocol lets no channel be opened.
    user: Option<Arc<SessionUser>>,
    /// The connection's place in the table of connections.
    registration: Registration,
    channels: Channels<Channel>,
    /// The connection plugin of the user's tenant, if there is one.
    delegation: Option<Box<Delegation>>,
    /// The CHANNEL_OPEN_FAILUREs that the next [`Bridge::send`] sends.
    pending_open_failures: Vec<RefusedChannel>,
    /// Throttles the log lines about what was refused outside of channels: forwarding, other kinds of channel.
    refusal_log: Refusals,
    /// When the current turn began.
    now: Instant,
}

/// The connection's side of a channel, by its kind.
enum Channel {
    /// RFC 4254 §6.
    Session(SessionChannel),
}

/// What a client is told of a channel that is not opened. RFC 4254 §5.1.
struct RefusedChannel {
    channel: ChannelId,
    failure: OpenFailure,
    text: String,
}

impl Bridge {
    pub(crate) fn new(gateway: Arc<Gateway>, connection_id: u64, peer: Peer) -> Bridge {
        let (channels, pending_open_failures, refusal_log) = (Channels::default(), Vec::new(), Refusals::default());
        let registration = gateway.connections().register(connection_id, peer, channels.waker());
        Bridge {
            gateway,
            connection_id,
            user: None,
            registration,
            channels,
            delegation: None,
            pending_open_failures,
            refusal_log,
            now: Instant::now(),
        }
    }

    /// A turn of the connection's task begins at this time.
    pub(crate) fn begin_turn(&mut self, now: Instant) {
        self.now = now;
        self.channels.begin_turn();
    }

    /// The connection's row in the table of connections.
    pub(crate) fn row(&self) -> &Arc<ConnectionRow> {
        self.registration.row()
    }

    /// The login is complete: channels may be opened.
    pub(crate) fn logged_in(&mut self, user: SessionUser) {
        let (user_name, tenant) = (user.identity.user.clone(), user.identity.tenant.clone());
        let plugin = self.gateway.tenants().connection_plugin(&tenant);
        self.delegation = plugin.map(|plugin| Box::new(Delegation::new(plugin)));
        let traffic = self.gateway.tenants().traffic(&tenant);
        self.row().logged_in(LoginInfo { user: user_name, tenant, method: user.identity.method }, traffic);
        let login = AcceptedLogin::of(&user.identity, self.row().peer());
        self.registration.watch_login(login, self.gateway.access_number());
        self.user = Some(Arc::new(user));
    }

    /// Whether the connection has no channel.
    pub(crate) fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    /// Waits until a channel has something to send, or the end of the connection is asked for. Cancel safe.
    pub(crate) async fn has_output(&self) {
        self.channels.woken().await;
    }

    /// Shows a line of the host's on every terminal of the connection.
    pub(crate) fn tell_terminals(&self, text: &str) {
        for channel in self.channels.iter() {
            match channel {
                Channel::Session(session) => session.inbox.tell_terminal(text),
            }
        }
    }

    /// Ends all sessions because the end of the connection was asked for. Those on a terminal are shown why, as far as
    /// their clients take it.
    pub(crate) fn ended_on_request(&mut self, connection: &mut Server, reason: &str) {
        self.tell_terminals(&format!("this connection is ended: {reason}"));
        // The connection ends in any case.
        let _ = self.send(connection, LAST_BYTES);
        self.connection_lost();
    }

    /// Ends all sessions because the connection is lost or closed.
    pub(crate) fn connection_lost(&mut self) {
        self.end(Ending::ConnectionLost);
    }

    /// Ends all sessions because the server stops.
    pub(crate) fn server_stopped(&mut self) {
        self.end(Ending::Drained);
    }

    fn end(&mut self, why: Ending) {
        self.delegation = None;
        for channel in self.channels.take_all() {
            match channel {
                Channel::Session(session) => session.inbox.end(why),
            }
        }
    }

    /// A channel that is a session.
    fn session(&mut self, id: ChannelId) -> Option<&mut SessionChannel> {
        match self.channels.get_mut(id)? {
            Channel::Session(session) => Some(session),
        }
    }

    /// The user's name for the log, or nothing before login.
    fn user_name(&self) -> &str {
        name_of(self.user.as_ref())
    }
}

/// The user's name for the log, or nothing before login.
fn name_of(user: Option<&Arc<SessionUser>>) -> &str {
    user.map_or("", |user| user.identity.user.as_str())
}
