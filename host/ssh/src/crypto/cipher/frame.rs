//! What a cipher must know of a frame.

use super::error::Forged;

/// Bytes of `packet_length`.
pub(super) const LENGTH_LEN: usize = 4;

/// Bytes of a tag, the same for all AEADs.
pub(super) const TAG_LEN: usize = 16;

/// RFC 4344 §3.1: a key protects at most 2^32 packets. For ChaCha20 this is essential: its nonce is the sequence
/// number, which would repeat. Both directions enforce it, so that nothing can be replayed either.
pub(super) const PACKETS_PER_KEY: u64 = 1 << 32;

/// The sizes of a cipher that key derivation and packet framing need.
pub(super) struct Properties {
    /// The name in a KEXINIT.
    pub(super) name: &'static str,
    pub(super) key_len: usize,
    pub(super) iv_len: usize,
    /// How packets are framed. With a MAC, the MAC decides about the tag and the padded part.
    pub(super) framing: Framing,
    /// Whether the cipher authenticates nothing, so that it needs a MAC.
    pub(super) needs_mac: bool,
}

/// How packets are laid out under a key.
#[derive(Clone, Copy)]
pub(super) struct Framing {
    /// The padded part of a packet is a multiple of this. RFC 4253 §6.
    pub(super) block_len: usize,
    /// Bytes that follow a frame.
    pub(super) tag_len: usize,
    /// Whether the four length bytes belong to the padded part.
    pub(super) length_is_padded: bool,
    /// Whether a wrong length must look like a wrong tag: see [`Opener::hides_length`](super::Opener::hides_length).
    pub(super) hides_length: bool,
}

/// Splits a packet into its frame, which has at least the length bytes, and its tag.
pub(super) fn split_tag(packet: &mut [u8]) -> Result<(&mut [u8], &[u8; TAG_LEN]), Forged> {
    match packet.split_last_chunk_mut::<TAG_LEN>() {
        Some((frame, tag)) if frame.len() >= LENGTH_LEN => Ok((frame, tag)),
        Some(_) | None => Err(Forged),
    }
}
