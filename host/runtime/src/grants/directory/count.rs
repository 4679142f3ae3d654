//! Counts the contents of a directory when the server starts: this includes what a crash left uncounted.
//!
//! The walk descends into each directory where it finds it and returns by `..`, so it holds one open directory however
//! deep the tree is, and remembers only its position on each level. It follows no links, and it checks that `..` is the
//! directory that it came from.

use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;

use super::inode::Id;
use super::quota::Usage;

/// Opens a directory only, never through a link.
pub(in crate::grants) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Where below the root the count stopped, and why.
pub(in crate::grants) type Stopped = (String, io::Error);

/// A directory on the path of the walk.
struct Level {
    /// Its identity, to check when the walk returns.
    id: (u64, u64),
    /// Its name; the root has none.
    name: CString,
    /// The entries after the one that the walk descended into.
    next: i64,
}

/// What a directory holds.
#[derive(Default)]
pub(in crate::grants) struct FolderContents {
    pub(in crate::grants) usage: Usage,
    /// The files with several names below the directory, and how many those are.
    pub(in crate::grants) names: HashMap<Id, u64>,
}

/// Counts everything below `root`. The bytes of a file with several names count once, each of its names as a file.
pub(in crate::grants) fn count(root: impl AsFd) -> Result<FolderContents, Stopped> {
    let mut levels = Vec::new();
    let mut contents = FolderContents::default();
    match walk(root.as_fd().try_clone_to_owned(), &mut levels, &mut contents) {
        Ok(()) => {
            contents.names.retain(|_, names| *names > 1);
            Ok(contents)
        }
        Err(error) => {
            let names: Vec<_> = levels.iter().skip(1).map(|level| level.name.to_string_lossy()).collect();
            Err((names.join("/"), error))
        }
    }
}

fn walk(root: io::Result<OwnedFd>, levels: &mut Vec<Level>, contents: &mut FolderContents) -> io::Result<()> {
    let mut dir = Dir::new(openat(root?, c".", DIRECTORY, Mode::empty())?)?;
    levels.push(Level { id: id(&dir.stat()?), name: CString::default(), next: 0 });
    while let Some(level) = levels.last_mut() {
        match dir.read() {
            Some(entry) => {
                let entry = entry?;
                let name = entry.file_name();
                if name == c"." || name == c".." {
                    continue;
                }
                let stat = match statat(dir.fd()?, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => stat,
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(error.into()),
                };
                add(contents, &stat);
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                    level.next = entry.offset();
                    levels.push(Level { id: id(&stat), name: name.to_owned(), next: 0 });
                    dir = Dir::new(openat(dir.fd()?, name, DIRECTORY, Mode::empty())?)?;
                }
            }
            None => {
                levels.pop();
                if let Some(above) = levels.last() {
                    dir = come_back(&dir, above)?;
                }
            }
        }
    }
    Ok(())
}

/// Returns to the position in the parent directory.
fn come_back(dir: &Dir, above: &Level) -> io::Result<Dir> {
    let parent = openat(dir.fd()?, c"..", DIRECTORY, Mode::empty())?;
    if id(&fstat(&parent)?) != above.id {
        return Err(io::Error::other("it was moved while it was counted"));
    }
    let mut parent = Dir::new(parent)?;
    parent.seek(above.next)?;
    Ok(parent)
}

fn add(contents: &mut FolderContents, stat: &Stat) {
    let FolderContents { usage, names } = contents;
    usage.files = usage.files.saturating_add(1);
    let kind = FileType::from_raw_mode(stat.st_mode);
    let is_first = kind == FileType::Directory || stat.st_nlink < 2 || {
        let names = names.entry(Id::of_stat(stat)).or_insert(0);
        *names += 1;
        *names == 1
    };
    // The target of a symbolic link takes room as the contents of a file do.
    if matches!(kind, FileType::RegularFile | FileType::Symlink) && is_first {
        usage.bytes = usage.bytes.saturating_add(u64::try_from(stat.st_size).unwrap_or(0));
    }
}

fn id(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn everything_is_counted_once_and_no_link_is_followed() {
        let (place, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("big"), vec![0; 1000]).unwrap();
        for branch in 0..300 {
            let branch = place.path().join(format!("branch {branch}"));
            fs::create_dir(&branch).unwrap();
            fs::write(branch.join("file"), b"12345").unwrap();
        }
        symlink(outside.path(), place.path().join("out")).unwrap();
        symlink("..", place.path().join("round")).unwrap();
        File::create(place.path().join("hole")).unwrap().set_len(1 << 30).unwrap();
        let usage = count(File::open(place.path()).unwrap()).unwrap().usage;
        let targets = outside.path().as_os_str().len() as u64 + 2;
        assert_eq!(usage, Usage { bytes: 300 * 5 + (1 << 30) + targets, files: 300 * 2 + 3 });
    }

    #[test]
    fn the_bytes_of_a_file_with_several_names_count_once() {
        let place = tempfile::tempdir().unwrap();
        let (sub, outside) = (place.path().join("sub"), tempfile::tempdir().unwrap());
        fs::create_dir(&sub).unwrap();
        fs::write(place.path().join("inside"), b"12345").unwrap();
        fs::hard_link(place.path().join("inside"), sub.join("second")).unwrap();
        fs::write(outside.path().join("foreign"), b"123").unwrap();
        fs::hard_link(outside.path().join("foreign"), sub.join("foreign")).unwrap();
        let contents = count(File::open(place.path()).unwrap()).unwrap();
        assert_eq!(contents.usage, Usage { bytes: 8, files: 4 });
        assert_eq!(contents.names.into_values().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_counted() {
        let place = tempfile::tempdir().unwrap();
        let mut dir: OwnedFd = File::open(place.path()).unwrap().into();
        for _ in 0..2_000 {
            rustix::fs::mkdirat(&dir, c"down", Mode::RWXU).unwrap();
            dir = openat(&dir, c"down", DIRECTORY, Mode::empty()).unwrap();
        }
        assert_eq!(count(File::open(place.path()).unwrap()).unwrap().usage.files, 2_000);
        for _ in 0..2_000 {
            dir = openat(&dir, c"..", DIRECTORY, Mode::empty()).unwrap();
            rustix::fs::unlinkat(&dir, c"down", AtFlags::REMOVEDIR).unwrap();
        }
    }

    #[test]
    fn where_the_count_stopped_is_named() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, b"").unwrap();
        let (path, error) = count(File::open(&file).unwrap()).err().unwrap();
        assert_eq!((path.as_str(), error.kind()), ("", io::ErrorKind::NotADirectory));
    }
}
