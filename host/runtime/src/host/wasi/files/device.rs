//! The devices of `/dev`: what reading and writing them does. None of it touches a disk, so it is done at once.

use bytes::Bytes;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::{WasiCliCtx, WasiCliCtxView};
use wasmtime_wasi::p2::bindings::cli::{stderr, stdin, stdout};
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

use super::session::WRITE;
use crate::grants::{Device, READ};

/// A stream to read from a device. Those of standard streams are the process's own.
pub(super) fn input(
    device: Device,
    cli: &mut WasiCliCtx,
    table: &mut ResourceTable,
) -> wasmtime::Result<Option<DynInputStream>> {
    Ok(match device {
        Device::Input | Device::Terminal => {
            let stream = stdin::Host::get_stdin(&mut WasiCliCtxView { ctx: cli, table })?;
            Some(table.delete(stream)?)
        }
        Device::Output | Device::Error => None,
        Device::Null | Device::Zero | Device::Full | Device::Random => Some(Box::new(Endless(device))),
    })
}

/// A stream to write to a device.
pub(super) fn output(
    device: Device,
    cli: &mut WasiCliCtx,
    table: &mut ResourceTable,
) -> wasmtime::Result<Option<DynOutputStream>> {
    let view = &mut WasiCliCtxView { ctx: cli, table };
    Ok(match device {
        Device::Output | Device::Terminal => {
            let stream = stdout::Host::get_stdout(view)?;
            Some(view.table.delete(stream)?)
        }
        Device::Error => {
            let stream = stderr::Host::get_stderr(view)?;
            Some(view.table.delete(stream)?)
        }
        Device::Input => None,
        Device::Null | Device::Zero | Device::Full | Device::Random => Some(Box::new(Endless(device))),
    })
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
pub(super) async fn write(device: Device, mut stream: DynOutputStream, bytes: Vec<u8>) -> Result<(), ErrorCode> {
    if device == Device::Full && !bytes.is_empty() {
        return Err(ErrorCode::InsufficientSpace);
    }
    let mut bytes = Bytes::from(bytes);
    while !bytes.is_empty() {
        let room = stream.write_ready().await.map_err(|_| ErrorCode::Pipe)?;
        let piece = bytes.split_to(room.min(bytes.len()));
        stream.write(piece).map_err(|_| ErrorCode::Pipe)?;
    }
    stream.flush().map_err(|_| ErrorCode::Pipe)
}

/// A device that is not a standard stream.
struct Endless(Device);

#[wasmtime_wasi::async_trait]
impl Pollable for Endless {
    async fn ready(&mut self) {}
}

impl InputStream for Endless {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let length = size.min(READ);
        match self.0 {
            Device::Zero | Device::Full => Ok(vec![0; length].into()),
            Device::Random => {
                let mut bytes = vec![0; length];
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
        if self.0 == Device::Full && !bytes.is_empty() {
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
