//! How a program reaches the session's channel: what its descriptors read and write there.
//!
//! It lies directly on the session's pipes, without a task and without a buffer of its own. Reading takes bytes from
//! the inbox, and their credit goes back to the client; writing puts bytes into the outbox, and waits while that is
//! full. [`Streams`] is the only place that bytes pass on either way.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use wasmtime_wasi::p2::{StreamError, StreamResult};

use crate::channel::{Shared, StdinRead};
use crate::host::channel::{Channel, free_space, space};
use crate::host::charges::Charges;
use crate::limits::budget::Charge;
use crate::limits::output_charges::{KeptSpace, OutputCharges, Space};
use crate::posix::process::ProcessEntry;
use crate::session_types::{Ending, Output};

/// Most bytes of one read, and of one write to which `check-write` agrees.
pub(super) const PIECE: usize = 64 << 10;
/// Most bytes that the streams of a program may write beyond the outbox's capacity before it has room again. Each
/// stream may have been allowed a piece when there was room for one.
const EXCESS: usize = 2 * PIECE;

/// The access of one program to the session's channel.
pub(crate) struct Streams {
    pipes: Arc<Shared>,
    charges: Charges,
    /// Who is charged for what is written.
    accounts: Arc<OutputCharges>,
    process: Arc<ProcessEntry>,
    has_terminal: bool,
    /// Bytes that were written beyond the outbox's capacity since it last had room.
    excess: AtomicUsize,
    /// Room in the accounts that a write has waited for. It is kept until the next write, so that another who waits
    /// does not take it in between: at most a piece, given back when the program is stopped or ends.
    waited: Mutex<Option<KeptSpace>>,
    /// The program has read from standard input or written to standard output.
    used: AtomicBool,
}

/// A program has written to a pipe or a client that nobody reads any more, and SIGPIPE ends it.
#[derive(Debug)]
pub(crate) struct BrokenPipe;

impl fmt::Display for BrokenPipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it wrote to what nobody reads any more")
    }
}

impl std::error::Error for BrokenPipe {}

impl Streams {
    /// Of this process, which has this channel.
    pub(in crate::host) fn new(channel: &Channel, process: &Arc<ProcessEntry>) -> Arc<Self> {
        Arc::new(Self {
            pipes: Arc::clone(&channel.pipes),
            charges: channel.charges.clone(),
            accounts: Arc::clone(&channel.output),
            process: Arc::clone(process),
            has_terminal: channel.has_terminal(),
            excess: AtomicUsize::new(0),
            waited: Mutex::default(),
            used: AtomicBool::new(false),
        })
    }

    /// Gives room back that a write has waited for.
    pub(crate) fn give_back_space(&self) {
        drop(self.take_waited());
    }

    fn take_waited(&self) -> Option<KeptSpace> {
        self.lock_waited().take()
    }

    fn lock_waited(&self) -> MutexGuard<'_, Option<KeptSpace>> {
        self.waited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has_terminal(&self) -> bool {
        self.has_terminal
    }

    /// Whether the program has read standard input or written standard output: it has started well. The message of a
    /// panic, on standard error, is no sign of that.
    pub(crate) fn were_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// Charges memory for bytes that wait to be written to a file.
    pub(super) fn charge(&self, bytes: usize) -> Option<Charge> {
        self.charges.memory(bytes)
    }

    /// It has read or written.
    pub(super) fn mark_used(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    /// Whether a background process that writes to the terminal is stopped.
    pub(super) fn stops_output(&self) -> bool {
        self.pipes.stops_output()
    }

    /// Registers the task of the process.
    fn register(&self, context: &Context<'_>) {
        self.pipes.register_process(self.process.id(), context);
    }

    /// Reads what has arrived.
    pub(super) fn read(&self, most: usize) -> StreamResult<Bytes> {
        match self.pipes.read_stdin(most.min(PIECE)) {
            StdinRead::Bytes(bytes) => Ok(bytes),
            StdinRead::Nothing => Ok(Bytes::new()),
            StdinRead::End => Err(StreamError::Closed),
        }
    }

    /// Waits until a read finds bytes or the end. A stopped program waits until it continues.
    pub(super) async fn readable(&self) {
        poll_fn(|context| {
            self.register(context);
            if !self.process.must_wait() && self.pipes.has_stdin() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Sends as many of the bytes as there is room for, and returns how many.
    pub(super) fn send(&self, to: Output, bytes: &[u8]) -> StreamResult<usize> {
        self.check_reader(to)?;
        let mut waited = self.take_waited();
        let room = self.pipes.room().min(bytes.len());
        if room == 0 {
            return Ok(0);
        }
        let space = match &mut waited {
            Some(kept) => kept.take(room),
            None => match free_space(self.charges.tenant().budget(), &self.accounts, room) {
                Ok(space) => space,
                Err(_) => return Ok(0),
            },
        };
        let taken = self.pipes.push(to, bytes, space);
        self.count_sent(taken);
        Ok(taken)
    }

    /// Sends all of the bytes, as many as `check-write` has allowed before.
    pub(super) fn send_allowed(&self, to: Output, bytes: &[u8]) -> StreamResult<()> {
        let rest = &bytes[self.send(to, bytes)?..];
        if rest.is_empty() {
            return Ok(());
        }
        let excess = self.excess.fetch_add(rest.len(), Ordering::Relaxed) + rest.len();
        if excess > EXCESS {
            return Err(too_much());
        }
        self.pipes.push_overdrawn(to, rest, &self.accounts);
        self.count_sent(rest.len());
        Ok(())
    }

    fn count_sent(&self, bytes: usize) {
        self.accounts.count_sent(bytes);
        self.accounts.relieve();
    }

    /// Room for one write now, in bytes. A client that reads no more takes any: the write fails, not the question.
    pub(super) fn room(&self, to: Output) -> StreamResult<usize> {
        if self.has_reader_left(to) {
            return Ok(PIECE);
        }
        self.check_reader(to)?;
        let room = self.pipes.room().min(PIECE);
        if room == 0 {
            return Ok(0);
        }
        let waited = self.lock_waited().as_ref().map(KeptSpace::bytes);
        let room = match waited {
            Some(bytes) => room.min(bytes),
            None => free_space(self.charges.tenant().budget(), &self.accounts, room).map_or(0, |space| space.bytes()),
        };
        if room > 0 {
            self.excess.store(0, Ordering::Relaxed);
        }
        Ok(room)
    }

    /// Waits until there is room, or nobody reads any more. A stopped program waits until it continues.
    pub(super) async fn writable(&self) {
        loop {
            self.room_in_outbox().await;
            let room = self.pipes.room().min(PIECE);
            if self.pipes.is_closed() {
                return;
            }
            if room == 0 {
                continue;
            }
            if self.lock_waited().is_some() {
                return;
            }
            match free_space(self.charges.tenant().budget(), &self.accounts, room) {
                Ok(_) => return,
                Err(total) => {
                    self.charges.log().log_exhausted(total);
                    if self.room_in_accounts(room).await {
                        return;
                    }
                }
            }
        }
    }

    async fn room_in_outbox(&self) {
        poll_fn(|context| {
            self.register(context);
            let ready = self.pipes.is_closed() || self.pipes.room() > 0 || self.pipes.has_room_or_watches();
            if !self.process.must_wait() && ready { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Waits in the lines of the accounts, and keeps what it gets for the next write. A stopped program leaves them, so
    /// that others are served. False if nobody reads any more.
    async fn room_in_accounts(&self, bytes: usize) -> bool {
        let mut waiting: Option<Pin<Box<dyn Future<Output = Space<'_>> + Send + '_>>> = None;
        poll_fn(|context| {
            self.register(context);
            if self.process.must_wait() {
                waiting = None;
                return Poll::Pending;
            }
            if self.pipes.is_closed() {
                return Poll::Ready(false);
            }
            let budget = self.charges.tenant().budget();
            let waiting = waiting.get_or_insert_with(|| Box::pin(space(budget, &self.accounts, bytes)));
            waiting.as_mut().poll(context).map(|space| {
                *self.lock_waited() = Some(space.keep(&self.accounts));
                true
            })
        })
        .await
    }

    /// Whether the client reads no more of this stream, or has left.
    fn has_reader_left(&self, to: Output) -> bool {
        (to == Output::Stdout && self.pipes.is_output_unread())
            || matches!(self.pipes.ended(), Some((Ending::ClientClosed | Ending::ConnectionLost, _)))
    }

    /// Writes to a client that reads no more raise SIGPIPE, as under Unix. A program that catches it or ignores it gets
    /// an error.
    fn check_reader(&self, to: Output) -> StreamResult<()> {
        let has_left = self.has_reader_left(to);
        if !has_left && self.pipes.open_output().is_ok() {
            return Ok(());
        }
        if has_left && self.process.broken_pipe() {
            return Err(StreamError::Trap(BrokenPipe.into()));
        }
        Err(StreamError::Closed)
    }
}

/// A write of more bytes than `check-write` has allowed.
pub(super) fn too_much() -> StreamError {
    StreamError::trap("more was written than check-write allows")
}

/// Of a process that is not the first nothing is left where the session waits.
impl Drop for Streams {
    fn drop(&mut self) {
        if !self.process.is_first() {
            self.pipes.forget_process(self.process.id());
        }
    }
}
