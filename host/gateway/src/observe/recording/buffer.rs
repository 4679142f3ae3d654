//! What a session has sent and is not yet in its recording.

use whelk_runtime::{Output, WindowSize};

/// Most bytes that wait.
pub(super) const CAPACITY: usize = 256 << 10;
/// Most bytes of one event.
const EVENT: usize = 64 << 10;
/// Output that comes within this many microseconds of the event before is added to it.
const TOGETHER: u64 = 1_000;
/// Most events that wait. What takes no bytes, such as a new size, is bounded by it.
const EVENTS: usize = 16 << 10;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BufferedPiece {
    /// Microseconds since the beginning.
    pub(super) at: u64,
    pub(super) kind: PieceKind,
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PieceKind {
    /// The next bytes were sent, as ordinary output or as any other.
    Output {
        is_ordinary: bool,
        bytes: usize,
    },
    /// The next bytes were typed.
    Input {
        bytes: usize,
    },
    Resized(WindowSize),
    /// So many bytes are left out here.
    Lost(u64),
}

/// Events in their order, and the bytes of all of them.
#[derive(Debug, Default)]
pub(super) struct PieceBuffer {
    pub(super) pieces: Vec<BufferedPiece>,
    pub(super) bytes: Vec<u8>,
}

impl PieceBuffer {
    /// How many more bytes have room.
    pub(super) fn room(&self) -> usize {
        if self.pieces.len() < EVENTS { CAPACITY.saturating_sub(self.bytes.len()) } else { 0 }
    }

    /// Whether half of the room is taken.
    pub(super) fn is_half_full(&self) -> bool {
        self.room() < CAPACITY / 2
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn output(&mut self, at: u64, to: Output, bytes: &[u8]) {
        bytes.chunks(EVENT).for_each(|bytes| self.output_some(at, to == Output::Stdout, bytes));
    }

    fn output_some(&mut self, at: u64, ordinary: bool, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        match self.pieces.last_mut() {
            Some(BufferedPiece { at: before, kind: PieceKind::Output { is_ordinary, bytes: length } })
                if *is_ordinary == ordinary
                    && at.saturating_sub(*before) < TOGETHER
                    && *length + bytes.len() <= EVENT =>
            {
                *length += bytes.len();
            }
            _ => self.add(at, PieceKind::Output { is_ordinary: ordinary, bytes: bytes.len() }),
        }
    }

    pub(super) fn input(&mut self, at: u64, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.add(at, PieceKind::Input { bytes: bytes.len() });
    }

    pub(super) fn resized(&mut self, at: u64, size: WindowSize) {
        match self.pieces.last_mut() {
            // Only the last of several sizes is seen.
            Some(BufferedPiece { kind: PieceKind::Resized(before), .. }) => *before = size,
            _ => self.add(at, PieceKind::Resized(size)),
        }
    }

    pub(super) fn lost(&mut self, at: u64, bytes: u64) {
        match self.pieces.last_mut() {
            Some(BufferedPiece { kind: PieceKind::Lost(lost), .. }) => *lost += bytes,
            _ => self.add(at, PieceKind::Lost(bytes)),
        }
    }

    /// Forgets everything, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.bytes.clear();
    }

    fn add(&mut self, at: u64, kind: PieceKind) {
        self.pieces.push(BufferedPiece { at, kind });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_that_comes_at_once_is_one_event_up_to_a_length() {
        let mut buffer = PieceBuffer::default();
        buffer.output(10, Output::Stdout, b"ab");
        buffer.output(900, Output::Stdout, b"cd");
        buffer.output(910, Output::Stderr, b"e");
        buffer.output(5_000, Output::Stderr, b"f");
        buffer.output(5_001, Output::Stderr, &[b'x'; EVENT]);
        let output = |is_ordinary, bytes| PieceKind::Output { is_ordinary, bytes };
        let kinds: Vec<_> = buffer.pieces.iter().map(|piece| (piece.at, piece.kind)).collect();
        let expected =
            [(10, output(true, 4)), (910, output(false, 1)), (5_000, output(false, 1)), (5_001, output(false, EVENT))];
        assert_eq!(kinds, expected);
        assert_eq!((buffer.bytes.len(), buffer.room()), (EVENT + 6, CAPACITY - EVENT - 6));
        assert!(!buffer.is_half_full());
    }

    #[test]
    fn sizes_and_losses_take_one_event_each_until_something_else_comes() {
        let mut buffer = PieceBuffer::default();
        let size = |columns| WindowSize { columns, rows: 24, ..WindowSize::default() };
        for columns in 1..100 {
            buffer.resized(1, size(columns));
        }
        (0..100).for_each(|_| buffer.lost(2, 3));
        let kinds: Vec<_> = buffer.pieces.iter().map(|piece| piece.kind).collect();
        assert_eq!(kinds, [PieceKind::Resized(size(99)), PieceKind::Lost(300)]);
        for at in 0..2 * EVENTS as u64 {
            buffer.resized(at, size(80));
            buffer.lost(at, 1);
            if buffer.room() == 0 {
                return;
            }
        }
        panic!("events without bytes are bounded");
    }
}
