//! The two halves of the link between a connection and its connection plugin. Neither side waits for the other here.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedReceiver, UnboundedSender};

use crate::channel::{Inbox, OpenReply, Outbox, SessionHalf, Sink, Wake, session_pipes};
use crate::connection_types::ConnectionMessage;
use crate::session_types::{Exit, Output};

/// The most things that wait for the plugin. Our limit: each may hold as much memory as a packet.
const CALLS: usize = 16;

/// Something that the client asks of the plugin.
pub(super) enum ConnectionCall {
    /// To open a channel.
    Open { channel: u32, kind: String, payload: Vec<u8> },
    /// A global request.
    Request { name: String, payload: Vec<u8> },
}

/// Makes the link of one connection to its plugin. `wake` is called when [`ConnectionLink::take`] has something, and
/// when the plugin's side is over; any thread may call it.
#[must_use]
pub fn connection_link(wake: Wake) -> (ConnectionLink, ConnectionHalf) {
    let (calls, called) = mpsc::channel(CALLS);
    let (sender, receiver) = mpsc::unbounded_channel();
    // The pipes of a session: they say when the connection has ended, and carry what the interface `connection` sends.
    let (inbox, outbox, session) = session_pipes(1, Arc::clone(&wake));
    let messages = Messages { sender: Some(sender), wake };
    let link = ConnectionLink { _inbox: inbox, outbox, calls, receiver, sent: VecDeque::new(), over: false };
    (link, ConnectionHalf { calls: called, messages, session })
}

/// The connection's half. No method waits. Dropping it ends the plugin's instance, which gets its last call.
pub struct ConnectionLink {
    _inbox: Inbox,
    outbox: Outbox,
    calls: Sender<ConnectionCall>,
    receiver: UnboundedReceiver<ConnectionMessage>,
    /// What the interface `connection` has sent.
    sent: VecDeque<ConnectionMessage>,
    over: bool,
}

impl ConnectionLink {
    /// The client asks to open a channel of this type. False if too much waits for the plugin, or its side is over: it
    /// is to be refused then.
    #[must_use]
    pub fn open(&self, channel: u32, kind: String, payload: Vec<u8>) -> bool {
        self.calls.try_send(ConnectionCall::Open { channel, kind, payload }).is_ok()
    }

    /// The client makes a global request. False as for [`open`](Self::open).
    #[must_use]
    pub fn request(&self, name: String, payload: Vec<u8>) -> bool {
        self.calls.try_send(ConnectionCall::Request { name, payload }).is_ok()
    }

    /// Takes the next thing that the plugin says.
    pub fn take(&mut self) -> Option<ConnectionMessage> {
        self.outbox.drain(&mut Collect(&mut self.sent));
        if let Some(sent) = self.sent.pop_front() {
            return Some(sent);
        }
        match self.receiver.try_recv() {
            Ok(message) => Some(message),
            Err(mpsc::error::TryRecvError::Empty) => None,
            Err(mpsc::error::TryRecvError::Disconnected) => {
                self.over = true;
                None
            }
        }
    }

    /// Whether the plugin's side is over: it has failed, there was no room for it, or its version was retired. Known
    /// once [`take`](Self::take) has returned
    /// `None`. What has no answer by then gets none.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }
}

/// Keeps what the interface `connection` sends.
struct Collect<'l>(&'l mut VecDeque<ConnectionMessage>);

impl Sink for Collect<'_> {
    fn disconnect(&mut self, reason: u32, text: &str) {
        self.0.push_back(ConnectionMessage::Disconnect { reason, text: text.to_owned() });
    }

    fn debug(&mut self, text: &str, always_display: bool) {
        self.0.push_back(ConnectionMessage::Debug { text: text.to_owned(), always_display });
    }

    // What belongs to a channel has nowhere to go: a connection plugin has none.

    fn opened(&mut self, _reply: OpenReply) {}

    fn reply(&mut self, _success: bool, _times: u32) {}

    fn bytes(&mut self, _to: Output, data: &[u8]) -> usize {
        data.len()
    }

    fn eof(&mut self) {}

    fn request(&mut self, _name: &str, _payload: &[u8]) {}

    fn exit(&mut self, _exit: &Exit) {}
}

/// What the plugin's side says to the connection. The last one that is dropped says that it is over.
#[derive(Clone)]
pub(super) struct Messages {
    sender: Option<UnboundedSender<ConnectionMessage>>,
    wake: Wake,
}

impl Messages {
    /// Says something. False if the connection is over.
    pub(super) fn send(&self, message: ConnectionMessage) -> bool {
        let sent = self.sender.as_ref().is_some_and(|sender| sender.send(message).is_ok());
        (self.wake)();
        sent
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        // First, so that whoever is woken finds it gone.
        self.sender = None;
        (self.wake)();
    }
}

/// The plugin's half, for [`Plugin::connection`](crate::Plugin::connection). Dropping it refuses what waits for the
/// plugin.
pub struct ConnectionHalf {
    pub(super) calls: Receiver<ConnectionCall>,
    pub(super) messages: Messages,
    pub(super) session: SessionHalf,
}

impl ConnectionHalf {
    /// Says that the plugin has failed: the connection does not ask it again.
    pub fn fail(&self) {
        self.messages.send(ConnectionMessage::Failed);
    }

    /// Keeps a value until the plugin's side is over.
    pub fn keep(&self, value: impl Send + 'static) {
        self.session.keep(value);
    }

    /// Waits until the connection is over.
    pub async fn until_ended(&self) {
        self.session.until_ended().await;
    }
}
