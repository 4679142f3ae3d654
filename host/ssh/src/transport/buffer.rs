//! The buffer that bytes are read into and decrypted in. It grows while there is much to read and gives its memory
//! back.

use zeroize::Zeroize;

/// Bytes that have come and were not consumed yet.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// All of it is initialised; what counts lies between `start` and `end`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of room for the next read.
    read_size: usize,
    /// The peer is authenticated. Before that, what was consumed is wiped, for a password may be in it, and no read is
    /// large.
    trusted: bool,
}

/// What the first read is offered: a keystroke, a request.
const SMALL: usize = 4 << 10;
/// The most that is offered for one read.
const LARGE: usize = 128 << 10;

impl Input {
    /// The peer is authenticated.
    pub(super) fn trust(&mut self) {
        self.trusted = true;
    }

    /// The most that is offered for one read, unless there is room already.
    pub(super) fn most(&self) -> usize {
        if self.trusted { LARGE } else { SMALL }
    }

    /// Makes room for a packet of `whole` bytes at once, and no more: a buffer that grows with what comes doubles each
    /// time.
    pub(super) fn reserve(&mut self, whole: usize) {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        self.bytes.reserve_exact((whole + self.most()).saturating_sub(self.bytes.len()));
    }

    /// Gives back the memory of a large packet. What came behind it is kept.
    pub(super) fn shrink(&mut self) {
        let kept = self.bytes().to_vec();
        (self.start, self.end) = (0, kept.len());
        self.bytes = kept;
    }

    /// Room for the next read. What lies in it has no meaning.
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

    /// The first `count` bytes of the space hold what was read. A read that fills it makes the next space larger.
    pub(super) fn filled(&mut self, count: usize) {
        let space = self.bytes.len() - self.end;
        debug_assert!(count <= space, "more was read than there was room for");
        let read_size = self.read_size.max(SMALL);
        self.read_size = if count >= read_size { (read_size * 2).min(self.most()) } else { read_size };
        self.end += count.min(space);
    }

    /// What has come and was not consumed.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// The same, to be decrypted in place.
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

    /// How much waits to be consumed.
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Gives the memory back if nothing is in it. Says whether there is nothing more to give.
    pub(super) fn release_buffers(&mut self) -> bool {
        if self.start == self.end {
            *self = Input { trusted: self.trusted, ..Input::default() };
        }
        self.bytes.is_empty()
    }
}
