//! The live sessions of one generation of a plugin: counted, and told to end when it is retired.
//!
//! A session enters when it begins and leaves when it is dropped; in between it is not disturbed, and knows nothing of this.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::channel::Shared;

/// Who is there.
#[derive(Default)]
pub(crate) struct Live(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// The pipes of each, by the order in which they entered.
    sessions: BTreeMap<u64, Arc<Shared>>,
    entered: u64,
    /// What those are told who still come.
    retired: Option<Arc<str>>,
}

/// One session's place among them, held for as long as it has this plugin.
pub(crate) struct Presence {
    live: Arc<Live>,
    number: u64,
}

impl Live {
    /// A session that is about to be started counts, too. One that comes after the end of the generation is told at once.
    pub(crate) fn enter(self: &Arc<Self>, pipes: &Arc<Shared>) -> Presence {
        let mut table = self.table();
        table.entered += 1;
        let number = table.entered;
        table.sessions.insert(number, Arc::clone(pipes));
        let retired = table.retired.clone();
        drop(table);
        if let Some(words) = retired {
            pipes.recall(&words);
        }
        Presence { live: Arc::clone(self), number }
    }

    pub(crate) fn count(&self) -> usize {
        self.table().sessions.len()
    }

    /// Ends everybody who is there, and whoever is late.
    pub(crate) fn retire(&self, words: &str) {
        let words: Arc<str> = words.into();
        let mut table = self.table();
        table.retired = Some(Arc::clone(&words));
        let sessions: Vec<_> = table.sessions.values().cloned().collect();
        // Each is woken, which is nobody's business while this is locked.
        drop(table);
        for pipes in sessions {
            pipes.recall(&words);
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
