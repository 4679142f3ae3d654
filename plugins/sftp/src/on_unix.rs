//! Standard streams and files under Unix.

use std::io;

use rustix::io::{read, retry_on_intr, write};
use rustix::stdio::{stdin, stdout};
use sftp::NativeFiles;

/// The most bytes of one read.
const READ_SIZE: usize = 256 << 10;

/// Standard input.
pub(super) struct Input {
    piece: Vec<u8>,
}

/// Standard output, without the line buffer of Rust's library.
pub(super) struct Output;

impl Input {
    pub(super) fn new() -> Self {
        Self { piece: vec![0; READ_SIZE] }
    }

    /// The next bytes; none at the end.
    pub(super) fn read(&mut self) -> io::Result<&[u8]> {
        let length = retry_on_intr(|| read(stdin(), &mut self.piece))?;
        Ok(&self.piece[..length])
    }
}

impl Output {
    pub(super) fn new() -> Self {
        Self
    }

    /// Writes all of it.
    #[expect(clippy::unused_self, reason = "elsewhere it holds a stream")]
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            bytes = &bytes[retry_on_intr(|| write(stdout(), bytes))?..];
        }
        Ok(())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "elsewhere there may be no files")]
pub(super) fn files() -> io::Result<NativeFiles> {
    Ok(NativeFiles::default())
}

/// The working directory.
pub(super) fn directory() -> Option<String> {
    std::env::current_dir().ok()?.into_os_string().into_string().ok()
}
