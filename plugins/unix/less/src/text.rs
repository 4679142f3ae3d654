//! The lines of a text, which are read as they are needed.

use std::io::{self, BufRead, BufReader, Read};

/// A text and its name.
pub(crate) struct Text {
    pub(crate) name: String,
    reader: Option<BufReader<Box<dyn Read>>>,
    lines: Vec<Vec<u8>>,
}

impl Text {
    pub(crate) fn new(name: &str, reader: Box<dyn Read>) -> Self {
        Self { name: name.to_owned(), reader: Some(BufReader::with_capacity(1 << 16, reader)), lines: Vec::new() }
    }

    /// Reads until there are more lines than this number, or no more.
    fn read_to(&mut self, number: usize) -> io::Result<()> {
        while self.lines.len() <= number
            && let Some(reader) = &mut self.reader
        {
            let mut line = Vec::new();
            if reader.read_until(b'\n', &mut line)? == 0 {
                self.reader = None;
                break;
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            self.lines.push(line);
        }
        Ok(())
    }

    /// A line, from 0 on.
    pub(crate) fn line(&mut self, number: usize) -> io::Result<Option<&[u8]>> {
        self.read_to(number)?;
        Ok(self.lines.get(number).map(Vec::as_slice))
    }

    /// How many lines there are. Reads all.
    pub(crate) fn count(&mut self) -> io::Result<usize> {
        self.read_to(usize::MAX - 1)?;
        Ok(self.lines.len())
    }
}
