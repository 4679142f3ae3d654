//! What a cipher needs to know of a frame, and a frame of a cipher.

use super::error::Forged;

/// Bytes of `packet_length`.
pub(super) const LENGTH_LEN: usize = 4;

/// Bytes of a tag, the same for all three.
pub(super) const TAG_LEN: usize = 16;

/// RFC 4344 §3.1: a key protects no more than 2^32 packets. For ChaCha20 it is life or death: its nonce is the
/// sequence number, which then comes round again. Both sides hold to it, so that nothing can be replayed either.
pub(super) const PACKETS_PER_KEY: u64 = 1 << 32;

/// What key derivation and the framing of packets need to know of a cipher.
pub(super) struct Properties {
    /// The name in a KEXINIT.
    pub(super) name: &'static str,
    pub(super) key_len: usize,
    pub(super) iv_len: usize,
    /// What the padded part of a packet is a multiple of. RFC 4253 §6.
    pub(super) block_len: usize,
    /// Bytes that follow a frame.
    pub(super) tag_len: usize,
    /// Whether the four length bytes belong to the padded part.
    pub(super) length_is_padded: bool,
}

/// A frame of at least its length bytes, and the tag after it.
pub(super) fn split_tag(packet: &mut [u8]) -> Result<(&mut [u8], &[u8; TAG_LEN]), Forged> {
    match packet.split_last_chunk_mut::<TAG_LEN>() {
        Some((frame, tag)) if frame.len() >= LENGTH_LEN => Ok((frame, tag)),
        Some(_) | None => Err(Forged),
    }
}
