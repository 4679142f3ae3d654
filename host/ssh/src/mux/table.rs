//! Our numbers for channels, and what stands behind each.

use crate::error::Violation;
use crate::message::mux::{ChannelId, PeerChannelId};
use crate::mux::channel::Channel;
use crate::mux::window::Outbound;

/// What a number of ours stands for.
///
/// ```text
///   Vacant --- the peer opens ---> Offered --- accept ---> Live --- both CLOSEs ---> Vacant
///      |                              `--- refuse ---> Vacant     ^
///      `--- we open ---> Asking ------------- 91 -----------------'
///                           `--- 92 ---> Vacant
/// ```
#[derive(Debug)]
pub(super) enum Slot {
    /// Nothing.
    Vacant,
    /// The peer asked for a channel and the owner has not decided yet.
    Offered {
        /// The number that the peer gave it.
        peer: PeerChannelId,
        /// What the peer would let us send.
        outbound: Outbound,
    },
    /// We ask for a channel.
    Asking {
        /// Whether CHANNEL_OPEN was put.
        sent: bool,
        /// Whether the owner still wants it. If not it is closed as soon as it is there.
        wanted: bool,
    },
    /// There is a channel.
    Live(Box<Channel>),
}

impl Slot {
    /// Whether somebody runs in it, or may soon.
    fn is_session(&self) -> bool {
        match self {
            Slot::Vacant | Slot::Asking { wanted: false, .. } => false,
            Slot::Offered { .. } | Slot::Asking { wanted: true, .. } => true,
            Slot::Live(channel) => channel.has_owner(),
        }
    }
}

/// The numbers in use. It grows with the numbers that a connection really needs.
#[derive(Debug)]
pub(super) struct Table {
    /// By number.
    slots: Vec<Slot>,
    /// Most numbers.
    most: usize,
}

impl Table {
    /// A table of at most so many channels.
    pub(super) fn new(most: usize) -> Table {
        Table { slots: Vec::new(), most }
    }

    /// How many sessions there are, or may be soon.
    pub(super) fn sessions(&self) -> usize {
        self.slots.iter().filter(|slot| slot.is_session()).count()
    }

    /// Puts `slot` under the smallest free number. None if all are taken.
    pub(super) fn insert(&mut self, slot: Slot) -> Option<ChannelId> {
        let free = self.slots.iter().position(|slot| matches!(slot, Slot::Vacant)).unwrap_or(self.slots.len());
        let id = u32::try_from(free).ok().filter(|_| free < self.most)?;
        match self.slots.get_mut(free) {
            Some(vacant) => *vacant = slot,
            None => self.slots.push(slot),
        }
        Some(ChannelId(id))
    }

    /// What stands behind a number.
    pub(super) fn slot(&self, id: ChannelId) -> &Slot {
        usize::try_from(id.0).ok().and_then(|id| self.slots.get(id)).unwrap_or(&Slot::Vacant)
    }

    /// What stands behind a number that is in use.
    pub(super) fn slot_mut(&mut self, id: ChannelId) -> Option<&mut Slot> {
        usize::try_from(id.0).ok().and_then(|id| self.slots.get_mut(id))
    }

    /// The channel behind a number, if there is one.
    pub(super) fn channel(&mut self, id: ChannelId) -> Option<&mut Channel> {
        match self.slot_mut(id) {
            Some(Slot::Live(channel)) => Some(channel),
            Some(Slot::Vacant | Slot::Offered { .. } | Slot::Asking { .. }) | None => None,
        }
    }

    /// The channel that the peer says something on. RFC 4254 §5.
    pub(super) fn hear(&mut self, id: ChannelId) -> Result<&mut Channel, Violation> {
        let channel = self.channel(id).ok_or(Violation::NoSuchChannel)?;
        channel.may_hear()?;
        Ok(channel)
    }

    /// Frees a number.
    pub(super) fn vacate(&mut self, id: ChannelId) {
        if let Some(slot) = self.slot_mut(id) {
            *slot = Slot::Vacant;
        }
    }
}
