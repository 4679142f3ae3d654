//! Limits how much of one tenant's work is in progress: bytes at once, and operations per second. Operations above that
//! wait in order, so a tenant that floods the store delays only itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::limits::usage::{SessionUsage, Working};

/// The unit of the semaphore: KiB.
const UNIT: usize = 1 << 10;
/// The most that may be in progress.
const UNITS: u32 = 8 << 10;
/// The size of the smallest operation: at most 128 are in progress at once.
const LEAST: u32 = 64;
/// Bytes of values that cost as much as one operation.
const BYTES_PER_OPERATION: usize = 16 << 10;
/// The burst after a pause.
const BURST: Duration = Duration::from_secs(1);

/// One tenant's flow control. Each of its sessions asks here before it passes anything to the store, and waits with its
/// bytes still in its own memory.
#[derive(Debug)]
pub struct Flow {
    units: Arc<Semaphore>,
    /// When all operations accepted so far are paid for.
    paid: Mutex<Option<Instant>>,
}

/// The room of one operation, until it is dropped.
#[derive(Debug)]
pub struct Room {
    _units: Option<OwnedSemaphorePermit>,
    /// The price of the operation, as a share of its group's.
    operations: usize,
    /// The meter of the session that pays for the processor time.
    usage: Option<Arc<SessionUsage>>,
}

impl Room {
    /// Sets the session that pays for the operation.
    pub(crate) fn of(self, usage: &Arc<SessionUsage>) -> Self {
        Self { usage: Some(Arc::clone(usage)), ..self }
    }

    /// Charges the calling thread's processor time until the value is dropped.
    pub(super) fn working(&self) -> Option<Working<'_>> {
        self.usage.as_deref().map(SessionUsage::working)
    }

    /// Charges the operations of a group for their common time, each for its share.
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

/// The cost of one operation.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Its price.
    operations: usize,
    /// Its room.
    bytes: usize,
}

impl Load {
    /// A change of this many keys that carries this many bytes.
    #[must_use]
    pub fn write(keys: usize, bytes: usize) -> Self {
        Self { operations: keys.max(1) + bytes / BYTES_PER_OPERATION, bytes }
    }

    /// A query of this many keys, which may return up to this many bytes. [`Flow::charge`] charges for the bytes that
    /// it does return.
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
    /// Waits until an operation may begin, at `rate` operations per second.
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

    /// Charges for bytes that were read, once their number is known.
    pub fn charge(&self, bytes: usize, rate: u32) {
        self.pay(Instant::now(), bytes / BYTES_PER_OPERATION, rate);
    }

    /// Charges for this many operations and returns when they may begin: when those before them are paid for.
    fn pay(&self, now: Instant, operations: usize, rate: u32) -> Instant {
        let operations = u32::try_from(operations).unwrap_or(u32::MAX);
        let price = (Duration::from_secs(1) / rate.max(1)).saturating_mul(operations);
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        // At most a burst behind the present, so that unused time does not accumulate.
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
        // After a pause there is one burst and no more.
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
