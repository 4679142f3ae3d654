//! The file of one recording.
//!
//! It is opened for each piece that is written, so that thousands of recordings take no descriptors, and a folder that
//! has vanished, a file that was replaced and one that somebody else has written to are noticed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, OFlags, fallocate};

use super::cast::{CastHeader, CastLines};
use super::digest::{self, RecordingEnd, RecordingKey, RunningDigest};
use super::json::PendingLines;
use crate::config::{RecordingFormat, RecordingHash};
use crate::state::State;

/// Room that is kept below the size of a recording for its last lines.
const RESERVE: u64 = 16 << 10;

/// A write of at least this many bytes reserves disk blocks ahead ...
const FAST: usize = 64 << 10;
/// ... as many as the recording has, and no more than this. Written to reserved blocks, 119 MB took 14 ms of the
/// kernel instead of 25 (ext4).
const AHEAD: u64 = 4 << 20;

/// A recording that is being written.
pub(super) struct RecordingFile {
    path: PathBuf,
    /// The device and the inode of the file.
    identity: (u64, u64),
    digest: RunningDigest,
    lines: CastLines,
    pending: PendingLines,
    /// Blocks are reserved up to this length.
    reserved: u64,
    key: Option<Arc<RecordingKey>>,
    /// Most bytes.
    size: u64,
}

/// What a recording is made with.
pub(super) struct RecordingPlan {
    pub(super) folder: PathBuf,
    /// It is below the state folder, and made if it is not there.
    pub(super) is_private: bool,
    /// Without its ending.
    pub(super) name: String,
    pub(super) format: RecordingFormat,
    pub(super) hash: RecordingHash,
    pub(super) key: Option<Arc<RecordingKey>>,
    /// Most bytes.
    pub(super) size: u64,
}

impl RecordingFile {
    /// Makes the file, with its first line. Mode 0600; a file that is there is never written to.
    pub(super) fn create(plan: RecordingPlan, header: &CastHeader) -> io::Result<RecordingFile> {
        if plan.is_private {
            State::made(plan.folder.clone()).map_err(io::Error::other)?;
        }
        let path = plan.folder.join(format!("{}.cast", plan.name));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let facts = file.metadata()?;
        let lines = CastLines::new(plan.format);
        let first = lines.header(header);
        let mut recording = RecordingFile {
            path,
            identity: (facts.dev(), facts.ino()),
            digest: RunningDigest::new(plan.hash),
            lines,
            pending: PendingLines::default(),
            reserved: 0,
            key: plan.key,
            size: plan.size,
        };
        file.write_all(&first).inspect_err(|_| {
            // The error is told; a file that cannot be removed stays, without a whole line.
            let _ = std::fs::remove_file(&recording.path);
        })?;
        recording.digest.update(&first);
        Ok(recording)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What was written.
    pub(super) fn digest(&self) -> &RunningDigest {
        &self.digest
    }

    /// Adds an event, which [`write`](Self::write) writes. `at`: microseconds since the beginning. False if there is no
    /// room for it within the size; then nothing changes.
    #[must_use]
    pub(super) fn add(&mut self, at: u64, code: &str, data: &str) -> bool {
        let (length, lines) = (self.pending.bytes().len(), self.lines.clone());
        self.lines.event(&mut self.pending, at, code, data);
        let fits = self.end() <= self.size.saturating_sub(RESERVE);
        if !fits {
            self.pending.truncate(length);
            self.lines = lines;
        }
        fits
    }

    /// Writes the events that were added: all of them or none.
    pub(super) fn write(&mut self) -> io::Result<()> {
        if self.pending.bytes().is_empty() {
            return Ok(());
        }
        let written = self.append();
        if written.is_ok() {
            self.digest.update(self.pending.bytes());
        }
        self.pending.clear();
        written
    }

    /// Adds a record of the digest of everything before it.
    pub(super) fn write_record(&mut self, at: u64, end: Option<RecordingEnd>) -> io::Result<()> {
        self.write()?;
        let record = self.digest.record(self.key.as_deref(), end);
        let data = serde_json::to_string(&record).map_err(io::Error::other)?;
        // It has room beyond what events may take.
        self.lines.event(&mut self.pending, at, digest::CODE, &data);
        self.write()?;
        if record.end.is_some() && self.reserved > self.digest.bytes() {
            // Frees what was reserved. A file that cannot be opened any more keeps it.
            let _ = self.open().and_then(|file| file.set_len(self.digest.bytes()));
        }
        Ok(())
    }

    /// How many bytes the file has with the events that were added.
    fn end(&self) -> u64 {
        self.digest.bytes() + self.pending.bytes().len() as u64
    }

    fn append(&mut self) -> io::Result<()> {
        let mut file = self.open()?;
        let (written, end) = (self.digest.bytes(), self.end());
        if self.pending.bytes().len() >= FAST && end > self.reserved {
            self.reserved = (end + end.min(AHEAD)).min(self.size);
            // Some file systems cannot, and then writing costs more. A full disk is noticed when it is written to.
            let _ = fallocate(&file, FallocateFlags::KEEP_SIZE, written, self.reserved - written);
        }
        file.write_all(self.pending.bytes()).inspect_err(|_| {
            // Whole lines alone stay. Whether that works shows when the recording is verified.
            let _ = file.set_len(written);
        })
    }

    /// The file, if it is still the one that was made, with what was written to it.
    fn open(&self) -> io::Result<File> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits();
        let flags = i32::try_from(flags).map_err(io::Error::other)?;
        let file = OpenOptions::new().append(true).custom_flags(flags).open(&self.path)?;
        let facts = file.metadata()?;
        if (facts.dev(), facts.ino()) != self.identity {
            return Err(io::Error::other("another file is in the place of the recording"));
        }
        if facts.len() != self.digest.bytes() {
            let (is, was) = (facts.len(), self.digest.bytes());
            return Err(io::Error::other(format!("the file has {is} bytes, and whelk has written {was}")));
        }
        Ok(file)
    }
}

/// A name as a part of a file name: other characters than letters, digits, `.`, `-` and `_` become `_`, and at most 64
/// bytes are kept.
pub(super) fn safe_name(name: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    name.chars().take(64).map(|character| if is_plain(character) { character } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn plan(folder: &Path) -> RecordingPlan {
        let (folder, name, format) = (folder.to_owned(), "x".to_owned(), RecordingFormat::V2);
        let hash = RecordingHash::Blake3;
        RecordingPlan { folder, is_private: false, name, format, hash, key: None, size: 64 << 10 }
    }

    fn made(folder: &Path) -> RecordingFile {
        RecordingFile::create(plan(folder), &CastHeader::default()).unwrap()
    }

    fn text(file: &RecordingFile) -> String {
        fs::read_to_string(file.path()).unwrap()
    }

    #[test]
    fn a_file_is_the_owners_alone_and_replaces_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = made(folder.path());
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o7777, 0o600);
        let again = RecordingFile::create(plan(folder.path()), &CastHeader::default());
        assert_eq!(again.err().map(|error| error.kind()), Some(io::ErrorKind::AlreadyExists));
        assert!(file.add(1, "o", "a"));
        file.write().unwrap();
        file.write_record(2, None).unwrap();
        let text = text(&file);
        assert_eq!((text.lines().count(), text.len() as u64), (3, file.digest().bytes()));
    }

    #[test]
    fn a_file_that_is_gone_replaced_or_changed_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let casts = folder.path().join("casts");
        for (what, change) in [
            ("No such file", (|path: &Path| fs::remove_dir_all(path.parent().unwrap()).unwrap()) as fn(&Path)),
            ("another file is in the place", |path| {
                fs::copy(path, path.with_extension("new")).unwrap();
                fs::rename(path.with_extension("new"), path).unwrap();
            }),
            ("and whelk has written", |path| fs::write(path, "[0, \"o\", \"x\"]\n").unwrap()),
        ] {
            fs::create_dir(&casts).unwrap();
            let mut file = made(&casts);
            change(file.path());
            assert!(file.add(1, "o", "a"));
            let error = file.write().unwrap_err().to_string();
            assert!(error.contains(what), "{what}: {error}");
            let _ = fs::remove_dir_all(&casts);
        }
    }

    #[test]
    fn events_fit_until_the_size_is_reached_but_for_the_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = made(folder.path());
        let data = "x".repeat(40 << 10);
        assert!(file.add(1, "o", &data));
        file.write().unwrap();
        assert!(!file.add(2, "o", &data));
        assert!(file.add(2, "o", "x"));
        file.write_record(3, Some(RecordingEnd::default())).unwrap();
        assert!(file.digest().bytes() < 64 << 10 && text(&file).ends_with("]\n"));
    }

    #[test]
    fn what_is_reserved_for_a_fast_recording_is_freed_at_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let other = File::create(folder.path().join("other")).unwrap();
        let can_reserve = fallocate(other, FallocateFlags::KEEP_SIZE, 0, AHEAD).is_ok();
        let mut file =
            RecordingFile::create(RecordingPlan { size: 4 * AHEAD, ..plan(folder.path()) }, &CastHeader::default())
                .unwrap();
        // Beyond what is in the file.
        let reserved = |file: &RecordingFile| {
            let facts = fs::metadata(file.path()).unwrap();
            assert_eq!(facts.len(), file.digest().bytes());
            (facts.blocks() * 512).saturating_sub(facts.len())
        };
        let few = 64 << 10;
        let data = "x".repeat(FAST);
        for at in 0..AHEAD / FAST as u64 / 2 {
            assert!(file.add(at, "o", &data));
            file.write().unwrap();
            assert!(reserved(&file) <= file.digest().bytes() + few, "{}", reserved(&file));
        }
        assert!(reserved(&file) > few || !can_reserve, "{}", reserved(&file));
        file.write_record(1_000, Some(RecordingEnd::default())).unwrap();
        assert!(reserved(&file) <= few, "{}", reserved(&file));
    }

    #[test]
    fn a_name_of_a_user_leads_to_no_other_folder() {
        assert_eq!(safe_name("../a b/\u{e9}\u{1b}"), ".._a_b___");
        assert_eq!(safe_name(&"a".repeat(100)).len(), 64);
    }
}
