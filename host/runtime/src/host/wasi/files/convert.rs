//! Conversions between the granted directory's types and those of `wasi:filesystem`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cap_fs_ext::FileTypeExt;
use cap_std::fs::{FileType, Metadata, MetadataExt};
use rustix::io::Errno;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
};

use crate::grants::{Found, Kind, ListedKind, Opening, Refused, Times};

/// The error that the plugin gets.
pub(super) fn error_code(refused: &Refused) -> ErrorCode {
    match refused {
        Refused::Quota | Refused::TooManyFiles => ErrorCode::Quota,
        Refused::Memory => ErrorCode::InsufficientMemory,
        Refused::ReadOnly => ErrorCode::ReadOnly,
        Refused::NotPermitted => ErrorCode::NotPermitted,
        Refused::Busy => ErrorCode::Busy,
        Refused::CrossDevice => ErrorCode::CrossDevice,
        Refused::NoDevice => ErrorCode::NoSuchDevice,
        Refused::Exists => ErrorCode::Exist,
        Refused::IsDirectory => ErrorCode::IsDirectory,
        Refused::NotDirectory => ErrorCode::NotDirectory,
        Refused::Link => ErrorCode::Loop,
        Refused::Invalid => ErrorCode::Invalid,
        Refused::TooLarge => ErrorCode::FileTooLarge,
        Refused::NameTooLong => ErrorCode::NameTooLong,
        Refused::BadDescriptor => ErrorCode::BadDescriptor,
        Refused::NoText => ErrorCode::IllegalByteSequence,
        Refused::System(error) => match Errno::from_io_error(error) {
            // Errors that wasmtime-wasi does not name.
            Some(Errno::ROFS) => ErrorCode::ReadOnly,
            Some(Errno::XDEV) => ErrorCode::CrossDevice,
            Some(Errno::DQUOT) => ErrorCode::InsufficientSpace,
            Some(Errno::MFILE | Errno::NFILE) => ErrorCode::InsufficientMemory,
            Some(_) | None => ErrorCode::from(error),
        },
    }
}

pub(super) fn opening(path: PathFlags, open: OpenFlags, flags: DescriptorFlags) -> Result<Opening, ErrorCode> {
    let sync = DescriptorFlags::FILE_INTEGRITY_SYNC
        | DescriptorFlags::DATA_INTEGRITY_SYNC
        | DescriptorFlags::REQUESTED_WRITE_SYNC;
    if flags.intersects(sync) {
        return Err(ErrorCode::Unsupported);
    }
    Ok(Opening {
        read: flags.contains(DescriptorFlags::READ),
        write: flags.contains(DescriptorFlags::WRITE),
        create: open.contains(OpenFlags::CREATE),
        exclusive: open.contains(OpenFlags::EXCLUSIVE),
        truncate: open.contains(OpenFlags::TRUNCATE),
        directory: open.contains(OpenFlags::DIRECTORY),
        follow: follow(path),
    })
}

pub(super) fn follow(path: PathFlags) -> bool {
    path.contains(PathFlags::SYMLINK_FOLLOW)
}

fn descriptor_type(kind: FileType) -> DescriptorType {
    if kind.is_dir() {
        DescriptorType::Directory
    } else if kind.is_file() {
        DescriptorType::RegularFile
    } else if kind.is_symlink() {
        DescriptorType::SymbolicLink
    } else if kind.is_fifo() {
        DescriptorType::Fifo
    } else if kind.is_socket() {
        DescriptorType::Socket
    } else if kind.is_block_device() {
        DescriptorType::BlockDevice
    } else if kind.is_char_device() {
        DescriptorType::CharacterDevice
    } else {
        DescriptorType::Unknown
    }
}

/// The kind of a name in a listing.
pub(super) fn listed_type(kind: ListedKind) -> DescriptorType {
    match kind {
        ListedKind::Real(kind) => descriptor_type(kind),
        ListedKind::Made(kind) => made_type(kind),
    }
}

fn made_type(kind: Kind) -> DescriptorType {
    match kind {
        Kind::Folder => DescriptorType::Directory,
        Kind::Device => DescriptorType::CharacterDevice,
        Kind::File => DescriptorType::RegularFile,
    }
}

pub(super) fn stat(found: &Found) -> DescriptorStat {
    match found {
        Found::Real(metadata) => real_stat(metadata),
        Found::Made(kind) => made_stat(*kind, 0),
        Found::Listed(size) => made_stat(Kind::File, *size),
    }
}

fn made_stat(kind: Kind, size: u64) -> DescriptorStat {
    DescriptorStat {
        type_: made_type(kind),
        link_count: 1,
        size,
        data_access_timestamp: None,
        data_modification_timestamp: None,
        status_change_timestamp: None,
    }
}

fn real_stat(metadata: &Metadata) -> DescriptorStat {
    DescriptorStat {
        type_: descriptor_type(metadata.file_type()),
        link_count: metadata.nlink(),
        size: metadata.len(),
        data_access_timestamp: datetime(metadata.atime(), metadata.atime_nsec()),
        data_modification_timestamp: datetime(metadata.mtime(), metadata.mtime_nsec()),
        status_change_timestamp: datetime(metadata.ctime(), metadata.ctime_nsec()),
    }
}

/// `None` before 1970, where WASI's wall clock begins.
fn datetime(seconds: i64, nanoseconds: i64) -> Option<Datetime> {
    Some(Datetime { seconds: u64::try_from(seconds).ok()?, nanoseconds: u32::try_from(nanoseconds).ok()? })
}

pub(super) fn times(accessed: NewTimestamp, modified: NewTimestamp) -> Result<Times, ErrorCode> {
    Ok(Times { accessed: time(accessed)?, modified: time(modified)? })
}

fn time(new: NewTimestamp) -> Result<Option<SystemTime>, ErrorCode> {
    match new {
        NewTimestamp::NoChange => Ok(None),
        NewTimestamp::Now => Ok(Some(SystemTime::now())),
        NewTimestamp::Timestamp(Datetime { seconds, nanoseconds }) => {
            let nanoseconds = Duration::from_nanos(nanoseconds.into());
            let since = Duration::from_secs(seconds).checked_add(nanoseconds);
            since.and_then(|since| UNIX_EPOCH.checked_add(since)).map(Some).ok_or(ErrorCode::Overflow)
        }
    }
}
