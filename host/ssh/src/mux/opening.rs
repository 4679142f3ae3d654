//! RFC 4254 §5.1: channels that our side opens.

use std::borrow::Cow;

use crate::message::Output;
use crate::message::mux::{ChannelId, MuxMessage};
use crate::mux::window::{Inbound, Pool, Sizes};
use crate::wire::Rest;

/// A channel that we asked for.
#[derive(Debug)]
pub(super) struct Opening {
    /// Its type.
    pub(super) kind: Cow<'static, [u8]>,
    /// What follows in CHANNEL_OPEN. Nothing once that was sent.
    pub(super) payload: Vec<u8>,
    /// The window that we offered, if CHANNEL_OPEN was sent.
    pub(super) sent: Option<Inbound>,
    /// Whether the owner still wants it. Otherwise it is closed as soon as it is open.
    pub(super) wanted: bool,
}

impl Opening {
    /// Puts CHANNEL_OPEN if there is room. Returns whether it was sent, now or before.
    pub(super) fn write(&mut self, ours: ChannelId, sizes: &Sizes, pool: &mut Pool, out: &mut impl Output) -> bool {
        if self.sent.is_none() && out.room() > 0 {
            let inbound = Inbound::new(sizes, pool);
            let (window, max_packet) = (inbound.left(), inbound.max_packet());
            let (sender, payload) = (ours.0, std::mem::take(&mut self.payload));
            let (kind, body) = (&*self.kind, Rest(&payload[..]));
            out.put(&MuxMessage::ChannelOpen { kind, sender, window, max_packet, body });
            self.sent = Some(inbound);
        }
        self.sent.is_some()
    }
}
