//! Replaces a configuration by an edited one: whole or not at all, and not if it has changed since it was read.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::state::lock_file::{HeldFile, LOCK_TIMEOUT};
use crate::state::strict_modes::Writers;

/// The server's limit for a configuration file, in bytes.
const MOST_BYTES: u64 = 64 << 20;
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A configuration that is being edited, and locked meanwhile.
pub(super) struct EditedFile {
    /// The file itself, behind all links.
    target: PathBuf,
    /// Its text, without a byte order mark.
    text: String,
    has_mark: bool,
    facts: Metadata,
    _lock: HeldFile,
}

impl EditedFile {
    /// Locks the file and reads it. Waits ten seconds for another edit to end.
    ///
    /// # Errors
    /// When it is not a regular file of UTF-8, cannot be read, may be changed by others (StrictModes), or is
    /// still being edited.
    pub(super) fn open(path: &Path) -> Result<EditedFile, String> {
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        let target = path.canonicalize().map_err(failed)?;
        // Neither the folder nor the file: whoever may read them can lock them for ever.
        let lock = hidden(&target, ".lock");
        let lock = HeldFile::hold(&lock, LOCK_TIMEOUT).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => format!(
                "{}: another `whelk user` has been editing it for {LOCK_TIMEOUT:?}: run this one again when that has ended",
                path.display()
            ),
            _ => irreplaceable(&target, &error),
        })?;
        let (text, facts) = read(&target).map_err(failed)?;
        // A server would refuse the file.
        Writers::Operator.check_both(&target, &facts)?;
        let has_mark = text.starts_with(BYTE_ORDER_MARK);
        let text = if has_mark { text[BYTE_ORDER_MARK.len()..].to_owned() } else { text };
        Ok(EditedFile { target, text, has_mark, facts, _lock: lock })
    }

    /// The text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Replaces the file. It keeps its owner, group and mode, and is on disk when this returns.
    ///
    /// # Errors
    /// When the file has changed since it was read, or the new one cannot be written. The old one is still there then.
    pub(super) fn replace(&self, text: &str) -> Result<(), String> {
        let temporary = hidden(&self.target, &format!(".new-{}", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = file.map_err(|error| irreplaceable(&self.target, &error))?;
        let replaced = self.write(file, text).and_then(|()| self.swap(&temporary));
        replaced.inspect_err(|_| {
            // The error is told.
            let _ = fs::remove_file(&temporary);
        })
    }

    fn write(&self, mut file: File, text: &str) -> Result<(), String> {
        let failed = |error: io::Error| irreplaceable(&self.target, &error);
        let mark = if self.has_mark { BYTE_ORDER_MARK } else { "" };
        file.write_all(mark.as_bytes()).and_then(|()| file.write_all(text.as_bytes())).map_err(failed)?;
        let made = file.metadata().map_err(failed)?;
        if (made.uid(), made.gid()) != (self.facts.uid(), self.facts.gid()) {
            let kept = fchown(&file, Some(self.facts.uid()), Some(self.facts.gid()));
            kept.map_err(|error| {
                let (target, owner, group) = (self.target.display(), self.facts.uid(), self.facts.gid());
                format!(
                    "{target}: cannot give the new file the owner of the old one (uid {owner}, gid {group}): {error}; \
                     run as root"
                )
            })?;
        }
        // After the owner, because a change of the owner clears bits of the mode.
        file.set_permissions(fs::Permissions::from_mode(self.facts.mode() & 0o7777)).map_err(failed)?;
        file.sync_all().map_err(failed)
    }

    /// Puts the new file in the place of the old one, unless that is no longer what was read.
    fn swap(&self, temporary: &Path) -> Result<(), String> {
        let shown = self.target.display();
        let now = read(&self.target).map_err(|error| format!("{shown}: {error}"));
        let (text, facts) = now?;
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
        if (facts.dev(), facts.ino()) != (self.facts.dev(), self.facts.ino()) || text != self.text {
            return Err(format!(
                "{shown} changed while it was being edited; nothing was written; run the command again"
            ));
        }
        fs::rename(temporary, &self.target).map_err(|error| match error.kind() {
            io::ErrorKind::ResourceBusy => {
                format!("{shown} is a mount of its own, and cannot be replaced: mount the folder that holds it instead")
            }
            _ => format!("{shown} cannot be replaced: {error}"),
        })?;
        let folder = self.target.parent().unwrap_or(Path::new("/"));
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| format!("{shown} is replaced, but may not be on disk: {error}"))
    }
}

/// The path of a hidden file beside a file.
fn hidden(target: &Path, suffix: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(suffix);
    target.with_file_name(name)
}

/// Why a file cannot be replaced, and what helps.
fn irreplaceable(target: &Path, error: &io::Error) -> String {
    let folder = target.parent().unwrap_or(Path::new("/")).display();
    let change = match error.kind() {
        io::ErrorKind::PermissionDenied => ": run it as root, or as the owner of the folder",
        io::ErrorKind::ReadOnlyFilesystem => ": it is on a disk that can only be read",
        _ => "",
    };
    format!("{} cannot be replaced by a new file in {folder}: {error}{change}", target.display())
}

/// The text of a file and what it is.
fn read(path: &Path) -> io::Result<(String, Metadata)> {
    // Does not wait for the writer of a FIFO.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NOFOLLOW;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let facts = file.metadata()?;
    if facts.is_dir() {
        return Err(io::Error::other("is a folder: name the file in it"));
    }
    if !facts.is_file() {
        return Err(io::Error::other("is no regular file, and cannot be edited"));
    }
    if facts.len() > MOST_BYTES {
        return Err(io::Error::other(format!("is larger than {MOST_BYTES} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|_| io::Error::other("is not UTF-8 text: save it as UTF-8"))?;
    Ok((text, facts))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn place(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("whelk.toml");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn a_file_keeps_its_mode_its_byte_order_mark_and_the_link_to_it() {
        let (folder, path) = place("\u{feff}a = 1\r\n");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let link = folder.path().join("link.toml");
        symlink("whelk.toml", &link).unwrap();
        let file = EditedFile::open(&link).unwrap();
        assert_eq!(file.text(), "a = 1\r\n");
        file.replace("b = 2\r\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "\u{feff}b = 2\r\n");
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o640);
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_somebody_else_has_changed_is_left_alone() {
        // Written in place, and replaced by one of the same text.
        for replaced in [false, true] {
            let (folder, path) = place("a = 1\n");
            let file = EditedFile::open(&path).unwrap();
            if replaced {
                fs::write(folder.path().join("other"), "a = 1\n").unwrap();
                fs::rename(folder.path().join("other"), &path).unwrap();
            } else {
                fs::write(&path, "a = 2\n").unwrap();
            }
            let before = fs::read(&path).unwrap();
            let error = file.replace("b = 2\n").unwrap_err();
            assert!(error.ends_with("changed while it was being edited; nothing was written; run the command again"));
            assert_eq!(fs::read(&path).unwrap(), before);
            drop(file);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_file_of_somebody_else_beside_it_stays() {
        let (folder, path) = place("a = 1\n");
        let taken = hidden(&path, &format!(".new-{}", std::process::id()));
        fs::write(&taken, "theirs").unwrap();
        let file = EditedFile::open(&path).unwrap();
        let error = file.replace("b = 2\n").unwrap_err();
        assert!(error.contains("File exists"), "{error}");
        drop(file);
        assert_eq!(fs::read_to_string(&taken).unwrap(), "theirs");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn two_edits_at_once_follow_each_other() {
        let (_folder, path) = place("");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let file = EditedFile::open(&path).unwrap();
                    file.replace(&format!("{}x", file.text())).unwrap();
                });
            }
        });
        assert_eq!(fs::read_to_string(&path).unwrap(), "xxxxxxxx");
    }

    #[test]
    fn what_is_no_text_file_cannot_be_edited() {
        let (folder, path) = place("");
        fs::write(&path, b"\xff").unwrap();
        let refused = |path: &Path| EditedFile::open(path).err().unwrap();
        assert!(refused(&path).ends_with("is not UTF-8 text: save it as UTF-8"));
        assert!(refused(folder.path()).ends_with("is a folder: name the file in it"));
        assert!(refused(Path::new("/dev/null")).ends_with("is no regular file, and cannot be edited"));
        assert!(refused(&folder.path().join("absent")).contains("No such file"));
    }
}
