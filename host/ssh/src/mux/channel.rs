//! RFC 4254 §5: one open channel: both windows, the state of each direction, and what is owed to the peer.
//!
//! A channel owes small state and turns it into messages when the output has room. It never holds data.

use crate::error::Violation;
use crate::message::Output;
use crate::message::mux::{ChannelId, MuxMessage, PeerChannelId, Recipient, Stream};
use crate::message::request::Request;
use crate::mux::event::{Exit, clip};
use crate::mux::own_requests::OwnRequests;
use crate::mux::replies::{Answers, Replies, ReplyKind};
use crate::mux::window::{Inbound, Outbound, Pool};
use crate::wire::Rest;

/// The state of our direction.
///
/// ```text
///          send_eof              write
///   Open -----------> EofOwed ---------> Eof
///    |  |              |  |             |  |
///    |  `-----+--------'  |        exit |  |
///    |        | exit      |             |  |
///    |        v           |             v  |
///    |  ExitOwed, no EOF  | close  ExitOwed, EOF sent
///    |        | write     |             |  |
///    |        v           v             |  |
///    |       LastEofOwed <'       write |  |
///    |        | write                   |  |
///    | close  v                         |  | close
///    `---> CloseOwed <------------------+--'
///             | write
///             v
///           Closed
/// ```
///
/// `write` is [`write_owed`](Channel::write_owed).
///
/// The peer's CLOSE leads to `CloseOwed` from every state above it.
#[derive(Debug)]
enum Sending {
    /// Data may be sent.
    Open,
    /// No more data; EOF is owed.
    EofOwed,
    /// EOF was sent.
    Eof,
    /// The program has ended: its exit status or signal, EOF (unless it was sent) and CLOSE are owed. dbclient and
    /// plink lose the status in any other order.
    ExitOwed { exit: Exit, eof_said: bool },
    /// The exit status or signal was sent: EOF and CLOSE are owed.
    LastEofOwed,
    /// CLOSE is owed, and nothing else.
    CloseOwed,
    /// CLOSE was sent.
    Closed,
}

impl Sending {
    /// Whether anything is owed.
    fn owes(&self) -> bool {
        match self {
            Sending::Open | Sending::Eof | Sending::Closed => false,
            Sending::EofOwed | Sending::ExitOwed { .. } | Sending::LastEofOwed | Sending::CloseOwed => true,
        }
    }

    /// Whether the channel still has an owner that receives events.
    fn has_owner(&self) -> bool {
        match self {
            Sending::Open | Sending::EofOwed | Sending::Eof => true,
            Sending::ExitOwed { .. } | Sending::LastEofOwed | Sending::CloseOwed | Sending::Closed => false,
        }
    }
}

/// The state of the peer's direction.
///
/// ```text
///   Open --- EOF ---> Eof --- CLOSE ---> Closed
///    `--------------- CLOSE ---------------^
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Receiving {
    /// Data may arrive.
    Open,
    /// No more data; requests may still arrive. Data that arrives all the same is dropped.
    Eof,
    /// Everything that arrives is ignored.
    Closed,
}

/// An open channel.
#[derive(Debug)]
pub(super) struct Channel {
    /// The peer's number for it.
    peer: PeerChannelId,
    /// Whether CHANNEL_OPEN_CONFIRMATION was sent. Until then it is owed, and the peer cannot use the channel.
    announced: bool,
    /// Our direction.
    sending: Sending,
    /// The peer's direction.
    receiving: Receiving,
    /// The window of the peer's data.
    inbound: Inbound,
    /// The window of our data.
    outbound: Outbound,
    /// Our answers to the peer's requests.
    replies: Replies,
    /// Our own requests.
    own_requests: OwnRequests,
    /// The peer violated a rule that concerns this channel alone.
    at_fault: bool,
    /// The peer does not read data any more: it is dropped instead of sent.
    drops_data: bool,
}

/// The consequence of a violation on one channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// The channel is closed, and its owner is told.
    Closed,
    /// The channel had no owner any more.
    Unowned,
    /// The channel is closing already because of an earlier violation.
    Again,
}

/// Life.
impl Channel {
    /// A channel that the peer opened and we accepted.
    pub(super) fn accepted(peer: PeerChannelId, inbound: Inbound, outbound: Outbound) -> Channel {
        Channel { announced: false, ..Channel::confirmed(peer, inbound, outbound) }
    }

    /// A channel that we opened and the peer accepted.
    pub(super) fn confirmed(peer: PeerChannelId, inbound: Inbound, outbound: Outbound) -> Channel {
        let (replies, own_requests) = (Replies::default(), OwnRequests::default());
        let (sending, receiving) = (Sending::Open, Receiving::Open);
        let (announced, at_fault, drops_data) = (true, false, false);
        Channel { peer, announced, sending, receiving, inbound, outbound, replies, own_requests, at_fault, drops_data }
    }

    /// Whether it still has an owner: neither the owner nor the peer has ended it.
    pub(super) fn has_owner(&self) -> bool {
        self.sending.has_owner()
    }

    /// Whether both sides have sent CLOSE.
    pub(super) fn is_over(&self) -> bool {
        matches!((&self.sending, self.receiving), (Sending::Closed, Receiving::Closed))
    }

    /// Whether the peer knows our number.
    pub(super) fn is_announced(&self) -> bool {
        self.announced
    }

    /// Whether the peer's messages count: not after its CLOSE.
    pub(super) fn accepts_messages(&self) -> bool {
        self.receiving != Receiving::Closed
    }
}

/// What the peer says, while the channel [accepts](Channel::accepts_messages) it.
impl Channel {
    /// Data arrived. Returns whether the owner gets it; otherwise, and after EOF, it is dropped and never credited.
    ///
    /// # Errors
    /// It exceeds the window. Call [`fault`](Channel::fault).
    pub(super) fn data(&mut self, bytes: usize) -> Result<bool, Violation> {
        self.inbound.receive(bytes)?;
        Ok(bytes > 0 && self.has_owner() && self.receiving == Receiving::Open)
    }

    /// The peer adjusts its window. Returns whether the owner can send again because of it.
    ///
    /// # Errors
    /// The window exceeds its maximum. Call [`fault`](Channel::fault).
    pub(super) fn adjust(&mut self, bytes: u32) -> Result<bool, Violation> {
        let ends_a_wait = self.outbound.adjust(bytes)?;
        Ok(ends_a_wait && matches!(self.sending, Sending::Open))
    }

    /// The peer violated a rule that concerns this channel alone: closes the channel.
    pub(super) fn fault(&mut self, pool: &mut Pool) -> Fault {
        let has_owner = self.has_owner();
        self.close(pool);
        match (std::mem::replace(&mut self.at_fault, true), has_owner) {
            (true, _) => Fault::Again,
            (false, true) => Fault::Closed,
            (false, false) => Fault::Unowned,
        }
    }

    /// Whether the peer violated a rule on it.
    pub(super) fn was_at_fault(&self) -> bool {
        self.at_fault
    }

    /// Whether a request may be passed to the owner, who may have at most `most` unanswered ones.
    pub(super) fn admits(&self, reply: ReplyKind, most: usize) -> bool {
        self.replies.admits(reply, most)
    }

    /// A request arrived and was passed to the owner, who will answer it.
    pub(super) fn request_passed_on(&mut self, reply: ReplyKind) {
        self.replies.expect(reply);
    }

    /// A request arrived and is refused.
    pub(super) fn request_refused(&mut self, reply: ReplyKind) {
        self.replies.refuse(reply);
    }

    /// An answer arrived. Returns whether the owner gets it; not if no request was waiting.
    pub(super) fn answered(&mut self) -> bool {
        self.own_requests.answered() && self.has_owner()
    }

    /// The peer does not read data any more; extended data it does. Returns whether the owner, who may be waiting for
    /// the window, can send again because of it.
    pub(super) fn end_of_write(&mut self) -> bool {
        !std::mem::replace(&mut self.drops_data, true) && matches!(self.sending, Sending::Open)
    }

    /// EOF arrived. Returns whether the owner gets it; a repeated one is ignored.
    pub(super) fn eof(&mut self) -> bool {
        let first = self.receiving == Receiving::Open;
        if first {
            self.receiving = Receiving::Eof;
        }
        first && self.has_owner()
    }

    /// CLOSE arrived: nothing else that is owed can be received any more.
    pub(super) fn closed(&mut self, pool: &mut Pool) {
        self.receiving = Receiving::Closed;
        if !matches!(self.sending, Sending::Closed) {
            self.sending = Sending::CloseOwed;
            self.replies = Replies::default();
            self.own_requests = OwnRequests::default();
            self.inbound.end(pool);
        }
    }
}

/// What the owner says. On a channel without an owner each of these is nothing.
impl Channel {
    /// Bytes that may be sent now.
    pub(super) fn room(&self) -> usize {
        if matches!(self.sending, Sending::Open) { self.outbound.left() } else { 0 }
    }

    /// Writes at most one message of data, of at most `max_packet` bytes; returns how many bytes it took. What the peer
    /// does not read is taken and dropped, so that the owner does not wait for a window that never opens.
    pub(super) fn write(&mut self, stream: Stream, data: &[u8], max_packet: u32, out: &mut impl Output) -> usize {
        if self.drops_data && stream == Stream::Data && matches!(self.sending, Sending::Open) {
            return data.len().min(usize::try_from(max_packet).unwrap_or(usize::MAX));
        }
        // The room is a soft limit that a header may exceed: otherwise the last bytes of room could never be used.
        let most = data.len().min(self.room()).min(out.room());
        let most = most.min(usize::try_from(max_packet).unwrap_or(usize::MAX));
        let Some(data) = data.get(..self.outbound.fits(most)).filter(|data| !data.is_empty()) else { return 0 };
        let recipient = self.peer.into();
        match stream {
            Stream::Data => out.put(&MuxMessage::ChannelData { recipient, data }),
            Stream::Extended(kind) => out.put(&MuxMessage::ChannelExtendedData { recipient, kind, data }),
        }
        self.outbound.sent(data.len());
        data.len()
    }

    /// The owner has taken this many bytes of the data that arrived.
    pub(super) fn taken(&mut self, bytes: usize, pool: &mut Pool) {
        if self.has_owner() && self.receiving == Receiving::Open {
            self.inbound.taken(bytes, pool);
        }
    }

    /// Gives the same answer to this many of the oldest requests that the owner has not answered.
    pub(super) fn reply(&mut self, success: bool, times: u32) {
        self.replies.reply(success, times);
    }

    /// Makes a request. False if that is not possible.
    pub(super) fn request(&mut self, kind: &[u8], body: &[u8], want_reply: bool, most_bytes: u32) -> bool {
        self.has_owner() && self.own_requests.add(kind, body, want_reply, most_bytes)
    }

    /// No more data will be sent.
    pub(super) fn send_eof(&mut self) {
        if matches!(self.sending, Sending::Open) {
            self.sending = Sending::EofOwed;
        }
    }

    /// The program has ended. What was sent before goes out first; unanswered requests stay unanswered.
    pub(super) fn exit(&mut self, exit: Exit, pool: &mut Pool) {
        if self.has_owner() {
            let eof_said = matches!(self.sending, Sending::Eof);
            self.end(Sending::ExitOwed { exit, eof_said }, pool);
        }
    }

    /// Closes the channel without an exit status. What was sent before goes out first; unanswered requests stay
    /// unanswered.
    pub(super) fn close(&mut self, pool: &mut Pool) {
        match self.sending {
            Sending::Open | Sending::Eof => self.end(Sending::CloseOwed, pool),
            Sending::EofOwed => self.end(Sending::LastEofOwed, pool),
            Sending::ExitOwed { .. } | Sending::LastEofOwed | Sending::CloseOwed | Sending::Closed => {}
        }
    }

    /// The owner gives up the channel.
    fn end(&mut self, sending: Sending, pool: &mut Pool) {
        self.sending = sending;
        self.replies.give_up();
        self.inbound.end(pool);
    }
}

/// What is owed.
impl Channel {
    /// The answers that wait to go out.
    pub(super) fn owed_replies(&self) -> &Answers {
        self.replies.ready()
    }

    /// Whether to adjust the peer's window now. Not when the peer cannot use it.
    fn credit_is_due(&self) -> bool {
        self.has_owner() && self.receiving == Receiving::Open && self.inbound.is_due()
    }

    /// Whether anything is owed.
    pub(super) fn owes(&self) -> bool {
        !self.announced
            || self.owed_replies().len() > 0
            || self.own_requests.owes()
            || self.credit_is_due()
            || self.sending.owes()
    }

    /// Writes what is owed while there is room: answers before the requests and data that may depend on them, the end
    /// last.
    pub(super) fn write_owed(&mut self, ours: ChannelId, out: &mut impl Output) {
        let recipient = Recipient::from(self.peer);
        if !self.announced && out.room() > 0 {
            let (window, max_packet) = (self.inbound.left(), self.inbound.max_packet());
            let (sender, body) = (ours.0, Rest(&b""[..]));
            out.put(&MuxMessage::ChannelOpenConfirmation { recipient, sender, window, max_packet, body });
            self.announced = true;
        }
        while out.room() > 0
            && let Some(success) = self.replies.next()
        {
            out.put(&if success {
                MuxMessage::ChannelSuccess { recipient }
            } else {
                MuxMessage::ChannelFailure { recipient }
            });
        }
        while out.room() > 0
            && let Some(request) = self.own_requests.next()
        {
            let (kind, body) = (&*request.kind, Rest(&request.body));
            out.put(&MuxMessage::ChannelRequest { recipient, kind, want_reply: request.want_reply, body });
        }
        if out.room() > 0 && self.credit_is_due() {
            out.put(&MuxMessage::ChannelWindowAdjust { recipient, bytes: self.inbound.credit() });
        }
        while out.room() > 0 && self.sending.owes() {
            self.write_owed_end(recipient, out);
        }
    }

    /// Writes the next message that [`Sending`] owes and advances the state.
    fn write_owed_end(&mut self, recipient: Recipient, out: &mut impl Output) {
        self.sending = match &self.sending {
            Sending::EofOwed => {
                out.put(&MuxMessage::ChannelEof { recipient });
                Sending::Eof
            }
            Sending::ExitOwed { exit, eof_said } => {
                put_exit(exit, recipient, out);
                if *eof_said { Sending::CloseOwed } else { Sending::LastEofOwed }
            }
            Sending::LastEofOwed => {
                out.put(&MuxMessage::ChannelEof { recipient });
                Sending::CloseOwed
            }
            Sending::CloseOwed => {
                out.put(&MuxMessage::ChannelClose { recipient });
                Sending::Closed
            }
            Sending::Open | Sending::Eof | Sending::Closed => return,
        };
    }
}

/// RFC 4254 §6.10: neither kind may want a reply.
fn put_exit(exit: &Exit, recipient: Recipient, out: &mut impl Output) {
    let request = match exit {
        Exit::Status(status) => Request::ExitStatus { status: *status },
        Exit::Signal { name, core_dumped, message } => Request::ExitSignal {
            name: clip(name).as_bytes(),
            core_dumped: *core_dumped,
            message: clip(message).as_bytes(),
            language: b"",
        },
    };
    let body = request.body();
    out.put(&MuxMessage::ChannelRequest { recipient, kind: request.kind(), want_reply: false, body: Rest(&body) });
}
