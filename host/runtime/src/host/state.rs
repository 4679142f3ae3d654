//! What the host knows about one running instance: the data of its store. Every import sees this and nothing else.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use super::charges::Charges;
use super::log::LogBook;
use super::timers::Timers;
use super::wasi::Wasi;
use crate::channel::{Message, Shared};
use crate::channel_event::{Exit, Facts, Output, Pty};
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

/// How far a session is.
///
/// ```text
/// Waiting --start request--> Starting --true, or the first write--> Running
///    ^                          |                                      |
///    '---------- false ---------'            finish, or the end: Closing
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No start request has been accepted: output is held.
    Waiting,
    /// A start request is being answered.
    Starting,
    /// A start request was accepted: output flows.
    Running,
    /// Only `closed` is left: nothing can be sent any more.
    Closing,
}

/// Whether the plugin of a name may take the session over. Who knows that lies above the store.
pub(crate) type Takers = Arc<dyn Fn(&str) -> Result<(), HandOverError> + Send + Sync>;

/// What a session takes along from one plugin to the next.
#[derive(Clone, Default)]
pub(crate) struct Handoff {
    /// The variables that were accepted.
    pub(crate) env: Vec<(String, Vec<u8>)>,
    /// The terminal that was accepted.
    pub(crate) pty: Option<Pty>,
    /// The client was told that its start request has succeeded.
    pub(crate) answered: bool,
    /// It was told that no more output comes.
    pub(crate) eof_sent: bool,
    /// How often the session has changed its plugin.
    pub(crate) handoffs: u32,
}

/// The plugin's own word about its end.
struct Finish {
    exit: Exit,
    /// The other side had ended the session before.
    late: bool,
}

/// The data of one store.
pub(crate) struct State {
    /// The pipes.
    pub(super) pipes: Arc<Shared>,
    pub(super) facts: Facts,
    pub(super) phase: Phase,
    /// Output from before the start, in order.
    pub(super) held: Vec<(Output, Vec<u8>)>,
    pub(super) eof_sent: bool,
    /// `finish` was called: it counts when the call returns.
    finish: Option<Finish>,
    /// `hand-over` was called: the plugin that takes over when the call returns.
    hand_over: Option<String>,
    /// The client was told that its start request has succeeded, by this plugin or an earlier one.
    answered: bool,
    /// How often the session has changed its plugin.
    handoffs: u32,
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
            phase: Phase::Waiting,
            held: Vec::new(),
            eof_sent: false,
            finish: None,
            hand_over: None,
            answered: false,
            handoffs: 0,
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

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn memory(&mut self) -> &mut Memory {
        &mut self.memory
    }

    pub(crate) fn timers(&mut self) -> &mut Timers {
        &mut self.timers
    }

    /// A start request is about to be handed to the plugin; false if one was accepted before.
    pub(crate) fn begin_start(&mut self) -> bool {
        let first = self.phase == Phase::Waiting;
        if first {
            self.phase = Phase::Starting;
        }
        first
    }

    /// Answers the start request with success, unless that was done, and lets the held output go.
    pub(crate) fn accept(&mut self) {
        if self.phase != Phase::Starting {
            return;
        }
        self.phase = Phase::Running;
        if !std::mem::replace(&mut self.answered, true) {
            self.pipes.say(Message::reply(true));
        }
        for (to, bytes) in std::mem::take(&mut self.held) {
            self.pipes.push_whole(to, &bytes);
        }
        if self.eof_sent {
            self.pipes.say(Message::Eof);
        }
        self.pipes.start();
    }

    /// The plugin answered a start request with false. If it had written before, that was a yes, and this is its end; so it is if a plugin
    /// before it had said yes.
    pub(crate) fn refuse(&mut self) {
        match self.phase {
            Phase::Starting if self.answered => {
                self.phase = Phase::Running;
                self.set_finish(Exit::Status(1));
            }
            Phase::Starting => {
                self.phase = Phase::Waiting;
                self.pipes.say(Message::reply(false));
            }
            Phase::Running => self.set_finish(Exit::Status(1)),
            Phase::Waiting | Phase::Closing => {}
        }
    }

    /// The plugin will not be given the start request that it was made for: it has an answer even so.
    pub(crate) fn decline(&mut self) {
        if !self.answered {
            self.pipes.say(Message::reply(false));
        }
    }

    /// From now on nothing can be sent, and output that was held is thrown away.
    pub(crate) fn close(&mut self) {
        self.phase = Phase::Closing;
        self.held = Vec::new();
        self.hand_over = None;
    }

    /// The first word counts.
    pub(super) fn set_finish(&mut self, exit: Exit) {
        let late = self.pipes.ended().is_some();
        self.finish.get_or_insert(Finish { exit, late });
    }

    /// The plugin's word, if it came before the other side ended the session.
    pub(crate) fn take_timely_finish(&mut self) -> Option<Exit> {
        self.finish.take_if(|finish| !finish.late).map(|finish| finish.exit)
    }

    /// Whether there is such a word, whenever it came.
    pub(crate) fn has_finish(&self) -> bool {
        self.finish.is_some()
    }

    /// The plugin's word, whenever it came.
    pub(crate) fn take_finish(&mut self) -> Option<Exit> {
        self.finish.take().map(|finish| finish.exit)
    }

    /// The plugin wants another one to take over. Possible once it has a start request to pass on, and while nothing else is decided: the
    /// first word counts.
    pub(super) fn hand_over(&mut self, plugin: String) -> Result<(), HandOverError> {
        let begun = matches!(self.phase, Phase::Starting | Phase::Running);
        let decided = self.has_finish() || self.hand_over.is_some() || self.pipes.ended().is_some();
        if !begun || decided || self.handoffs >= self.limits().handoffs {
            return Err(HandOverError::NotPermitted);
        }
        (self.takers)(&plugin)?;
        self.hand_over = Some(plugin);
        Ok(())
    }

    pub(crate) fn hands_over(&self) -> bool {
        self.hand_over.is_some()
    }

    /// The name of the plugin that is to take over now.
    pub(crate) fn take_hand_over(&mut self) -> Option<String> {
        self.hand_over.take()
    }

    /// The session comes from another plugin. Environment and terminal are not there yet: this plugin is told of them first.
    pub(crate) fn receive_handoff(&mut self, handoff: &Handoff) {
        self.answered = handoff.answered;
        self.eof_sent = handoff.eof_sent;
        self.handoffs = handoff.handoffs;
    }

    /// The session goes to another plugin. Held output is thrown away, an EOF among it too.
    pub(crate) fn hand_off(&mut self) -> Handoff {
        Handoff {
            env: std::mem::take(&mut self.env),
            pty: self.pty.take(),
            answered: self.answered,
            eof_sent: self.eof_sent && self.answered,
            handoffs: self.handoffs,
        }
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
