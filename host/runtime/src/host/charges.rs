//! What the host keeps for a session beside its memory is charged to its tenant, and the operator is told when the
//! tenant has no more. What it does for a session on other threads is charged to the session.

use std::sync::Arc;

use super::log::LogBook;
use crate::limits::budget::{Charge, Totals};
use crate::limits::descriptor::Descriptor;
use crate::limits::usage::SessionUsage;

/// Those of one session. Cloning gives the same.
#[derive(Clone)]
pub(super) struct Charges {
    log: Arc<LogBook>,
    totals: Arc<Totals>,
    usage: Arc<SessionUsage>,
}

impl Charges {
    /// `totals` are what all tenants have.
    pub(super) fn new(log: &Arc<LogBook>, totals: &Arc<Totals>, usage: &Arc<SessionUsage>) -> Self {
        Self { log: Arc::clone(log), totals: Arc::clone(totals), usage: Arc::clone(usage) }
    }

    /// For one more open file, socket or request, for as long as it is open.
    pub(super) fn descriptor(&self) -> Option<Descriptor> {
        Descriptor::take(self.log.tenant().budget(), &self.totals).map_err(|total| self.log.over(total)).ok()
    }

    /// Whom processor time is charged to.
    pub(super) fn usage(&self) -> &Arc<SessionUsage> {
        &self.usage
    }

    /// For so many bytes of buffers, for as long as they may be there.
    pub(super) fn memory(&self, bytes: usize) -> Option<Charge> {
        Charge::take(self.log.tenant().budget(), &self.totals, bytes).map_err(|total| self.log.over(total)).ok()
    }
}
