//! Pipes (POSIX, `pipe`): a bounded queue of bytes with one end to read from and one to write to.
//!
//! There is no task behind a pipe. Whoever wants to wait registers its waker with a [`PipeWait`]; the other end wakes
//! it only if it waits. Large writes are handed over without a copy, small ones are collected in one buffer, so that
//! one read takes many of them.
//!
//! Decided 2026-11-30: a pipe of a tenant without memory holds one small write, which is charged from its beginning to
//! its end, and its writer waits for its reader, as under Linux beyond `pipe-user-pages-soft` (pipe(7)). Refused: an
//! error of the write, since programs know none there and lose data in the middle of a pipeline; a line for memory,
//! since all who hold some may wait for that pipe.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};

use super::errno::Errno;
use super::wakers::Wakers;
use crate::limits::budget::{Charge, Total};

/// How many bytes a pipe holds, as under Linux (pipe(7)).
pub(crate) const CAPACITY: usize = 64 << 10;
/// Writes of at most this many bytes are not split: `PIPE_BUF`.
pub(crate) const ATOMIC_WRITE: usize = 4 << 10;
/// Most bytes that are held without a charge, while the tenant has no memory. Each of several streams may have been
/// allowed [`ATOMIC_WRITE`] when there was room for one.
const UNCHARGED: usize = 64 * ATOMIC_WRITE;
/// Writes of at least this many bytes are queued as they are; shorter ones are copied behind each other.
const LARGE: usize = 16 << 10;
/// What is charged at a time: buffers grow by doubling.
const CHARGED: usize = 2 * CAPACITY;
/// What is charged for as long as there is the pipe: one small write.
const KEPT: usize = 2 * ATOMIC_WRITE;

/// Where a pipe has its memory from.
pub(crate) trait PipeMemory: Send + Sync + 'static {
    /// Charges so many bytes for as long as the result is kept. Called under a lock.
    fn charge(&self, bytes: usize) -> Result<Charge, Total>;
    /// A charge was refused. Called without a lock.
    fn refused(&self, total: Total);
}

/// The end to read from. Dropping it breaks the pipe.
pub(crate) struct PipeReader(Arc<Shared>);

/// The end to write to. Dropping it is the end of the file.
pub(crate) struct PipeWriter(Arc<Shared>);

struct Shared {
    state: Mutex<PipeState>,
    memory: Box<dyn PipeMemory>,
    /// [`KEPT`]
    _kept: Charge,
    /// The key of the next who waits.
    next_key: AtomicU64,
}

struct PipeState {
    /// What comes before `tail`. None is empty.
    chunks: VecDeque<Bytes>,
    /// Small writes behind each other.
    tail: BytesMut,
    /// Bytes in both.
    held: usize,
    /// Those for the bytes, [`CHARGED`] each. None while a small write is all that there is.
    charges: Vec<Charge>,
    /// A charge was refused since the pipe was empty.
    is_short: bool,
    has_reader: bool,
    has_writer: bool,
    readers: Wakers,
    writers: Wakers,
}

/// Somebody who waits at one end. Dropping it ends the wait; it keeps no end open.
pub(crate) struct PipeWait {
    pipe: Arc<Shared>,
    key: u64,
}

/// Makes a pipe. Its bytes are charged while it holds some.
///
/// # Errors
/// What lacks memory for one small write.
pub(crate) fn pipe(memory: impl PipeMemory) -> Result<(PipeReader, PipeWriter), Total> {
    let kept = memory.charge(KEPT)?;
    let shared = Arc::new(Shared {
        state: Mutex::new(PipeState {
            chunks: VecDeque::new(),
            tail: BytesMut::new(),
            held: 0,
            charges: Vec::new(),
            is_short: false,
            has_reader: true,
            has_writer: true,
            readers: Wakers::default(),
            writers: Wakers::default(),
        }),
        memory: Box::new(memory),
        _kept: kept,
        next_key: AtomicU64::new(0),
    });
    Ok((PipeReader(Arc::clone(&shared)), PipeWriter(shared)))
}

impl PipeReader {
    /// Takes at most `most` bytes. None are the end: nobody writes any more.
    ///
    /// # Errors
    /// [`Errno::Again`] while there are none.
    pub(crate) fn try_read(&self, most: usize) -> Result<Bytes, Errno> {
        let mut state = self.0.lock();
        if most == 0 || (state.held == 0 && !state.has_writer) {
            return Ok(Bytes::new());
        }
        if state.held == 0 {
            return Err(Errno::Again);
        }
        let bytes = state.take(most);
        let mut charges = Vec::new();
        if state.held == 0 {
            charges = std::mem::take(&mut state.charges);
            state.is_short = false;
        }
        // As soon as `poll_writable` says so: the reader may wait for what only that writer would write.
        let woken = (state.room() >= ATOMIC_WRITE).then(|| state.writers.take());
        drop(state);
        drop(charges);
        woken.into_iter().for_each(Wakers::wake);
        Ok(bytes)
    }

    /// Whether a read would not wait; if it would, the task of `context` is woken when it does not any more.
    pub(crate) fn poll_readable(&self, wait: &PipeWait, context: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.held > 0 || !state.has_writer {
            return Poll::Ready(());
        }
        state.readers.register(wait.key, context);
        Poll::Pending
    }

    /// To wait at this end.
    pub(crate) fn wait(&self) -> PipeWait {
        PipeWait::new(&self.0)
    }
}

impl PipeWriter {
    /// Queues as many of the bytes as there is room for; up to [`ATOMIC_WRITE`] of them all or none. Returns how many.
    ///
    /// # Errors
    /// [`Errno::Again`] if there is no room, [`Errno::BrokenPipe`] if nobody reads.
    pub(crate) fn try_write(&self, bytes: &Bytes) -> Result<usize, Errno> {
        self.0.queue(bytes, |state| {
            let (room, wanted) = (state.room(), bytes.len());
            if room < wanted.min(ATOMIC_WRITE) { Err(Errno::Again) } else { Ok(room.min(wanted)) }
        })
    }

    /// Queues all of the bytes, as many as [`room`](Self::room) has allowed before. Others may have used that room
    /// meanwhile, so the pipe may hold more than its capacity.
    ///
    /// # Errors
    /// [`Errno::BrokenPipe`] if nobody reads, [`Errno::NoMemory`] if there is none and too much is held without.
    pub(crate) fn write_allowed(&self, bytes: &Bytes) -> Result<(), Errno> {
        let all = |state: &PipeState| {
            let is_too_much = state.is_short && state.held + bytes.len() > state.charged() + UNCHARGED;
            if is_too_much { Err(Errno::NoMemory) } else { Ok(bytes.len()) }
        };
        self.0.queue(bytes, all).map(|_| ())
    }

    /// How many bytes a write would take at once. One that nobody reads any more takes any, and fails.
    pub(crate) fn room(&self) -> usize {
        let state = self.0.lock();
        if state.has_reader { state.room() } else { CAPACITY }
    }

    /// Whether a write would take a byte at once, or fail; if not, the task of `context` is woken when it would.
    pub(crate) fn poll_writable(&self, wait: &PipeWait, context: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.room() >= ATOMIC_WRITE || !state.has_reader {
            return Poll::Ready(());
        }
        state.writers.register(wait.key, context);
        Poll::Pending
    }

    /// To wait at this end.
    pub(crate) fn wait(&self) -> PipeWait {
        PipeWait::new(&self.0)
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.has_reader = false;
        // Nobody will take them.
        let gone = (std::mem::take(&mut state.chunks), std::mem::take(&mut state.tail));
        state.held = 0;
        let (charges, woken) = (std::mem::take(&mut state.charges), state.writers.take());
        drop(state);
        drop((gone, charges));
        woken.wake();
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.has_writer = false;
        let woken = state.readers.take();
        drop(state);
        woken.wake();
    }
}

impl PipeWait {
    fn new(pipe: &Arc<Shared>) -> Self {
        Self { pipe: Arc::clone(pipe), key: pipe.next_key.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for PipeWait {
    fn drop(&mut self) {
        let mut state = self.pipe.lock();
        state.readers.remove(self.key);
        state.writers.remove(self.key);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, PipeState> {
        // Every change is complete or not made.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues the first of these bytes, as many as `count` says, and wakes who waits for them. `count` is asked again
    /// if there is no memory for them.
    fn queue(&self, bytes: &Bytes, count: impl Fn(&PipeState) -> Result<usize, Errno>) -> Result<usize, Errno> {
        let mut state = self.lock();
        if !state.has_reader {
            return Err(Errno::BrokenPipe);
        }
        let mut taken = count(&state);
        let mut refused = None;
        while let Ok(wanted) = taken
            && refused.is_none()
            && state.held + wanted > state.charged()
        {
            match self.memory.charge(CHARGED) {
                Ok(charge) => state.charges.push(charge),
                Err(total) => {
                    refused = Some(total);
                    state.is_short = true;
                    taken = count(&state);
                }
            }
        }
        let mut woken = None;
        if let Ok(taken) = taken {
            state.push(bytes, taken);
            woken = (!state.readers.is_empty()).then(|| state.readers.take());
        }
        drop(state);
        refused.into_iter().for_each(|total| self.memory.refused(total));
        woken.into_iter().for_each(Wakers::wake);
        taken
    }
}

impl PipeState {
    fn room(&self) -> usize {
        let capacity = if self.is_short { self.charged().min(CAPACITY) } else { CAPACITY };
        capacity.saturating_sub(self.held)
    }

    /// How many bytes the charges are for.
    fn charged(&self) -> usize {
        if self.charges.is_empty() { ATOMIC_WRITE } else { self.charges.len() * CHARGED }
    }

    fn push(&mut self, bytes: &Bytes, taken: usize) {
        self.held += taken;
        // A part of a buffer would keep all of it in memory.
        if taken >= LARGE && taken == bytes.len() {
            if !self.tail.is_empty() {
                self.chunks.push_back(self.tail.split().freeze());
            }
            self.chunks.push_back(bytes.clone());
            return;
        }
        self.tail.extend_from_slice(&bytes[..taken]);
    }

    /// Takes at most so many of the bytes that are there.
    fn take(&mut self, most: usize) -> Bytes {
        let taken = match self.chunks.front_mut() {
            Some(chunk) if chunk.len() > most => chunk.split_to(most),
            Some(_) => self.chunks.pop_front().unwrap_or_default(),
            None => self.tail.split_to(most.min(self.tail.len())).freeze(),
        };
        self.held -= taken.len();
        taken
    }
}

#[cfg(test)]
#[path = "pipe_tests.rs"]
pub(super) mod tests;

#[cfg(test)]
mod threads {
    use std::task::{Wake, Waker};

    use super::*;

    #[test]
    fn two_threads_lose_neither_bytes_nor_wakes() {
        struct Thread(std::thread::Thread);
        impl Wake for Thread {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let here = || Waker::from(Arc::new(Thread(std::thread::current())));
        let (reader, writer) = tests::open();
        let all: Bytes = (0..20_u32 << 20).map(|number| number.to_le_bytes()[0]).collect();
        let sent = all.clone();
        let thread = std::thread::spawn(move || {
            let (waker, wait) = (here(), writer.wait());
            let (mut written, mut size) = (0, 1);
            while written < sent.len() {
                size = (size * 7 + 13) % 70_000;
                let piece = sent.slice(written..(written + size).min(sent.len()));
                match writer.try_write(&piece) {
                    Ok(taken) => written += taken,
                    Err(_) => {
                        while writer.poll_writable(&wait, &Context::from_waker(&waker)).is_pending() {
                            std::thread::park();
                        }
                    }
                }
            }
        });
        let (waker, wait) = (here(), reader.wait());
        let mut read = Vec::new();
        loop {
            match reader.try_read(50_000) {
                Ok(piece) if piece.is_empty() => break,
                Ok(piece) => read.extend_from_slice(&piece),
                Err(_) => {
                    while reader.poll_readable(&wait, &Context::from_waker(&waker)).is_pending() {
                        std::thread::park();
                    }
                }
            }
        }
        thread.join().unwrap();
        assert!(read == all);
    }
}
