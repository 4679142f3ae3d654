//! Files of lines: appended to in whole lines, reopened when asked, and usable again once a full disk has room.
//!
//! Opened as sshd opens the file of its `-E`: appended to, created if it is missing, and links are followed, because
//! the folder is the operator's. Only the owner and the group of a new file may read it (mode 0640, less the umask).

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// The permissions of a new file: syslog daemons give theirs the same.
const MODE: u32 = 0o640;

/// Where lines go.
pub(crate) trait LineSink {
    /// Writes one line, which ends with a line feed.
    ///
    /// # Errors
    /// Nothing of the line was written, and nothing of it will be.
    fn write_line(&mut self, line: &[u8]) -> io::Result<()>;

    /// Writes the first of some lines, as many as are taken with one call of the system. Returns their bytes, the last
    /// line feed included: what is missing of the last of them will be written before anything else. 0 if nothing was
    /// written, and nothing will be.
    fn write_lines(&mut self, _lines: &[u8]) -> usize {
        0
    }

    /// Reopens the destination. `None` if this destination cannot be reopened.
    fn reopen(&mut self) -> Option<Result<(), LineFileError>> {
        None
    }

    /// The path of the destination, for the log.
    fn path(&self) -> &Path {
        Path::new("")
    }
}

/// Writes whole lines: what was not taken of a line is written before the next one.
pub(super) struct LineWriter<W> {
    out: W,
    /// The last line, if it was taken in part ...
    unfinished: Vec<u8>,
    /// ... and how many bytes of it were.
    taken: usize,
}

impl<W: Write> LineWriter<W> {
    pub(super) fn new(out: W) -> LineWriter<W> {
        LineWriter { out, unfinished: Vec::new(), taken: 0 }
    }

    /// Writes to `out` from now on, beginning with the unfinished line from its start. The old destination gets the end
    /// of a line, if it takes it.
    fn replace(&mut self, out: W) {
        if self.taken > 0 {
            let _ = write_some(&mut self.out, b"\n");
        }
        self.out = out;
        self.taken = 0;
    }

    /// Writes the rest of an unfinished line.
    fn finish(&mut self) -> io::Result<()> {
        while self.taken < self.unfinished.len() {
            self.taken += write_some(&mut self.out, &self.unfinished[self.taken..])?;
        }
        self.unfinished.clear();
        self.taken = 0;
        Ok(())
    }
}

impl<W: Write> LineSink for LineWriter<W> {
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.finish()?;
        let taken = write_some(&mut self.out, line)?;
        if taken < line.len() {
            self.unfinished.extend_from_slice(line);
            self.taken = taken;
            // Kept: the next line reports the error again, if it lasts.
            let _ = self.finish();
        }
        Ok(())
    }

    fn write_lines(&mut self, lines: &[u8]) -> usize {
        let Ok(taken) = self.finish().and_then(|()| write_some(&mut self.out, lines)) else { return 0 };
        let (before, rest) = lines.split_at(taken);
        if rest.is_empty() || before.ends_with(b"\n") {
            return taken;
        }
        let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| taken + end + 1);
        self.unfinished.extend_from_slice(&lines[begin..end]);
        self.taken = taken - begin;
        let _ = self.finish();
        end
    }
}

/// Writes at least one byte, and returns how many.
fn write_some(out: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// A file of lines.
pub(crate) struct LineFile {
    path: PathBuf,
    lines: LineWriter<File>,
}

/// Why a file of lines cannot be opened.
#[derive(Debug)]
pub(crate) struct LineFileError {
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for LineFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: cannot be opened for appending: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for LineFileError {}

impl LineFile {
    /// Opens a file, which is created if it is missing. Blocks on the disk, but never for the reader of a named pipe.
    ///
    /// # Errors
    /// The path and the reason.
    pub(crate) fn open(path: &Path) -> Result<LineFile, LineFileError> {
        let file = open(path)?;
        let mut lines = LineWriter::new(file);
        lines.unfinished.extend(missing_line_feed(path, &lines.out));
        Ok(LineFile { path: path.to_owned(), lines })
    }

    /// Writes the rest of a line that was taken in part.
    ///
    /// # Errors
    /// Some of it is still to be written.
    pub(crate) fn finish_line(&mut self) -> io::Result<()> {
        self.lines.finish()
    }

    /// What the system says of the open file.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        self.lines.out.metadata()
    }
}

impl LineSink for LineFile {
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.lines.write_line(line)
    }

    fn write_lines(&mut self, lines: &[u8]) -> usize {
        self.lines.write_lines(lines)
    }

    /// Opens the path again, after something else may have renamed the file. If that fails, the old file is kept.
    fn reopen(&mut self) -> Option<Result<(), LineFileError>> {
        let reopened = open(&self.path).map(|file| {
            // A new file gets the whole line; the same file gets a line feed first, then the whole line again.
            self.lines.replace(file);
            if !self.lines.unfinished.starts_with(b"\n") {
                self.lines.unfinished.splice(0..0, missing_line_feed(&self.path, &self.lines.out));
            }
        });
        Some(reopened)
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

fn open(path: &Path) -> Result<File, LineFileError> {
    // A named pipe without a reader is an error instead of a wait.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let opened = OpenOptions::new().append(true).create(true).mode(MODE).custom_flags(flags).open(path);
    let opened = opened.and_then(|file| {
        fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
        Ok(file)
    });
    opened.map_err(|error| LineFileError { path: path.to_owned(), error })
}

/// The line feed that a regular file lacks at its end, because whoever wrote it before has died in the middle of a
/// line. None if that cannot be read.
fn missing_line_feed(path: &Path, file: &File) -> Option<u8> {
    let length = file.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
    let mut last = [0];
    File::open(path).ok()?.read_exact_at(&mut last, length.checked_sub(1)?).ok()?;
    (last != *b"\n").then_some(b'\n')
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Takes as many bytes as each turn says; 0: the disk is full.
    #[derive(Default)]
    struct Disk {
        turns: VecDeque<usize>,
        written: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let most = self.turns.pop_front().unwrap_or(usize::MAX).min(bytes.len());
            if most == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.written.extend_from_slice(&bytes[..most]);
            Ok(most)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn full(lines: &mut LineWriter<Disk>, turns: &[usize]) {
        lines.out.turns.extend(turns);
    }

    #[test]
    fn a_line_that_was_written_in_part_is_finished_before_the_next() {
        let mut lines = LineWriter::new(Disk::default());
        full(&mut lines, &[2, 0, 0, 0, 1, 0]);
        lines.write_line(b"first\n").unwrap();
        assert_eq!(lines.write_line(b"lost\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(lines.write_line(b"lost\n").is_err() && lines.write_line(b"lost after a byte of the first\n").is_err());
        lines.write_line(b"second\n").unwrap();
        assert_eq!(String::from_utf8_lossy(&lines.out.written), "first\nsecond\n");
    }

    #[test]
    fn of_several_lines_the_last_that_was_written_in_part_is_finished_before_the_next() {
        for (turns, taken) in
            [(&[13][..], 13), (&[6], 6), (&[0], 0), (&[2], 6), (&[2, 0], 6), (&[9, 1, 0], 13), (&[9, 0, 0, 0, 3], 13)]
        {
            let (mut lines, text) = (LineWriter::new(Disk::default()), b"first\nsecond\n");
            full(&mut lines, turns);
            assert_eq!(lines.write_lines(text), taken, "{turns:?}");
            // The disk stays full for so many more lines.
            let lost = (0..9).take_while(|_| lines.write_line(b"next\n").is_err()).count();
            assert_eq!(lost, turns.len().saturating_sub(3), "{turns:?}");
            let written = [&text[..taken], b"next\n"].concat();
            assert_eq!(String::from_utf8_lossy(&lines.out.written), String::from_utf8_lossy(&written), "{turns:?}");
        }
    }

    #[test]
    fn a_line_that_was_written_in_part_is_an_error_for_whoever_asks_for_its_end() {
        let mut lines = LineWriter::new(Disk::default());
        full(&mut lines, &[2, 0, 0]);
        lines.write_line(b"first\n").unwrap();
        assert_eq!(lines.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
        lines.finish().unwrap();
        assert_eq!(String::from_utf8_lossy(&lines.out.written), "first\n");
    }

    #[test]
    fn a_new_destination_gets_the_unfinished_line_as_a_whole() {
        let mut lines = LineWriter::new(Disk::default());
        full(&mut lines, &[2, 0]);
        lines.write_line(b"first\n").unwrap();
        lines.replace(Disk::default());
        lines.write_line(b"second\n").unwrap();
        assert_eq!(String::from_utf8_lossy(&lines.out.written), "first\nsecond\n");
    }

    #[test]
    fn a_file_that_was_renamed_gets_no_more_lines_after_the_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
        let mut file = LineFile::open(&path).unwrap();
        file.write_line(b"one\n").unwrap();
        fs::rename(&path, &old).unwrap();
        file.write_line(b"two\n").unwrap();
        file.reopen().unwrap().unwrap();
        file.write_line(b"three\n").unwrap();
        assert_eq!((fs::read(&old).unwrap(), fs::read(&path).unwrap()), (b"one\ntwo\n".to_vec(), b"three\n".to_vec()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0, "others may not read it");
    }

    #[test]
    fn a_file_that_cannot_be_reopened_is_written_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut file = LineFile::open(&path).unwrap();
        fs::rename(&path, folder.path().join("log.1")).unwrap();
        fs::create_dir(&path).unwrap();
        let error = file.reopen().unwrap().unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()) && error.contains("Is a directory"), "{error}");
        file.write_line(b"on\n").unwrap();
        assert_eq!(fs::read(folder.path().join("log.1")).unwrap(), b"on\n");
    }

    #[test]
    fn half_a_line_of_a_writer_that_died_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "whole\nha").unwrap();
        let mut file = LineFile::open(&path).unwrap();
        file.write_line(b"next\n").unwrap();
        file.reopen().unwrap().unwrap();
        file.write_line(b"last\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole\nha\nnext\nlast\n");
    }

    #[test]
    fn what_cannot_be_a_log_file_is_refused_at_once_with_path_and_reason() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        for path in [pipe.as_path(), folder.path(), &folder.path().join("no/such/folder"), Path::new("")] {
            let error = LineFile::open(path).err().unwrap().to_string();
            assert!(error.starts_with(&format!("{}: cannot be opened for appending: ", path.display())), "{error}");
        }
    }

    #[test]
    fn a_full_disk_is_an_error_and_never_a_wait() {
        let mut file = LineFile::open(Path::new("/dev/full")).unwrap();
        assert_eq!(file.write_line(b"lost\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
