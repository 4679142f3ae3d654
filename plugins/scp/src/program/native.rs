//! Standard streams and files outside WebAssembly.

use std::io::{Read, Write, stdin, stdout};

use crate::files::native::NativeFiles;

/// Most bytes of one read.
const PIECE: usize = 256 << 10;

/// Files, with relative paths from here. Under sshd scp runs in a shell, which has begun at home.
pub(super) fn files(_: &str) -> NativeFiles {
    NativeFiles::new("")
}

/// Standard input and output.
pub(super) struct NativeStreams {
    buffer: Vec<u8>,
}

impl NativeStreams {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; PIECE] }
    }

    /// Waits for bytes. `None` at the end of the input.
    pub(super) fn read(&mut self) -> Option<Vec<u8>> {
        let count = stdin().lock().read(&mut self.buffer).ok().filter(|count| *count > 0)?;
        Some(self.buffer[..count].to_vec())
    }

    /// Writes all of the bytes. False if nobody reads them.
    pub(super) fn write(&mut self, bytes: &[u8]) -> bool {
        let mut output = stdout().lock();
        bytes.is_empty() || output.write_all(bytes).and_then(|()| output.flush()).is_ok()
    }
}
