//! Temporary folders that carry a mark, so that a later start knows which ones it may remove.
//!
//! Each is a folder `.whelk-temporary-NUMBER` that holds the contents in a folder `contents`, and beside it the mark: a
//! symbolic link `mark` to a text that has the folder's own name. A plugin is given `contents` alone and nothing above
//! it, so it can neither make a mark nor remove one. No principal's home has such a name (`name`), and an operator's
//! folder that happens to have one lacks the mark.
//!
//! Decided 2026-11-29: a link, because one system call makes it with its text, so that there is no moment at which it
//! is half written. The mark is made before the contents and removed after them. A crash between `mkdir` and the mark
//! leaves an empty folder, which `rmdir` may remove: it never removes anything that is not empty.
//!
//! The contents are removed without recursion, in steps of a bounded number of system calls: entries of a folder are
//! unlinked, and a folder in it that is not empty is renamed to stand beside `contents`, where a later step finds it.
//! So depth costs no memory and no open files, and the state of the work is on the disk alone.

use std::ffi::CStr;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, Dir, Mode, OFlags, RenameFlags, mkdirat, openat, readlinkat, renameat, renameat_with, symlinkat,
    unlinkat,
};
use rustix::io::Errno;

use crate::grants::directory::count::DIRECTORY;

/// How the name of a marked folder begins.
const PREFIX: &str = ".whelk-temporary-";
/// The name of the mark.
const MARK: &CStr = c"mark";
/// The name of the folder that holds the contents.
const CONTENTS: &str = "contents";
/// How often another name is tried.
const TRIES: usize = 8;

/// A folder with its mark. It stays until it is removed.
#[derive(Debug, Clone)]
pub(super) struct MarkedFolder {
    /// The folder above.
    above: Arc<OwnedFd>,
    name: String,
}

/// What a step of the removal has come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Removed {
    /// Nothing is left.
    All,
    /// There is more, after this many entries.
    Some(usize),
}

impl MarkedFolder {
    /// Makes one with empty contents, for this user alone (0700).
    pub(super) fn make(above: &Arc<OwnedFd>) -> io::Result<Self> {
        let mut tries = TRIES;
        let name = loop {
            let name = format!("{PREFIX}{:016x}", RandomState::new().build_hasher().finish());
            tries -= 1;
            match mkdirat(above, &name, Mode::RWXU) {
                Ok(()) => break name,
                Err(Errno::EXIST) if tries > 0 => {}
                Err(error) => return Err(error.into()),
            }
        };
        let folder = Self { above: Arc::clone(above), name };
        folder.fill().inspect_err(|_| folder.discard())?;
        Ok(folder)
    }

    fn fill(&self) -> io::Result<()> {
        let folder = self.open()?;
        symlinkat(text(&self.name), &folder, MARK)?;
        Ok(mkdirat(&folder, CONTENTS, Mode::RWXU)?)
    }

    /// Those of a folder that an earlier run has left. Also returns the names that look like one and have no mark.
    pub(super) fn leftovers(above: &Arc<OwnedFd>) -> io::Result<(Vec<Self>, Vec<String>)> {
        let (mut found, mut unmarked) = (Vec::new(), Vec::new());
        for entry in Dir::read_from(above)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if !name.starts_with(PREFIX) {
                continue;
            }
            let folder = Self { above: Arc::clone(above), name: name.to_owned() };
            if folder.is_marked() {
                found.push(folder);
            } else if unlinkat(above, name, AtFlags::REMOVEDIR).is_err() {
                unmarked.push(folder.name);
            }
        }
        Ok((found, unmarked))
    }

    /// Whether it is a folder, no link to one, and has its mark.
    fn is_marked(&self) -> bool {
        let mark = self.open().and_then(|folder| Ok(readlinkat(&folder, MARK, Vec::new())?));
        mark.is_ok_and(|mark| mark.as_bytes() == text(&self.name).as_bytes())
    }

    /// The path of the contents from the folder above.
    pub(super) fn contents(&self) -> String {
        format!("{}/{CONTENTS}", self.name)
    }

    /// Opens the contents.
    pub(super) fn open_contents(&self) -> io::Result<OwnedFd> {
        Ok(openat(self.open()?, CONTENTS, DIRECTORY, Mode::empty())?)
    }

    /// Gives the contents this name in the folder above, and removes the rest.
    ///
    /// # Errors
    /// When the name exists, or the disk fails. Then everything is as before.
    pub(super) fn keep_contents(&self, name: &str) -> io::Result<()> {
        match renameat_with(&self.above, self.contents(), &self.above, name, RenameFlags::NOREPLACE) {
            // Some file systems cannot refuse to replace. An empty folder is all that a rename replaces.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                renameat(&self.above, self.contents(), &self.above, name)?;
            }
            renamed => renamed?,
        }
        self.discard();
        Ok(())
    }

    /// Removes what is left of a folder without contents. What cannot be removed now is at a start.
    fn discard(&self) {
        if let Ok(folder) = self.open() {
            let _ = unlinkat(&folder, CONTENTS, AtFlags::REMOVEDIR);
            let _ = unlinkat(&folder, MARK, AtFlags::empty());
        }
        let _ = unlinkat(&self.above, &self.name, AtFlags::REMOVEDIR);
    }

    /// Removes at most about this many entries of it, and itself once there are none.
    pub(super) fn remove_some(&self, most: usize) -> io::Result<Removed> {
        let folder = match self.open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Removed::All),
            opened => opened?,
        };
        // Names from a random number on are free, so that no step tries those of all steps before.
        let next = RandomState::new().build_hasher().finish();
        let mut step = Step { folder: folder.as_fd(), next, done: 0, most };
        let mut begin = Dir::read_from(&folder)?;
        while let Some(entry) = begin.read() {
            let entry = entry?;
            let name = entry.file_name();
            if name == MARK || name == c"." || name == c".." {
                continue;
            }
            if !step.remove(folder.as_fd(), name)? {
                step.empty(name)?;
            }
            if step.done >= step.most {
                return Ok(Removed::Some(step.done));
            }
        }
        self.discard();
        match self.open() {
            // It came to a new entry meanwhile, or its folder does not let it go.
            Ok(_) if step.done > 0 => Ok(Removed::Some(step.done)),
            Ok(_) => match unlinkat(&self.above, &self.name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => Ok(Removed::All),
                Err(error) => Err(error.into()),
            },
            Err(_) => Ok(Removed::All),
        }
    }

    /// Opens it, with the mark.
    pub(super) fn open(&self) -> io::Result<OwnedFd> {
        Ok(openat(&self.above, &self.name, DIRECTORY, Mode::empty())?)
    }
}

/// The text that a mark leads to.
fn text(name: &str) -> String {
    format!("removed by whelk at its next start: {name}")
}

/// One step of a removal.
struct Step<'f> {
    /// The marked folder.
    folder: BorrowedFd<'f>,
    /// The number of the next folder that is moved there.
    next: u64,
    done: usize,
    most: usize,
}

impl Step<'_> {
    /// Removes an entry, unless it is a folder that is not empty.
    fn remove(&mut self, at: BorrowedFd<'_>, name: &CStr) -> io::Result<bool> {
        self.done += 1;
        match unlinkat(at, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(true),
            // What Linux says of a folder, and what POSIX does.
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
        match unlinkat(at, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the entries of a folder that lies in the marked one, as far as this step goes, and itself if it is empty
    /// then.
    fn empty(&mut self, name: &CStr) -> io::Result<()> {
        let inner = openat(self.folder, name, DIRECTORY, Mode::empty())?;
        let mut entries = Dir::read_from(&inner)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let below = entry.file_name();
            if below == c"." || below == c".." {
                continue;
            }
            if !self.remove(inner.as_fd(), below)? {
                self.move_up(inner.as_fd(), below)?;
            }
            if self.done >= self.most {
                break;
            }
        }
        match unlinkat(self.folder, name, AtFlags::REMOVEDIR) {
            // A later step continues.
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Moves a folder to stand beside the contents.
    fn move_up(&mut self, from: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        loop {
            let free = format!("{}", self.next);
            self.next = self.next.wrapping_add(1);
            // A rename replaces an empty folder, which harms nothing here, and no other.
            match renameat(from, name, self.folder, &free) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => self.done += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Opens the folder above marked folders.
pub(in crate::grants) fn open_above(path: &Path) -> io::Result<Arc<OwnedFd>> {
    let flags = DIRECTORY.difference(OFlags::NOFOLLOW);
    Ok(Arc::new(openat(CWD, path, flags, Mode::empty())?))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn remove(folder: &MarkedFolder, most: usize) -> usize {
        let mut steps = 1;
        while let Removed::Some(done) = folder.remove_some(most).unwrap() {
            // An entry of the marked folder itself may come to the last one of the step.
            assert!(done <= most + 1, "{done}");
            steps += 1;
            assert!(steps < 100_000, "it never ends");
        }
        steps
    }

    #[test]
    fn a_folder_is_removed_in_steps_however_deep_it_is_and_nothing_beside_it() {
        let (place, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("kept"), "x").unwrap();
        fs::create_dir(place.path().join("alice")).unwrap();
        let above = open_above(place.path()).unwrap();
        let folder = MarkedFolder::make(&above).unwrap();
        let mut dir = folder.open_contents().unwrap();
        for level in 0..1_500 {
            symlink(outside.path(), place.path().join("link")).unwrap();
            fs::rename(place.path().join("link"), place.path().join(folder.contents()).join("link")).unwrap();
            if level < 200 {
                mkdirat(&dir, c"wide", Mode::RWXU).unwrap();
                mkdirat(&dir, c"wide/x", Mode::RWXU).unwrap();
            }
            mkdirat(&dir, c"down", Mode::RWXU).unwrap();
            dir = openat(&dir, c"down", DIRECTORY, Mode::empty()).unwrap();
        }
        let steps = remove(&folder, 64);
        assert!(steps > 1_900 / 64, "{steps}");
        assert_eq!(names(place.path()), ["alice"]);
        assert!(outside.path().join("kept").exists());
        assert_eq!(folder.remove_some(1).unwrap(), Removed::All);
    }

    #[test]
    fn a_step_does_as_much_however_many_folders_stand_beside_the_contents() {
        let place = tempfile::tempdir().unwrap();
        let above = open_above(place.path()).unwrap();
        let folder = MarkedFolder::make(&above).unwrap();
        for number in 0..300 {
            // What earlier steps have moved there, and what this one moves.
            fs::create_dir_all(place.path().join(&folder.name).join(format!("{number}/x"))).unwrap();
            fs::create_dir_all(place.path().join(folder.contents()).join(format!("{number}/x"))).unwrap();
        }
        let steps = remove(&folder, 50);
        // Three or four for each folder: it, what is in it, and the tries to remove it before.
        assert!(steps < 600 * 5 / 50, "{steps}");
    }

    #[test]
    fn only_what_carries_its_mark_is_taken_at_a_start() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let above = open_above(place.path()).unwrap();
        let folder = MarkedFolder::make(&above).unwrap();
        let mode = fs::metadata(at(&folder.name)).unwrap().permissions().mode();
        let inner = fs::metadata(at(&folder.contents())).unwrap().permissions().mode();
        assert_eq!((mode & 0o7777, inner & 0o7777), (0o700, 0o700));
        // Another folder with the mark of this one, one without, one whose mark is a file, a link to this one.
        for name in ["other", "bare", "file"] {
            fs::create_dir(at(&format!("{PREFIX}{name}"))).unwrap();
            fs::write(at(&format!("{PREFIX}{name}/data")), "x").unwrap();
        }
        symlink(text(&folder.name), at(&format!("{PREFIX}other/mark"))).unwrap();
        fs::write(at(&format!("{PREFIX}file/mark")), text(&format!("{PREFIX}file"))).unwrap();
        symlink(&folder.name, at(&format!("{PREFIX}link"))).unwrap();
        fs::create_dir(at("alice")).unwrap();
        symlink(text("alice"), at("alice/mark")).unwrap();
        // What a crash before the mark leaves.
        fs::create_dir(at(&format!("{PREFIX}empty"))).unwrap();
        let (found, mut unmarked) = MarkedFolder::leftovers(&above).unwrap();
        unmarked.sort();
        assert_eq!(found.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), [folder.name.as_str()]);
        assert_eq!(unmarked, ["bare", "file", "link", "other"].map(|name| format!("{PREFIX}{name}")));
        remove(&found[0], 10);
        let left = names(place.path());
        assert_eq!(left.len(), 5, "{left:?}");
        assert!(at("alice/mark").symlink_metadata().is_ok() && at(&format!("{PREFIX}other/data")).exists());
    }

    #[test]
    fn contents_are_kept_under_a_name_that_is_free() {
        let place = tempfile::tempdir().unwrap();
        let above = open_above(place.path()).unwrap();
        for taken in [true, false] {
            let folder = MarkedFolder::make(&above).unwrap();
            fs::write(place.path().join(folder.contents()).join("file"), "x").unwrap();
            if taken {
                fs::create_dir(place.path().join("alice")).unwrap();
                fs::write(place.path().join("alice/theirs"), "x").unwrap();
                assert!(folder.keep_contents("alice").is_err());
                remove(&folder, 10);
            } else {
                folder.keep_contents("bob").unwrap();
            }
        }
        assert_eq!(names(place.path()), ["alice", "bob"]);
        assert_eq!(
            (names(&place.path().join("alice")), names(&place.path().join("bob"))),
            (vec!["theirs".to_owned()], vec!["file".to_owned()])
        );
    }
}
