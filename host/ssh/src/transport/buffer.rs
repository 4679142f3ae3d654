//! The input buffer, in which packets are decrypted. It grows while there is much to read and releases its memory
//! afterwards.

use zeroize::Zeroize;

/// Input that was not consumed yet.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// Initialised throughout; the input is between `start` and `end`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Size of the space for the next read.
    read_size: usize,
    /// The peer is authenticated. Before that, consumed bytes are wiped, because they may contain a password, and reads
    /// are small.
    trusted: bool,
}

/// The size of the first read: enough for a keystroke or a request.
const SMALL: usize = 4 << 10;
/// The largest read.
const LARGE: usize = 128 << 10;

impl Input {
    /// The peer is authenticated.
    pub(super) fn trust(&mut self) {
        self.trusted = true;
    }

    /// The largest read, unless there is more room already.
    pub(super) fn most(&self) -> usize {
        if self.trusted { LARGE } else { SMALL }
    }

    /// Makes room for a packet of `whole` bytes at once and no more: growing step by step would double the buffer each
    /// time.
    pub(super) fn reserve(&mut self, whole: usize) {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        self.bytes.reserve_exact((whole + self.most()).saturating_sub(self.bytes.len()));
    }

    /// Releases the memory of a large packet. Input behind it is kept.
    pub(super) fn shrink(&mut self) {
        let kept = self.bytes().to_vec();
        (self.start, self.end) = (0, kept.len());
        self.bytes = kept;
    }

    /// Space for the next read. Its contents are arbitrary.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        let read_size = self.read_size.max(SMALL);
        if self.bytes.len() - self.end < read_size {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.bytes.len() - self.end < read_size {
                self.bytes.resize(self.end + read_size, 0);
            }
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// The first `count` bytes of the space were read. A read that fills the space makes the next one larger.
    pub(super) fn filled(&mut self, count: usize) {
        let space = self.bytes.len() - self.end;
        debug_assert!(count <= space, "more was read than there was room for");
        let read_size = self.read_size.max(SMALL);
        self.read_size = if count >= read_size { (read_size * 2).min(self.most()) } else { read_size };
        self.end += count.min(space);
    }

    /// The input that was not consumed.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// The same, for decryption in place.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// Drops `count` bytes from the front.
    pub(super) fn consume(&mut self, count: usize) {
        if !self.trusted {
            self.bytes_mut().get_mut(..count).unwrap_or_default().zeroize();
        }
        self.start = (self.start + count).min(self.end);
    }

    /// The length of the input that was not consumed.
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    /// How many bytes of memory it takes.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Releases the memory if the buffer is empty. Returns whether there is nothing more to release.
    pub(super) fn release_buffers(&mut self) -> bool {
        if self.start == self.end {
            *self = Input { trusted: self.trusted, ..Input::default() };
        }
        self.bytes.is_empty()
    }
}
