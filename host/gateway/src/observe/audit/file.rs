//! The audit in a file of its own: rotated by size and age, and opened anew when it is no longer where it was.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::sink::AuditSink;
use crate::observe::event::{ServerEvent, emit};
use crate::observe::logging::{LineFile, LineSink};

/// How long a file that cannot be renamed is written on before that is tried again.
const STUCK: Duration = Duration::from_secs(60);

/// The file of records, and its older ones: `FILE.1` is the newest of them.
pub(super) struct AuditFile {
    path: PathBuf,
    /// The most bytes of it. 0: it is not rotated by its size.
    size: u64,
    /// How many older ones there are.
    keep: u32,
    /// How old it may become. 0: it is not rotated by its age.
    age: Duration,
    /// None after it could not be opened.
    open: Option<LineFile>,
    /// When it could not be renamed, which was told.
    stuck: Option<Instant>,
    /// A record was taken in part: it is finished before anything else is written.
    is_unfinished: bool,
}

impl AuditFile {
    /// Opens the file, and says why not if it cannot be. It is tried again with each record.
    pub(super) fn open(path: &Path, size: u64, keep: u32, age: Duration) -> (AuditFile, Option<String>) {
        let mut file =
            AuditFile { path: path.to_owned(), size, keep, age, open: None, stuck: None, is_unfinished: false };
        let problem = file.current().err().map(|error| error.to_string());
        (file, problem)
    }

    /// The file at the path now, and what the system says of it.
    fn current(&mut self) -> io::Result<(&mut LineFile, Metadata)> {
        let there = fs::metadata(&self.path).ok();
        let is_there = |file: &LineFile| {
            let ours = file.metadata().ok();
            let identity = |metadata: &Metadata| (metadata.dev(), metadata.ino());
            ours.as_ref().map(identity) == there.as_ref().map(identity)
        };
        match &mut self.open {
            // It keeps the rest of a record that was taken in part.
            Some(file) if !is_there(file) => file.reopen().unwrap_or(Ok(())).map_err(io::Error::other)?,
            Some(_) => {}
            None => self.open = Some(LineFile::open(&self.path).map_err(io::Error::other)?),
        }
        let file = self.open.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let metadata = file.metadata()?;
        Ok((file, metadata))
    }

    /// Renames the file and its older ones. A next write makes a new one. What failed is tried again in a minute.
    fn rotate(&mut self) {
        if self.stuck.is_some_and(|since| since.elapsed() < STUCK) {
            return;
        }
        let renamed = self.rename_all();
        if let (Err(error), None) = (&renamed, self.stuck) {
            emit(ServerEvent::AuditNotRotated { file: &self.path.display().to_string(), error });
        }
        self.stuck = renamed.err().map(|_| Instant::now());
    }

    /// Moves no older file before it is known that this one can be renamed, and none onto one that stays.
    fn rename_all(&self) -> io::Result<()> {
        let aside = self.beside("new");
        // One of a process that ended in between goes first.
        if !aside.try_exists()? {
            fs::rename(&self.path, &aside)?;
        }
        let moved =
            (1..self.keep).rev().try_for_each(|number| match fs::rename(self.older(number), self.older(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            });
        moved.and_then(|()| fs::rename(&aside, self.older(1))).inspect_err(|_| {
            if let Ok(false) = self.path.try_exists() {
                // If this fails, too, it is the first of the next rotation.
                let _ = fs::rename(&aside, &self.path);
            }
        })
    }

    fn older(&self, number: u32) -> PathBuf {
        self.beside(&number.to_string())
    }

    fn beside(&self, end: &str) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(".");
        name.push(end);
        name.into()
    }
}

impl AuditSink for AuditFile {
    fn write(&mut self, _: &str, line: &[u8]) -> io::Result<()> {
        let (size, age) = (self.size, self.age);
        if !self.is_unfinished {
            let (_, metadata) = self.current()?;
            if is_due(&metadata, line.len() as u64, (size, age), SystemTime::now()) {
                self.rotate();
            }
            let (file, _) = self.current()?;
            file.write_line(line)?;
            self.is_unfinished = true;
        }
        // A record that was taken in part is not written yet. It comes again, and only its rest is written then.
        let (file, _) = self.current()?;
        file.finish_line()?;
        self.is_unfinished = false;
        Ok(())
    }

    fn reopen(&mut self) {
        // A file that cannot be opened anew is kept until the next record, which says why.
        if let Some(Err(_)) = self.open.as_mut().and_then(LineSink::reopen) {
            let _ = self.current();
        }
    }
}

/// Whether a file has to be rotated before `more` bytes are written to it.
fn is_due(file: &Metadata, more: u64, (size, age): (u64, Duration), now: SystemTime) -> bool {
    if !file.is_file() || file.len() == 0 {
        return false;
    }
    let made = file.created().or_else(|_| file.modified());
    let is_old = || made.ok().and_then(|made| now.duration_since(made).ok()).is_some_and(|old| old > age);
    (size > 0 && file.len().saturating_add(more) > size) || (!age.is_zero() && is_old())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path, size: u64, keep: u32) -> AuditFile {
        let (file, problem) = AuditFile::open(path, size, keep, Duration::ZERO);
        assert_eq!(problem, None);
        file
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn a_file_that_would_become_too_long_is_renamed_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        let mut file = open(&path, 10, 2);
        for line in ["one\n", "two\n", "three\n", "four\n", "a line that is longer than the file may be\n", "six\n"] {
            file.write("", line.as_bytes()).unwrap();
        }
        let older = |number| text(&file.older(number));
        assert_eq!(
            (text(&path).as_str(), older(1).as_str()),
            ("six\n", "a line that is longer than the file may be\n")
        );
        assert_eq!((older(2).as_str(), older(3).as_str()), ("three\nfour\n".split_at(6).1, ""));
    }

    #[test]
    fn a_file_is_renamed_when_it_is_too_old() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        fs::write(&path, "x\n").unwrap();
        let (metadata, day) = (fs::metadata(&path).unwrap(), Duration::from_secs(86_400));
        let now = SystemTime::now();
        let is_due = |age, later| is_due(&metadata, 1, (0, age), now + later);
        assert!(!is_due(day, day / 2) && is_due(day, day * 2) && !is_due(Duration::ZERO, day * 2));
        // The clock was set back.
        assert!(!super::is_due(&metadata, 1, (0, day), now - day * 2));
    }

    /// O10: the folder vanishes with the file, comes back, and is written to again.
    #[test]
    fn a_file_that_vanished_with_its_folder_is_an_error_until_it_can_be_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let (place, path) = (folder.path().join("place"), folder.path().join("place/audit"));
        fs::create_dir(&place).unwrap();
        let mut file = open(&path, 0, 1);
        file.write("", b"one\n").unwrap();
        fs::remove_dir_all(&place).unwrap();
        let error = file.write("", b"two\n").unwrap_err().to_string();
        assert!(error.contains("place/audit: cannot be opened"), "{error}");
        fs::create_dir(&place).unwrap();
        file.write("", b"two\n").unwrap();
        assert_eq!(text(&path), "two\n");
        // Something else has renamed it.
        fs::rename(&path, place.join("audit.old")).unwrap();
        file.write("", b"three\n").unwrap();
        assert_eq!((text(&path).as_str(), text(&place.join("audit.old")).as_str()), ("three\n", "two\n"));
    }

    /// O12: half a line of a process that was killed is followed by a new line.
    #[test]
    fn half_a_line_of_a_process_that_was_killed_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        fs::write(&path, "{\"a\":1}\n{\"b\":").unwrap();
        open(&path, 0, 1).write("", b"{}\n").unwrap();
        assert_eq!(text(&path), "{\"a\":1}\n{\"b\":\n{}\n");
    }

    #[test]
    fn a_file_that_cannot_be_renamed_is_written_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        fs::create_dir(folder.path().join("audit.1")).unwrap();
        fs::write(folder.path().join("audit.1/other"), "").unwrap();
        let mut file = open(&path, 5, 1);
        file.write("", b"one\n").unwrap();
        file.write("", b"two\n").unwrap();
        assert_eq!((text(&path).as_str(), file.stuck.is_some()), ("one\ntwo\n", true));
    }

    #[test]
    fn a_rotation_that_fails_destroys_no_older_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        let mut file = open(&path, 5, 3);
        ["one\n", "two\n", "three\n"].iter().for_each(|line| file.write("", line.as_bytes()).unwrap());
        // What stands in the way of the newest older file.
        let (first, second, kept) = (file.older(1), file.older(2), folder.path().join("kept"));
        fs::rename(&second, &kept).unwrap();
        fs::create_dir_all(file.older(3).join("in use")).unwrap();
        fs::rename(&kept, &second).unwrap();
        for line in ["four\n", "five\n", "six\n"] {
            file.stuck = None;
            file.write("", line.as_bytes()).unwrap();
        }
        assert_eq!((text(&first).as_str(), text(&second).as_str()), ("two\n", "one\n"));
        assert_eq!((text(&path).as_str(), file.stuck.is_some()), ("three\nfour\nfive\nsix\n", true));
        fs::remove_dir_all(file.older(3)).unwrap();
        file.write("", b"seven\n").unwrap();
        assert_eq!(text(&first), "two\n", "it is tried again in a minute");
        file.stuck = None;
        file.write("", b"eight\n").unwrap();
        assert_eq!([1, 2, 3].map(|number| text(&file.older(number)).len()), [26, 4, 4]);
        assert_eq!(text(&path), "eight\n");
    }

    /// O8.
    #[test]
    fn a_full_disk_is_an_error_that_names_it() {
        let mut file = open(Path::new("/dev/full"), 10, 1);
        assert_eq!(file.write("", b"lost\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
