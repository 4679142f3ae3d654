//! Finds where a path leads in a tree, whatever links are on it.
//!
//! The kernel resolves a path that has no `..` and meets neither a link nor another part of the tree ([`direct`]).
//! Every other path is resolved here, one component at a time ([`walk`]): each is opened without following it, the text
//! of a link is put in front of what is left of the path, and `..` leads to the directory that the walk came from. So a
//! path cannot leave the tree, even while others rename things: what `..` opens is compared with the directory that the
//! walk saw there before.
//!
//! A walk holds one open directory however long the path is.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;

use cap_std::fs::{Dir, Metadata};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2, readlinkat};
use rustix::io::Errno;

use super::parts::{OpenFile, Parts, Start, absent};
use super::plan::{NodeKind, Plan};
use crate::grants::directory::{DiskWait, Entry, Id, PATH, Refused, open_cached};

/// As many links as Linux follows, path_resolution(7).
const LINKS: usize = 40;
/// The most components of one path, those of its links included: it holds the tenant's turn.
const COMPONENTS: usize = 8 << 10;
/// The most directories above one that is open, up to the root of its part.
const DEPTH: usize = 4 << 10;
/// The most components, and directories above, of a path that is resolved without waiting for the disk.
const AT_ONCE: usize = 64;
/// Longer targets of links may lie on the disk, beside what the system keeps of the link itself.
const SHORT_LINK: u64 = 32;
/// Opens a directory only.
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Where a path leads.
pub(super) enum Resolved<'a> {
    /// To a name in a directory, whether it exists or not. `slash`: the path demands that it is a directory.
    Name { part: usize, dir: Held<'a>, name: Cow<'a, OsStr>, slash: bool },
    /// To a directory below the root of a part, without a name: by `.` or `..`.
    Directory { part: usize, dir: Held<'a> },
    /// To the root of a part.
    Part(usize),
    /// To a name in a folder of names, of a file with this many bytes.
    Listed { part: usize, name: OsString, size: u64 },
    /// To a name that a folder of the host does not have.
    Absent,
}

/// A directory that is open.
pub(super) enum Held<'a> {
    Entry(&'a Entry),
    Own(Dir),
}

impl Held<'_> {
    pub(super) fn dir(&self) -> Result<&Dir, Refused> {
        match self {
            Self::Entry(entry) => entry.directory(),
            Self::Own(dir) => Ok(dir),
        }
    }
}

/// Lets the kernel resolve all but the last name; `None` if [`walk`] has to.
pub(super) fn direct<'a>(tree: &'a Parts, start: Start<'a>, path: &'a str) -> Result<Option<Resolved<'a>>, Refused> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    if matches!(name, "" | "." | "..") {
        return Ok(None);
    }
    let (part, entry) = match start.opened {
        OpenFile::Entry { part, entry } => (*part, &**entry),
        OpenFile::Part { part, .. } => {
            let Some(directory) = tree.reach(*part, start.wait)? else { return Ok(None) };
            let mut names = path.split('/').filter(|name| !matches!(*name, "" | "."));
            if names.next().is_some_and(|first| tree.child(*part, OsStr::new(first)).is_some()) {
                return Ok(None);
            }
            (*part, &**directory.root())
        }
    };
    let name = Cow::Borrowed(OsStr::new(name));
    if parent.is_empty() {
        return Ok(Some(Resolved::Name { part, dir: Held::Entry(entry), name, slash: false }));
    }
    if parent.split('/').any(|name| name == "..") {
        return Ok(None);
    }
    // No link: where it leads is recorded, and may be another part.
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
    let dir = entry.directory()?;
    let opened = match start.wait {
        DiskWait::Any => openat2(dir, parent, DIRECTORY, Mode::empty(), beneath).map(File::from),
        DiskWait::Never if parent.split('/').count() >= AT_ONCE => Err(Errno::AGAIN),
        DiskWait::Never => open_cached(dir, parent, DIRECTORY, beneath),
    };
    match opened {
        Ok(file) => {
            let dir = Held::Own(Dir::from_std_file(file));
            Ok(Some(Resolved::Name { part, dir, name, slash: false }))
        }
        Err(Errno::AGAIN) if start.wait == DiskWait::Never => Err(Refused::would_wait()),
        // It leads out, or over a link; it was renamed meanwhile; or the kernel cannot do this.
        Err(Errno::XDEV | Errno::LOOP | Errno::AGAIN | Errno::NOSYS | Errno::PERM) => Ok(None),
        Err(error) => Err(std::io::Error::from(error).into()),
    }
}

/// Resolves a path, one component at a time. A link in its last part is followed if `follow`.
pub(super) fn walk<'a>(tree: &'a Parts, start: Start<'a>, path: &str, follow: bool) -> Result<Resolved<'a>, Refused> {
    let position = Position::at(tree, start)?;
    let left = if start.wait == DiskWait::Any { COMPONENTS } else { AT_ONCE };
    let mut walk = Walk { tree, start, position, ahead: Vec::new(), left, slash: false, links: 0 };
    walk.push(path.as_bytes());
    walk.run(follow)
}

/// Where a walk is.
struct Position<'a> {
    part: usize,
    /// The current directory and its identity; `None` in a folder of the host.
    dir: Option<(Held<'a>, Id)>,
    /// The directories above it, down from `origin` or else from the root of the part.
    above: Vec<Id>,
    /// Where the walk began, if that is not the root of a part: what is above it is not known.
    origin: Option<&'a Entry>,
    /// Its path from the root of the tree, for records. Not longer than what the walk has read.
    path: String,
}

impl<'a> Position<'a> {
    fn at(tree: &'a Parts, start: Start<'a>) -> Result<Self, Refused> {
        match start.opened {
            OpenFile::Part { part, .. } if tree.plan.is_folder(*part) => Self::root(tree, *part, start.wait),
            OpenFile::Part { .. } => Err(Refused::NotDirectory),
            OpenFile::Entry { part, entry } => {
                entry.directory()?;
                let path = start.path.to_owned();
                Ok(Self { part: *part, dir: Some(held(entry)), above: Vec::new(), origin: Some(entry), path })
            }
        }
    }

    /// The root of a part.
    fn root(tree: &'a Parts, part: usize, wait: DiskWait) -> Result<Self, Refused> {
        let dir = tree.reach(part, wait)?.map(|directory| held(directory.root()));
        Ok(Self { part, dir, above: Vec::new(), origin: None, path: tree.plan.path(part) })
    }

    fn is_root(&self) -> bool {
        self.above.is_empty() && self.origin.is_none()
    }

    /// The path of a name here.
    fn below(&self, name: &OsStr) -> String {
        let name = name.to_string_lossy();
        if self.path.is_empty() { name.into_owned() } else { format!("{}/{name}", self.path) }
    }

    /// Goes down into a directory of this name that is open.
    fn descend(&mut self, name: &OsStr, dir: Dir, id: Id) {
        self.path = self.below(name);
        if let Some((_, before)) = self.dir.replace((Held::Own(dir), id)) {
            self.above.push(before);
        }
    }

    fn place(self) -> Resolved<'a> {
        let is_root = self.is_root();
        match self.dir {
            Some((dir, _)) if !is_root => Resolved::Directory { part: self.part, dir },
            Some(_) | None => Resolved::Part(self.part),
        }
    }
}

fn held(entry: &Entry) -> (Held<'_>, Id) {
    (Held::Entry(entry), entry.id())
}

struct Walk<'a> {
    tree: &'a Parts,
    start: Start<'a>,
    position: Position<'a>,
    /// What is left of the path and of links, the next one last. None is at its end.
    ahead: Vec<Rest>,
    /// How many components it may still have.
    left: usize,
    /// The path or a link at its end has a slash behind the last name.
    slash: bool,
    links: usize,
}

/// What is left of a path, without slashes at its end.
struct Rest {
    text: Vec<u8>,
    at: usize,
}

impl<'a> Walk<'a> {
    /// Puts a path in front of what is left.
    fn push(&mut self, path: &[u8]) {
        self.slash |= self.ahead.is_empty() && path.ends_with(b"/");
        let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        if end > 0 {
            self.ahead.push(Rest { text: path[..end].to_owned(), at: 0 });
        }
    }

    /// Takes the next component.
    fn next(&mut self) -> Result<Option<OsString>, Refused> {
        let Some(Rest { text, at }) = self.ahead.last_mut() else { return Ok(None) };
        self.left = self.left.checked_sub(1).ok_or_else(|| match self.start.wait {
            DiskWait::Any => Refused::NameTooLong,
            DiskWait::Never => Refused::would_wait(),
        })?;
        *at += text[*at..].iter().take_while(|byte| **byte == b'/').count();
        let part = text[*at..].split(|byte| *byte == b'/').next().unwrap_or_default();
        *at += part.len();
        let (part, is_end) = (OsStr::from_bytes(part).to_owned(), *at == text.len());
        if is_end {
            self.ahead.pop();
        }
        Ok(Some(part))
    }

    fn run(mut self, follow: bool) -> Result<Resolved<'a>, Refused> {
        while let Some(part) = self.next()? {
            match part.as_bytes() {
                b"." => {}
                b".." => self.up()?,
                _ => {
                    let name = part.clone();
                    if let Some(place) = self.down(part, follow)? {
                        self.start.led_to.set(Some(self.position.below(&name)));
                        return Ok(place);
                    }
                }
            }
        }
        self.start.led_to.set(Some(self.position.path.clone()));
        Ok(self.position.place())
    }

    /// Goes on by one name. Returns where the path leads if that was the end of it.
    fn down(&mut self, name: OsString, follow: bool) -> Result<Option<Resolved<'a>>, Refused> {
        let (part, is_last) = (self.position.part, self.ahead.is_empty());
        if self.position.is_root() {
            if let Some(child) = self.tree.child(part, &name) {
                if (self.slash || !is_last) && !self.tree.plan.is_folder(child) {
                    return Err(Refused::NotDirectory);
                }
                if is_last {
                    return Ok(Some(Resolved::Part(child)));
                }
                self.position = Position::root(self.tree, child, self.start.wait)?;
                return Ok(None);
            }
            if let NodeKind::Names(folder) = self.tree.plan.kind(part) {
                return match name.to_str().and_then(|name| folder.size(name)) {
                    Some(size) if is_last && !self.slash => Ok(Some(Resolved::Listed { part, name, size })),
                    Some(_) => Err(Refused::NotDirectory),
                    None if is_last => Ok(Some(Resolved::Absent)),
                    None => Err(absent()),
                };
            }
        }
        let Some((dir, _)) = &self.position.dir else {
            return if is_last { Ok(Some(Resolved::Absent)) } else { Err(absent()) };
        };
        if is_last && !follow {
            return Ok(self.end(name));
        }
        let file = match step(dir.dir()?, &name, PATH, self.start.wait) {
            Ok(file) => file,
            // It can still be created.
            Err(Errno::NOENT) if is_last => return Ok(self.end(name)),
            Err(error) => return Err(std::io::Error::from(error).into()),
        };
        let found = Metadata::from_file(&file)?;
        if found.is_symlink() {
            if found.len() > SHORT_LINK && self.start.wait == DiskWait::Never {
                return Err(Refused::would_wait());
            }
            self.follow(&file)?;
        } else if is_last {
            return Ok(self.end(name));
        } else if found.is_dir() {
            self.position.descend(&name, Dir::from_std_file(file), Id::of(&found));
        } else {
            return Err(Refused::NotDirectory);
        }
        Ok(None)
    }

    fn end(&mut self, name: OsString) -> Option<Resolved<'a>> {
        let (dir, _) = self.position.dir.take()?;
        Some(Resolved::Name { part: self.position.part, dir, name: Cow::Owned(name), slash: self.slash })
    }

    /// Goes on with the target of an open link.
    fn follow(&mut self, link: &File) -> Result<(), Refused> {
        self.links += 1;
        if self.links > LINKS {
            return Err(Refused::Link);
        }
        let target = readlinkat(link, c"", Vec::new()).map_err(std::io::Error::from)?;
        let target = target.into_bytes();
        if target.starts_with(b"/") {
            self.position = Position::root(self.tree, Plan::ROOT, self.start.wait)?;
        }
        self.push(&target);
        Ok(())
    }

    /// Goes to the directory above. That of the root of a part is where the part is in the tree, and that of the root
    /// of the tree is the root.
    fn up(&mut self) -> Result<(), Refused> {
        if self.position.above.is_empty() && self.position.origin.is_some() {
            self.find_origin()?;
        }
        let length = self.position.path.rfind('/').unwrap_or(0);
        let position = &mut self.position;
        let Some(id) = position.above.pop() else {
            self.position = Position::root(self.tree, self.tree.plan.parent(position.part), self.start.wait)?;
            return Ok(());
        };
        position.path.truncate(length);
        if position.above.is_empty() {
            let directory = self.tree.mounted(position.part)?;
            position.dir = Some(held(position.origin.unwrap_or(directory.root())));
            return Ok(());
        }
        let Some((dir, _)) = &position.dir else { return Err(absent()) };
        let (parent, found) = above(dir.dir()?, self.start.wait)?;
        // It was moved since the walk came from there, perhaps out of the tree.
        if found != id {
            return Err(absent());
        }
        position.dir = Some((Held::Own(parent), id));
        Ok(())
    }

    /// Finds out what is above the directory where the walk began: goes up from it to the root of its part, wherever it
    /// was moved since it was opened. If it is in the part no more, nothing is above it.
    fn find_origin(&mut self) -> Result<(), Refused> {
        let Some(origin) = self.position.origin else { return Ok(()) };
        let root = self.tree.mounted(self.position.part)?.root().id();
        let (mut ids, mut id, mut dir) = (Vec::new(), origin.id(), None);
        while id != root {
            if ids.len() == AT_ONCE && self.start.wait == DiskWait::Never {
                return Err(Refused::would_wait());
            }
            let (parent, found) = above(dir.as_ref().map_or_else(|| origin.directory(), Ok)?, self.start.wait)?;
            // The root of the disk is above itself.
            if found == id || ids.len() == DEPTH {
                return Err(absent());
            }
            ids.push(found);
            (id, dir) = (found, Some(parent));
        }
        ids.reverse();
        (self.position.above, self.position.origin) = (ids, None);
        Ok(())
    }
}

/// Opens one component of a path.
fn step(dir: &Dir, name: &OsStr, flags: OFlags, wait: DiskWait) -> Result<File, Errno> {
    match wait {
        DiskWait::Any => openat(dir, name, flags, Mode::empty()).map(File::from),
        DiskWait::Never => open_cached(dir, name, flags, ResolveFlags::empty()),
    }
}

/// Opens the directory above one.
fn above(dir: &Dir, wait: DiskWait) -> Result<(Dir, Id), Refused> {
    let parent = step(dir, OsStr::new(".."), DIRECTORY, wait).map_err(std::io::Error::from)?;
    let id = Id::of(&Metadata::from_file(&parent)?);
    Ok((Dir::from_std_file(parent), id))
}
