//! `wasi:filesystem`: the tree that a session sees (`grants/tree.rs`), or no files at all.
//!
//! Each import looks up its handle, does the work, on a thread that may block if it has to, and logs it. `grants`
//! decides what is allowed and what it costs; this file implements the interface. A plugin gets an error for every
//! mistake except an unknown handle, which ends it.
//!
//! A handler sees files if its tenant grants a directory or mounts; a program always, at least `/dev`. Paths are
//! relative to a handle, as WASI demands, but `..` may lead above it: all handles of a session are in one tree.

mod convert;
mod described;
mod device;
mod pending_close;
mod program;
mod session;
mod streams;

pub(in crate::host) use described::open;
pub(crate) use program::{OpenProgram, ProgramBytes, ProgramFile, ProgramFiles};
pub(in crate::host) use session::{OpenLimits, Session};

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use wasmtime::component::{HasData, Resource, ResourceTable, ResourceTableError};
use wasmtime_wasi::cli::WasiCliCtx;
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    Advice, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream,
    ErrorCode, Host, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

use crate::grants::{DiskWait, Position, Refused, Start, TreeListing};
use convert::{error_code, follow, listed_type, opening, stat, times};
use session::{Handle, WRITE};
use streams::{Reader, Writer};

/// The state that one call uses.
pub(in crate::host) struct Files<'a> {
    session: Option<Arc<Session>>,
    /// Where the standard streams are.
    cli: &'a mut WasiCliCtx,
    table: &'a mut ResourceTable,
}

/// Tells the linker the type of that state.
pub(in crate::host) struct HasFiles;

impl HasData for HasFiles {
    type Data<'a> = Files<'a>;
}

/// A listing of a directory.
struct List {
    session: Arc<Session>,
    /// `None` while it is being read: a read whose caller did not wait ends the listing.
    listing: Option<TreeListing>,
    ahead: VecDeque<DirectoryEntry>,
}

impl Drop for List {
    fn drop(&mut self) {
        if let Some(listing) = self.listing.take().filter(|listing| !listing.is_local()) {
            Arc::clone(&self.session).close(listing);
        }
    }
}

impl<'a> Files<'a> {
    /// Without a session there is no directory, and so no valid handle.
    pub(in crate::host) fn new(
        session: Option<Arc<Session>>,
        cli: &'a mut WasiCliCtx,
        table: &'a mut ResourceTable,
    ) -> Self {
        Self { session, cli, table }
    }

    /// The session, if it sees files.
    pub(in crate::host) fn into_session(self) -> Option<Arc<Session>> {
        self.session
    }

    fn handle(&self, descriptor: &Resource<Descriptor>) -> Result<Arc<Handle>, ResourceTableError> {
        // wasmtime-wasi's type of the resource, with our value behind it.
        self.table.get(&Resource::<Arc<Handle>>::new_borrow(descriptor.rep())).cloned()
    }

    fn push<T: Send + 'static>(&mut self, thing: T) -> Result<Resource<T>, ErrorCode> {
        // The table is full.
        self.table.push(thing).map_err(|_| ErrorCode::InsufficientMemory)
    }

    /// Runs an operation on one handle where it may block.
    async fn with<R: Send + 'static>(
        &mut self,
        descriptor: &Resource<Descriptor>,
        work: impl FnOnce(&Session, &Handle) -> Result<R, Refused> + Send + 'static,
    ) -> FsResult<R> {
        let handle = self.handle(descriptor)?;
        Ok(handle.session().run_blocking(move |session| work(session, &handle)).await?)
    }

    /// Runs an operation on one handle that changes nothing: at once if the kernel has the answer in its caches.
    async fn look<R: Send + 'static>(
        &mut self,
        descriptor: &Resource<Descriptor>,
        work: impl Fn(&Session, &Handle, DiskWait) -> Result<R, Refused> + Send + 'static,
    ) -> FsResult<R> {
        let handle = self.handle(descriptor)?;
        let (session, is_local) = (handle.session(), handle.is_local());
        Ok(session.run(is_local, move |session, wait| work(session, &handle, wait)).await?)
    }

    /// Runs an operation that changes this path below a handle, and logs it.
    async fn change(
        &mut self,
        descriptor: &Resource<Descriptor>,
        operation: &'static str,
        path: String,
        work: impl FnOnce(&Session, Start<'_>, &str) -> Result<(), Refused> + Send + 'static,
    ) -> FsResult<()> {
        self.with(descriptor, move |session, handle| {
            let led_to = Cell::default();
            let result = work(session, handle.start(&led_to, DiskWait::Any), &path);
            handle.tell(operation, &handle.shown(&path, &led_to), None, &result);
            result
        })
        .await
    }

    /// The file for a stream.
    fn streamed(&self, descriptor: &Resource<Descriptor>) -> FsResult<Arc<Handle>> {
        let handle = self.handle(descriptor)?;
        if handle.is_directory() {
            return Err(ErrorCode::IsDirectory.into());
        }
        Ok(handle)
    }

    fn write_stream(
        &mut self,
        descriptor: &Resource<Descriptor>,
        position: Position,
    ) -> FsResult<Resource<DynOutputStream>> {
        let handle = self.streamed(descriptor)?;
        if !handle.opened.writable() {
            return Err(ErrorCode::BadDescriptor.into());
        }
        if handle.device().is_some() {
            let writer = device::output(&handle, self.cli, self.table)?;
            return Ok(self.push(writer)?);
        }
        let stream = handle.session().stream().map_err(|refused| error_code(&refused))?;
        let writer: DynOutputStream = Box::new(Writer::new(handle, position, stream));
        Ok(self.push(writer)?)
    }
}

impl preopens::Host for Files<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let Some(session) = self.session.clone() else { return Ok(Vec::new()) };
        let root = Arc::new(Handle::root(&session));
        let resource = self.table.push(root)?;
        Ok(vec![(Resource::new_own(resource.rep()), session.tree.guest_path().to_owned())])
    }
}

impl Host for Files<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(self.table.get(&error)?.downcast_ref::<ErrorCode>().copied())
    }
}

impl HostDescriptor for Files<'_> {
    fn read_via_stream(&mut self, descriptor: Resource<Descriptor>, offset: u64) -> FsResult<Resource<DynInputStream>> {
        let handle = self.streamed(&descriptor)?;
        if !handle.opened.readable() {
            return Err(ErrorCode::BadDescriptor.into());
        }
        if handle.device().is_some() {
            let reader = device::input(&handle, handle.session().random())?;
            return Ok(self.push(reader)?);
        }
        let stream = handle.session().stream().map_err(|refused| error_code(&refused))?;
        let reader: DynInputStream = Box::new(Reader::new(handle, offset, stream));
        Ok(self.push(reader)?)
    }

    fn write_via_stream(
        &mut self,
        descriptor: Resource<Descriptor>,
        offset: u64,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.write_stream(&descriptor, Position::At(offset))
    }

    fn append_via_stream(&mut self, descriptor: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        self.write_stream(&descriptor, Position::End)
    }

    /// Advice has no effect: it would make the disk do more for one plugin than for others.
    async fn advise(&mut self, descriptor: Resource<Descriptor>, _: u64, _: u64, _: Advice) -> FsResult<()> {
        if self.handle(&descriptor)?.is_directory() { Err(ErrorCode::BadDescriptor.into()) } else { Ok(()) }
    }

    async fn sync_data(&mut self, descriptor: Resource<Descriptor>) -> FsResult<()> {
        self.with(&descriptor, |_, handle| handle.entry()?.sync(false)).await
    }

    async fn sync(&mut self, descriptor: Resource<Descriptor>) -> FsResult<()> {
        self.with(&descriptor, |_, handle| handle.entry()?.sync(true)).await
    }

    async fn get_flags(&mut self, descriptor: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        let handle = self.handle(&descriptor)?;
        let mut flags = DescriptorFlags::empty();
        if handle.opened.readable() {
            flags |= DescriptorFlags::READ;
        }
        let (tree, is_directory) = (&handle.session().tree, handle.is_directory());
        if is_directory && tree.allows_changes(&handle.opened) {
            flags |= DescriptorFlags::MUTATE_DIRECTORY;
        } else if !is_directory && handle.opened.writable() {
            flags |= DescriptorFlags::WRITE;
        }
        Ok(flags)
    }

    async fn get_type(&mut self, descriptor: Resource<Descriptor>) -> FsResult<DescriptorType> {
        let handle = self.handle(&descriptor)?;
        Ok(match handle.device() {
            Some(_) => DescriptorType::CharacterDevice,
            None if handle.is_directory() => DescriptorType::Directory,
            None => DescriptorType::RegularFile,
        })
    }

    async fn set_size(&mut self, descriptor: Resource<Descriptor>, size: u64) -> FsResult<()> {
        self.with(&descriptor, move |_, handle| handle.set_size(size)).await
    }

    async fn set_times(
        &mut self,
        descriptor: Resource<Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let times = times(accessed, modified)?;
        self.with(&descriptor, move |_, handle| handle.set_times(times)).await
    }

    async fn read(&mut self, descriptor: Resource<Descriptor>, length: u64, offset: u64) -> FsResult<(Vec<u8>, bool)> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let handle = self.handle(&descriptor)?;
        let bytes = match handle.device() {
            Some(_) if !handle.opened.readable() => return Err(ErrorCode::BadDescriptor.into()),
            Some(_) => {
                let stream = device::input(&handle, handle.session().random())?;
                device::read(stream, length).await?
            }
            None => {
                let read = move |_: &Session, handle: &Handle, wait| handle.read(offset, length, wait);
                self.look(&descriptor, read).await?
            }
        };
        let end = bytes.is_empty() && length > 0;
        Ok((bytes, end))
    }

    async fn write(&mut self, descriptor: Resource<Descriptor>, mut bytes: Vec<u8>, offset: u64) -> FsResult<u64> {
        let handle = self.handle(&descriptor)?;
        if let Some(device) = handle.device() {
            if !handle.opened.writable() {
                return Err(ErrorCode::BadDescriptor.into());
            }
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let stream = device::output(&handle, self.cli, self.table)?;
            device::write(device, stream, bytes).await?;
            return Ok(length);
        }
        // The rest is for another call: no budget counts what waits here.
        bytes.truncate(WRITE);
        bytes.shrink_to_fit();
        let write = move |_: &Session, handle: &Handle| {
            let (_, written) = handle.write_within(Position::At(offset), &bytes, handle.file_limit())?;
            Ok(u64::try_from(written).unwrap_or(u64::MAX))
        };
        self.with(&descriptor, write).await
    }

    async fn read_directory(&mut self, descriptor: Resource<Descriptor>) -> FsResult<Resource<DirectoryEntryStream>> {
        let listing =
            self.with(&descriptor, |session, handle| session.tree.list(&handle.opened, session.slot()?)).await?;
        let session = self.handle(&descriptor)?.session();
        let list = self.push(List { session, listing: Some(listing), ahead: VecDeque::new() })?;
        Ok(Resource::new_own(list.rep()))
    }

    async fn create_directory_at(&mut self, descriptor: Resource<Descriptor>, path: String) -> FsResult<()> {
        let make = |session: &Session, at: Start<'_>, path: &str| session.tree.create_directory(at, path);
        self.change(&descriptor, "mkdir", path, make).await
    }

    async fn stat(&mut self, descriptor: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        let look = |session: &Session, handle: &Handle, _| session.tree.stat(&handle.opened);
        Ok(stat(&self.look(&descriptor, look).await?))
    }

    async fn stat_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        let look = move |session: &Session, handle: &Handle, wait| {
            session.tree.metadata(handle.start(&Cell::default(), wait), &path, follow(flags))
        };
        Ok(stat(&self.look(&descriptor, look).await?))
    }

    async fn set_times_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let times = times(accessed, modified)?;
        let set = move |session: &Session, at: Start<'_>, path: &str| {
            session.tree.set_times_at(at, path, follow(flags), times)
        };
        self.change(&descriptor, "times", path, set).await
    }

    async fn link_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        flags: PathFlags,
        old: String,
        new_descriptor: Resource<Descriptor>,
        new: String,
    ) -> FsResult<()> {
        let to = self.handle(&new_descriptor)?;
        self.with(&descriptor, move |session, from| {
            let (old_led_to, new_led_to) = (Cell::default(), Cell::default());
            let (at, new_at) = (from.start(&old_led_to, DiskWait::Any), to.start(&new_led_to, DiskWait::Any));
            let result = session.tree.link(at, &old, follow(flags), new_at, &new);
            from.tell("link", &from.shown(&old, &old_led_to), Some(&to.shown(&new, &new_led_to)), &result);
            result
        })
        .await
    }

    async fn open_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let how = opening(path_flags, open_flags, flags)?;
        let handle = self.handle(&descriptor)?;
        let is_brief = handle.is_local() && !(how.write || how.create || how.truncate);
        let open = handle.session().run(is_brief, move |_, wait| handle.open(&path, how, wait));
        let opened = self.push(Arc::new(open.await?))?;
        Ok(Resource::new_own(opened.rep()))
    }

    async fn readlink_at(&mut self, descriptor: Resource<Descriptor>, path: String) -> FsResult<String> {
        let read = move |session: &Session, handle: &Handle| {
            session.tree.read_link(handle.start(&Cell::default(), DiskWait::Any), &path)
        };
        self.with(&descriptor, read).await
    }

    async fn remove_directory_at(&mut self, descriptor: Resource<Descriptor>, path: String) -> FsResult<()> {
        let remove = |session: &Session, at: Start<'_>, path: &str| session.tree.remove_directory(at, path);
        self.change(&descriptor, "rmdir", path, remove).await
    }

    async fn rename_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        old: String,
        new_descriptor: Resource<Descriptor>,
        new: String,
    ) -> FsResult<()> {
        let to = self.handle(&new_descriptor)?;
        self.with(&descriptor, move |session, from| {
            let (old_led_to, new_led_to) = (Cell::default(), Cell::default());
            let (at, new_at) = (from.start(&old_led_to, DiskWait::Any), to.start(&new_led_to, DiskWait::Any));
            let result = session.tree.rename(at, &old, new_at, &new, true);
            from.tell("rename", &from.shown(&old, &old_led_to), Some(&to.shown(&new, &new_led_to)), &result);
            result
        })
        .await
    }

    async fn symlink_at(&mut self, descriptor: Resource<Descriptor>, target: String, path: String) -> FsResult<()> {
        self.with(&descriptor, move |session, handle| {
            let led_to = Cell::default();
            let result = session.tree.symlink(&target, handle.start(&led_to, DiskWait::Any), &path);
            handle.tell("symlink", &handle.shown(&path, &led_to), Some(&target), &result);
            result
        })
        .await
    }

    async fn unlink_file_at(&mut self, descriptor: Resource<Descriptor>, path: String) -> FsResult<()> {
        let remove = |session: &Session, at: Start<'_>, path: &str| session.tree.remove_file(at, path);
        self.change(&descriptor, "remove", path, remove).await
    }

    async fn is_same_object(
        &mut self,
        one: Resource<Descriptor>,
        other: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        let (one, other) = (self.handle(&one)?, self.handle(&other)?);
        let identity = |handle: &Handle| handle.session().tree.identity(&handle.opened);
        Ok(identity(&one) == identity(&other))
    }

    async fn metadata_hash(&mut self, descriptor: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        let handle = self.handle(&descriptor)?;
        let (lower, upper) = handle.session().tree.hash(&handle.opened).map_err(|refused| error_code(&refused))?;
        Ok(MetadataHashValue { lower, upper })
    }

    async fn metadata_hash_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        let look = move |session: &Session, handle: &Handle, wait| {
            session.tree.hash_at(handle.start(&Cell::default(), wait), &path, follow(flags))
        };
        let (lower, upper) = self.look(&descriptor, look).await?;
        Ok(MetadataHashValue { lower, upper })
    }

    fn drop(&mut self, descriptor: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Arc<Handle>>::new_own(descriptor.rep()))?;
        Ok(())
    }
}

impl HostDirectoryEntryStream for Files<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let list = self.table.get_mut(&Resource::<List>::new_borrow(stream.rep()))?;
        if list.ahead.is_empty()
            && let Some(mut listing) = list.listing.take()
        {
            let read = Arc::clone(&list.session).run_blocking(move |_| Ok((listing.next()?, listing)));
            let (names, listing) = read.await?;
            // Closing the directory ends the listing.
            list.listing = Some(listing).filter(|_| !names.is_empty());
            list.ahead =
                names.into_iter().map(|(kind, name)| DirectoryEntry { type_: listed_type(kind), name }).collect();
        }
        Ok(list.ahead.pop_front())
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<List>::new_own(stream.rep()))?;
        Ok(())
    }
}
