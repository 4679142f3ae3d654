//! Ring buffer of a watcher. When it is full, the oldest output is dropped and counted.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use whelk_runtime::{Output, WindowSize};

use crate::observe::tap::Tap;

/// Most bytes that wait.
const CAPACITY: usize = 64 << 10;
/// Most pieces, between which the size of the terminal has changed.
const PIECES: usize = 1 << 10;

/// Something that one who watches is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// So many bytes are left out here.
    Lost(u64),
    /// The session's terminal has this size from now on.
    Resized(WindowSize),
    /// The session has sent this.
    Output(Vec<u8>),
    /// The session is over. Its exit, if its client was told one.
    Ended(Option<String>),
}

/// The output that waits for one who watches.
#[derive(Default)]
pub(super) struct WatchBuffer {
    state: Mutex<BufferState>,
    changed: Notify,
}

#[derive(Default)]
struct BufferState {
    bytes: VecDeque<u8>,
    pieces: VecDeque<Piece>,
    /// Bytes that were dropped since the last call of [`WatchBuffer::take`], from the front.
    lost: u64,
    /// The newest size among what was dropped.
    lost_size: Option<WindowSize>,
    ended: Option<Option<String>>,
}

enum Piece {
    Output(usize),
    Resized(WindowSize),
}

impl WatchBuffer {
    /// Waits until there is something to take. For one at a time.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes everything that waits. Once the session has ended that is the last, and comes again.
    pub(super) fn take(&self) -> Vec<Watched> {
        let mut state = self.state();
        let BufferState { mut bytes, pieces, lost, lost_size, ended } = std::mem::take(&mut *state);
        state.ended.clone_from(&ended);
        drop(state);
        let mut taken = Vec::new();
        if lost > 0 {
            taken.push(Watched::Lost(lost));
        }
        taken.extend(lost_size.map(Watched::Resized));
        for piece in pieces {
            taken.push(match piece {
                Piece::Output(length) => Watched::Output(bytes.drain(..length).collect()),
                Piece::Resized(size) => Watched::Resized(size),
            });
        }
        taken.extend(ended.map(Watched::Ended));
        taken
    }

    fn change(&self, change: impl FnOnce(&mut BufferState)) {
        change(&mut self.state());
        self.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, BufferState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BufferState {
    fn add(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let (skipped, kept) = bytes.split_at(bytes.len().saturating_sub(CAPACITY));
        if !skipped.is_empty() {
            self.drop_oldest(self.bytes.len());
            self.lost += skipped.len() as u64;
        }
        self.drop_oldest((self.bytes.len() + kept.len()).saturating_sub(CAPACITY));
        self.bytes.extend(kept);
        match self.pieces.back_mut() {
            Some(Piece::Output(length)) => *length += kept.len(),
            _ => self.pieces.push_back(Piece::Output(kept.len())),
        }
        self.bound_pieces();
    }

    fn resize(&mut self, size: WindowSize) {
        match self.pieces.back_mut() {
            Some(Piece::Resized(before)) => *before = size,
            _ => self.pieces.push_back(Piece::Resized(size)),
        }
        self.bound_pieces();
    }

    fn bound_pieces(&mut self) {
        while self.pieces.len() > PIECES {
            let oldest = self.oldest_length().unwrap_or_default();
            self.drop_oldest(oldest);
            self.drop_sizes();
        }
    }

    /// Drops so many of the oldest bytes.
    fn drop_oldest(&mut self, bytes: usize) {
        self.bytes.drain(..bytes);
        self.lost += bytes as u64;
        let mut left = bytes;
        while left > 0 {
            self.drop_sizes();
            match self.pieces.front_mut() {
                Some(Piece::Output(length)) if *length > left => {
                    *length -= left;
                    left = 0;
                }
                Some(Piece::Output(length)) => {
                    left -= *length;
                    self.pieces.pop_front();
                }
                // There are as many bytes as the pieces say.
                Some(Piece::Resized(_)) | None => return,
            }
        }
    }

    /// Drops the sizes before the oldest bytes. The newest of them is remembered.
    fn drop_sizes(&mut self) {
        while let Some(Piece::Resized(size)) = self.pieces.front() {
            self.lost_size = Some(*size);
            self.pieces.pop_front();
        }
    }

    fn oldest_length(&self) -> Option<usize> {
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Output(length) => Some(*length),
            Piece::Resized(_) => None,
        })
    }
}

impl Tap for WatchBuffer {
    fn output(&self, _: Output, bytes: &[u8]) {
        self.change(|state| state.add(bytes));
    }

    fn resized(&self, size: WindowSize) {
        self.change(|state| state.resize(size));
    }

    fn ended(&self, how: Option<&str>) {
        self.change(|state| state.ended = Some(how.map(str::to_owned)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(columns: u32) -> WindowSize {
        WindowSize { columns, ..WindowSize::default() }
    }

    #[test]
    fn output_and_sizes_keep_their_order() {
        let buffer = WatchBuffer::default();
        assert_eq!(buffer.take(), []);
        buffer.output(Output::Stdout, b"one ");
        buffer.output(Output::Stderr, b"two");
        buffer.resized(size(90));
        buffer.resized(size(100));
        buffer.output(Output::Stdout, b"three");
        buffer.ended(Some("status 0"));
        let output = |text: &str| Watched::Output(text.as_bytes().to_vec());
        let end = || Watched::Ended(Some("status 0".to_owned()));
        assert_eq!(buffer.take(), [output("one two"), Watched::Resized(size(100)), output("three"), end()]);
        assert_eq!(buffer.take(), [end()]);
    }

    #[test]
    fn who_reads_too_slowly_gets_the_newest_and_is_told_what_is_missing() {
        let buffer = WatchBuffer::default();
        buffer.resized(size(90));
        let all: Vec<u8> = (0..CAPACITY * 3).map(|at| u8::try_from(at % 251).unwrap()).collect();
        all.chunks(7_001).for_each(|piece| buffer.output(Output::Stdout, piece));
        let taken = buffer.take();
        let [Watched::Lost(lost), Watched::Resized(shown), Watched::Output(output)] = &taken[..] else {
            panic!("{} pieces", taken.len())
        };
        assert_eq!((*lost, *shown, output.len()), (2 * CAPACITY as u64, size(90), CAPACITY));
        assert!(all.ends_with(output));
        // One piece that is larger than all there is room for.
        buffer.output(Output::Stdout, b"before");
        buffer.output(Output::Stdout, &all);
        let taken = buffer.take();
        assert!(matches!(&taken[..], [Watched::Lost(lost), Watched::Output(output)]
            if *lost == 2 * CAPACITY as u64 + 6 && all.ends_with(output)));
    }

    #[test]
    fn a_client_that_changes_its_size_after_every_byte_takes_no_more_memory() {
        let buffer = WatchBuffer::default();
        for at in 0..10_000 {
            buffer.output(Output::Stdout, b"x");
            buffer.resized(size(at));
        }
        assert!(buffer.state().pieces.len() <= PIECES);
        let taken = buffer.take();
        let count = |taken: &[Watched]| taken.iter().filter(|piece| matches!(piece, Watched::Output(_))).count() as u64;
        let Some(Watched::Lost(lost)) = taken.first() else { panic!("nothing was lost") };
        assert_eq!(lost + count(&taken), 10_000);
        assert_eq!(taken.last(), Some(&Watched::Resized(size(9_999))));
    }
}
