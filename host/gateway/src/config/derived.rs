//! The limits of the configuration as the plugin host and the protocol take them: the one place where the names of the one meet those of
//! the others.

use std::sync::Arc;
use std::time::Duration;

use whelk_runtime::{EngineSettings, HealthSettings, KeyValueLimits, RegistrySettings, TopicLimits};
use whelk_ssh::crypto::key::{HostKey, SIGNATURES};
use whelk_ssh::transport::{Party, RekeyPolicy, Timeouts};
use whelk_ssh::{connection, mux, transport};

use crate::config::machine::memory_limit;
use crate::config::{Config, Door, Entrance, Limits};

const GIB: usize = 1 << 30;
/// What a session writes at a time, bytes.
const PIECE: usize = 32 << 10;

/// The plugin host's part of the limits.
pub(crate) fn engine_settings(limits: &Limits) -> EngineSettings {
    EngineSettings {
        sessions: count(limits.instances),
        memory: limits.memory_slot,
        component: limits.component,
        total_memory: memory_total(limits, memory_limit()),
        total_output: output_total(limits, memory_limit()),
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

/// What the server needs beside its plugins and connections, bytes.
const SERVER_MEMORY: u64 = 64 << 20;

/// The memory of all plugins together, where the machine or the control group gives so much: see `memory_total` in the
/// table of limits.
pub(crate) fn memory_total(limits: &Limits, machine: Option<u64>) -> usize {
    if limits.memory_total > 0 {
        return limits.memory_total;
    }
    let Some(machine) = machine else { return usize::MAX };
    let compiling = 4 * u64::from(limits.compile_jobs) * u64::try_from(limits.compile_memory).unwrap_or(u64::MAX >> 20);
    let output = u64::try_from(output_total(limits, Some(machine))).unwrap_or(u64::MAX);
    let others = [SERVER_MEMORY, machine / 8, compiling.min(machine / 8), output.min(machine / 4)];
    let left = others.into_iter().fold(machine, u64::saturating_sub);
    usize::try_from(left.max(machine / 4)).unwrap_or(usize::MAX)
}

/// The output of all sessions together: see `output_total` in the table of limits.
pub(crate) fn output_total(limits: &Limits, machine: Option<u64>) -> usize {
    match machine {
        _ if limits.output_total > 0 => limits.output_total,
        // Room for a few sessions even where there is next to no memory.
        Some(machine) => usize::try_from(machine / 16).unwrap_or(usize::MAX).max(limits.output.saturating_mul(4)),
        None => GIB,
    }
}

/// The output of one user's sessions that may wait. At least what one session writes at a time.
fn user_output(limits: &Limits, tenant_output: usize) -> usize {
    let percent = usize::try_from(limits.user_output_share).unwrap_or(100);
    (tenant_output / 100 * percent).max(tenant_output.min(PIECE))
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
    // No tenant has all of the server's output.
    let tenant_output = limits.tenant_output.min(output_total(limits, memory_limit()) / 2);
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
        handoffs: limits.handoffs,
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
        tenant_output,
        user_output: user_output(limits, tenant_output),
        output_stall: limits.output_stall,
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
pub(crate) fn protocol(config: &Config, host_keys: &[HostKey]) -> connection::Settings {
    let limits = &config.limits;
    let party = Party::Server { host_keys: host_keys.iter().map(|key| Arc::new(key.public().clone())).collect() };
    let some_need_nothing = match &config.entrance {
        Entrance::Demonstration => true,
        Entrance::Users(users) => users.iter().any(|(_, user)| matches!(user.door, Door::Open)),
    };
    let transport = transport::Settings {
        preferences: config.algorithms.clone(),
        signature_algorithms: if some_need_nothing { ALL_SIGNATURES.to_owned() } else { SIGNATURES.join(",") },
        rekey: RekeyPolicy {
            bytes: u64::try_from(limits.rekey_bytes).unwrap_or(u64::MAX),
            time: limits.rekey_time,
            ..RekeyPolicy::default()
        },
        timeouts: Timeouts {
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

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn plugins_have_what_the_machine_or_the_control_group_leaves() {
        let limits = Limits::default();
        let total = |machine| u64::try_from(memory_total(&limits, Some(machine))).unwrap();
        // 200 MiB, less 64 for the server, 25 for connections, 25 to compile and 12.5 for output.
        assert_eq!(total(200 * MIB), 147 * MIB / 2);
        assert_eq!(total(256 * MIB), (256 - 64 - 32 - 32 - 16) * MIB);
        // Four compilers of 1 GiB are less than an eighth of this.
        assert_eq!(total(64 << 30), (64 << 30) - 64 * MIB - (8 << 30) - (4 << 30) - (4 << 30));
        // However little there is, a quarter is the plugins'.
        assert_eq!(total(64 * MIB), 16 * MIB);
        assert_eq!(memory_total(&limits, None), usize::MAX);
        let set = Limits { memory_total: 12_345, ..Limits::default() };
        assert_eq!(memory_total(&set, Some(200 * MIB)), 12_345);
    }

    #[test]
    fn waiting_output_is_bounded_for_the_server_and_for_a_user() {
        let limits = Limits::default();
        assert_eq!(output_total(&limits, Some(256 * MIB)), 16 << 20);
        assert_eq!(output_total(&limits, Some(8 * MIB)), 1 << 20);
        assert_eq!(output_total(&limits, None), 1 << 30);
        assert_eq!(output_total(&Limits { output_total: 99, ..limits.clone() }, Some(256 * MIB)), 99);
        // A quarter of the tenant's 64 MiB.
        assert!((16 << 20) - user_output(&limits, limits.tenant_output) < 100);
        assert_eq!(user_output(&limits, 32 << 10), 32 << 10);
    }
}
