//! Standard streams and files under Unix.

use std::io::{self, Read, Stdin, Stdout, Write};

use sftp::NativeFiles;

/// The most bytes of one read.
const PIECE: usize = 256 << 10;

/// Standard input.
pub(super) struct Input {
    stdin: Stdin,
    piece: Vec<u8>,
}

/// Standard output.
pub(super) struct Output(Stdout);

impl Input {
    pub(super) fn new() -> Self {
        Self { stdin: io::stdin(), piece: vec![0; PIECE] }
    }

    /// The next bytes; none at the end.
    pub(super) fn read(&mut self) -> io::Result<&[u8]> {
        let length = self.stdin.read(&mut self.piece)?;
        Ok(&self.piece[..length])
    }
}

impl Output {
    pub(super) fn new() -> Self {
        Self(io::stdout())
    }

    /// Writes all of it.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.0.write_all(bytes)?;
        self.0.flush()
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
