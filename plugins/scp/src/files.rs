//! Files, as the two roles need them.

#[cfg(not(target_family = "wasm"))]
pub(crate) mod native;
#[cfg(target_family = "wasm")]
pub(crate) mod wasi;

use std::borrow::Cow;

/// Longest path in bytes, as under Linux. It bounds how deep a client can nest directories.
pub(crate) const PATH: usize = 4096;

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// Its size in bytes.
    pub size: u64,
    /// When it was modified and read.
    pub times: Times,
    /// Whether it is beside the user's files: what the host makes (a device, `/tmp`, the names of programs), and mounts
    /// of the operator. It is sent only if a path names it.
    pub is_hosts: bool,
}

/// What something is. The kind of a link is that of what it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A device, a pipe or a socket.
    Other,
}

/// Two times, in seconds since 1970. Times before 1970 become 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// When it was modified.
    pub modified: u64,
    /// When it was last read.
    pub accessed: u64,
}

/// The names in a directory but `.` and `..`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// Each followed by a slash. One text, since there may be a million.
    pub text: String,
    /// How many others there are, which are not UTF-8.
    pub unlisted: u32,
}

/// Why something failed, in the words of strerror(3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError(pub Cow<'static, str>);

impl FileError {
    pub(crate) const LOOP: Self = Self(Cow::Borrowed("Too many levels of symbolic links"));
    pub(crate) const NAME_TOO_LONG: Self = Self(Cow::Borrowed("File name too long"));
    pub(crate) const NOT_DIRECTORY: Self = Self(Cow::Borrowed("Not a directory"));
    pub(crate) const NOT_REGULAR: Self = Self(Cow::Borrowed("not a regular file"));
    /// A file ended before its size. OpenSSH's scp has this word for it.
    pub(crate) const SHRUNK: Self = Self(Cow::Borrowed("Broken pipe"));

    /// Names of a directory are not UTF-8.
    pub(crate) fn not_utf8(count: u32) -> Self {
        let (names, are) = if count == 1 { ("name", "is") } else { ("names", "are") };
        Self(Cow::Owned(format!("{count} {names} that {are} not UTF-8: not sent")))
    }
}

/// Access to files. Paths are those of the client: relative ones begin at home, and links are followed.
pub trait Files {
    /// An open file or directory, closed when it is dropped.
    type File;

    /// What is at the path.
    fn look(&mut self, path: &str) -> Result<Found, FileError>;
    /// Opens a file for reading, or a directory.
    fn open(&mut self, path: &str) -> Result<(Self::File, Found), FileError>;
    /// Opens a file for writing, and makes it if there is none. Its contents stay.
    fn create(&mut self, path: &str) -> Result<Self::File, FileError>;
    /// Reads up to `most` bytes at this offset. An empty vector is the end of the file.
    fn read(&mut self, file: &mut Self::File, offset: u64, most: usize) -> Result<Vec<u8>, FileError>;
    /// Writes all of the bytes at this offset.
    fn write(&mut self, file: &mut Self::File, offset: u64, bytes: &[u8]) -> Result<(), FileError>;
    /// Truncates or extends a file.
    fn set_size(&mut self, file: &mut Self::File, size: u64) -> Result<(), FileError>;
    /// Sets the times of what is at the path.
    fn set_times(&mut self, path: &str, times: Times) -> Result<(), FileError>;
    /// Makes a directory.
    fn make_directory(&mut self, path: &str) -> Result<(), FileError>;
    /// The names in a directory that was opened by this path, which it closes.
    fn list(&mut self, path: &str, directory: Self::File) -> Result<Names, FileError>;
    /// Whether something is at the path, even if it is a link that leads nowhere.
    fn is_there(&mut self, path: &str) -> bool;
    /// A hash that identifies the directory (device and inode).
    fn identity(&mut self, directory: &Self::File) -> Result<u128, FileError>;
}

/// The last component of a path, with `.` and `..` resolved by their text. `None` for the root, and for the directory
/// in which relative paths begin.
pub(crate) fn last_name(path: &str) -> Option<&str> {
    components(path).pop()
}

/// The components of a path, with `.` and `..` resolved by their text.
pub(crate) fn components(path: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names
}

/// A name in a directory.
pub(crate) fn join(directory: &str, name: &str) -> String {
    let slash = if directory.is_empty() || directory.ends_with('/') { "" } else { "/" };
    [directory, slash, name].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_name_of_a_path_is_that_of_its_directory() {
        for (path, name) in [
            ("a/b", Some("b")),
            ("/a/b//", Some("b")),
            ("a/.", Some("a")),
            ("a/b/..", Some("a")),
            ("a/./../b/.", Some("b")),
            ("/", None),
            (".", None),
            ("..", None),
            ("a/..", None),
            ("../..", None),
            ("", None),
        ] {
            assert_eq!(last_name(path), name, "{path}");
        }
    }
}
