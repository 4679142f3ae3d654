//! The processes that a program of the session has started: how they end with it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;

use crate::posix::signal::Signal;
use crate::posix::table::ProcessTable;

/// Those of one session. Dropping it ends them.
#[derive(Default)]
pub(super) struct Children {
    /// None while no program serves the session.
    pub(super) table: Option<Arc<ProcessTable>>,
}

impl Children {
    /// Whether one lives.
    pub(super) fn are_left(&self) -> bool {
        self.table.as_ref().is_some_and(|table| table.live() > 1)
    }

    /// Waits until they have ended by themselves, at most for `longest`: what reads from a pipe of the first process,
    /// such as `tee` in `exec > >(tee log)`, writes its rest now.
    /// Returns whether all have.
    pub(super) async fn end_by_themselves(&self, longest: Duration) -> bool {
        match &self.table {
            Some(table) => timeout(longest, gone(table)).await.is_ok(),
            None => true,
        }
    }

    /// Ends them: by SIGHUP and SIGCONT, and after the grace period by SIGKILL. They are gone when this returns.
    pub(super) async fn end(&mut self, grace: Duration) {
        if let Some(table) = &self.table {
            table.close(Signal::Hup);
        }
        if !self.end_by_themselves(grace).await {
            self.kill().await;
        }
    }

    /// Ends them by SIGKILL. They are gone when this returns.
    pub(super) async fn kill(&mut self) {
        if let Some(table) = &self.table {
            table.close(Signal::Kill);
            gone(table).await;
        }
    }
}

/// Waits until none but the first process lives.
async fn gone(table: &ProcessTable) {
    poll_fn(|context| if table.has_others_or_watches(context) { Poll::Pending } else { Poll::Ready(()) }).await;
}

impl Drop for Children {
    fn drop(&mut self) {
        if let Some(table) = &self.table {
            table.close(Signal::Kill);
        }
    }
}
