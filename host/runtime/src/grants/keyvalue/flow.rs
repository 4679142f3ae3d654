//! How much of one tenant's may be on its way to the store: bytes at once, and operations in a second. What is more waits, each in its
//! turn, so a tenant that floods the store waits for itself and the others find it free.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::limits::usage::{SessionUsage, Working};

/// What the semaphore counts: KiB.
const UNIT: usize = 1 << 10;
/// All that may be on its way.
const UNITS: u32 = 8 << 10;
/// What the smallest operation takes up: so that no more than 128 wait at once.
const LEAST: u32 = 64;
/// Bytes of values that cost as much as one operation.
const BYTES_PER_OPERATION: usize = 16 << 10;
/// What may be done at once after a pause.
const BURST: Duration = Duration::from_secs(1);

/// One tenant's measure. Each of its sessions asks here before it hands anything to the store, and waits with its bytes still in its
/// own memory.
#[derive(Debug)]
pub struct Flow {
    units: Arc<Semaphore>,
    /// When all that was asked for so far is paid for.
    paid: Mutex<Option<Instant>>,
}

/// The room that one operation takes up; free again when dropped.
#[derive(Debug)]
pub struct Room {
    _units: Option<OwnedSemaphorePermit>,
    /// The price of the operation, as a part of what a group of them costs.
    operations: usize,
    /// Whose processor time the operation is.
    usage: Option<Arc<SessionUsage>>,
}

impl Room {
    /// From now on it is known which session the operation is for.
    pub(crate) fn of(self, usage: &Arc<SessionUsage>) -> Self {
        Self { usage: Some(Arc::clone(usage)), ..self }
    }

    /// Charges what the calling thread does until the value is dropped.
    pub(super) fn working(&self) -> Option<Working<'_>> {
        self.usage.as_deref().map(SessionUsage::working)
    }

    /// Charges the operations of a group for what they took together, each for its part.
    pub(super) fn share<'r>(rooms: impl Iterator<Item = &'r Self> + Clone, took: Duration) {
        let all: usize = rooms.clone().map(|room| room.operations).sum();
        for room in rooms {
            if let Some(usage) = &room.usage {
                let part = took.mul_f64(ratio(room.operations, all));
                usage.charge(part, Instant::now());
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a part of some microseconds need not be exact")]
fn ratio(part: usize, all: usize) -> f64 {
    part as f64 / all.max(1) as f64
}

/// What one operation is to its tenant's measure.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Its price.
    operations: usize,
    /// The room that it takes up.
    bytes: usize,
}

impl Load {
    /// A change to so many keys that carries so many bytes.
    #[must_use]
    pub fn write(keys: usize, bytes: usize) -> Self {
        Self { operations: keys.max(1) + bytes / BYTES_PER_OPERATION, bytes }
    }

    /// A question about so many keys, which may answer up to so many bytes. Those that it does are charged for by [`Flow::charge`].
    #[must_use]
    pub fn read(keys: usize, most: usize) -> Self {
        Self { operations: keys.max(1), bytes: most }
    }
}

impl Default for Flow {
    fn default() -> Self {
        Self { units: Arc::new(Semaphore::new(UNITS as usize)), paid: Mutex::new(None) }
    }
}

impl Flow {
    /// Waits for the turn of an operation, at `rate` operations a second.
    pub async fn room(&self, load: Load, rate: u32) -> Room {
        let due = self.pay(Instant::now(), load.operations, rate);
        if due > Instant::now() {
            sleep_until(due).await;
        }
        let units = u32::try_from(load.bytes / UNIT).unwrap_or(u32::MAX).clamp(LEAST, UNITS);
        // The semaphore is never closed.
        let units = Arc::clone(&self.units).acquire_many_owned(units).await.ok();
        Room { _units: units, operations: load.operations, usage: None }
    }

    /// Charges for bytes that were read: how many there are is known only afterwards.
    pub fn charge(&self, bytes: usize, rate: u32) {
        self.pay(Instant::now(), bytes / BYTES_PER_OPERATION, rate);
    }

    /// Charges for so many operations and says when they may begin: when those before them are paid for.
    fn pay(&self, now: Instant, operations: usize, rate: u32) -> Instant {
        let operations = u32::try_from(operations).unwrap_or(u32::MAX);
        let price = (Duration::from_secs(1) / rate.max(1)).saturating_mul(operations);
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        // Behind the present by the burst at most, so that what was not used is not saved up for ever.
        let before = now.checked_sub(BURST).unwrap_or(now);
        let due = paid.map_or(before, |paid| paid.max(before));
        *paid = Some(due + price);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_what_follows_comes_at_the_rate() {
        let flow = Flow::default();
        let start = Instant::now() + Duration::from_secs(10);
        let dues: Vec<_> = (0..300).map(|_| flow.pay(start, 1, 100)).collect();
        assert!(dues[..=100].iter().all(|due| *due <= start));
        assert_eq!(dues[299], start + Duration::from_millis(1_990));
        // After a pause there is one burst again and no more.
        let later = start + Duration::from_secs(60);
        let again = (0..1_000).filter(|_| flow.pay(later, 1, 100) <= later).count();
        assert_eq!(again, 101);
    }

    #[test]
    fn what_costs_more_makes_the_next_wait_longer() {
        let flow = Flow::default();
        let start = Instant::now() + Duration::from_secs(10);
        flow.pay(start, 100, 100);
        assert_eq!(flow.pay(start, 64, 100), start);
        assert_eq!(flow.pay(start, 1, 100), start + Duration::from_millis(640));
    }

    #[tokio::test]
    async fn a_group_is_paid_for_by_its_sessions_each_for_its_part() {
        let flow = Flow::default();
        let sessions = [(); 3].map(|()| Arc::new(SessionUsage::default()));
        let small = flow.room(Load::write(1, 0), u32::MAX).await.of(&sessions[0]);
        let large = flow.room(Load::write(9, 0), u32::MAX).await.of(&sessions[1]);
        Room::share([&small, &large].into_iter(), Duration::from_millis(100));
        assert_eq!(sessions.map(|session| session.ticks()), [10, 90, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_on_its_way_is_bounded() {
        let flow = Flow::default();
        let mut rooms = Vec::new();
        for _ in 0..8 {
            rooms.push(flow.room(Load::write(1, 1 << 20), u32::MAX).await);
        }
        let ninth = flow.room(Load::read(1, 1), u32::MAX);
        tokio::pin!(ninth);
        assert!(tokio::time::timeout(Duration::from_secs(5), &mut ninth).await.is_err());
        rooms.pop();
        ninth.await;
    }
}
