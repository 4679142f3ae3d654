//! Charges a session's memory in the host to its tenant, and logs when the tenant has no more. Charges work on other
//! threads to the session.

use std::sync::Arc;

use super::log::LogBook;
use crate::limits::budget::{Charge, Total, Totals};
use crate::limits::descriptor::Descriptor;
use crate::limits::usage::ProcessUsage;
use crate::posix::PipeMemory;
use crate::tenant::Tenant;

/// Those of one session. A clone shares them.
#[derive(Clone)]
pub(crate) struct Charges {
    log: Arc<LogBook>,
    totals: Arc<Totals>,
    usage: Arc<ProcessUsage>,
}

impl Charges {
    /// `totals` are those of all tenants.
    pub(crate) fn new(log: &Arc<LogBook>, totals: &Arc<Totals>, usage: &Arc<ProcessUsage>) -> Self {
        Self { log: Arc::clone(log), totals: Arc::clone(totals), usage: Arc::clone(usage) }
    }

    pub(super) fn log(&self) -> &Arc<LogBook> {
        &self.log
    }

    pub(super) fn totals(&self) -> &Arc<Totals> {
        &self.totals
    }

    pub(super) fn tenant(&self) -> &Tenant {
        self.log.tenant()
    }

    /// Charges one more open file, socket or request, for as long as it is open.
    pub(super) fn descriptor(&self) -> Option<Descriptor> {
        Descriptor::take(self.log.tenant().budget(), &self.totals).map_err(|total| self.log.log_exhausted(total)).ok()
    }

    /// Charges one more end of a pipe, for as long as it is open.
    pub(super) fn pipe_end(&self) -> Option<Descriptor> {
        Descriptor::take_of_tenant(self.log.tenant().budget()).map_err(|total| self.log.log_exhausted(total)).ok()
    }

    /// The meter of processor time.
    pub(crate) fn usage(&self) -> &Arc<ProcessUsage> {
        &self.usage
    }

    /// Charges more, so that the charge is of at least this many bytes. False if that is not possible.
    pub(super) fn grow(&self, charge: &mut Charge, bytes: usize) -> bool {
        charge.grow(bytes).map_err(|total| self.log.log_exhausted(total)).is_ok()
    }

    /// Charges this many bytes of buffers, for as long as they may exist.
    pub(super) fn memory(&self, bytes: usize) -> Option<Charge> {
        Charge::take(self.log.tenant().budget(), &self.totals, bytes)
            .map_err(|total| self.log.log_exhausted(total))
            .ok()
    }
}

impl PipeMemory for Charges {
    fn charge(&self, bytes: usize) -> Result<Charge, Total> {
        Charge::take(self.log.tenant().budget(), &self.totals, bytes)
    }

    fn refused(&self, total: Total) {
        self.log.log_exhausted(total);
    }
}
