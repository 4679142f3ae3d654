//! `hmac-sha2-512`, RFC 6668 §2, and `hmac-sha2-512-etm@openssh.com`.

use super::properties::MacProperties;
use crate::crypto::provider::hmac::HMAC_SHA512;

/// Over the encrypted packet.
pub(super) static ENCRYPT_THEN_MAC: MacProperties = MacProperties {
    name: "hmac-sha2-512-etm@openssh.com",
    algorithm: &HMAC_SHA512,
    key_len: 64,
    tag_len: 64,
    encrypts_first: true,
};

/// Over the packet in clear.
pub(super) static ENCRYPT_AND_MAC: MacProperties =
    MacProperties { name: "hmac-sha2-512", algorithm: &HMAC_SHA512, key_len: 64, tag_len: 64, encrypts_first: false };
