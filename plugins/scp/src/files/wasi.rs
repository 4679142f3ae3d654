//! Files by WASI's own functions: one call of the host for each operation, and pieces as large as it takes.

use std::borrow::Cow;

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{
    Datetime, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, NewTimestamp, OpenFlags,
    PathFlags,
};

use super::{FileError, Files, Found, Kind, Names, Times, components};

/// The files that the session sees.
pub(crate) struct WasiFiles {
    /// Directories with their absolute paths; in a session one, the root.
    roots: Vec<(Descriptor, String)>,
    home: String,
}

impl WasiFiles {
    /// Relative paths begin in this directory, an absolute path.
    pub(crate) fn new(home: String) -> Self {
        Self { roots: get_directories(), home }
    }

    fn absolute<'a>(&self, path: &'a str) -> Cow<'a, str> {
        if path.starts_with('/') { Cow::Borrowed(path) } else { Cow::Owned(super::join(&self.home, path)) }
    }

    /// The root that holds the path, and the path from there.
    fn at(&self, path: &str) -> Result<(&Descriptor, String), FileError> {
        let path = self.absolute(path);
        let below = |root: &str| {
            let rest = path.strip_prefix(root.trim_end_matches('/'))?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/').to_owned())
        };
        let roots = self.roots.iter().filter_map(|(root, name)| Some((root, below(name)?)));
        let (root, rest) = roots.min_by_key(|(_, rest)| rest.len()).ok_or_else(|| error(ErrorCode::NoEntry))?;
        Ok((root, if rest.is_empty() { ".".to_owned() } else { rest }))
    }

    /// What is at a path, which is relative to its root.
    fn found(&self, stat: &DescriptorStat, path: &str) -> Found {
        let found = found(stat);
        let is_hosts = found.is_hosts || (found.kind == Kind::Directory && self.is_part(path));
        Found { is_hosts, ..found }
    }

    /// Whether a directory is where another part of the tree begins, as `/tmp` and mounts do. Those that are not in the
    /// root are in directories that the host makes.
    fn is_part(&self, path: &str) -> bool {
        let [name] = components(path)[..] else { return false };
        // A link to a mount is the user's.
        let is_link = |root: &Descriptor| {
            root.stat_at(PathFlags::empty(), name).is_ok_and(|stat| stat.type_ == DescriptorType::SymbolicLink)
        };
        let part = |path: &str| whelk_guest::space::statvfs(path).map(|space| space.part).ok();
        self.roots.iter().any(|(root, at)| at == "/" && !is_link(root) && part(&format!("/{name}")) != part("/"))
    }

    fn open_at(&self, path: &str, how: OpenFlags, access: DescriptorFlags) -> Result<Descriptor, FileError> {
        let (root, path) = self.at(path)?;
        root.open_at(PathFlags::SYMLINK_FOLLOW, &path, how, access).map_err(error)
    }
}

/// The words of strerror(3) under Linux.
fn error(code: ErrorCode) -> FileError {
    let text = match code {
        ErrorCode::Access => "Permission denied",
        ErrorCode::BadDescriptor => "Bad file descriptor",
        ErrorCode::Busy => "Device or resource busy",
        ErrorCode::CrossDevice => "Invalid cross-device link",
        ErrorCode::Exist => "File exists",
        ErrorCode::FileTooLarge => "File too large",
        ErrorCode::IllegalByteSequence => "Invalid or incomplete multibyte or wide character",
        ErrorCode::InsufficientMemory => "Cannot allocate memory",
        ErrorCode::InsufficientSpace => "No space left on device",
        ErrorCode::Invalid => "Invalid argument",
        ErrorCode::Io => "Input/output error",
        ErrorCode::IsDirectory => "Is a directory",
        ErrorCode::Loop => "Too many levels of symbolic links",
        ErrorCode::NameTooLong => "File name too long",
        ErrorCode::NoEntry => "No such file or directory",
        ErrorCode::NoDevice | ErrorCode::NoSuchDevice => "No such device",
        ErrorCode::NotDirectory => "Not a directory",
        ErrorCode::NotPermitted => "Operation not permitted",
        ErrorCode::Overflow => "Value too large for defined data type",
        ErrorCode::Quota => "Disk quota exceeded",
        ErrorCode::ReadOnly => "Read-only file system",
        ErrorCode::TextFileBusy => "Text file busy",
        ErrorCode::Unsupported => "Operation not supported",
        other => other.name(),
    };
    FileError(text.into())
}

fn found(stat: &DescriptorStat) -> Found {
    let kind = match stat.type_ {
        DescriptorType::RegularFile => Kind::File,
        DescriptorType::Directory => Kind::Directory,
        _ => Kind::Other,
    };
    let seconds = |time: &Option<Datetime>| time.as_ref().map_or(0, |time| time.seconds);
    let (modified, accessed) = (&stat.data_modification_timestamp, &stat.data_access_timestamp);
    // The host's own nodes have no times.
    let is_hosts = stat.status_change_timestamp.is_none();
    let times = Times { modified: seconds(modified), accessed: seconds(accessed) };
    Found { kind, size: stat.size, times, is_hosts }
}

impl Files for WasiFiles {
    type File = Descriptor;

    fn look(&mut self, path: &str) -> Result<Found, FileError> {
        let (root, path) = self.at(path)?;
        root.stat_at(PathFlags::SYMLINK_FOLLOW, &path).map(|stat| self.found(&stat, &path)).map_err(error)
    }

    fn open(&mut self, path: &str) -> Result<(Self::File, Found), FileError> {
        let file = self.open_at(path, OpenFlags::empty(), DescriptorFlags::READ)?;
        let found = self.found(&file.stat().map_err(error)?, &self.at(path)?.1);
        Ok((file, found))
    }

    /// As under Linux, a path with a slash at its end is never made: the host has another error for that.
    fn create(&mut self, path: &str) -> Result<Self::File, FileError> {
        let directory = path.trim_end_matches('/');
        if directory.len() < path.len() {
            if let Some((parent, _)) = directory.rsplit_once('/').filter(|(parent, _)| !parent.is_empty())
                && self.look(parent)?.kind != Kind::Directory
            {
                return Err(FileError::NOT_DIRECTORY);
            }
            return Err(error(ErrorCode::IsDirectory));
        }
        self.open_at(path, OpenFlags::CREATE, DescriptorFlags::WRITE)
    }

    fn read(&mut self, file: &mut Self::File, offset: u64, most: usize) -> Result<Vec<u8>, FileError> {
        file.read(most as u64, offset).map(|(bytes, _)| bytes).map_err(error)
    }

    fn write(&mut self, file: &mut Self::File, mut offset: u64, mut bytes: &[u8]) -> Result<(), FileError> {
        while !bytes.is_empty() {
            let count = file.write(bytes, offset).map_err(error)?;
            let taken = usize::try_from(count).ok().filter(|taken| *taken > 0);
            bytes = taken.and_then(|taken| bytes.get(taken..)).ok_or_else(|| error(ErrorCode::Io))?;
            offset += count;
        }
        Ok(())
    }

    fn set_size(&mut self, file: &mut Self::File, size: u64) -> Result<(), FileError> {
        file.set_size(size).map_err(error)
    }

    fn set_times(&mut self, path: &str, times: Times) -> Result<(), FileError> {
        let (root, path) = self.at(path)?;
        let time = |seconds| NewTimestamp::Timestamp(Datetime { seconds, nanoseconds: 0 });
        let (modified, accessed) = (time(times.modified), time(times.accessed));
        root.set_times_at(PathFlags::SYMLINK_FOLLOW, &path, accessed, modified).map_err(error)
    }

    fn make_directory(&mut self, path: &str) -> Result<(), FileError> {
        let (root, path) = self.at(path)?;
        root.create_directory_at(&path).map_err(error)
    }

    fn list(&mut self, path: &str, directory: Self::File) -> Result<Names, FileError> {
        let entries = directory.read_directory().map_err(error)?;
        let mut names = Names::default();
        while let Some(entry) = entries.read_directory_entry().map_err(error)? {
            names.text.push_str(&entry.name);
            names.text.push('/');
        }
        drop(entries);
        // What has been removed meanwhile, or cannot be opened any more, has no names.
        names.unlisted = whelk_guest::files::unlisted_names(self.absolute(path).as_ref()).unwrap_or(0);
        Ok(names)
    }

    fn is_there(&mut self, path: &str) -> bool {
        self.at(path).is_ok_and(|(root, path)| root.stat_at(PathFlags::empty(), &path).is_ok())
    }

    fn identity(&mut self, directory: &Self::File) -> Result<u128, FileError> {
        let hash = directory.metadata_hash().map_err(error)?;
        Ok(u128::from(hash.upper) << 64 | u128::from(hash.lower))
    }
}
