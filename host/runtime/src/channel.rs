//! The two pipes between a connection and one of its sessions, and the session's lifecycle. Connection and session meet
//! only here. The connection's task never waits, the session's task may.
//!
//! Each side holds one half of both pipes: the connection [`Inbox`] and [`Outbox`], the session [`SessionHalf`].
//!
//! Inwards run bytes and events, bounded by the client's window and by a count; outwards run bytes in a ring of fixed
//! capacity, with replies, EOF and exit between them in order. Each side wakes the other only when there was nothing
//! to do before, so a burst costs one wake-up. No packet, no channel number and no window is known here.

mod answer_order;
mod buffer;
mod half;
mod handle;
mod input;
mod lifecycle;
mod output;
mod shared;
mod spare;
mod stdin;
mod terminal;
mod transitions;

pub use half::SessionHalf;
pub use handle::{SessionFigures, SessionHandle};
pub(crate) use input::stdin::StdinRead;
pub(crate) use input::{InputItem, MissingHandlers};
pub(crate) use lifecycle::{NextAction, Outcome, OutputClosed, Stage};
pub use output::{Drained, OpenReply, Sink};
pub(crate) use shared::{Interrupt, Shared};
pub use shared::{TypedObserver, Wake};
pub use spare::release_spare_buffers;
pub(crate) use transitions::Flow;

use std::sync::Arc;

use crate::session_types::{ChannelEvent, Ending};

/// Both pipes of a session: inbox and outbox for the connection, the session half for
/// [`Plugin::session`](crate::Plugin::session).
///
/// `outbox_capacity` is in bytes; a plugin that writes more waits. After `wake`, drain the outbox *and* take the
/// credit, so that small credit travels with the output that it caused. `wake` is called when
///
/// * the outbox was empty and is no longer,
/// * the exit was queued,
/// * the output that waited was discarded,
/// * credit that was not taken passes 16 KiB.
#[must_use]
pub fn session_pipes(outbox_capacity: usize, wake: Wake) -> (Inbox, Outbox, SessionHalf) {
    let shared = Arc::new(Shared::new(outbox_capacity, wake));
    (Inbox { shared: Arc::clone(&shared) }, Outbox { shared: Arc::clone(&shared) }, SessionHalf::new(shared))
}

/// The connection's half of the pipe to the plugin. No method waits. Dropping it ends the session, as a lost connection
/// does.
pub struct Inbox {
    shared: Arc<Shared>,
}

impl Inbox {
    /// Queues bytes from the client; `kind` is `None` for ordinary data, the number for extended data. Copied once. The
    /// caller holds the bound: no more than the window that [`take_credit`](Self::take_credit) has opened.
    pub fn data(&self, kind: Option<u32>, bytes: &[u8]) {
        self.shared.data(kind, bytes);
    }

    /// Queues an event that is not data. A request is refused in its turn if 64 requests, 1,024 variables or 1 MiB
    /// already wait, or if the plugin has no handler for it, even during a call.
    pub fn event(&self, event: ChannelEvent) {
        self.shared.event(event);
    }

    /// Queues a program request, and before it a [`HostVariable`](ChannelEvent::HostVariable) that belongs to it: both,
    /// within the limits of [`event`](Self::event), or neither. Once a program has started the variable is dropped.
    pub fn event_with_variable(&self, variable: ChannelEvent, event: ChannelEvent) {
        self.shared.event_with_variable(variable, event);
    }

    /// Refuses a request without asking the plugin: it is answered `false` in its turn. A `message` is printed on
    /// stderr before that.
    pub fn refuse(&self, message: Option<&str>) {
        self.shared.refuse(message);
    }

    /// The client's answer to the oldest [`Sink::request`] that has none yet.
    pub fn answered(&self, success: bool) {
        self.shared.update_inbound(|inbound| inbound.queue.answered(success));
    }

    /// Queues a line from the host on the client's terminal (RFC 4254 §6.2): at once, or when the program request is
    /// accepted; the newest line, if there are several by then. Does nothing without a pty, for a subsystem, or after
    /// EOF or exit.
    pub fn tell_terminal(&self, text: &str) {
        self.shared.terminal_line(text);
    }

    /// Ends the session from the connection's side; the first reason counts. A suspended write returns `closed`, the
    /// call that runs has one second to return, then `closed` is delivered. After [`Ending::ClientClosed`] what the
    /// client sent before it is still delivered, within that second.
    pub fn end(&self, why: Ending) {
        self.shared.update_inbound(|inbound| inbound.request_end(why));
    }

    /// Has `observer` told of what the client types, as the terminal receives it: only while the modes ICANON and ECHO
    /// are on, so that nothing is told which is not on the screen. A signal that drops what was typed is told without
    /// what it drops. The first observer counts.
    pub fn observe_typed(&self, observer: TypedObserver) {
        let _ = self.shared.typed_observer.set(observer);
    }

    /// Refers to the session for those who list sessions and end them from outside.
    #[must_use]
    pub fn handle(&self) -> SessionHandle {
        SessionHandle::new(&self.shared)
    }

    /// The client reads no more ordinary output: the next write of a program is its last, as one to a pipe whose reader
    /// is gone.
    pub fn output_unread(&self) {
        self.shared.set_output_unread();
    }

    /// How many bytes the plugin has taken since the last time this was asked: its `data` has returned.
    pub fn take_credit(&self) -> usize {
        self.shared.take_credit()
    }
}

/// A connection that drops its inbox, or panics, has lost the session.
impl Drop for Inbox {
    fn drop(&mut self) {
        self.end(Ending::ConnectionLost);
    }
}

/// The connection's half of the pipe from the plugin. No method waits.
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
        self.shared.outbox_dropped();
    }
}
