//! What was typed and the program has not read.

use std::collections::VecDeque;

/// Bytes of the buffer. A line can have one byte less and its end, as under Linux.
pub(super) const CAPACITY: usize = 4096;

/// A position in all that was typed, counted from 0.
type Position = u64;

/// The input buffer.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: VecDeque<u8>,
    /// The position of the first byte.
    tail: Position,
    /// The position after the last complete line: bytes from here on can be edited.
    line: Position,
    /// Where lines end: the position of each byte that ends one.
    ends: VecDeque<Position>,
    /// So many bytes at the beginning of the line that is being typed are known to continue a character of UTF-8 that
    /// has no beginning. Erasing stops there without looking at each of them again.
    continuation: usize,
}

/// What the end of a line is to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineEnd {
    /// A byte like any other.
    Byte(u8),
    /// The end-of-file character, which is not read itself.
    EndOfFile,
}

/// What stands in the buffer for the end-of-file character.
const END_OF_FILE: u8 = 0;
/// Capacity, in bytes, that an empty buffer keeps.
const KEPT: usize = 64;

impl Input {
    /// The position after the last byte.
    fn head(&self) -> Position {
        self.tail + self.bytes.len() as u64
    }

    /// How many more keys fit, each of which may put `per_key` bytes. One place is kept for the end of a line.
    pub(super) fn room(&self, per_key: usize) -> usize {
        (CAPACITY - self.bytes.len().min(CAPACITY)).div_ceil(per_key).saturating_sub(1)
    }

    /// Whether all that the buffer holds is a line that has no end yet.
    pub(super) fn is_one_open_line(&self) -> bool {
        self.line == self.tail
    }

    /// Removes the last byte if not even the place for the end of a line is free.
    pub(super) fn make_room_for_one(&mut self) {
        if self.bytes.len() >= CAPACITY {
            self.shorten(1);
        }
    }

    pub(super) fn put(&mut self, byte: u8) {
        self.bytes.push_back(byte);
    }

    /// Ends the line.
    pub(super) fn end_line(&mut self, end: LineEnd) {
        self.ends.push_back(self.head());
        self.put(match end {
            LineEnd::Byte(byte) => byte,
            LineEnd::EndOfFile => END_OF_FILE,
        });
        self.line = self.head();
        self.continuation = 0;
    }

    /// The line that is being typed.
    pub(super) fn open_line(&self) -> impl DoubleEndedIterator<Item = u8> + '_ {
        self.open_line_from(0)
    }

    /// The same without the bytes that [`begins_with_continuation`](Self::begins_with_continuation) has named.
    pub(super) fn after_continuation(&self) -> impl DoubleEndedIterator<Item = u8> + '_ {
        self.open_line_from(self.continuation)
    }

    fn open_line_from(&self, skipped: usize) -> impl DoubleEndedIterator<Item = u8> + '_ {
        let from = self.bytes.len() - self.open_line_len().saturating_sub(skipped);
        self.bytes.range(from..).copied()
    }

    fn open_line_len(&self) -> usize {
        let len = self.head() - self.line.max(self.tail);
        usize::try_from(len).unwrap_or(usize::MAX).min(self.bytes.len())
    }

    /// All bytes of the line that is being typed continue a character of UTF-8.
    pub(super) fn begins_with_continuation(&mut self) {
        self.continuation = self.open_line_len();
    }

    pub(super) fn open_line_is_empty(&self) -> bool {
        self.line == self.head()
    }

    /// Removes so many bytes from the end of the line that is being typed, or all of it if it has fewer.
    pub(super) fn shorten(&mut self, count: usize) {
        let length = self.open_line_len();
        self.bytes.truncate(self.bytes.len() - length.min(count));
        self.continuation = self.continuation.min(length.saturating_sub(count));
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.tail = self.head();
        self.bytes.clear();
        self.ends.clear();
        self.line = self.tail;
        self.continuation = 0;
        self.relax();
    }

    /// Nothing is left to read: gives large memory back.
    fn relax(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT {
            self.bytes = VecDeque::new();
        }
        if self.ends.is_empty() && self.ends.capacity() > KEPT {
            self.ends = VecDeque::new();
        }
    }

    /// How many bytes it holds.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Input comes by lines from now on, or no longer does: what has been typed is a line, or there are none.
    pub(super) fn change_to_lines(&mut self, lines: bool) {
        self.ends.clear();
        self.continuation = 0;
        if lines && !self.bytes.is_empty() {
            self.ends.push_back(self.head() - 1);
            self.line = self.head();
        } else {
            self.line = self.tail;
        }
    }

    /// Whether there is something to read, by lines or not.
    pub(super) fn is_readable(&self, lines: bool) -> bool {
        if lines { self.line != self.tail } else { !self.bytes.is_empty() }
    }

    /// Reads at most one line, or a part of it. The number of bytes; `None` if there is no line.
    pub(super) fn read_line(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if !self.is_readable(true) {
            return None;
        }
        let end = self.ends.front().copied();
        let line = end.map_or(self.line, |end| end + 1) - self.tail;
        let line = usize::try_from(line).unwrap_or(usize::MAX);
        let taken = line.min(buffer.len());
        let is_whole = end.is_some() && taken == line;
        let mut read = self.take(&mut buffer[..taken]);
        if is_whole {
            self.ends.pop_front();
            if buffer.get(read - 1) == Some(&END_OF_FILE) {
                read -= 1;
            }
        } else if read == buffer.len() {
            self.skip_end_of_file();
        }
        Some(read)
    }

    /// A reader whose buffer is full has read the whole line if the end-of-file character is all that is left of it.
    fn skip_end_of_file(&mut self) {
        if self.ends.front() == Some(&self.tail) && self.bytes.front() == Some(&END_OF_FILE) {
            self.ends.pop_front();
            self.bytes.pop_front();
            self.tail += 1;
        }
    }

    /// Reads what there is. The number of bytes.
    pub(super) fn read_bytes(&mut self, buffer: &mut [u8]) -> usize {
        let taken = self.bytes.len().min(buffer.len());
        self.take(&mut buffer[..taken])
    }

    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len();
        for (place, byte) in buffer.iter_mut().zip(self.bytes.drain(..count)) {
            *place = byte;
        }
        self.tail += count as u64;
        self.relax();
        count
    }
}
