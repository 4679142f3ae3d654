//! The interface between the mux and its owner: events in one direction, endings and refusals in the other.

use std::cell::Cell;

use crate::error::Violation;
use crate::message::mux::{ChannelId, Stream};
use crate::message::request::Request;

/// The meaning of a payload, lent to the owner while it is handled. Answers come back later, as commands.
///
/// The life of a channel, as its owner sees it: `Open` (or our own open and then `Opened`), then anything,
/// then exactly one `Closed`. An open that fails ends with `OpenFailed`, or with our own `refuse`, and has no `Closed`.
/// After [`exit`](crate::mux::Mux::exit), [`close`](crate::mux::Mux::close) and `ProtocolError` only `Closed` follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// The peer asks for a session, or for a channel of a type that the owner
    /// [wants to be told of](crate::mux::Mux::pass_on_private_names): answer with
    /// [`accept`](crate::mux::Mux::accept) or [`refuse`](crate::mux::Mux::refuse). RFC 4254 §5.1.
    Open {
        /// Our number for it.
        channel: ChannelId,
        /// The channel type.
        kind: &'a [u8],
        /// The type-specific payload, unread: nothing for a session (RFC 4254 §6.1), addresses for forwarding (§7.2).
        payload: &'a [u8],
    },
    /// The channel that we asked for is open. RFC 4254 §5.1.
    Opened {
        /// Our number for it.
        channel: ChannelId,
    },
    /// The channel that we asked for was refused. The number is free again. RFC 4254 §5.1.
    OpenFailed {
        /// The number that it had.
        channel: ChannelId,
        /// The reason code as received: see [`OpenFailure`].
        reason: u32,
        /// The peer's text, any bytes: escape it before showing it.
        description: &'a [u8],
    },
    /// A channel request. Each one that is not declined at once gets exactly one [`reply`](crate::mux::Mux::reply), in
    /// the order of the events, whether or not the peer wanted it: the mux keeps track. RFC 4254 §5.4.
    Request {
        /// Its channel.
        channel: ChannelId,
        /// The request.
        request: Request<'a>,
        /// Declines it at once.
        decline: Decline<'a>,
    },
    /// Data, never empty. [`taken`](crate::mux::Mux::taken) returns the credit to the peer. RFC 4254 §5.2.
    Data {
        /// Its channel.
        channel: ChannelId,
        /// Data, or extended data of a type.
        stream: Stream,
        /// The bytes, still in the transport's buffer.
        data: &'a [u8],
    },
    /// The peer answered our oldest request with `want_reply` on this channel. RFC 4254 §5.4.
    Answered {
        /// Its channel.
        channel: ChannelId,
        /// Whether it succeeded.
        success: bool,
    },
    /// The peer's window was empty and is open again: [`write`](crate::mux::Mux::write) takes bytes. RFC 4254 §5.2.
    Writable {
        /// The channel to write to.
        channel: ChannelId,
    },
    /// The peer reads no more data, which [`write`](crate::mux::Mux::write) takes and drops from now on. Extended data
    /// it still reads. OpenSSH PROTOCOL §2.1.
    EndOfWrite {
        /// The channel.
        channel: ChannelId,
    },
    /// The peer sends no more data; requests may still come, and we may go on sending. RFC 4254 §5.3.
    Eof {
        /// Its channel.
        channel: ChannelId,
    },
    /// The peer violated a rule that concerns this channel alone, and the mux closes it: no more data is received or
    /// sent. Its `Closed` follows when the peer has closed it too.
    ProtocolError {
        /// The channel.
        channel: ChannelId,
        /// The violation.
        violation: Violation,
    },
    /// The peer has closed the channel: nothing more is received or sent. The mux answers CLOSE itself. The number will
    /// be reused soon: forget it now. RFC 4254 §5.3.
    Closed {
        /// The number that it had.
        channel: ChannelId,
    },
    /// The mux has refused something by itself that the peer might miss: a channel, forwarding, a malformed request or
    /// one too many. It answers by itself; the event is for the log. Unknown global requests, such as keepalives, are
    /// refused without it.
    Refused {
        /// The kind of thing.
        what: Refused,
        /// Its name from the peer, any bytes: escape it before showing it.
        name: &'a [u8],
        /// The reason, as text.
        reason: &'static str,
    },
    /// A global request of a name that the owner [wants to be told of](crate::mux::Mux::pass_on_private_names). Each
    /// one that is not declined at once gets exactly one
    /// [`answer_global_request`](crate::mux::Mux::answer_global_request), in the order of the events, whether or not
    /// the peer wanted it. RFC 4254 §4.
    GlobalRequest {
        /// Its name.
        name: &'a [u8],
        /// What follows in the message.
        body: &'a [u8],
        /// Declines it at once.
        decline: Decline<'a>,
    },
    /// The peer answered our oldest global request with `want_reply`. RFC 4254 §4.
    GlobalAnswered {
        /// The tag of a request that was made by [`ask`](crate::mux::Mux::ask).
        tag: Option<u64>,
        /// Whether it succeeded.
        success: bool,
        /// The payload of a success.
        body: &'a [u8],
    },
}

/// The subject of [`Event::Refused`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// A new channel. RFC 4254 §5.1.
    Open,
    /// A global request. RFC 4254 §4.
    Global,
    /// A request on this channel. RFC 4254 §5.4.
    Request(ChannelId),
}

/// Part of [`Event::Request`] and [`Event::GlobalRequest`]: declines the request while it is lent. The peer is answered
/// "failure" in order, if it wants an answer. The request does not count as unanswered and gets no later answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decline<'a>(pub(super) &'a Cell<bool>);

impl Decline<'_> {
    /// Declines the request.
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
    /// Another code, such as one for private use: from 0xFE000000 on.
    Other(u32),
}

/// Why the peer was not asked to open a channel, or to answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAsked {
    /// The name and what follows it are together longer than `max_packet` of the settings.
    TooLong,
    /// Too many channels or requests exist or wait for an answer.
    TooMany,
}

impl OpenFailure {
    /// The reason code as encoded in the message.
    pub fn code(self) -> u32 {
        match self {
            OpenFailure::AdministrativelyProhibited => 1,
            OpenFailure::ConnectFailed => 2,
            OpenFailure::UnknownChannelType => 3,
            OpenFailure::ResourceShortage => 4,
            OpenFailure::Other(code) => code,
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
