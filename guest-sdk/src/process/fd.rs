//! Open file descriptions, their numbers, and pipes.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::{env, fmt};

use super::error::{from_errno, invalid, not_text};
use super::host::{self, OpenFlags, Whence};

pub use super::host::Kind;

/// An open file description (POSIX, "open file description"): a file, a pipe, the terminal or another device. It has
/// no number until [`put`] or [`Command::fd`](super::Command::fd) gives it one. Dropping it closes it, unless it has
/// duplicates or numbers, in whichever process.
pub struct Fd(pub(super) host::Fd);

impl Fd {
    /// Duplicates it, dup(2). Both have one offset.
    ///
    /// # Errors
    /// `EMFILE`, a limit of open files.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.dup().map(Self).map_err(from_errno)
    }

    /// What it is: `S_ISREG` and the like of fstat(2).
    pub fn kind(&self) -> Kind {
        self.0.kind()
    }

    /// Whether it is the terminal: isatty(3).
    pub fn is_terminal(&self) -> bool {
        self.kind() == Kind::Terminal
    }

    /// Changes the size of a file: ftruncate(2).
    ///
    /// # Errors
    /// Those of ftruncate(2).
    pub fn set_len(&self, size: u64) -> io::Result<()> {
        self.0.truncate(size).map_err(from_errno)
    }
}

impl fmt::Debug for Fd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fd").finish_non_exhaustive()
    }
}

/// Waits for at least one byte, and reads at most 64 KiB. [`Interrupted`](io::ErrorKind::Interrupted) while a caught
/// signal waits: take it with [`next_signal`](super::next_signal) before you read again.
impl Read for &Fd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.0.read(u32::try_from(buffer.len()).unwrap_or(u32::MAX)).map_err(from_errno)?;
        // A host that returns more than was asked for breaks the interface.
        buffer.get_mut(..bytes.len()).ok_or_else(invalid)?.copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

/// Waits until it takes at least one byte. Where nobody reads, SIGPIPE ends the program; if that is ignored or caught,
/// the error is [`BrokenPipe`](io::ErrorKind::BrokenPipe).
impl Write for &Fd {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(self.0.write(data).map_err(from_errno)? as usize)
    }

    /// Nothing is kept back.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for &Fd {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (offset, whence) = match to {
            SeekFrom::Start(offset) => (i64::try_from(offset).map_err(|_| invalid())?, Whence::Start),
            SeekFrom::Current(offset) => (offset, Whence::Current),
            SeekFrom::End(offset) => (offset, Whence::End),
        };
        self.0.seek(offset, whence).map_err(from_errno)
    }
}

impl Read for Fd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for Fd {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        (&*self).write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Fd {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&*self).seek(to)
    }
}

/// How to open a file: [`std::fs::OpenOptions`] for an [`Fd`]. There are no modes.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of open(2)")]
pub struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    directory: bool,
    no_follow: bool,
}

impl OpenOptions {
    /// Nothing is asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// To read from.
    #[must_use]
    pub fn read(mut self, read: bool) -> Self {
        self.read = read;
        self
    }

    /// To write to.
    #[must_use]
    pub fn write(mut self, write: bool) -> Self {
        self.write = write;
        self
    }

    /// To write to its end, wherever that is at each write. O_APPEND
    #[must_use]
    pub fn append(mut self, append: bool) -> Self {
        self.append = append;
        self
    }

    /// What is there is discarded. O_TRUNC
    #[must_use]
    pub fn truncate(mut self, truncate: bool) -> Self {
        self.truncate = truncate;
        self
    }

    /// A new file is made if none is there. O_CREAT
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// A new file is made, and none may be there. O_CREAT and O_EXCL
    #[must_use]
    pub fn create_new(mut self, create_new: bool) -> Self {
        self.create_new = create_new;
        self
    }

    /// It must be a directory. O_DIRECTORY
    #[must_use]
    pub fn directory(mut self, directory: bool) -> Self {
        self.directory = directory;
        self
    }

    /// It must not be a symbolic link. O_NOFOLLOW
    #[must_use]
    pub fn no_follow(mut self, no_follow: bool) -> Self {
        self.no_follow = no_follow;
        self
    }

    /// Opens it. A relative path begins at the current directory.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<Fd> {
        let flags = [
            (self.read, OpenFlags::READ),
            (self.write || self.append, OpenFlags::WRITE),
            (self.append, OpenFlags::APPEND),
            (self.truncate, OpenFlags::TRUNCATE),
            (self.create || self.create_new, OpenFlags::CREATE),
            (self.create_new, OpenFlags::EXCLUSIVE),
            (self.directory, OpenFlags::DIRECTORY),
            (self.no_follow, OpenFlags::NO_FOLLOW),
        ];
        let asked = flags.iter().filter(|(asked, _)| *asked);
        let flags = asked.fold(OpenFlags::empty(), |all, (_, flag)| all | *flag);
        host::open(&absolute(path.as_ref())?, flags).map(Fd).map_err(from_errno)
    }
}

/// The path as the host takes it. An empty one stays empty, which no file has.
pub(super) fn absolute(path: &Path) -> io::Result<String> {
    if path.as_os_str().is_empty() || path.is_absolute() {
        return path.to_str().map(str::to_owned).ok_or_else(not_text);
    }
    // Without a current directory the host takes that of the start.
    let whole = env::current_dir().map_or_else(|_| path.to_owned(), |directory| directory.join(path));
    whole.to_str().map(str::to_owned).ok_or_else(not_text)
}

/// Makes a pipe, pipe(2): the end to read from, and the end to write to. It holds 64 KiB.
///
/// # Errors
/// `EMFILE`, a limit of open files.
pub fn pipe() -> io::Result<(Fd, Fd)> {
    host::pipe().map(|(reader, writer)| (Fd(reader), Fd(writer))).map_err(from_errno)
}

/// The description that a number leads to, as dup(2) returns one. None if the number is not in use, or for lack of
/// room.
pub fn get(number: u32) -> Option<Fd> {
    host::get(number).map(Fd)
}

/// Lets a number lead to this description, dup2(2). 0, 1 and 2 are the standard streams: [`std::io::stdout`] writes
/// there from then on.
///
/// # Errors
/// `EMFILE` for numbers from 1024 on, and for a limit of open files.
pub fn put(number: u32, to: &Fd) -> io::Result<()> {
    host::put(number, &to.0).map_err(from_errno)
}

/// Closes a number, close(2). What was got from it stays open.
///
/// # Errors
/// `EBADF` if it is not in use.
pub fn close(number: u32) -> io::Result<()> {
    host::close(number).map_err(from_errno)
}

/// The numbers in use, in ascending order.
pub fn numbers() -> Vec<u32> {
    host::numbers()
}
