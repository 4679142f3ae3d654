//! `whelk:ssh/space`: how much room there is for the files that a session sees.
//!
//! Registered by hand, unlike the generated interfaces: it waits for the disk, in the tenant's turn like every other
//! import of files, and a call that waits holds no thread.

use std::future::Future;
use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::state::State;
use super::wasi::files::Session;
use crate::grants::FileRoom;
use crate::host::bindings::imports::space::{FileSpace, SpaceError};

type Waits<'s, R> = Box<dyn Future<Output = wasmtime::Result<(R,)>> + Send + 's>;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance("whelk:ssh/space@0.1.0")?.func_wrap_async(
        "statvfs",
        |mut store: StoreContextMut<'_, State>, (path,): (String,)| -> Waits<'_, _> {
            let session = store.data_mut().files().into_session();
            Box::new(async move { Ok((statvfs(session, path).await,)) })
        },
    )
}

async fn statvfs(session: Option<Arc<Session>>, path: String) -> Result<FileSpace, SpaceError> {
    let (part, room) = session.ok_or(SpaceError::NoEntry)?.room(path).await?;
    let FileRoom { total, free, read_only, name_max } = room;
    Ok(FileSpace {
        total_bytes: total.bytes,
        free_bytes: free.bytes,
        total_files: total.files,
        free_files: free.files,
        read_only,
        name_max,
        part: u64::try_from(part).unwrap_or(u64::MAX),
    })
}

impl From<ErrorCode> for SpaceError {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Access => Self::Access,
            ErrorCode::Busy => Self::Busy,
            ErrorCode::InsufficientMemory => Self::InsufficientMemory,
            ErrorCode::InsufficientSpace => Self::InsufficientSpace,
            ErrorCode::Invalid => Self::Invalid,
            ErrorCode::Loop => Self::Loop,
            ErrorCode::NameTooLong => Self::NameTooLong,
            ErrorCode::NoEntry => Self::NoEntry,
            ErrorCode::NotDirectory => Self::NotDirectory,
            ErrorCode::NotPermitted => Self::NotPermitted,
            ErrorCode::Quota => Self::Quota,
            _ => Self::Io,
        }
    }
}
