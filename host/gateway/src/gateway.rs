//! The gateway as a whole: what all connections share, made from a configuration and valid until the end.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use whelk_runtime::keyvalue::KeyValueLimits;
use whelk_runtime::{Engine, EngineSettings, Loaded, Registry, TopicLimits};
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::transport::{Party, Patience, RekeyPolicy};
use whelk_ssh::{auth, connection, mux, transport};

use crate::access::{Access, Identity};
use crate::config::{Config, Entrance, EnvironmentNames, Limits};
use crate::drain::{Drain, Stopper};
use crate::grants::Granter;
use crate::logging::escape;
use crate::tenant::Tenants;

/// What all connections share.
pub struct Gateway {
    access: Arc<Access>,
    protocol: connection::Settings,
    authentication: Arc<auth::server::Settings>,
    host_key: HostKey,
    engine: Engine,
    /// The operator's plugins.
    registry: Arc<Registry>,
    /// For whom sessions run.
    tenants: Tenants,
    limits: Limits,
    /// What a client may set.
    environment_names: EnvironmentNames,
    /// Anybody may enter, and the user name picks the plugin.
    demonstration: bool,
    drain: Drain,
}

impl Gateway {
    /// Compiles the plugins and makes everything that connections need. A plugin that cannot be loaded is named in the log, and
    /// the others are served.
    ///
    /// # Errors
    /// When the plugin host cannot be started, a plugin folder cannot be read, or a tenant cannot be given what it is granted.
    pub fn new(config: &Config, host_key: HostKey, stopper: &Stopper) -> Result<Gateway, String> {
        let access = Access::new(config);
        let engine = start_engine(&config.limits)?;
        let registry = Arc::new(load(&engine, &config.plugins)?);
        let tenants = make_tenants(config, &engine, &registry)?;
        let authentication = auth::server::Settings {
            methods: auth::server::Methods {
                publickey: access.methods().publickey,
                password: access.methods().password,
            },
            banner: config.banner.as_deref().map(auth::server::Banner::new),
            max_failures: config.limits.failed_attempts,
            max_requests: config.limits.authentication_requests,
        };
        Ok(Gateway {
            protocol: protocol(config, &host_key),
            authentication: Arc::new(authentication),
            registry,
            engine,
            tenants,
            limits: config.limits.clone(),
            environment_names: config.environment_names.clone(),
            demonstration: matches!(config.entrance, Entrance::Demonstration),
            drain: stopper.drain(),
            access: Arc::new(access),
            host_key,
        })
    }

    /// Who may enter.
    pub(crate) fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// What the protocol needs to know.
    pub(crate) fn protocol(&self) -> &connection::Settings {
        &self.protocol
    }

    /// What authentication needs to know.
    pub(crate) fn authentication(&self) -> Arc<auth::server::Settings> {
        Arc::clone(&self.authentication)
    }

    /// The key that the server shows.
    pub(crate) fn host_key(&self) -> &HostKey {
        &self.host_key
    }

    /// Our identification line.
    pub(crate) fn identification(&self) -> &str {
        &self.protocol.transport.identification
    }

    /// Whether no more instances fit.
    pub(crate) fn is_full(&self) -> bool {
        self.engine.live() >= self.engine.capacity()
    }

    /// For whom sessions run.
    pub(crate) fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// Every limit, as it is for the server.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The variables that a client may set.
    pub(crate) fn environment_names(&self) -> &EnvironmentNames {
        &self.environment_names
    }

    /// Every limit, as it is for somebody's sessions.
    pub(crate) fn limits_of(&self, identity: &Identity) -> &Limits {
        self.tenants.limits(&identity.tenant).unwrap_or(&self.limits)
    }

    /// What a user is told whose plugin is not there. Only the demonstration says which others are.
    pub(crate) fn no_such_plugin(&self) -> String {
        if !self.demonstration {
            return "The plugin of this account is not available.\r\n".to_owned();
        }
        let plugins = self.plugins.0.plugins();
        if plugins.is_empty() {
            return "There are no plugins here yet. Put a .wasm file into the plugin folder.\r\n".to_owned();
        }
        let list: String = plugins.iter().map(|plugin| format!("  {}\r\n", plugin.name())).collect();
        format!("The user name picks the plugin: ssh NAME@here. These are here:\r\n{list}")
    }

    /// How far the program has got with stopping.
    pub(crate) fn drain(&self) -> Drain {
        self.drain.clone()
    }
}

/// Reserves the room for all instances.
fn start_engine(limits: &Limits) -> Result<Engine, String> {
    let settings =
        EngineSettings { sessions: count(limits.instances), memory: limits.memory, component: limits.component };
    Engine::new(&settings).map_err(|error| format!("the plugin host cannot be started: {error}"))
}

/// Makes the tenants, and compiles the plugins in their own folders.
fn make_tenants(config: &Config, engine: &Engine, operators: &Arc<Registry>) -> Result<Tenants, String> {
    let granter = Granter::new(&config.state);
    if let Entrance::Demonstration = config.entrance {
        return Ok(Tenants::demonstration(&config.limits, plugin_limits(&config.limits), operators, granter));
    }
    let mut own = BTreeMap::new();
    for (name, tenant) in &config.tenants {
        if let Some(folder) = &tenant.plugins {
            own.insert(name.clone(), Arc::new(load(engine, folder)?));
        }
    }
    let tenants = Tenants::configured(&config.tenants, plugin_limits, &own, operators, &granter)?;
    tenants.warn_of_missing_grants(&config.named_plugins());
    Ok(tenants)
}

/// Compiles everything in a plugin folder.
fn load(engine: &Engine, folder: &Path) -> Result<Registry, String> {
    let loaded = Loaded::from_directory(engine, folder)
        .map_err(|error| format!("the plugin folder {} cannot be read: {error}", folder.display()))?;
    for (file, reason) in &loaded.refused {
        let file = file.display().to_string();
        let reason = reason.to_string();
        tracing::error!(file = %escape(file.as_bytes()), reason = %escape(reason.as_bytes()), "plugin refused");
    }
    for plugin in &loaded.plugins {
        tracing::info!(plugin = plugin.name(), digest = plugin.digest_hex(), "plugin loaded");
    }
    let registry = Registry::new();
    registry.replace(loaded.plugins);
    Ok(registry)
}

/// The plugins' part of the limits.
fn plugin_limits(limits: &Limits) -> whelk_runtime::Limits {
    // Processor time is counted in ticks of a millisecond.
    let ticks = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    whelk_runtime::Limits {
        memory: limits.memory,
        call_ticks: ticks(limits.cpu_call),
        instantiate_ticks: ticks(limits.cpu_start),
        closed_ticks: ticks(limits.cpu_closed),
        host_call_bytes: limits.call_data,
        resources: count(limits.resources),
        environment: limits.environment_bytes,
        timers: count(limits.timers),
        passages: limits.passages,
        shortest_timer: limits.timer,
        log_lines: limits.log_rate,
        log_burst: limits.log_burst,
        log_line: limits.log_line,
        keyvalue: KeyValueLimits {
            key: limits.keyvalue_key,
            value: limits.keyvalue_value,
            batch: count(limits.keyvalue_batch),
            rate: limits.keyvalue_rate,
        },
        topics: TopicLimits {
            subscriptions: count(limits.topics),
            message: limits.topic_message,
            waiting: count(limits.topic_waiting),
            waiting_bytes: limits.topic_waiting_bytes,
            rate: limits.topic_rate,
        },
        open_files: count(limits.open_files),
        tenant_open_files: count(limits.tenant_open_files),
        http_requests: count(limits.http_requests),
        http_connect: limits.http_connect,
        http_wait: limits.http_wait,
        http_headers: limits.http_headers,
        http_body: u64::try_from(limits.http_body).unwrap_or(u64::MAX),
        tcp_sockets: count(limits.tcp_sockets),
        ..whelk_runtime::Limits::default()
    }
}

/// The protocol's part of the limits.
fn protocol(config: &Config, host_key: &HostKey) -> connection::Settings {
    let limits = &config.limits;
    let party = Party::Server { host_key: host_key.public() };
    let transport = transport::Settings {
        preferences: config.algorithms.clone(),
        rekey: RekeyPolicy {
            bytes: u64::try_from(limits.rekey_bytes).unwrap_or(u64::MAX),
            time: limits.rekey_time,
            ..RekeyPolicy::default()
        },
        patience: Patience {
            identification: limits.identification_grace,
            kex: limits.key_exchange_grace,
            first_attempt: limits.first_request_grace,
            authentication: limits.authentication_grace,
            rekey: limits.rekey_grace,
        },
        packet_before_auth: limits.packet_before_login,
        packet: limits.packet,
        output_mark: limits.send_buffer / 2,
        ..transport::Settings::new(party)
    };
    let mux = mux::Settings {
        max_channels: count(limits.channels),
        max_sessions: count(limits.sessions),
        window_start: bytes(limits.window_start),
        window_max: bytes(limits.window),
        window_connection: bytes(limits.window_total),
        max_packet: bytes(limits.channel_packet),
        unanswered: count(limits.pending_requests),
        owed_replies: count(limits.pending_replies),
    };
    connection::Settings { transport: Arc::new(transport), mux }
}

fn count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// A limit that the protocol counts in 32 bits.
fn bytes(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}
