//! How a session went, for the operator.

use std::sync::Arc;

use crate::channel::Outcome;
use crate::error::Error;
use crate::limits::usage::{ProcessUsage, SessionUsage};
use crate::plugin::Plugin;
use crate::session_types::{Ending, Exit};

/// How a session went.
#[derive(Debug)]
pub struct Report {
    /// The plugin took the session.
    pub opened: bool,
    /// Why it is over; none if it was refused, crashed or was stopped.
    pub ending: Option<Ending>,
    /// What the client was told; none if it was refused.
    pub exit: Option<Exit>,
    /// The plugin version that ran last.
    pub plugin: Arc<Plugin>,
    /// What went wrong with that one, whole. A plugin may also fail in its last call, after an orderly ending.
    pub error: Option<Error>,
    /// The processes that it had before, one after the other, by routes and hand-overs. Mostly none.
    pub before: Vec<ProcessReport>,
    /// Processor time used, in ticks of 1 ms: that of the plugins, of the making and ending of their instances, and
    /// of what the host did for them on other threads.
    pub cpu_ticks: u64,
    /// The most linear memory that it had at one time, bytes.
    pub peak_memory: usize,
}

/// How a process went that had the session for a while.
#[derive(Debug)]
pub struct ProcessReport {
    /// What it ran, of which generation.
    pub plugin: Arc<Plugin>,
    /// What went wrong: it could not be started when the session came, or failed in its last call when it went.
    pub error: Option<Error>,
    /// Processor time that it used, as that of a session is counted.
    pub cpu_ticks: u64,
    /// The most linear memory that it had at one time, bytes.
    pub peak_memory: usize,
}

/// What is known of a session's processes, while it lasts.
pub(super) struct Processes {
    session: Arc<SessionUsage>,
    current: Entry,
    before: Vec<ProcessReport>,
}

/// A process that has the session, that is about to, or that could not be started.
struct Entry {
    plugin: Arc<Plugin>,
    usage: Arc<ProcessUsage>,
    error: Option<Error>,
}

impl Processes {
    /// Starts the record of a session with its first plugin.
    pub(super) fn new(plugin: &Arc<Plugin>, session: SessionUsage) -> Self {
        let session = Arc::new(session);
        Self { current: Entry::new(plugin, &session), before: Vec::new(), session }
    }

    /// What the session has now, or had last.
    pub(super) fn plugin(&self) -> &Arc<Plugin> {
        &self.current.plugin
    }

    /// What its process uses is counted here.
    pub(super) fn usage(&self) -> Arc<ProcessUsage> {
        Arc::clone(&self.current.usage)
    }

    /// What all its processes use is counted here.
    pub(super) fn session_usage(&self) -> &Arc<SessionUsage> {
        &self.session
    }

    /// It is this version of the plugin that is run.
    pub(super) fn runs(&mut self, plugin: &Arc<Plugin>) {
        self.current.plugin = Arc::clone(plugin);
    }

    /// Records what went wrong with the process; none if nothing did.
    pub(super) fn set_error(&mut self, error: Option<Error>) {
        self.current.error = error;
    }

    /// The process has ended, and the session comes to another plugin.
    pub(super) fn hand_over_to(&mut self, plugin: &Arc<Plugin>) {
        let Entry { plugin, usage, error } = std::mem::replace(&mut self.current, Entry::new(plugin, &self.session));
        let (cpu_ticks, peak_memory) = (usage.ticks(), usage.peak_memory());
        self.before.push(ProcessReport { plugin, error, cpu_ticks, peak_memory });
    }

    /// The session has ended like this.
    pub(super) fn report(self, opened: bool, outcome: Outcome) -> Report {
        let Entry { plugin, error, .. } = self.current;
        let Outcome { ending, exit } = outcome;
        let (cpu_ticks, peak_memory) = (self.session.ticks(), self.session.peak_memory());
        Report { opened, ending, exit, plugin, error, before: self.before, cpu_ticks, peak_memory }
    }
}

impl Entry {
    fn new(plugin: &Arc<Plugin>, session: &Arc<SessionUsage>) -> Self {
        Self { plugin: Arc::clone(plugin), usage: Arc::new(ProcessUsage::of(session)), error: None }
    }
}
