//! How a session went, for the operator.

use std::sync::Arc;

use crate::channel::Outcome;
use crate::channel_event::{Ending, Exit};
use crate::error::Error;
use crate::limits::usage::SessionUsage;
use crate::plugin::Plugin;

/// How a session went.
#[derive(Debug)]
pub struct Report {
    /// The plugin took the session.
    pub opened: bool,
    /// Why it is over; none if it was refused, crashed or was stopped.
    pub ending: Option<Ending>,
    /// What the client was told; none if it was refused.
    pub exit: Option<Exit>,
    /// The last plugin that it had, of the generation that it had it in.
    pub plugin: Arc<Plugin>,
    /// What went wrong with that one, whole. A plugin may also fail in its last call, after an orderly ending.
    pub error: Option<Error>,
    /// The plugins that it passed through before, by routes and hand-overs, in that order. Mostly none.
    pub before: Vec<Stay>,
    /// Processor time used, in ticks of 1 ms: that of the plugins, of the making and ending of their instances, and
    /// of what the host did for them on other threads. Calls shorter than a tick count one when a tick finds them
    /// running.
    pub cpu_ticks: u64,
    /// The most linear memory that it had at one time, bytes.
    pub peak_memory: usize,
}

/// A plugin that had the session for a while.
#[derive(Debug)]
pub struct Stay {
    /// Which, of which generation.
    pub plugin: Arc<Plugin>,
    /// What went wrong: it could not be started when the session came, or failed in its last call when it went.
    pub error: Option<Error>,
}

impl Report {
    /// Of a session that has come to this plugin and to nothing yet.
    pub(crate) fn new(plugin: &Arc<Plugin>) -> Self {
        Self {
            opened: false,
            ending: None,
            exit: None,
            plugin: Arc::clone(plugin),
            error: None,
            before: Vec::new(),
            cpu_ticks: 0,
            peak_memory: 0,
        }
    }

    /// The session comes to another plugin.
    pub(crate) fn pass_to(&mut self, plugin: &Arc<Plugin>) {
        let plugin = std::mem::replace(&mut self.plugin, Arc::clone(plugin));
        self.before.push(Stay { plugin, error: self.error.take() });
    }

    /// The session has ended: how, and what all its instances have used, whether they ended by themselves or were
    /// dropped.
    pub(crate) fn end(&mut self, outcome: Outcome, usage: &SessionUsage) {
        (self.ending, self.exit) = (outcome.ending, outcome.exit);
        self.cpu_ticks = usage.ticks();
        self.peak_memory = usage.peak_memory();
    }
}
