//! Standard streams and files of a session, by WASI's own functions: the C library writes at most 4 KiB at a time.

use wasip2::cli::stdin::get_stdin;
use wasip2::cli::stdout::get_stdout;
use wasip2::io::streams::{InputStream, OutputStream};

use crate::files::wasi::WasiFiles;

/// Most bytes of one read. The host gives no more than 64 KiB today.
const PIECE: u64 = 256 << 10;

/// The files of the session, with relative paths from home.
pub(super) fn files(home: &str) -> WasiFiles {
    WasiFiles::new(home.to_owned())
}

/// Standard input and output.
pub(super) struct WasiStreams {
    input: InputStream,
    output: OutputStream,
}

impl WasiStreams {
    pub(super) fn new() -> Self {
        Self { input: get_stdin(), output: get_stdout() }
    }

    /// Waits for bytes. `None` at the end of the input.
    pub(super) fn read(&mut self) -> Option<Vec<u8>> {
        loop {
            let bytes = self.input.blocking_read(PIECE).ok()?;
            if !bytes.is_empty() {
                return Some(bytes);
            }
        }
    }

    /// Writes all of the bytes. False if nobody reads them.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let Ok(room) = self.output.check_write() else { return false };
            if room == 0 {
                self.output.subscribe().block();
                continue;
            }
            let count = usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()));
            let (piece, rest) = bytes.split_at(count);
            if self.output.write(piece).is_err() {
                return false;
            }
            bytes = rest;
        }
        true
    }
}
