//! The request `tenants`: what each tenant has and has used, beside its limits, a line each.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use whelk_runtime::TenantUsage;
use whelk_runtime::keyvalue::{Buckets, Load, StoreUsage};

use super::lines::AnswerLines;
use super::status::Used;
use super::{AskedRequest, Requests, error};
use crate::server::generation::CurrentGateway;
use crate::tenant::Tenant;

/// The request.
pub const TENANTS: &str = "tenants";
/// How long the key-value store may take to say what it holds, for all tenants together.
const STORE_TIME: Duration = Duration::from_secs(2);

/// Which tenants are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantFilter {
    /// That of this name alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// One tenant. `whelk tenants --json` prints one a line; fields are added and never changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantEntry {
    /// Its name.
    pub tenant: String,
    /// Open sessions. `tenant_sessions`
    pub sessions: Used,
    /// Instances of plugins and programs.
    pub instances: u64,
    /// Processes that others have started. `tenant_processes`
    pub processes: Used,
    /// Memory of all instances, and the host's buffers for them, bytes. `tenant_memory`
    pub memory: Used,
    /// Open files, sockets and connections of requests. `tenant_open_files`
    pub files: Used,
    /// Processor time of sessions since the server was started, milliseconds.
    pub cpu_ms: u64,
    /// Bytes of the files in its directory or in all homes together. Null: it has none, or they are not counted.
    pub disk: Option<Used>,
    /// The number of these files.
    pub disk_files: Option<Used>,
    /// Bytes in the key-value store. Null: it has no such grant, or the store does not answer.
    pub keyvalue: Option<Used>,
    /// Keys there.
    pub keyvalue_keys: Option<Used>,
    /// Bytes from clients of its sessions since the server was started.
    pub received: u64,
    /// Bytes to them.
    pub sent: u64,
}

impl Requests {
    /// With the request [`TENANTS`].
    #[must_use]
    pub fn with_tenants(self, newest: &CurrentGateway) -> Requests {
        let newest = newest.clone();
        self.with_lines(TENANTS, move |asked, lines| answer(asked, lines, newest.clone()))
    }
}

async fn answer(asked: AskedRequest, mut lines: AnswerLines, newest: CurrentGateway) {
    let sent = match asked.parse::<TenantFilter>() {
        Ok(filter) => send(&filter, &mut lines, &newest).await,
        Err(reason) => lines.send_last(&error(&reason)).await,
    };
    // An error means that the client has gone.
    let _ = sent;
}

async fn send(filter: &TenantFilter, lines: &mut AnswerLines, newest: &CurrentGateway) -> io::Result<()> {
    let mut tenants = newest.current().tenants().all();
    tenants.retain(|tenant| filter.tenant.as_ref().is_none_or(|wanted| wanted == tenant.shared().name()));
    let stored = stored(tenants.iter().map(|tenant| tenant.shared().grants().keyvalue.clone())).await;
    for (tenant, stored) in tenants.iter().zip(stored) {
        lines.add(&entry(tenant, stored)).await?;
    }
    lines.send_last(&json!({ "done": {} })).await
}

fn entry(tenant: &Tenant, keyvalue: Option<StoreUsage>) -> TenantEntry {
    let shared = tenant.shared();
    let TenantUsage { sessions, instances, processes, memory, files, cpu_ms } = shared.usage();
    let of = |used: u64, most: u64| Some(Used { used, most: Some(most).filter(|most| *most < u64::MAX) });
    let grants = shared.grants();
    let disk = match (&grants.directory, &grants.homes) {
        (Some(directory), _) => Some((directory.usage(), directory.quota())),
        (None, Some(homes)) => Some((homes.total(), homes.most())),
        (None, None) => None,
    };
    let (received, sent) = tenant.traffic().total();
    TenantEntry {
        tenant: shared.name().to_owned(),
        sessions: Used::of(sessions),
        instances: instances as u64,
        processes: Used::of(processes),
        memory: Used::of(memory),
        files: Used::of(files),
        cpu_ms,
        disk: disk.and_then(|(usage, quota)| of(usage.bytes, quota.bytes)),
        disk_files: disk.and_then(|(usage, quota)| of(usage.files, quota.files)),
        keyvalue: keyvalue.and_then(|usage| of(usage.bytes, usage.most_bytes)),
        keyvalue_keys: keyvalue.and_then(|usage| of(usage.keys, usage.most_keys)),
        received,
        sent,
    }
}

/// What each tenant has in the key-value store; none without the grant, or if the answer does not come in time. All are
/// asked at once, so the time is the same however many do not answer.
async fn stored(all: impl Iterator<Item = Option<Arc<dyn Buckets>>>) -> Vec<Option<StoreUsage>> {
    let deadline = Instant::now() + STORE_TIME;
    let (mut stored, mut asked) = (Vec::new(), JoinSet::new());
    for (at, buckets) in all.enumerate() {
        stored.push(None);
        let Some(buckets) = buckets else { continue };
        asked.spawn(async move {
            let read = async { buckets.usage(buckets.flow().room(Load::read(1, 0)).await).await.ok() };
            (at, timeout_at(deadline, read).await.ok().flatten())
        });
    }
    while let Some(answer) = asked.join_next().await {
        // An error means that the store has panicked.
        if let Ok((at, usage)) = answer {
            stored[at] = usage;
        }
    }
    stored
}

#[cfg(test)]
mod tests {
    use whelk_runtime::keyvalue::{Embedded, StoreQuota};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tenants_whose_operations_wait_delay_the_answer_once_and_hide_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&folder.path().join("store")).unwrap();
        let quota = StoreQuota { bytes: 1 << 20, keys: 100 };
        let tenants: Vec<_> = (0..12).map(|number| store.tenant(&number.to_string(), quota)).collect();
        // All that a tenant may have in progress, of each but the last.
        let mut rooms = Vec::new();
        for tenant in &tenants[..11] {
            rooms.push(tenant.flow().room(Load::read(1, usize::MAX)).await);
        }
        let began = Instant::now();
        let all = stored(tenants.iter().cloned().map(Some).chain([None])).await;
        assert!(began.elapsed() < STORE_TIME * 2, "{:?}", began.elapsed());
        let expected = StoreUsage { bytes: 0, keys: 0, most_bytes: 1 << 20, most_keys: 100 };
        assert_eq!((&all[..11], &all[11..]), (&[None; 11][..], &[Some(expected), None][..]));
    }
}
