//! The channels of one connection, by number, and the order in which they send.
//!
//! Channels that have something to send wait in a queue, and each sends at most one packet before the next, so that a
//! busy channel does not delay the others. A channel that finds the connection's output full is parked until there is
//! room. A channel whose client window is empty leaves the queue; a window adjustment queues it again. Output of a
//! session that has ended stays until the client takes it or `output_stall` discards it.
//!
//! What a channel is, and what it sends, is not known here (`bridge`).
//!
//! Decided 2026-11-29: the table is generic and below the bridge. Refused: a table that holds sessions and hands
//! events to the bridge, as then two modules know both SSH and the runtime, and the order of sending cannot be tested
//! by itself.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;

use whelk_ssh::message::mux::ChannelId;

use crate::connection::ready::{Ready, Ticket};

/// All channels of a connection.
pub(crate) struct Channels<C> {
    /// Boxed: the map has room for eleven from the first one on.
    table: BTreeMap<ChannelId, Box<Entry<C>>>,
    /// Filled by whoever produces a channel's output.
    ready: Arc<Ready>,
    /// Channels that have something to send, in order.
    queue: VecDeque<ChannelId>,
    /// Channels that wait for room in the connection's output.
    parked: VecDeque<ChannelId>,
    /// Empty: memory for those that were woken.
    woken: Vec<Ticket>,
    /// The serial number of the latest channel.
    serial: u64,
    /// The number of the current turn of the connection.
    turn: u64,
    /// The latest turn in which a channel has received data.
    data_turn: u64,
    /// How many channels have received data in it and were not woken since.
    expected: usize,
}

struct Entry<C> {
    serial: u64,
    /// Whether the channel is in `queue` or `parked`.
    queued: bool,
    /// The latest turn in which the channel has received data.
    data_turn: u64,
    channel: C,
}

impl<C> Default for Channels<C> {
    fn default() -> Channels<C> {
        let (queue, parked) = (VecDeque::new(), VecDeque::new());
        let (table, ready) = (BTreeMap::new(), Arc::default());
        Channels { table, ready, queue, parked, woken: Vec::new(), serial: 0, turn: 0, data_turn: 0, expected: 0 }
    }
}

impl<C> Channels<C> {
    /// Adds the channel that `make` makes of its wake function, which any thread may call when the channel has
    /// something to send.
    pub(crate) fn insert(&mut self, id: ChannelId, make: impl FnOnce(Arc<dyn Fn() + Send + Sync>) -> C) {
        self.serial += 1;
        let (ticket, ready) = (Ticket { channel: id, serial: self.serial }, Arc::clone(&self.ready));
        let channel = make(Arc::new(move || ready.push(ticket)));
        let entry = Entry { serial: ticket.serial, queued: false, data_turn: 0, channel };
        self.table.insert(id, Box::new(entry));
    }

    pub(crate) fn get_mut(&mut self, id: ChannelId) -> Option<&mut C> {
        self.table.get_mut(&id).map(|entry| &mut entry.channel)
    }

    /// A turn of the connection begins.
    pub(crate) fn begin_turn(&mut self) {
        self.turn += 1;
    }

    /// The channel that receives data in this turn, if it is there.
    pub(crate) fn receives(&mut self, id: ChannelId) -> Option<&mut C> {
        let entry = self.table.get_mut(&id)?;
        if mem::replace(&mut self.data_turn, self.turn) < self.turn {
            self.expected = 0;
        }
        if mem::replace(&mut entry.data_turn, self.turn) < self.turn {
            self.expected += 1;
        }
        Some(&mut entry.channel)
    }

    pub(crate) fn remove(&mut self, id: ChannelId) -> Option<C> {
        self.table.remove(&id).map(|entry| entry.channel)
    }

    /// Removes all channels.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = C> {
        mem::take(&mut self.table).into_values().map(|entry| entry.channel)
    }

    /// All channels.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &C> {
        self.table.values().map(|entry| &entry.channel)
    }

    /// Whether there is no channel.
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// A function that wakes the connection's task, and that any thread may call.
    pub(crate) fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let ready = Arc::clone(&self.ready);
        Arc::new(move || ready.wake())
    }

    /// Waits until a channel has been woken, or the connection's task by its [`waker`](Channels::waker). Cancel safe.
    ///
    /// Channels that have received data in the same turn are expected to be woken together, and get a moment for that.
    pub(crate) async fn woken(&self) {
        self.ready.filled(self.expected).await;
    }

    /// Puts a channel at the end of the queue, unless it is queued or parked.
    pub(crate) fn queue(&mut self, id: ChannelId) {
        if let Some(entry) = self.table.get_mut(&id)
            && !mem::replace(&mut entry.queued, true)
        {
            self.queue.push_back(id);
        }
    }

    /// Keeps a channel out of the queue until [`unpark`](Channels::unpark).
    pub(crate) fn park(&mut self, id: ChannelId) {
        if let Some(entry) = self.table.get_mut(&id) {
            entry.queued = true;
            self.parked.push_back(id);
        }
    }

    /// Queues the channels that were woken.
    pub(crate) fn queue_woken(&mut self) {
        let mut tickets = mem::take(&mut self.woken);
        self.ready.take(&mut tickets);
        self.expected = self.expected.saturating_sub(tickets.len());
        for ticket in tickets.drain(..) {
            if self.table.get(&ticket.channel).is_some_and(|entry| entry.serial == ticket.serial) {
                self.queue(ticket.channel);
            }
        }
        self.woken = tickets;
    }

    /// Queues the parked channels: the connection's output has room.
    pub(crate) fn unpark(&mut self) {
        self.queue.append(&mut self.parked);
    }

    /// Takes the next channel out of the queue. It may have been removed meanwhile.
    pub(crate) fn next(&mut self) -> Option<ChannelId> {
        let id = self.queue.pop_front()?;
        if let Some(entry) = self.table.get_mut(&id) {
            entry.queued = false;
        }
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ChannelId = ChannelId(1);
    const TWO: ChannelId = ChannelId(2);

    type Wake = Arc<dyn Fn() + Send + Sync>;

    /// Channels that know their wake functions.
    fn channels(ids: impl IntoIterator<Item = ChannelId>) -> Channels<Wake> {
        let mut channels = Channels::default();
        ids.into_iter().for_each(|id| channels.insert(id, |wake| wake));
        channels
    }

    fn order(channels: &mut Channels<Wake>) -> Vec<ChannelId> {
        std::iter::from_fn(|| channels.next()).collect()
    }

    #[test]
    fn a_channel_is_queued_once_however_often_it_is_woken() {
        let mut channels = channels([ONE, TWO]);
        for _ in 0..3 {
            channels.get_mut(TWO).unwrap()();
            channels.get_mut(ONE).unwrap()();
        }
        channels.queue(ONE);
        channels.queue_woken();
        assert_eq!(order(&mut channels), [ONE, TWO]);
        channels.queue(TWO);
        assert_eq!(order(&mut channels), [TWO], "a turn makes room for the next");
    }

    #[test]
    fn channels_that_have_received_data_in_one_turn_are_expected_together() {
        let mut channels = channels([ONE, TWO]);
        // Both receive data in the first turn, and only one answers before the next.
        for (receiving, woken, expected) in [(vec![ONE, TWO, ONE], ONE, 1), (vec![TWO], TWO, 0), (vec![], ONE, 0)] {
            channels.begin_turn();
            for id in &receiving {
                channels.receives(*id).unwrap();
            }
            channels.get_mut(woken).unwrap()();
            channels.queue_woken();
            assert_eq!(channels.expected, expected, "{receiving:?}");
        }
        assert!(channels.receives(ChannelId(3)).is_none());
    }

    #[test]
    fn a_late_wake_up_does_not_reach_the_next_channel_of_that_number() {
        let mut channels = channels([ONE]);
        let late = channels.remove(ONE).unwrap();
        channels.insert(ONE, |wake| wake);
        late();
        channels.queue_woken();
        assert_eq!(order(&mut channels), []);
    }

    #[test]
    fn a_parked_channel_is_not_queued_twice_and_comes_back_in_its_order() {
        let mut channels = channels([ONE, TWO]);
        channels.park(TWO);
        channels.park(ONE);
        channels.queue(TWO);
        assert_eq!(order(&mut channels), []);
        channels.unpark();
        assert_eq!(order(&mut channels), [TWO, ONE]);
    }
}
