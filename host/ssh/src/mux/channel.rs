//! RFC 4254 §5: one open channel: both windows, what was said in each direction, and what is still to be said.
//!
//! A channel owes small state and turns it into messages when the output has room. It never holds data.

use crate::error::Violation;
use crate::message::Output;
use crate::message::mux::{ChannelId, MuxMessage, PeerChannelId, Recipient, Stream};
use crate::message::request::Request;
use crate::mux::asks::Asks;
use crate::mux::event::{Exit, clip};
use crate::mux::replies::{Answers, Ask, Replies};
use crate::mux::window::{Inbound, Outbound, Pool};
use crate::wire::Rest;

/// What we have said on a channel, and the end that we have still to bring it to.
///
/// ```text
///          send_eof             settle
///   Open -----------> EofOwed ---------> Eof
///    |  |              |  |             |  |
///    |  `-----+--------'  |        exit |  |
///    |        | exit      |             |  |
///    |        v           |             v  |
///    |  ExitOwed, no EOF  | close  ExitOwed, EOF said
///    |        | settle    |             |  |
///    |        v           v             |  |
///    |       LastEofOwed <'      settle |  |
///    |        | settle                  |  |
///    | close  v                         |  | close
///    `---> CloseOwed <------------------+--'
///             | settle
///             v
///           Closed
/// ```
///
/// The peer's CLOSE leads to `CloseOwed` from everywhere above it.
#[derive(Debug)]
enum Sending {
    /// Data may be sent.
    Open,
    /// No more data; EOF is to be said.
    EofOwed,
    /// EOF was said.
    Eof,
    /// The program has ended: its end, EOF unless that was said, and CLOSE are to be said. dbclient and plink lose the
    /// status in any other order.
    ExitOwed { exit: Exit, eof_said: bool },
    /// The program's end was said: EOF and CLOSE are to be said.
    LastEofOwed,
    /// CLOSE is to be said, and nothing else any more.
    CloseOwed,
    /// CLOSE was said.
    Closed,
}

impl Sending {
    /// Whether something is to be said.
    fn owes(&self) -> bool {
        match self {
            Sending::Open | Sending::Eof | Sending::Closed => false,
            Sending::EofOwed | Sending::ExitOwed { .. } | Sending::LastEofOwed | Sending::CloseOwed => true,
        }
    }

    /// Whether the channel still has an owner who wants to know what comes.
    fn has_owner(&self) -> bool {
        match self {
            Sending::Open | Sending::EofOwed | Sending::Eof => true,
            Sending::ExitOwed { .. } | Sending::LastEofOwed | Sending::CloseOwed | Sending::Closed => false,
        }
    }
}

/// What the peer has said on a channel.
///
/// ```text
///   Open --- EOF ---> Eof --- CLOSE ---> Closed
///    `--------------- CLOSE ---------------^
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Receiving {
    /// Data may come.
    Open,
    /// No more data; requests may still come. Data that comes all the same is dropped.
    Eof,
    /// Whatever comes is ignored.
    Closed,
}

/// An open channel.
#[derive(Debug)]
pub(super) struct Channel {
    /// The number that the peer gave it.
    peer: PeerChannelId,
    /// Whether the peer knows our number. Until then it can say nothing, and CHANNEL_OPEN_CONFIRMATION is owed.
    announced: bool,
    /// Our half.
    sending: Sending,
    /// The peer's half.
    receiving: Receiving,
    /// What the peer may send.
    inbound: Inbound,
    /// What we may send.
    outbound: Outbound,
    /// Our answers to the peer's requests.
    replies: Replies,
    /// Our own requests.
    asks: Asks,
    /// The peer broke a rule that concerns this channel alone.
    at_fault: bool,
}

/// What a fault of the peer on one channel leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// The channel is closed, and its owner is told.
    Closed,
    /// The channel had no owner any more.
    Unowned,
    /// It is not the first on this channel, which is on its way to its end.
    Again,
}

/// Life.
impl Channel {
    /// A channel that the peer asked for and now gets.
    pub(super) fn accepted(peer: PeerChannelId, inbound: Inbound, outbound: Outbound) -> Channel {
        Channel { announced: false, ..Channel::confirmed(peer, inbound, outbound) }
    }

    /// A channel that we asked for and the peer gave us.
    pub(super) fn confirmed(peer: PeerChannelId, inbound: Inbound, outbound: Outbound) -> Channel {
        let (replies, asks) = (Replies::default(), Asks::default());
        let (sending, receiving) = (Sending::Open, Receiving::Open);
        Channel { peer, announced: true, sending, receiving, inbound, outbound, replies, asks, at_fault: false }
    }

    /// Whether it still has an owner: neither did that one end it nor did the peer.
    pub(super) fn has_owner(&self) -> bool {
        self.sending.has_owner()
    }

    /// Whether both CLOSEs have passed.
    pub(super) fn is_over(&self) -> bool {
        matches!((&self.sending, self.receiving), (Sending::Closed, Receiving::Closed))
    }

    /// Whether the peer was told our number.
    pub(super) fn is_announced(&self) -> bool {
        self.announced
    }

    /// Whether what the peer says counts: not after its CLOSE.
    pub(super) fn accepts_messages(&self) -> bool {
        self.receiving != Receiving::Closed
    }
}

/// What the peer says, while the channel [accepts](Channel::accepts_messages) it.
impl Channel {
    /// Data came. Says whether the owner gets it; if not, or after EOF, it is dropped, and never credited.
    ///
    /// # Errors
    /// It is too much. Tell [`fault`](Channel::fault).
    pub(super) fn data(&mut self, bytes: usize) -> Result<bool, Violation> {
        self.inbound.receive(bytes)?;
        Ok(bytes > 0 && self.has_owner() && self.receiving == Receiving::Open)
    }

    /// The peer grants more. Says whether the owner can go on sending because of that.
    ///
    /// # Errors
    /// It is more than a window can be. Tell [`fault`](Channel::fault).
    pub(super) fn adjust(&mut self, bytes: u32) -> Result<bool, Violation> {
        let ends_a_wait = self.outbound.adjust(bytes)?;
        Ok(ends_a_wait && matches!(self.sending, Sending::Open))
    }

    /// The peer broke a rule that concerns this channel alone: it is closed.
    pub(super) fn fault(&mut self, pool: &mut Pool) -> Fault {
        let has_owner = self.has_owner();
        self.close(pool);
        match (std::mem::replace(&mut self.at_fault, true), has_owner) {
            (true, _) => Fault::Again,
            (false, true) => Fault::Closed,
            (false, false) => Fault::Unowned,
        }
    }

    /// Whether the peer broke a rule on it.
    pub(super) fn was_at_fault(&self) -> bool {
        self.at_fault
    }

    /// Whether a request may go to the owner, of whom at most `most` answers may be waited for.
    pub(super) fn admits(&self, ask: Ask, most: usize) -> bool {
        self.replies.admits(ask, most)
    }

    /// A request came. The owner got it, and will answer it.
    pub(super) fn asked(&mut self, ask: Ask) {
        self.replies.ask(ask);
    }

    /// A request came, and the answer is no.
    pub(super) fn refused(&mut self, ask: Ask) {
        self.replies.refuse(ask);
    }

    /// An answer came. Says whether the owner gets it; one that nobody asked for it does not.
    pub(super) fn answered(&mut self) -> bool {
        self.asks.answered() && self.has_owner()
    }

    /// EOF came. Says whether the owner is told. A second one says nothing.
    pub(super) fn eof(&mut self) -> bool {
        let first = self.receiving == Receiving::Open;
        if first {
            self.receiving = Receiving::Eof;
        }
        first && self.has_owner()
    }

    /// CLOSE came: whatever else was to be said has nobody to hear it.
    pub(super) fn closed(&mut self, pool: &mut Pool) {
        self.receiving = Receiving::Closed;
        if !matches!(self.sending, Sending::Closed) {
            self.sending = Sending::CloseOwed;
            self.replies = Replies::default();
            self.asks = Asks::default();
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

    /// Puts at most one message of data, of at most `max_packet` bytes; says how many bytes it took.
    pub(super) fn write(&mut self, stream: Stream, data: &[u8], max_packet: u32, out: &mut impl Output) -> usize {
        // The room is a mark that a header may pass: if it had to fit too, the last bytes of room would be room for
        // nothing.
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

    /// The owner has taken so many bytes of what came.
    pub(super) fn taken(&mut self, bytes: usize, pool: &mut Pool) {
        if self.has_owner() && self.receiving == Receiving::Open {
            self.inbound.taken(bytes, pool);
        }
    }

    /// Answers so many of the oldest requests that the owner has not answered.
    pub(super) fn reply(&mut self, success: bool, times: u32) {
        self.replies.reply(success, times);
    }

    /// Makes a request. False if that cannot be.
    pub(super) fn request(&mut self, kind: &[u8], body: &[u8], want_reply: bool, most_bytes: u32) -> bool {
        self.has_owner() && self.asks.add(kind, body, want_reply, most_bytes)
    }

    /// No more data will be sent.
    pub(super) fn send_eof(&mut self) {
        if matches!(self.sending, Sending::Open) {
            self.sending = Sending::EofOwed;
        }
    }

    /// The program has ended. What was said before goes out first; what is unanswered stays so.
    pub(super) fn exit(&mut self, exit: Exit, pool: &mut Pool) {
        if self.has_owner() {
            let eof_said = matches!(self.sending, Sending::Eof);
            self.end(Sending::ExitOwed { exit, eof_said }, pool);
        }
    }

    /// Ends it without a word about a program. What was said before goes out first; what is unanswered stays so.
    pub(super) fn close(&mut self, pool: &mut Pool) {
        match self.sending {
            Sending::Open | Sending::Eof => self.end(Sending::CloseOwed, pool),
            Sending::EofOwed => self.end(Sending::LastEofOwed, pool),
            Sending::ExitOwed { .. } | Sending::LastEofOwed | Sending::CloseOwed | Sending::Closed => {}
        }
    }

    /// The owner lets go of it.
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

    /// Whether the peer should get more room now. Not when it has no use for it.
    fn credit_is_due(&self) -> bool {
        self.has_owner() && self.receiving == Receiving::Open && self.inbound.is_due()
    }

    /// Whether anything is to be said.
    pub(super) fn owes(&self) -> bool {
        !self.announced
            || self.owed_replies().len() > 0
            || self.asks.owes()
            || self.credit_is_due()
            || self.sending.owes()
    }

    /// Puts what is owed while there is room: answers before the requests and the data that may depend on them, the end
    /// last.
    pub(super) fn settle(&mut self, ours: ChannelId, out: &mut impl Output) {
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
            && let Some(request) = self.asks.next()
        {
            let (kind, body) = (&*request.kind, Rest(&request.body));
            out.put(&MuxMessage::ChannelRequest { recipient, kind, want_reply: request.want_reply, body });
        }
        if out.room() > 0 && self.credit_is_due() {
            out.put(&MuxMessage::ChannelWindowAdjust { recipient, bytes: self.inbound.credit() });
        }
        while out.room() > 0 && self.sending.owes() {
            self.settle_end(recipient, out);
        }
    }

    /// Puts the next message of what [`Sending`] owes, and takes the step that it stands for.
    fn settle_end(&mut self, recipient: Recipient, out: &mut impl Output) {
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
