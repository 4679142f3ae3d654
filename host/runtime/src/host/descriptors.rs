//! Where a session gets the descriptors that it holds, and who is told when there are none.

use std::sync::Arc;

use super::log::LogBook;
use crate::budget::Account;
use crate::descriptor::Descriptor;

/// Those of one session. Cloning gives the same.
#[derive(Clone)]
pub(super) struct Descriptors {
    log: Arc<LogBook>,
    all: Arc<Account>,
}

impl Descriptors {
    /// `all` are those of all tenants.
    pub(super) fn new(log: &Arc<LogBook>, all: &Arc<Account>) -> Self {
        Self { log: Arc::clone(log), all: Arc::clone(all) }
    }

    /// One more, for as long as something is open. The operator is told when there is none.
    pub(super) fn take(&self) -> Option<Descriptor> {
        Descriptor::take(self.log.tenant().budget(), &self.all).map_err(|total| self.log.over(total)).ok()
    }
}
