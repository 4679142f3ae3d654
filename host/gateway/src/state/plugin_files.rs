//! Plugin files on disk: lists folders, and reads files completely or not at all.

pub(crate) mod programs;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, StatxFlags, fstat, openat, statat, statx};
use rustix::io::Errno;
use whelk_runtime::Source;

use crate::state::strict_modes::Writers;

/// The suffix of a plugin's file.
const SUFFIX: &str = ".wasm";

/// Distinguishes the states of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, u64),
    changed: (i64, u64),
}

/// Identifies a folder. The inode number alone does not: ext4 gives it to the next folder as soon as it is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FolderId {
    device: u64,
    inode: u64,
    /// Birth time in seconds and nanoseconds, if the file system records it.
    born: Option<(i64, u32)>,
}

/// The contents of a folder.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) identity: FolderId,
    /// The plugin files, the first ones in the order of their names. Without a stamp: it cannot be read.
    pub(crate) files: BTreeMap<String, Option<Stamp>>,
    /// Plugin files whose name cannot be typed.
    pub(crate) nameless: Nameless,
    /// Files that are not plugins because of the case of their suffix: see [`MISSPELLED`].
    pub(crate) misspelled: BTreeSet<String>,
}

/// The names of the plugin files of a folder.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// The first ones in their order.
    pub(crate) files: BTreeSet<String>,
    nameless: Nameless,
    misspelled: BTreeSet<String>,
}

/// Why a file such as `X.WASM` is not served.
pub(crate) const MISSPELLED: &str = "its name must end in \".wasm\", in small letters: rename it";

/// The most such files that are named.
const MOST_MISSPELLED: usize = 8;

/// The most names that [`Nameless`] keeps.
const MOST_NAMELESS: usize = 8;

/// Files with names that cannot be typed: they contain control characters or are not UTF-8.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nameless {
    count: usize,
    /// The first of the names in their order.
    names: BTreeSet<Vec<u8>>,
}

impl Nameless {
    fn add(&mut self, name: &[u8]) {
        self.count += 1;
        self.names.insert(name.to_owned());
        if self.names.len() > MOST_NAMELESS {
            self.names.pop_last();
        }
    }

    /// Why these files are not served; `None` if there are none. Control characters are unescaped: escape it before
    /// showing it.
    pub(crate) fn reason(&self) -> Option<String> {
        let shown = |name: &Vec<u8>| {
            let chunks = name.utf8_chunks().map(|chunk| {
                let invalid: String = chunk.invalid().iter().map(|byte| format!("<{byte:02x}>")).collect();
                format!("{}{invalid}", chunk.valid())
            });
            format!("\"{}\"", chunks.collect::<String>())
        };
        let names: Vec<String> = self.names.iter().map(shown).collect();
        let more = match self.count - self.names.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let whose = "not served, because its name is only \".wasm\", has control characters or is not UTF-8";
        (self.count > 0).then(|| format!("{whose}: {}{more}; rename it", names.join(", ")))
    }
}

/// Whether a file, or the folder it is in, may be a link to another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// The operator may keep builds elsewhere.
    Follow,
    /// The way to a folder of programs, but not the files in it: a link there is another name of a program.
    Within,
    /// A tenant could otherwise read another's files with our permissions.
    Refuse,
}

impl Links {
    /// How to look up a name in a folder.
    fn at(self) -> AtFlags {
        match self {
            Links::Follow => AtFlags::empty(),
            Links::Within | Links::Refuse => AtFlags::SYMLINK_NOFOLLOW,
        }
    }
}

/// The outcome of reading a file.
pub(crate) enum Reading {
    /// The whole file, and nobody wrote to it meanwhile.
    Whole(Source, Stamp),
    /// It is being written to: what was read may be inconsistent.
    Changing,
    /// No file of this name in this folder.
    Absent(FolderId),
    /// The folder itself cannot be opened.
    NoFolder,
}

/// The name of the plugin of a file; `None` if it is not a plugin's.
pub(crate) fn plugin_name(file: &str) -> Option<&str> {
    file.strip_suffix(SUFFIX).filter(|name| is_name(name))
}

/// Opens a folder. No part of the path of a tenant's folder may be or have become a link: a tenant who may change a
/// parent of the folder could redirect us to another's.
pub(crate) fn open_folder(path: &Path, links: Links) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match links {
        Links::Follow | Links::Within => Ok(openat(CWD, path, flags, Mode::empty())?),
        Links::Refuse => open_without_links(path, flags),
    }
}

/// Opens a folder step by step, each below the one that is open before it, and none of them a link. openat2(2) would do
/// the same with RESOLVE_NO_SYMLINKS, but containers and systemd's `RestrictSUIDSGID=` refuse that call.
fn open_without_links(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let start = if path.is_absolute() { "/" } else { "." };
    let way = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder = openat(CWD, start, way, Mode::empty())?;
    for step in path.components() {
        let name = match step {
            Component::Normal(name) => name,
            Component::ParentDir => "..".as_ref(),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => continue,
        };
        folder = openat(&folder, name, way, Mode::empty()).map_err(|error| match error {
            // A link is not a directory as long as it is not followed.
            Errno::NOTDIR | Errno::LOOP if is_link(&folder, name) => {
                io::Error::other("a symbolic link is on the way to it, which is not followed here")
            }
            error => error.into(),
        })?;
    }
    Ok(openat(&folder, ".", flags, Mode::empty())?)
}

fn is_link(folder: &OwnedFd, name: &OsStr) -> bool {
    let facts = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    facts.is_ok_and(|facts| FileType::from_raw_mode(facts.st_mode) == FileType::Symlink)
}

/// Checks who may write to an open folder.
///
/// # Errors
/// Who else may, and the command that fixes it.
pub(crate) fn check_writers(folder: &OwnedFd, path: &Path, writers: Writers) -> io::Result<()> {
    let facts = fstat(folder)?;
    writers.check_folder(path, facts.st_mode, facts.st_uid).map_err(io::Error::other)
}

/// The identity of a folder.
pub(crate) fn identity(folder: &OwnedFd) -> io::Result<FolderId> {
    let facts = fstat(folder)?;
    let birth = statx(folder, "", AtFlags::EMPTY_PATH, StatxFlags::BTIME).ok();
    let birth = birth.filter(|facts| StatxFlags::from_bits_retain(facts.stx_mask).contains(StatxFlags::BTIME));
    let born = birth.map(|facts| (facts.stx_btime.tv_sec, facts.stx_btime.tv_nsec));
    Ok(FolderId { device: facts.st_dev, inode: facts.st_ino, born })
}

/// Lists a folder: at most this many files, and those of the `known` that exist besides.
pub(crate) fn list(folder: &OwnedFd, links: Links, most: usize, known: &BTreeSet<String>) -> io::Result<Listing> {
    let Names { files: names, nameless, misspelled } = names(folder, most)?;
    let stamp = |name: &String| statat(folder, name, links.at()).ok().map(|facts| Stamp::of(&facts));
    // Known files that cannot be stat'ed are left out here and checked by name later.
    let besides = known.difference(&names).filter_map(|name| Some((name.clone(), Some(stamp(name)?))));
    let besides: Vec<_> = besides.collect();
    let listed = names.into_iter().map(|name| {
        let stamp = stamp(&name);
        (name, stamp)
    });
    let files = listed.chain(besides).collect();
    Ok(Listing { identity: identity(folder)?, files, nameless, misspelled })
}

/// The stamps of those of these files that exist.
pub(crate) fn stamps(folder: &OwnedFd, links: Links, files: &BTreeSet<String>) -> BTreeMap<String, Option<Stamp>> {
    let stamp = |file: &String| Some((file.clone(), Some(Stamp::of(&statat(folder, file, links.at()).ok()?))));
    files.iter().filter_map(stamp).collect()
}

/// Whether a folder has a plugin of this name, without reading it.
pub(crate) fn has(folder: &Path, name: &str, links: Links) -> bool {
    let facts = |folder: OwnedFd| Ok(statat(folder, format!("{name}{SUFFIX}"), links.at())?);
    let facts = open_folder(folder, links).and_then(facts);
    facts.is_ok_and(|facts| FileType::from_raw_mode(facts.st_mode) == FileType::RegularFile)
}

/// Whether this is an allowed file name of a plugin: no path and no hidden file. Editors and copy programs use hidden
/// files until they are done.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains('/') && !name.chars().any(char::is_control)
}

/// The names of the plugin files of a folder, the first ones in their order, and those that cannot be typed.
pub(crate) fn names(folder: &OwnedFd, most: usize) -> io::Result<Names> {
    let mut found = Names::default();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name.starts_with(b".") && name != SUFFIX.as_bytes() {
            continue;
        }
        if !name.ends_with(SUFFIX.as_bytes()) {
            if let Some(name) = misspelled(name).filter(|_| found.misspelled.len() < MOST_MISSPELLED) {
                found.misspelled.insert(name.to_owned());
            }
            continue;
        }
        match str::from_utf8(name) {
            Ok(name) if plugin_name(name).is_some() => {
                found.files.insert(name.to_owned());
                if found.files.len() > most {
                    found.files.pop_last();
                }
            }
            Ok(_) | Err(_) => found.nameless.add(name),
        }
    }
    Ok(found)
}

/// The name, if its suffix is a plugin's except for case.
fn misspelled(name: &[u8]) -> Option<&str> {
    let suffix = name.len().checked_sub(SUFFIX.len()).map(|stem| &name[stem..])?;
    suffix.eq_ignore_ascii_case(SUFFIX.as_bytes()).then(|| str::from_utf8(name).ok()).flatten()
}

/// Reads one file of a folder, and at most `most + 1` bytes of it, to detect larger files.
///
/// # Errors
/// Why an existing file cannot be read.
pub(crate) fn read(path: &Path, name: &str, links: Links, writers: Writers, most: usize) -> Result<Reading, String> {
    let Ok(folder) = open_folder(path, links) else { return Ok(Reading::NoFolder) };
    // Does not wait for the writer of a FIFO.
    let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    flags.set(OFlags::NOFOLLOW, links != Links::Follow);
    let unreadable = |error: io::Error| format!("it cannot be read: {error}");
    let file = match openat(&folder, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) if is_link(&folder, name.as_ref()) => {
            return Err("it is a symbolic link to a file that is not there".to_owned());
        }
        Err(Errno::NOENT) => return identity(&folder).map(Reading::Absent).map_err(unreadable),
        Err(Errno::LOOP) if links == Links::Follow => {
            return Err("it is a symbolic link that leads back to itself; point it at the file".to_owned());
        }
        Err(Errno::LOOP) => return Err("it is a symbolic link, which is not followed here; copy the file".to_owned()),
        Err(error) => return Err(unreadable(error.into())),
    };
    let facts = |file: &File| fstat(file).map_err(|error| unreadable(error.into()));
    let before = facts(&file)?;
    if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
        return Err("this is not a file".to_owned());
    }
    let whole = path.join(name);
    writers.check(&whole, before.st_mode, before.st_uid)?;
    if links != Links::Refuse {
        // Whoever may write to the folder of a build that is kept elsewhere can replace it.
        writers.check_folder_of(&whole)?;
    }
    let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let size = u64::try_from(before.st_size).unwrap_or_default().min(bound);
    let size = usize::try_from(size).unwrap_or_default();
    let mut wasm = Vec::with_capacity(size);
    (&file).take(bound).read_to_end(&mut wasm).map_err(unreadable)?;
    let stamp = Stamp::of(&before);
    if Stamp::of(&facts(&file)?) != stamp {
        return Ok(Reading::Changing);
    }
    Ok(Reading::Whole(Source::new(wasm), stamp))
}

impl Stamp {
    /// The stamp of a file after this many changes.
    #[cfg(test)]
    pub(crate) fn touched(touches: i64) -> Stamp {
        Stamp { device: 1, inode: 1, size: 1, modified: (touches, 0), changed: (touches, 0) }
    }

    fn of(facts: &Stat) -> Stamp {
        Stamp {
            device: facts.st_dev,
            inode: facts.st_ino,
            size: facts.st_size,
            modified: (facts.st_mtime, facts.st_mtime_nsec),
            changed: (facts.st_ctime, facts.st_ctime_nsec),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    fn list(folder: &Path, most: usize) -> io::Result<Listing> {
        super::list(&open_folder(folder, Links::Refuse)?, Links::Refuse, most, &BTreeSet::from(["e.wasm".to_owned()]))
    }

    #[test]
    fn a_folder_that_has_become_a_link_is_not_opened() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path().canonicalize().unwrap();
        for folder in ["mine/plugins", "theirs/plugins"] {
            fs::create_dir_all(place.join(folder)).unwrap();
        }
        fs::write(place.join("theirs/plugins/secret.wasm"), "1234").unwrap();
        let mine = place.join("mine/plugins");
        assert!(list(&mine, 9).is_ok());
        fs::remove_dir(&mine).unwrap();
        symlink("../theirs/plugins", &mine).unwrap();
        let refused = |folder: &Path| {
            assert!(matches!(read(folder, "secret.wasm", Links::Refuse, Writers::Tenant, 9), Ok(Reading::NoFolder)));
            list(folder, 9).unwrap_err().to_string()
        };
        assert!(refused(&mine).contains("symbolic link"));
        assert!(matches!(read(&mine, "secret.wasm", Links::Follow, Writers::Operator, 9), Ok(Reading::Whole(..))));
        // Nor in any parent folder.
        fs::rename(place.join("mine"), place.join("old")).unwrap();
        symlink("theirs", place.join("mine")).unwrap();
        assert!(refused(&mine).contains("symbolic link"));
    }

    fn names(listing: &Listing) -> Vec<&str> {
        listing.files.keys().map(String::as_str).collect()
    }

    #[test]
    fn a_listing_has_a_bounded_number_of_typeable_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.wasm", "a.wasm", ".wasm", "c\n.wasm", "d.txt", "e.wasm"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let listing = list(folder.path(), 9).unwrap();
        assert_eq!((names(&listing), listing.nameless.count), (vec!["a.wasm", "b.wasm", "e.wasm"], 2));
        // A known file is checked wherever it is in the order.
        assert_eq!(names(&list(folder.path(), 1).unwrap()), ["a.wasm", "e.wasm"]);
        assert!(list(&folder.path().join("absent"), 2).is_err());
    }

    #[test]
    fn hidden_files_are_not_plugins_and_capital_suffixes_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.wasm", ".b.wasm", ".wasm-tmp", "C.WASM", "d.Wasm", ".E.WASM", "wasm", "fwasm"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let listing = list(folder.path(), 9).unwrap();
        assert_eq!((names(&listing), listing.nameless.count), (vec!["a.wasm"], 0));
        assert_eq!(listing.misspelled.into_iter().collect::<Vec<_>>(), ["C.WASM", "d.Wasm"]);
        assert_eq!((plugin_name(".b.wasm"), plugin_name("a.b.wasm")), (None, Some("a.b")));
    }

    #[test]
    fn a_dangling_link_is_not_an_absent_file() {
        let folder = tempfile::tempdir().unwrap();
        symlink("nowhere", folder.path().join("a.wasm")).unwrap();
        let reason = read(folder.path(), "a.wasm", Links::Follow, Writers::Operator, 4).err().unwrap();
        assert_eq!(reason, "it is a symbolic link to a file that is not there");
    }

    #[test]
    fn a_recreated_folder_is_another_whatever_its_inode_number() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("plugins");
        let made = || {
            fs::create_dir(&path).unwrap();
            identity(&open_folder(&path, Links::Follow).unwrap()).unwrap()
        };
        let first = made();
        assert_eq!(identity(&open_folder(&path, Links::Follow).unwrap()).unwrap(), first);
        fs::remove_dir(&path).unwrap();
        assert_ne!(made(), first);
    }

    #[test]
    fn names_that_cannot_be_typed_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(list(folder.path(), 9).unwrap().nameless.reason(), None);
        for name in [&b"c\n.wasm"[..], b"d\xff\xc3.wasm", b".wasm"] {
            fs::write(folder.path().join(OsStr::from_bytes(name)), "").unwrap();
        }
        let reason = || list(folder.path(), 9).unwrap().nameless.reason().unwrap();
        assert!(reason().ends_with(": \".wasm\", \"c\n.wasm\", \"d<ff><c3>.wasm\"; rename it"), "{}", reason());
        for number in 10..20 {
            fs::write(folder.path().join(format!("a\t{number}.wasm")), "").unwrap();
        }
        assert!(reason().ends_with("\"a\t16.wasm\" and 5 more; rename it"), "{}", reason());
    }

    #[test]
    fn a_file_is_read_whole_and_anything_else_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str, links| read(folder.path(), name, links, Writers::Operator, 4);
        fs::write(folder.path().join("a.wasm"), "1234").unwrap();
        assert!(matches!(read("a.wasm", Links::Refuse), Ok(Reading::Whole(source, _)) if source.size() == 4));
        fs::write(folder.path().join("a.wasm"), "1234567").unwrap();
        assert!(matches!(read("a.wasm", Links::Refuse), Ok(Reading::Whole(source, _)) if source.size() == 5));
        let identity = list(folder.path(), 1).unwrap().identity;
        assert!(matches!(read("b.wasm", Links::Refuse), Ok(Reading::Absent(folder)) if folder == identity));
        symlink("a.wasm", folder.path().join("link.wasm")).unwrap();
        assert!(matches!(read("link.wasm", Links::Follow), Ok(Reading::Whole(..))));
        assert!(read("link.wasm", Links::Refuse).err().unwrap().contains("not followed here"));
        symlink("loop.wasm", folder.path().join("loop.wasm")).unwrap();
        assert!(read("loop.wasm", Links::Follow).err().unwrap().contains("leads back to itself"));
        fs::create_dir(folder.path().join("folder.wasm")).unwrap();
        assert_eq!(read("folder.wasm", Links::Follow).err().unwrap(), "this is not a file");
        let fifo = folder.path().join("fifo.wasm");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(read("fifo.wasm", Links::Follow).err().unwrap(), "this is not a file");
    }
}
