//! Where somebody who has entered belongs. The one seam between sessions and whoever knows tenants and plugin folders.

use std::sync::Arc;

use whelk_runtime::{Plugin, Plugins, Registry, Start, Tenant};

/// What the sessions of somebody who has entered run for, and with.
pub(crate) struct Place {
    pub(crate) tenant: Arc<Tenant>,
    /// What its sessions may get to.
    pub(crate) plugins: Arc<dyn Plugins>,
    /// The plugin that they begin with. It need not exist.
    pub(crate) plugin: String,
}

/// The plugins of one folder, with nothing routed.
pub(crate) struct Folder(pub(crate) Registry);

impl Plugins for Folder {
    fn plugin(&self, name: &str) -> Option<Arc<Plugin>> {
        self.0.get(name)
    }

    fn route(&self, _: &Start<'_>) -> Option<String> {
        None
    }
}
