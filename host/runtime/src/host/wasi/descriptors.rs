//! How a program reads and writes what its descriptors lead to: for WASI's standard streams, for `/dev/fd`, and for
//! `whelk:process`.
//!
//! Nothing is taken by a process that is stopped, or that may not use the terminal: that is decided when the bytes are
//! handed over, and not when the wait begins.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use wasmtime_wasi::p2::StreamError;

use super::stdio::{BrokenPipe, PIECE, Streams};
use crate::posix::process::ProcessEntry;
use crate::posix::table::TerminalAccess;
use crate::posix::{ATOMIC_WRITE, ChannelStream, DescriptionTarget, Descriptors, Errno, OpenDescription};
use crate::session_types::Output;

/// The descriptors of one process, and how it uses them.
pub(crate) struct ProcessIo {
    descriptors: Arc<Descriptors>,
    streams: Arc<Streams>,
    process: Arc<ProcessEntry>,
    /// Where the paths begin that it opens.
    directory: String,
    /// The largest file that it may write, in bytes (RLIMIT_FSIZE).
    file_limit: Option<u64>,
}

/// Why a read or a write fails.
#[derive(Debug)]
pub(in crate::host) enum IoFailure {
    Errno(Errno),
    /// It ends the program.
    Trap(wasmtime::Error),
}

impl From<Errno> for IoFailure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// That of a write to the channel.
impl From<StreamError> for IoFailure {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Trap(error) => Self::Trap(error),
            StreamError::Closed => Self::Errno(Errno::BrokenPipe),
            StreamError::LastOperationFailed(_) => Self::Errno(Errno::Io),
        }
    }
}

impl ProcessIo {
    pub(in crate::host) fn new(
        descriptors: Arc<Descriptors>,
        streams: Arc<Streams>,
        process: Arc<ProcessEntry>,
        directory: String,
        file_limit: Option<u64>,
    ) -> Arc<Self> {
        Arc::new(Self { descriptors, streams, process, directory, file_limit })
    }

    pub(in crate::host) fn directory(&self) -> &str {
        &self.directory
    }

    pub(crate) fn descriptors(&self) -> &Arc<Descriptors> {
        &self.descriptors
    }

    pub(crate) fn streams(&self) -> &Arc<Streams> {
        &self.streams
    }

    pub(in crate::host) fn file_limit(&self) -> Option<u64> {
        self.file_limit
    }

    /// The terminal, whatever the numbers lead to; `None` if there is none.
    pub(super) fn terminal(&self) -> Option<Arc<OpenDescription>> {
        let terminal = || Arc::new(OpenDescription::of_channel(ChannelStream::Terminal));
        self.streams.has_terminal().then(terminal)
    }

    /// Whether the process must not go on.
    fn must_wait(&self) -> bool {
        self.process.must_wait()
    }

    /// Whether the process may read from the terminal now. If not, a signal was sent to its group.
    fn may_read(&self, stream: ChannelStream) -> Result<bool, Errno> {
        if stream == ChannelStream::Terminal { self.permitted(self.process.read_terminal()) } else { Ok(true) }
    }

    /// The same for writing.
    fn may_write(&self, stream: ChannelStream) -> Result<bool, Errno> {
        if stream == ChannelStream::Terminal && self.streams.stops_output() {
            self.permitted(self.process.change_terminal())
        } else {
            Ok(true)
        }
    }

    fn permitted(&self, access: TerminalAccess) -> Result<bool, Errno> {
        match access {
            TerminalAccess::Permitted => Ok(true),
            // The signal is caught, and waits.
            TerminalAccess::Stopped if !self.must_wait() && self.process.is_interrupted() => Err(Errno::Interrupted),
            TerminalAccess::Stopped => Ok(false),
            TerminalAccess::Refused => Err(Errno::Io),
        }
    }

    /// Reads at most `most` bytes of anything but a file. `None` if it would have to wait; no bytes are the end.
    pub(super) fn try_read(&self, from: &DescriptionTarget, most: usize) -> Result<Option<Bytes>, Errno> {
        match from {
            DescriptionTarget::Channel(stream) => self.read_channel(*stream, most),
            DescriptionTarget::Reader(_) if self.must_wait() => Ok(None),
            DescriptionTarget::Reader(pipe) => match pipe.try_read(most.min(PIECE)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(Errno::Again) => Ok(None),
                Err(errno) => Err(errno),
            },
            DescriptionTarget::Writer(_) | DescriptionTarget::File(_) => Err(Errno::BadDescriptor),
        }
    }

    fn read_channel(&self, stream: ChannelStream, most: usize) -> Result<Option<Bytes>, Errno> {
        if !stream.is_input() {
            return Err(Errno::BadDescriptor);
        }
        if self.must_wait() || !self.may_read(stream)? {
            return Ok(None);
        }
        match self.streams.read(most) {
            Ok(bytes) if bytes.is_empty() && most > 0 => Ok(None),
            Ok(bytes) => Ok(Some(bytes)),
            Err(_) => Ok(Some(Bytes::new())),
        }
    }

    /// Waits until a read would not wait. A stopped process waits until it continues.
    pub(in crate::host) async fn readable(&self, from: &DescriptionTarget) {
        match from {
            DescriptionTarget::Channel(stream) if stream.is_input() => self.streams.readable().await,
            DescriptionTarget::Reader(pipe) => {
                let wait = pipe.wait();
                self.while_running(|context| pipe.poll_readable(&wait, context)).await;
            }
            _ => {}
        }
    }

    /// Queues as many of the bytes as there is room for, in anything but a file, and returns how many.
    pub(super) fn try_write(&self, to: &DescriptionTarget, bytes: &Bytes) -> Result<usize, IoFailure> {
        match to {
            DescriptionTarget::Channel(stream) => {
                let to = output_of(*stream)?;
                if self.must_wait() || !self.may_write(*stream)? {
                    return Ok(0);
                }
                Ok(self.streams.send(to, bytes)?)
            }
            DescriptionTarget::Writer(_) if self.must_wait() => Ok(0),
            DescriptionTarget::Writer(pipe) => match pipe.try_write(bytes) {
                Err(Errno::Again) => Ok(0),
                written => written.map_err(|errno| self.failed_write(errno)),
            },
            DescriptionTarget::Reader(_) | DescriptionTarget::File(_) => Err(Errno::BadDescriptor.into()),
        }
    }

    /// Queues all of the bytes, as many as [`room`](Self::room) has allowed before.
    pub(super) fn write_allowed(&self, to: &DescriptionTarget, bytes: &Bytes) -> Result<(), IoFailure> {
        match to {
            DescriptionTarget::Channel(stream) => Ok(self.streams.send_allowed(output_of(*stream)?, bytes)?),
            DescriptionTarget::Writer(pipe) => pipe.write_allowed(bytes).map_err(|errno| self.failed_write(errno)),
            DescriptionTarget::Reader(_) | DescriptionTarget::File(_) => Err(Errno::BadDescriptor.into()),
        }
    }

    /// How many bytes one write may have now. Where nobody reads any more it may have any: the write fails.
    pub(super) fn room(&self, to: &DescriptionTarget) -> Result<usize, IoFailure> {
        match to {
            DescriptionTarget::Channel(stream) => {
                let to = output_of(*stream)?;
                if !self.may_write(*stream)? {
                    return Ok(0);
                }
                Ok(self.streams.room(to)?)
            }
            DescriptionTarget::Writer(pipe) => {
                // Others may use the room before this process does.
                Ok(if pipe.room() < ATOMIC_WRITE { 0 } else { ATOMIC_WRITE })
            }
            DescriptionTarget::Reader(_) | DescriptionTarget::File(_) => Err(Errno::BadDescriptor.into()),
        }
    }

    /// Waits until a write would take a byte, or fail. A stopped process waits until it continues.
    pub(in crate::host) async fn writable(&self, to: &DescriptionTarget) {
        match to {
            DescriptionTarget::Channel(stream) if stream.is_output() => self.streams.writable().await,
            DescriptionTarget::Writer(pipe) => {
                let wait = pipe.wait();
                self.while_running(|context| pipe.poll_writable(&wait, context)).await;
            }
            _ => {}
        }
    }

    /// Waits for `ready`, which is asked only while the process is not stopped.
    async fn while_running(&self, mut ready: impl FnMut(&Context<'_>) -> Poll<()>) {
        poll_fn(|context| {
            self.process.register_waker(context);
            if self.must_wait() { Poll::Pending } else { ready(context) }
        })
        .await;
    }

    /// A write has failed. One to a pipe that nobody reads raises SIGPIPE.
    fn failed_write(&self, errno: Errno) -> IoFailure {
        if errno == Errno::BrokenPipe && self.process.broken_pipe() {
            return IoFailure::Trap(BrokenPipe.into());
        }
        errno.into()
    }

    /// Waits for `ready`. Ends earlier when the process was stopped and has continued: what it may do is asked again.
    pub(super) async fn unless_continued(&self, ready: impl Future<Output = ()>) {
        let (mut ready, mut was_stopped) = (pin!(ready), false);
        poll_fn(|context| {
            let is_stopped = self.must_wait();
            was_stopped |= is_stopped;
            match ready.as_mut().poll(context) {
                Poll::Pending if was_stopped && !is_stopped => Poll::Ready(()),
                ready => ready,
            }
        })
        .await;
    }

    /// Waits for `ready`, unless a caught signal waits or arrives.
    async fn unless_interrupted(&self, ready: impl Future<Output = ()>) -> Result<(), Errno> {
        let mut ready = pin!(ready);
        poll_fn(|context| {
            self.process.register_waker(context);
            if self.process.is_interrupted() && !self.must_wait() {
                return Poll::Ready(Err(Errno::Interrupted));
            }
            ready.as_mut().poll(context).map(Ok)
        })
        .await
    }

    /// read(2).
    pub(in crate::host) async fn read(&self, from: &OpenDescription, most: usize) -> Result<Bytes, Errno> {
        let target = from.target();
        if let DescriptionTarget::File(file) = target {
            return file.read(most.min(PIECE)).await;
        }
        loop {
            if let Some(bytes) = self.try_read(target, most)? {
                self.streams.mark_used();
                return Ok(bytes);
            }
            self.unless_interrupted(self.unless_continued(self.readable(target))).await?;
        }
    }

    /// Writes a line of the host's to descriptor 2. Waits for room at most for `longest`, and until SIGKILL arrives.
    pub(crate) async fn complain(&self, line: &str, longest: Duration) {
        let Some(description) = self.descriptors.get(2) else { return };
        let killed = poll_fn(|context| {
            self.process.register_waker(context);
            if self.process.killed().is_some() { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::select! {
            biased;
            () = killed => {}
            // Whoever reads it may be gone or busy, or the disk full or slow.
            _ = timeout(longest, self.write_line(description.target(), line)) => {}
        }
    }

    async fn write_line(&self, to: &DescriptionTarget, line: &str) {
        let mut bytes = Bytes::copy_from_slice(line.as_bytes());
        if let DescriptionTarget::File(file) = to {
            let _ = file.write(bytes, self.file_limit).await;
            return;
        }
        while let Ok(written) = self.try_write(to, &bytes) {
            drop(bytes.split_to(written));
            if bytes.is_empty() {
                return;
            }
            self.unless_continued(self.writable(to)).await;
        }
    }

    /// write(2).
    pub(in crate::host) async fn write(&self, to: &OpenDescription, bytes: Bytes) -> Result<usize, IoFailure> {
        let target = to.target();
        if let DescriptionTarget::File(file) = target {
            return Ok(file.write(bytes, self.file_limit).await?);
        }
        // As under Linux it is no write then: nobody need read it.
        if bytes.is_empty() && to.access().1 {
            return Ok(0);
        }
        loop {
            let written = self.try_write(target, &bytes)?;
            if written > 0 {
                self.streams.mark_used();
                return Ok(written);
            }
            self.unless_interrupted(self.unless_continued(self.writable(target))).await?;
        }
    }
}

/// Where in the channel the bytes go that are written to this stream. A terminal has one stream of output.
fn output_of(stream: ChannelStream) -> Result<Output, Errno> {
    match stream {
        ChannelStream::Terminal | ChannelStream::Output => Ok(Output::Stdout),
        ChannelStream::Error => Ok(Output::Stderr),
        ChannelStream::Input => Err(Errno::BadDescriptor),
    }
}
