//! `whelk:ssh/files`: what servers of files need and `wasi:filesystem` cannot say.
//!
//! Decided 2026-11-30: an interface of its own. To rename without replacing, SFTP's RENAME, was a link and a removal
//! before: two operations and two records, and impossible where no link can be made. Refused: functions in
//! `whelk:ssh/space`, which says how much room there is; an error of `read-directory` for names that are not UTF-8,
//! which ends the listing in most programs.
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
use crate::host::bindings::imports::files::FileError;

type Waits<'s, R> = Box<dyn Future<Output = wasmtime::Result<(R,)>> + Send + 's>;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut instance = linker.instance("whelk:ssh/files@0.1.0")?;
    instance.func_wrap_async(
        "rename-new",
        |mut store: StoreContextMut<'_, State>, (old, new): (String, String)| -> Waits<'_, Result<(), FileError>> {
            let session = store.data_mut().files().into_session();
            Box::new(async move { Ok((rename_new(session, old, new).await,)) })
        },
    )?;
    instance.func_wrap_async(
        "unlisted-names",
        |mut store: StoreContextMut<'_, State>, (directory,): (String,)| -> Waits<'_, Result<u32, FileError>> {
            let session = store.data_mut().files().into_session();
            Box::new(async move { Ok((unlisted_names(session, directory).await,)) })
        },
    )?;
    instance.func_wrap("open-files-limit", |mut store: StoreContextMut<'_, State>, (): ()| {
        let most = store.data_mut().files().into_session().map_or(0, |session| session.most_open());
        Ok((u32::try_from(most).unwrap_or(u32::MAX),))
    })
}

async fn rename_new(session: Option<Arc<Session>>, old: String, new: String) -> Result<(), FileError> {
    Ok(session.ok_or(FileError::NoEntry)?.rename_new(old, new).await?)
}

async fn unlisted_names(session: Option<Arc<Session>>, directory: String) -> Result<u32, FileError> {
    Ok(session.ok_or(FileError::NoEntry)?.unlisted_names(directory).await?)
}

impl From<ErrorCode> for FileError {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Access => Self::Access,
            ErrorCode::Busy => Self::Busy,
            ErrorCode::CrossDevice => Self::CrossDevice,
            ErrorCode::Exist => Self::Exist,
            ErrorCode::InsufficientMemory => Self::InsufficientMemory,
            ErrorCode::InsufficientSpace => Self::InsufficientSpace,
            ErrorCode::Invalid => Self::Invalid,
            ErrorCode::Loop => Self::Loop,
            ErrorCode::NameTooLong => Self::NameTooLong,
            ErrorCode::NoEntry => Self::NoEntry,
            ErrorCode::NotDirectory => Self::NotDirectory,
            ErrorCode::NotPermitted => Self::NotPermitted,
            ErrorCode::Quota => Self::Quota,
            ErrorCode::ReadOnly => Self::ReadOnly,
            _ => Self::Io,
        }
    }
}
