//! Reads recordings: asciicast of version 2 or 3, of ours or of others.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

/// The longest line. The longest that we write has about 400 KiB.
const LONGEST: u64 = 8 << 20;
/// The longest time of an event: beyond it the file is damaged.
const LONGEST_TIME: f64 = 1e9;

/// The lines of a recording.
pub(crate) struct CastReader {
    path: PathBuf,
    file: BufReader<File>,
    line: Vec<u8>,
    /// The number of the line.
    number: u64,
    version: u64,
    /// The time of the last event.
    at: Duration,
}

/// What the first line says.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct CastIntroduction {
    version: u64,
    #[serde(default)]
    width: u32,
    #[serde(default)]
    height: u32,
    #[serde(default)]
    term: Option<CastTerminal>,
    #[serde(default)]
    pub(crate) title: Option<String>,
    #[serde(default)]
    pub(super) whelk: Option<RecordedName>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct CastTerminal {
    cols: u32,
    rows: u32,
}

/// What our own header says of the session.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct RecordedName {
    #[serde(default)]
    pub(super) hmac: bool,
    /// What the digests are made with, unless they are SHA-256.
    #[serde(default)]
    pub(super) hash: Option<String>,
}

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CastEvent {
    /// Since the beginning.
    pub(crate) at: Duration,
    pub(crate) code: String,
    pub(crate) data: String,
}

impl CastIntroduction {
    /// The columns and rows of the terminal at the beginning.
    pub(crate) fn size(&self) -> (u32, u32) {
        self.term.as_ref().map_or((self.width, self.height), |term| (term.cols, term.rows))
    }
}

impl CastReader {
    /// Opens a recording, and reads its first line.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub(crate) fn open(path: &Path) -> Result<(CastReader, CastIntroduction), String> {
        let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let (path, file, at) = (path.to_owned(), BufReader::new(file), Duration::ZERO);
        let mut reader = CastReader { path, file, line: Vec::new(), number: 0, version: 0, at };
        if !reader.next_line()? {
            return Err(reader.wrong("is empty"));
        }
        let introduction: CastIntroduction = serde_json::from_slice(&reader.line)
            .map_err(|error| reader.wrong(&format!("is no recording, whose first line is an object: {error}")))?;
        reader.version = introduction.version;
        match introduction.version {
            2 | 3 => Ok((reader, introduction)),
            other => Err(reader.wrong(&format!("is asciicast of version {other}: 2 and 3 can be played"))),
        }
    }

    /// The next event, or none at the end.
    ///
    /// # Errors
    /// A line is no event.
    pub(crate) fn next_event(&mut self) -> Result<Option<CastEvent>, String> {
        while self.next_line()? {
            if let Some(event) = self.event()? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Reads the next line, with its end. False if there is none.
    pub(super) fn next_line(&mut self) -> Result<bool, String> {
        self.line.clear();
        self.number += 1;
        let mut limited = (&mut self.file).take(LONGEST);
        let read = limited.read_until(b'\n', &mut self.line);
        match read {
            Err(error) => Err(self.wrong(&error.to_string())),
            Ok(0) => Ok(false),
            Ok(read) if read as u64 == LONGEST && self.line.last() != Some(&b'\n') => {
                Err(self.wrong(&format!("is longer than {LONGEST} bytes: this is no recording")))
            }
            Ok(_) => Ok(true),
        }
    }

    /// The line that was read last.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// The event of that line; none if it is empty or a remark.
    pub(super) fn event(&mut self) -> Result<Option<CastEvent>, String> {
        let line = self.line.trim_ascii();
        if line.is_empty() || (self.version == 3 && line.starts_with(b"#")) {
            return Ok(None);
        }
        let parsed: Result<(f64, String, String), _> = serde_json::from_slice(line);
        let (time, code, data) = parsed.map_err(|error| self.wrong(&format!("is no event: {error}")))?;
        if !(0.0..LONGEST_TIME).contains(&time) {
            return Err(self.wrong(&format!("has the time {time}, which no event has")));
        }
        let time = Duration::from_secs_f64(time);
        self.at = if self.version == 3 { self.at.saturating_add(time) } else { time };
        Ok(Some(CastEvent { at: self.at, code, data }))
    }

    /// An error with its place.
    pub(super) fn wrong(&self, what: &str) -> String {
        format!("{}:{}: {what}", self.path.display(), self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A size, and events: milliseconds, code and data.
    type Contents = ((u32, u32), Vec<(u64, String, String)>);

    /// The contents of a file with this text.
    fn read(text: &str) -> Result<Contents, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.cast");
        std::fs::write(&path, text).unwrap();
        let (mut reader, introduction) = CastReader::open(&path)?;
        let mut events = Vec::new();
        while let Some(CastEvent { at, code, data }) = reader.next_event()? {
            events.push((u64::try_from(at.as_millis()).unwrap(), code, data));
        }
        Ok((introduction.size(), events))
    }

    #[test]
    fn both_versions_are_read_and_other_lines_are_errors_with_their_place() {
        let event = |at, code: &str, data: &str| (at, code.to_owned(), data.to_owned());
        let v2 = "{\"version\": 2, \"width\": 80, \"height\": 24}\n[0.5, \"o\", \"a\\u001b\"]\n\n[1, \"h\", \"x\"]";
        assert_eq!(read(v2), Ok(((80, 24), vec![event(500, "o", "a\u{1b}"), event(1_000, "h", "x")])));
        let v3 =
            "{\"version\":3,\"term\":{\"cols\":90,\"rows\":30}}\n# remark\n[0.5,\"o\",\"a\"]\n[0.25,\"r\",\"1x1\"]\n";
        assert_eq!(read(v3), Ok(((90, 30), vec![event(500, "o", "a"), event(750, "r", "1x1")])));
        for (text, what) in [
            ("", "x.cast:1: is empty"),
            ("plain text\n", "x.cast:1: is no recording, whose first line is an object"),
            ("{\"version\":1}\n", "x.cast:1: is asciicast of version 1: 2 and 3 can be played"),
            ("{\"version\":2}\n[1]\n", "x.cast:2: is no event"),
            ("{\"version\":2}\n\n[-1,\"o\",\"\"]\n", "x.cast:3: has the time -1, which no event has"),
            ("{\"version\":2}\n# remark\n", "x.cast:2: is no event"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(what), "{text}: {said}");
        }
        let endless = "[".repeat(usize::try_from(LONGEST).unwrap() + 1);
        assert!(read(&endless).unwrap_err().contains("is longer than"));
    }
}
