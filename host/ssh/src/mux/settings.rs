//! The bounds that one connection keeps.

/// What a connection may use. Every figure bounds something that the peer could otherwise make grow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Most channels in the table at once: offered, open, or waiting for the peer's CLOSE. Ours; OpenSSH has 16,384 slots.
    pub max_channels: usize,
    /// Most sessions that are offered or run at once. As OpenSSH's MaxSessions.
    pub max_sessions: usize,
    /// Bytes that the peer may send on a new channel. RFC 4254 §5.1; the figure is ours.
    pub window_start: u32,
    /// Bytes to which the window of a channel may grow while its data is taken fast. As OpenSSH's.
    pub window_max: u32,
    /// Bytes that the windows of all channels may come to together. Ours. What `max_sessions` windows of `window_start`
    /// leave of it is what windows grow out of, so that growing never keeps a new session out.
    pub window_connection: u32,
    /// Most bytes of data in one message, in both directions: what we tell the peer, and never more than the peer tells us.
    /// RFC 4253 §6.1 makes everybody able to take 32 KiB.
    pub max_packet: u32,
    /// Most requests on one channel that wait for [`reply`](crate::mux::Mux::reply). A run of `window-change` that wants no
    /// answers counts as one: a person who drags the corner of a terminal sends hundreds. Ours.
    pub unanswered: usize,
    /// Answers that may wait to go out before no more is read. A peer that asks and never reads gets there. Ours.
    pub owed_replies: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            max_channels: 64,
            max_sessions: 10,
            window_start: 256 * 1024,
            window_max: 2 * 1024 * 1024,
            window_connection: 8 * 1024 * 1024,
            max_packet: 32 * 1024,
            unanswered: 128,
            owed_replies: 64,
        }
    }
}
