//! What the metrics say of the tables that all connections share.

use whelk_runtime::Listed;
use whelk_runtime::limits::guest_cpu;

use crate::observe::metrics::{PluginFigures, ServerFigures};
use crate::plugins::reload::{PluginFolder, View};
use crate::server::drain::ShutdownPhase;
use crate::server::gateway::Gateway;

/// What the tables say now. `with_tenants`: with what each tenant has, and with the plugins of tenants' own folders.
pub(crate) fn figures(gateway: &Gateway, plugins: &View, with_tenants: bool) -> ServerFigures {
    let engine = gateway.engine();
    let ([_, memory, files], table) = (engine.usage(), gateway.connections().figures());
    let tenants = gateway.tenants().all();
    let usage = |tenant: &whelk_runtime::Tenant| (tenant.name().to_owned(), tenant.usage());
    let folders = plugins.folders();
    let shown = folders.iter().filter(|folder| with_tenants || folder.tenant().is_none());
    ServerFigures {
        connections: (table.connections, table.unauthenticated),
        sessions: table.sessions,
        moved: table.moved,
        instances: (engine.instances_live(), engine.capacity()),
        instances_started: engine.instances_started(),
        guest_cpu: guest_cpu(),
        guest_memory: (memory.used, memory.most),
        guest_files: (files.used, files.most),
        draining: gateway.drain().phase() != ShutdownPhase::Serving,
        tenant_count: tenants.len(),
        tenants: if with_tenants { tenants.iter().map(|tenant| usage(tenant.shared())).collect() } else { Vec::new() },
        plugins: shown.flat_map(|folder| plugins_of(folder)).collect(),
        preparing: folders.iter().map(|folder| folder.config.registry.preparing().len()).sum(),
    }
}

fn plugins_of(folder: &PluginFolder) -> Vec<PluginFigures> {
    let kind = if folder.config.programs.is_some() { "program" } else { "plugin" };
    let tenant = folder.tenant().unwrap_or_default();
    let figures = |Listed { name, current, older, tripped }: Listed| PluginFigures {
        tenant: tenant.to_owned(),
        kind,
        name,
        generation: current.as_ref().map(|plugin| plugin.generation()),
        sessions: current.iter().chain(&older).map(|plugin| plugin.sessions()).sum(),
        tripped,
    };
    folder.config.registry.list().into_iter().map(figures).collect()
}
