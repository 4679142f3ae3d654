//! The two pipes between a connection and one of its sessions, and the session's lifecycle. Connection and session meet
//! only here: the connection's task never waits, the session's task may.
//!
//! Inwards run bytes and events, bounded by the client's window and by a count; outwards run bytes in a ring of fixed
//! capacity, with replies, EOF and exit between them in order. Each side wakes the other only when there was nothing
//! to do before, so a burst costs one wake-up. No packet, no channel number and no window is known here.

mod buffer;
mod handle;
mod input;
mod lifecycle;
mod output;
mod shared;
mod side;
mod spare;
mod transitions;
mod turns;

pub use handle::SessionHandle;
pub(crate) use input::{MissingHandlers, Next};
pub(crate) use lifecycle::{Due, Outcome, OutputClosed, Stage};
pub use output::{Drained, OpenReply, Sink};
pub use shared::Wake;
pub(crate) use shared::{Interrupt, Shared};
pub use side::SessionSide;
pub(crate) use transitions::Flow;

use std::sync::Arc;

use crate::channel_event::{ChannelEvent, Ending};

/// Both pipes of a session: two ends for the connection, one for [`Plugin::session`](crate::Plugin::session).
///
/// `outbox_capacity` is in bytes; a plugin that writes more waits. `wake` is called when the outbox was empty and is no
/// longer, when the exit was put into it, when what was in it has been discarded, and when credit that nobody has asked
/// for passes 16 KiB: whoever is woken drains the outbox *and* takes the credit, so small credit travels with the
/// output that it caused.
#[must_use]
pub fn session_pipes(outbox_capacity: usize, wake: Wake) -> (Inbox, Outbox, SessionSide) {
    let shared = Arc::new(Shared::new(outbox_capacity, wake));
    (Inbox { shared: Arc::clone(&shared) }, Outbox { shared: Arc::clone(&shared) }, SessionSide::new(shared))
}

/// The connection's end of what goes to the plugin. No method waits. Dropping it ends the session, as a connection
/// that is lost does.
pub struct Inbox {
    shared: Arc<Shared>,
}

impl Inbox {
    /// Bytes from the client; `kind` is `None` for ordinary data, the number for extended data. Copied once. The
    /// caller holds the bound: no more than the window that [`take_credit`](Self::take_credit) has opened.
    pub fn data(&self, kind: Option<u32>, bytes: &[u8]) {
        self.shared.receive(|inward| inward.data(kind, bytes));
    }

    /// Something else from the client. At most 64 requests wait, 1,024 variables beside them, and 1 MiB; what comes
    /// beyond that is answered `false` in its turn. So is a request for which the plugin has no handler, while the
    /// plugin is inside a call as well.
    pub fn event(&self, event: ChannelEvent) {
        self.shared.event(event);
    }

    /// A request that is refused without asking the plugin: it is answered `false` in its turn. With `words`, a line on
    /// stderr goes before.
    pub fn refuse(&self, words: Option<&str>) {
        self.shared.refuse(words);
    }

    /// The client's answer to the oldest [`Sink::request`] that has none yet.
    pub fn answered(&self, success: bool) {
        self.shared.receive(|inward| inward.input.answered(success));
    }

    /// The session is over from this side; the first reason counts. A suspended write returns `closed`, the call that
    /// runs has one second to return, then `closed` is delivered. After [`Ending::ClientClosed`] what the client sent
    /// before it is still delivered, within that second.
    pub fn end(&self, why: Ending) {
        self.shared.receive(|inward| inward.end(why));
    }

    /// Refers to the session for those who list sessions and end them from outside.
    #[must_use]
    pub fn handle(&self) -> SessionHandle {
        SessionHandle::new(&self.shared)
    }

    /// How many bytes the plugin has taken since the last time this was asked: its `data` has returned.
    pub fn take_credit(&self) -> usize {
        self.shared.take_credit()
    }
}

/// A connection that drops its end, or panics, has lost the session.
impl Drop for Inbox {
    fn drop(&mut self) {
        self.end(Ending::ConnectionLost);
    }
}

/// The connection's end of what comes from the plugin. No method waits.
pub struct Outbox {
    shared: Arc<Shared>,
}

impl Outbox {
    /// Hands the oldest messages to `sink`, any number of small ones up to and including one [`Sink::bytes`], so that
    /// sessions can be served in turn. The pipe is locked meanwhile; `sink` must not touch this session.
    pub fn drain(&self, sink: &mut impl Sink) -> Drained {
        self.shared.drain(sink)
    }

    /// Whether nothing is waiting to be drained.
    #[must_use]
    pub fn output_is_drained(&self) -> bool {
        self.shared.is_drained()
    }
}

/// Without an outbox nothing more is sent.
impl Drop for Outbox {
    fn drop(&mut self) {
        self.shared.let_go();
    }
}
