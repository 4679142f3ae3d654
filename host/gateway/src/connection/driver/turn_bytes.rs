//! How many bytes a turn moves: fewer while many connections move much, so that those that move little do not wait for
//! a long round of turns.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;

/// Most bytes of a turn.
pub(super) const MOST: usize = 128 << 10;
/// What a turn may always move, in bytes: a packet.
const LEAST: usize = 32 << 10;
/// What the busy connections of one worker may move, one turn each, in bytes, as far as [`LEAST`] permits that.
const ROUND: usize = 512 << 10;

/// The busy connections of this process.
static BUSY: AtomicUsize = AtomicUsize::new(0);

/// A connection that had more work than one turn takes, and has moved bytes within the last 100 ms or so. Counted while
/// this exists.
pub(super) struct Busy(());

impl Busy {
    /// Counts one more.
    pub(super) fn begin() -> Busy {
        BUSY.fetch_add(1, Ordering::Relaxed);
        Busy(())
    }

    /// Most bytes that a turn of such a connection moves now.
    pub(super) fn turn_bytes(&self) -> usize {
        share(BUSY.load(Ordering::Relaxed), Handle::current().metrics().num_workers())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The share of one of so many busy connections in the rounds of so many workers, in bytes.
fn share(busy: usize, workers: usize) -> usize {
    (ROUND.saturating_mul(workers) / busy.max(1)).clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_whole_while_few_are_busy_and_never_smaller_than_a_packet() {
        let sizes = [1, 4, 8, 16, 17, 1000].map(|busy| share(busy, 1) >> 10);
        assert_eq!(sizes, [128, 128, 64, 32, 32, 32]);
        assert_eq!([(0, 1), (8, 2), (16, 2)].map(|(busy, workers)| share(busy, workers) >> 10), [128, 128, 64]);
    }
}
