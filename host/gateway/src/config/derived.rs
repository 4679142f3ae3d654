//! What follows from the limits and from this machine, and the settings of the protocol core.

use std::sync::Arc;

use whelk_runtime::EngineSettings;
use whelk_runtime::limits::{GIB, count};
use whelk_ssh::transport::{Party, RekeyPolicy, Timeouts};
use whelk_ssh::{connection, mux, transport};

use crate::config::machine::memory_limit;
use crate::config::{Config, Limits};
use crate::state::host_keys::HostKeys;

/// Places of authenticators beside those that `authenticator_instances` allows: for ended ones that are not taken down
/// yet.
const SPARE_AUTHENTICATORS: usize = 8;

/// The size of the engine's pool, as the limits and this machine have it.
pub(crate) fn engine_settings(limits: &Limits) -> EngineSettings {
    EngineSettings {
        total_memory: memory_total(limits, memory_limit()),
        total_output: output_total(limits, memory_limit()),
        ..EngineSettings::of(&limits.plugins)
    }
}

/// The same for a configuration, with the places of its authenticators.
pub(crate) fn engine_settings_of(config: &Config) -> EngineSettings {
    let authenticators = match config.authenticators.is_empty() {
        true => 0,
        false => count(config.limits.authenticator_instances) + SPARE_AUTHENTICATORS,
    };
    EngineSettings { authenticators, ..engine_settings(&config.limits) }
}

/// The limits of an authenticator's instances.
pub(crate) fn authenticator_limits(limits: &Limits) -> whelk_runtime::Limits {
    whelk_runtime::Limits { grace: limits.authenticator_call, ..plugin_limits(limits) }
}

/// What the server needs beside its plugins and connections, bytes.
const SERVER_MEMORY: u64 = 64 << 20;

/// The memory of all plugins together, for a machine or a control group with this much memory, if that is known: see
/// `memory_total` in the table of limits.
pub(crate) fn memory_total(limits: &Limits, machine: Option<u64>) -> usize {
    if limits.plugins.memory_total > 0 {
        return limits.plugins.memory_total;
    }
    let Some(machine) = machine else { return usize::MAX };
    let compiling = 4
        * u64::from(limits.plugins.compile_jobs)
        * u64::try_from(limits.plugins.compile_memory).unwrap_or(u64::MAX >> 20);
    let output = u64::try_from(output_total(limits, Some(machine))).unwrap_or(u64::MAX);
    let others = [SERVER_MEMORY, machine / 8, compiling.min(machine / 8), output.min(machine / 4)];
    let left = others.into_iter().fold(machine, u64::saturating_sub);
    usize::try_from(left.max(machine / 4)).unwrap_or(usize::MAX)
}

/// The output of all sessions together: see `output_total` in the table of limits.
pub(crate) fn output_total(limits: &Limits, machine: Option<u64>) -> usize {
    match machine {
        _ if limits.plugins.output_total > 0 => limits.plugins.output_total,
        // Room for a few sessions even where there is next to no memory.
        Some(machine) => usize::try_from(machine / 16).unwrap_or(usize::MAX).max(limits.output.saturating_mul(4)),
        None => GIB,
    }
}

/// The limits of a tenant: as they are configured, but no tenant has all of the server's output.
pub(crate) fn plugin_limits(limits: &Limits) -> whelk_runtime::Limits {
    let tenant_output = limits.plugins.tenant_output.min(output_total(limits, memory_limit()) / 2);
    whelk_runtime::Limits { tenant_output, ..limits.plugins.clone() }
}

/// The protocol's part of the limits.
pub(crate) fn protocol(config: &Config, host_keys: &HostKeys) -> connection::Settings {
    let limits = &config.limits;
    let party = Party::Server {
        host_keys: host_keys.public().map(|key| Arc::new(key.clone())).collect(),
        certificates: host_keys.certificates().to_vec(),
    };
    // Fields without a limit keep the protocol's defaults. Every field is named, so that a new one is not forgotten
    // here.
    let transport::Settings {
        party,
        software: _,
        preferences: _,
        rekey: RekeyPolicy { bytes: _, packets, time: _ },
        timeouts: _,
        packet_before_auth: _,
        packet: _,
        output_mark: _,
    } = transport::Settings::new(party);
    let transport = transport::Settings {
        party,
        software: config.software_version.clone(),
        preferences: config.algorithms.clone(),
        rekey: RekeyPolicy {
            bytes: u64::try_from(limits.rekey_bytes).unwrap_or(u64::MAX),
            packets,
            time: limits.rekey_time,
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

/// The same settings without compression.
pub(crate) fn uncompressed(protocol: &connection::Settings) -> connection::Settings {
    let mut transport = transport::Settings::clone(&protocol.transport);
    transport.preferences = transport.preferences.without_compression();
    connection::Settings { transport: Arc::new(transport), mux: protocol.mux.clone() }
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
        // Four compilers of 2 GiB are less than an eighth of this.
        assert_eq!(total(128 << 30), (128 << 30) - 64 * MIB - (16 << 30) - (8 << 30) - (8 << 30));
        // However little there is, a quarter is the plugins'.
        assert_eq!(total(64 * MIB), 16 * MIB);
        assert_eq!(memory_total(&limits, None), usize::MAX);
        let mut set = Limits::default();
        set.plugins.memory_total = 12_345;
        assert_eq!(memory_total(&set, Some(200 * MIB)), 12_345);
    }

    #[test]
    fn waiting_output_is_bounded_for_the_server_and_for_a_user() {
        let limits = Limits::default();
        assert_eq!(output_total(&limits, Some(256 * MIB)), 16 << 20);
        assert_eq!(output_total(&limits, Some(8 * MIB)), 1 << 20);
        assert_eq!(output_total(&limits, None), 1 << 30);
        let mut set = limits;
        set.plugins.output_total = 99;
        assert_eq!(output_total(&set, Some(256 * MIB)), 99);
    }
}
