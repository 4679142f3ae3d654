//! Which channels of a connection have something to send: a list that sessions fill and the connection's task empties.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use whelk_ssh::message::mux::ChannelId;

/// Filled by any thread, emptied by one task. It stays short: a session wakes its connection only when its output was
/// empty before.
#[derive(Default)]
pub(crate) struct Ready {
    tickets: Mutex<Vec<Ticket>>,
    filled: Notify,
}

/// A channel by its number and by a serial number that is never used again: channel numbers are, and a late wake-up
/// must not reach the next channel of that number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ticket {
    pub(crate) channel: ChannelId,
    pub(crate) serial: u64,
}

impl Ready {
    /// The channel has something to send. Wakes the connection's task once for a burst.
    pub(crate) fn push(&self, ticket: Ticket) {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.push(ticket);
        if tickets.len() == 1 {
            self.filled.notify_one();
        }
    }

    /// Wakes the connection's task for another reason.
    pub(crate) fn wake(&self) {
        self.filled.notify_one();
    }

    /// Takes everything that was pushed since the last call.
    pub(crate) fn take(&self) -> Vec<Ticket> {
        std::mem::take(&mut *self.tickets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until something is pushed, or the task is to wake for another reason. Cancel safe.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }
}
