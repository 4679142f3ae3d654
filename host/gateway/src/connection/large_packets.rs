//! Memory for packets above `packet_before_login`: a packet is read when its memory is reserved in its tenant's
//! [`InputBudget`].
//!
//! A packet whose rest does not arrive keeps its memory only until somebody else needs it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use whelk_ssh::error::{Error, Stage};

use crate::tenant::input_budget::{InputBudget, InputPermit};

type Acquire = Pin<Box<dyn Future<Output = InputPermit> + Send>>;

/// The large packets of one connection: one at a time.
#[derive(Default)]
pub(crate) struct LargePackets {
    /// The tenant's budget, once the connection's tenant is known.
    budget: Option<Arc<InputBudget>>,
    /// The place in the queue.
    waiting: Option<Acquire>,
    held: Option<Held>,
}

/// The memory of the packet that is being read.
struct Held {
    _bytes: InputPermit,
    /// The deadline for the packet if others wait.
    due: Instant,
}

impl LargePackets {
    /// A user has logged in: charges packets to this tenant.
    pub(crate) fn charge_to(&mut self, budget: Arc<InputBudget>) {
        self.budget = Some(budget);
    }

    /// Requests the memory of a packet. True if it may be read at once; otherwise [`granted`](LargePackets::granted)
    /// completes when it may.
    pub(crate) fn ask(&mut self, bytes: usize, now: Instant, grace: Duration) -> bool {
        if self.waiting.is_some() {
            return false;
        }
        // Before login there are no large packets.
        let Some(budget) = &self.budget else { return true };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if let Some(permit) = budget.try_acquire(bytes) {
            self.held = Some(Held { _bytes: permit, due: now + grace });
            return true;
        }
        self.waiting = Some(Box::pin(Arc::clone(budget).acquire(bytes)));
        false
    }

    /// Whether a packet waits for its memory.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Waits for the memory. Cancel safe: keeps the place in the queue.
    pub(crate) async fn granted(&mut self, grace: Duration) {
        let Some(waiting) = &mut self.waiting else { return std::future::pending().await };
        let bytes = waiting.await;
        self.waiting = None;
        self.held = Some(Held { _bytes: bytes, due: Instant::now() + grace });
    }

    /// The packet has been handled.
    pub(crate) fn release(&mut self) {
        self.held = None;
    }

    /// When to check whether somebody waits for the memory of this connection.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.held.as_ref().map(|held| held.due)
    }

    /// Checks a packet that takes long.
    ///
    /// # Errors
    /// When others wait for its memory.
    pub(crate) fn check(&mut self, now: Instant, grace: Duration) -> Result<(), Error> {
        let (Some(held), Some(budget)) = (&mut self.held, &self.budget) else { return Ok(()) };
        if held.due > now {
            return Ok(());
        }
        if budget.has_waiting() {
            return Err(Error::TimedOut(Stage::LargePacket));
        }
        held.due = now + grace;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const GRACE: Duration = Duration::from_secs(60);

    fn of(budget: &Arc<InputBudget>) -> LargePackets {
        let mut packets = LargePackets::default();
        packets.charge_to(Arc::clone(budget));
        packets
    }

    fn is_granted(packets: &mut LargePackets) -> bool {
        let granted = pin!(packets.granted(GRACE));
        granted.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn a_large_request_is_not_overtaken_by_small_ones() {
        let (budget, now) = (InputBudget::new(100), Instant::now());
        let [mut first, mut much, mut little] = [of(&budget), of(&budget), of(&budget)];
        assert!(first.ask(60, now, GRACE));
        assert!(!much.ask(80, now, GRACE) && !is_granted(&mut much));
        assert!(!little.ask(10, now, GRACE), "40 are free, and they are for the one before");
        assert!(!is_granted(&mut little));
        assert!(!much.ask(80, now, GRACE), "asking again is no second place");
        first.release();
        assert!(is_granted(&mut much) && is_granted(&mut little));
        drop((much, little));
        assert_eq!(budget.counts(), (100, 0));
    }

    #[test]
    fn a_connection_that_ends_while_it_waits_leaves_the_queue() {
        let (budget, now) = (InputBudget::new(100), Instant::now());
        let [mut first, mut gone, mut next] = [of(&budget), of(&budget), of(&budget)];
        assert!(first.ask(60, now, GRACE));
        assert!(!gone.ask(100, now, GRACE) && !is_granted(&mut gone));
        assert!(!next.ask(40, now, GRACE) && !is_granted(&mut next));
        drop(gone);
        assert!(is_granted(&mut next));
        assert!(!budget.has_waiting());
    }

    /// A stopped client keeps its partial packet for as long as it likes, unless others need the memory.
    #[test]
    fn a_partial_packet_is_ended_only_when_others_wait() {
        let (budget, now) = (InputBudget::new(100), Instant::now());
        let [mut half, mut other] = [of(&budget), of(&budget)];
        assert!(half.ask(60, now, GRACE));
        for minutes in 1..10 {
            assert_eq!(half.check(now + GRACE * minutes, GRACE), Ok(()));
        }
        assert_eq!(half.deadline(), Some(now + GRACE * 10));
        assert!(!other.ask(60, now, GRACE) && !is_granted(&mut other));
        assert_eq!(half.check(now + GRACE * 10 - Duration::from_secs(1), GRACE), Ok(()));
        assert_eq!(half.check(now + GRACE * 10, GRACE), Err(Error::TimedOut(Stage::LargePacket)));
        drop(half);
        assert!(is_granted(&mut other));
    }

    #[test]
    fn a_packet_that_is_done_is_never_late() {
        let (budget, now) = (InputBudget::new(100), Instant::now());
        let [mut done, mut other] = [of(&budget), of(&budget)];
        assert!(done.ask(60, now, GRACE));
        done.release();
        assert!(other.ask(100, now, GRACE));
        assert_eq!((done.deadline(), done.check(now + GRACE, GRACE)), (None, Ok(())));
    }
}
