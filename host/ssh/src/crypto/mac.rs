//! Message authentication codes for ciphers that authenticate nothing themselves: RFC 4253 §6.4, RFC 6668.
//!
//! One file an algorithm, and the table [`Mac::ALL`]. A MAC covers the sequence number and the packet. The order of
//! encryption and MAC is part of the algorithm's name: with `-etm@openssh.com` the packet is encrypted first and the
//! MAC covers what is on the wire, so that nothing is decrypted before it is authentic (OpenSSH `PROTOCOL` §1.5).

mod hmac_sha2_256;
mod hmac_sha2_512;
mod key;
mod properties;

pub(super) use key::{MacKey, WrongMac};

use properties::MacProperties;

/// A MAC and its place in the order of work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mac {
    /// HMAC with SHA-256 over the encrypted packet.
    HmacSha256Etm,
    /// HMAC with SHA-512 over the encrypted packet.
    HmacSha512Etm,
    /// HMAC with SHA-256 over the packet in clear.
    HmacSha256,
    /// HMAC with SHA-512 over the packet in clear.
    HmacSha512,
}

impl Mac {
    /// All MACs, best first, in the order of OpenSSH.
    pub const ALL: [Mac; 4] = [Mac::HmacSha256Etm, Mac::HmacSha512Etm, Mac::HmacSha256, Mac::HmacSha512];

    fn properties(self) -> &'static MacProperties {
        match self {
            Mac::HmacSha256Etm => &hmac_sha2_256::ENCRYPT_THEN_MAC,
            Mac::HmacSha512Etm => &hmac_sha2_512::ENCRYPT_THEN_MAC,
            Mac::HmacSha256 => &hmac_sha2_256::ENCRYPT_AND_MAC,
            Mac::HmacSha512 => &hmac_sha2_512::ENCRYPT_AND_MAC,
        }
    }

    /// The name in a KEXINIT.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.properties().name
    }

    /// The MAC of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Mac> {
        Mac::ALL.into_iter().find(|mac| mac.name() == name)
    }

    /// Bytes of key to derive (RFC 4253 §7.2, letters `E` and `F`).
    #[must_use]
    pub fn key_len(self) -> usize {
        self.properties().key_len
    }

    /// The key of these bytes.
    ///
    /// # Errors
    /// They are not [`Mac::key_len`] bytes.
    pub(super) fn key(self, bytes: &[u8]) -> Result<MacKey, WrongMac> {
        MacKey::new(self.properties(), bytes)
    }

    /// Bytes that follow a packet.
    #[must_use]
    pub fn tag_len(self) -> usize {
        self.properties().tag_len
    }

    /// Whether the packet is encrypted before the MAC is computed; then its length is in clear.
    #[must_use]
    pub fn encrypts_first(self) -> bool {
        self.properties().encrypts_first
    }
}

#[cfg(test)]
mod tests;
