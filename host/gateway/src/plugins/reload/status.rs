//! The state of the task that checks the folders, for `plugin list`.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::observe::event::{PluginEvent, emit};

/// The state of the task.
#[derive(Default)]
pub(crate) struct Status(Mutex<Option<TaskFailure>>);

/// It has panicked, and has not completed a round since.
#[derive(Clone)]
pub(crate) struct TaskFailure {
    /// The time of the first panic.
    pub(crate) since: Instant,
    /// The message of the last one.
    pub(crate) reason: String,
}

impl Status {
    /// It has panicked.
    pub(super) fn failed(&self, reason: &str) {
        let mut failure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = failure.as_ref().map_or_else(Instant::now, |failure| failure.since);
        *failure = Some(TaskFailure { since, reason: reason.to_owned() });
    }

    /// The task has checked a folder since its last panic.
    pub(super) fn works(&self) {
        let mut failure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.take().is_some() {
            emit(PluginEvent::ReloadRecovered {});
        }
    }

    /// Why it does not run; `None` if it does.
    pub(crate) fn failure(&self) -> Option<TaskFailure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
