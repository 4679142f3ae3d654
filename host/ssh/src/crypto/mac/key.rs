//! The key of a MAC for one direction.

use subtle::ConstantTimeEq;

use super::properties::MacProperties;
use crate::crypto::provider::hmac;

/// A tag that does not fit, or a key or a tag of the wrong length.
#[derive(Debug)]
pub(in crate::crypto) struct WrongMac;

/// A MAC and its key.
pub(in crate::crypto) struct MacKey {
    mac: &'static MacProperties,
    /// Boxed: it holds two states of the hash, up to a KiB.
    key: Box<hmac::Key>,
}

impl MacKey {
    /// # Errors
    /// `key` does not have the length that the MAC needs.
    pub(super) fn new(mac: &'static MacProperties, key: &[u8]) -> Result<MacKey, WrongMac> {
        if key.len() != mac.key_len {
            return Err(WrongMac);
        }
        Ok(MacKey { mac, key: Box::new(hmac::Key::new(*mac.algorithm, key)) })
    }

    /// Bytes of a tag.
    pub(in crate::crypto) fn tag_len(&self) -> usize {
        self.mac.tag_len
    }

    /// Whether the packet is encrypted before the MAC is computed.
    pub(in crate::crypto) fn encrypts_first(&self) -> bool {
        self.mac.encrypts_first
    }

    /// The MAC over the sequence number and `packet`. RFC 4253 §6.4.
    fn tag(&self, sequence: u32, packet: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&sequence.to_be_bytes());
        context.update(packet);
        context.sign()
    }

    /// Writes the tag of `packet`.
    ///
    /// # Errors
    /// `tag` does not have [`MacKey::tag_len`] bytes.
    pub(in crate::crypto) fn write(&self, sequence: u32, packet: &[u8], tag: &mut [u8]) -> Result<(), WrongMac> {
        if tag.len() != self.mac.tag_len {
            return Err(WrongMac);
        }
        tag.copy_from_slice(self.tag(sequence, packet).as_ref());
        Ok(())
    }

    /// Whether `tag` is that of `packet`. Compares in constant time.
    ///
    /// # Errors
    /// It is not.
    pub(in crate::crypto) fn verify(&self, sequence: u32, packet: &[u8], tag: &[u8]) -> Result<(), WrongMac> {
        let right = self.tag(sequence, packet).as_ref().ct_eq(tag);
        if right.into() { Ok(()) } else { Err(WrongMac) }
    }
}
