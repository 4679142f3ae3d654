//! `chacha20-poly1305@openssh.com`, OpenSSH `PROTOCOL.chacha20poly1305`.

use super::error::{BadKey, Exhausted, Forged};
use super::frame::{Framing, LENGTH_LEN, Properties, TAG_LEN, split_tag};
use crate::crypto::provider::aead::chacha20_poly1305_openssh as provider;

/// Holds two keys, of which one encrypts the length; the sequence number is the nonce.
pub(super) const PROPERTIES: Properties = Properties {
    name: "chacha20-poly1305@openssh.com",
    key_len: provider::KEY_LEN,
    iv_len: 0,
    framing: Framing { block_len: 8, tag_len: TAG_LEN, length_is_padded: false, hides_length: false },
    needs_mac: false,
};

// All ciphers frame packets in the same way.
const _: () = assert!(provider::PACKET_LENGTH_LEN == LENGTH_LEN && provider::TAG_LEN == TAG_LEN);

pub(super) struct SealingKey(provider::SealingKey);

impl SealingKey {
    pub(super) fn new(key: &[u8]) -> Result<SealingKey, BadKey> {
        Ok(SealingKey(provider::SealingKey::new(key.try_into().map_err(|_| BadKey)?)))
    }

    /// Seals `frame` in place and writes its tag.
    pub(super) fn seal(&self, sequence: u32, frame: &mut [u8], tag: &mut [u8]) -> Result<(), Exhausted> {
        let tag = tag.try_into().map_err(|_| Exhausted)?;
        if frame.len() < LENGTH_LEN {
            return Err(Exhausted);
        }
        self.0.seal_in_place(sequence, frame, tag);
        Ok(())
    }
}

pub(super) struct OpeningKey(provider::OpeningKey);

impl OpeningKey {
    pub(super) fn new(key: &[u8]) -> Result<OpeningKey, BadKey> {
        Ok(OpeningKey(provider::OpeningKey::new(key.try_into().map_err(|_| BadKey)?)))
    }

    /// The length field in clear.
    pub(super) fn length(&self, sequence: u32, first: [u8; LENGTH_LEN]) -> [u8; LENGTH_LEN] {
        self.0.decrypt_packet_length(sequence, first)
    }

    /// Opens a packet with its tag in place.
    pub(super) fn open(&self, sequence: u32, packet: &mut [u8]) -> Result<(), Forged> {
        let (frame, tag) = split_tag(packet)?;
        self.0.open_in_place(sequence, frame, tag).map(|_| ()).map_err(|_| Forged)
    }
}
