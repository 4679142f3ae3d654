//! Who compiles the components that processes of tenants start from files of their own.

use std::sync::{Arc, Mutex, PoisonError};

use whelk_runtime::{CompileSlots, Loader};

/// Those of the newest generation, shared by all. None until the server has loaded its plugins, and in a process that
/// compiles nothing.
#[derive(Default)]
pub(crate) struct CurrentCompilers(Mutex<Option<Arc<Compilers>>>);

/// The compilers of one generation.
pub(crate) struct Compilers {
    /// It keeps no code on the disk.
    pub(crate) loader: Loader,
    /// Those of tenants' own plugins.
    pub(crate) slots: Arc<CompileSlots>,
}

impl CurrentCompilers {
    /// Replaces them.
    pub(crate) fn set(&self, compilers: Option<Compilers>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = compilers.map(Arc::new);
    }

    /// Those of now.
    pub(crate) fn get(&self) -> Option<Arc<Compilers>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
