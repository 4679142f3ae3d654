//! The resource `fd`, and the functions that make descriptions and give them numbers.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::{LinkerInstance, Resource, ResourceType, WasmList};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::bindings::wit;
use super::handle::FdHandle;
use crate::grants::{OpenPlaces, Opening};
use crate::host::State;
use crate::host::wasi::descriptors::{IoFailure, ProcessIo};
use crate::host::wasi::files;
use crate::limits::count;
use crate::posix::{DescriptionTarget, Errno, OpenDescription, PipeMemory, pipe};

/// Most bytes of one read or write.
const PIECE: usize = 64 << 10;

type Fd = Resource<FdHandle>;
type Context<'s> = StoreContextMut<'s, State>;
type Waits<'s, R> = Box<dyn Future<Output = wasmtime::Result<(R,)>> + Send + 's>;

pub(super) fn link(process: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    process.resource("fd", ResourceType::host::<FdHandle>(), |mut store, handle| {
        store.data_mut().wasi().table().delete(Fd::new_own(handle))?;
        Ok(())
    })?;
    link_transfers(process)?;
    link_descriptions(process)?;
    link_numbers(process)
}

/// Reading, writing and waiting.
fn link_transfers(process: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    process.func_wrap_async("[method]fd.read", |store: Context<'_>, (fd, most): (Fd, u32)| -> Waits<'_, _> {
        Box::new(async move { Ok((read(store, &fd, most).await?,)) })
    })?;
    process.func_wrap_async(
        "[method]fd.write",
        |store: Context<'_>, (fd, data): (Fd, WasmList<u8>)| -> Waits<'_, _> {
            Box::new(async move { Ok((write(store, &fd, &data).await?,)) })
        },
    )?;
    process.func_wrap("[method]fd.subscribe-read", |mut store: Context<'_>, (fd,): (Fd,)| {
        let description = description(&mut store, &fd)?;
        Ok((pollable(&mut store, |io| ReadReady { io, description })?,))
    })?;
    process.func_wrap("[method]fd.subscribe-write", |mut store: Context<'_>, (fd,): (Fd,)| {
        let description = description(&mut store, &fd)?;
        Ok((pollable(&mut store, |io| WriteReady { io, description })?,))
    })
}

/// What is done with one description, and how one is made.
fn link_descriptions(process: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    process.func_wrap("[method]fd.dup", |mut store: Context<'_>, (fd,): (Fd,)| {
        let description = description(&mut store, &fd)?;
        Ok((hold(&mut store, description).map_err(wit::Errno::from),))
    })?;
    process.func_wrap("[method]fd.kind", |mut store: Context<'_>, (fd,): (Fd,)| {
        Ok((wit::Kind::from(description(&mut store, &fd)?.kind()),))
    })?;
    process.func_wrap_async(
        "[method]fd.seek",
        |mut store: Context<'_>, (fd, offset, whence): (Fd, i64, wit::Whence)| -> Waits<'_, _> {
            Box::new(async move {
                let description = description(&mut store, &fd)?;
                let DescriptionTarget::File(file) = description.target() else {
                    return Ok((Err(Errno::NotSeekable.into()),));
                };
                Ok((file.seek(offset, whence.into()).await.map_err(wit::Errno::from),))
            })
        },
    )?;
    process.func_wrap_async(
        "[method]fd.truncate",
        |mut store: Context<'_>, (fd, size): (Fd, u64)| -> Waits<'_, _> {
            Box::new(async move {
                let description = description(&mut store, &fd)?;
                let DescriptionTarget::File(file) = description.target() else {
                    return Ok((Err(wit::Errno::Invalid),));
                };
                let limit = store.data().io.as_ref().and_then(|io| io.file_limit());
                Ok((file.truncate(size, limit).await.map_err(wit::Errno::from),))
            })
        },
    )?;
    process.func_wrap_async("open", |store: Context<'_>, (path, how): (String, wit::OpenFlags)| -> Waits<'_, _> {
        Box::new(async move { Ok((open(store, path, how).await.map_err(wit::Errno::from),)) })
    })?;
    process.func_wrap("pipe", |mut store: Context<'_>, ()| Ok((make_pipe(&mut store).map_err(wit::Errno::from),)))
}

/// The numbers of the process.
fn link_numbers(process: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    process.func_wrap("get", |mut store: Context<'_>, (number,): (u32,)| {
        let found = io(&store).ok().and_then(|io| io.descriptors().get(number));
        Ok((found.and_then(|description| hold(&mut store, description).ok()),))
    })?;
    process.func_wrap("put", |mut store: Context<'_>, (number, to): (u32, Fd)| {
        let description = description(&mut store, &to)?;
        let put = io(&store).and_then(|io| io.descriptors().put(number, description));
        Ok((put.map_err(wit::Errno::from),))
    })?;
    process.func_wrap("close", |store: Context<'_>, (number,): (u32,)| {
        let closed = io(&store).and_then(|io| io.descriptors().close(number));
        Ok((closed.map_err(wit::Errno::from),))
    })?;
    process.func_wrap("numbers", |store: Context<'_>, ()| {
        Ok((io(&store).map(|io| io.descriptors().numbers()).unwrap_or_default(),))
    })
}

/// How the process uses its descriptors. What is no program that runs has none.
fn io(store: &Context<'_>) -> Result<Arc<ProcessIo>, Errno> {
    store.data().io.clone().ok_or(Errno::NotSupported)
}

pub(super) fn description(store: &mut Context<'_>, fd: &Fd) -> wasmtime::Result<Arc<OpenDescription>> {
    Ok(Arc::clone(store.data_mut().wasi().table().get(fd)?.description()))
}

/// Makes a handle of a description.
fn hold(store: &mut Context<'_>, description: Arc<OpenDescription>) -> Result<Fd, Errno> {
    let state = store.data_mut();
    let open = state.open_limits();
    let place = open.process.take(open.most).ok_or(Errno::TooManyFiles)?;
    state.wasi().table().push(FdHandle::new(description, place)).map_err(|_| Errno::TooManyFiles)
}

/// The same for a description that was made now.
fn hold_new(store: &mut Context<'_>, target: DescriptionTarget) -> Result<Fd, Errno> {
    let state = store.data();
    let open = state.open_limits();
    let session = open.session.take(open.session_most).ok_or(Errno::TooManyFiles)?;
    let of_tenant = state.charges.pipe_end().ok_or(Errno::TooManyFiles)?;
    let description = OpenDescription::new(target, (OpenPlaces::new(None, session), of_tenant));
    hold(store, Arc::new(description))
}

async fn read(mut store: Context<'_>, fd: &Fd, most: u32) -> wasmtime::Result<Result<Vec<u8>, wit::Errno>> {
    let description = description(&mut store, fd)?;
    let io = match io(&store) {
        Ok(io) => io,
        Err(errno) => return Ok(Err(errno.into())),
    };
    Ok(io.read(&description, count(most)).await.map(Vec::from).map_err(wit::Errno::from))
}

async fn write(mut store: Context<'_>, fd: &Fd, data: &WasmList<u8>) -> wasmtime::Result<Result<u32, wit::Errno>> {
    let description = description(&mut store, fd)?;
    let io = match io(&store) {
        Ok(io) => io,
        Err(errno) => return Ok(Err(errno.into())),
    };
    let data = data.as_le_slice(&store);
    let bytes = Bytes::copy_from_slice(&data[..data.len().min(PIECE)]);
    match io.write(&description, bytes).await {
        Ok(written) => Ok(Ok(u32::try_from(written).unwrap_or(u32::MAX))),
        Err(IoFailure::Errno(errno)) => Ok(Err(errno.into())),
        Err(IoFailure::Trap(error)) => Err(error),
    }
}

/// open(2).
async fn open(mut store: Context<'_>, path: String, how: wit::OpenFlags) -> Result<Fd, Errno> {
    let io = io(&store)?;
    let has = |flag| how.contains(flag);
    let (read, write) = (has(wit::OpenFlags::READ), has(wit::OpenFlags::WRITE));
    let (create, directory) = (has(wit::OpenFlags::CREATE), has(wit::OpenFlags::DIRECTORY));
    let truncate = has(wit::OpenFlags::TRUNCATE);
    if (!write && (truncate || !read)) || (create && directory) {
        return Err(Errno::Invalid);
    }
    if directory && write {
        return Err(Errno::IsDirectory);
    }
    let opening = Opening {
        read,
        write,
        create,
        exclusive: has(wit::OpenFlags::EXCLUSIVE),
        truncate,
        directory,
        follow: !has(wit::OpenFlags::NO_FOLLOW),
    };
    let session = store.data_mut().files().into_session().ok_or(Errno::NoEntry)?;
    let description = files::open(session, io.directory(), &path, opening, has(wit::OpenFlags::APPEND)).await?;
    hold(&mut store, description)
}

/// pipe(2).
fn make_pipe(store: &mut Context<'_>) -> Result<(Fd, Fd), Errno> {
    io(store)?;
    let charges = store.data().charges.clone();
    let (reader, writer) = pipe(charges.clone()).map_err(|total| {
        charges.refused(total);
        Errno::NoMemory
    })?;
    let reader = hold_new(store, DescriptionTarget::Reader(reader))?;
    match hold_new(store, DescriptionTarget::Writer(writer)) {
        Ok(writer) => Ok((reader, writer)),
        Err(errno) => {
            // The handle was made now, and nobody knows it.
            let _ = store.data_mut().wasi().table().delete(reader);
            Err(errno)
        }
    }
}

/// Makes a pollable that needs no other handle.
fn pollable<T: Pollable>(
    store: &mut Context<'_>,
    make: impl FnOnce(Arc<ProcessIo>) -> T,
) -> wasmtime::Result<Resource<DynPollable>> {
    let io = io(store).map_err(|_| wasmtime::format_err!("it is no program that runs"))?;
    let table = store.data_mut().wasi().table();
    let ready = table.push(make(io))?;
    subscribe(table, ready)
}

/// Ready when a read would not wait.
struct ReadReady {
    io: Arc<ProcessIo>,
    description: Arc<OpenDescription>,
}

#[wasmtime_wasi::async_trait]
impl Pollable for ReadReady {
    async fn ready(&mut self) {
        self.io.readable(self.description.target()).await;
    }
}

/// Ready when a write would not wait.
struct WriteReady {
    io: Arc<ProcessIo>,
    description: Arc<OpenDescription>,
}

#[wasmtime_wasi::async_trait]
impl Pollable for WriteReady {
    async fn ready(&mut self) {
        self.io.writable(self.description.target()).await;
    }
}
