//! Files as streams: input is read a piece at a time; output is charged and written by a task of its own, one piece at
//! a time.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::session::{Handle, Stream, WRITE};
use crate::grants::{Position, READ};

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
        let (handle, offset, stream) = (Arc::clone(&self.handle), self.offset, Arc::clone(&self.stream));
        let read = self.handle.session().run(move |_| {
            let read = handle.entry().and_then(|entry| entry.read(offset, length.min(READ)));
            drop(stream);
            read
        });
        self.state = Reading::Waiting(tokio::spawn(read));
    }

    async fn receive_result(&mut self) {
        if let Reading::Waiting(read) = &mut self.state {
            self.state = match read.await.unwrap_or(Err(ErrorCode::Io)) {
                Ok(bytes) if bytes.is_empty() => Reading::End,
                Ok(bytes) => Reading::Ready(bytes.into()),
                Err(code) => Reading::Failed(code),
            };
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
        match &mut self.state {
            Reading::Idle if size > 0 => {
                self.begin(size);
                Ok(Bytes::new())
            }
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
        let write = self.handle.session().run(move |_| {
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
