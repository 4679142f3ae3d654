//! A file system on Unix, for tests and for comparisons with other servers: all of the machine's, without a limit.

use std::fs::{self, DirEntry, File, OpenOptions, ReadDir};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, RenameFlags, StatVfs, Timespec, Timestamps};
use rustix::io::Errno;

use crate::filesystem::{FileKind, FileSystem, Metadata, NewTimes, OpenMode, Space};
use crate::status::FileError;

/// The machine's files.
#[derive(Debug)]
pub struct NativeFiles {
    /// The most bytes of one read: all that are asked for, or 64 KiB, as in the sandbox where it waits for the disk.
    pub most_read: usize,
    /// What is told of how many files may be open.
    pub most_open: usize,
}

impl Default for NativeFiles {
    fn default() -> Self {
        Self { most_read: usize::MAX, most_open: usize::MAX }
    }
}

/// A directory that is being read.
#[derive(Debug)]
pub struct NativeListing {
    path: PathBuf,
    /// Which of `.` and `..` are to come.
    dots: Vec<&'static str>,
    entries: ReadDir,
}

impl FileSystem for NativeFiles {
    type File = File;
    type Listing = NativeListing;
    const PIECE: usize = 256 << 10;

    fn open(&mut self, path: &str, mode: OpenMode) -> Result<File, FileError> {
        use rustix::fs::{Mode, OFlags};
        let mut flags = match (mode.read, mode.write) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            _ => OFlags::RDONLY,
        };
        flags.set(OFlags::APPEND, mode.append);
        flags.set(OFlags::CREATE, mode.create);
        flags.set(OFlags::EXCL, mode.exclusive);
        flags.set(OFlags::TRUNC, mode.truncate);
        let opened = rustix::fs::open(
            path,
            flags | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK,
            Mode::from_raw_mode(0o644),
        );
        Ok(opened.map_err(error_of)?.into())
    }

    fn read(&mut self, file: &mut File, offset: u64, length: usize, into: &mut Vec<u8>) -> Result<usize, FileError> {
        let begin = into.len();
        into.resize(begin + length.min(self.most_read), 0);
        let result = file.read_at(&mut into[begin..], offset);
        into.truncate(begin + result.as_ref().copied().unwrap_or(0));
        result.map_err(io_error)
    }

    fn write(&mut self, file: &mut File, offset: u64, data: &[u8]) -> Result<usize, FileError> {
        file.write_at(data, offset).map_err(io_error)
    }

    fn append(&mut self, file: &mut File, data: &[u8]) -> Result<usize, FileError> {
        file.write(data).map_err(io_error)
    }

    fn file_kind(&mut self, file: &File) -> Result<FileKind, FileError> {
        Ok(self.file_metadata(file)?.kind)
    }

    fn file_metadata(&mut self, file: &File) -> Result<Metadata, FileError> {
        Ok(metadata_of(&file.metadata().map_err(io_error)?))
    }

    fn set_file_size(&mut self, file: &File, size: u64) -> Result<(), FileError> {
        rustix::fs::ftruncate(file, size).map_err(error_of)
    }

    fn set_file_times(&mut self, file: &File, times: NewTimes) -> Result<(), FileError> {
        rustix::fs::futimens(file, &timestamps(times)).map_err(error_of)
    }

    fn sync(&mut self, file: &File) -> Result<(), FileError> {
        file.sync_all().map_err(io_error)
    }

    fn is_same(&mut self, one: &File, other: &File) -> Result<bool, FileError> {
        let identity = |file: &File| file.metadata().map(|found| (found.dev(), found.ino())).map_err(io_error);
        Ok(identity(one)? == identity(other)?)
    }

    fn list(&mut self, path: &str) -> Result<NativeListing, FileError> {
        Ok(NativeListing { path: path.into(), dots: vec!["..", "."], entries: fs::read_dir(path).map_err(io_error)? })
    }

    fn next(&mut self, listing: &mut NativeListing) -> Result<Option<(String, Metadata)>, FileError> {
        while let Some(name) = listing.dots.pop() {
            match fs::symlink_metadata(listing.path.join(name)).map_err(io_error) {
                Ok(found) => return Ok(Some((name.to_owned(), metadata_of(&found)))),
                Err(FileError::NoEntry) => {}
                Err(error) => return Err(error),
            }
        }
        for entry in &mut listing.entries {
            let entry: DirEntry = entry.map_err(io_error)?;
            // The protocol's names are UTF-8 here.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let metadata = match entry.metadata().map_err(io_error) {
                Ok(found) => metadata_of(&found),
                Err(FileError::NoEntry) => continue,
                Err(_) => Metadata::of_kind(FileKind::Unknown),
            };
            return Ok(Some((name, metadata)));
        }
        Ok(None)
    }

    fn metadata(&mut self, path: &str, follow: bool) -> Result<Metadata, FileError> {
        let found = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
        Ok(metadata_of(&found.map_err(io_error)?))
    }

    fn set_size(&mut self, path: &str, size: u64) -> Result<(), FileError> {
        let file = OpenOptions::new().write(true).open(path).map_err(io_error)?;
        rustix::fs::ftruncate(file, size).map_err(error_of)
    }

    fn set_times(&mut self, path: &str, follow: bool, times: NewTimes) -> Result<(), FileError> {
        let flags = if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
        rustix::fs::utimensat(CWD, path, &timestamps(times), flags).map_err(error_of)
    }

    fn create_directory(&mut self, path: &str) -> Result<(), FileError> {
        fs::create_dir(path).map_err(io_error)
    }

    fn remove_directory(&mut self, path: &str) -> Result<(), FileError> {
        fs::remove_dir(path).map_err(io_error)
    }

    fn remove_file(&mut self, path: &str) -> Result<(), FileError> {
        fs::remove_file(path).map_err(io_error)
    }

    fn rename(&mut self, old: &str, new: &str) -> Result<(), FileError> {
        fs::rename(old, new).map_err(io_error)
    }

    fn rename_new(&mut self, old: &str, new: &str) -> Result<(), FileError> {
        rustix::fs::renameat_with(CWD, old, CWD, new, RenameFlags::NOREPLACE).map_err(error_of)
    }

    fn link(&mut self, old: &str, new: &str) -> Result<(), FileError> {
        rustix::fs::linkat(CWD, old, CWD, new, AtFlags::empty()).map_err(error_of)
    }

    fn symlink(&mut self, target: &str, path: &str) -> Result<(), FileError> {
        std::os::unix::fs::symlink(target, path).map_err(io_error)
    }

    fn read_link(&mut self, path: &str) -> Result<String, FileError> {
        let target = fs::read_link(Path::new(path)).map_err(io_error)?;
        target.into_os_string().into_string().map_err(|_| FileError::NotUtf8)
    }

    fn space(&mut self, path: &str) -> Result<Space, FileError> {
        let found: StatVfs = rustix::fs::statvfs(path).map_err(error_of)?;
        Ok(Space {
            block: found.f_bsize,
            fragment: found.f_frsize,
            blocks: found.f_blocks,
            free: found.f_bfree,
            available: found.f_bavail,
            files: found.f_files,
            free_files: found.f_ffree,
            available_files: found.f_favail,
            identifier: found.f_fsid,
            read_only: found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
            name_length: found.f_namemax,
        })
    }

    fn most_open(&mut self) -> usize {
        self.most_open
    }

    fn now(&mut self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

fn metadata_of(found: &fs::Metadata) -> Metadata {
    let kind = match found.mode() & 0o170_000 {
        0o100_000 => FileKind::Regular,
        0o040_000 => FileKind::Directory,
        0o120_000 => FileKind::Link,
        0o020_000 => FileKind::CharacterDevice,
        0o060_000 => FileKind::BlockDevice,
        0o010_000 => FileKind::Fifo,
        0o140_000 => FileKind::Socket,
        _ => FileKind::Unknown,
    };
    let time = |seconds| u64::try_from(seconds).unwrap_or(0);
    let (accessed, modified) = (time(found.atime()), time(found.mtime()));
    Metadata { kind, size: found.len(), links: found.nlink(), accessed, modified }
}

fn timestamps(times: NewTimes) -> Timestamps {
    let time = |seconds: u32| Timespec { tv_sec: seconds.into(), tv_nsec: 0 };
    Timestamps { last_access: time(times.accessed), last_modification: time(times.modified) }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn io_error(error: io::Error) -> FileError {
    Errno::from_io_error(&error).map_or(FileError::Io, error_of)
}

fn error_of(error: Errno) -> FileError {
    match error {
        Errno::NOENT => FileError::NoEntry,
        Errno::PERM => FileError::NotPermitted,
        Errno::ACCESS => FileError::Access,
        Errno::EXIST => FileError::Exists,
        Errno::ISDIR => FileError::IsDirectory,
        Errno::NOTDIR => FileError::NotDirectory,
        Errno::NOTEMPTY => FileError::NotEmpty,
        Errno::BUSY => FileError::Busy,
        Errno::XDEV => FileError::CrossDevice,
        Errno::LOOP => FileError::Loop,
        Errno::NAMETOOLONG => FileError::NameTooLong,
        Errno::INVAL => FileError::Invalid,
        Errno::BADF => FileError::BadDescriptor,
        Errno::ILSEQ => FileError::NotUtf8,
        Errno::DQUOT => FileError::Quota,
        Errno::NOSPC => FileError::NoSpace,
        Errno::FBIG => FileError::FileTooLarge,
        Errno::ROFS => FileError::ReadOnly,
        Errno::MFILE | Errno::NFILE => FileError::TooManyFiles,
        Errno::NOMEM => FileError::NoMemory,
        Errno::MLINK => FileError::TooManyLinks,
        Errno::NODEV | Errno::NXIO => FileError::NoDevice,
        Errno::PIPE | Errno::SPIPE => FileError::NotSeekable,
        Errno::NOSYS | Errno::OPNOTSUPP => FileError::Unsupported,
        _ => FileError::Io,
    }
}
