//! The request `status`: how the server is, as a whole.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use whelk_runtime::event;
use whelk_runtime::limits::Amount;

use super::{Requests, TIME};
use crate::plugins::reload::Reload;
use crate::server::drain::{Drain, ShutdownPhase};
use crate::server::generation::CurrentGateway;
use crate::server::listener::ListenerControl;
use crate::tenant::Tenant;

/// The request.
pub const STATUS: &str = "status";
/// The part of a limit, in percent, from which on it is near.
const NEAR: u64 = 80;
/// Most limits that are listed as near.
const MAX_NEAR: usize = 50;

/// How a server is. `whelk status --json` prints it; fields are added and never changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerStatus {
    /// Of the program.
    pub version: String,
    /// The number of this run, with which the identity of each connection begins.
    pub run: String,
    /// Of the process.
    pub pid: u32,
    /// When it was started, RFC 3339.
    pub since: String,
    /// How long ago that was, seconds.
    pub uptime_s: u64,
    /// `serving`, `draining` (no new logins, sessions go on) or `closing`.
    pub state: String,
    /// How long sessions may still go on while it is draining, seconds.
    pub drain_left_s: Option<u64>,
    /// The addresses that it listens on. None while it is draining.
    pub listeners: Vec<String>,
    /// Connections, logged in or not.
    pub connections: Used,
    /// Open sessions.
    pub sessions: u64,
    /// Instances of plugins and programs.
    pub instances: Used,
    /// Memory of all instances, and the host's buffers for them, bytes.
    pub memory: Used,
    /// Open files, sockets and connections of plugins.
    pub files: Used,
    /// Plugins and programs in all folders.
    pub plugins: PluginCounts,
    /// Tenants: those of the configuration, or in the demonstration those that have had a session.
    pub tenants: u64,
    /// The limits of which four fifths or more are in use, at most 50.
    pub near: Vec<NearLimit>,
}

/// A quantity in use, and its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Used {
    /// How much is in use.
    pub used: u64,
    /// The limit. A reload may have set it below that. Null: there is none.
    pub most: Option<u64>,
}

/// How many plugins and programs there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginCounts {
    /// Names that are served.
    pub served: u64,
    /// Names without a served version yet.
    pub preparing: u64,
    /// Files that were refused.
    pub refused: u64,
}

/// A limit of which most is in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NearLimit {
    /// The tenant whose limit it is. Null: the server's.
    pub tenant: Option<String>,
    /// Its setting, or what it follows from.
    pub setting: String,
    /// How much is in use.
    pub used: u64,
    /// The limit.
    pub limit: u64,
}

impl Used {
    pub(super) fn of(amount: Amount) -> Used {
        Used { used: amount.used as u64, most: Some(amount.most as u64).filter(|most| *most < usize::MAX as u64) }
    }

    /// The limit, if it is near.
    fn near(&self) -> Option<u64> {
        self.most.filter(|most| self.used.saturating_mul(100) >= most.saturating_mul(NEAR) && self.used > 0)
    }
}

impl Requests {
    /// With the request [`STATUS`].
    #[must_use]
    pub fn with_status(
        self,
        newest: &CurrentGateway,
        reload: &Reload,
        listener: &Arc<ListenerControl>,
        drain: &Drain,
    ) -> Requests {
        let (newest, view, listener) = (newest.clone(), reload.view().clone(), Arc::clone(listener));
        let (drain, at, began) = (drain.clone(), Timestamp::now(), Instant::now());
        self.with(STATUS, TIME, move |_| {
            let gateway = newest.current();
            let listens = listener.state();
            let mut plugins = PluginCounts::default();
            for folder in view.folders().iter() {
                plugins.served += folder.config.registry.list().len() as u64;
                plugins.preparing += folder.config.registry.preparing().len() as u64;
                plugins.refused += folder.state().refused.len() as u64;
            }
            let (connections, sessions) = gateway.connections().counts();
            let [instances, memory, files] = gateway.usage().map(Used::of);
            let tenants = gateway.tenants().all();
            let connections = Used { used: connections as u64, most: Some(listens.room.0.into()) };
            let near = near_limits(&[
                ("connections", connections),
                ("instances", instances),
                ("memory_total", memory),
                ("open files of all tenants", files),
            ]);
            let status = ServerStatus {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                run: event::run(),
                pid: std::process::id(),
                since: format!("{at:.0}"),
                uptime_s: began.elapsed().as_secs(),
                state: state(&drain).to_owned(),
                drain_left_s: drain.left().map(|left| left.as_secs()),
                listeners: listens.addresses.iter().map(ToString::to_string).collect(),
                connections,
                sessions: sessions as u64,
                instances,
                memory,
                files,
                plugins,
                tenants: tenants.len() as u64,
                near: near
                    .into_iter()
                    .chain(tenants.iter().flat_map(|tenant| near_limits_of(tenant)))
                    .take(MAX_NEAR)
                    .collect(),
            };
            async move { json!(status) }
        })
    }
}

fn near_limits(limits: &[(&str, Used)]) -> Vec<NearLimit> {
    let near = limits.iter().filter_map(|(setting, amount)| {
        let limit = amount.near()?;
        Some(NearLimit { tenant: None, setting: (*setting).to_owned(), used: amount.used, limit })
    });
    near.collect()
}

/// The limits of a tenant that are near.
fn near_limits_of(tenant: &Tenant) -> impl Iterator<Item = NearLimit> + use<> {
    let usage = tenant.shared().usage();
    let limits = [
        ("tenant_sessions", usage.sessions),
        ("tenant_processes", usage.processes),
        ("tenant_memory", usage.memory),
        ("tenant_open_files", usage.files),
    ];
    let near = near_limits(&limits.map(|(limit, amount)| (limit, Used::of(amount))));
    let tenant = tenant.shared().name().to_owned();
    near.into_iter().map(move |near| NearLimit { tenant: Some(tenant.clone()), ..near })
}

fn state(drain: &Drain) -> &'static str {
    match drain.phase() {
        ShutdownPhase::Serving => "serving",
        ShutdownPhase::Draining => "draining",
        ShutdownPhase::Closing | ShutdownPhase::Gone => "closing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_near_from_four_fifths_on_and_none_is_never_near() {
        let near = |used, most| Used { used, most }.near().is_some();
        assert!(near(80, Some(100)) && near(101, Some(100)) && near(1, Some(0)));
        assert!(!near(79, Some(100)) && !near(0, Some(0)) && !near(u64::MAX, None));
        let unbounded = Used::of(Amount { used: 3, most: usize::MAX });
        assert_eq!(unbounded, Used { used: 3, most: None });
        let limits = near_limits(&[("connections", Used { used: 9, most: Some(10) }), ("instances", unbounded)]);
        let shown = json!([{ "tenant": null, "setting": "connections", "used": 9, "limit": 10 }]);
        assert_eq!(json!(limits), shown);
        let earlier: ServerStatus = serde_json::from_value(json!({ "version": "0.1", "sessions": 3 })).unwrap();
        assert_eq!((earlier.sessions, earlier.near), (3, Vec::new()));
    }
}
