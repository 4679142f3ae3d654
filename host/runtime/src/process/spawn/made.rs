//! What the processes of a session share, and a program that was made and does not run yet.

use std::sync::Arc;

use crate::channel::Shared;
use crate::grants::{OpenCount, Temporary};
use crate::host::bindings::run;
use crate::host::{HandOverCheck, ProgramStart};
use crate::limits::budget::Budget;
use crate::limits::usage::SessionUsage;
use crate::plugin::Presence;
use crate::plugin::health::trial::Trial;
use crate::plugin::lookup::Plugins;
use crate::posix::Errno;
use crate::posix::signal::SignalSet;
use crate::process::guest::Guest;
use crate::session_types::Facts;
use crate::tenant::Tenant;

/// What the processes of one session share.
pub(crate) struct SessionSpawner {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) facts: Facts,
    pub(crate) pipes: Arc<Shared>,
    pub(crate) hand_over_check: HandOverCheck,
    pub(crate) plugins: Arc<dyn Plugins>,
    pub(crate) usage: Arc<SessionUsage>,
    pub(crate) temporary: Arc<Temporary>,
    pub(crate) open_files: Arc<OpenCount>,
}

/// An instance of a program that does not run yet.
pub(in crate::process) struct MadeProgram {
    pub(in crate::process) guest: Guest,
    pub(in crate::process) functions: run::Guest,
    /// Whether this version of the program starts well.
    pub(in crate::process) trial: Trial,
    pub(in crate::process) presence: Presence,
    /// Taken when it begins.
    pub(in crate::process) start: Option<ProgramStart>,
    pub(in crate::process) ignored: SignalSet,
}

/// A place among the processes of a tenant; dropping it frees the place.
pub(in crate::process) struct ProcessPlace(Arc<Budget>);

impl ProcessPlace {
    pub(in crate::process) fn take(tenant: &Tenant) -> Result<Self, Errno> {
        let budget = tenant.budget();
        if budget.processes.take(1) { Ok(Self(Arc::clone(budget))) } else { Err(Errno::TooManyProcesses) }
    }
}

impl Drop for ProcessPlace {
    fn drop(&mut self) {
        self.0.processes.give(1);
    }
}
