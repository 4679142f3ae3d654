//! A contiguous queue of bytes, added at the end and taken from the front.

use super::spare;

/// A queue of bytes that is always contiguous, so that it can be borrowed without a copy.
#[derive(Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// How many bytes at the front are taken.
    taken: usize,
}

impl Buffer {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    pub(super) fn push(&mut self, more: &[u8]) {
        if self.bytes.len() + more.len() > self.bytes.capacity() {
            self.make_room(more.len());
        }
        self.bytes.extend_from_slice(more);
    }

    /// Makes room for `more` bytes, if possible without growing.
    fn make_room(&mut self, more: usize) {
        if self.bytes.capacity() <= spare::SMALL && self.len() + more > spare::SMALL {
            let mut larger = spare::take();
            larger.extend_from_slice(&self.bytes[self.taken..]);
            self.bytes = larger;
            self.taken = 0;
        } else if self.taken >= self.len() {
            // At least half is taken: moving the rest down costs less than a larger buffer.
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
    }

    /// The first `count` bytes, or all if there are fewer.
    pub(super) fn front(&self, count: usize) -> &[u8] {
        let end = (self.taken + count).min(self.bytes.len());
        &self.bytes[self.taken..end]
    }

    pub(super) fn take(&mut self, count: usize) {
        self.taken = (self.taken + count).min(self.bytes.len());
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.taken = 0;
        }
    }

    /// Returns the memory to the pool if it is empty and had grown.
    pub(super) fn relax(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > spare::SMALL {
            spare::give(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_the_order_in_which_they_went_in() {
        let mut buffer = Buffer::default();
        let mut expected = 0_u8;
        for round in 0..100_u8 {
            buffer.push(&[round; 3]);
            buffer.push(&[round; 2]);
            assert_eq!(buffer.front(1), [expected]);
            let run = buffer.front(4).to_vec();
            assert_eq!(run.len(), 4);
            buffer.take(5);
            expected = round + 1;
        }
        assert_eq!(buffer.len(), 0);
    }

    #[test]
    fn a_buffer_that_is_used_in_small_steps_does_not_grow_for_ever() {
        let mut buffer = Buffer::default();
        buffer.push(&[0; 100]);
        for _ in 0..10_000 {
            buffer.push(&[0; 100]);
            buffer.take(100);
        }
        assert_eq!(buffer.len(), 100);
        assert!(buffer.bytes.capacity() < 4096);
    }

    #[test]
    fn an_empty_buffer_gives_large_memory_back_and_keeps_small_memory() {
        let mut buffer = Buffer::default();
        buffer.push(&[0; 100_000]);
        buffer.relax();
        assert_eq!(buffer.len(), 100_000);
        buffer.take(buffer.len());
        buffer.relax();
        assert_eq!(buffer.bytes.capacity(), 0);
        buffer.push(b"small");
        buffer.take(buffer.len());
        buffer.relax();
        assert!(buffer.bytes.capacity() > 0);
    }
}
