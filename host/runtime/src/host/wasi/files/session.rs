//! The files of one session: how many may be open, and how it waits for the disk.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use rustix::io::Errno;
use tokio::runtime::Handle as Runtime;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::convert::error_code;
use super::pending_close::{CLOSE_DELAY, PendingClose};
use crate::grants::{
    Counted, Device, DiskWait, Entry, FileRoom, FileSlot, OpenCount, OpenFile, OpenPlaces, Opening, Position, READ,
    Refused, Start, Times, Tree,
};
use crate::host::charges::Charges;
use crate::host::log::{FileEvent, LogBook};
use crate::host::wasi::descriptors::ProcessIo;
use crate::limits::budget::Charge;
use crate::posix::OpenDescription;

/// Longer paths are kept and logged without their beginning.
const SHOWN: usize = 4 << 10;
/// The most bytes of one write.
pub(super) const WRITE: usize = 64 << 10;
/// The most bytes of its file that one stream buffers.
const PIECE: usize = if READ > WRITE { READ } else { WRITE };

/// How many files may be open.
#[derive(Clone)]
pub(in crate::host) struct OpenLimits {
    /// Those of the process that were opened through WASI, and its handles of descriptions.
    pub(in crate::host) process: Arc<OpenCount>,
    pub(in crate::host) most: usize,
    /// Those of all processes of the session, and descriptions.
    pub(in crate::host) session: Arc<OpenCount>,
    pub(in crate::host) session_most: usize,
}

/// A session's files.
pub(in crate::host) struct Session {
    pub(super) tree: Tree,
    /// The program whose files they are. Its descriptors may lead to these files, so they are not kept by them.
    program: Option<Weak<ProcessIo>>,
    /// The largest file that it may write, in bytes.
    file_limit: Option<u64>,
    log: Arc<LogBook>,
    charges: Charges,
    open: OpenLimits,
    streams: Arc<OpenCount>,
    /// What is to be closed before the next operation that may wait for the disk.
    pending_close: PendingClose,
    /// Where that is done if there is none.
    runtime: Option<Runtime>,
}

/// An open file, directory or device of the session.
pub(super) struct Handle {
    pub(super) opened: OpenFile,
    /// The path from the root, for the log.
    path: String,
    session: Arc<Session>,
    /// Bytes read from it and written to it, for the log.
    read: AtomicU64,
    written: AtomicU64,
    /// A write has exceeded the quota.
    refused: AtomicBool,
    /// What it leads to, if it is a device that stands for that.
    described: Option<Arc<OpenDescription>>,
}

/// The charges of a stream.
pub(super) struct Stream {
    _counted: Counted,
    _charge: Charge,
}

impl Session {
    /// `program`: the program whose files they are, if it is one.
    pub(in crate::host) fn new(
        tree: Tree,
        program: Option<&Arc<ProcessIo>>,
        log: &Arc<LogBook>,
        charges: Charges,
        open: OpenLimits,
    ) -> Self {
        Self {
            tree,
            program: program.map(Arc::downgrade),
            file_limit: program.and_then(|io| io.file_limit()),
            log: Arc::clone(log),
            charges,
            open,
            streams: Arc::default(),
            pending_close: PendingClose::default(),
            runtime: Runtime::try_current().ok(),
        }
    }

    /// The program whose files they are.
    pub(super) fn program(&self) -> Option<Arc<ProcessIo>> {
        self.program.as_ref()?.upgrade()
    }

    /// What a device leads to that stands for a descriptor of the program, or for its terminal.
    fn described(&self, device: Device, how: Opening) -> Result<Option<Arc<OpenDescription>>, Refused> {
        let description = match (device, self.program()) {
            (Device::Number(number), Some(io)) => io.descriptors().get(number).ok_or_else(|| system(Errno::NOENT))?,
            (Device::Terminal, Some(io)) => io.terminal().ok_or(Refused::NoDevice)?,
            // Handlers are given their input.
            (Device::Terminal | Device::Number(0), None) => return Err(Refused::NoDevice),
            _ => return Ok(None),
        };
        let (reads, writes) = description.access();
        if (how.read && !reads) || (how.write && !writes) {
            return Err(system(Errno::ACCESS));
        }
        Ok(Some(description))
    }

    /// The most random bytes of one read.
    pub(super) fn random(&self) -> usize {
        self.log.tenant().limits().random
    }

    /// Closes a file or a listing whose end may wait for the disk or a server. What the session does next there waits
    /// for it: it has the room of a removed file then.
    pub(super) fn close(self: Arc<Self>, opened: impl Send + 'static) {
        let Some(runtime) = self.runtime.clone() else { return };
        self.pending_close.push(Box::new(opened));
        runtime.spawn(self.run_blocking(|_| Ok(())));
    }

    /// The same, but the session's next operation does it, if that comes soon.
    pub(super) fn close_later(self: Arc<Self>, opened: impl Send + 'static) {
        let Some(runtime) = self.runtime.clone() else { return };
        self.pending_close.push(Box::new(opened));
        if self.pending_close.begin_task() {
            // The end of the session does not wait for this.
            let session = Arc::downgrade(&self);
            runtime.spawn(async move {
                sleep(CLOSE_DELAY).await;
                let Some(session) = session.upgrade() else { return };
                if session.pending_close.finish_task() {
                    let _ = session.run_blocking(|_| Ok(())).await;
                }
            });
        }
    }

    /// Reserves room for one more open file of this process.
    pub(super) fn slot(&self) -> Result<FileSlot, Refused> {
        let mine = self.open.process.take(self.open.most).ok_or(Refused::TooManyFiles)?;
        self.place(Some(mine))
    }

    /// Reserves room for one more description, which any process of the session may have.
    pub(super) fn description_slot(&self) -> Result<FileSlot, Refused> {
        self.place(None)
    }

    fn place(&self, mine: Option<Counted>) -> Result<FileSlot, Refused> {
        let session = self.open.session.take(self.open.session_most).ok_or(Refused::TooManyFiles)?;
        let descriptor = self.charges.descriptor().ok_or(Refused::TooManyFiles)?;
        Ok(FileSlot::new(OpenPlaces::new(mine, session), descriptor))
    }

    /// Reserves room for one more stream and its buffer. A stream can keep a file open that was closed otherwise;
    /// usually a file has one stream for reading and one for writing.
    pub(super) fn stream(&self) -> Result<Stream, Refused> {
        let counted = self.streams.take(self.open.most.saturating_mul(2)).ok_or(Refused::Quota)?;
        let charge = self.charges.memory(PIECE).ok_or(Refused::Memory)?;
        Ok(Stream { _counted: counted, _charge: charge })
    }

    /// Charges this many bytes of a file that somebody else keeps.
    pub(super) fn charge(&self, bytes: usize) -> Option<Charge> {
        self.charges.memory(bytes)
    }

    /// Does an operation that changes nothing at once, if it need not wait (`grants/directory/wait.rs`); `None` if it
    /// has to be run where it may. Its processor time is that of the call that asks for it. `is_brief`: whether to try
    /// that, for what is on a local file system.
    pub(super) fn at_once<R>(
        &self,
        is_brief: bool,
        work: impl FnOnce(&Session, DiskWait) -> Result<R, Refused>,
    ) -> Option<Result<R, ErrorCode>> {
        let done = self.try_at_once(is_brief, work)?;
        Some(done.map_err(|refused| error_code(&refused)))
    }

    /// The same, with the whole error.
    fn try_at_once<R>(
        &self,
        is_brief: bool,
        work: impl FnOnce(&Session, DiskWait) -> Result<R, Refused>,
    ) -> Option<Result<R, Refused>> {
        if !is_brief || !self.pending_close.is_done() {
            return None;
        }
        match work(self, DiskWait::Never) {
            Err(refused) if refused.is_would_wait() => None,
            done => Some(done),
        }
    }

    /// Runs an operation that changes nothing, or opens something, at once or else where it may wait.
    pub(super) async fn run<R: Send + 'static>(
        self: Arc<Self>,
        is_brief: bool,
        work: impl Fn(&Session, DiskWait) -> Result<R, Refused> + Send + 'static,
    ) -> Result<R, ErrorCode> {
        self.try_run(is_brief, work).await.map_err(|refused| error_code(&refused))
    }

    /// The same, with the whole error.
    pub(super) async fn try_run<R: Send + 'static>(
        self: Arc<Self>,
        is_brief: bool,
        work: impl Fn(&Session, DiskWait) -> Result<R, Refused> + Send + 'static,
    ) -> Result<R, Refused> {
        match self.try_at_once(is_brief, &work) {
            Some(done) => done,
            None => self.try_run_blocking(move |session| work(session, DiskWait::Any)).await,
        }
    }

    /// Runs a blocking operation on a thread where that is allowed, in the tenant's turn, and charges its processor
    /// time to the session. The operation is completed even if its caller no longer waits, so that its charges are
    /// right.
    pub(super) async fn run_blocking<R: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&Session) -> Result<R, Refused> + Send + 'static,
    ) -> Result<R, ErrorCode> {
        self.try_run_blocking(work).await.map_err(|refused| error_code(&refused))
    }

    /// The same, with the whole error.
    pub(super) async fn try_run_blocking<R: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&Session) -> Result<R, Refused> + Send + 'static,
    ) -> Result<R, Refused> {
        let turn = self.tree.queue().turn().await;
        let done = spawn_blocking(move || {
            let working = self.charges.usage().working();
            self.pending_close.close_all();
            let result = work(&self);
            drop(working);
            drop(turn);
            result
        });
        done.await.map_err(io::Error::other)?
    }

    /// How much room there is where a path leads, and a number of that part of the tree.
    pub(in crate::host) async fn room(self: Arc<Self>, path: String) -> Result<(usize, FileRoom), ErrorCode> {
        self.run_blocking(move |session| session.tree.room(&path)).await
    }

    /// The most files and directories that it may have open.
    pub(in crate::host) fn most_open(&self) -> usize {
        self.open.most.min(self.open.session_most)
    }

    /// Renames an entry, unless something has the new name.
    pub(in crate::host) async fn rename_new(self: Arc<Self>, old: String, new: String) -> Result<(), ErrorCode> {
        let root = Handle::root(&self);
        self.run_blocking(move |session| {
            let (old, new) = (session.tree.below_root(&old)?, session.tree.below_root(&new)?);
            let (old_led_to, new_led_to) = (Cell::default(), Cell::default());
            let (from, to) = (root.start(&old_led_to, DiskWait::Any), root.start(&new_led_to, DiskWait::Any));
            let result = session.tree.rename(from, old, to, new, false);
            root.tell("rename", &root.shown(old, &old_led_to), Some(&root.shown(new, &new_led_to)), &result);
            result
        })
        .await
    }

    /// How many names in a directory listings leave out, because they are not text.
    pub(in crate::host) async fn unlisted_names(self: Arc<Self>, directory: String) -> Result<u32, ErrorCode> {
        let root = Handle::root(&self);
        self.run_blocking(move |session| {
            let (path, led_to) = (session.tree.below_root(&directory)?, Cell::default());
            let how = Opening { read: true, directory: true, follow: true, ..Opening::default() };
            let (opened, _) = session.tree.open(root.start(&led_to, DiskWait::Any), path, how, session.slot()?)?;
            let mut listing = session.tree.list(&opened, session.slot()?)?;
            while !listing.next()?.is_empty() {}
            Ok(listing.unlisted())
        })
        .await
    }

    /// Logs what was done, or refused for a reason that the operator should know.
    fn tell<R>(
        &self,
        operation: &'static str,
        (path, to): (&str, Option<&str>),
        bytes: Option<u64>,
        result: &Result<R, Refused>,
    ) {
        let refused = match result {
            Ok(_) => None,
            Err(refused) => match error_code(refused) {
                code @ (ErrorCode::NotPermitted | ErrorCode::Access | ErrorCode::ReadOnly | ErrorCode::Quota) => {
                    Some(code)
                }
                _ => return,
            },
        };
        let refused = refused.as_ref().map(ErrorCode::name);
        self.log.file(&FileEvent { operation, path, to, bytes, read: None, refused });
    }
}

fn system(errno: Errno) -> Refused {
    Refused::System(errno.into())
}

/// What was closed last is closed where that may block, too. The tree ends now: files with names hold no room of it.
impl Drop for Session {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take().filter(|_| !self.pending_close.is_done()) else { return };
        let pending_close = std::mem::take(&mut self.pending_close);
        let (queue, usage) = (Arc::clone(self.tree.queue()), Arc::clone(self.charges.usage()));
        runtime.spawn(async move {
            let turn = queue.turn().await;
            let done = spawn_blocking(move || {
                let working = usage.working();
                pending_close.close_all();
                drop(working);
                drop(turn);
            });
            // A panic is reported where it happens.
            let _ = done.await;
        });
    }
}

impl Handle {
    fn new(session: &Arc<Session>, opened: OpenFile, path: String, described: Option<Arc<OpenDescription>>) -> Self {
        Self {
            described,
            opened,
            path,
            session: Arc::clone(session),
            read: AtomicU64::default(),
            written: AtomicU64::default(),
            refused: AtomicBool::default(),
        }
    }

    /// The root of the tree.
    pub(super) fn root(session: &Arc<Session>) -> Self {
        Self::new(session, Tree::root(), String::new(), None)
    }

    /// Where paths begin that are relative to it. `led_to` gets where one led if its text does not say so.
    pub(super) fn start<'a>(&'a self, led_to: &'a Cell<Option<String>>, wait: DiskWait) -> Start<'a> {
        Start { opened: &self.opened, path: &self.path, led_to, wait }
    }

    /// Whether it is on a local block device, in memory, or made by the host.
    pub(super) fn is_local(&self) -> bool {
        self.session.tree.is_local(&self.opened)
    }

    pub(super) fn is_directory(&self) -> bool {
        self.session.tree.is_directory(&self.opened)
    }

    /// The device that it is.
    pub(super) fn device(&self) -> Option<Device> {
        self.session.tree.device(&self.opened)
    }

    /// The file or directory of a disk that it is.
    pub(super) fn entry(&self) -> Result<&Arc<Entry>, Refused> {
        let no_file = if self.is_directory() { Refused::IsDirectory } else { Refused::Invalid };
        self.session.tree.entry(&self.opened)?.ok_or(no_file)
    }

    /// Opens an entry below it. Logs that unless it is a device, or a directory, which is usually only a step to
    /// something else.
    pub(super) fn open(&self, path: &str, how: Opening, wait: DiskWait) -> Result<Self, Refused> {
        self.open_as(path, how, wait, Session::slot)
    }

    /// The same, with a place of this kind.
    pub(super) fn open_as(
        &self,
        path: &str,
        how: Opening,
        wait: DiskWait,
        slot: impl FnOnce(&Session) -> Result<FileSlot, Refused>,
    ) -> Result<Self, Refused> {
        let (session, led_to) = (&self.session, Cell::default());
        let (tree, start) = (&session.tree, self.start(&led_to, wait));
        let result = slot(session).and_then(|slot| tree.open(start, path, how, slot));
        let shown = self.shown(path, &led_to);
        let operation = match &result {
            Ok((_, true)) => "create",
            Ok((_, false)) if how.truncate => "truncate",
            Ok(_) | Err(_) => "open",
        };
        if !matches!(&result, Ok((opened, _)) if tree.is_directory(opened) || tree.device(opened).is_some()) {
            session.tell(operation, (&shown, None), None, &result);
        }
        let (opened, _) = result?;
        let described = tree.device(&opened).map(|device| session.described(device, how)).transpose()?.flatten();
        Ok(Self::new(session, opened, shown, described))
    }

    /// What it leads to, and the program that has it, if it is a device that stands for that.
    pub(super) fn described(&self) -> Option<(Arc<ProcessIo>, &Arc<OpenDescription>)> {
        let described = self.described.as_ref()?;
        Some((self.session.program()?, described))
    }

    /// The path of an entry below it, for the log: where it led, or else its text without what means nothing.
    pub(super) fn shown(&self, path: &str, led_to: &Cell<Option<String>>) -> String {
        let path = led_to.take().unwrap_or_else(|| {
            let names = self.path.split('/').chain(path.split('/'));
            names.filter(|name| !matches!(*name, "" | ".")).collect::<Vec<_>>().join("/")
        });
        // However deep a plugin goes, the path stays short enough to store.
        match path.len().checked_sub(SHOWN).filter(|excess| *excess > 0) {
            None => path,
            Some(excess) => format!("…{}", &path[path.ceil_char_boundary(excess)..]),
        }
    }

    /// The session that it belongs to.
    pub(super) fn session(&self) -> Arc<Session> {
        Arc::clone(&self.session)
    }

    /// Logs an operation on an entry below it.
    /// `to`: where it leads or what it is called now.
    pub(super) fn tell<R>(&self, operation: &'static str, path: &str, to: Option<&str>, result: &Result<R, Refused>) {
        self.session.tell(operation, (path, to), None, result);
    }

    /// Changes its times.
    pub(super) fn set_times(&self, times: Times) -> Result<(), Refused> {
        let result = self.session.tree.set_times(&self.opened, times);
        self.session.tell("times", (&self.path, None), None, &result);
        result
    }

    /// Truncates or extends it.
    pub(super) fn set_size(&self, size: u64) -> Result<(), Refused> {
        self.set_size_within(size, self.session.file_limit)
    }

    /// The same for a process that may write files of this size.
    pub(super) fn set_size_within(&self, size: u64, limit: Option<u64>) -> Result<(), Refused> {
        if limit.is_some_and(|limit| size > limit) {
            return Err(Refused::TooLarge);
        }
        let result = self.entry()?.set_size(size);
        self.session.tell("truncate", (&self.path, None), Some(size), &result);
        result.map(|_| ())
    }

    /// Reads up to `length` bytes; none at the end of the file.
    pub(super) fn read(&self, offset: u64, length: usize, wait: DiskWait) -> Result<Vec<u8>, Refused> {
        let bytes = self.entry()?.read(offset, length, wait)?;
        self.read.fetch_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(bytes)
    }

    /// The largest file that the program may write which has opened it.
    pub(super) fn file_limit(&self) -> Option<u64> {
        self.session.file_limit
    }

    /// Its size.
    pub(super) fn size(&self) -> Result<u64, Refused> {
        Ok(self.entry()?.metadata()?.len())
    }

    /// Writes all of it or nothing, and returns the offset behind the bytes. What exceeds the largest file that the
    /// program may write fails, once the rest is written.
    pub(super) fn write(&self, position: Position, data: &[u8]) -> Result<u64, Refused> {
        let (end, written) = self.write_within(position, data, self.session.file_limit)?;
        if written < data.len() { Err(Refused::TooLarge) } else { Ok(end) }
    }

    /// Writes those of the bytes that do not lie beyond `limit`, at least one. Returns the offset behind them, and how
    /// many they are.
    pub(super) fn write_within(
        &self,
        position: Position,
        data: &[u8],
        limit: Option<u64>,
    ) -> Result<(u64, usize), Refused> {
        let mut count = data.len();
        if let Some(limit) = limit {
            let begin = match position {
                Position::At(offset) => offset,
                Position::End => self.size()?,
            };
            count = count.min(usize::try_from(limit.saturating_sub(begin)).unwrap_or(usize::MAX));
            if count == 0 && !data.is_empty() {
                return Err(Refused::TooLarge);
            }
        }
        Ok((self.write_all(position, &data[..count])?, count))
    }

    fn write_all(&self, position: Position, data: &[u8]) -> Result<u64, Refused> {
        let result = self.entry().and_then(|entry| entry.write(position, data));
        match &result {
            Ok(_) => {
                self.written.fetch_add(u64::try_from(data.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
            Err(Refused::Quota) => self.refused.store(true, Ordering::Relaxed),
            Err(_) => {}
        }
        result
    }
}

/// The end of a file that was read or written to.
impl Drop for Handle {
    fn drop(&mut self) {
        let (read, written, refused) = (*self.read.get_mut(), *self.written.get_mut(), *self.refused.get_mut());
        let wrote = written > 0 || refused;
        if wrote || read > 0 {
            let (operation, bytes) = if wrote { ("write-end", Some(written)) } else { ("read-end", None) };
            let (path, read) = (&*self.path, Some(read).filter(|read| *read > 0));
            let refused = refused.then(|| ErrorCode::Quota.name());
            self.session.log.file(&FileEvent { operation, path, to: None, bytes, read, refused });
        }
        let opened = std::mem::replace(&mut self.opened, Tree::root());
        if let Some(open) = opened.into_last().and_then(Entry::close_at_once) {
            let session = Arc::clone(&self.session);
            // Others may wait for the room of a removed file.
            if open.has_name() { session.close_later(open) } else { session.close(open) }
        }
    }
}
