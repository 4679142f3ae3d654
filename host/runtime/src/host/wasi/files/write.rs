//! `descriptor.write`, registered by hand: what is written at once is read in the plugin's memory, without a copy.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, WasmList};
use wasmtime_wasi::p2::bindings::filesystem::types::{Descriptor, ErrorCode, HostDescriptor as _};

use super::Files;
use super::session::{Session, WRITE, WRITE_AT_ONCE};
use crate::grants::{DiskWait, Position};

/// The interface of which it is a function.
const TYPES: &str = "wasi:filesystem/types@0.2.12";

/// Links it, in place of the one that is generated. `files`: those that the data of a store has.
pub(in crate::host) fn link<T: Send + 'static>(
    linker: &mut Linker<T>,
    files: fn(&mut T) -> Files<'_>,
) -> wasmtime::Result<()> {
    type Parameters = (Resource<Descriptor>, WasmList<u8>, u64);
    linker.instance(TYPES)?.func_wrap_async(
        "[method]descriptor.write",
        move |store: StoreContextMut<'_, T>, (descriptor, bytes, offset): Parameters| {
            Box::new(async move { Ok((write(store, files, descriptor, &bytes, offset).await?,)) })
        },
    )
}

/// Writes the bytes, or so many of the first as fit one operation. Returns how many.
async fn write<T: Send + 'static>(
    mut store: StoreContextMut<'_, T>,
    files: fn(&mut T) -> Files<'_>,
    descriptor: Resource<Descriptor>,
    bytes: &WasmList<u8>,
    offset: u64,
) -> wasmtime::Result<Result<u64, ErrorCode>> {
    let handle = files(store.data_mut()).handle(&descriptor)?;
    let data = bytes.as_le_slice(&store);
    if handle.device().is_none() {
        let piece = &data[..data.len().min(WRITE_AT_ONCE)];
        let work = |_: &Session, wait| handle.write(Position::At(offset), piece, wait);
        if let Some(done) = handle.session().at_once(DiskWait::Brief, handle.is_local(), work) {
            return Ok(done.map(|end| end - offset));
        }
    }
    // The rest is for another call: no budget counts what waits here.
    let piece = data[..data.len().min(WRITE)].to_vec();
    match files(store.data_mut()).write(descriptor, piece, offset).await {
        Ok(written) => Ok(Ok(written)),
        Err(error) => error.downcast().map(Err),
    }
}
