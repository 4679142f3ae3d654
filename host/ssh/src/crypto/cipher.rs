//! Packet protection: RFC 4253 §6 with the AEAD modes of OpenSSH.
//!
//! `chacha20-poly1305@openssh.com` (OpenSSH `PROTOCOL.chacha20poly1305`) and the two `@openssh.com` names of
//! AES-GCM (RFC 5647, with the algorithm negotiation of OpenSSH `PROTOCOL` §1.6). A [`Sealer`] and an [`Opener`]
//! own the key of one direction and work in the caller's buffer: no copy, no allocation. Lengths, padding and
//! sequence numbers are the transport's: nothing here reads a field.

use std::fmt;

use super::provider::aead::chacha20_poly1305_openssh as chacha;
use super::provider::{aead, open_gcm};

/// How packets are protected once keys are there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cipher {
    /// ChaCha20 with Poly1305, the length encrypted under a key of its own.
    ChaCha20Poly1305,
    /// AES-256 in Galois/Counter mode, the length in clear.
    Aes256Gcm,
    /// AES-128 in Galois/Counter mode, the length in clear.
    Aes128Gcm,
}

impl Cipher {
    /// All there are.
    pub const ALL: [Cipher; 3] = [Cipher::ChaCha20Poly1305, Cipher::Aes256Gcm, Cipher::Aes128Gcm];

    /// The name in a KEXINIT.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Cipher::ChaCha20Poly1305 => "chacha20-poly1305@openssh.com",
            Cipher::Aes256Gcm => "aes256-gcm@openssh.com",
            Cipher::Aes128Gcm => "aes128-gcm@openssh.com",
        }
    }

    /// The cipher of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Cipher> {
        Cipher::ALL.into_iter().find(|cipher| cipher.name() == name)
    }

    /// Bytes of key to derive (RFC 4253 §7.2, letters `C` and `D`). ChaCha20-Poly1305 takes two keys at once.
    #[must_use]
    pub fn key_len(self) -> usize {
        match self {
            Cipher::ChaCha20Poly1305 => chacha::KEY_LEN,
            Cipher::Aes256Gcm => 32,
            Cipher::Aes128Gcm => 16,
        }
    }

    /// Bytes of IV to derive (letters `A` and `B`). ChaCha20-Poly1305 takes the sequence number for one.
    #[must_use]
    pub fn iv_len(self) -> usize {
        match self {
            Cipher::ChaCha20Poly1305 => 0,
            Cipher::Aes256Gcm | Cipher::Aes128Gcm => aead::NONCE_LEN,
        }
    }
}

/// Protects the packets that are sent.
pub struct Sealer {
    layout: Layout,
    key: SealingKey,
    /// Packets that may still be sealed under this key.
    left: u64,
}

enum SealingKey {
    Clear,
    ChaCha(chacha::SealingKey),
    Gcm(Gcm),
}

impl Sealer {
    /// No protection: before the first NEWKEYS.
    #[must_use]
    pub fn clear() -> Sealer {
        Sealer { layout: Layout::CLEAR, key: SealingKey::Clear, left: u64::MAX }
    }

    /// Seals with `cipher`, from the next packet on.
    ///
    /// # Errors
    /// `key` or `iv` has not [`Cipher::key_len`] or [`Cipher::iv_len`] bytes.
    pub fn new(cipher: Cipher, key: &[u8], iv: &[u8]) -> Result<Sealer, BadKey> {
        check_lengths(cipher, key, iv)?;
        let key = match cipher {
            Cipher::ChaCha20Poly1305 => SealingKey::ChaCha(chacha::SealingKey::new(chacha_key(key)?)),
            Cipher::Aes256Gcm => SealingKey::Gcm(Gcm::new(&aead::AES_256_GCM, key, iv)?),
            Cipher::Aes128Gcm => SealingKey::Gcm(Gcm::new(&aead::AES_128_GCM, key, iv)?),
        };
        Ok(Sealer { layout: Layout::of(cipher), key, left: PACKETS_PER_KEY })
    }

    /// Bytes that follow a frame: 0 or 16.
    #[must_use]
    pub fn tag_len(&self) -> usize {
        self.layout.tag_len
    }

    /// What the padded part is a multiple of: 8 or 16. RFC 4253 §6.
    #[must_use]
    pub fn block_len(&self) -> usize {
        self.layout.block_len
    }

    /// Whether the four length bytes belong to the padded part. They do in clear, not in the AEAD modes.
    #[must_use]
    pub fn length_is_padded(&self) -> bool {
        self.layout.length_is_padded
    }

    /// Seals `frame` (`packet_length`, `padding_length`, payload, padding) in place and writes its tag.
    ///
    /// `sequence` is the packet's sequence number; two packets under one key never have the same. `tag` has
    /// [`Sealer::tag_len`] bytes.
    ///
    /// # Errors
    /// The key has sealed as many packets as it may, and nothing was written; a rekey would have been due long
    /// since. Also, with the frame then not to be sent, for a frame or a tag of a length that the caller had wrong.
    pub fn seal(&mut self, sequence: u32, frame: &mut [u8], tag: &mut [u8]) -> Result<(), Exhausted> {
        debug_assert!(frame.len() >= LENGTH_LEN && tag.len() == self.layout.tag_len, "frame and tag as documented");
        self.left = self.left.checked_sub(1).ok_or(Exhausted)?;
        match &mut self.key {
            SealingKey::Clear => Ok(()),
            SealingKey::ChaCha(key) => {
                let tag = tag.try_into().map_err(|_| Exhausted)?;
                if frame.len() < LENGTH_LEN {
                    return Err(Exhausted);
                }
                key.seal_in_place(sequence, frame, tag);
                Ok(())
            }
            SealingKey::Gcm(gcm) => {
                let (length, rest) = frame.split_first_chunk_mut::<LENGTH_LEN>().ok_or(Exhausted)?;
                let tag: &mut [u8; TAG_LEN] = tag.try_into().map_err(|_| Exhausted)?;
                let nonce = gcm.next_nonce();
                let sealed = gcm.key.seal_in_place_separate_tag(nonce, aead::Aad::from(*length), rest);
                tag.copy_from_slice(sealed.map_err(|_| Exhausted)?.as_ref());
                Ok(())
            }
        }
    }
}

/// Opens the packets that are received.
pub struct Opener {
    layout: Layout,
    key: OpeningKey,
    /// Packets that may still be opened under this key.
    left: u64,
}

enum OpeningKey {
    Clear,
    ChaCha(chacha::OpeningKey),
    Gcm(Gcm),
}

impl Opener {
    /// No protection: before the first NEWKEYS.
    #[must_use]
    pub fn clear() -> Opener {
        Opener { layout: Layout::CLEAR, key: OpeningKey::Clear, left: u64::MAX }
    }

    /// Opens with `cipher`, from the next packet on.
    ///
    /// # Errors
    /// `key` or `iv` has not [`Cipher::key_len`] or [`Cipher::iv_len`] bytes.
    pub fn new(cipher: Cipher, key: &[u8], iv: &[u8]) -> Result<Opener, BadKey> {
        check_lengths(cipher, key, iv)?;
        let key = match cipher {
            Cipher::ChaCha20Poly1305 => OpeningKey::ChaCha(chacha::OpeningKey::new(chacha_key(key)?)),
            Cipher::Aes256Gcm => OpeningKey::Gcm(Gcm::new(&aead::AES_256_GCM, key, iv)?),
            Cipher::Aes128Gcm => OpeningKey::Gcm(Gcm::new(&aead::AES_128_GCM, key, iv)?),
        };
        Ok(Opener { layout: Layout::of(cipher), key, left: PACKETS_PER_KEY })
    }

    /// Bytes that follow a frame: 0 or 16.
    #[must_use]
    pub fn tag_len(&self) -> usize {
        self.layout.tag_len
    }

    /// What the padded part must be a multiple of: 8 or 16. RFC 4253 §6.
    #[must_use]
    pub fn block_len(&self) -> usize {
        self.layout.block_len
    }

    /// Whether the four length bytes belong to the padded part. They do in clear, not in the AEAD modes.
    #[must_use]
    pub fn length_is_padded(&self) -> bool {
        self.layout.length_is_padded
    }

    /// `packet_length`, from the first four bytes as they came. It authenticates nothing: any value may come out,
    /// and no more may be done with it than to bound it and to wait for that many bytes.
    #[must_use]
    pub fn length(&self, sequence: u32, first: [u8; 4]) -> u32 {
        u32::from_be_bytes(match &self.key {
            OpeningKey::ChaCha(key) => key.decrypt_packet_length(sequence, first),
            OpeningKey::Clear | OpeningKey::Gcm(_) => first,
        })
    }

    /// Opens `frame`, a whole protected packet with its tag, in place. Afterwards `frame[4..]` without the tag is
    /// `padding_length`, payload and padding in clear; the four length bytes stay as they came.
    ///
    /// # Errors
    /// The packet is not the peer's, or not whole, or its key has opened as many packets as it may. What `frame`
    /// then holds must not be read, and the connection must end.
    pub fn open(&mut self, sequence: u32, frame: &mut [u8]) -> Result<(), Forged> {
        self.left = self.left.checked_sub(1).ok_or(Forged)?;
        match &mut self.key {
            OpeningKey::Clear => frame.get(..LENGTH_LEN).map(|_| ()).ok_or(Forged),
            OpeningKey::ChaCha(key) => {
                let (frame, tag) = split_tag(frame)?;
                key.open_in_place(sequence, frame, tag).map(|_| ()).map_err(|_| Forged)
            }
            OpeningKey::Gcm(gcm) => {
                let (frame, tag) = split_tag(frame)?;
                let (length, rest) = frame.split_first_chunk_mut::<LENGTH_LEN>().ok_or(Forged)?;
                let nonce = gcm.next_nonce();
                open_gcm(&gcm.key, nonce, *length, *tag, rest).map_err(|_| Forged)
            }
        }
    }
}

/// A frame of at least its length bytes, and the tag after it.
fn split_tag(packet: &mut [u8]) -> Result<(&mut [u8], &[u8; TAG_LEN]), Forged> {
    match packet.split_last_chunk_mut::<TAG_LEN>() {
        Some((frame, tag)) if frame.len() >= LENGTH_LEN => Ok((frame, tag)),
        Some(_) | None => Err(Forged),
    }
}

/// AES-GCM as RFC 5647 §7.1 counts: four fixed bytes, then an invocation counter that goes up by one a packet.
///
/// The counter starts at a derived value and wraps (RFC 5647 §7.1: "modulo 2^64"). No nonce comes twice, since
/// [`PACKETS_PER_KEY`] is far below the period.
struct Gcm {
    /// With one provider its round keys lie in here, half a KiB of them.
    key: Box<aead::LessSafeKey>,
    fixed: [u8; 4],
    counter: u64,
}

impl Gcm {
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
}

/// What a transport must know of a cipher to frame packets.
#[derive(Clone, Copy)]
struct Layout {
    tag_len: usize,
    block_len: usize,
    length_is_padded: bool,
}

impl Layout {
    const CLEAR: Layout = Layout { tag_len: 0, block_len: 8, length_is_padded: true };

    fn of(cipher: Cipher) -> Layout {
        let block_len = match cipher {
            Cipher::ChaCha20Poly1305 => 8,
            Cipher::Aes256Gcm | Cipher::Aes128Gcm => 16,
        };
        Layout { tag_len: TAG_LEN, block_len, length_is_padded: false }
    }
}

/// Bytes of `packet_length`.
const LENGTH_LEN: usize = chacha::PACKET_LENGTH_LEN;

/// Bytes of a tag, the same for all three.
const TAG_LEN: usize = chacha::TAG_LEN;

/// RFC 4344 §3.1: a key protects no more than 2^32 packets. For ChaCha20 it is life or death: its nonce is the
/// sequence number, which then comes round again. Both sides hold to it, so that nothing can be replayed either.
const PACKETS_PER_KEY: u64 = 1 << 32;

fn check_lengths(cipher: Cipher, key: &[u8], iv: &[u8]) -> Result<(), BadKey> {
    if key.len() == cipher.key_len() && iv.len() == cipher.iv_len() { Ok(()) } else { Err(BadKey) }
}

fn chacha_key(key: &[u8]) -> Result<&[u8; chacha::KEY_LEN], BadKey> {
    key.try_into().map_err(|_| BadKey)
}

/// A key or an IV of the wrong length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKey;

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cipher key or IV of the wrong length")
    }
}

impl std::error::Error for BadKey {}

/// The key may seal no further packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cipher key may protect no further packet")
    }
}

impl std::error::Error for Exhausted {}

/// A packet whose tag is not the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forged;

impl fmt::Display for Forged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a packet failed its integrity check")
    }
}

impl std::error::Error for Forged {}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("left", &self.left).finish_non_exhaustive()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("left", &self.left).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
