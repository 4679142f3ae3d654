//! `chacha20-poly1305@openssh.com`, OpenSSH `PROTOCOL.chacha20poly1305`.

mod long;

use super::error::{BadKey, Exhausted, Forged};
use super::frame::{Framing, LENGTH_LEN, Properties, TAG_LEN, split_tag};
use crate::crypto::provider::aead::chacha20_poly1305_openssh as provider;
use long::LongPacketKey;

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

pub(super) struct SealingKey {
    provider: provider::SealingKey,
    /// Seals long packets, where that is faster.
    long: Option<LongPacketKey>,
}

impl SealingKey {
    pub(super) fn new(key: &[u8]) -> Result<SealingKey, BadKey> {
        let key = key.try_into().map_err(|_| BadKey)?;
        Ok(SealingKey { provider: provider::SealingKey::new(key), long: LongPacketKey::if_faster(key) })
    }

    /// Seals `frame` in place and writes its tag.
    pub(super) fn seal(&self, sequence: u32, frame: &mut [u8], tag: &mut [u8]) -> Result<(), Exhausted> {
        let tag = tag.try_into().map_err(|_| Exhausted)?;
        if frame.len() < LENGTH_LEN {
            return Err(Exhausted);
        }
        if let Some(long) = &self.long
            && frame.len() >= long::LEAST
        {
            return long.seal(sequence, frame, tag);
        }
        self.provider.seal_in_place(sequence, frame, tag);
        Ok(())
    }
}

pub(super) struct OpeningKey {
    provider: provider::OpeningKey,
    /// Opens long packets, where that is faster.
    long: Option<LongPacketKey>,
}

impl OpeningKey {
    pub(super) fn new(key: &[u8]) -> Result<OpeningKey, BadKey> {
        let key = key.try_into().map_err(|_| BadKey)?;
        Ok(OpeningKey { provider: provider::OpeningKey::new(key), long: LongPacketKey::if_faster(key) })
    }

    /// The length field in clear.
    pub(super) fn length(&self, sequence: u32, first: [u8; LENGTH_LEN]) -> [u8; LENGTH_LEN] {
        self.provider.decrypt_packet_length(sequence, first)
    }

    /// Opens a packet with its tag in place.
    pub(super) fn open(&self, sequence: u32, packet: &mut [u8]) -> Result<(), Forged> {
        let (frame, tag) = split_tag(packet)?;
        if let Some(long) = &self.long
            && frame.len() >= long::LEAST
        {
            return long.open(sequence, frame, tag);
        }
        self.provider.open_in_place(sequence, frame, tag).map(|_| ()).map_err(|_| Forged)
    }
}
