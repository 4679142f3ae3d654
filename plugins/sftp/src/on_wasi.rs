//! Standard streams and files in the sandbox: WASI 0.2, without the buffers of Rust's library.

mod files;

use std::error::Error;
use std::io;

use wasip2::cli::environment::initial_cwd;
use wasip2::cli::stdin::get_stdin;
use wasip2::cli::stdout::get_stdout;
use wasip2::io::poll::Pollable;
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

use files::SandboxFiles;

/// The most bytes of one read. The host gives 64 KiB or fewer.
const PIECE: u64 = 256 << 10;

/// Standard input.
pub(super) struct Input {
    stream: InputStream,
    piece: Vec<u8>,
}

/// Standard output. Field order: WASI wants the pollable dropped before its stream.
pub(super) struct Output {
    has_room: Pollable,
    stream: OutputStream,
}

impl Input {
    pub(super) fn new() -> Self {
        Self { stream: get_stdin(), piece: Vec::new() }
    }

    /// The next bytes; none at the end.
    pub(super) fn read(&mut self) -> io::Result<&[u8]> {
        // Frees the last piece before the next one arrives.
        self.piece = Vec::new();
        loop {
            match self.stream.blocking_read(PIECE) {
                // Nothing has arrived yet.
                Ok(piece) if piece.is_empty() => continue,
                Ok(piece) => self.piece = piece,
                Err(StreamError::Closed) => {}
                Err(error) => return Err(stream_error(&error)),
            }
            return Ok(&self.piece);
        }
    }
}

impl Output {
    pub(super) fn new() -> Self {
        let stream = get_stdout();
        Self { has_room: stream.subscribe(), stream }
    }

    /// Writes all of it.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.stream.check_write().map_err(|error| stream_error(&error))?;
            if room == 0 {
                self.has_room.block();
                continue;
            }
            let (piece, rest) = bytes.split_at(usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len()));
            self.stream.write(piece).map_err(|error| stream_error(&error))?;
            bytes = rest;
        }
        Ok(())
    }
}

fn stream_error(error: &StreamError) -> io::Error {
    match error {
        StreamError::Closed => io::Error::new(io::ErrorKind::BrokenPipe, "the client reads no more"),
        StreamError::LastOperationFailed(error) => io::Error::other(error.to_debug_string()),
    }
}

/// The session's files.
pub(super) fn files() -> Result<SandboxFiles, Box<dyn Error>> {
    SandboxFiles::of_root().ok_or_else(|| "this session has no files: there is no directory /".into())
}

/// The working directory.
pub(super) fn directory() -> Option<String> {
    initial_cwd()
}
