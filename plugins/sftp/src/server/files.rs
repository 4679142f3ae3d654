//! Requests on files and directories that are open.

use super::Server;
use super::reply::set_length;
use crate::attributes::{Attributes, put_metadata};
use crate::filesystem::{FileKind, FileSystem, Metadata, OpenMode};
use crate::handles::{Open, OpenDirectory, OpenFile};
use crate::longname;
use crate::request::kind;
use crate::status::{Failure, FileError, Status};
use crate::wire::{MAX_READ, PutFields};

/// A reply to READDIR takes no further name once it has so many bytes.
const NAMES: usize = 64 << 10;
/// A read that returns fewer bytes than were asked for has reached the end of the file, unless it returns a multiple of
/// this: the host reads so many where it has to wait for the disk. The rest is read then too, because clients ask for
/// less from an answer on that is shorter than what they asked for.
const READ_UNIT: usize = 64 << 10;

impl<F: FileSystem> Server<F> {
    pub(super) fn open(&mut self, id: u32, path: &str, mode: OpenMode) -> Result<(), Failure> {
        self.handles.check_room()?;
        let path = self.paths.absolute(path)?;
        let file = self.files.open(path, mode).map_err(open_failure)?;
        // A device may have no end, or be the client's own connection (`/dev/stdin`), also by way of a link.
        if !matches!(self.files.file_kind(&file)?, FileKind::Regular | FileKind::Directory) {
            return Err(Failure::DEVICE);
        }
        let open = OpenFile { file, append: mode.append, path: path.into() };
        self.put_handle(id, Open::File(open));
        Ok(())
    }

    pub(super) fn open_directory(&mut self, id: u32, path: &str) -> Result<(), Failure> {
        self.handles.check_room()?;
        let listing = self.files.list(self.paths.absolute(path)?).map_err(open_failure)?;
        self.put_handle(id, Open::Directory(OpenDirectory { listing: Ok(listing) }));
        Ok(())
    }

    fn put_handle(&mut self, id: u32, open: Open<F::File, F::Listing>) {
        let handle = self.handles.insert(open);
        self.replies.put(kind::HANDLE, id, |reply| reply.put_string(&handle));
    }

    pub(super) fn close(&mut self, id: u32, handle: &[u8]) -> Result<(), Failure> {
        let status = Status::NoSuchFile;
        drop(self.handles.remove(handle).map_err(|failure| Failure { status, ..failure })?);
        self.replies.put_ok(id);
        Ok(())
    }

    /// Reads at most `MAX_READ` bytes, straight into the reply.
    pub(super) fn read(&mut self, id: u32, handle: &[u8], offset: u64, length: u32) -> Result<(), Failure> {
        let (files, open) = (&mut self.files, self.handles.file(handle)?);
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(MAX_READ);
        self.replies.try_put(kind::DATA, id, |reply| {
            let begin = reply.len();
            reply.put_u32(0);
            let mut left = length;
            while left > 0 {
                let at = offset.saturating_add(u64::from(crate::wire::length(length - left)));
                let asked = left.min(F::PIECE);
                let got = match files.read(&mut open.file, at, asked, reply) {
                    Ok(got) => got,
                    Err(error) if left == length => return Err(error.into()),
                    // The client asks again for what is missing, and gets the error then.
                    Err(_) => break,
                };
                left -= got;
                if got < asked && !(got > 0 && got.is_multiple_of(READ_UNIT)) {
                    break;
                }
            }
            if left == length && length > 0 {
                return Err(Failure::EOF);
            }
            set_length(reply, begin);
            Ok(())
        })
    }

    pub(super) fn write(&mut self, id: u32, handle: &[u8], offset: u64, data: &[u8]) -> Result<(), Failure> {
        write_all(&mut self.files, self.handles.file(handle)?, offset, data)?;
        self.replies.put_ok(id);
        Ok(())
    }

    pub(super) fn file_stat(&mut self, id: u32, handle: &[u8]) -> Result<(), Failure> {
        let metadata = self.files.file_metadata(&self.handles.file(handle)?.file)?;
        self.put_attributes(id, &metadata);
        Ok(())
    }

    pub(super) fn put_attributes(&mut self, id: u32, metadata: &Metadata) {
        self.replies.put(kind::ATTRS, id, |reply| put_metadata(reply, metadata));
    }

    /// Sets size and times. The file system has no permissions and no owners: to set them succeeds without effect.
    pub(super) fn file_set_stat(&mut self, id: u32, handle: &[u8], attributes: Attributes) -> Result<(), Failure> {
        let file = &self.handles.file(handle)?.file;
        let sized = attributes.size.map_or(Ok(()), |size| self.files.set_file_size(file, size));
        // Even if the size cannot be set.
        let timed = attributes.times.map_or(Ok(()), |times| self.files.set_file_times(file, times));
        timed.and(sized)?;
        self.replies.put_ok(id);
        Ok(())
    }

    pub(super) fn sync(&mut self, id: u32, handle: &[u8]) -> Result<(), Failure> {
        let open = self.handles.file(handle).map_err(|_| FileError::BadDescriptor)?;
        self.files.sync(&open.file)?;
        self.replies.put_ok(id);
        Ok(())
    }

    /// As many names as fit into one reply.
    pub(super) fn read_directory(&mut self, id: u32, handle: &[u8]) -> Result<(), Failure> {
        let now = self.files.now();
        let files = &mut self.files;
        let directory = self.handles.directory(handle)?;
        let user = &self.paths.owner;
        let listing = directory.listing.as_mut().map_err(|failure| *failure)?;
        let mut end = None;
        let result = self.replies.try_put(kind::NAME, id, |reply| {
            let (begin, mut count) = (reply.len(), 0_u32);
            reply.put_u32(0);
            while reply.len() - begin < NAMES {
                let (name, metadata) = match files.next(listing) {
                    Ok(Some(entry)) => entry,
                    Ok(None) => {
                        end = Some(Failure::EOF);
                        break;
                    }
                    Err(error) => {
                        end = Some(error.into());
                        break;
                    }
                };
                reply.put_string(name.as_bytes());
                let line = reply.len();
                reply.put_u32(0);
                longname::put(reply, &name, &metadata, user, now);
                set_length(reply, line);
                put_metadata(reply, &metadata);
                count += 1;
            }
            if count == 0
                && let Some(failure) = end
            {
                return Err(failure);
            }
            reply[begin..begin + 4].copy_from_slice(&count.to_be_bytes());
            Ok(())
        });
        if let Some(failure) = end {
            // Closes it: a client may keep the handle for long.
            directory.listing = Err(failure);
        }
        result
    }
}

/// Writes all of it, in as many pieces as the file system wants. If one fails, those before it stay written.
pub(super) fn write_all<F: FileSystem>(
    files: &mut F,
    open: &mut OpenFile<F::File>,
    mut offset: u64,
    mut data: &[u8],
) -> Result<(), FileError> {
    loop {
        let piece = &data[..data.len().min(F::PIECE)];
        let taken = if open.append {
            files.append(&mut open.file, piece)?
        } else {
            files.write(&mut open.file, offset, piece)?
        };
        data = &data[taken.min(piece.len())..];
        offset = offset.saturating_add(u64::from(crate::wire::length(taken)));
        if data.is_empty() {
            return Ok(());
        }
        if taken == 0 {
            return Err(FileError::Io);
        }
    }
}

/// The host reports too many open files as `quota`, too.
fn open_failure(error: FileError) -> Failure {
    match error {
        FileError::Quota => Failure::OPEN_QUOTA,
        error => error.into(),
    }
}
