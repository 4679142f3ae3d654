//! Open file descriptions (POSIX, "open file description").

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use super::errno::Errno;
use super::pipe::{PipeReader, PipeWriter};

/// An open file description. Numbers of several processes may lead to it. It is closed when the last who holds it drops
/// it.
pub(crate) struct OpenDescription {
    target: DescriptionTarget,
    /// Its place among the open files of its session and its tenant.
    _place: Option<Box<dyn Send + Sync>>,
}

/// What is open.
pub(crate) enum DescriptionTarget {
    /// A stream of the session's channel. Each process reaches it by its own access to the channel.
    Channel(ChannelStream),
    /// The end of a pipe to read from.
    Reader(PipeReader),
    /// The end of a pipe to write to.
    Writer(PipeWriter),
    /// A file, a directory or a device.
    File(Box<dyn FileDescription>),
}

/// A stream of the session's channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChannelStream {
    /// The terminal, for reading and writing.
    Terminal,
    /// What the client sends, without a terminal.
    Input,
    /// Standard output, without a terminal.
    Output,
    /// Standard error, without a terminal.
    Error,
}

/// What a description is (fstat(2), of which this is the type, and isatty(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DescriptionKind {
    File,
    Directory,
    Pipe,
    Terminal,
    Device,
}

/// From where an offset counts: `SEEK_SET`, `SEEK_CUR`, `SEEK_END`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whence {
    Start,
    Current,
    End,
}

/// Work on a file, which may wait for a disk.
pub(crate) type Operation<R> = Pin<Box<dyn Future<Output = Result<R, Errno>> + Send>>;

/// An open file, directory or device, with an offset that all share who hold it. Reads and writes never wait for
/// another process.
pub(crate) trait FileDescription: Send + Sync {
    fn kind(&self) -> DescriptionKind;

    /// Whether it was opened for reading, and for writing.
    fn access(&self) -> (bool, bool);

    /// Reads at most `most` bytes; none at the end.
    fn read(&self, most: usize) -> Operation<Bytes>;

    /// Writes at least one of the bytes, and no file beyond `limit` bytes. Returns how many were written.
    fn write(&self, bytes: Bytes, limit: Option<u64>) -> Operation<usize>;

    /// Moves the offset, and returns the new one.
    fn seek(&self, offset: i64, whence: Whence) -> Operation<u64>;

    /// Truncates or extends it.
    fn truncate(&self, size: u64, limit: Option<u64>) -> Operation<()>;
}

impl OpenDescription {
    /// `place` is kept for as long as it is open.
    pub(crate) fn new(target: DescriptionTarget, place: impl Send + Sync + 'static) -> Self {
        Self { target, _place: Some(Box::new(place)) }
    }

    /// A stream of the channel. It takes no place: every process of the session may have it.
    pub(crate) fn of_channel(stream: ChannelStream) -> Self {
        Self { target: DescriptionTarget::Channel(stream), _place: None }
    }

    /// What it leads to.
    pub(crate) fn target(&self) -> &DescriptionTarget {
        &self.target
    }

    pub(crate) fn kind(&self) -> DescriptionKind {
        match &self.target {
            DescriptionTarget::Channel(ChannelStream::Terminal) => DescriptionKind::Terminal,
            DescriptionTarget::Channel(_) | DescriptionTarget::Reader(_) | DescriptionTarget::Writer(_) => {
                DescriptionKind::Pipe
            }
            DescriptionTarget::File(file) => file.kind(),
        }
    }

    /// Whether it can be read from, and written to.
    pub(crate) fn access(&self) -> (bool, bool) {
        match &self.target {
            DescriptionTarget::Channel(stream) => (stream.is_input(), stream.is_output()),
            DescriptionTarget::Reader(_) => (true, false),
            DescriptionTarget::Writer(_) => (false, true),
            DescriptionTarget::File(file) => file.access(),
        }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.kind() == DescriptionKind::Terminal
    }
}

impl ChannelStream {
    /// Whether it can be read from.
    pub(crate) fn is_input(self) -> bool {
        matches!(self, Self::Terminal | Self::Input)
    }

    /// Whether it can be written to.
    pub(crate) fn is_output(self) -> bool {
        self != Self::Input
    }
}

impl fmt::Debug for OpenDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenDescription").field(&self.kind()).finish()
    }
}
