//! What the host keeps for a session beside its memory is charged to its tenant, and the operator is told when the
//! tenant has no more. What it does for a session on other threads is charged to the session.

use std::sync::Arc;

use super::log::LogBook;
use crate::limits::budget::{Charge, Totals};
use crate::limits::descriptor::Descriptor;
use crate::limits::usage::ProcessUsage;
use crate::tenant::Tenant;

/// Those of one session. Cloning gives the same.
#[derive(Clone)]
pub(crate) struct Charges {
    log: Arc<LogBook>,
    totals: Arc<Totals>,
    usage: Arc<ProcessUsage>,
}

impl Charges {
    /// `totals` are what all tenants have.
    pub(crate) fn new(log: &Arc<LogBook>, totals: &Arc<Totals>, usage: &Arc<ProcessUsage>) -> Self {
        Self { log: Arc::clone(log), totals: Arc::clone(totals), usage: Arc::clone(usage) }
    }

    pub(super) fn log(&self) -> &LogBook {
        &self.log
    }

    pub(super) fn totals(&self) -> &Arc<Totals> {
        &self.totals
    }

    pub(super) fn tenant(&self) -> &Tenant {
        self.log.tenant()
    }

    /// For one more open file, socket or request, for as long as it is open.
    pub(super) fn descriptor(&self) -> Option<Descriptor> {
        Descriptor::take(self.log.tenant().budget(), &self.totals).map_err(|total| self.log.over(total)).ok()
    }

    /// Whom processor time is charged to.
    pub(crate) fn usage(&self) -> &Arc<ProcessUsage> {
        &self.usage
    }

    /// For so many bytes of buffers, for as long as they may be there.
    pub(super) fn memory(&self, bytes: usize) -> Option<Charge> {
        Charge::take(self.log.tenant().budget(), &self.totals, bytes).map_err(|total| self.log.over(total)).ok()
    }
}
