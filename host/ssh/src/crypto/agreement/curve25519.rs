//! `curve25519-sha256`, RFC 8731.

use super::error::BadShare;
use crate::crypto::provider::agreement::{EphemeralPrivateKey, X25519};
use crate::crypto::provider::{Raw, agree_x25519, rand};
use crate::crypto::random::RandomFailed;
use crate::crypto::secret::SharedSecret;

/// Bytes of an X25519 point. RFC 7748 §5.
pub(super) const POINT_LEN: usize = 32;

/// A private key for one agreement.
pub(super) struct Key(EphemeralPrivateKey);

impl Key {
    /// Makes a fresh key and its point.
    pub(super) fn generate() -> Result<(Key, [u8; POINT_LEN]), RandomFailed> {
        let key = EphemeralPrivateKey::generate(&X25519, &rand::SystemRandom::new()).map_err(|_| RandomFailed)?;
        let point = key.compute_public_key().map_err(|_| RandomFailed)?;
        let point = point.as_ref().try_into().map_err(|_| RandomFailed)?;
        Ok((Key(key), point))
    }

    /// RFC 8731 §3: a wrong length and an all-zero result end the exchange.
    ///
    /// A point whose highest bit is set is refused too. RFC 7748 §5 would mask that bit; but no implementation sends
    /// such a point, it would give each point a second encoding, and five of the twelve well-known small-order
    /// encodings are of this kind.
    pub(super) fn agree(self, theirs: &[u8]) -> Result<Raw, BadShare> {
        let theirs: &[u8; POINT_LEN] = theirs.try_into().map_err(|_| BadShare)?;
        let [.., last] = theirs;
        if *last >= 0x80 {
            return Err(BadShare);
        }
        agree_x25519(self.0, theirs).map_err(|_| BadShare)
    }

    /// The client's second step. RFC 8731 §3.1: the output is read as a big-endian number, although the curve itself is
    /// little-endian.
    pub(super) fn finish(self, server_share: &[u8]) -> Result<SharedSecret, BadShare> {
        Ok(SharedSecret::mpint(self.agree(server_share)?.as_slice()))
    }
}

/// The server's part: makes its share and K.
pub(super) fn respond(client_share: &[u8]) -> Result<(Vec<u8>, SharedSecret), BadShare> {
    let (key, point) = Key::generate().map_err(|_| BadShare)?;
    Ok((point.to_vec(), key.finish(client_share)?))
}
