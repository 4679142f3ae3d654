//! Whether the task that looks at the folders runs, for `plugin list`.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::observe::event::{PluginEvent, emit};

/// How the task does.
#[derive(Default)]
pub(crate) struct Status(Mutex<Option<Failure>>);

/// It has panicked, and has not done a round since.
#[derive(Clone)]
pub(crate) struct Failure {
    /// When it panicked first.
    pub(crate) since: Instant,
    /// What it said last.
    pub(crate) reason: String,
}

impl Status {
    /// It has panicked.
    pub(super) fn failed(&self, reason: &str) {
        let mut failure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = failure.as_ref().map_or_else(Instant::now, |failure| failure.since);
        *failure = Some(Failure { since, reason: reason.to_owned() });
    }

    /// The task has looked at a folder since its last panic.
    pub(super) fn works(&self) {
        let mut failure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.take().is_some() {
            emit(PluginEvent::ReloadRecovered {});
        }
    }

    /// Why it does not run; none if it does.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
