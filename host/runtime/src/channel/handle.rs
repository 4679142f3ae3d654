//! A session as those see it who neither carry its bytes nor run it: an operator's list, and the way to end it.

use std::sync::{Arc, Weak};

use super::shared::Shared;

/// Refers to a session and keeps nothing of it alive. Made by [`Inbox::handle`](crate::Inbox::handle).
#[derive(Clone)]
pub struct SessionHandle {
    shared: Weak<Shared>,
}

impl SessionHandle {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::downgrade(shared) }
    }

    /// The plugin that serves the session, or served it last, and its generation. None before the first one is started.
    #[must_use]
    pub fn plugin(&self) -> Option<(Arc<str>, u32)> {
        self.shared.upgrade()?.served()
    }

    /// Ends the session, as the end of its plugin's generation does. The plugin is told `closed(drained)` and has one
    /// second. The client gets exit-signal HUP with `notice` as its message (RFC 4254 §6.10), and `notice` on stderr if
    /// its program has started. False if the session is ending already or has exited; then nothing changes.
    #[must_use]
    pub fn end(&self, notice: &str) -> bool {
        let Some(shared) = self.shared.upgrade() else { return false };
        shared.end_by_operator(&notice.into())
    }
}
