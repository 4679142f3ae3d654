//! Which sessions of a connection have something for it: a list that the sessions write and the pump empties.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use whelk_ssh::message::mux::ChannelId;

/// Filled by any thread, emptied by one task. A session stands in it at most a few times: it is woken only on "was empty".
#[derive(Default)]
pub(crate) struct Ready {
    sessions: Mutex<Vec<Ticket>>,
    filled: Notify,
}

/// A session by its channel and by its birth: the number of a channel is used again, and a late wake-up must not reach the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ticket {
    pub(crate) channel: ChannelId,
    pub(crate) birth: u64,
}

impl Ready {
    /// This session has something.
    pub(crate) fn push(&self, ticket: Ticket) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.push(ticket);
        // One wake-up for a whole burst.
        if sessions.len() == 1 {
            self.filled.notify_one();
        }
    }

    /// Everything that was pushed since the last time.
    pub(crate) fn take(&self) -> Vec<Ticket> {
        std::mem::take(&mut *self.sessions.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until there is something. Can be dropped and called again.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }
}
