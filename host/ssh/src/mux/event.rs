//! What the mux and its owner say to each other: events in one direction, endings and refusals in the other.

use std::cell::Cell;

use crate::error::Violation;
use crate::message::mux::{ChannelId, Stream};
use crate::message::request::Request;

/// What a payload meant, lent to the owner while it is handled. Answers come back later, as commands.
///
/// The life of a channel, as its owner sees it: `Open` (or our own `open_session` and then `Opened`), then anything,
/// then exactly one `Closed`. An open that fails ends with `OpenFailed`, or with our own `refuse`, and has no `Closed`.
/// After [`exit`](crate::mux::Mux::exit), [`close`](crate::mux::Mux::close) and `ProtocolError` nothing comes but
/// `Closed`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// The peer asks for a channel of a type that the mux lets through, today `session` alone: answer with
    /// [`accept`](crate::mux::Mux::accept) or [`refuse`](crate::mux::Mux::refuse). RFC 4254 §5.1.
    Open {
        /// Our number for it.
        channel: ChannelId,
        /// The channel type.
        kind: &'a [u8],
        /// What the type defines, unread: nothing for a session (RFC 4254 §6.1), addresses for forwarding (§7.2).
        payload: &'a [u8],
    },
    /// The session that we asked for is there. RFC 4254 §5.1.
    Opened {
        /// Our number for it.
        channel: ChannelId,
    },
    /// The session that we asked for was refused. The number is free again. RFC 4254 §5.1.
    OpenFailed {
        /// The number that it had.
        channel: ChannelId,
        /// As it came: see [`OpenFailure`].
        reason: u32,
        /// The peer's own words, in any bytes: escape them before they are shown.
        description: &'a [u8],
    },
    /// A channel request. Every one that is not declined at once gets exactly one [`reply`](crate::mux::Mux::reply), in
    /// the order of the events, whether or not the peer wanted it: the mux knows. RFC 4254 §5.4.
    Request {
        /// The channel that it is about.
        channel: ChannelId,
        /// What is asked.
        request: Request<'a>,
        /// The way to refuse it at once.
        decline: Decline<'a>,
    },
    /// Data, never empty. The peer gets its credit back by [`taken`](crate::mux::Mux::taken). RFC 4254 §5.2.
    Data {
        /// The channel that it came on.
        channel: ChannelId,
        /// Data, or extended data of a type.
        stream: Stream,
        /// The bytes, still in the transport's buffer.
        data: &'a [u8],
    },
    /// The peer answered the oldest request that we made with `want_reply` on this channel. RFC 4254 §5.4.
    Answered {
        /// The channel that it was about.
        channel: ChannelId,
        /// Yes or no.
        success: bool,
    },
    /// The peer's window was empty and is not any more: [`write`](crate::mux::Mux::write) takes bytes again. RFC 4254
    /// §5.2.
    Writable {
        /// The channel that may be written.
        channel: ChannelId,
    },
    /// The peer sends no more data; requests may still come, and we may go on sending. RFC 4254 §5.3.
    Eof {
        /// The channel that has ended in one direction.
        channel: ChannelId,
    },
    /// The peer broke a rule that concerns this channel alone, and the mux closes it: no data comes any more, and none
    /// can be sent. Its `Closed` follows when the peer has closed it too.
    ProtocolError {
        /// The channel.
        channel: ChannelId,
        /// What the peer did.
        violation: Violation,
    },
    /// The peer is done with the channel: nothing more comes and nothing can be sent. CLOSE is answered by the mux
    /// itself. The number will name another channel soon: forget it now. RFC 4254 §5.3.
    Closed {
        /// The number that it had.
        channel: ChannelId,
    },
    /// The mux has refused by itself what the peer might miss: a channel, forwarding, a request that is malformed or
    /// one too many. It answers by itself; the event is for the log. Global requests that are merely unknown, such as
    /// keepalives, are refused without it.
    Refused {
        /// What was asked for.
        what: Refused,
        /// The name that the peer gave it, in any bytes: escape it before it is shown.
        name: &'a [u8],
        /// Why it was refused, for people.
        reason: &'static str,
    },
    /// The peer answered the oldest global request that we made with `want_reply`. RFC 4254 §4.
    GlobalAnswered {
        /// Yes or no.
        success: bool,
        /// What came with a yes.
        body: &'a [u8],
    },
}

/// What [`Event::Refused`] tells of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// A new channel of some kind. RFC 4254 §5.1.
    Open,
    /// A global request. RFC 4254 §4.
    Global,
    /// A request on this channel. RFC 4254 §5.4.
    Request(ChannelId),
}

/// With [`Event::Request`]: the owner's way to refuse the request while it is lent. The peer is answered "failure" in
/// its turn, if it wants an answer. The request does not count as unanswered and gets no
/// [`reply`](crate::mux::Mux::reply).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decline<'a>(pub(super) &'a Cell<bool>);

impl Decline<'_> {
    /// Refuses the request.
    pub fn decline(self) {
        self.0.set(true);
    }
}

/// Why a channel is refused, RFC 4254 §5.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenFailure {
    /// Administratively prohibited.
    AdministrativelyProhibited,
    /// Connect failed.
    ConnectFailed,
    /// Unknown channel type.
    UnknownChannelType,
    /// Resource shortage.
    ResourceShortage,
}

impl OpenFailure {
    /// The reason code as encoded in the message.
    pub fn code(self) -> u32 {
        match self {
            OpenFailure::AdministrativelyProhibited => 1,
            OpenFailure::ConnectFailed => 2,
            OpenFailure::UnknownChannelType => 3,
            OpenFailure::ResourceShortage => 4,
        }
    }
}

/// Cuts a text for a person to 1 KiB. It may come from a plugin.
pub(super) fn clip(text: &str) -> &str {
    text.get(..text.floor_char_boundary(1024)).unwrap_or(text)
}

/// How the program of a session ended, RFC 4254 §6.10.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Exit {
    /// With this status: `exit-status`.
    Status(u32),
    /// By a signal: `exit-signal`.
    Signal {
        /// The name, without SIG.
        name: String,
        /// Whether it dumped core.
        core_dumped: bool,
        /// A message for the person at the client.
        message: String,
    },
}
