//! The channel numbers that we assign.

use std::collections::VecDeque;

use crate::error::Violation;
use crate::message::mux::{ChannelId, PeerChannelId};
use crate::mux::channel::Channel;
use crate::mux::opening::Opening;
use crate::mux::window::Outbound;

/// A free number is reused only when this many others are free too. Some clients go on sending messages for a closed
/// channel; they are ignored as long as no new channel has its number.
const RESTING: usize = 32;

/// The state of one number.
///
/// ```text
///   Vacant --- the peer opens ---> Offered --- accept ---> Live --- both CLOSEs ---> Vacant
///      |                              `--- refuse ---> Vacant     ^
///      `--- we open ---> Opening ------- CONFIRMATION ------------'
///                           `--- FAILURE ---> Vacant
/// ```
#[derive(Debug)]
pub(super) enum Slot {
    /// Free.
    Vacant,
    /// The peer asked for a channel and the owner has not decided yet.
    Offered {
        /// The peer's number.
        peer: PeerChannelId,
        /// The window that the peer gave us.
        outbound: Outbound,
    },
    /// We asked for a channel.
    Opening(Box<Opening>),
    /// There is a channel.
    Live(Box<Channel>),
}

impl Slot {
    /// Whether it counts as a session.
    fn is_session(&self) -> bool {
        match self {
            Slot::Vacant => false,
            Slot::Offered { .. } => true,
            Slot::Opening(opening) => opening.wanted,
            Slot::Live(channel) => channel.has_owner(),
        }
    }
}

/// A number that was assigned at least once.
#[derive(Debug)]
struct Entry {
    slot: Slot,
    /// Both sides have closed a channel of this number. Late messages for that channel are no violation.
    was_closed: bool,
}

/// The numbers. The table grows with the channels that a connection really opens.
#[derive(Debug)]
pub(super) struct Table {
    /// By number.
    entries: Vec<Entry>,
    /// Free numbers, the one that was freed first at the front.
    free: VecDeque<u32>,
    /// The most numbers.
    most: usize,
}

impl Table {
    /// A table of at most this many channels.
    pub(super) fn new(most: usize) -> Table {
        Table { entries: Vec::new(), free: VecDeque::new(), most }
    }

    /// The number of sessions, including those that are being opened.
    pub(super) fn sessions(&self) -> usize {
        self.entries.iter().filter(|entry| entry.slot.is_session()).count()
    }

    /// The number of channels that we asked for and that the peer has not answered, wanted or not.
    pub(super) fn unanswered_opens(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry.slot, Slot::Opening(_))).count()
    }

    /// Puts `slot` under a new number, or under the one that has been free longest if enough are free or no new one is
    /// left. `None` if all are taken.
    pub(super) fn insert(&mut self, slot: Slot) -> Option<ChannelId> {
        let fresh = u32::try_from(self.entries.len()).ok().filter(|_| self.entries.len() < self.most);
        let id = match fresh {
            Some(fresh) if self.free.len() < RESTING => {
                self.entries.push(Entry { slot, was_closed: false });
                fresh
            }
            Some(_) | None => {
                let freed = self.free.pop_front()?;
                *self.slot_mut(ChannelId(freed))? = slot;
                freed
            }
        };
        Some(ChannelId(id))
    }

    fn entry(&self, id: ChannelId) -> Option<&Entry> {
        usize::try_from(id.0).ok().and_then(|id| self.entries.get(id))
    }

    fn entry_mut(&mut self, id: ChannelId) -> Option<&mut Entry> {
        usize::try_from(id.0).ok().and_then(|id| self.entries.get_mut(id))
    }

    /// The state of a number.
    pub(super) fn slot(&self, id: ChannelId) -> &Slot {
        self.entry(id).map_or(&Slot::Vacant, |entry| &entry.slot)
    }

    /// The state of a number that was assigned before.
    pub(super) fn slot_mut(&mut self, id: ChannelId) -> Option<&mut Slot> {
        self.entry_mut(id).map(|entry| &mut entry.slot)
    }

    /// The channel of a number, if there is one.
    pub(super) fn channel(&mut self, id: ChannelId) -> Option<&mut Channel> {
        match self.slot_mut(id) {
            Some(Slot::Live(channel)) => Some(channel),
            Some(Slot::Vacant | Slot::Offered { .. } | Slot::Opening(_)) | None => None,
        }
    }

    /// The channel that a message of the peer is for. `None` if the peer has closed it: the message is then ignored.
    /// RFC 4254 §5.
    ///
    /// # Errors
    /// The peer was never told of a channel with this number.
    pub(super) fn addressed(&mut self, id: ChannelId) -> Result<Option<&mut Channel>, Violation> {
        let entry = self.entry_mut(id).ok_or(Violation::NoSuchChannel)?;
        match &mut entry.slot {
            Slot::Live(channel) if channel.is_announced() => {
                Ok(Some(&mut **channel).filter(|channel| channel.accepts_messages()))
            }
            Slot::Live(_) | Slot::Vacant | Slot::Offered { .. } | Slot::Opening(_) => {
                if entry.was_closed {
                    Ok(None)
                } else {
                    Err(Violation::NoSuchChannel)
                }
            }
        }
    }

    /// Frees the number of a channel that was never opened.
    pub(super) fn vacate(&mut self, id: ChannelId) {
        if let Some(entry) = self.entry_mut(id)
            && !matches!(std::mem::replace(&mut entry.slot, Slot::Vacant), Slot::Vacant)
        {
            self.free.push_back(id.0);
        }
    }

    /// Frees the number of a channel that both sides have closed.
    pub(super) fn retire(&mut self, id: ChannelId) {
        self.vacate(id);
        if let Some(entry) = self.entry_mut(id) {
            entry.was_closed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered() -> Slot {
        Slot::Offered { peer: PeerChannelId(0), outbound: Outbound::new(1, 1).unwrap() }
    }

    /// Opens a channel and closes it.
    fn pass(table: &mut Table) -> u32 {
        let id = table.insert(offered()).unwrap();
        table.retire(id);
        id.0
    }

    #[test]
    fn a_number_is_used_again_when_it_has_been_free_for_longest() {
        let mut table = Table::new(1000);
        let numbers: Vec<u32> = (0..100).map(|_| pass(&mut table)).collect();
        let expected: Vec<u32> = (0..100).map(|turn| turn % 32).collect();
        assert_eq!(numbers, expected);
        assert_eq!(table.entries.len(), RESTING, "the table grows with what is open at once");
    }

    #[test]
    fn a_full_table_uses_what_is_free() {
        let mut table = Table::new(3);
        let ids: Vec<ChannelId> = (0..3).map(|_| table.insert(offered()).unwrap()).collect();
        assert_eq!(table.insert(offered()), None);
        table.vacate(ids[1]);
        table.retire(ids[0]);
        assert_eq!(table.insert(offered()), Some(ids[1]));
        assert_eq!(table.insert(offered()), Some(ids[0]));
        assert_eq!(table.insert(offered()), None);
    }

    #[test]
    fn messages_are_ignored_only_for_closed_channels() {
        let mut table = Table::new(3);
        let unheard = |table: &mut Table, id| table.addressed(id).map(|channel| channel.is_none());
        assert_eq!(unheard(&mut table, ChannelId(0)), Err(Violation::NoSuchChannel));
        let id = table.insert(offered()).unwrap();
        assert_eq!(unheard(&mut table, id), Err(Violation::NoSuchChannel), "it was not confirmed");
        table.vacate(id);
        assert_eq!(unheard(&mut table, id), Err(Violation::NoSuchChannel), "it was refused");
        let id = table.insert(offered()).unwrap();
        table.retire(id);
        assert_eq!(unheard(&mut table, id), Ok(true));
        let mut again = table.insert(offered()).unwrap();
        while again != id {
            table.vacate(again);
            again = table.insert(offered()).unwrap();
        }
        assert_eq!(unheard(&mut table, id), Ok(true), "it is about the channel that was there before");
    }
}
