//! The lines that are written next, with the digest that the file has then.

use super::digest::RunningDigest;
use super::json::{BLOCK, ROOM, escape_block};

/// How many bytes are hashed at a time: two blocks of SHA-256, FIPS 180-4 §5.2.1.
const HASHED: u64 = 128;
/// With fewer bytes than this, no more memory is kept for the next.
const SMALL: usize = 16 << 10;

/// Lines that follow what a file has.
///
/// What is made of a text is hashed after each piece of it: each round of SHA-256 waits for the one before, and the
/// processor makes a part of the next piece meanwhile.
#[derive(Default)]
pub(super) struct PendingLines {
    /// The lines, and room for more.
    memory: Vec<u8>,
    length: usize,
    /// That of the file and of the first [`hashed`](Self::hashed) bytes.
    digest: RunningDigest,
    hashed: usize,
}

/// A length that lines had.
pub(super) struct PendingMark {
    length: usize,
    digest: RunningDigest,
    hashed: usize,
}

impl PendingLines {
    /// How many bytes the file has with them.
    pub(super) fn end(&self) -> u64 {
        self.digest.bytes() + (self.length - self.hashed) as u64
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[..self.length]
    }

    /// Appends a part of a line.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        self.make_room(end);
        self.memory[self.length..end].copy_from_slice(bytes);
        self.length = end;
    }

    fn make_room(&mut self, end: usize) {
        if self.memory.len() < end {
            self.memory.resize(end + end / 2, 0);
        }
    }

    /// Appends a text as a string of JSON.
    pub(super) fn push_text(&mut self, text: &str) {
        self.push(b"\"");
        let (blocks, rest) = text.as_bytes().as_chunks();
        for block in blocks {
            self.push_escaped(block);
            self.hash_some();
        }
        // Spaces stay as they are.
        let mut block = [b' '; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        self.push_escaped(&block);
        self.length -= BLOCK - rest.len();
        self.push(b"\"");
    }

    fn push_escaped(&mut self, block: &[u8; BLOCK]) {
        self.make_room(self.length + ROOM);
        if let Some(out) = self.memory[self.length..].first_chunk_mut() {
            self.length += escape_block(block, out);
        }
    }

    /// Hashes what was appended, but for a rest of it.
    fn hash_some(&mut self) {
        loop {
            let missing = HASHED - self.digest.bytes() % HASHED;
            // It is between 1 and 128.
            let end = self.hashed + missing as usize;
            let Some(block) = self.memory[..self.length].get(self.hashed..end) else { return };
            self.digest.update(block);
            self.hashed = end;
        }
    }

    /// The length that they have now.
    pub(super) fn mark(&self) -> PendingMark {
        PendingMark { length: self.length, digest: self.digest.clone(), hashed: self.hashed }
    }

    /// Removes what was appended since.
    pub(super) fn return_to(&mut self, PendingMark { length, digest, hashed }: PendingMark) {
        (self.length, self.digest, self.hashed) = (length, digest, hashed);
    }

    /// They are in the file, whose digest this returns.
    pub(super) fn written(&mut self) -> RunningDigest {
        self.digest.update(&self.memory[self.hashed..self.length]);
        self.forget();
        self.digest.clone()
    }

    /// They are not in the file, which has this digest.
    pub(super) fn failed(&mut self, digest: &RunningDigest) {
        self.digest = digest.clone();
        self.forget();
    }

    fn forget(&mut self) {
        if self.length < SMALL {
            self.memory.truncate(SMALL);
            self.memory.shrink_to(SMALL);
        }
        (self.length, self.hashed) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digest of these bytes.
    fn digest(bytes: &[u8]) -> String {
        let mut digest = RunningDigest::default();
        digest.update(bytes);
        digest.hex()
    }

    #[test]
    fn the_digest_is_that_of_what_is_in_the_file_whatever_is_taken_back() {
        let (mut lines, mut file, mut written) = (PendingLines::default(), Vec::new(), RunningDigest::default());
        for length in (0..200).chain([1_000, 5_000]) {
            let text = "a\n".repeat(length);
            lines.push(b"[");
            lines.push_text(&text);
            let mark = lines.mark();
            lines.push_text(&text);
            lines.return_to(mark);
            assert_eq!(lines.bytes(), format!("[\"{}\"", "a\\n".repeat(length)).as_bytes());
            assert_eq!(lines.end(), (file.len() + lines.bytes().len()) as u64);
            if length % 3 == 0 {
                lines.failed(&written);
            } else {
                file.extend_from_slice(lines.bytes());
                written = lines.written();
            }
            assert_eq!((written.hex(), written.bytes()), (digest(&file), file.len() as u64));
            assert!(lines.bytes().is_empty());
        }
    }
}
