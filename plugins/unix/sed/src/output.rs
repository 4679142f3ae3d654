//! Where lines go: standard output, the file that is edited, and the files of `w`.

use std::fs::File;
use std::io::{self, BufWriter, Write};

/// A stream of lines. One without its newline gets it when another follows.
pub(crate) struct Output {
    inner: Box<dyn Write>,
    unended: bool,
    /// Nothing waits in a buffer after a line.
    immediate: bool,
}

impl Output {
    pub(crate) fn standard(immediate: bool) -> Self {
        Self::of(Box::new(BufWriter::with_capacity(1 << 16, io::stdout())), immediate)
    }

    pub(crate) fn file(file: File) -> Self {
        Self::of(Box::new(BufWriter::with_capacity(1 << 16, file)), false)
    }

    /// Opens a file of `w`: `/dev/stderr` is the stream, and a file is emptied.
    pub(crate) fn named(name: &str) -> io::Result<Self> {
        Ok(match name {
            "/dev/stderr" => Self::of(Box::new(io::stderr()), true),
            name => Self::of(Box::new(BufWriter::new(File::create(name)?)), true),
        })
    }

    fn of(inner: Box<dyn Write>, immediate: bool) -> Self {
        Self { inner, unended: false, immediate }
    }

    /// Writes a line, with its end or without.
    pub(crate) fn line(&mut self, text: &[u8], end: Option<u8>) -> io::Result<()> {
        self.text(text)?;
        match end {
            Some(end) => self.inner.write_all(&[end])?,
            None => self.unended = true,
        }
        if self.immediate { self.inner.flush() } else { Ok(()) }
    }

    /// Writes bytes that have their own end.
    pub(crate) fn text(&mut self, text: &[u8]) -> io::Result<()> {
        if std::mem::take(&mut self.unended) {
            self.inner.write_all(b"\n")?;
        }
        self.inner.write_all(text)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
