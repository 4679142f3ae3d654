//! The lines of a patch, and where reading is.

use std::io::{self, Read};

use unix_common::report;

use crate::error::PatchError;

/// The patch as lines with their ends.
pub(crate) struct Input {
    lines: Vec<Vec<u8>>,
    /// The line that is read next, from 0 on.
    pub(crate) at: usize,
    /// The last line has no end, and nobody was told.
    cut: bool,
}

impl Input {
    /// Reads all of a file, or of the standard input.
    pub(crate) fn read(name: &str) -> Result<Self, PatchError> {
        let mut bytes = Vec::new();
        let read = if name == "-" {
            io::stdin().read_to_end(&mut bytes).map(|_| ())
        } else {
            std::fs::read(name).map(|read| bytes = read)
        };
        let failed = |error: io::Error| PatchError(format!("Can't open patch file {name} : {}", report::words(&error)));
        read.map_err(failed)?;
        Ok(Self::new(&bytes))
    }

    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut lines = split(bytes);
        let last = lines.last_mut().filter(|line| !line.ends_with(b"\n"));
        let cut = last.is_some();
        if let Some(last) = last {
            last.push(b'\n');
        }
        Self { lines, at: 0, cut }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// A line; none behind the last one.
    pub(crate) fn line(&self, index: usize) -> Option<&[u8]> {
        self.lines.get(index).map(Vec::as_slice)
    }

    /// The next line.
    pub(crate) fn peek(&self) -> Option<&[u8]> {
        self.line(self.at)
    }

    /// Whether a last line without an end was read. True once.
    pub(crate) fn was_cut(&mut self) -> bool {
        self.at >= self.lines.len() && std::mem::take(&mut self.cut)
    }

    /// Takes the next line.
    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
        let line = self.peek()?.to_vec();
        self.at += 1;
        Some(line)
    }

    /// Removes the carriage returns at the ends of lines from here on.
    pub(crate) fn strip_returns(&mut self, from: usize) {
        for line in self.lines.iter_mut().skip(from) {
            if line.ends_with(b"\r\n") {
                line.truncate(line.len() - 2);
                line.push(b'\n');
            }
        }
    }
}

/// The lines of a text with their ends.
pub(crate) fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// A line as text without its end.
pub(crate) fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line)).into_owned()
}
