//! What the server needs of a file system.

use crate::status::FileError;

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A file with contents.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device of bytes, such as a terminal.
    CharacterDevice,
    /// A device of blocks, such as a disk.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// The file system does not say.
    Unknown,
}

/// The metadata of a file. Permissions and owners are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
    /// How many names it has.
    pub links: u64,
    /// When it was last read, in seconds since 1970.
    pub accessed: u64,
    /// When it was last written, in seconds since 1970.
    pub modified: u64,
}

impl Metadata {
    /// The metadata of an empty file with one name and without times, for files of which only the kind is known.
    #[must_use]
    pub const fn of_kind(kind: FileKind) -> Self {
        Self { kind, size: 0, links: 1, accessed: 0, modified: 0 }
    }
}

/// The times to set, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTimes {
    /// When it was last read.
    pub accessed: u32,
    /// When it was last written.
    pub modified: u32,
}

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of open(2)")]
pub struct OpenMode {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// `O_APPEND`: all writes go to the end.
    pub append: bool,
    /// `O_CREAT`.
    pub create: bool,
    /// `O_EXCL`: the file must be new. Only with `create`.
    pub exclusive: bool,
    /// `O_TRUNC`.
    pub truncate: bool,
}

/// The room on a file system, as `statvfs` reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Space {
    /// The preferred size of a read or write, in bytes.
    pub block: u64,
    /// The unit of the following counts of blocks, in bytes.
    pub fragment: u64,
    /// All blocks.
    pub blocks: u64,
    /// Those that are free.
    pub free: u64,
    /// Those of them that this user may fill.
    pub available: u64,
    /// All files.
    pub files: u64,
    /// How many more there can be.
    pub free_files: u64,
    /// How many more this user may make.
    pub available_files: u64,
    /// Identifies the file system.
    pub identifier: u64,
    /// Nothing can be written.
    pub read_only: bool,
    /// The most bytes of a name.
    pub name_length: u64,
}

/// A file system. Every path is absolute, UTF-8 without NUL and not empty; it may hold links, `.` and `..`, which the
/// file system resolves. Reads and writes have offsets, as `pread` and `pwrite`.
pub trait FileSystem {
    /// An open file. Dropping it closes it.
    type File;
    /// An open directory whose names are being read.
    type Listing;
    /// The most bytes of one read or write that it takes. A regular file's read returns fewer at the end, or a multiple
    /// of 64 KiB.
    const PIECE: usize;

    /// Opens a file. Does not wait for the other end of a named pipe.
    fn open(&mut self, path: &str, mode: OpenMode) -> Result<Self::File, FileError>;
    /// Appends at most `length` bytes at this offset to `into`; returns how many, 0 at the end.
    fn read(
        &mut self,
        file: &mut Self::File,
        offset: u64,
        length: usize,
        into: &mut Vec<u8>,
    ) -> Result<usize, FileError>;
    /// Writes at this offset; returns how many bytes were taken.
    fn write(&mut self, file: &mut Self::File, offset: u64, data: &[u8]) -> Result<usize, FileError>;
    /// Writes at the end of a file that was opened with `append`; returns how many bytes were taken.
    fn append(&mut self, file: &mut Self::File, data: &[u8]) -> Result<usize, FileError>;
    /// What an open file is.
    fn file_kind(&mut self, file: &Self::File) -> Result<FileKind, FileError>;
    /// The metadata of an open file.
    fn file_metadata(&mut self, file: &Self::File) -> Result<Metadata, FileError>;
    /// Truncates or extends an open file.
    fn set_file_size(&mut self, file: &Self::File, size: u64) -> Result<(), FileError>;
    /// Sets the times of an open file.
    fn set_file_times(&mut self, file: &Self::File, times: NewTimes) -> Result<(), FileError>;
    /// Waits until the file is on the disk.
    fn sync(&mut self, file: &Self::File) -> Result<(), FileError>;
    /// Whether both are the same file.
    fn is_same(&mut self, one: &Self::File, other: &Self::File) -> Result<bool, FileError>;

    /// Begins to list a directory.
    fn list(&mut self, path: &str) -> Result<Self::Listing, FileError>;
    /// The next name and its metadata, links not followed; `.` and `..` among them; `None` at the end. Of a name whose
    /// metadata cannot be read only the kind is told; one that was removed meanwhile is left out. After an error it is
    /// not called again.
    fn next(&mut self, listing: &mut Self::Listing) -> Result<Option<(String, Metadata)>, FileError>;

    /// The metadata of what a path leads to. `follow`: whether a link in the last component is followed.
    fn metadata(&mut self, path: &str, follow: bool) -> Result<Metadata, FileError>;
    /// Truncates or extends a file.
    fn set_size(&mut self, path: &str, size: u64) -> Result<(), FileError>;
    /// Sets the times of a file. `follow`: whether a link in the last component is followed.
    fn set_times(&mut self, path: &str, follow: bool, times: NewTimes) -> Result<(), FileError>;
    /// Creates a directory.
    fn create_directory(&mut self, path: &str) -> Result<(), FileError>;
    /// Removes an empty directory.
    fn remove_directory(&mut self, path: &str) -> Result<(), FileError>;
    /// Removes anything except a directory.
    fn remove_file(&mut self, path: &str) -> Result<(), FileError>;
    /// `rename(2)`: replaces what has the new name.
    fn rename(&mut self, old: &str, new: &str) -> Result<(), FileError>;
    /// `renameat2(2)` with `RENAME_NOREPLACE`: fails with [`FileError::Exists`] if something has the new name.
    fn rename_new(&mut self, old: &str, new: &str) -> Result<(), FileError>;
    /// Gives a file a second name; the old path is not followed if it names a link.
    fn link(&mut self, old: &str, new: &str) -> Result<(), FileError>;
    /// Makes a link at `path` with this text.
    fn symlink(&mut self, target: &str, path: &str) -> Result<(), FileError>;
    /// The text of a link.
    fn read_link(&mut self, path: &str) -> Result<String, FileError>;
    /// The room where a path leads to.
    fn space(&mut self, path: &str) -> Result<Space, FileError>;
    /// How many files and directories may be open at once, of either kind.
    fn most_open(&mut self) -> usize;
    /// The time, in seconds since 1970.
    fn now(&mut self) -> u64;
}
