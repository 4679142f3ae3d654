//! The state that a connection keeps for the connection plugin of its user's tenant, and the task of the plugin's
//! instance. `connection_plugin` has the messages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::oneshot;
use whelk_runtime::{
    ClientAnswer, ConnectionHalf, ConnectionLink, Error as PluginError, OpenOutcome, Plugins, Telling, Wake,
    connection_link,
};
use whelk_ssh::message::mux::ChannelId;

use super::session::{self, OwnChannel};
use super::user::SessionUser;
use crate::observe::escape::escape;
use crate::observe::event::{ConnectionEvent, emit};
use crate::server::gateway::Gateway;
use crate::tenant::SessionPermit;

/// The state that a connection keeps for its connection plugin.
pub(super) struct Delegation {
    /// The name of the plugin.
    pub(super) plugin: String,
    /// The link to its instance, which is started when the client first asks something of it. None again after the
    /// instance has ended.
    pub(super) link: Option<ConnectionLink>,
    /// It has failed on this connection, or there is no such plugin: it is not asked again. After a lack of room, or
    /// when its version was replaced, the next question starts a new instance.
    pub(super) failed: bool,
    /// The channels that it has not decided about.
    pub(super) offered: BTreeSet<ChannelId>,
    /// How many global requests it has not answered.
    pub(super) unanswered: u32,
    /// The channels that it has asked for, by our number.
    pub(super) opening: BTreeMap<ChannelId, Opening>,
    /// The requests that it has made, by tag: whoever waits for the answer.
    pub(super) asked: BTreeMap<u64, oneshot::Sender<ClientAnswer>>,
    /// The tag of the latest request.
    pub(super) tag: u64,
    /// Channels that the client has opened too late.
    pub(super) unwanted: Vec<ChannelId>,
}

/// A channel that the plugin has asked for.
pub(super) struct Opening {
    pub(super) own: OwnChannel,
    /// Counts its session from now on.
    pub(super) permit: SessionPermit,
    pub(super) answer: oneshot::Sender<OpenOutcome>,
}

impl Delegation {
    pub(super) fn new(plugin: &str) -> Delegation {
        Delegation {
            plugin: plugin.to_owned(),
            link: None,
            failed: false,
            offered: BTreeSet::new(),
            unanswered: 0,
            opening: BTreeMap::new(),
            asked: BTreeMap::new(),
            tag: 0,
            unwanted: Vec::new(),
        }
    }

    /// The link to the plugin's instance, which is started if this is the first time: it counts as one of the user's
    /// sessions. None if it has failed, or there is no room.
    pub(super) fn link(
        &mut self,
        gateway: &Arc<Gateway>,
        connection: u64,
        user: &Arc<SessionUser>,
        wake: Wake,
    ) -> Option<&ConnectionLink> {
        if self.failed {
            return None;
        }
        if self.link.is_none() {
            let permit = session::acquire_permit(gateway, connection, None, &user.identity).ok()?;
            let (link, half) = connection_link(wake);
            half.keep(permit);
            let (gateway, user, plugin) = (Arc::clone(gateway), Arc::clone(user), self.plugin.clone());
            tokio::spawn(async move { run(&gateway, connection, &plugin, &user, half).await });
            self.link = Some(link);
        }
        self.link.as_ref()
    }
}

/// Channels that nobody waits for any more.
impl Delegation {
    /// Takes the channels that the client has opened too late, and those that it has not answered in time: their places
    /// are free for other sessions.
    pub(super) fn take_unwanted(&mut self) -> impl Iterator<Item = ChannelId> + use<> {
        let mut unwanted = std::mem::take(&mut self.unwanted);
        self.opening.retain(|channel, opening| {
            if opening.answer.is_closed() {
                unwanted.push(*channel);
            }
            !opening.answer.is_closed()
        });
        unwanted.into_iter()
    }
}

/// The task of a connection plugin's instance: finds the plugin and runs it to its end.
async fn run(gateway: &Gateway, connection: u64, plugin: &str, user: &SessionUser, half: ConnectionHalf) {
    let tenant = &user.identity.tenant;
    let found = tokio::select! {
        found = gateway.tenants().settled(tenant, plugin) => found,
        () = half.until_ended() => return,
    };
    let failed = |reason: &str| {
        let (tenant, plugin) = (escape(tenant.as_bytes()), escape(plugin.as_bytes()));
        emit(ConnectionEvent::PluginFailed { connection, tenant, plugin, reason });
    };
    let why_not = found.notice(plugin).map(|notice| notice.text);
    let Some((tenant, plugin)) = gateway.tenants().find(tenant).await.zip(found.found()) else {
        // One that is still prepared may be there at the next question.
        if why_not.is_none() {
            half.fail();
        }
        return failed(&why_not.unwrap_or_else(|| "there is no such plugin".to_owned()));
    };
    let shared = user.tenant(tenant.shared());
    let (name, generation) = (escape(shared.name().as_bytes()), plugin.generation());
    emit(ConnectionEvent::PluginStarted { connection, tenant: name, plugin: plugin.name(), generation });
    let plugins = tenant as Arc<dyn Plugins>;
    let report = plugin.connection(user.facts(gateway.identification()), &shared, &plugins, half).await;
    if let Some(error) = report.error {
        let whole = matches!(error, PluginError::Host { .. }) || shared.failed() == Telling::Whole;
        let reason = if whole { error.to_string() } else { error.for_client() };
        failed(&escape(reason.as_bytes()).to_string());
    }
}
