//! Lines of JSON that are written next, with texts between quotes as RFC 8259 §7 has them.
//!
//! Decided 2026-11-30: 64 bytes at a time here, and not by `serde_json`, which looks at each byte: together with the
//! copies it took 40 % of the processor time of a recording, and this takes a third of that. Refused: libraries that
//! look at 32 bytes (`json-escape-simd`, `sonic-rs`). They begin anew after each byte that is escaped, and output has a
//! line end in every few bytes.

use std::ops::Range;

/// How many bytes of a text are escaped at a time.
const BLOCK: usize = 64;
/// How many bytes are copied at a time.
const RUN: usize = 16;
/// The longest escape.
const LONGEST: usize = 6;
/// The room for a block in which every byte is escaped, and for what is written behind its end.
const ROOM: usize = BLOCK * LONGEST + RUN;

/// With fewer bytes than this, no more memory is kept for the next.
const SMALL: usize = 16 << 10;

/// The escapes of ASCII: up to six bytes, and in the last byte how many.
static ESCAPES: [[u8; 8]; 128] = escapes();

const fn escapes() -> [[u8; 8]; 128] {
    let digits = *b"0123456789abcdef";
    let mut escapes = [[0; 8]; 128];
    let mut byte = 0_u8;
    while byte < 128 {
        let letter = match byte {
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            other => other,
        };
        escapes[byte as usize] = if letter < b' ' {
            let (high, low) = (digits[letter as usize / 16], digits[letter as usize % 16]);
            [b'\\', b'u', b'0', b'0', high, low, 0, 6]
        } else {
            [b'\\', letter, 0, 0, 0, 0, 0, 2]
        };
        byte += 1;
    }
    escapes
}

/// Lines that follow what a file has.
#[derive(Default)]
pub(super) struct PendingLines {
    /// The lines, and room for more.
    memory: Vec<u8>,
    length: usize,
}

impl PendingLines {
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
        blocks.iter().for_each(|block| self.push_escaped(block));
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

    /// Removes what was appended after so many bytes.
    pub(super) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Removes all of them.
    pub(super) fn clear(&mut self) {
        if self.length < SMALL {
            self.memory.truncate(SMALL);
            self.memory.shrink_to(SMALL);
        }
        self.length = 0;
    }
}

/// Writes the escaped form of a block of UTF-8, which may begin and end within a character. Returns how many bytes it
/// has; those behind them have no meaning.
fn escape_block(block: &[u8; BLOCK], out: &mut [u8; ROOM]) -> usize {
    let mut escaped = escaped_bytes(block);
    if escaped == 0 {
        out[..BLOCK].copy_from_slice(block);
        return BLOCK;
    }
    // The last run is copied whole.
    let mut padded = [0; BLOCK + RUN];
    padded[..BLOCK].copy_from_slice(block);
    let (mut from, mut to) = (0, 0);
    while escaped != 0 {
        let next = escaped.trailing_zeros() as usize;
        escaped &= escaped - 1;
        to = copy(&padded[..], from..next, out, to);
        let escape = ESCAPES[usize::from(padded[next] & 0x7f)];
        out[to..to + escape.len()].copy_from_slice(&escape);
        to += usize::from(escape[escape.len() - 1]);
        from = next + 1;
    }
    copy(&padded[..], from..BLOCK, out, to)
}

/// Copies a range of a block, and some bytes behind it. Returns where it ends in `out`.
fn copy(block: &[u8], range: Range<usize>, out: &mut [u8; ROOM], mut to: usize) -> usize {
    let mut from = range.start;
    while from < range.end {
        out[to..to + RUN].copy_from_slice(&block[from..from + RUN]);
        let length = RUN.min(range.end - from);
        (from, to) = (from + length, to + length);
    }
    to
}

/// A bit for each byte of a block that is escaped, from the lowest on: control characters, `"` and `\`.
fn escaped_bytes(block: &[u8; BLOCK]) -> u64 {
    // The compiler makes vector instructions of it.
    let mut flags = [0; BLOCK];
    for (flag, byte) in flags.iter_mut().zip(block) {
        *flag = u8::from(*byte < b' ') | u8::from(*byte == b'"') | u8::from(*byte == b'\\');
    }
    // The product has the lowest bits of all bytes in its highest byte.
    let bits = |word: &[u8; 8]| u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    flags.as_chunks().0.iter().rev().fold(0, |mask, word| mask << 8 | bits(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a text becomes between quotes: escaped in blocks, of which the last is filled up with spaces.
    fn escaped(text: &str) -> String {
        let mut escaped = Vec::new();
        for part in text.as_bytes().chunks(BLOCK) {
            let (mut block, mut out) = ([b' '; BLOCK], [0; ROOM]);
            block[..part.len()].copy_from_slice(part);
            let length = escape_block(&block, &mut out);
            escaped.extend_from_slice(&out[..length - (BLOCK - part.len())]);
        }
        String::from_utf8(escaped).unwrap()
    }

    #[test]
    fn every_character_at_every_place_is_escaped_as_by_serde() {
        let texts = (0..0x180).filter_map(char::from_u32).chain(['\u{2028}', '\u{1f642}']).flat_map(|character| {
            let places = [0, 1, 2, 3, 4, 5, 6, 7, 60, 61, 62, 63, 64, 130];
            places.map(|place| format!("{0}{character}{1}", "x".repeat(place), "\n".repeat(place % 9)))
        });
        for text in texts.chain(["\0\u{1f}\"\\".repeat(100), "é\n".repeat(100), String::new()]) {
            assert_eq!(format!("\"{}\"", escaped(&text)), serde_json::to_string(&text).unwrap());
        }
    }

    #[test]
    fn lines_are_what_was_appended_whatever_is_taken_back() {
        let mut lines = PendingLines::default();
        for length in (0..200).chain([1_000, 5_000]) {
            let text = "a\n".repeat(length);
            lines.push(b"[");
            lines.push_text(&text);
            let whole = lines.bytes().len();
            lines.push_text(&text);
            lines.truncate(whole);
            assert_eq!(lines.bytes(), format!("[\"{}\"", "a\\n".repeat(length)).as_bytes());
            lines.clear();
            assert!(lines.bytes().is_empty());
        }
    }
}
