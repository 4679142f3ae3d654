//! RFC 4254: messages 80 to 127.

use crate::message::messages;
use crate::wire::{Malformed, Reader, Rest, Wire};

/// Our number for a channel. A type of its own, so that it cannot be confused with the peer's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChannelId(pub u32);

/// The peer's number for a channel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PeerChannelId(pub u32);

/// The recipient channel of a message, numbered by the receiving side. Messages that we read have a [`ChannelId`],
/// those that we write a [`PeerChannelId`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recipient(pub u32);

impl<'a> Wire<'a> for Recipient {
    fn read(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        from.uint32().map(Recipient)
    }
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
    }
}

impl Recipient {
    /// The channel that a message from the peer is for.
    pub fn ours(self) -> ChannelId {
        ChannelId(self.0)
    }
}

impl From<PeerChannelId> for Recipient {
    fn from(id: PeerChannelId) -> Recipient {
        Recipient(id.0)
    }
}

/// A stream of a channel. RFC 4254 §5.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    /// CHANNEL_DATA: standard input towards the server, standard output towards the client.
    Data,
    /// CHANNEL_EXTENDED_DATA with this data type code.
    Extended(u32),
}

impl Stream {
    /// Standard error, towards the client: SSH_EXTENDED_DATA_STDERR.
    pub const STDERR: Stream = Stream::Extended(1);
}

messages! {
    /// The connection protocol, RFC 4254.
    pub enum MuxMessage<'a> {
        /// A request that concerns the connection; the layout of `body` depends on `kind`. RFC 4254 §4.
        80 GLOBAL_REQUEST GlobalRequest { kind: &'a [u8], want_reply: bool, body: Rest<'a> }
        /// Success, for the oldest unanswered global request. RFC 4254 §4.
        81 REQUEST_SUCCESS RequestSuccess { body: Rest<'a> }
        /// Failure, for the oldest unanswered global request. RFC 4254 §4.
        82 REQUEST_FAILURE RequestFailure { }
        /// Asks for a new channel; `sender` is the sender's number for it. RFC 4254 §5.1.
        90 CHANNEL_OPEN ChannelOpen { kind: &'a [u8], sender: u32, window: u32, max_packet: u32, body: Rest<'a> }
        /// The channel is open. RFC 4254 §5.1.
        91 CHANNEL_OPEN_CONFIRMATION ChannelOpenConfirmation {
            recipient: Recipient, sender: u32, window: u32, max_packet: u32, body: Rest<'a>
        }
        /// The channel was refused. RFC 4254 §5.1.
        92 CHANNEL_OPEN_FAILURE ChannelOpenFailure {
            recipient: Recipient, reason: u32, description: &'a [u8], language: &'a [u8]
        }
        /// Grants the peer more room to send. RFC 4254 §5.2.
        93 CHANNEL_WINDOW_ADJUST ChannelWindowAdjust { recipient: Recipient, bytes: u32 }
        /// Data. RFC 4254 §5.2.
        94 CHANNEL_DATA ChannelData { recipient: Recipient, data: &'a [u8] }
        /// Extended data of a type; 1 is stderr. RFC 4254 §5.2.
        95 CHANNEL_EXTENDED_DATA ChannelExtendedData { recipient: Recipient, kind: u32, data: &'a [u8] }
        /// The sender will send no more data. RFC 4254 §5.3.
        96 CHANNEL_EOF ChannelEof { recipient: Recipient }
        /// The sender closes the channel. RFC 4254 §5.3.
        97 CHANNEL_CLOSE ChannelClose { recipient: Recipient }
        /// A request on a channel; [`Request::decode`](super::request::Request::decode) reads `body` by `kind`.
        /// RFC 4254 §5.4.
        98 CHANNEL_REQUEST ChannelRequest { recipient: Recipient, kind: &'a [u8], want_reply: bool, body: Rest<'a> }
        /// Success, for the oldest unanswered request of this channel. RFC 4254 §5.4.
        99 CHANNEL_SUCCESS ChannelSuccess { recipient: Recipient }
        /// Failure, for the oldest unanswered request of this channel. RFC 4254 §5.4.
        100 CHANNEL_FAILURE ChannelFailure { recipient: Recipient }
    }
}
