//! The limits of one connection.

/// Bytes that are reserved for the window of each session, however many there are: an owner that takes data and reports
/// it in portions of 16 KiB, like ours, can keep a window of this size full.
pub const MIN_WINDOW: u32 = 32 * 1024;

/// The limits of a connection. Each bounds something that the peer could otherwise make grow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The most channels at once: offered, open, or waiting for the peer's CLOSE. Our limit; OpenSSH has 16,384 slots.
    pub max_channels: usize,
    /// The most sessions that are offered or run at once, like OpenSSH's MaxSessions, which is 10 there. Our limit.
    /// Fewer than `max_channels`, so that a client can close a session and open the next in one segment.
    pub max_sessions: usize,
    /// The initial window of a channel in bytes, while the connection has them. RFC 4254 §5.1; our value. Every session
    /// gets at least [`MIN_WINDOW`] or `max_packet`, whichever is more: that much is reserved for each, out of
    /// `window_connection`. The rest of `window_connection` is shared: initial windows above the reserved size and
    /// growth come out of it, and no channel gets all of it.
    pub window_start: u32,
    /// The size in bytes to which the window of a channel may grow while its data is taken fast. As in OpenSSH.
    pub window_max: u32,
    /// The most bytes of the windows of all channels together. A peer may exceed each by a tenth. Our limit.
    pub window_connection: u32,
    /// The most bytes of data in one message: what we announce to the peer, and what we send at most, also bounded by
    /// the peer's announcement. RFC 4253 §6.1 requires every implementation to accept 32 KiB. Longer messages of the
    /// peer are accepted.
    pub max_packet: u32,
    /// The most requests on one channel that wait for [`reply`](crate::mux::Mux::reply). Further ones are refused in
    /// order, or dropped if no answer is wanted. A run of `window-change` without answers counts as one: a person who
    /// resizes a terminal sends hundreds. Our limit: the 128 variables that a session may have, and as many others.
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
