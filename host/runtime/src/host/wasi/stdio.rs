//! The standard streams of a program: descriptors 0, 1 and 2, which are the session's channel.
//!
//! They lie directly on the session's pipes, without a task and without a buffer of their own. Reading takes bytes from
//! the inbox, and their credit goes back to the client; writing puts bytes into the outbox, and waits while that is
//! full. [`Streams`] is the only place that bytes pass on either way.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use crate::channel::{Shared, StdinRead};
use crate::host::channel::{Channel, free_space, space};
use crate::host::charges::Charges;
use crate::host::gate::StopGate;
use crate::limits::output_charges::{OutputCharges, Space};
use crate::session_types::{Ending, Output, SignalName};

/// Most bytes of one read, and of one write to which `check-write` agrees.
const PIECE: usize = 64 << 10;
/// Most bytes beyond the outbox's capacity, of writes that `check-write` agreed to before others filled it.
const EXCESS: usize = 2 * PIECE;

/// What the three streams of one program share.
pub(crate) struct Streams {
    pipes: Arc<Shared>,
    charges: Charges,
    /// Who is charged for what is written.
    accounts: Arc<OutputCharges>,
    gate: Arc<StopGate>,
    has_terminal: bool,
    /// The program has read standard input or written standard output.
    used: AtomicBool,
    /// Bytes that were written beyond the outbox's capacity since it last had room.
    excess: AtomicUsize,
}

/// A program has written to a client that reads no more, and does not catch SIGPIPE.
#[derive(Debug)]
pub(crate) struct BrokenPipe;

impl fmt::Display for BrokenPipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it wrote to a client that reads no more")
    }
}

impl std::error::Error for BrokenPipe {}

impl Streams {
    /// Of a program that has this channel, and waits at this gate while it is stopped.
    pub(in crate::host) fn new(channel: &Channel, gate: &Arc<StopGate>) -> Arc<Self> {
        Arc::new(Self {
            pipes: Arc::clone(&channel.pipes),
            charges: channel.charges.clone(),
            accounts: Arc::clone(&channel.output),
            gate: Arc::clone(gate),
            has_terminal: channel.has_terminal(),
            used: AtomicBool::new(false),
            excess: AtomicUsize::new(0),
        })
    }

    pub(crate) fn has_terminal(&self) -> bool {
        self.has_terminal
    }

    /// Whether the program has read standard input or written standard output: it has started well.
    pub(crate) fn were_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// Reads what has arrived.
    fn read(&self, most: usize) -> StreamResult<Bytes> {
        let read = self.pipes.read_stdin(most.min(PIECE));
        self.used.store(true, Ordering::Relaxed);
        match read {
            StdinRead::Bytes(bytes) => Ok(bytes),
            StdinRead::Nothing => Ok(Bytes::new()),
            StdinRead::End => Err(StreamError::Closed),
        }
    }

    /// Waits until a read finds bytes or the end. A stopped program waits until it continues.
    async fn readable(&self) {
        poll_fn(|context| {
            self.pipes.register_waker(context);
            if self.gate.is_open() && self.pipes.has_stdin() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Sends as many of the bytes as there is room for, and returns how many.
    fn send(&self, to: Output, bytes: &[u8]) -> StreamResult<usize> {
        self.check_reader(to)?;
        let room = self.pipes.room().min(bytes.len());
        let Some(space) = self.space(room) else { return Ok(0) };
        let taken = self.pipes.push(to, bytes, space);
        // The message of a panic is no sign that it has started well.
        if to == Output::Stdout {
            self.used.store(true, Ordering::Relaxed);
        }
        self.charges.tenant().budget().output_rate.take(u64::try_from(taken).unwrap_or(u64::MAX));
        self.accounts.relieve();
        Ok(taken)
    }

    /// Sends all of the bytes, to which [`room`](Self::room) agreed before.
    fn send_agreed(&self, to: Output, bytes: &[u8]) -> StreamResult<()> {
        let rest = &bytes[self.send(to, bytes)?..];
        if rest.is_empty() {
            return Ok(());
        }
        let excess = self.excess.fetch_add(rest.len(), Ordering::Relaxed) + rest.len();
        if excess > EXCESS {
            return Err(StreamError::trap("more was written than check-write allows"));
        }
        self.pipes.push_beyond(to, rest);
        Ok(())
    }

    /// Room for one write now, in bytes.
    fn room(&self, to: Output) -> StreamResult<usize> {
        self.check_reader(to)?;
        let room = self.space(self.pipes.room().min(PIECE)).map_or(0, |space| space.bytes());
        if room > 0 {
            self.excess.store(0, Ordering::Relaxed);
        }
        Ok(room)
    }

    /// Room for so many bytes in the accounts that are charged; none if they have none now.
    fn space(&self, bytes: usize) -> Option<Space<'_>> {
        if bytes == 0 {
            return None;
        }
        free_space(self.charges.tenant().budget(), &self.accounts, bytes).ok()
    }

    /// Waits until there may be room, or nobody reads any more. A stopped program waits until it continues.
    async fn writable(&self) {
        loop {
            self.room_in_outbox().await;
            if self.pipes.is_closed() {
                return;
            }
            let room = self.pipes.room().min(PIECE);
            match free_space(self.charges.tenant().budget(), &self.accounts, room) {
                Ok(_) if room > 0 => return,
                Ok(_) => {}
                Err(total) => {
                    self.charges.log().log_exhausted(total);
                    self.room_in_accounts(room).await;
                }
            }
        }
    }

    async fn room_in_outbox(&self) {
        poll_fn(|context| {
            self.pipes.register_waker(context);
            let ready = self.pipes.is_closed() || self.pipes.room() > 0 || self.pipes.has_room_or_watches();
            if self.gate.is_open() && ready { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Waits in the lines of the accounts. A stopped program leaves them, so that others are served.
    async fn room_in_accounts(&self, bytes: usize) {
        let mut waiting: Option<Pin<Box<dyn Future<Output = Space<'_>> + Send + '_>>> = None;
        poll_fn(|context| {
            self.pipes.register_waker(context);
            if !self.gate.is_open() {
                waiting = None;
                return Poll::Pending;
            }
            if self.pipes.is_closed() {
                return Poll::Ready(());
            }
            let budget = self.charges.tenant().budget();
            let waiting = waiting.get_or_insert_with(|| Box::pin(space(budget, &self.accounts, bytes)));
            waiting.as_mut().poll(context).map(drop)
        })
        .await;
    }

    /// Writes to a client that reads no more raise SIGPIPE, as under Unix. A program that catches it gets an error.
    fn check_reader(&self, to: Output) -> StreamResult<()> {
        let unread = to == Output::Stdout && self.pipes.is_output_unread();
        if !unread && self.pipes.open_output().is_ok() {
            return Ok(());
        }
        let left = matches!(self.pipes.ended(), Some((Ending::ClientClosed | Ending::ConnectionLost, _)));
        if (left || unread) && !self.pipes.raise_caught(&SignalName::Pipe) {
            return Err(StreamError::Trap(BrokenPipe.into()));
        }
        Err(StreamError::Closed)
    }
}

/// Descriptor 0.
pub(super) struct Stdin {
    pub(super) streams: Arc<Streams>,
}

impl IsTerminal for Stdin {
    fn is_terminal(&self) -> bool {
        self.streams.has_terminal
    }
}

impl StdinStream for Stdin {
    /// Only WASI 0.3 asks for it, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(Reader { streams: Arc::clone(&self.streams) })
    }
}

/// Descriptor 1 or 2.
pub(super) struct Stdout {
    pub(super) streams: Arc<Streams>,
    pub(super) to: Output,
}

impl IsTerminal for Stdout {
    fn is_terminal(&self) -> bool {
        self.streams.has_terminal
    }
}

impl StdoutStream for Stdout {
    /// Only WASI 0.3 asks for it, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Writer { streams: Arc::clone(&self.streams), to: self.to })
    }
}

/// One handle of standard input. All read the same bytes.
struct Reader {
    streams: Arc<Streams>,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {
        self.streams.readable().await;
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.streams.read(size)
    }
}

/// One handle of an output stream.
struct Writer {
    streams: Arc<Streams>,
    to: Output,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        self.streams.writable().await;
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        // A larger one would be memory that nobody is charged for.
        if bytes.len() > PIECE {
            return Err(StreamError::trap("more was written than check-write allows"));
        }
        self.streams.send_agreed(self.to, &bytes)
    }

    /// What was written is on its way: there is no buffer in front of the outbox.
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.streams.room(self.to)
    }

    async fn blocking_write_and_flush(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        loop {
            let sent = self.streams.send(self.to, &bytes)?;
            if sent == bytes.len() {
                return Ok(());
            }
            bytes = bytes.split_off(sent);
            self.streams.writable().await;
        }
    }

    /// Others of the tenant may take the room before this task runs, any number of times.
    async fn write_ready(&mut self) -> StreamResult<usize> {
        loop {
            let room = self.streams.room(self.to)?;
            if room > 0 {
                return Ok(room);
            }
            self.streams.writable().await;
        }
    }
}
