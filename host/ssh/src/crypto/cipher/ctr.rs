//! `aes128-ctr`, `aes192-ctr` and `aes256-ctr`, RFC 4344 §4, each with a MAC of RFC 4253 §6.4 or one of OpenSSH's
//! encrypt-then-MAC modes (OpenSSH `PROTOCOL` §1.5).

use std::hint::black_box;

use super::error::{BadKey, Exhausted, Forged};
use super::frame::{Framing, LENGTH_LEN, Properties};
use crate::crypto::mac::MacKey;
use crate::crypto::provider::CtrKey;

/// Bytes of a block of AES.
const BLOCK_LEN: usize = 16;

/// AES-128 in counter mode.
pub(super) const AES_128: Properties = Properties {
    name: "aes128-ctr",
    key_len: 16,
    iv_len: BLOCK_LEN,
    framing: Framing { block_len: BLOCK_LEN, tag_len: 0, length_is_padded: true, hides_length: true },
    needs_mac: true,
};

/// AES-192 in counter mode.
pub(super) const AES_192: Properties = Properties { name: "aes192-ctr", key_len: 24, ..AES_128 };

/// AES-256 in counter mode.
pub(super) const AES_256: Properties = Properties { name: "aes256-ctr", key_len: 32, ..AES_128 };

/// The keys of one direction and the counter of its next block.
///
/// The encrypted part of each packet is a whole number of blocks, so each packet begins with a block of its own. The
/// counter has 128 bits and wraps (RFC 4344 §4); no value repeats, because a key protects at most
/// [`PACKETS_PER_KEY`](super::frame::PACKETS_PER_KEY) packets.
pub(super) struct Ctr {
    /// About half a KiB of round keys.
    key: Box<CtrKey>,
    counter: u128,
    mac: MacKey,
}

impl Ctr {
    pub(super) fn new(key: &[u8], iv: &[u8], mac: MacKey) -> Result<Ctr, BadKey> {
        let key = Box::new(CtrKey::new(key).map_err(|_| BadKey)?);
        let counter = u128::from_be_bytes(iv.try_into().map_err(|_| BadKey)?);
        Ok(Ctr { key, counter, mac })
    }

    /// Encrypts or decrypts whole blocks: in counter mode both are the same.
    fn apply(&mut self, blocks: &mut [u8]) -> Result<(), Exhausted> {
        self.key.apply(self.counter.to_be_bytes(), blocks).map_err(|_| Exhausted)?;
        let count = u128::try_from(blocks.len().div_ceil(BLOCK_LEN)).map_err(|_| Exhausted)?;
        self.counter = self.counter.wrapping_add(count);
        Ok(())
    }

    /// The length field in clear. Does not advance the counter.
    pub(super) fn length(&self, mut first: [u8; LENGTH_LEN]) -> [u8; LENGTH_LEN] {
        if !self.mac.encrypts_first() {
            // On an error the length stays as it came, and the packet does not open.
            let _ = self.key.apply(self.counter.to_be_bytes(), &mut first);
        }
        first
    }

    /// Seals `frame` in place and writes its tag.
    pub(super) fn seal(&mut self, sequence: u32, frame: &mut [u8], tag: &mut [u8]) -> Result<(), Exhausted> {
        if self.mac.encrypts_first() {
            self.apply(frame.get_mut(LENGTH_LEN..).ok_or(Exhausted)?)?;
            self.mac.write(sequence, frame, tag).map_err(|_| Exhausted)
        } else {
            self.mac.write(sequence, frame, tag).map_err(|_| Exhausted)?;
            self.apply(frame)
        }
    }

    /// Opens a packet with its tag in place.
    pub(super) fn open(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), Forged> {
        let frame_len = packet.len().checked_sub(self.mac.tag_len()).ok_or(Forged)?;
        let (frame, tag) = packet.split_at_mut_checked(frame_len).ok_or(Forged)?;
        if self.mac.encrypts_first() {
            self.mac.verify(sequence, frame, tag).map_err(|_| Forged)?;
            self.apply(frame.get_mut(LENGTH_LEN..).ok_or(Forged)?).map_err(|_| Forged)
        } else {
            self.apply(frame).map_err(|_| Forged)?;
            self.mac.verify(sequence, frame, tag).map_err(|_| Forged)
        }
    }

    /// Does the work of opening `bytes` and has no result.
    pub(super) fn discard(&mut self, bytes: &mut [u8]) {
        let _ = self.apply(bytes);
        let _ = black_box(self.mac.verify(0, bytes, &[]));
    }
}
