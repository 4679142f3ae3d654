//! The session's files: `wasi:filesystem`, with descriptors and offsets.
//!
//! A path goes to the host as the client wrote it: the host resolves links, `.` and `..` in the session's tree. Every
//! call costs the host a few system calls, or a change of threads if it has to wait for the disk, so each request makes
//! as few as it can.

use std::time::{SystemTime, UNIX_EPOCH};

use sftp::{FileError, FileKind, FileSystem, Metadata, NewTimes, OpenMode, Space};
use wasip2::clocks::wall_clock::Datetime;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntryStream, ErrorCode, NewTimestamp,
    OpenFlags, PathFlags, filesystem_error_code,
};
use wasip2::io::streams::{OutputStream, StreamError};
use whelk_guest::files;
use whelk_guest::space::{self, SpaceError};

/// The unit in which free room is told, in bytes.
const BLOCK: u64 = 4096;

/// The files below `/`.
pub(crate) struct SandboxFiles {
    root: Descriptor,
}

/// An open file.
pub(crate) struct SandboxFile {
    /// For writing to the end, once that was done. Field order: WASI wants it dropped before its descriptor.
    end: Option<OutputStream>,
    descriptor: Descriptor,
}

/// A directory that is being read.
pub(crate) struct SandboxListing {
    /// Which of `.` and `..` are to come.
    dots: Vec<&'static str>,
    entries: DirectoryEntryStream,
    directory: Descriptor,
}

impl SandboxFiles {
    /// Those of the session, if it has a root.
    pub(super) fn of_root() -> Option<Self> {
        let root = get_directories().into_iter().find(|(_, path)| path == "/");
        root.map(|(root, _)| Self { root })
    }

    fn open_at(&self, path: &str, how: OpenFlags, access: DescriptorFlags) -> Result<Descriptor, FileError> {
        self.root.open_at(PathFlags::SYMLINK_FOLLOW, below_root(path), how, access).map_err(error_of)
    }
}

/// A path as WASI wants it: relative to the root.
fn below_root(path: &str) -> &str {
    match path.trim_start_matches('/') {
        "" => ".",
        path => path,
    }
}

impl FileSystem for SandboxFiles {
    type File = SandboxFile;
    type Listing = SandboxListing;
    /// What the host reads or writes at once if it need not wait for the disk; otherwise it takes 64 KiB.
    const PIECE: usize = 256 << 10;

    fn open(&mut self, path: &str, mode: OpenMode) -> Result<SandboxFile, FileError> {
        let (mut how, mut access) = (OpenFlags::empty(), DescriptorFlags::empty());
        how.set(OpenFlags::CREATE, mode.create);
        how.set(OpenFlags::EXCLUSIVE, mode.exclusive);
        how.set(OpenFlags::TRUNCATE, mode.truncate);
        access.set(DescriptorFlags::READ, mode.read);
        // To truncate is to write, whatever the flags say, as under Linux.
        access.set(DescriptorFlags::WRITE, mode.write || mode.truncate);
        Ok(SandboxFile { end: None, descriptor: self.open_at(path, how, access)? })
    }

    fn read(
        &mut self,
        file: &mut SandboxFile,
        offset: u64,
        length: usize,
        into: &mut Vec<u8>,
    ) -> Result<usize, FileError> {
        let (bytes, _) = file.descriptor.read(length as u64, offset).map_err(error_of)?;
        into.extend_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn write(&mut self, file: &mut SandboxFile, offset: u64, data: &[u8]) -> Result<usize, FileError> {
        let taken = file.descriptor.write(data, offset).map_err(error_of)?;
        Ok(usize::try_from(taken).unwrap_or(usize::MAX))
    }

    fn append(&mut self, file: &mut SandboxFile, data: &[u8]) -> Result<usize, FileError> {
        let stream = match file.end.take() {
            Some(stream) => stream,
            None => file.descriptor.append_via_stream().map_err(error_of)?,
        };
        let room = stream.check_write().map_err(|error| stream_error(&error))?;
        let piece = &data[..data.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
        // A stream that has failed is closed, so the next write gets another.
        stream.write(piece).and_then(|()| stream.blocking_flush()).map_err(|error| stream_error(&error))?;
        file.end = Some(stream);
        Ok(piece.len())
    }

    fn file_kind(&mut self, file: &SandboxFile) -> Result<FileKind, FileError> {
        file.descriptor.get_type().map(kind_of).map_err(error_of)
    }

    fn file_metadata(&mut self, file: &SandboxFile) -> Result<Metadata, FileError> {
        file.descriptor.stat().map(|found| metadata_of(&found)).map_err(error_of)
    }

    fn set_file_size(&mut self, file: &SandboxFile, size: u64) -> Result<(), FileError> {
        file.descriptor.set_size(size).map_err(error_of)
    }

    fn set_file_times(&mut self, file: &SandboxFile, times: NewTimes) -> Result<(), FileError> {
        file.descriptor.set_times(time(times.accessed), time(times.modified)).map_err(error_of)
    }

    fn sync(&mut self, file: &SandboxFile) -> Result<(), FileError> {
        file.descriptor.sync().map_err(error_of)
    }

    fn is_same(&mut self, one: &SandboxFile, other: &SandboxFile) -> Result<bool, FileError> {
        Ok(one.descriptor.is_same_object(&other.descriptor))
    }

    fn list(&mut self, path: &str) -> Result<SandboxListing, FileError> {
        let directory = self.open_at(path, OpenFlags::DIRECTORY, DescriptorFlags::READ)?;
        let entries = directory.read_directory().map_err(error_of)?;
        Ok(SandboxListing { dots: vec!["..", "."], entries, directory })
    }

    fn next(&mut self, listing: &mut SandboxListing) -> Result<Option<(String, Metadata)>, FileError> {
        while let Some(name) = listing.dots.pop() {
            match listing.directory.stat_at(PathFlags::empty(), name) {
                Ok(found) => return Ok(Some((name.to_owned(), metadata_of(&found)))),
                Err(ErrorCode::NoEntry) => {}
                Err(error) => return Err(error_of(error)),
            }
        }
        while let Some(entry) = listing.entries.read_directory_entry().map_err(error_of)? {
            let metadata = match listing.directory.stat_at(PathFlags::empty(), &entry.name) {
                Ok(found) => metadata_of(&found),
                // It was removed meanwhile.
                Err(ErrorCode::NoEntry) => continue,
                // Clients that mirror a directory delete what a listing leaves out.
                Err(_) => Metadata::of_kind(kind_of(entry.type_)),
            };
            return Ok(Some((entry.name, metadata)));
        }
        Ok(None)
    }

    fn metadata(&mut self, path: &str, follow: bool) -> Result<Metadata, FileError> {
        self.root.stat_at(following(follow), below_root(path)).map(|found| metadata_of(&found)).map_err(error_of)
    }

    fn set_size(&mut self, path: &str, size: u64) -> Result<(), FileError> {
        self.open_at(path, OpenFlags::empty(), DescriptorFlags::WRITE)?.set_size(size).map_err(error_of)
    }

    fn set_times(&mut self, path: &str, follow: bool, times: NewTimes) -> Result<(), FileError> {
        let (accessed, modified) = (time(times.accessed), time(times.modified));
        self.root.set_times_at(following(follow), below_root(path), accessed, modified).map_err(error_of)
    }

    fn create_directory(&mut self, path: &str) -> Result<(), FileError> {
        self.root.create_directory_at(below_root(path)).map_err(error_of)
    }

    fn remove_directory(&mut self, path: &str) -> Result<(), FileError> {
        self.root.remove_directory_at(below_root(path)).map_err(error_of)
    }

    fn remove_file(&mut self, path: &str) -> Result<(), FileError> {
        self.root.unlink_file_at(below_root(path)).map_err(error_of)
    }

    fn rename(&mut self, old: &str, new: &str) -> Result<(), FileError> {
        self.root.rename_at(below_root(old), &self.root, below_root(new)).map_err(error_of)
    }

    fn rename_new(&mut self, old: &str, new: &str) -> Result<(), FileError> {
        files::rename_new(old, new).map_err(rename_error)
    }

    fn link(&mut self, old: &str, new: &str) -> Result<(), FileError> {
        self.root.link_at(PathFlags::empty(), below_root(old), &self.root, below_root(new)).map_err(error_of)
    }

    fn symlink(&mut self, target: &str, path: &str) -> Result<(), FileError> {
        self.root.symlink_at(target, below_root(path)).map_err(error_of)
    }

    fn read_link(&mut self, path: &str) -> Result<String, FileError> {
        self.root.readlink_at(below_root(path)).map_err(error_of)
    }

    fn space(&mut self, path: &str) -> Result<Space, FileError> {
        let found = space::statvfs(path).map_err(space_error)?;
        let (blocks, free) = (found.total_bytes / BLOCK, found.free_bytes / BLOCK);
        Ok(Space {
            block: BLOCK,
            fragment: BLOCK,
            blocks,
            free,
            available: free,
            files: found.total_files,
            free_files: found.free_files,
            available_files: found.free_files,
            identifier: found.part,
            read_only: found.read_only,
            name_length: found.name_max.into(),
        })
    }

    /// A directory whose names are being read counts twice.
    fn most_open(&mut self) -> usize {
        usize::try_from(files::open_files_limit() / 2).unwrap_or(usize::MAX)
    }

    fn now(&mut self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

fn following(follow: bool) -> PathFlags {
    if follow { PathFlags::SYMLINK_FOLLOW } else { PathFlags::empty() }
}

fn time(seconds: u32) -> NewTimestamp {
    NewTimestamp::Timestamp(Datetime { seconds: seconds.into(), nanoseconds: 0 })
}

fn kind_of(kind: DescriptorType) -> FileKind {
    match kind {
        DescriptorType::RegularFile => FileKind::Regular,
        DescriptorType::Directory => FileKind::Directory,
        DescriptorType::SymbolicLink => FileKind::Link,
        DescriptorType::CharacterDevice => FileKind::CharacterDevice,
        DescriptorType::BlockDevice => FileKind::BlockDevice,
        DescriptorType::Fifo => FileKind::Fifo,
        DescriptorType::Socket => FileKind::Socket,
        DescriptorType::Unknown => FileKind::Unknown,
    }
}

fn metadata_of(found: &DescriptorStat) -> Metadata {
    let seconds = |time: Option<Datetime>| time.map_or(0, |time| time.seconds);
    Metadata {
        kind: kind_of(found.type_),
        size: found.size,
        links: found.link_count,
        accessed: seconds(found.data_access_timestamp),
        modified: seconds(found.data_modification_timestamp),
    }
}

fn stream_error(error: &StreamError) -> FileError {
    match error {
        StreamError::Closed => FileError::Io,
        StreamError::LastOperationFailed(error) => filesystem_error_code(error).map_or(FileError::Io, error_of),
    }
}

fn space_error(error: SpaceError) -> FileError {
    match error {
        SpaceError::Access => FileError::Access,
        SpaceError::Busy => FileError::Busy,
        SpaceError::InsufficientMemory => FileError::NoMemory,
        SpaceError::InsufficientSpace => FileError::NoSpace,
        SpaceError::Invalid => FileError::Invalid,
        SpaceError::Io => FileError::Io,
        SpaceError::Loop => FileError::Loop,
        SpaceError::NameTooLong => FileError::NameTooLong,
        SpaceError::NoEntry => FileError::NoEntry,
        SpaceError::NotDirectory => FileError::NotDirectory,
        SpaceError::NotPermitted => FileError::NotPermitted,
        SpaceError::Quota => FileError::Quota,
    }
}

fn rename_error(error: files::FileError) -> FileError {
    use files::FileError as Host;
    match error {
        Host::Access => FileError::Access,
        Host::Busy => FileError::Busy,
        Host::CrossDevice => FileError::CrossDevice,
        Host::Exist => FileError::Exists,
        Host::InsufficientMemory => FileError::NoMemory,
        Host::InsufficientSpace => FileError::NoSpace,
        Host::Invalid => FileError::Invalid,
        Host::Io => FileError::Io,
        Host::Loop => FileError::Loop,
        Host::NameTooLong => FileError::NameTooLong,
        Host::NoEntry => FileError::NoEntry,
        Host::NotDirectory => FileError::NotDirectory,
        Host::NotPermitted => FileError::NotPermitted,
        Host::Quota => FileError::Quota,
        Host::ReadOnly => FileError::ReadOnly,
    }
}

fn error_of(error: ErrorCode) -> FileError {
    match error {
        ErrorCode::NoEntry => FileError::NoEntry,
        ErrorCode::NotPermitted => FileError::NotPermitted,
        ErrorCode::Access => FileError::Access,
        ErrorCode::Exist => FileError::Exists,
        ErrorCode::IsDirectory => FileError::IsDirectory,
        ErrorCode::NotDirectory => FileError::NotDirectory,
        ErrorCode::NotEmpty => FileError::NotEmpty,
        ErrorCode::Busy | ErrorCode::TextFileBusy => FileError::Busy,
        ErrorCode::CrossDevice => FileError::CrossDevice,
        ErrorCode::Loop => FileError::Loop,
        ErrorCode::NameTooLong => FileError::NameTooLong,
        ErrorCode::Invalid | ErrorCode::Overflow => FileError::Invalid,
        ErrorCode::BadDescriptor => FileError::BadDescriptor,
        ErrorCode::IllegalByteSequence => FileError::NotUtf8,
        ErrorCode::Quota => FileError::Quota,
        ErrorCode::InsufficientSpace => FileError::NoSpace,
        ErrorCode::FileTooLarge => FileError::FileTooLarge,
        ErrorCode::ReadOnly => FileError::ReadOnly,
        ErrorCode::InsufficientMemory => FileError::NoMemory,
        ErrorCode::TooManyLinks => FileError::TooManyLinks,
        ErrorCode::NoDevice | ErrorCode::NoSuchDevice => FileError::NoDevice,
        ErrorCode::Pipe | ErrorCode::InvalidSeek => FileError::NotSeekable,
        ErrorCode::Unsupported => FileError::Unsupported,
        _ => FileError::Io,
    }
}
