//! Packet protection: RFC 4253 §6 with the AEAD modes of OpenSSH, one file a cipher.
//!
//! A [`Sealer`] and an [`Opener`] own the key of one direction and work in the caller's buffer: no copy, no allocation.
//! Lengths, padding and sequence numbers are the transport's: nothing here parses a field.

mod chacha20_poly1305;
mod error;
mod frame;
mod gcm;

use std::fmt;

pub use error::{BadKey, Exhausted, Forged};

use frame::{LENGTH_LEN, PACKETS_PER_KEY, Properties};
use gcm::Gcm;

/// A cipher.
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
    /// All ciphers.
    pub const ALL: [Cipher; 3] = [Cipher::ChaCha20Poly1305, Cipher::Aes256Gcm, Cipher::Aes128Gcm];

    fn properties(self) -> &'static Properties {
        match self {
            Cipher::ChaCha20Poly1305 => &chacha20_poly1305::PROPERTIES,
            Cipher::Aes256Gcm => &gcm::AES_256,
            Cipher::Aes128Gcm => &gcm::AES_128,
        }
    }

    /// The name in a KEXINIT.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.properties().name
    }

    /// The cipher of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Cipher> {
        Cipher::ALL.into_iter().find(|cipher| cipher.name() == name)
    }

    /// Bytes of key to derive (RFC 4253 §7.2, letters `C` and `D`).
    #[must_use]
    pub fn key_len(self) -> usize {
        self.properties().key_len
    }

    /// Bytes of IV to derive (letters `A` and `B`). 0 for a cipher whose nonce is the sequence number.
    #[must_use]
    pub fn iv_len(self) -> usize {
        self.properties().iv_len
    }
}

/// Before the first NEWKEYS.
const CLEAR: Properties =
    Properties { name: "none", key_len: 0, iv_len: 0, block_len: 8, tag_len: 0, length_is_padded: true };

/// Protects the packets that are sent.
pub struct Sealer {
    cipher: &'static Properties,
    key: SealingKey,
    /// Packets that may still be sealed under this key.
    left: u64,
}

enum SealingKey {
    Clear,
    ChaCha(chacha20_poly1305::SealingKey),
    Gcm(Gcm),
}

impl Sealer {
    /// No protection: before the first NEWKEYS.
    #[must_use]
    pub fn clear() -> Sealer {
        Sealer { cipher: &CLEAR, key: SealingKey::Clear, left: u64::MAX }
    }

    /// Seals with `cipher`, from the next packet on.
    ///
    /// # Errors
    /// `key` or `iv` has not [`Cipher::key_len`] or [`Cipher::iv_len`] bytes.
    pub fn new(cipher: Cipher, key: &[u8], iv: &[u8]) -> Result<Sealer, BadKey> {
        check_lengths(cipher, key, iv)?;
        let key = match cipher {
            Cipher::ChaCha20Poly1305 => SealingKey::ChaCha(chacha20_poly1305::SealingKey::new(key)?),
            Cipher::Aes256Gcm => SealingKey::Gcm(Gcm::aes_256(key, iv)?),
            Cipher::Aes128Gcm => SealingKey::Gcm(Gcm::aes_128(key, iv)?),
        };
        Ok(Sealer { cipher: cipher.properties(), key, left: PACKETS_PER_KEY })
    }

    /// Bytes that follow a frame: 0 or 16.
    #[must_use]
    pub fn tag_len(&self) -> usize {
        self.cipher.tag_len
    }

    /// What the padded part is a multiple of: 8 or 16. RFC 4253 §6.
    #[must_use]
    pub fn block_len(&self) -> usize {
        self.cipher.block_len
    }

    /// Whether the four length bytes belong to the padded part. They do without encryption, not in the AEAD modes.
    #[must_use]
    pub fn length_is_padded(&self) -> bool {
        self.cipher.length_is_padded
    }

    /// Seals `frame` (`packet_length`, `padding_length`, payload, padding) in place and writes its tag.
    ///
    /// `sequence` is the packet's sequence number; it must be unique under one key. `tag` has [`Sealer::tag_len`]
    /// bytes.
    ///
    /// # Errors
    /// The key has sealed as many packets as it may; nothing was written. (A rekey is due long before.) Also for a
    /// frame or a tag of a wrong length; then the frame must not be sent.
    pub fn seal(&mut self, sequence: u32, frame: &mut [u8], tag: &mut [u8]) -> Result<(), Exhausted> {
        debug_assert!(frame.len() >= LENGTH_LEN && tag.len() == self.cipher.tag_len, "frame and tag as documented");
        self.left = self.left.checked_sub(1).ok_or(Exhausted)?;
        match &mut self.key {
            SealingKey::Clear => Ok(()),
            SealingKey::ChaCha(key) => key.seal(sequence, frame, tag),
            SealingKey::Gcm(key) => key.seal(frame, tag),
        }
    }
}

/// Opens the packets that are received.
pub struct Opener {
    cipher: &'static Properties,
    key: OpeningKey,
    /// Packets that may still be opened under this key.
    left: u64,
}

enum OpeningKey {
    Clear,
    ChaCha(chacha20_poly1305::OpeningKey),
    Gcm(Gcm),
}

impl Opener {
    /// No protection: before the first NEWKEYS.
    #[must_use]
    pub fn clear() -> Opener {
        Opener { cipher: &CLEAR, key: OpeningKey::Clear, left: u64::MAX }
    }

    /// Opens with `cipher`, from the next packet on.
    ///
    /// # Errors
    /// `key` or `iv` has not [`Cipher::key_len`] or [`Cipher::iv_len`] bytes.
    pub fn new(cipher: Cipher, key: &[u8], iv: &[u8]) -> Result<Opener, BadKey> {
        check_lengths(cipher, key, iv)?;
        let key = match cipher {
            Cipher::ChaCha20Poly1305 => OpeningKey::ChaCha(chacha20_poly1305::OpeningKey::new(key)?),
            Cipher::Aes256Gcm => OpeningKey::Gcm(Gcm::aes_256(key, iv)?),
            Cipher::Aes128Gcm => OpeningKey::Gcm(Gcm::aes_128(key, iv)?),
        };
        Ok(Opener { cipher: cipher.properties(), key, left: PACKETS_PER_KEY })
    }

    /// Bytes that follow a frame: 0 or 16.
    #[must_use]
    pub fn tag_len(&self) -> usize {
        self.cipher.tag_len
    }

    /// What the padded part must be a multiple of: 8 or 16. RFC 4253 §6.
    #[must_use]
    pub fn block_len(&self) -> usize {
        self.cipher.block_len
    }

    /// Whether the four length bytes belong to the padded part. They do without encryption, not in the AEAD modes.
    #[must_use]
    pub fn length_is_padded(&self) -> bool {
        self.cipher.length_is_padded
    }

    /// `packet_length`, from the first four bytes as received. It is not authenticated: any value may result. Use it
    /// only to check it against the limit and to wait for that many bytes.
    #[must_use]
    pub fn length(&self, sequence: u32, first: [u8; 4]) -> u32 {
        u32::from_be_bytes(match &self.key {
            OpeningKey::ChaCha(key) => key.length(sequence, first),
            OpeningKey::Clear | OpeningKey::Gcm(_) => first,
        })
    }

    /// Opens `frame`, a whole protected packet with its tag, in place. Afterwards `frame[4..]` without the tag is
    /// `padding_length`, payload and padding in clear; the four length bytes stay as received.
    ///
    /// # Errors
    /// The tag does not fit, the packet is not complete, or the key has opened as many packets as it may. The contents
    /// of `frame` must not be used, and the connection must end.
    pub fn open(&mut self, sequence: u32, frame: &mut [u8]) -> Result<(), Forged> {
        self.left = self.left.checked_sub(1).ok_or(Forged)?;
        match &mut self.key {
            OpeningKey::Clear => frame.get(..LENGTH_LEN).map(|_| ()).ok_or(Forged),
            OpeningKey::ChaCha(key) => key.open(sequence, frame),
            OpeningKey::Gcm(key) => key.open(frame),
        }
    }
}

fn check_lengths(cipher: Cipher, key: &[u8], iv: &[u8]) -> Result<(), BadKey> {
    if key.len() == cipher.key_len() && iv.len() == cipher.iv_len() { Ok(()) } else { Err(BadKey) }
}

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
