//! The limits of one connection.

/// Bytes that are set aside for the window of each session, however many there are: whoever takes data and reports it
/// in portions of 16 KiB, as our owner does, can keep a window of this size going.
pub const MIN_WINDOW: u32 = 32 * 1024;

/// What a connection may use. Every figure bounds something that the peer could otherwise make grow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Most channels in the table at once: offered, open, or waiting for the peer's CLOSE. Ours; OpenSSH has 16,384
    /// slots.
    pub max_channels: usize,
    /// Most sessions that are offered or run at once: OpenSSH's MaxSessions, which is 10 there. Ours. Fewer than
    /// `max_channels`, so that a client can close a session and open the next in one breath.
    pub max_sessions: usize,
    /// Bytes that the peer may send on a new channel while the connection has them to give. RFC 4254 §5.1; the figure
    /// is ours. Every session gets [`MIN_WINDOW`] or `max_packet` at least, whichever is more: so much is set aside for
    /// each, out of `window_connection`. What is beyond that comes out of the rest, as does what windows grow by, and
    /// nobody takes all of the rest.
    pub window_start: u32,
    /// Bytes to which the window of a channel may grow while its data is taken fast. As OpenSSH's.
    pub window_max: u32,
    /// Bytes that the windows of all channels may come to together. A peer may exceed each by a tenth. Ours.
    pub window_connection: u32,
    /// Most bytes of data in one message: what we tell the peer, and what we keep to ourselves, never more than the
    /// peer tells us. RFC 4253 §6.1 makes everybody able to take 32 KiB. A longer message of the peer is taken.
    pub max_packet: u32,
    /// Most requests on one channel that wait for [`reply`](crate::mux::Mux::reply). Further ones are refused in their
    /// turn, or dropped where no answer is wanted. A run of `window-change` that wants no answers counts as one: a
    /// person who drags the corner of a terminal sends hundreds. Ours: the 128 variables that a session may have, and
    /// as many others.
    pub unanswered: usize,
    /// Answers that may wait to be sent before reading stops. A peer that sends requests and never reads reaches it.
    /// Our limit.
    pub owed_replies: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            max_channels: 128,
            max_sessions: 64,
            window_start: 256 * 1024,
            window_max: 2 * 1024 * 1024,
            window_connection: 8 * 1024 * 1024,
            max_packet: 32 * 1024,
            unanswered: 256,
            owed_replies: 64,
        }
    }
}
