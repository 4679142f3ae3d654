//! Limits how many bytes of one tenant's operations are in progress. Operations above that wait in order, so a tenant
//! that floods the store delays only itself. How many operations a tenant may begin per second is not counted here: its
//! budget has a token bucket for that.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::limits::usage::{ProcessUsage, Working};

/// The unit of the semaphore: KiB.
const UNIT: usize = 1 << 10;
/// The most that may be in progress.
const UNITS: u32 = 8 << 10;
/// The size of the smallest operation: at most 128 are in progress at once.
const LEAST: u32 = 64;
/// Bytes of values that cost as much as one operation.
const BYTES_PER_OPERATION: usize = 16 << 10;

/// One tenant's flow control. Each of its sessions asks here before it passes anything to the store, and waits with its
/// bytes still in its own memory.
#[derive(Debug)]
pub struct FlowControl {
    units: Arc<Semaphore>,
}

/// The room of one operation, until it is dropped.
#[derive(Debug)]
pub struct InFlight {
    _units: Option<OwnedSemaphorePermit>,
    /// The price of the operation, as a share of its group's.
    operations: usize,
    /// The meter of the session that pays for the processor time.
    usage: Option<Arc<ProcessUsage>>,
}

impl InFlight {
    /// Sets the session that pays for the operation.
    pub(crate) fn of(self, usage: &Arc<ProcessUsage>) -> Self {
        Self { usage: Some(Arc::clone(usage)), ..self }
    }

    /// Charges the calling thread's processor time until the value is dropped.
    pub(super) fn working(&self) -> Option<Working<'_>> {
        self.usage.as_deref().map(ProcessUsage::working)
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

    /// A query of this many keys, which may return up to this many bytes. `operations_of` is the price of the bytes
    /// that it does return.
    #[must_use]
    pub fn read(keys: usize, most: usize) -> Self {
        Self { operations: keys.max(1), bytes: most }
    }

    /// Its price in operations.
    pub(crate) fn operations(self) -> u64 {
        u64::try_from(self.operations).unwrap_or(u64::MAX)
    }
}

/// The price in operations of bytes that were read: how many there are is known only afterwards.
pub(crate) fn operations_of(bytes: usize) -> u64 {
    u64::try_from(bytes / BYTES_PER_OPERATION).unwrap_or(u64::MAX)
}

impl Default for FlowControl {
    fn default() -> Self {
        Self { units: Arc::new(Semaphore::new(UNITS as usize)) }
    }
}

impl FlowControl {
    /// Waits for the room that an operation takes up.
    pub async fn room(&self, load: Load) -> InFlight {
        let units = u32::try_from(load.bytes / UNIT).unwrap_or(u32::MAX).clamp(LEAST, UNITS);
        // The semaphore is never closed.
        let units = Arc::clone(&self.units).acquire_many_owned(units).await.ok();
        InFlight { _units: units, operations: load.operations, usage: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_sessions_of_a_group_share_its_cost() {
        let flow = FlowControl::default();
        let sessions = [(); 3].map(|()| Arc::new(ProcessUsage::default()));
        let small = flow.room(Load::write(1, 0)).await.of(&sessions[0]);
        let large = flow.room(Load::write(9, 0)).await.of(&sessions[1]);
        InFlight::share([&small, &large].into_iter(), Duration::from_millis(100));
        assert_eq!(sessions.map(|session| session.ticks()), [10, 90, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn operations_in_progress_are_bounded() {
        let flow = FlowControl::default();
        let mut rooms = Vec::new();
        for _ in 0..8 {
            rooms.push(flow.room(Load::write(1, 1 << 20)).await);
        }
        let ninth = flow.room(Load::read(1, 1));
        tokio::pin!(ninth);
        assert!(tokio::time::timeout(Duration::from_secs(5), &mut ninth).await.is_err());
        rooms.pop();
        ninth.await;
    }
}
