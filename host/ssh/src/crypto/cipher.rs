//! Packet protection: RFC 4253 §6 with the AEAD modes of OpenSSH and with counter mode, one file a cipher.
//!
//! A [`Sealer`] and an [`Opener`] own the keys of one direction and work in the caller's buffer, without a copy or an
//! allocation. What they need is a [`Suite`]: a cipher, and a MAC where the cipher authenticates nothing. Lengths,
//! padding and sequence numbers are the transport's: nothing here parses a field.

mod chacha20_poly1305;
mod ctr;
mod error;
mod frame;
mod gcm;

use std::fmt;

pub use error::{BadKey, Exhausted, Forged};

use super::mac::Mac;
use ctr::Ctr;
use frame::{Framing, LENGTH_LEN, PACKETS_PER_KEY, Properties};
use gcm::Gcm;

/// A cipher.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cipher {
    /// ChaCha20 with Poly1305, the length encrypted under a key of its own.
    ChaCha20Poly1305,
    /// AES-128 in Galois/Counter mode, the length in clear.
    Aes128Gcm,
    /// AES-256 in Galois/Counter mode, the length in clear.
    Aes256Gcm,
    /// AES-128 in counter mode, with a MAC.
    Aes128Ctr,
    /// AES-192 in counter mode, with a MAC.
    Aes192Ctr,
    /// AES-256 in counter mode, with a MAC.
    Aes256Ctr,
}

impl Cipher {
    /// All ciphers, best first, in the order of OpenSSH.
    pub const ALL: [Cipher; 6] = [
        Cipher::ChaCha20Poly1305,
        Cipher::Aes128Gcm,
        Cipher::Aes256Gcm,
        Cipher::Aes128Ctr,
        Cipher::Aes192Ctr,
        Cipher::Aes256Ctr,
    ];

    fn properties(self) -> &'static Properties {
        match self {
            Cipher::ChaCha20Poly1305 => &chacha20_poly1305::PROPERTIES,
            Cipher::Aes128Gcm => &gcm::AES_128,
            Cipher::Aes256Gcm => &gcm::AES_256,
            Cipher::Aes128Ctr => &ctr::AES_128,
            Cipher::Aes192Ctr => &ctr::AES_192,
            Cipher::Aes256Ctr => &ctr::AES_256,
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

    /// Whether the cipher needs a MAC. An AEAD needs none, and the MAC lists of a KEXINIT are then ignored (RFC 5647
    /// §5.1, OpenSSH `PROTOCOL` §1.6).
    #[must_use]
    pub fn needs_mac(self) -> bool {
        self.properties().needs_mac
    }
}

/// How one direction is protected: a cipher, and a MAC if and only if the cipher needs one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Suite {
    cipher: Cipher,
    mac: Option<Mac>,
}

impl Suite {
    /// The suite of `cipher`, with `mac` if the cipher needs one. `None` if it needs one and there is none.
    #[must_use]
    pub fn new(cipher: Cipher, mac: Option<Mac>) -> Option<Suite> {
        match (cipher.needs_mac(), mac) {
            (false, _) => Some(Suite { cipher, mac: None }),
            (true, Some(_)) => Some(Suite { cipher, mac }),
            (true, None) => None,
        }
    }

    /// Every suite: each AEAD, and each other cipher with each MAC.
    pub fn all() -> impl Iterator<Item = Suite> {
        let macs = |cipher: Cipher| if cipher.needs_mac() { Mac::ALL.map(Some).to_vec() } else { vec![None] };
        let suites = move |cipher| macs(cipher).into_iter().filter_map(move |mac| Suite::new(cipher, mac));
        Cipher::ALL.into_iter().flat_map(suites)
    }

    /// The cipher.
    #[must_use]
    pub fn cipher(self) -> Cipher {
        self.cipher
    }

    /// The MAC, if the cipher needs one.
    #[must_use]
    pub fn mac(self) -> Option<Mac> {
        self.mac
    }

    /// How packets are laid out. With encrypt-then-MAC the length is in clear and does not belong to the padded part.
    fn framing(self) -> Framing {
        let framing = self.cipher.properties().framing;
        let Some(mac) = self.mac else { return framing };
        let encrypts_length = !mac.encrypts_first();
        Framing { tag_len: mac.tag_len(), length_is_padded: encrypts_length, hides_length: encrypts_length, ..framing }
    }

    /// Bytes of MAC key to derive (RFC 4253 §7.2, letters `E` and `F`). 0 without a MAC.
    #[must_use]
    pub fn mac_key_len(self) -> usize {
        self.mac.map_or(0, Mac::key_len)
    }
}

/// The derived keys of one direction. RFC 4253 §7.2.
#[derive(Clone, Copy)]
pub struct SuiteKeys<'k> {
    /// The cipher's key, [`Cipher::key_len`] bytes.
    pub cipher: &'k [u8],
    /// The cipher's IV, [`Cipher::iv_len`] bytes.
    pub iv: &'k [u8],
    /// The MAC's key, [`Suite::mac_key_len`] bytes.
    pub mac: &'k [u8],
}

/// Before the first NEWKEYS.
const CLEAR: Framing = Framing { block_len: 8, tag_len: 0, length_is_padded: true, hides_length: false };

/// Protects the packets that are sent.
pub struct Sealer {
    framing: Framing,
    key: SealingKey,
    /// Packets that may still be sealed under this key.
    left: u64,
}

/// Boxed, because a key that is moved would leave a copy that nobody wipes.
enum SealingKey {
    Clear,
    ChaCha(Box<chacha20_poly1305::SealingKey>),
    Gcm(Box<Gcm>),
    Ctr(Box<Ctr>),
}

impl Sealer {
    /// No protection: before the first NEWKEYS.
    #[must_use]
    pub fn clear() -> Sealer {
        Sealer { framing: CLEAR, key: SealingKey::Clear, left: u64::MAX }
    }

    /// Seals with `suite`, from the next packet on.
    ///
    /// # Errors
    /// A key does not have the length that the suite needs.
    pub fn new(suite: Suite, keys: &SuiteKeys<'_>) -> Result<Sealer, BadKey> {
        check_lengths(suite, keys)?;
        let key = match suite.cipher {
            Cipher::ChaCha20Poly1305 => SealingKey::ChaCha(Box::new(chacha20_poly1305::SealingKey::new(keys.cipher)?)),
            Cipher::Aes256Gcm => SealingKey::Gcm(Box::new(Gcm::aes_256(keys.cipher, keys.iv)?)),
            Cipher::Aes128Gcm => SealingKey::Gcm(Box::new(Gcm::aes_128(keys.cipher, keys.iv)?)),
            Cipher::Aes128Ctr | Cipher::Aes192Ctr | Cipher::Aes256Ctr => {
                SealingKey::Ctr(Box::new(counter_mode(suite, keys)?))
            }
        };
        Ok(Sealer { framing: suite.framing(), key, left: PACKETS_PER_KEY })
    }

    /// Bytes that follow a frame: 0 without keys, else 16, 32 or 64.
    #[must_use]
    pub fn tag_len(&self) -> usize {
        self.framing.tag_len
    }

    /// What the padded part is a multiple of: 8 or 16. RFC 4253 §6.
    #[must_use]
    pub fn block_len(&self) -> usize {
        self.framing.block_len
    }

    /// Whether the four length bytes belong to the padded part. They do without encryption and where the length is
    /// encrypted with the rest, but not in the AEAD and encrypt-then-MAC modes.
    #[must_use]
    pub fn length_is_padded(&self) -> bool {
        self.framing.length_is_padded
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
        debug_assert!(frame.len() >= LENGTH_LEN && tag.len() == self.framing.tag_len, "frame and tag as documented");
        self.left = self.left.checked_sub(1).ok_or(Exhausted)?;
        match &mut self.key {
            SealingKey::Clear => Ok(()),
            SealingKey::ChaCha(key) => key.seal(sequence, frame, tag),
            SealingKey::Gcm(key) => key.seal(frame, tag),
            SealingKey::Ctr(key) => key.seal(sequence, frame, tag),
        }
    }
}

/// Opens the packets that are received.
pub struct Opener {
    framing: Framing,
    key: OpeningKey,
    /// Packets that may still be opened under this key.
    left: u64,
}

/// Boxed for the reason given at [`SealingKey`].
enum OpeningKey {
    Clear,
    ChaCha(Box<chacha20_poly1305::OpeningKey>),
    Gcm(Box<Gcm>),
    Ctr(Box<Ctr>),
}

impl Opener {
    /// No protection: before the first NEWKEYS.
    #[must_use]
    pub fn clear() -> Opener {
        Opener { framing: CLEAR, key: OpeningKey::Clear, left: u64::MAX }
    }

    /// Opens with `suite`, from the next packet on.
    ///
    /// # Errors
    /// A key does not have the length that the suite needs.
    pub fn new(suite: Suite, keys: &SuiteKeys<'_>) -> Result<Opener, BadKey> {
        check_lengths(suite, keys)?;
        let key = match suite.cipher {
            Cipher::ChaCha20Poly1305 => OpeningKey::ChaCha(Box::new(chacha20_poly1305::OpeningKey::new(keys.cipher)?)),
            Cipher::Aes256Gcm => OpeningKey::Gcm(Box::new(Gcm::aes_256(keys.cipher, keys.iv)?)),
            Cipher::Aes128Gcm => OpeningKey::Gcm(Box::new(Gcm::aes_128(keys.cipher, keys.iv)?)),
            Cipher::Aes128Ctr | Cipher::Aes192Ctr | Cipher::Aes256Ctr => {
                OpeningKey::Ctr(Box::new(counter_mode(suite, keys)?))
            }
        };
        Ok(Opener { framing: suite.framing(), key, left: PACKETS_PER_KEY })
    }

    /// Bytes that follow a frame: 0 without keys, else 16, 32 or 64.
    #[must_use]
    pub fn tag_len(&self) -> usize {
        self.framing.tag_len
    }

    /// What the padded part must be a multiple of: 8 or 16. RFC 4253 §6.
    #[must_use]
    pub fn block_len(&self) -> usize {
        self.framing.block_len
    }

    /// Whether the four length bytes belong to the padded part. They do without encryption and where the length is
    /// encrypted with the rest, but not in the AEAD and encrypt-then-MAC modes.
    #[must_use]
    pub fn length_is_padded(&self) -> bool {
        self.framing.length_is_padded
    }

    /// `packet_length`, from the first four bytes as received. It is not authenticated: any value may result. Use it
    /// only to check it against the limit and to wait for that many bytes.
    #[must_use]
    pub fn length(&self, sequence: u32, first: [u8; 4]) -> u32 {
        u32::from_be_bytes(match &self.key {
            OpeningKey::ChaCha(key) => key.length(sequence, first),
            OpeningKey::Ctr(key) => key.length(first),
            OpeningKey::Clear | OpeningKey::Gcm(_) => first,
        })
    }

    /// Opens `frame`, a whole protected packet with its tag, in place. Afterwards `frame[4..]` without the tag is
    /// `padding_length`, payload and padding in clear; the four length bytes are in clear or as received.
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
            OpeningKey::Ctr(key) => key.open(sequence, frame),
        }
    }

    /// Whether the length is encrypted with the rest of the packet and covered only by the MAC at its end (RFC 4253
    /// §6.4 with a cipher that is not an AEAD). Then the time of an error would depend on the decrypted length, and an
    /// attacker who changes some bits of an encrypted length could learn the others. So after any error the receiver
    /// must pass a fixed number of bytes to [`Opener::discard`] before it reports the error.
    #[must_use]
    pub fn hides_length(&self) -> bool {
        self.framing.hides_length
    }

    /// Does the work of opening `bytes` and returns nothing, so that a packet with a wrong length takes the same time
    /// as one with a wrong tag. Afterwards no packet can be opened.
    pub fn discard(&mut self, bytes: &mut [u8]) {
        self.left = 0;
        if let OpeningKey::Ctr(key) = &mut self.key {
            key.discard(bytes);
        }
    }
}

fn check_lengths(suite: Suite, keys: &SuiteKeys<'_>) -> Result<(), BadKey> {
    let wanted = [suite.cipher.key_len(), suite.cipher.iv_len(), suite.mac_key_len()];
    if [keys.cipher.len(), keys.iv.len(), keys.mac.len()] == wanted { Ok(()) } else { Err(BadKey) }
}

fn counter_mode(suite: Suite, keys: &SuiteKeys<'_>) -> Result<Ctr, BadKey> {
    let mac = suite.mac.ok_or(BadKey)?.key(keys.mac).map_err(|_| BadKey)?;
    Ctr::new(keys.cipher, keys.iv, mac)
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
mod ctr_tests;
#[cfg(test)]
mod tests;
