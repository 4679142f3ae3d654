//! The archive: a file or a standard stream, compressed or not.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Read, Write};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use unix_common::report;

use crate::settings::Settings;

/// The size of the records that GNU's tar writes: the archive is filled up to it.
const RECORD: u64 = 20 * 512;

/// Opens the archive to read. It is restored if it is compressed.
pub(crate) fn open(settings: &Settings) -> Result<Box<dyn Read>, String> {
    let inner: Box<dyn Read> = if settings.file == "-" {
        if io::stdin().is_terminal() {
            return Err("Refusing to read archive contents from terminal (missing -f option?)".to_owned());
        }
        Box::new(io::stdin())
    } else {
        let file = File::open(&settings.file);
        Box::new(file.map_err(|error| format!("{}: Cannot open: {}", settings.file, report::words(&error)))?)
    };
    let mut reader = BufReader::with_capacity(1 << 16, inner);
    let start =
        reader.fill_buf().map_err(|error| format!("{}: Cannot read: {}", settings.file, report::words(&error)))?;
    // The least archive is one block.
    if !start.is_empty() && start.len() < 512 && !start.starts_with(&[0x1f, 0x8b]) && settings.file != "-" {
        return Ok(Box::new(reader.chain(io::repeat(b' ').take(512))));
    }
    let compressed = start.starts_with(&[0x1f, 0x8b]);
    Ok(if compressed { Box::new(BufReader::new(MultiGzDecoder::new(reader))) } else { Box::new(reader) })
}

/// An archive that is written.
pub(crate) enum Output {
    Plain(Counted<Box<dyn Write>>),
    Compressed(Box<Counted<GzEncoder<Box<dyn Write>>>>),
}

/// Counts what is written.
pub(crate) struct Counted<W> {
    inner: W,
    written: u64,
}

impl<W: Write> Counted<W> {
    fn fill_record(&mut self) -> io::Result<()> {
        let missing = self.written.next_multiple_of(RECORD) - self.written;
        self.inner.write_all(&vec![0; usize::try_from(missing).unwrap_or_default()])
    }
}

impl Output {
    /// Makes the archive.
    pub(crate) fn create(settings: &Settings) -> Result<Self, String> {
        let inner: Box<dyn Write> = if settings.file == "-" {
            if io::stdout().is_terminal() {
                return Err("Refusing to write archive contents to terminal (missing -f option?)".to_owned());
            }
            Box::new(BufWriter::with_capacity(1 << 16, io::stdout()))
        } else {
            let file = File::create(&settings.file);
            let file = file.map_err(|error| format!("{}: Cannot open: {}", settings.file, report::words(&error)))?;
            Box::new(BufWriter::with_capacity(1 << 16, file))
        };
        Ok(if settings.gzip {
            let encoder = GzEncoder::new(inner, Compression::default());
            Self::Compressed(Box::new(Counted { inner: encoder, written: 0 }))
        } else {
            Self::Plain(Counted { inner, written: 0 })
        })
    }

    /// Goes on with an archive of which so many bytes are there.
    pub(crate) fn append(file: File, written: u64) -> Self {
        Self::Plain(Counted { inner: Box::new(BufWriter::with_capacity(1 << 16, file)), written })
    }

    /// Fills the last record and ends the compression.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut plain) => {
                plain.fill_record()?;
                plain.inner.flush()
            }
            Self::Compressed(mut compressed) => {
                compressed.fill_record()?;
                compressed.inner.finish()?.flush()
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (length, written) = match self {
            Self::Plain(plain) => (plain.inner.write(bytes)?, &mut plain.written),
            Self::Compressed(compressed) => (compressed.inner.write(bytes)?, &mut compressed.written),
        };
        *written += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(plain) => plain.inner.flush(),
            Self::Compressed(compressed) => compressed.inner.flush(),
        }
    }
}

/// An error of the archive's contents, in GNU's words.
pub(crate) fn broken(error: &io::Error) -> String {
    let text = error.to_string();
    if text.contains("failed to read entire block")
        || text.contains("unexpected EOF")
        || error.kind() == io::ErrorKind::UnexpectedEof
    {
        "Unexpected EOF in archive".to_owned()
    } else if text.contains("cksum") || text.contains("header") || text.contains("numeric field") {
        "This does not look like a tar archive".to_owned()
    } else {
        report::words(error)
    }
}
