//! WASI's streams over the descriptors of a program: standard input, output and error, and what is opened in `/dev/fd`.
//!
//! What a standard stream leads to is looked up at each use, so that `put` redirects a program that runs.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::descriptors::{IoFailure, ProcessIo};
use super::errno::code_of;
use super::stdio::{PIECE, too_much};
use crate::limits::budget::Charge;
use crate::posix::{ChannelStream, DescriptionTarget, Errno, OpenDescription};

impl From<IoFailure> for StreamError {
    fn from(failure: IoFailure) -> Self {
        match failure {
            IoFailure::Trap(error) => Self::Trap(error),
            IoFailure::Errno(Errno::BrokenPipe) => Self::Closed,
            IoFailure::Errno(errno) => failed(errno),
        }
    }
}

fn failed(errno: Errno) -> StreamError {
    StreamError::LastOperationFailed(code_of(errno).into())
}

/// Descriptor 0.
pub(super) struct Stdin {
    pub(super) io: Arc<ProcessIo>,
}

impl IsTerminal for Stdin {
    fn is_terminal(&self) -> bool {
        is_terminal(&self.io, 0)
    }
}

impl StdinStream for Stdin {
    /// Only WASI 0.3 asks for it, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(DescriptorReader::new(&self.io, StreamSource::Number(0)))
    }
}

/// Descriptor 1 or 2.
pub(super) struct Stdout {
    pub(super) io: Arc<ProcessIo>,
    pub(super) number: u32,
}

impl IsTerminal for Stdout {
    fn is_terminal(&self) -> bool {
        is_terminal(&self.io, self.number)
    }
}

impl StdoutStream for Stdout {
    /// Only WASI 0.3 asks for it, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(DescriptorWriter::new(&self.io, StreamSource::Number(self.number)))
    }
}

fn is_terminal(io: &ProcessIo, number: u32) -> bool {
    io.descriptors().get(number).is_some_and(|description| description.is_terminal())
}

/// What a stream is of.
pub(super) enum StreamSource {
    /// Whatever this number leads to.
    Number(u32),
    Open(Arc<OpenDescription>),
}

/// Finds what a stream leads to.
struct Lookup {
    io: Arc<ProcessIo>,
    source: StreamSource,
    /// The stream of the channel that the number led to last, and the version of the descriptors then. Nothing else is
    /// kept: it would stay open.
    known: Option<(u64, ChannelStream)>,
}

/// What a stream leads to now.
enum Target {
    Channel(DescriptionTarget),
    Open(Arc<OpenDescription>),
}

impl Target {
    fn target(&self) -> &DescriptionTarget {
        match self {
            Self::Channel(target) => target,
            Self::Open(description) => description.target(),
        }
    }

    /// The description, if it is a file.
    fn file(&self) -> Option<&Arc<OpenDescription>> {
        match self {
            Self::Open(description) if matches!(description.target(), DescriptionTarget::File(_)) => Some(description),
            _ => None,
        }
    }
}

impl Lookup {
    /// `None` if the number is not in use.
    fn find(&mut self) -> Option<Target> {
        let number = match &self.source {
            StreamSource::Open(description) => return Some(Target::Open(Arc::clone(description))),
            StreamSource::Number(number) => *number,
        };
        let version = self.io.descriptors().version();
        if let Some((then, stream)) = self.known
            && then == version
        {
            return Some(Target::Channel(DescriptionTarget::Channel(stream)));
        }
        let description = self.io.descriptors().get(number)?;
        if let DescriptionTarget::Channel(stream) = description.target() {
            self.known = Some((version, *stream));
        }
        Some(Target::Open(description))
    }

    /// The program has read or written. The message of a panic, on standard error, is no sign that it has started well.
    fn mark_used(&self) {
        if !matches!(self.source, StreamSource::Number(2)) {
            self.io.streams().mark_used();
        }
    }
}

/// A stream to read from. All of one description read the same bytes.
pub(super) struct DescriptorReader {
    lookup: Lookup,
    file: FileRead,
}

/// A read of a file, which may wait for a disk.
enum FileRead {
    Idle,
    Waiting(JoinHandle<ChargedRead>),
    Done(Result<Bytes, Errno>, Option<Charge>),
}

/// What was read of a file, and what is charged for it until the program has taken it.
type ChargedRead = (Result<Bytes, Errno>, Option<Charge>);

impl DescriptorReader {
    pub(super) fn new(io: &Arc<ProcessIo>, source: StreamSource) -> Self {
        Self { lookup: Lookup { io: Arc::clone(io), source, known: None }, file: FileRead::Idle }
    }

    /// Begins to read a file. The task goes on whoever waits for it: it holds the offset, which others share.
    fn begin(&mut self, file: &OpenDescription, size: usize) {
        if let (FileRead::Idle, DescriptionTarget::File(file)) = (&self.file, file.target()) {
            let size = size.min(PIECE);
            // Anybody can make any number of streams of one descriptor.
            self.file = match self.lookup.io.streams().charge(size) {
                None => FileRead::Done(Err(Errno::NoMemory), None),
                Some(charge) => {
                    let read = file.read(size);
                    FileRead::Waiting(tokio::spawn(async move { (read.await, Some(charge)) }))
                }
            };
        }
    }

    async fn end_file_read(&mut self) {
        if let FileRead::Waiting(read) = &mut self.file {
            let (read, charge) = read.await.unwrap_or((Err(Errno::Io), None));
            self.file = FileRead::Done(read, charge);
        }
    }

    /// Takes what was read of a file; nothing while it waits.
    fn take_read(&mut self, size: usize) -> StreamResult<Bytes> {
        match std::mem::replace(&mut self.file, FileRead::Idle) {
            FileRead::Done(Ok(bytes), _) if bytes.is_empty() => Err(StreamError::Closed),
            FileRead::Done(Ok(mut bytes), charge) => {
                let piece = bytes.split_to(size.min(bytes.len()));
                if !bytes.is_empty() {
                    self.file = FileRead::Done(Ok(bytes), charge);
                }
                Ok(piece)
            }
            FileRead::Done(Err(errno), _) => Err(failed(errno)),
            waits => {
                self.file = waits;
                Ok(Bytes::new())
            }
        }
    }

    /// Reads at once; `None` if it would have to wait.
    fn try_read(&mut self, found: &Target, size: usize) -> StreamResult<Option<Bytes>> {
        match self.lookup.io.try_read(found.target(), size) {
            Ok(Some(bytes)) if bytes.is_empty() && size > 0 => Err(StreamError::Closed),
            Ok(bytes) => Ok(bytes),
            Err(errno) => Err(failed(errno)),
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for DescriptorReader {
    async fn ready(&mut self) {
        self.end_file_read().await;
        if let (FileRead::Idle, Some(found)) = (&self.file, self.lookup.find()) {
            self.lookup.io.readable(found.target()).await;
        }
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for DescriptorReader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.lookup.mark_used();
        if !matches!(self.file, FileRead::Idle) {
            return self.take_read(size);
        }
        let found = self.lookup.find().ok_or(StreamError::Closed)?;
        if let Some(file) = found.file() {
            if size > 0 {
                self.begin(file, size);
            }
            return Ok(Bytes::new());
        }
        Ok(self.try_read(&found, size)?.unwrap_or_default())
    }

    /// Like the method that it replaces, but a background process that reads from the terminal learns that at once.
    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.lookup.mark_used();
        loop {
            self.end_file_read().await;
            if !matches!(self.file, FileRead::Idle) {
                return self.take_read(size);
            }
            let found = self.lookup.find().ok_or(StreamError::Closed)?;
            if size == 0 {
                self.lookup.io.readable(found.target()).await;
                return Ok(Bytes::new());
            }
            if let Some(file) = found.file() {
                self.begin(file, size);
                continue;
            }
            if let Some(bytes) = self.try_read(&found, size)? {
                return Ok(bytes);
            }
            let io = &self.lookup.io;
            io.unless_continued(io.readable(found.target())).await;
        }
    }

    async fn cancel(&mut self) {
        self.end_file_read().await;
    }
}

/// A stream to write to.
pub(super) struct DescriptorWriter {
    lookup: Lookup,
    /// Bytes that the last `check-write` has allowed and that were not written yet.
    allowed: usize,
    /// A write to a file, which may wait for a disk, and what is charged for its bytes.
    file: Option<JoinHandle<Result<(), Errno>>>,
    /// Why it failed, until that is reported.
    failure: Option<Errno>,
}

impl DescriptorWriter {
    pub(super) fn new(io: &Arc<ProcessIo>, source: StreamSource) -> Self {
        Self { lookup: Lookup { io: Arc::clone(io), source, known: None }, allowed: 0, file: None, failure: None }
    }

    fn wrote(&self, bytes: usize) {
        if bytes > 0 {
            self.lookup.mark_used();
        }
    }

    fn check(&mut self) -> StreamResult<()> {
        self.failure.take().map_or(Ok(()), |errno| Err(failed(errno)))
    }

    async fn end_file_write(&mut self) {
        if let Some(write) = &mut self.file {
            self.failure = write.await.unwrap_or(Err(Errno::Io)).err();
            self.file = None;
        }
    }

    /// Begins to write to a file. The task goes on whoever waits for it: it holds the offset, which others share.
    fn begin(&mut self, file: &Arc<OpenDescription>, bytes: Bytes) -> StreamResult<()> {
        let io = &self.lookup.io;
        let charge = io.streams().charge(bytes.len()).ok_or_else(|| failed(Errno::NoMemory))?;
        self.file = Some(tokio::spawn(write_all(Arc::clone(file), bytes, io.file_limit(), charge)));
        Ok(())
    }
}

/// Writes all of the bytes to a file.
async fn write_all(
    description: Arc<OpenDescription>,
    mut bytes: Bytes,
    limit: Option<u64>,
    charge: Charge,
) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let DescriptionTarget::File(file) = description.target() else { return Err(Errno::BadDescriptor) };
        let written = file.write(bytes.clone(), limit).await?;
        drop(bytes.split_to(written.min(bytes.len())));
    }
    drop(charge);
    Ok(())
}

#[wasmtime_wasi::async_trait]
impl Pollable for DescriptorWriter {
    async fn ready(&mut self) {
        self.end_file_write().await;
        if let Some(found) = self.lookup.find() {
            self.lookup.io.writable(found.target()).await;
        }
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for DescriptorWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.allowed = self.allowed.checked_sub(bytes.len()).ok_or_else(too_much)?;
        self.wrote(bytes.len());
        let found = self.lookup.find().ok_or(StreamError::Closed)?;
        match found.file() {
            Some(_) if self.file.is_some() => Err(too_much()),
            Some(_) if bytes.is_empty() => Ok(()),
            Some(file) => self.begin(file, bytes),
            None => Ok(self.lookup.io.write_allowed(found.target(), &bytes)?),
        }
    }

    /// What was written is on its way: only a file has a buffer, and `check-write` waits for that.
    fn flush(&mut self) -> StreamResult<()> {
        self.check()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.check()?;
        let found = self.lookup.find().ok_or(StreamError::Closed)?;
        self.allowed = match found.file() {
            Some(_) if self.file.is_some() => 0,
            Some(_) => PIECE,
            None => self.lookup.io.room(found.target())?,
        };
        Ok(self.allowed)
    }

    async fn blocking_write_and_flush(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        loop {
            self.end_file_write().await;
            self.check()?;
            if bytes.is_empty() {
                return Ok(());
            }
            let found = self.lookup.find().ok_or(StreamError::Closed)?;
            if let Some(file) = found.file() {
                self.wrote(bytes.len());
                self.begin(file, std::mem::take(&mut bytes))?;
                continue;
            }
            let sent = self.lookup.io.try_write(found.target(), &bytes)?;
            self.wrote(sent);
            if sent == bytes.len() {
                return Ok(());
            }
            drop(bytes.split_to(sent));
            let io = &self.lookup.io;
            io.unless_continued(io.writable(found.target())).await;
        }
    }

    async fn write_ready(&mut self) -> StreamResult<usize> {
        loop {
            let room = self.check_write()?;
            if room > 0 {
                return Ok(room);
            }
            self.ready().await;
        }
    }

    async fn cancel(&mut self) {
        self.end_file_write().await;
    }
}
