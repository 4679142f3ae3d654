//! The live sessions of one generation of a plugin: counts them, and ends them when it is retired.
//!
//! A session is counted from when a process of the plugin is made for it until that is dropped. So is each process that
//! another one has started.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::channel::Shared;
use crate::posix::process::ProcessEntry;
use crate::posix::signal::Signal;
use crate::tenant::Tenant;

/// The live sessions.
#[derive(Default)]
pub(crate) struct Live(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// Each and its tenant, by the order in which they were registered.
    sessions: BTreeMap<u64, (LiveProcess, Arc<Tenant>)>,
    entered: u64,
    /// The message for the clients of later sessions, after the retirement.
    retired: Option<Arc<str>>,
}

/// A process that runs this generation.
#[derive(Clone)]
enum LiveProcess {
    /// The first of a session, or its handler: its retirement ends the session.
    OfSession(Arc<Shared>),
    /// One that another has started: it ends alone.
    Child(Arc<ProcessEntry>),
}

impl LiveProcess {
    fn retire(&self, words: &Arc<str>) {
        match self {
            Self::OfSession(pipes) => pipes.retire(words),
            Self::Child(process) => process.raise(Signal::Kill),
        }
    }
}

/// The registration of one session, held for as long as it runs this plugin.
pub(crate) struct Presence {
    live: Arc<Live>,
    number: u64,
}

impl Live {
    /// Registers a session, before its process is made. After the retirement it is ended at once.
    pub(crate) fn register(self: &Arc<Self>, pipes: &Arc<Shared>, tenant: &Arc<Tenant>) -> Presence {
        self.add(LiveProcess::OfSession(Arc::clone(pipes)), tenant)
    }

    /// The same for a process that another one has started.
    pub(crate) fn register_child(self: &Arc<Self>, process: &Arc<ProcessEntry>, tenant: &Arc<Tenant>) -> Presence {
        self.add(LiveProcess::Child(Arc::clone(process)), tenant)
    }

    fn add(self: &Arc<Self>, process: LiveProcess, tenant: &Arc<Tenant>) -> Presence {
        let mut table = self.table();
        table.entered += 1;
        let number = table.entered;
        table.sessions.insert(number, (process.clone(), Arc::clone(tenant)));
        let retired = table.retired.clone();
        drop(table);
        if let Some(words) = retired {
            process.retire(&words);
        }
        Presence { live: Arc::clone(self), number }
    }

    pub(crate) fn count(&self) -> usize {
        self.table().sessions.len()
    }

    /// Whether a live session is of this tenant.
    pub(crate) fn has_session_of(&self, tenant: &str) -> bool {
        self.table().sessions.values().any(|(_, of)| of.name() == tenant)
    }

    /// Ends all live and all later sessions.
    pub(crate) fn retire(&self, words: &str) {
        let words: Arc<str> = words.into();
        let mut table = self.table();
        table.retired = Some(Arc::clone(&words));
        let sessions: Vec<LiveProcess> = table.sessions.values().map(|(process, _)| process.clone()).collect();
        // Outside the lock: each is woken.
        drop(table);
        for process in sessions {
            process.retire(&words);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.live.table().sessions.remove(&self.number);
    }
}
