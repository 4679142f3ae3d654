//! `hmac-sha2-256`, RFC 6668 §2, and `hmac-sha2-256-etm@openssh.com`.

use super::properties::MacProperties;
use crate::crypto::provider::hmac::HMAC_SHA256;

/// Over the encrypted packet.
pub(super) static ENCRYPT_THEN_MAC: MacProperties = MacProperties {
    name: "hmac-sha2-256-etm@openssh.com",
    algorithm: &HMAC_SHA256,
    key_len: 32,
    tag_len: 32,
    encrypts_first: true,
};

/// Over the packet in clear.
pub(super) static ENCRYPT_AND_MAC: MacProperties =
    MacProperties { name: "hmac-sha2-256", algorithm: &HMAC_SHA256, key_len: 32, tag_len: 32, encrypts_first: false };
