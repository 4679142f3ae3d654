//! The lines of the input files.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};

use unix_common::report;

/// The input files, one after another, or one alone.
pub(crate) struct Input {
    files: VecDeque<String>,
    current: Option<BufReader<Box<dyn Read>>>,
    /// The name of the file that is read; `-` for standard input.
    pub(crate) name: String,
    pub(crate) line: u64,
    terminator: u8,
    /// Each file has its own last line.
    separate: bool,
    /// Whether a file could not be read.
    pub(crate) failed: bool,
    /// The error that ends the input.
    pub(crate) failure: Option<String>,
}

/// A line, and whether it ended in a newline.
pub(crate) struct Line {
    pub(crate) text: Vec<u8>,
    pub(crate) ended: bool,
}

impl Input {
    pub(crate) fn new(files: &[String], terminator: u8, separate: bool) -> Self {
        let files = files.iter().cloned().collect();
        Self { files, current: None, name: "-".to_owned(), line: 0, terminator, separate, failed: false, failure: None }
    }

    /// Opens the next file that can be read. False if there is none.
    fn open_next(&mut self) -> bool {
        while let Some(name) = self.files.pop_front() {
            let opened: io::Result<Box<dyn Read>> = if name == "-" {
                Ok(Box::new(io::stdin()))
            } else if fs::metadata(&name).is_ok_and(|found| found.is_dir()) {
                self.failure = Some(format!("read error on {name}: Is a directory"));
                return false;
            } else {
                File::open(&name).map(|file| Box::new(file) as Box<dyn Read>)
            };
            match opened {
                Ok(reader) => {
                    self.current = Some(BufReader::with_capacity(1 << 16, reader));
                    self.name = name;
                    return true;
                }
                Err(error) => {
                    self.failed = true;
                    report::error(&format!("can't read {name}: {}", report::words(&error)));
                }
            }
        }
        false
    }

    /// Whether the current file has more. An error of reading is its end.
    fn has_more(&mut self) -> bool {
        let Some(current) = &mut self.current else {
            return false;
        };
        match current.fill_buf() {
            Ok(buffer) => !buffer.is_empty(),
            Err(error) => {
                self.failure = Some(format!("read error on {}: {}", self.name, report::words(&error)));
                self.files.clear();
                false
            }
        }
    }

    /// Whether there is no further line; of this file, where each is separate.
    pub(crate) fn is_last(&mut self) -> bool {
        loop {
            if self.has_more() {
                return false;
            }
            if self.current.is_some() && self.separate {
                return true;
            }
            if !self.open_next() {
                return true;
            }
        }
    }

    /// Begins the next of the separate files. False if there is none.
    pub(crate) fn next_file(&mut self) -> bool {
        self.current = None;
        self.open_next()
    }

    /// The next line.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<Line>> {
        if self.is_last() {
            return Ok(None);
        }
        let mut text = Vec::new();
        if let Some(current) = &mut self.current {
            current.read_until(self.terminator, &mut text)?;
        }
        self.line += 1;
        let ended = text.last() == Some(&self.terminator);
        if ended {
            text.pop();
        }
        Ok(Some(Line { text, ended }))
    }
}
