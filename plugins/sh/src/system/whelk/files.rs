//! The session's files: `wasi:filesystem`, whose paths are those below `/`.

use super::errors::file_errno;
use crate::system::{Errno, FileKind, FileStatus};
use crate::text::encode;
use std::borrow::Cow;
use std::time::Duration;
use wasip2::clocks::wall_clock::Datetime;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, OpenFlags, PathFlags};

/// How many symbolic links a path may lead through, as under Linux.
const MAX_LINKS: usize = 40;

/// How a component begins, and a core module.
const WEBASSEMBLY: &[u8] = b"\0asm";

/// The files below `/`; none in a session without a directory.
pub(super) struct Files {
    root: Option<Descriptor>,
}

/// A text as the host takes it.
pub(super) fn utf8(text: &str) -> Result<Cow<'_, str>, Errno> {
    match encode(text) {
        Cow::Borrowed(bytes) => str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| Errno::EILSEQ),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Errno::EILSEQ),
    }
}

fn below_root(path: &str) -> &str {
    match path.trim_start_matches('/') {
        "" => ".",
        path => path,
    }
}

fn time(time: Option<Datetime>) -> Duration {
    time.map_or(Duration::ZERO, |time| Duration::new(time.seconds, time.nanoseconds))
}

fn kind_of(kind: DescriptorType) -> FileKind {
    match kind {
        DescriptorType::Directory => FileKind::Directory,
        DescriptorType::SymbolicLink => FileKind::Link,
        DescriptorType::Fifo => FileKind::Fifo,
        DescriptorType::Socket => FileKind::Socket,
        DescriptorType::BlockDevice => FileKind::Block,
        DescriptorType::CharacterDevice | DescriptorType::Unknown => FileKind::Character,
        DescriptorType::RegularFile => FileKind::Regular,
    }
}

impl Files {
    pub(super) fn new() -> Self {
        Self { root: get_directories().into_iter().find(|(_, path)| path == "/").map(|(root, _)| root) }
    }

    fn root(&self) -> Result<&Descriptor, Errno> {
        self.root.as_ref().ok_or(Errno::ENOENT)
    }

    fn stat(&self, path: &str, follow: bool) -> Result<DescriptorStat, Errno> {
        let how = if follow { PathFlags::SYMLINK_FOLLOW } else { PathFlags::empty() };
        let path = utf8(path)?;
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        self.root()?.stat_at(how, below_root(&path)).map_err(file_errno)
    }

    pub(super) fn status(&self, path: &str, follow: bool) -> Result<FileStatus, Errno> {
        let stat = self.stat(path, follow)?;
        let how = if follow { PathFlags::SYMLINK_FOLLOW } else { PathFlags::empty() };
        let hash = self.root()?.metadata_hash_at(how, below_root(&utf8(path)?));
        Ok(FileStatus {
            kind: kind_of(stat.type_),
            size: stat.size,
            modified: time(stat.data_modification_timestamp),
            accessed: time(stat.data_access_timestamp),
            identity: hash.map(|hash| (hash.upper, hash.lower)).unwrap_or_default(),
            mode: 0,
            owned: (true, true),
        })
    }

    pub(super) fn remove(&self, path: &str) -> Result<(), Errno> {
        self.root()?.unlink_file_at(below_root(&utf8(path)?)).map_err(file_errno)
    }

    fn open(&self, path: &str, how: OpenFlags, access: DescriptorFlags) -> Result<Descriptor, Errno> {
        let path = utf8(path)?;
        self.root()?.open_at(PathFlags::SYMLINK_FOLLOW, below_root(&path), how, access).map_err(file_errno)
    }

    /// Whether it can be written to: asked by opening it, which changes nothing.
    pub(super) fn is_writable(&self, path: &str) -> bool {
        let Ok(stat) = self.stat(path, true) else { return false };
        let (how, access) = match stat.type_ {
            DescriptorType::Directory => (OpenFlags::DIRECTORY, DescriptorFlags::MUTATE_DIRECTORY),
            DescriptorType::RegularFile => (OpenFlags::empty(), DescriptorFlags::WRITE),
            _ => return true,
        };
        self.open(path, how, access).is_ok()
    }

    /// Whether the host would start it. A directory can be entered.
    pub(super) fn is_executable(&self, path: &str) -> bool {
        let Ok(stat) = self.stat(path, true) else { return false };
        match stat.type_ {
            DescriptorType::Directory => return true,
            DescriptorType::RegularFile => {}
            _ => return false,
        }
        let is_listed = |path: &str| matches!(path.rsplit_once('/'), Some(("/bin" | "/usr/bin", _)));
        if is_listed(path) {
            return true;
        }
        let first = self
            .open(path, OpenFlags::empty(), DescriptorFlags::READ)
            .and_then(|file| file.read(WEBASSEMBLY.len() as u64, 0).map_err(file_errno));
        first.is_ok_and(|(first, _)| first.starts_with(b"#!") || first == WEBASSEMBLY)
            // A link to a program that is listed there: its file cannot be read.
            || self.real_path(path).is_ok_and(|real| is_listed(&real))
    }

    pub(super) fn names(&self, path: &str) -> Result<Vec<String>, Errno> {
        let directory = self.open(path, OpenFlags::DIRECTORY, DescriptorFlags::READ)?;
        let entries = directory.read_directory().map_err(file_errno)?;
        let mut names = Vec::new();
        while let Some(entry) = entries.read_directory_entry().map_err(file_errno)? {
            names.push(entry.name);
        }
        Ok(names)
    }

    /// realpath(3): links are followed one after the other, as the host does.
    pub(super) fn real_path(&self, path: &str) -> Result<String, Errno> {
        let path = utf8(path)?;
        let mut real = String::new();
        let mut rest: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    let end = real.rfind('/').unwrap_or(0);
                    real.truncate(end);
                    continue;
                }
                _ => {}
            }
            let next = format!("{real}/{part}");
            let stat = self.stat(&next, false)?;
            if stat.type_ != DescriptorType::SymbolicLink {
                if !rest.is_empty() && stat.type_ != DescriptorType::Directory {
                    return Err(Errno::ENOTDIR);
                }
                real = next;
                continue;
            }
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::ELOOP);
            }
            let target = self.root()?.readlink_at(below_root(&next)).map_err(file_errno)?;
            if target.starts_with('/') {
                real.clear();
            }
            rest.extend(target.split('/').rev().map(str::to_owned));
        }
        Ok(if real.is_empty() { "/".to_owned() } else { real })
    }
}
