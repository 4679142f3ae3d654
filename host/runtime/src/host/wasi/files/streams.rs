//! Files as streams: a piece at a time is read, at once or else by a task of its own, or charged and written by one.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::session::{Handle, Stream, WRITE};
use crate::grants::{DiskWait, Position, READ};

/// Bytes to read when the plugin waits without having said how many it wants.
const READ_AHEAD: usize = 4 << 10;

/// An input stream of a file.
pub(super) struct Reader {
    handle: Arc<Handle>,
    offset: u64,
    state: Reading,
    stream: Arc<Stream>,
}

enum Reading {
    Idle,
    Waiting(JoinHandle<Result<Vec<u8>, ErrorCode>>),
    Ready(Bytes),
    Failed(ErrorCode),
    End,
}

impl Reader {
    pub(super) fn new(handle: Arc<Handle>, offset: u64, stream: Stream) -> Self {
        Self { handle, offset, state: Reading::Idle, stream: Arc::new(stream) }
    }

    fn begin(&mut self, length: usize) {
        let (handle, offset, length) = (Arc::clone(&self.handle), self.offset, length.min(READ));
        let session = self.handle.session();
        let read = move |wait| handle.read(offset, length, wait);
        self.state = match session.at_once(self.handle.is_local(), |_, wait| read(wait)) {
            Some(done) => done.into(),
            None => {
                let stream = Arc::clone(&self.stream);
                Reading::Waiting(tokio::spawn(session.run_blocking(move |_| {
                    let read = read(DiskWait::Any);
                    drop(stream);
                    read
                })))
            }
        };
    }

    async fn receive_result(&mut self) {
        if let Reading::Waiting(read) = &mut self.state {
            self.state = read.await.unwrap_or(Err(ErrorCode::Io)).into();
        }
    }
}

impl From<Result<Vec<u8>, ErrorCode>> for Reading {
    fn from(read: Result<Vec<u8>, ErrorCode>) -> Self {
        match read {
            Ok(bytes) if bytes.is_empty() => Self::End,
            Ok(bytes) => Self::Ready(bytes.into()),
            Err(code) => Self::Failed(code),
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {
        if let Reading::Idle = self.state {
            self.begin(READ_AHEAD);
        }
        self.receive_result().await;
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if matches!(self.state, Reading::Idle) && size > 0 {
            self.begin(size);
        }
        match &mut self.state {
            Reading::Idle | Reading::Waiting(_) => Ok(Bytes::new()),
            Reading::Ready(bytes) => {
                let piece = bytes.split_to(size.min(bytes.len()));
                self.offset = self.offset.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
                if bytes.is_empty() {
                    self.state = Reading::Idle;
                }
                Ok(piece)
            }
            Reading::Failed(code) => {
                let error = StreamError::LastOperationFailed((*code).into());
                self.state = Reading::End;
                Err(error)
            }
            Reading::End => Err(StreamError::Closed),
        }
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        if matches!(self.state, Reading::Idle) && size > 0 {
            self.begin(size);
        }
        self.receive_result().await;
        self.read(size)
    }

    async fn cancel(&mut self) {
        self.receive_result().await;
    }
}

/// An output stream of a file.
pub(super) struct Writer {
    handle: Arc<Handle>,
    position: Position,
    state: Writing,
    stream: Arc<Stream>,
}

enum Writing {
    Ready,
    Waiting(JoinHandle<Result<u64, ErrorCode>>),
    Failed(ErrorCode),
    Closed,
}

impl Writer {
    pub(super) fn new(handle: Arc<Handle>, position: Position, stream: Stream) -> Self {
        Self { handle, position, state: Writing::Ready, stream: Arc::new(stream) }
    }

    /// The error, reported once.
    fn check(&mut self) -> StreamResult<()> {
        match self.state {
            Writing::Ready | Writing::Waiting(_) => Ok(()),
            Writing::Closed => Err(StreamError::Closed),
            Writing::Failed(code) => {
                self.state = Writing::Closed;
                Err(StreamError::LastOperationFailed(code.into()))
            }
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        if let Writing::Waiting(write) = &mut self.state {
            self.state = match write.await.unwrap_or(Err(ErrorCode::Io)) {
                Ok(end) => {
                    if let Position::At(offset) = &mut self.position {
                        *offset = end;
                    }
                    Writing::Ready
                }
                Err(code) => Writing::Failed(code),
            };
        }
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.check()?;
        if matches!(self.state, Writing::Waiting(_)) || bytes.len() > WRITE {
            return Err(StreamError::trap("more was written than check-write allows"));
        }
        let (handle, position, stream) = (Arc::clone(&self.handle), self.position, Arc::clone(&self.stream));
        let write = self.handle.session().run_blocking(move |_| {
            let written = handle.write(position, &bytes);
            // The piece stays charged until it is written, even if the plugin no longer waits.
            drop((bytes, stream));
            written
        });
        self.state = Writing::Waiting(tokio::spawn(write));
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.check()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.check()?;
        Ok(if matches!(self.state, Writing::Waiting(_)) { 0 } else { WRITE })
    }

    async fn cancel(&mut self) {
        self.ready().await;
    }
}
