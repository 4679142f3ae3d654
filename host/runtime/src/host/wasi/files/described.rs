//! Files, directories and devices as open file descriptions: with an offset that all share who have one.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::session::{Handle, Session, WRITE};
use crate::grants::{Device, Opening, Position, READ};
use crate::host::wasi::errno::errno_of;
use crate::posix::{DescriptionKind, DescriptionTarget, Errno, FileDescription, OpenDescription, Operation, Whence};

/// An open file with an offset. A read or write holds the offset from its beginning to its end.
struct DescribedFile {
    handle: Arc<Handle>,
    /// Writes go to the end of the file.
    appends: bool,
    offset: Arc<Mutex<u64>>,
}

/// open(2). A path without a slash at its beginning begins at `directory`. `append`: writes go to the end of the file.
pub(in crate::host) async fn open(
    session: Arc<Session>,
    directory: &str,
    path: &str,
    how: Opening,
    append: bool,
) -> Result<Arc<OpenDescription>, Errno> {
    if path.is_empty() {
        return Err(Errno::NoEntry);
    }
    let path = if path.starts_with('/') { path.to_owned() } else { format!("{directory}/{path}") };
    let below = session.tree.below_root(&path).map_err(|refused| errno_of(&refused))?.to_owned();
    let root = Handle::root(&session);
    let is_brief = root.is_local() && !(how.write || how.create || how.truncate);
    let open = move |_: &Session, wait| root.open_as(&below, how, wait, Session::description_slot);
    let handle = session.try_run(is_brief, open).await.map_err(|refused| errno_of(&refused))?;
    if let Some((_, description)) = handle.described() {
        return Ok(Arc::clone(description));
    }
    if how.write && handle.is_directory() {
        return Err(Errno::IsDirectory);
    }
    let file = DescribedFile { handle: Arc::new(handle), appends: append, offset: Arc::default() };
    Ok(Arc::new(OpenDescription::new(DescriptionTarget::File(Box::new(file)), ())))
}

impl DescribedFile {
    /// What needs no disk: the error of an operation, or what a device does.
    fn check(&self, allowed: bool) -> Result<Option<Device>, Errno> {
        if !allowed {
            return Err(Errno::BadDescriptor);
        }
        if self.handle.is_directory() {
            return Err(Errno::IsDirectory);
        }
        Ok(self.handle.device())
    }
}

impl FileDescription for DescribedFile {
    fn kind(&self) -> DescriptionKind {
        match self.handle.device() {
            Some(_) => DescriptionKind::Device,
            None if self.handle.is_directory() => DescriptionKind::Directory,
            None => DescriptionKind::File,
        }
    }

    fn access(&self) -> (bool, bool) {
        (self.handle.opened.readable(), self.handle.opened.writable())
    }

    fn read(&self, most: usize) -> Operation<Bytes> {
        let (handle, offset) = (Arc::clone(&self.handle), Arc::clone(&self.offset));
        let device = match self.check(handle.opened.readable()) {
            Ok(None) => None,
            Ok(Some(device)) => Some(device),
            Err(errno) => return at_once(Err(errno)),
        };
        if let Some(device) = device {
            return at_once(read_device(device, most, handle.session().random()));
        }
        Box::pin(async move {
            let mut offset = offset.lock().await;
            let (session, begin) = (handle.session(), *offset);
            let read = session.try_run(handle.is_local(), move |_, wait| handle.read(begin, most.min(READ), wait));
            let bytes = read.await.map_err(|refused| errno_of(&refused))?;
            *offset = begin.saturating_add(length(&bytes));
            Ok(bytes.into())
        })
    }

    fn write(&self, mut bytes: Bytes, limit: Option<u64>) -> Operation<usize> {
        let (handle, offset, appends) = (Arc::clone(&self.handle), Arc::clone(&self.offset), self.appends);
        match self.check(handle.opened.writable()) {
            Ok(None) => {}
            Ok(Some(Device::Full)) if !bytes.is_empty() => return at_once(Err(Errno::NoSpace)),
            Ok(Some(_)) => return at_once(Ok(bytes.len())),
            Err(errno) => return at_once(Err(errno)),
        }
        // The rest is for another call: no budget counts what waits here.
        bytes.truncate(WRITE);
        Box::pin(async move {
            // The work goes on if its caller is gone, and so do the lock and the offset.
            let mut offset = offset.lock_owned().await;
            let write = handle.session().try_run_blocking(move |_| {
                let position = if appends { Position::End } else { Position::At(*offset) };
                let (end, written) = handle.write_within(position, &bytes, limit)?;
                *offset = end;
                Ok(written)
            });
            write.await.map_err(|refused| errno_of(&refused))
        })
    }

    fn seek(&self, by: i64, whence: Whence) -> Operation<u64> {
        let (handle, offset) = (Arc::clone(&self.handle), Arc::clone(&self.offset));
        match self.kind() {
            // As under Linux, where the offset of a device means nothing.
            DescriptionKind::Device => return at_once(Ok(0)),
            DescriptionKind::File => {}
            _ => return at_once(Err(Errno::Invalid)),
        }
        Box::pin(async move {
            let mut offset: OwnedMutexGuard<u64> = offset.lock_owned().await;
            let begin = match whence {
                Whence::Start => 0,
                Whence::Current => *offset,
                Whence::End => {
                    let size = handle.session().try_run(handle.is_local(), move |_, _| handle.size());
                    size.await.map_err(|refused| errno_of(&refused))?
                }
            };
            *offset = begin.checked_add_signed(by).filter(|to| i64::try_from(*to).is_ok()).ok_or(Errno::Invalid)?;
            Ok(*offset)
        })
    }

    fn truncate(&self, size: u64, limit: Option<u64>) -> Operation<()> {
        let handle = Arc::clone(&self.handle);
        if self.kind() != DescriptionKind::File || !handle.opened.writable() || i64::try_from(size).is_err() {
            return at_once(Err(Errno::Invalid));
        }
        Box::pin(async move {
            let session = handle.session();
            let truncate = session.try_run_blocking(move |_| handle.set_size_within(size, limit));
            truncate.await.map_err(|refused| errno_of(&refused))
        })
    }
}

fn at_once<R: Send + 'static>(result: Result<R, Errno>) -> Operation<R> {
    Box::pin(std::future::ready(result))
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn read_device(device: Device, most: usize, random: usize) -> Result<Bytes, Errno> {
    match device {
        Device::Zero | Device::Full => Ok(vec![0; most.min(READ)].into()),
        Device::Random => {
            let mut bytes = vec![0; most.min(READ).min(random)];
            getrandom::fill(&mut bytes).map_err(|_| Errno::Io)?;
            Ok(bytes.into())
        }
        Device::Null | Device::Terminal | Device::Number(_) => Ok(Bytes::new()),
    }
}
