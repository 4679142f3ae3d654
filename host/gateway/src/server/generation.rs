//! The newest generation of the state that connections share.
//!
//! A generation is a [`Gateway`], made from one reading of the configuration and immutable. A connection takes the
//! newest one when it is accepted and keeps it until it ends, so a reload never changes the settings of a live
//! connection halfway.
//!
//! Decided 2026-11-29: whole generations behind one pointer, not a lock around each setting. A connection then sees the
//! settings of one file, never a mixture of two, and pays one atomic increment when it is accepted. Whatever must be
//! counted for the whole process (sessions, budgets, connections) is shared by the generations.

use std::sync::Arc;

use tokio::sync::watch;

use crate::server::gateway::Gateway;

/// Holds the newest generation. Clones hold the same.
#[derive(Clone)]
pub struct CurrentGateway(Arc<watch::Sender<Arc<Gateway>>>);

impl CurrentGateway {
    /// Begins with the generation of the start.
    #[must_use]
    pub fn new(first: Arc<Gateway>) -> CurrentGateway {
        first.connections().logins().set_newest(&first.access());
        CurrentGateway(Arc::new(watch::Sender::new(first)))
    }

    /// The newest generation.
    #[must_use]
    pub fn current(&self) -> Arc<Gateway> {
        Arc::clone(&self.0.borrow())
    }

    /// Makes this the generation of new connections.
    pub(crate) fn replace(&self, next: Arc<Gateway>) {
        // First, so that nobody whom it refuses is let in by an older one.
        next.connections().logins().set_newest(&next.access());
        self.0.send_replace(next).replaced();
    }

    /// Reports each replacement. The current generation counts as seen.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Gateway>> {
        self.0.subscribe()
    }
}
