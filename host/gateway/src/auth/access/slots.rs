//! Slots in which passwords are hashed: limited in number and in total memory. The [`HashQueue`] decides who gets the
//! next one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::queue::{HashQueue, HashTicket};
use crate::source::Source;

/// All slots. Clones share them.
#[derive(Clone)]
pub(super) struct Slots(Arc<Mutex<State>>);

struct State {
    queue: HashQueue<Waiter>,
    slots: usize,
    /// How many are taken.
    taken: usize,
    /// How many bytes there are, and how many are taken.
    memory: usize,
    taken_memory: usize,
}

struct Waiter {
    /// The memory of its work, in bytes.
    memory: usize,
    granted: oneshot::Sender<Slot>,
}

/// A taken slot: released on drop.
pub(super) struct Slot {
    slots: Slots,
    memory: usize,
}

/// A ticket of the queue: returned on drop.
struct QueueTicketGuard<'s> {
    slots: &'s Slots,
    ticket: HashTicket,
}

impl Slots {
    /// This many slots, with this many bytes together.
    pub(super) fn new(count: usize, memory: usize) -> Slots {
        let (queue, slots) = (HashQueue::new(), count.max(1));
        Slots(Arc::new(Mutex::new(State { queue, slots, taken: 0, memory, taken_memory: 0 })))
    }

    /// Changes how many there are, and their memory. Those that are taken stay taken.
    pub(super) fn resize(&self, count: usize, memory: usize) {
        {
            let mut state = self.state();
            (state.slots, state.memory) = (count.max(1), memory);
        }
        self.grant();
    }

    /// Waits for a slot for work that takes this many bytes. Work that needs more than the whole budget waits until no
    /// other runs. Sets `queued` if no slot was free at once. Cancel safe: dropping it leaves the queue.
    pub(super) async fn take(&self, source: Source, memory: usize, queued: &AtomicBool) -> Slot {
        let (granted, mut slot) = oneshot::channel();
        let ticket = self.state().queue.push(source, Waiter { memory, granted });
        let _ticket = QueueTicketGuard { slots: self, ticket };
        self.grant();
        if let Ok(slot) = slot.try_recv() {
            return slot;
        }
        queued.store(true, Ordering::Relaxed);
        slot.await.expect("a waiter stays in the queue until it is given a slot")
    }

    /// A login from this source succeeded.
    pub(super) fn logged_in(&self, source: Source) {
        self.state().queue.logged_in(source);
    }

    /// A login from this source failed.
    pub(super) fn failed(&self, source: Source) {
        self.state().queue.failed(source);
    }

    #[cfg(test)]
    pub(super) fn knows(&self, source: Source) -> bool {
        self.state().queue.knows(source)
    }

    /// Hands out free slots.
    fn grant(&self) {
        // If the receiver is gone, the slot is released, which takes the lock again.
        while let Some((granted, slot)) = self.next() {
            drop(granted.send(slot));
        }
    }

    fn next(&self) -> Option<(oneshot::Sender<Slot>, Slot)> {
        let mut state = self.state();
        let needs = state.queue.peek()?.memory;
        // The next one waits until there is room, and smaller ones do not overtake it: they could block it for ever.
        let left = state.memory.saturating_sub(state.taken_memory);
        if state.taken >= state.slots || (needs > left && state.taken > 0) {
            return None;
        }
        let Waiter { memory, granted } = state.queue.pop()?;
        state.taken += 1;
        state.taken_memory += memory;
        Some((granted, Slot { slots: self.clone(), memory }))
    }

    /// Nothing panics while it holds the lock, so a poisoned one guards consistent data.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        {
            let mut state = self.slots.state();
            state.taken -= 1;
            state.taken_memory -= self.memory;
        }
        self.slots.grant();
    }
}

impl Drop for QueueTicketGuard<'_> {
    fn drop(&mut self) {
        self.slots.state().queue.remove(self.ticket);
        // A smaller one may be next now.
        self.slots.grant();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn source(number: u8) -> Source {
        Source::V4([192, 0, 2, number])
    }

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn granted(future: std::pin::Pin<&mut impl Future<Output = Slot>>) -> Option<Slot> {
        match poll(future) {
            Poll::Ready(slot) => Some(slot),
            Poll::Pending => None,
        }
    }

    #[test]
    fn slots_are_bounded_and_a_released_one_goes_to_the_next() {
        let (slots, queued) = (Slots::new(2, 100), AtomicBool::new(false));
        let one = granted(pin!(slots.take(source(1), 1, &queued))).unwrap();
        let _two = granted(pin!(slots.take(source(2), 1, &queued))).unwrap();
        assert!(!queued.load(Ordering::Relaxed));
        let mut third = pin!(slots.take(source(3), 1, &queued));
        assert!(granted(third.as_mut()).is_none());
        assert!(queued.load(Ordering::Relaxed));
        drop(one);
        assert!(granted(third).is_some());
        assert_eq!(slots.state().taken, 1);
    }

    #[test]
    fn memory_is_bounded_and_work_above_the_budget_runs_alone() {
        let (slots, queued) = (Slots::new(4, 100), AtomicBool::new(false));
        let one = granted(pin!(slots.take(source(1), 60, &queued))).unwrap();
        let mut two = pin!(slots.take(source(2), 60, &queued));
        assert!(granted(two.as_mut()).is_none());
        let mut small = pin!(slots.take(source(3), 1, &queued));
        assert!(granted(small.as_mut()).is_none(), "it would overtake");
        drop(one);
        let (two, small) = (granted(two).unwrap(), granted(small).unwrap());
        let mut huge = pin!(slots.take(source(4), 1000, &queued));
        assert!(granted(huge.as_mut()).is_none());
        drop(two);
        assert!(granted(huge.as_mut()).is_none());
        drop(small);
        let huge = granted(huge).unwrap();
        let mut after = pin!(slots.take(source(5), 1, &queued));
        assert!(granted(after.as_mut()).is_none());
        drop(huge);
        assert!(granted(after).is_some());
        let state = slots.state();
        assert_eq!((state.taken, state.taken_memory), (0, 0));
    }

    #[test]
    fn slots_that_are_fewer_now_are_given_back_first_and_new_ones_are_used_at_once() {
        let (slots, queued) = (Slots::new(2, 100), AtomicBool::new(false));
        let (one, two) = (
            granted(pin!(slots.take(source(1), 60, &queued))).unwrap(),
            granted(pin!(slots.take(source(2), 30, &queued))).unwrap(),
        );
        let mut third = pin!(slots.take(source(3), 20, &queued));
        slots.resize(1, 50);
        drop(one);
        assert!(granted(third.as_mut()).is_none());
        slots.resize(2, 50);
        assert!(granted(third).is_some());
        drop(two);
        let state = slots.state();
        assert_eq!((state.slots, state.taken, state.taken_memory), (2, 0, 0));
    }

    #[test]
    fn a_cancelled_wait_leaves_the_queue_and_its_slot_is_released() {
        let (slots, queued) = (Slots::new(1, 100), AtomicBool::new(false));
        let one = granted(pin!(slots.take(source(1), 1, &queued))).unwrap();
        let mut third = pin!(slots.take(source(3), 1, &queued));
        {
            let mut second = pin!(slots.take(source(2), 1, &queued));
            assert!(granted(second.as_mut()).is_none());
            assert!(granted(third.as_mut()).is_none());
            // Handed to the second, which is dropped before it receives it.
            drop(one);
        }
        assert!(granted(third).is_some());
        assert_eq!(slots.state().taken, 0);
    }
}
