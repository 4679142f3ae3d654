//! A pool of large buffers. An idle session holds none: it returns them here when they are empty. Reuse is cheaper than
//! allocating each time, and thousands of idle sessions share a few buffers instead of holding one each.
//!
//! A pooled buffer still has an earlier session's bytes in memory, beyond its length of zero, where safe code cannot
//! read them.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Buffers up to this size, in bytes, stay with their session.
pub(super) const SMALL: usize = 4 << 10;
/// Most bytes in the pool; buffers beyond that are freed.
const MOST: usize = 4 << 20;

/// Empty buffers, the one that was used last at the end, and the sum of their capacities.
struct Spare {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
    /// The fewest buffers since the last [`release_unused`](Spare::release_unused): so many at the front were not used.
    least: usize,
}

static SPARE: Mutex<Spare> = Mutex::new(Spare::new());

fn lock() -> MutexGuard<'static, Spare> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An empty buffer, large if there is a spare one.
pub(super) fn take() -> Vec<u8> {
    lock().take()
}

/// Gives back a buffer that is not needed now, whatever is in it.
pub(super) fn give(buffer: Vec<u8>) {
    lock().give(buffer);
}

/// Frees the spare buffers of sessions that no session has needed since the last call. Returns how many bytes.
pub fn release_spare_buffers() -> usize {
    let unused = lock().release_unused();
    unused.iter().map(Vec::capacity).sum()
}

impl Spare {
    const fn new() -> Self {
        Self { buffers: Vec::new(), bytes: 0, least: 0 }
    }

    fn take(&mut self) -> Vec<u8> {
        let buffer = self.buffers.pop().unwrap_or_default();
        self.bytes -= buffer.capacity();
        self.least = self.least.min(self.buffers.len());
        buffer
    }

    fn give(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if self.bytes + buffer.capacity() <= MOST {
            self.bytes += buffer.capacity();
            self.buffers.push(buffer);
        }
    }

    /// Removes the buffers that were not used since the last call, for the caller to free outside the lock.
    fn release_unused(&mut self) -> Vec<Vec<u8>> {
        let unused: Vec<_> = self.buffers.drain(..self.least).collect();
        self.bytes -= unused.iter().map(Vec::capacity).sum::<usize>();
        self.least = self.buffers.len();
        unused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(spare: &Spare) -> usize {
        spare.buffers.iter().map(Vec::capacity).sum()
    }

    #[test]
    fn spare_buffers_are_empty_and_bounded() {
        let mut spare = Spare::new();
        for _ in 0..1000 {
            spare.give(vec![1; 100_000]);
        }
        assert!(spare.bytes <= MOST);
        assert_eq!(spare.bytes, held(&spare));
        assert!(spare.buffers.iter().all(Vec::is_empty));
    }

    #[test]
    fn buffers_that_nobody_needs_are_freed_and_those_in_use_are_not() {
        let mut spare = Spare::new();
        for _ in 0..4 {
            spare.give(vec![1; 100_000]);
        }
        // They have just come.
        assert!(spare.release_unused().is_empty());
        let (one, other) = (spare.take(), spare.take());
        spare.give(one);
        spare.give(other);
        assert_eq!(spare.release_unused().len(), 2);
        assert_eq!((spare.buffers.len(), spare.bytes), (2, held(&spare)));
        // No session has taken one since.
        assert_eq!(spare.release_unused().len(), 2);
        assert_eq!((spare.buffers.len(), spare.bytes), (0, 0));
        assert_eq!(spare.take().capacity(), 0);
    }
}
