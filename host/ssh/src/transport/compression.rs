//! RFC 4253 §6.2: compression of payloads by `zlib@openssh.com`, which begins after authentication. Each direction has
//! a stream of its own, which goes from packet to packet and starts anew with each NEWKEYS, as OpenSSH's do.
//!
//! Decided 2026-11-29: DEFLATE is the Rust implementation without unsafe code (`miniz_oxide`), because a stranger's
//! bytes go through it. Rejected: `zlib-rs`, which takes half the time but has unsafe code.
//!
//! Decided 2026-11-29: level 1. Measured on text, level 6 (OpenSSH's) takes six times as long for 13 % fewer bytes, and
//! the processor is what the users of a gateway share.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::error::Violation;

/// The memory of both directions of a connection while nothing moves, in bytes: the streams' own tables and windows.
pub const COMPRESSION_MEMORY: usize = 400 << 10;

/// The compression level, 1 to 9.
const LEVEL: u32 = 1;
/// Buffers up to this size are kept from packet to packet.
const KEPT: usize = 64 << 10;
/// The size of a buffer for a small payload.
const SMALL: usize = 4 << 10;

/// The stream of the sending direction.
pub(super) struct Compressor {
    stream: Compress,
    /// The payload that is being compressed.
    plain: Vec<u8>,
    /// Bytes compressed since this was last set to 0.
    pub(super) work: u64,
}

impl Compressor {
    pub(super) fn new() -> Box<Compressor> {
        Box::new(Compressor { stream: Compress::new(Compression::new(LEVEL), true), plain: Vec::new(), work: 0 })
    }

    /// Compresses the payload that `write` makes, and appends it to `to`. False if zlib fails, which no payload can
    /// cause.
    pub(super) fn append(&mut self, to: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.plain.clear();
        write(&mut self.plain);
        self.work = self.work.saturating_add(self.plain.len() as u64);
        let mut rest = self.plain.as_slice();
        loop {
            let start = to.len();
            // Data that cannot be compressed grows by 5 bytes per 31 KiB, so one pass is nearly always enough.
            let room = rest.len() + rest.len() / 16 + 128;
            to.resize(start + room, 0);
            let (read, written) = (self.stream.total_in(), self.stream.total_out());
            let space = to.get_mut(start..).unwrap_or_default();
            let done = self.stream.compress(rest, space, FlushCompress::Partial);
            let read = difference(self.stream.total_in(), read);
            let written = difference(self.stream.total_out(), written);
            to.truncate(start + written);
            rest = rest.get(read..).unwrap_or_default();
            match done {
                Err(_) => return false,
                Ok(_) if rest.is_empty() && written < room => return true,
                // Cannot happen. If it did, the loop would never end.
                Ok(_) if read == 0 && written == 0 => return false,
                Ok(_) => {}
            }
        }
    }

    /// Frees the buffer.
    pub(super) fn release_buffers(&mut self) {
        self.plain = Vec::new();
    }
}

/// The stream of the receiving direction.
pub(super) struct Decompressor {
    stream: Decompress,
    /// Initialised throughout; the payload is its first `length` bytes.
    buffer: Vec<u8>,
    length: usize,
    /// Bytes decompressed since this was last set to 0.
    pub(super) work: u64,
}

impl Decompressor {
    pub(super) fn new() -> Box<Decompressor> {
        Box::new(Decompressor { stream: Decompress::new(true), buffer: Vec::new(), length: 0, work: 0 })
    }

    /// Decompresses the payload of one packet, which has at most `limit` bytes.
    ///
    /// # Errors
    /// It has more, or is malformed.
    pub(super) fn open(&mut self, compressed: &[u8], limit: usize) -> Result<(), Violation> {
        self.length = 0;
        let mut rest = compressed;
        loop {
            if self.length == self.buffer.len() {
                if self.length > limit {
                    return Err(Violation::DecompressedLength);
                }
                // One byte more than the limit, to see whether the payload exceeds it.
                let most = limit.saturating_add(1);
                let larger = (2 * self.length).max(SMALL);
                let larger = if larger > most / 2 { most } else { larger };
                self.buffer.reserve_exact(larger.saturating_sub(self.length));
                self.buffer.resize(larger, 0);
            }
            let (read, written) = (self.stream.total_in(), self.stream.total_out());
            let space = self.buffer.get_mut(self.length..).unwrap_or_default();
            let status = self.stream.decompress(rest, space, FlushDecompress::Sync);
            let read = difference(self.stream.total_in(), read);
            let written = difference(self.stream.total_out(), written);
            rest = rest.get(read..).unwrap_or_default();
            self.length += written;
            self.work = self.work.saturating_add(written as u64);
            match status {
                // A stream must not end before the connection does.
                Err(_) | Ok(Status::StreamEnd) => return Err(Violation::Compression),
                // The buffer is full: there may be more.
                Ok(Status::Ok | Status::BufError) if self.length == self.buffer.len() => {}
                // The payload is whole when a call does nothing. A call that has read all input is no proof: at the end
                // of the stream's window it returns in the middle of a match.
                Ok(_) if read == 0 && written == 0 => {
                    if rest.is_empty() {
                        break;
                    }
                    return Err(Violation::Compression);
                }
                Ok(_) => {}
            }
        }
        if self.length > limit { Err(Violation::DecompressedLength) } else { Ok(()) }
    }

    /// The payload that was decompressed last.
    pub(super) fn payload(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }

    /// The payload was handled. A large buffer is freed, so that it exists only during one call.
    pub(super) fn close(&mut self) {
        self.length = 0;
        if self.buffer.len() > KEPT {
            self.buffer = Vec::new();
        }
    }

    /// Frees the buffer.
    pub(super) fn release_buffers(&mut self) {
        self.buffer = Vec::new();
        self.length = 0;
    }
}

/// By how much a count of bytes has grown in one call.
fn difference(after: u64, before: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::random::{Random, SystemRandom};

    /// A payload on its way through both streams.
    fn carry(compressor: &mut Compressor, decompressor: &mut Decompressor, payload: &[u8]) -> usize {
        let mut wire = b"before".to_vec();
        assert!(compressor.append(&mut wire, |plain| plain.extend_from_slice(payload)));
        let (before, compressed) = wire.split_at(6);
        assert_eq!(before, b"before");
        decompressor.open(compressed, 256 << 10).unwrap();
        assert!(decompressor.payload() == payload, "{} bytes", payload.len());
        decompressor.close();
        compressed.len()
    }

    #[test]
    fn payloads_of_every_kind_and_size_pass_through_one_stream() {
        let (mut compressor, mut decompressor) = (Compressor::new(), Decompressor::new());
        let mut random = vec![0; 256 << 10];
        SystemRandom::new().fill(&mut random).unwrap();
        let sizes = [1, 2, 9, 100, 4095, 4096, 4097, 32 << 10, (64 << 10) + 1, 256 << 10];
        for size in sizes.into_iter().chain(1..70) {
            let length = carry(&mut compressor, &mut decompressor, &random[..size]);
            assert!(length <= size + size / 1024 + 32, "{size} random bytes became {length}");
            let length = carry(&mut compressor, &mut decompressor, &vec![b'a'; size]);
            assert!(length <= size / 50 + 32, "{size} equal bytes became {length}");
            let text: Vec<u8> = (0..size).map(|at| b"the quick brown fox"[at * at % 19]).collect();
            carry(&mut compressor, &mut decompressor, &text);
        }
    }

    /// zlib ends a payload inside a byte, so no further byte of input completes the last match.
    #[test]
    fn payloads_that_end_in_a_match_at_the_end_of_the_window_are_whole() {
        for (first, size) in [(0, 32_777), (4, 16 << 10), (13, 32_777)] {
            let (mut stream, mut decompressor) = (Compress::new(Compression::new(6), true), Decompressor::new());
            for number in 0..4000 {
                let payload = vec![0; if number < first { 100 } else { size }];
                let mut compressed = Vec::with_capacity(size + 1024);
                stream.compress_vec(&payload, &mut compressed, FlushCompress::Partial).unwrap();
                decompressor.open(&compressed, 64 << 10).unwrap();
                assert!(decompressor.payload() == payload, "payload {number} of {size} bytes");
                decompressor.close();
            }
        }
    }

    /// P20.
    #[test]
    fn a_payload_above_the_limit_ends_at_the_limit() {
        let mut compressor = Compressor::new();
        for (size, limit, result) in [
            (1000, 1000, Ok(())),
            (1001, 1000, Err(Violation::DecompressedLength)),
            (SMALL, SMALL, Ok(())),
            (SMALL + 1, SMALL, Err(Violation::DecompressedLength)),
            (100 << 20, 256 << 10, Err(Violation::DecompressedLength)),
        ] {
            let mut bomb = Vec::new();
            *compressor = *Compressor::new();
            assert!(compressor.append(&mut bomb, |plain| plain.resize(size, 0)));
            let mut decompressor = Decompressor::new();
            assert_eq!(decompressor.open(&bomb, limit), result, "{size} of {limit}");
            assert!(decompressor.buffer.len() <= SMALL.max(limit + 1));
            assert!(decompressor.work <= limit as u64 + SMALL as u64);
        }
    }

    #[test]
    fn malformed_data_and_the_end_of_a_stream_are_refused() {
        // No header of zlib; an end; a header alone, which is an empty payload.
        let end = b"\x78\x01\x03\0\0\0\0\x01";
        for (data, result) in [
            (&b"\xff\xff\xff"[..], Err(Violation::Compression)),
            (end, Err(Violation::Compression)),
            (b"\x78\x01", Ok(())),
        ] {
            let mut decompressor = Decompressor::new();
            assert_eq!(decompressor.open(data, 1000), result);
            assert!(decompressor.payload().is_empty());
        }
    }
}
