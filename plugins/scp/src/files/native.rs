//! Files by the standard library: outside WebAssembly, for tests.

use std::fs::{self, File, FileTimes, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::{FileError, Files, Found, Kind, Names, Times};

/// The files of this machine.
#[derive(Debug)]
pub struct NativeFiles {
    home: PathBuf,
}

impl NativeFiles {
    /// Relative paths begin in this directory.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self { home: home.into() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.home.join(path)
    }
}

fn error(error: io::Error) -> FileError {
    let text = error.to_string();
    let text = text.rfind(" (os error").map_or(&*text, |end| &text[..end]);
    FileError(text.to_owned().into())
}

fn found(metadata: &Metadata) -> Found {
    let kind = match metadata.file_type() {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Directory,
        _ => Kind::Other,
    };
    let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
    let times = Times { modified: seconds(metadata.mtime()), accessed: seconds(metadata.atime()) };
    Found { kind, size: metadata.len(), times, is_hosts: false }
}

impl Files for NativeFiles {
    type File = (File, PathBuf);

    fn look(&mut self, path: &str) -> Result<Found, FileError> {
        fs::metadata(self.path(path)).map(|metadata| found(&metadata)).map_err(error)
    }

    /// Looks before, since opening a pipe waits for its other end.
    fn open(&mut self, path: &str) -> Result<(Self::File, Found), FileError> {
        if self.look(path)?.kind == Kind::Other {
            return Err(FileError::NOT_REGULAR);
        }
        let path = self.path(path);
        let file = File::open(&path).map_err(error)?;
        let found = found(&file.metadata().map_err(error)?);
        Ok(((file, path), found))
    }

    fn create(&mut self, path: &str) -> Result<Self::File, FileError> {
        let path = self.path(path);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(error)?;
        Ok((file, path))
    }

    fn read(&mut self, file: &mut Self::File, offset: u64, most: usize) -> Result<Vec<u8>, FileError> {
        let mut bytes = vec![0; most];
        let count = file.0.read_at(&mut bytes, offset).map_err(error)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    fn write(&mut self, file: &mut Self::File, offset: u64, bytes: &[u8]) -> Result<(), FileError> {
        file.0.write_all_at(bytes, offset).map_err(error)
    }

    fn set_size(&mut self, file: &mut Self::File, size: u64) -> Result<(), FileError> {
        file.0.set_len(size).map_err(error)
    }

    fn set_times(&mut self, path: &str, times: Times) -> Result<(), FileError> {
        let time = |seconds| {
            let invalid = FileError("Invalid argument".into());
            UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).ok_or(invalid)
        };
        let times = FileTimes::new().set_modified(time(times.modified)?).set_accessed(time(times.accessed)?);
        File::open(self.path(path)).and_then(|file| file.set_times(times)).map_err(error)
    }

    fn make_directory(&mut self, path: &str) -> Result<(), FileError> {
        fs::create_dir(self.path(path)).map_err(error)
    }

    fn list(&mut self, _: &str, directory: Self::File) -> Result<Names, FileError> {
        let mut names = Names::default();
        for entry in fs::read_dir(Path::new(&directory.1)).map_err(error)? {
            match entry.map_err(error)?.file_name().into_string() {
                Ok(name) => {
                    names.text.push_str(&name);
                    names.text.push('/');
                }
                Err(_) => names.unlisted += 1,
            }
        }
        Ok(names)
    }

    fn is_there(&mut self, path: &str) -> bool {
        fs::symlink_metadata(self.path(path)).is_ok()
    }

    fn identity(&mut self, directory: &Self::File) -> Result<u128, FileError> {
        let metadata = directory.0.metadata().map_err(error)?;
        Ok(u128::from(metadata.dev()) << 64 | u128::from(metadata.ino()))
    }
}
