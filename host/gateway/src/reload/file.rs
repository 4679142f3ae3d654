//! Plugin files on disk: what is in a folder, and one file whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open, openat};
use rustix::io::Errno;
use whelk_runtime::Source;

/// What a plugin's file is called after its name.
const SUFFIX: &str = ".wasm";

/// By what one state of a file is told from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Which folder it is, whatever it is called.
pub(crate) type Identity = (u64, u64);

/// What is in a folder.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) identity: Identity,
    /// The plugin files, the first so many in the order of their names. Without a stamp: it cannot be looked at.
    pub(crate) files: BTreeMap<String, Option<Stamp>>,
    /// Plugin files whose name is no text that can be typed.
    pub(crate) nameless: usize,
}

/// Whether a file may be a link to another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// The operator may keep builds elsewhere.
    Follow,
    /// A tenant would read with our rights what is not the tenant's.
    Refuse,
}

/// What came of reading a file.
pub(crate) enum Reading {
    /// All of it, and nobody wrote to it meanwhile.
    Whole(Source, Stamp),
    /// It is being written to: what was read is no file that anybody made.
    Changing,
    /// There is none of this name in this folder.
    Absent(Identity),
    /// The folder itself cannot be opened.
    NoFolder,
}

/// The name of the plugin that a file is; none if it is none.
pub(crate) fn plugin_name(file: &str) -> Option<&str> {
    file.strip_suffix(SUFFIX).filter(|name| !name.is_empty() && !name.chars().any(char::is_control))
}

/// Lists a folder: at most so many files.
pub(crate) fn list(folder: &Path, most: usize) -> io::Result<Listing> {
    let identity = identity(&fs::metadata(folder)?);
    let (mut names, mut nameless) = (BTreeSet::new(), 0);
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if !name.as_encoded_bytes().ends_with(SUFFIX.as_bytes()) {
            continue;
        }
        match name.into_string() {
            Ok(name) if plugin_name(&name).is_some() => {
                names.insert(name);
                if names.len() > most {
                    names.pop_last();
                }
            }
            Ok(_) | Err(_) => nameless += 1,
        }
    }
    let stamp = |name: String| {
        let stamp = fs::metadata(folder.join(&name)).ok().map(|facts| Stamp::of(&facts));
        (name, stamp)
    };
    Ok(Listing { identity, files: names.into_iter().map(stamp).collect(), nameless })
}

/// Reads one file of a folder, and of a file that is larger than `most` bytes no more than shows that.
///
/// # Errors
/// Says why a file that is there cannot be read.
pub(crate) fn read(folder: &Path, name: &str, links: Links, most: usize) -> Result<Reading, String> {
    let folder_flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = open(folder, folder_flags, Mode::empty()) else { return Ok(Reading::NoFolder) };
    // Does not wait for the writer of a FIFO.
    let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    flags.set(OFlags::NOFOLLOW, links == Links::Refuse);
    let unreadable = |error: io::Error| format!("it cannot be read: {error}");
    let file = match openat(&folder, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => {
            let facts = File::from(folder).metadata().map_err(unreadable)?;
            return Ok(Reading::Absent(identity(&facts)));
        }
        Err(Errno::LOOP) => return Err("it is a symbolic link, which is not followed here".to_owned()),
        Err(error) => return Err(unreadable(error.into())),
    };
    let before = file.metadata().map_err(unreadable)?;
    if !before.is_file() {
        return Err("this is not a file".to_owned());
    }
    let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let size = usize::try_from(before.size().min(bound)).unwrap_or_default();
    let mut wasm = Vec::with_capacity(size);
    (&file).take(bound).read_to_end(&mut wasm).map_err(unreadable)?;
    let stamp = Stamp::of(&before);
    if Stamp::of(&file.metadata().map_err(unreadable)?) != stamp {
        return Ok(Reading::Changing);
    }
    Ok(Reading::Whole(Source::new(wasm), stamp))
}

impl Stamp {
    fn of(facts: &Metadata) -> Stamp {
        Stamp {
            device: facts.dev(),
            inode: facts.ino(),
            size: facts.size(),
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
        }
    }
}

pub(crate) fn identity(facts: &Metadata) -> Identity {
    (facts.dev(), facts.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(listing: &Listing) -> Vec<&str> {
        listing.files.keys().map(String::as_str).collect()
    }

    #[test]
    fn a_folder_is_listed_by_names_that_can_be_typed_and_no_more_than_so_many() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.wasm", "a.wasm", ".wasm", "c\n.wasm", "d.txt", "e.wasm"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let listing = list(folder.path(), 9).unwrap();
        assert_eq!((names(&listing), listing.nameless), (vec!["a.wasm", "b.wasm", "e.wasm"], 2));
        assert_eq!(names(&list(folder.path(), 2).unwrap()), ["a.wasm", "b.wasm"]);
        assert!(list(&folder.path().join("absent"), 2).is_err());
    }

    #[test]
    fn a_file_is_read_whole_and_what_is_no_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str, links| read(folder.path(), name, links, 4);
        fs::write(folder.path().join("a.wasm"), "1234").unwrap();
        assert!(matches!(read("a.wasm", Links::Refuse), Ok(Reading::Whole(source, _)) if source.size() == 4));
        fs::write(folder.path().join("a.wasm"), "1234567").unwrap();
        assert!(matches!(read("a.wasm", Links::Refuse), Ok(Reading::Whole(source, _)) if source.size() == 5));
        let identity = list(folder.path(), 1).unwrap().identity;
        assert!(matches!(read("b.wasm", Links::Refuse), Ok(Reading::Absent(folder)) if folder == identity));
        std::os::unix::fs::symlink("a.wasm", folder.path().join("link.wasm")).unwrap();
        assert!(matches!(read("link.wasm", Links::Follow), Ok(Reading::Whole(..))));
        assert!(read("link.wasm", Links::Refuse).err().unwrap().contains("symbolic link"));
        fs::create_dir(folder.path().join("folder.wasm")).unwrap();
        assert_eq!(read("folder.wasm", Links::Follow).err().unwrap(), "this is not a file");
        let fifo = folder.path().join("fifo.wasm");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(read("fifo.wasm", Links::Follow).err().unwrap(), "this is not a file");
    }
}
