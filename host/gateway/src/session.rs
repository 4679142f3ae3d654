//! The one door between SSH and wasm: one session channel of the protocol, one instance of a plugin.
//!
//! A request of RFC 4254 becomes a [`Happening`] here, and the identity that entered becomes the facts that a plugin may ask for.
//! Which bytes go when is not decided here (`sessions.rs`), nor what a plugin may do (`whelk-runtime`).

use std::sync::Arc;

use whelk_runtime::{Exit, Facts, Happening, Plugins, Pty, SessionSide, SignalName, WindowSize, notice};
use whelk_ssh::connection::Server;
use whelk_ssh::message::mux::ChannelId;
use whelk_ssh::message::request::{self, Request};

use crate::access::Identity;
use crate::config::{EnvironmentNames, Limits};
use crate::gateway::Gateway;
use crate::logging::escape;
use crate::obituary::Obituary;
use crate::tenant::Seat;

/// The largest terminal that is believed, in characters either way. RFC 4254 §6.2 sets no bound; a plugin multiplies these numbers.
const LARGEST_SIDE: u32 = 4096;

/// Who entered, and what every session of the connection may know of it.
pub(crate) struct Entered {
    pub(crate) identity: Identity,
    facts: Facts,
}

/// Where a connection comes from.
pub(crate) struct Origin {
    pub(crate) connection: u64,
    pub(crate) peer: String,
    pub(crate) local: String,
}

impl Entered {
    /// Collects the facts, once the keys are there and the user has entered.
    pub(crate) fn new(identity: Identity, origin: &Origin, connection: &Server, server_version: &str) -> Entered {
        let client_version = connection.peer_identification().unwrap_or_default();
        let mut facts = vec![
            ("connection-id", origin.connection.to_string()),
            ("user", identity.user.clone()),
            ("principal", identity.user.clone()),
            ("tenant", identity.tenant.clone()),
            ("address", origin.peer.clone()),
            ("local-address", origin.local.clone()),
            ("client-version", escape(client_version).to_string()),
            ("server-version", server_version.to_owned()),
            ("method", identity.method.to_owned()),
        ];
        facts.extend(identity.fingerprint.clone().map(|fingerprint| ("key-fingerprint", fingerprint)));
        if let Some(id) = connection.session_id() {
            facts.push(("session-id", id.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()));
        }
        if let Some(agreed) = connection.negotiated() {
            let (to_server, to_client) = (agreed.cipher_to_server.name(), agreed.cipher_to_client.name());
            facts.extend([
                ("kex", agreed.kex.to_owned()),
                ("host-key", agreed.host_key.to_owned()),
                ("cipher-in", to_server.to_owned()),
                ("cipher-out", to_client.to_owned()),
                // All our ciphers bring their own integrity check.
                ("mac-in", "<implicit>".to_owned()),
                ("mac-out", "<implicit>".to_owned()),
            ]);
        }
        Entered { identity, facts: facts.into_iter().collect() }
    }
}

/// The environment that a client may still fill.
pub(crate) struct Environment {
    names: EnvironmentNames,
    variables: u32,
    bytes: usize,
    longest_command: usize,
}

impl Environment {
    pub(crate) fn new(limits: &Limits, names: &EnvironmentNames) -> Environment {
        Environment {
            names: names.clone(),
            variables: limits.environment,
            bytes: limits.environment_bytes,
            longest_command: limits.command,
        }
    }

    /// Whether a variable may be set.
    fn admits(&mut self, name: &[u8], value: &[u8]) -> bool {
        let known = self.names.admit(name);
        let sound = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') && !value.contains(&0);
        let size = name.len() + value.len();
        if !known || !sound || self.variables == 0 || size > self.bytes {
            return false;
        }
        self.variables -= 1;
        self.bytes -= size;
        true
    }
}

/// What a request is to a plugin. None: it is refused without asking, because it is against a limit or its text is no text.
pub(crate) fn happening(request: &Request<'_>, environment: &mut Environment) -> Option<Happening> {
    Some(match *request {
        Request::PtyReq { term, size, modes } => {
            let term = text(term).filter(|term| term.len() <= 256)?;
            Happening::PtyReq(Pty { term, size: window(size), modes: modes.iter().collect() })
        }
        Request::Env { name, value } => {
            let admitted = environment.admits(name, value);
            Happening::Env { name: text(name).filter(|_| admitted)?, value: value.to_vec() }
        }
        Request::Shell => Happening::Shell,
        Request::Exec { command } if command.len() > environment.longest_command => return None,
        Request::Exec { command } => Happening::Exec(command.to_vec()),
        Request::Subsystem { name } => Happening::Subsystem(text(name)?),
        Request::WindowChange { size } => Happening::WindowChange(window(size)),
        Request::Signal { name } => {
            Happening::Signal(SignalName::from_wire(&text(name).filter(|name| name.len() <= 64)?))
        }
        Request::Break { length_ms } => Happening::Break { length_ms },
        // Only servers send these.
        Request::ExitStatus { .. } | Request::ExitSignal { .. } => return None,
        Request::Other { kind, body } => Happening::Request { name: text(kind)?, payload: body.to_vec() },
    })
}

/// A name for a plugin must be text without control characters: plugins print it.
fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then(|| text.to_owned())
}

fn window(size: request::WindowSize) -> WindowSize {
    WindowSize {
        columns: size.columns.min(LARGEST_SIDE),
        rows: size.rows.min(LARGEST_SIDE),
        width_px: size.width_px,
        height_px: size.height_px,
    }
}

/// Starts the task of a session, which holds the user's seat until it ends. It says through the pipes whether the channel is open.
pub(crate) fn start(
    gateway: &Arc<Gateway>,
    connection: u64,
    channel: ChannelId,
    entered: &Arc<Entered>,
    seat: Seat,
    side: SessionSide,
) {
    let (gateway, entered) = (Arc::clone(gateway), Arc::clone(entered));
    tokio::spawn(async move {
        run(&gateway, connection, channel, &entered, side).await;
        drop(seat);
    });
}

/// The whole of a session.
async fn run(gateway: &Gateway, connection: u64, channel: ChannelId, entered: &Entered, side: SessionSide) {
    let Identity { tenant: name, plugin, .. } = &entered.identity;
    if !gateway.tenants().prepared(name, plugin, gateway.limits().prepare_wait).await {
        let (tenant, plugin) = (escape(name.as_bytes()), escape(plugin.as_bytes()));
        tracing::info!(connection, channel = channel.0, %tenant, %plugin, "plugin is still being prepared");
        let text = format!("plugin \"{plugin}\" is still being prepared; try again\r\n");
        notice(side, &text, Exit::Status(1)).await;
        return;
    }
    let tenant = gateway.tenants().find(name).await;
    let Some((tenant, plugin)) = tenant.and_then(|tenant| tenant.plugin(plugin).map(|plugin| (tenant, plugin))) else {
        let (tenant, plugin) = (escape(name.as_bytes()), escape(plugin.as_bytes()));
        tracing::info!(connection, channel = channel.0, %tenant, %plugin, "no such plugin");
        notice(side, &gateway.no_such_plugin(), Exit::Status(1)).await;
        return;
    };
    let (shown, generation) = (escape(name.as_bytes()), plugin.generation());
    tracing::info!(connection, channel = channel.0, tenant = %shown, plugin = plugin.name(), generation, "session opened");
    let (shared, plugins) = (Arc::clone(tenant.shared()), tenant as Arc<dyn Plugins>);
    let report = plugin.session(entered.facts.on_channel(channel.0), &shared, &plugins, side).await;
    Obituary { connection, channel: channel.0, tenant: &shared }.write(&report);
}
