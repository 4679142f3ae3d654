//! What a plugin reads by `wasi:config`.

use std::fmt;
use std::sync::Arc;

use wasmtime_wasi_config::WasiConfigVariables;

/// Texts by name, empty at first. They may be secrets, so they are not shown.
#[derive(Clone, Default)]
pub struct Configuration(Arc<WasiConfigVariables>);

impl Configuration {
    pub(crate) fn variables(&self) -> &WasiConfigVariables {
        &self.0
    }
}

impl FromIterator<(String, String)> for Configuration {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(Arc::new(pairs.into_iter().collect()))
    }
}

impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configuration").finish_non_exhaustive()
    }
}
