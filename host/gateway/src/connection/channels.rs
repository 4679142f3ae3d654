//! The channels of one connection, by number, and the order in which they send.
//!
//! A channel that has something to send waits in a line; each turn of a channel sends at most one packet, so that a
//! busy channel does not delay the others. A channel that finds the connection's output full is held outside of the
//! line until there is room, and one that finds its client's window empty until the client opens it, for as long as the
//! connection lives: output of a program that has ended is not lost.
//!
//! What a channel is, and what it sends, is not known here (`bridge`).
//!
//! Decided 2026-11-29: the table is generic and below the bridge. Refused: a table that holds sessions and hands
//! events to the bridge, as then two modules know both SSH and the runtime, and the order of sending cannot be tested
//! by itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use whelk_ssh::message::mux::ChannelId;

use crate::connection::ready::{Ready, Ticket};

/// All channels of a connection.
pub(crate) struct Channels<C> {
    table: BTreeMap<ChannelId, Entry<C>>,
    /// Filled by whoever produces a channel's output.
    ready: Arc<Ready>,
    /// The channels that have something to send, next first.
    line: VecDeque<ChannelId>,
    /// The channels that wait for room in the connection's output.
    held: VecDeque<ChannelId>,
    /// The serial number of the latest channel.
    serial: u64,
}

struct Entry<C> {
    serial: u64,
    /// Whether the channel is in the line or held.
    queued: bool,
    channel: C,
}

impl<C> Default for Channels<C> {
    fn default() -> Channels<C> {
        let (line, held) = (VecDeque::new(), VecDeque::new());
        Channels { table: BTreeMap::new(), ready: Arc::default(), line, held, serial: 0 }
    }
}

impl<C> Channels<C> {
    /// Adds the channel that `make` makes of its wake function, which any thread may call when the channel has
    /// something to send.
    pub(crate) fn insert(&mut self, id: ChannelId, make: impl FnOnce(Arc<dyn Fn() + Send + Sync>) -> C) {
        self.serial += 1;
        let (ticket, ready) = (Ticket { channel: id, serial: self.serial }, Arc::clone(&self.ready));
        let channel = make(Arc::new(move || ready.push(ticket)));
        self.table.insert(id, Entry { serial: ticket.serial, queued: false, channel });
    }

    pub(crate) fn get_mut(&mut self, id: ChannelId) -> Option<&mut C> {
        self.table.get_mut(&id).map(|entry| &mut entry.channel)
    }

    pub(crate) fn remove(&mut self, id: ChannelId) -> Option<C> {
        self.table.remove(&id).map(|entry| entry.channel)
    }

    /// Removes all channels.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = C> {
        std::mem::take(&mut self.table).into_values().map(|entry| entry.channel)
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
    pub(crate) async fn woken(&self) {
        self.ready.filled().await;
    }

    /// Puts a channel at the end of the line, unless it waits there.
    pub(crate) fn queue(&mut self, id: ChannelId) {
        if let Some(entry) = self.table.get_mut(&id)
            && !std::mem::replace(&mut entry.queued, true)
        {
            self.line.push_back(id);
        }
    }

    /// Holds a channel until [`release_held`](Channels::release_held).
    pub(crate) fn hold(&mut self, id: ChannelId) {
        if let Some(entry) = self.table.get_mut(&id) {
            entry.queued = true;
            self.held.push_back(id);
        }
    }

    /// Puts the channels that were woken at the end of the line.
    pub(crate) fn queue_woken(&mut self) {
        for ticket in self.ready.take() {
            if self.table.get(&ticket.channel).is_some_and(|entry| entry.serial == ticket.serial) {
                self.queue(ticket.channel);
            }
        }
    }

    /// The connection's output has room: those that were held go to the end of the line.
    pub(crate) fn release_held(&mut self) {
        self.line.append(&mut self.held);
    }

    /// Takes the channel whose turn it is out of the line. It may have been removed meanwhile.
    pub(crate) fn next(&mut self) -> Option<ChannelId> {
        let id = self.line.pop_front()?;
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

    fn line(channels: &mut Channels<Wake>) -> Vec<ChannelId> {
        std::iter::from_fn(|| channels.next()).collect()
    }

    #[test]
    fn a_channel_stands_in_the_line_once_however_often_it_is_woken() {
        let mut channels = channels([ONE, TWO]);
        for _ in 0..3 {
            channels.get_mut(TWO).unwrap()();
            channels.get_mut(ONE).unwrap()();
        }
        channels.queue(ONE);
        channels.queue_woken();
        assert_eq!(line(&mut channels), [ONE, TWO]);
        channels.queue(TWO);
        assert_eq!(line(&mut channels), [TWO], "a turn makes room for the next");
    }

    #[test]
    fn a_late_wake_up_does_not_reach_the_next_channel_of_that_number() {
        let mut channels = channels([ONE]);
        let late = channels.remove(ONE).unwrap();
        channels.insert(ONE, |wake| wake);
        late();
        channels.queue_woken();
        assert_eq!(line(&mut channels), []);
    }

    #[test]
    fn a_held_channel_is_not_queued_twice_and_comes_back_in_its_order() {
        let mut channels = channels([ONE, TWO]);
        channels.hold(TWO);
        channels.hold(ONE);
        channels.queue(TWO);
        assert_eq!(line(&mut channels), []);
        channels.release_held();
        assert_eq!(line(&mut channels), [TWO, ONE]);
    }
}
