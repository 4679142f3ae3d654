//! Pipes (POSIX, `pipe`): a bounded queue of bytes with one end to read from and one to write to.
//!
//! There is no task behind a pipe. Whoever wants to wait registers its waker with a [`PipeWait`]; the other end wakes
//! it only if it waits. Large writes are handed over without a copy, small ones are collected in one buffer, so that
//! one read takes many of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};

use super::errno::Errno;
use super::wakers::Wakers;
use crate::limits::budget::Charge;

/// How many bytes a pipe holds, as under Linux (pipe(7)).
pub(crate) const CAPACITY: usize = 64 << 10;
/// Writes of at most this many bytes are not split: `PIPE_BUF`.
pub(crate) const ATOMIC_WRITE: usize = 4 << 10;
/// Most bytes beyond the capacity: [`ATOMIC_WRITE`] of each of the processes that a session may have by default. Each
/// may have been allowed that many when there was room for one.
const EXCESS: usize = 64 * ATOMIC_WRITE;
/// Writes of at least this many bytes are queued as they are; shorter ones are copied behind each other.
const LARGE: usize = 16 << 10;
/// What is charged at a time: buffers grow by doubling.
const CHARGED: usize = 2 * CAPACITY;

/// Charges memory of the host for as long as the result is kept; `None`: there is none left.
type TakeCharge = Box<dyn Fn(usize) -> Option<Charge> + Send + Sync>;

/// The end to read from. Dropping it breaks the pipe.
pub(crate) struct PipeReader(Arc<Shared>);

/// The end to write to. Dropping it is the end of the file.
pub(crate) struct PipeWriter(Arc<Shared>);

struct Shared {
    state: Mutex<PipeState>,
    charge: TakeCharge,
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
    /// Those for the bytes, [`CHARGED`] each.
    charges: Vec<Charge>,
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

/// Makes a pipe. Its bytes are charged with `charge` while it holds some.
pub(crate) fn pipe(charge: impl Fn(usize) -> Option<Charge> + Send + Sync + 'static) -> (PipeReader, PipeWriter) {
    let shared = Arc::new(Shared {
        state: Mutex::new(PipeState {
            chunks: VecDeque::new(),
            tail: BytesMut::new(),
            held: 0,
            charges: Vec::new(),
            has_reader: true,
            has_writer: true,
            readers: Wakers::default(),
            writers: Wakers::default(),
        }),
        charge: Box::new(charge),
        next_key: AtomicU64::new(0),
    });
    (PipeReader(Arc::clone(&shared)), PipeWriter(shared))
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
        let charges = if state.held == 0 { std::mem::take(&mut state.charges) } else { Vec::new() };
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
    /// [`Errno::Again`] if there is no room, [`Errno::BrokenPipe`] if nobody reads, [`Errno::NoMemory`] if there is
    /// none to hold them.
    pub(crate) fn try_write(&self, bytes: &Bytes) -> Result<usize, Errno> {
        self.0.queue(bytes, |state| {
            let (room, wanted) = (state.room(), bytes.len());
            if room < wanted.min(ATOMIC_WRITE) { Err(Errno::Again) } else { Ok(room.min(wanted)) }
        })
    }

    /// Queues all of the bytes, as many as [`room`](Self::room) has allowed before. Others may have used that room
    /// meanwhile.
    ///
    /// # Errors
    /// Those of [`try_write`](Self::try_write); [`Errno::Again`] if more was written than was allowed.
    pub(crate) fn write_allowed(&self, bytes: &Bytes) -> Result<(), Errno> {
        let most = CAPACITY + EXCESS;
        let all = |state: &mut PipeState| {
            if state.held + bytes.len() > most { Err(Errno::Again) } else { Ok(bytes.len()) }
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

    /// Queues the first of these bytes, as many as `count` says, and wakes who waits for them.
    fn queue(&self, bytes: &Bytes, count: impl FnOnce(&mut PipeState) -> Result<usize, Errno>) -> Result<usize, Errno> {
        let mut state = self.lock();
        if !state.has_reader {
            return Err(Errno::BrokenPipe);
        }
        let taken = count(&mut state)?;
        while state.held + taken > state.charges.len() * CHARGED {
            let Some(charge) = (self.charge)(CHARGED) else { return Err(Errno::NoMemory) };
            state.charges.push(charge);
        }
        state.push(bytes, taken);
        let woken = if state.readers.is_empty() { None } else { Some(state.readers.take()) };
        drop(state);
        woken.into_iter().for_each(Wakers::wake);
        Ok(taken)
    }
}

impl PipeState {
    fn room(&self) -> usize {
        CAPACITY.saturating_sub(self.held)
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
mod tests;

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
        let (reader, writer) = pipe(|_| Some(free()));
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

    /// A charge of nothing.
    fn free() -> Charge {
        let budget = Arc::new(crate::limits::budget::Budget::new(&crate::limits::Limits::default()));
        Charge::take(&budget, &Arc::new(crate::limits::budget::Totals::new(0, 0, 0)), 0).unwrap()
    }
}
