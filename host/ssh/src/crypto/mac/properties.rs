//! The entries of the table of MACs.

use crate::crypto::provider::hmac;

/// What key derivation and packet framing need to know of a MAC.
pub(super) struct MacProperties {
    /// The name in a KEXINIT.
    pub(super) name: &'static str,
    pub(super) algorithm: &'static hmac::Algorithm,
    /// Bytes of the key: as many as the hash has. RFC 6668 §2.
    pub(super) key_len: usize,
    /// Bytes of the tag.
    pub(super) tag_len: usize,
    /// Whether the packet is encrypted before the MAC is computed.
    pub(super) encrypts_first: bool,
}
