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

/// Empty buffers and the sum of their capacities.
struct Spare {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

static SPARE: Mutex<Spare> = Mutex::new(Spare { buffers: Vec::new(), bytes: 0 });

fn lock() -> MutexGuard<'static, Spare> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An empty buffer, large if there is a spare one.
pub(super) fn take() -> Vec<u8> {
    let mut spare = lock();
    let buffer = spare.buffers.pop().unwrap_or_default();
    spare.bytes -= buffer.capacity();
    buffer
}

/// Gives back a buffer that is not needed now, whatever is in it.
pub(super) fn give(mut buffer: Vec<u8>) {
    buffer.clear();
    let mut spare = lock();
    if spare.bytes + buffer.capacity() <= MOST {
        spare.bytes += buffer.capacity();
        spare.buffers.push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_buffers_are_empty_and_bounded() {
        for _ in 0..1000 {
            give(vec![1; 100_000]);
        }
        let spare = lock();
        assert!(spare.bytes <= MOST);
        assert_eq!(spare.bytes, spare.buffers.iter().map(Vec::capacity).sum::<usize>());
        assert!(spare.buffers.iter().all(Vec::is_empty));
    }
}
