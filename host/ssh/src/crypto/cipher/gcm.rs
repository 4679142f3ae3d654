//! `aes256-gcm@openssh.com` and `aes128-gcm@openssh.com`: RFC 5647, with the algorithm negotiation of OpenSSH
//! `PROTOCOL` §1.6.

use super::error::{BadKey, Exhausted, Forged};
use super::frame::{Framing, LENGTH_LEN, Properties, TAG_LEN, split_tag};
use crate::crypto::provider::{aead, open_gcm};

/// AES-256 in Galois/Counter mode, the length in clear.
pub(super) const AES_256: Properties = Properties {
    name: "aes256-gcm@openssh.com",
    key_len: 32,
    iv_len: aead::NONCE_LEN,
    framing: Framing { block_len: 16, tag_len: TAG_LEN, length_is_padded: false, hides_length: false },
    needs_mac: false,
};

/// AES-128 in Galois/Counter mode, the length in clear.
pub(super) const AES_128: Properties = Properties { name: "aes128-gcm@openssh.com", key_len: 16, ..AES_256 };

/// The key of one direction and its nonces. RFC 5647 §7.1: four fixed bytes, then an invocation counter that increases
/// by one per packet.
///
/// The counter starts at a derived value and wraps (RFC 5647 §7.1: "modulo 2^64"). No nonce repeats, because
/// [`PACKETS_PER_KEY`](super::frame::PACKETS_PER_KEY) is far below the period.
pub(super) struct Gcm {
    /// One provider stores the round keys inline, about half a KiB.
    key: Box<aead::LessSafeKey>,
    fixed: [u8; 4],
    counter: u64,
}

impl Gcm {
    pub(super) fn aes_256(key: &[u8], iv: &[u8]) -> Result<Gcm, BadKey> {
        Gcm::new(&aead::AES_256_GCM, key, iv)
    }

    pub(super) fn aes_128(key: &[u8], iv: &[u8]) -> Result<Gcm, BadKey> {
        Gcm::new(&aead::AES_128_GCM, key, iv)
    }

    fn new(algorithm: &'static aead::Algorithm, key: &[u8], iv: &[u8]) -> Result<Gcm, BadKey> {
        let key = aead::UnboundKey::new(algorithm, key).map_err(|_| BadKey)?;
        let (fixed, counter) = iv.split_first_chunk().ok_or(BadKey)?;
        let counter = u64::from_be_bytes(counter.try_into().map_err(|_| BadKey)?);
        Ok(Gcm { key: Box::new(aead::LessSafeKey::new(key)), fixed: *fixed, counter })
    }

    /// The nonce of this packet.
    fn next_nonce(&mut self) -> aead::Nonce {
        let [a, b, c, d] = self.fixed;
        let [e, f, g, h, i, j, k, l] = self.counter.to_be_bytes();
        self.counter = self.counter.wrapping_add(1);
        aead::Nonce::assume_unique_for_key([a, b, c, d, e, f, g, h, i, j, k, l])
    }

    /// Seals `frame` in place, except its length, and writes its tag.
    pub(super) fn seal(&mut self, frame: &mut [u8], tag: &mut [u8]) -> Result<(), Exhausted> {
        let (length, rest) = frame.split_first_chunk_mut::<LENGTH_LEN>().ok_or(Exhausted)?;
        let tag: &mut [u8; TAG_LEN] = tag.try_into().map_err(|_| Exhausted)?;
        let nonce = self.next_nonce();
        let sealed = self.key.seal_in_place_separate_tag(nonce, aead::Aad::from(*length), rest);
        tag.copy_from_slice(sealed.map_err(|_| Exhausted)?.as_ref());
        Ok(())
    }

    /// Opens a packet with its tag in place, except its length.
    pub(super) fn open(&mut self, packet: &mut [u8]) -> Result<(), Forged> {
        let (frame, tag) = split_tag(packet)?;
        let (length, rest) = frame.split_first_chunk_mut::<LENGTH_LEN>().ok_or(Forged)?;
        let nonce = self.next_nonce();
        open_gcm(&self.key, nonce, *length, *tag, rest).map_err(|_| Forged)
    }
}
