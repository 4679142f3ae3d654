//! The limits of the configuration as the plugin host and the protocol take them: the one place where the names of the one meet those of
//! the others.

use std::sync::Arc;
use std::time::Duration;

use whelk_runtime::keyvalue::KeyValueLimits;
use whelk_runtime::{EngineSettings, HealthSettings, RegistrySettings, TopicLimits};
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::transport::{Party, Patience, RekeyPolicy};
use whelk_ssh::{connection, mux, transport};

use crate::config::{Config, Door, Entrance, Limits};

/// The plugin host's part of the limits.
pub(crate) fn engine_settings(limits: &Limits) -> EngineSettings {
    EngineSettings {
        sessions: count(limits.instances),
        memory: limits.memory,
        component: limits.component,
        stack: limits.stack,
        host_stack: limits.host_stack,
        core_instances: count(limits.core_instances),
        tables: count(limits.tables),
        table_elements: count(limits.table_elements),
        memories: count(limits.memories),
        keep_resident: limits.keep_resident,
        ..EngineSettings::default()
    }
}

/// How versions of plugins follow each other.
pub(crate) fn registry_settings(limits: &Limits) -> RegistrySettings {
    RegistrySettings {
        generations: count(limits.generations),
        health: HealthSettings {
            crashes: count(limits.crashes),
            window: limits.crash_window,
            pause: limits.crash_pause,
            longest_pause: limits.crash_pause_longest,
            ..HealthSettings::default()
        },
    }
}

/// The plugins' part of the limits.
pub(crate) fn plugin_limits(limits: &Limits) -> whelk_runtime::Limits {
    // Processor time is counted in ticks of a millisecond.
    let ticks = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    // No time at all means for ever.
    let some = |time: Duration| (!time.is_zero()).then_some(time);
    whelk_runtime::Limits {
        memory: limits.memory,
        call_ticks: ticks(limits.cpu_call),
        instantiate_ticks: ticks(limits.cpu_start),
        closed_ticks: ticks(limits.cpu_closed),
        burst_ticks: ticks(limits.cpu_burst),
        share_ticks: ticks(limits.cpu_share),
        session_time: some(limits.session_time),
        idle_time: some(limits.idle_time),
        table_elements: count(limits.table_elements),
        instances: count(limits.core_instances),
        tables: count(limits.tables),
        memories: count(limits.memories),
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
        held_output: limits.held_output,
        random: u64::try_from(limits.random).unwrap_or(u64::MAX),
        tenant_sessions: count(limits.tenant_sessions),
        tenant_memory: limits.tenant_memory,
        tenant_output: limits.tenant_output,
        tenant_output_rate: limits.tenant_output_rate,
        tenant_log_lines: limits.tenant_log_rate,
        tenant_failures: limits.tenant_failure_rate,
        ..whelk_runtime::Limits::default()
    }
}

/// Signatures that clients make by default. Those of other types than Ed25519 are never verified, and let nobody in but a
/// user who needs no credentials: paramiko tries nothing else when it has an RSA key that it may not sign with.
const ALL_SIGNATURES: &str = "ssh-ed25519,sk-ssh-ed25519@openssh.com,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,\
    ecdsa-sha2-nistp521,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256";

/// The protocol's part of the limits.
pub(crate) fn protocol(config: &Config, host_key: &HostKey) -> connection::Settings {
    let limits = &config.limits;
    let party = Party::Server { host_key: host_key.public() };
    let some_need_nothing = match &config.entrance {
        Entrance::Demonstration => true,
        Entrance::Users(users) => users.iter().any(|(_, user)| matches!(user.door, Door::Open)),
    };
    let transport = transport::Settings {
        preferences: config.algorithms.clone(),
        signature_algorithms: if some_need_nothing { ALL_SIGNATURES } else { "ssh-ed25519" },
        rekey: RekeyPolicy {
            bytes: u64::try_from(limits.rekey_bytes).unwrap_or(u64::MAX),
            time: limits.rekey_time,
            ..RekeyPolicy::default()
        },
        patience: Patience {
            identification: limits.identification_grace,
            kex: limits.key_exchange_grace,
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

/// A limit as a number of things in memory.
pub(crate) fn count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// A limit that the protocol counts in 32 bits.
fn bytes(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}
