//! What the host knows about one running instance: the data of its store. Every import sees this and nothing else.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use super::charges::Charges;
use super::log::LogBook;
use super::timers::Timers;
use super::wasi::Wasi;
use crate::channel::Shared;
use crate::channel_event::{Facts, Pty};
use crate::error::Limit;
use crate::grants::Grants;
use crate::grants::topics::{Mailbox, Subscriber};
use crate::host::bindings::imports::channel::HandOverError;
use crate::host::wasi::files::{self, Files};
use crate::limits::Limits;
use crate::limits::budget::{Budget, Charge, Total, Totals};
use crate::limits::memory::Memory;
use crate::limits::output_charges::OutputCharges;
use crate::limits::usage::SessionUsage;
use crate::tenant::Tenant;

/// Whether the plugin of a name may take the session over. Who knows that lies above the store.
pub(crate) type Takers = Arc<dyn Fn(&str) -> Result<(), HandOverError> + Send + Sync>;

/// What a session takes along from one plugin to the next.
#[derive(Clone, Default)]
pub(crate) struct Handoff {
    /// The variables that were accepted.
    pub(crate) env: Vec<(String, Vec<u8>)>,
    /// The terminal that was accepted.
    pub(crate) pty: Option<Pty>,
}

/// The data of one store.
pub(crate) struct State {
    /// The pipes.
    pub(super) pipes: Arc<Shared>,
    pub(super) facts: Facts,
    takers: Takers,
    pub(super) pty: Option<Pty>,
    pub(super) env: Vec<(String, Vec<u8>)>,
    /// The terminal modes now in force.
    pub(super) modes: Vec<(u8, u32)>,
    pub(super) timers: Timers,
    pub(super) log: Arc<LogBook>,
    pub(super) charges: Charges,
    /// For the names of the signals that it catches.
    pub(super) caught: Option<Charge>,
    /// Who is charged for what is written.
    pub(super) output: Arc<OutputCharges>,
    usage: Arc<SessionUsage>,
    pub(super) memory: Memory,
    /// Made at the first use: most plugins never call WASI.
    pub(super) wasi: Option<Box<Wasi>>,
    /// Made when the plugin first subscribes.
    pub(super) subscriber: Option<Subscriber>,
    /// Its part of the tenant's directory, made at the first use as well.
    files: Option<Arc<files::Session>>,
    tenant: Arc<Tenant>,
}

impl State {
    /// `totals` are what plugins have, over all tenants.
    pub(crate) fn new(
        pipes: Arc<Shared>,
        facts: Facts,
        log: LogBook,
        totals: &Arc<Totals>,
        usage: &Arc<SessionUsage>,
        takers: Takers,
    ) -> Self {
        let tenant = Arc::clone(log.tenant());
        let log = Arc::new(log);
        let output = OutputCharges::new(facts.get("user").unwrap_or_default(), tenant.budget(), totals);
        let output = pipes.charge_to(Arc::new(output));
        let memory = Memory::new(tenant.limits(), Arc::clone(tenant.budget()), Arc::clone(totals), Arc::clone(usage));
        Self {
            pipes,
            facts,
            takers,
            pty: None,
            env: Vec::new(),
            modes: Vec::new(),
            timers: Timers::new(tenant.limits()),
            charges: Charges::new(&log, totals, usage),
            caught: None,
            output,
            usage: Arc::clone(usage),
            log,
            memory,
            wasi: None,
            subscriber: None,
            files: None,
            tenant,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        self.tenant.limits()
    }

    pub(super) fn grants(&self) -> &Grants {
        self.tenant.grants()
    }

    pub(crate) fn budget(&self) -> &Arc<Budget> {
        self.tenant.budget()
    }

    /// What the session has used.
    pub(crate) fn usage(&self) -> &Arc<SessionUsage> {
        &self.usage
    }

    /// The messages that have come; none if the plugin has never subscribed.
    pub(crate) fn mailbox(&self) -> Option<&Mailbox> {
        self.subscriber.as_ref().map(Subscriber::mailbox)
    }

    pub(crate) fn memory(&mut self) -> &mut Memory {
        &mut self.memory
    }

    pub(crate) fn timers(&mut self) -> &mut Timers {
        &mut self.timers
    }

    /// The process wants another plugin to take over when its call returns.
    pub(super) fn hand_over(&mut self, plugin: String) -> Result<(), HandOverError> {
        if !self.pipes.may_hand_over(self.limits().handoffs) {
            return Err(HandOverError::NotPermitted);
        }
        (self.takers)(&plugin)?;
        self.pipes.hand_over(plugin);
        Ok(())
    }

    /// The session goes to another process, with these.
    pub(crate) fn take_handoff(&mut self) -> Handoff {
        Handoff { env: std::mem::take(&mut self.env), pty: self.pty.take() }
    }

    /// Whether one more variable fits.
    pub(crate) fn has_room_for_env(&self, name: &str, value: &[u8]) -> bool {
        let used: usize = self.env.iter().map(|(name, value)| name.len() + value.len()).sum();
        used + name.len() + value.len() <= self.limits().environment
    }

    /// The plugin has accepted a variable; an earlier one of the same name is replaced.
    pub(crate) fn keep_env(&mut self, name: String, value: Vec<u8>) {
        self.env.retain(|(before, _)| *before != name);
        self.env.push((name, value));
    }

    /// The plugin has accepted a terminal, or an earlier one had.
    pub(crate) fn keep_pty(&mut self, pty: Pty) {
        self.modes = super::terminal::raw(&pty.modes);
        self.pty = Some(pty);
    }

    /// This plugin wants nothing of the terminal that an earlier one has accepted.
    pub(crate) fn forget_modes(&mut self) {
        self.modes = Vec::new();
    }

    /// What the plugin has of WASI, made now if this is its first use.
    pub(super) fn wasi(&mut self) -> &mut Wasi {
        let (log, charges) = (&self.log, &self.charges);
        self.wasi.get_or_insert_with(|| Box::new(Wasi::new(log, charges)))
    }

    /// What the plugin has of files: nothing unless the tenant grants a directory.
    pub(super) fn files(&mut self) -> Files<'_> {
        if let (None, Some(directory)) = (&self.files, &self.tenant.grants().directory) {
            let (charges, most) = (self.charges.clone(), self.tenant.limits().open_files);
            self.files = Some(Arc::new(files::Session::new(directory, &self.log, charges, most)));
        }
        let session = self.files.clone();
        Files::new(session, self.wasi().view().table)
    }

    /// A call is over.
    pub(crate) fn tidy(&mut self) {
        if let Some(wasi) = &mut self.wasi {
            wasi.tidy();
        }
    }

    /// A request of the client's was refused, of which the operator is told.
    pub(crate) fn log_refusal(&self, what: &'static str, detail: Option<&[u8]>, reason: &str) {
        self.log.refused(what, detail, reason);
    }

    /// A last line from the host to the person at the other end, where one can be said.
    pub(crate) fn last_words(&self, words: &str) {
        self.pipes.last_words(words, self.pty.is_some());
    }
}

impl State {
    /// Whether memory or a table may grow; the operator is told when the tenant or the server has no more.
    fn tell(&self, grown: Result<(), Limit>) -> bool {
        match grown {
            Err(Limit::TenantMemory) => self.log.over(Total::Memory),
            Err(Limit::AllMemory) => self.log.over(Total::AllMemory),
            Ok(()) | Err(_) => {}
        }
        grown.is_ok()
    }
}

/// Where wasmtime asks before it makes or grows anything.
impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let grown = self.memory.grow(current, desired, maximum);
        Ok(self.tell(grown))
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory.failed();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let grown = self.memory.grow_table(current, desired, maximum);
        Ok(self.tell(grown))
    }

    fn instances(&self) -> usize {
        self.limits().instances
    }

    fn tables(&self) -> usize {
        self.limits().tables
    }

    fn memories(&self) -> usize {
        self.limits().memories
    }
}
