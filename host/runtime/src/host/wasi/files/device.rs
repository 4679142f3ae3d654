//! The devices of `/dev`: what reading and writing them does. None of it touches a disk, so it is done at once.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::{WasiCliCtx, WasiCliCtxView};
use wasmtime_wasi::p2::bindings::cli::{stderr, stdout};
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, FsError, FsResult, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

use super::session::{Handle, WRITE};
use crate::grants::{Device, READ};
use crate::host::wasi::standard::{DescriptorReader, DescriptorWriter, StreamSource};

/// The table of handles has no room for the stream.
const FULL: ErrorCode = ErrorCode::InsufficientMemory;

/// A stream to read from an open device. `random`: the most random bytes of one read.
pub(super) fn input(handle: &Handle, random: usize) -> Result<DynInputStream, ErrorCode> {
    if let Some((io, description)) = handle.described() {
        return Ok(Box::new(DescriptorReader::new(&io, StreamSource::Open(Arc::clone(description)))));
    }
    match handle.device().ok_or(ErrorCode::BadDescriptor)? {
        Device::Number(_) | Device::Terminal => Err(ErrorCode::BadDescriptor),
        device @ (Device::Null | Device::Zero | Device::Full | Device::Random) => {
            Ok(Box::new(Endless { device, random }))
        }
    }
}

/// A stream to write to an open device. Those of standard streams of a handler are its log.
pub(super) fn output(
    handle: &Handle,
    cli: &mut WasiCliCtx,
    table: &mut ResourceTable,
) -> Result<DynOutputStream, ErrorCode> {
    if let Some((io, description)) = handle.described() {
        return Ok(Box::new(DescriptorWriter::new(&io, StreamSource::Open(Arc::clone(description)))));
    }
    let view = &mut WasiCliCtxView { ctx: cli, table };
    let stream = match handle.device().ok_or(ErrorCode::BadDescriptor)? {
        Device::Number(1) => stdout::Host::get_stdout(view),
        Device::Number(2) => stderr::Host::get_stderr(view),
        Device::Number(_) | Device::Terminal => return Err(ErrorCode::BadDescriptor),
        device @ (Device::Null | Device::Zero | Device::Full | Device::Random) => {
            return Ok(Box::new(Endless { device, random: 0 }));
        }
    };
    view.table.delete(stream.map_err(|_| FULL)?).map_err(|_| FULL)
}

/// Reads up to `length` bytes; none at the end.
pub(super) async fn read(mut stream: DynInputStream, length: usize) -> Result<Vec<u8>, ErrorCode> {
    match stream.blocking_read(length.min(READ)).await {
        Ok(bytes) => Ok(bytes.into()),
        Err(StreamError::Closed) => Ok(Vec::new()),
        Err(_) => Err(ErrorCode::Io),
    }
}

/// Writes all of it: at most [`WRITE`] bytes.
pub(super) async fn write(device: Device, mut stream: DynOutputStream, bytes: Vec<u8>) -> FsResult<()> {
    if device == Device::Full && !bytes.is_empty() {
        return Err(ErrorCode::InsufficientSpace.into());
    }
    let mut bytes = Bytes::from(bytes);
    while !bytes.is_empty() {
        let room = stream.write_ready().await.map_err(unwritten)?;
        let piece = bytes.split_to(room.min(bytes.len()));
        stream.write(piece).map_err(unwritten)?;
    }
    stream.flush().map_err(unwritten)
}

/// Nobody reads. What ends a program that writes to its standard output ends it here too.
fn unwritten(error: StreamError) -> FsError {
    match error {
        StreamError::Trap(error) => FsError::trap(error),
        StreamError::Closed | StreamError::LastOperationFailed(_) => ErrorCode::Pipe.into(),
    }
}

/// A device that is not a standard stream.
struct Endless {
    device: Device,
    /// The most random bytes of one read.
    random: usize,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Endless {
    async fn ready(&mut self) {}
}

impl InputStream for Endless {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let length = size.min(READ);
        match self.device {
            Device::Zero | Device::Full => Ok(vec![0; length].into()),
            Device::Random => {
                let mut bytes = vec![0; length.min(self.random)];
                getrandom::fill(&mut bytes).map_err(|_| StreamError::LastOperationFailed(ErrorCode::Io.into()))?;
                Ok(bytes.into())
            }
            _ => Err(StreamError::Closed),
        }
    }
}

impl OutputStream for Endless {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > WRITE {
            return Err(StreamError::trap("more was written than check-write allows"));
        }
        if self.device == Device::Full && !bytes.is_empty() {
            return Err(StreamError::LastOperationFailed(ErrorCode::InsufficientSpace.into()));
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn random_bytes_are_limited_for_each_read_and_others_are_not() {
        // W33
        let stream = |device| Box::new(Endless { device, random: 64 }) as DynInputStream;
        assert_eq!(read(stream(Device::Random), 1_000).await.unwrap().len(), 64);
        assert_eq!(read(stream(Device::Random), 10).await.unwrap().len(), 10);
        assert_eq!(read(stream(Device::Zero), 1_000).await.unwrap().len(), 1_000);
    }

    #[test]
    fn what_ends_a_program_at_its_standard_output_ends_it_at_the_device() {
        let error = unwritten(StreamError::Trap(crate::host::wasi::stdio::BrokenPipe.into()));
        let trap = error.downcast().unwrap_err();
        assert!(trap.is::<crate::host::wasi::stdio::BrokenPipe>(), "{trap:?}");
        assert!(matches!(unwritten(StreamError::Closed).downcast(), Ok(ErrorCode::Pipe)));
    }
}
