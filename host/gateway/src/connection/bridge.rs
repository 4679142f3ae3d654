//! The one door between SSH and wasm: one session channel of the protocol, one instance of a plugin.
//!
//! A request of RFC 4254 becomes a [`ChannelEvent`] here, and the identity that entered becomes the facts that a plugin may ask for.
//! Which bytes go when is not decided here (`sessions.rs`), nor what a plugin may do (`whelk-runtime`).

use std::sync::Arc;

use whelk_runtime::{ChannelEvent, Exit, Facts, Plugins, Pty, SessionSide, SignalName, WindowSize, notice};
use whelk_ssh::connection::Server;
use whelk_ssh::message::mux::ChannelId;
use whelk_ssh::message::request::{self, Request};

use crate::auth::access::Identity;
use crate::config::{EnvironmentNames, Limits};
use crate::observe::logging::escape;
use crate::observe::refusals::RefusedVariables;
use crate::observe::session_summary::SessionSummary;
use crate::server::gateway::Gateway;

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
    pub(crate) refused: RefusedVariables,
}

impl Environment {
    pub(crate) fn new(limits: &Limits, names: &EnvironmentNames) -> Environment {
        Environment {
            names: names.clone(),
            variables: limits.environment,
            bytes: limits.environment_bytes,
            longest_command: limits.command,
            refused: RefusedVariables::default(),
        }
    }

    /// Whether a variable may be set; one that may not counts for nothing. The error says why not.
    fn admit(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        if !self.names.admit(name) {
            return Err("the name is not admitted: see `environment_names`");
        }
        let sound = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') && !value.contains(&0);
        if !sound {
            return Err("the name or the value is not that of a variable");
        }
        let size = name.len() + value.len();
        if self.variables == 0 || size > self.bytes {
            return Err("there are too many: see `limits.environment` and `limits.environment_bytes`");
        }
        self.variables -= 1;
        self.bytes -= size;
        Ok(())
    }
}

/// A request that is refused without asking the plugin, because it is against a limit or its text is no text.
pub(crate) enum Unfit<'a> {
    /// A variable, of which the environment keeps count.
    Variable,
    Other {
        /// What was asked for.
        detail: &'a [u8],
        reason: String,
        /// Whether the client is told on stderr, where its user may see it.
        on_stderr: bool,
    },
}

/// Converts a request for a plugin.
pub(crate) fn to_happening<'a>(
    request: &Request<'a>,
    environment: &mut Environment,
) -> Result<ChannelEvent, Unfit<'a>> {
    let unfit = |detail: &'a [u8], reason: &str| Unfit::Other { detail, reason: reason.to_owned(), on_stderr: false };
    let name = |bytes: &'a [u8], most: usize| {
        let fits = text(bytes).filter(|name| name.len() <= most);
        fits.ok_or_else(|| unfit(bytes, "the name is too long or is not text"))
    };
    Ok(match *request {
        Request::PtyReq { term, size, modes } => {
            ChannelEvent::PtyReq(Pty { term: name(term, 256)?, size: window(size), modes: modes.iter().collect() })
        }
        Request::Env { name, value } => {
            let admitted = environment.admit(name, value).and_then(|()| text(name).ok_or("the name is not text"));
            match admitted {
                Ok(name) => ChannelEvent::Env { name, value: value.to_vec() },
                Err(reason) => {
                    environment.refused.add(name, reason);
                    return Err(Unfit::Variable);
                }
            }
        }
        Request::Shell => ChannelEvent::Shell,
        Request::Exec { command } if command.len() > environment.longest_command => {
            let (is, most) = (command.len(), environment.longest_command);
            let reason = format!("the command is too long: {is} bytes, and at most {most} are accepted");
            return Err(Unfit::Other { detail: command, reason, on_stderr: true });
        }
        Request::Exec { command } => ChannelEvent::Exec(command.to_vec()),
        Request::Subsystem { name: subsystem } => ChannelEvent::Subsystem(name(subsystem, usize::MAX)?),
        Request::WindowChange { size } => ChannelEvent::WindowChange(window(size)),
        Request::Signal { name: signal } => ChannelEvent::Signal(SignalName::from_wire(&name(signal, 64)?)),
        Request::Break { length_ms } => ChannelEvent::Break { length_ms },
        Request::ExitStatus { .. } | Request::ExitSignal { .. } => return Err(unfit(b"", "only servers send this")),
        Request::Other { kind, body } => {
            ChannelEvent::Request { name: name(kind, usize::MAX)?, payload: body.to_vec() }
        }
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

/// Starts the task of a session. It says through the pipes whether the channel is open.
pub(crate) fn start(
    gateway: &Arc<Gateway>,
    connection: u64,
    channel: ChannelId,
    entered: &Arc<Entered>,
    side: SessionSide,
) {
    let (gateway, entered) = (Arc::clone(gateway), Arc::clone(entered));
    tokio::spawn(async move { run(&gateway, connection, channel, &entered, side).await });
}

/// The whole of a session.
async fn run(gateway: &Gateway, connection: u64, channel: ChannelId, entered: &Entered, side: SessionSide) {
    let Identity { tenant: name, plugin, .. } = &entered.identity;
    let found = tokio::select! {
        found = gateway.tenants().settled(name, plugin) => found,
        // Nobody waits for it any more. The channel was not opened, which the end of `side` says.
        () = side.until_ended() => return,
    };
    if let Some(words) = found.try_again(plugin) {
        let (tenant, plugin) = (escape(name.as_bytes()), escape(plugin.as_bytes()));
        tracing::info!(connection, channel = channel.0, %tenant, %plugin, reason = words, "plugin is not ready");
        notice(side, &format!("{words}\r\n"), Exit::Status(1)).await;
        return;
    }
    let tenant = gateway.tenants().find(name).await;
    let Some((tenant, plugin)) = tenant.zip(found.found()) else {
        let (tenant, plugin) = (escape(name.as_bytes()), escape(plugin.as_bytes()));
        tracing::info!(connection, channel = channel.0, %tenant, %plugin, "no such plugin");
        notice(side, &gateway.no_such_plugin(), Exit::Status(1)).await;
        return;
    };
    let (shown, generation) = (escape(name.as_bytes()), plugin.generation());
    tracing::info!(connection, channel = channel.0, tenant = %shown, plugin = plugin.name(), generation, "session opened");
    let (shared, plugins) = (Arc::clone(tenant.shared()), tenant as Arc<dyn Plugins>);
    let report = plugin.session(entered.facts.on_channel(channel.0), &shared, &plugins, side).await;
    SessionSummary { connection, channel: channel.0, tenant: &shared }.write(&report);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;
    use whelk_runtime::session_pipes;
    use whelk_ssh::crypto::key::HostKey;

    use super::*;
    use crate::config::{Config, Overrides};
    use crate::server::drain::Stopper;

    /// A gateway whose plugin folder has not been listed.
    fn unlisted() -> (tempfile::TempDir, Gateway) {
        let folder = tempfile::tempdir().unwrap();
        let (plugins, state) = (folder.path().join("plugins"), folder.path().join("state"));
        std::fs::create_dir(&plugins).unwrap();
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let overrides = Overrides { listen, plugins: Some(plugins), state: Some(state) };
        let mut config = Config::demonstration(&overrides).unwrap();
        config.limits.instances = 1;
        let gateway = Gateway::new(&config, vec![HostKey::generate().unwrap()], &Stopper::new()).unwrap();
        gateway.registry().expect_all();
        (folder, gateway)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_goes_while_it_waits_for_its_plugin_leaves_no_task_behind() {
        let (_folder, gateway) = unlisted();
        let (user, tenant, plugin) = ("alice".to_owned(), "echo".to_owned(), "echo".to_owned());
        let identity = Identity { user, tenant, plugin, method: "none", fingerprint: None };
        let entered = Entered { identity, facts: Vec::<(&str, String)>::new().into_iter().collect() };
        let (inbox, _outbox, side) = session_pipes(1 << 10, Arc::new(|| ()));
        let mut session = std::pin::pin!(run(&gateway, 1, ChannelId(0), &entered, side));
        let second = Duration::from_secs(1);
        assert!(timeout(second, &mut session).await.is_err(), "it waits for the plugin");
        drop(inbox);
        assert!(timeout(second, session).await.is_ok(), "it waits for nobody");
    }

    fn environment() -> Environment {
        Environment::new(&Limits::default(), &EnvironmentNames::default())
    }

    fn variable<'a>(name: &'a [u8], value: &'a [u8]) -> Request<'a> {
        Request::Env { name, value }
    }

    #[test]
    fn variables_that_are_not_admitted_cost_nothing_and_those_over_the_limit_are_refused() {
        // C31
        let mut environment = environment();
        for number in 0..900 {
            let name = format!("CI_{number}");
            assert!(to_happening(&variable(name.as_bytes(), b"x"), &mut environment).is_err());
        }
        for number in 0..128 {
            let name = format!("LC_{number}");
            assert!(to_happening(&variable(name.as_bytes(), b"x"), &mut environment).is_ok(), "{number}");
        }
        assert!(to_happening(&variable(b"LANG", b"x"), &mut environment).is_err());
        assert_eq!(environment.refused.count(), 901);
    }

    #[test]
    fn the_bytes_of_all_variables_are_bounded_together() {
        let mut environment = environment();
        let value = vec![b'x'; 20_000];
        for (number, fits) in [true, true, true, false].into_iter().enumerate() {
            let name = format!("LC_{number}");
            assert_eq!(to_happening(&variable(name.as_bytes(), &value), &mut environment).is_ok(), fits, "{number}");
        }
        assert!(to_happening(&variable(b"LANG", b"C.UTF-8"), &mut environment).is_ok(), "a small one still fits");
        for (name, value) in [(&b"LC_A=B"[..], &b"x"[..]), (b"LC_X", b"a\0b"), (b"LC_\xff", b"x")] {
            assert!(to_happening(&variable(name, value), &mut environment).is_err());
        }
    }

    #[test]
    fn a_command_as_long_as_a_packet_is_taken_and_a_longer_one_is_refused_in_words() {
        // C32
        let mut environment = environment();
        let command = vec![b'x'; (255 << 10) + 1];
        let taken = to_happening(&Request::Exec { command: &command[1..] }, &mut environment);
        assert!(matches!(taken, Ok(ChannelEvent::Exec(command)) if command.len() == 255 << 10));
        let Err(Unfit::Other { reason, on_stderr, .. }) =
            to_happening(&Request::Exec { command: &command }, &mut environment)
        else {
            panic!("it was taken")
        };
        let words = "the command is too long: 261121 bytes, and at most 261120 are accepted";
        assert_eq!((reason.as_str(), on_stderr), (words, true));
    }
}
