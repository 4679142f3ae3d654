//! What a plugin folder is watched and loaded by: where it is and whose, and its limits.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use whelk_runtime::limits::count;
use whelk_runtime::{CompileSlots, Registry};

use crate::config::Limits;
use crate::plugins::programs::ProgramFolder;
use crate::state::plugin_files::Links;
use crate::state::strict_modes::Writers;

/// Small files (below 1 MiB) that may be loaded at once, in addition to one for each compile job. A small file that
/// compiles slowly keeps its permit while it waits for a slow compile slot, so a few permits would not do.
const SMALL_PERMITS: usize = 8;
/// A plugin folder, and the registry of its plugins.
#[derive(Clone)]
pub struct FolderConfig {
    /// The path.
    pub path: PathBuf,
    /// The tenant that owns it; `None`: the operator's.
    pub tenant: Option<String>,
    /// Who may write to it and to the files in it.
    pub writers: Writers,
    /// The registry for sessions. Only this folder publishes in it.
    pub registry: Arc<Registry>,
    /// The largest plugin file, in bytes.
    pub component: usize,
    /// It is a folder of programs, which are loaded when they are needed.
    pub programs: Option<Arc<ProgramFolder>>,
}

impl FolderConfig {
    /// Tells it from all others: the tenant, and whether it has programs.
    pub(super) fn key(&self) -> (Option<&str>, bool) {
        (self.tenant.as_deref(), self.programs.is_some())
    }

    /// Whether it is the same folder with the same registry, perhaps by other rules.
    pub(super) fn is_at_the_place_of(&self, other: &FolderConfig) -> bool {
        self.path == other.path && Arc::ptr_eq(&self.registry, &other.registry)
    }

    /// Whether it is the same folder with the same registry, and has the same files.
    pub(super) fn is(&self, other: &FolderConfig) -> bool {
        let FolderConfig { path, tenant, writers, registry, component, programs: _ } = self;
        (path, tenant, writers, component) == (&other.path, &other.tenant, &other.writers, &other.component)
            && Arc::ptr_eq(registry, &other.registry)
    }
}

/// The limits of a folder's files, and the permits that enforce them.
pub(super) struct FolderLimits {
    pub(super) links: Links,
    pub(super) component: usize,
    pub(super) plugins: usize,
    pub(super) code: usize,
    pub(super) drain: Duration,
    /// Serializes the checks of this folder's files.
    pub(super) reading: Semaphore,
    /// Limits the files of this folder that are loaded at the same time, with their bytes in memory: small ones ...
    pub(super) small: Arc<Semaphore>,
    /// ... and large ones.
    pub(super) large: Arc<Semaphore>,
    /// Their compilers; shared by all folders with the same terms.
    pub(super) slots: Arc<CompileSlots>,
    /// The compilers of what tenants need.
    pub(super) tenants_slots: Arc<CompileSlots>,
}

impl FolderLimits {
    pub(super) fn new(config: &FolderConfig, limits: &Limits, tenants_slots: &Arc<CompileSlots>) -> FolderLimits {
        let jobs = count(limits.plugins.compile_jobs);
        let is_tenants = config.tenant.is_some();
        let permits = if is_tenants { 1 } else { jobs };
        let (links, plugins) = match (is_tenants, config.programs.is_some()) {
            (true, false) => (Links::Refuse, limits.plugins.plugins_per_folder),
            (false, false) => (Links::Follow, limits.plugins.plugins_per_folder),
            (true, true) => (Links::Refuse, limits.plugins.programs_per_folder),
            (false, true) => (Links::Within, limits.plugins.programs_per_folder),
        };
        FolderLimits {
            links,
            component: config.component,
            plugins: count(plugins),
            code: limits.plugins.plugins_code,
            drain: limits.plugins.reload_drain,
            reading: Semaphore::new(1),
            small: Arc::new(Semaphore::new(permits + SMALL_PERMITS)),
            large: Arc::new(Semaphore::new(permits)),
            slots: if is_tenants { Arc::clone(tenants_slots) } else { Arc::new(CompileSlots::new(jobs)) },
            tenants_slots: Arc::clone(tenants_slots),
        }
    }
}
