//! `ecdh-sha2-nistp256`, `ecdh-sha2-nistp384` and `ecdh-sha2-nistp521`, RFC 5656 §4.

use super::error::BadShare;
use crate::crypto::hash::HashFunction;
use crate::crypto::provider::agreement::{Algorithm, ECDH_P256, ECDH_P384, EphemeralPrivateKey};
use crate::crypto::provider::{agree, rand};
use crate::crypto::random::RandomFailed;
use crate::crypto::secret::SharedSecret;

/// A curve of NIST. P-521 is known with `aws-lc-rs` only: `ring` lacks it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EcdhCurve {
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
    /// secp521r1.
    #[cfg(feature = "aws-lc-rs")]
    P521,
}

impl EcdhCurve {
    fn algorithm(self) -> &'static Algorithm {
        match self {
            EcdhCurve::P256 => &ECDH_P256,
            EcdhCurve::P384 => &ECDH_P384,
            #[cfg(feature = "aws-lc-rs")]
            EcdhCurve::P521 => &crate::crypto::provider::agreement::ECDH_P521,
        }
    }

    /// The hash function of the exchange, by the size of the curve. RFC 5656 §6.2.1.
    pub(super) fn hash(self) -> HashFunction {
        match self {
            EcdhCurve::P256 => HashFunction::Sha256,
            EcdhCurve::P384 => HashFunction::Sha384,
            #[cfg(feature = "aws-lc-rs")]
            EcdhCurve::P521 => HashFunction::Sha512,
        }
    }

    /// Bytes of an uncompressed point: a byte that says so, and two coordinates. SEC 1 §2.3.3.
    fn point_len(self) -> usize {
        match self {
            EcdhCurve::P256 => 1 + 2 * 32,
            EcdhCurve::P384 => 1 + 2 * 48,
            #[cfg(feature = "aws-lc-rs")]
            EcdhCurve::P521 => 1 + 2 * 66,
        }
    }
}

/// The first byte of an uncompressed point. SEC 1 §2.3.3.
const UNCOMPRESSED: u8 = 4;

/// A private key for one agreement.
pub(super) struct NistKey {
    curve: EcdhCurve,
    key: EphemeralPrivateKey,
}

impl NistKey {
    /// Makes a fresh key and its point.
    pub(super) fn generate(curve: EcdhCurve) -> Result<(NistKey, Vec<u8>), RandomFailed> {
        let key = EphemeralPrivateKey::generate(curve.algorithm(), &rand::SystemRandom::new());
        let key = key.map_err(|_| RandomFailed)?;
        let point = key.compute_public_key().map_err(|_| RandomFailed)?.as_ref().to_vec();
        Ok((NistKey { curve, key }, point))
    }

    /// The second step. The provider refuses the point at infinity and points that are not on the curve (RFC 5656 §4).
    /// Only the uncompressed form is taken, which all implementations send: one provider would also read the
    /// compressed form and whole X.509 keys.
    pub(super) fn finish(self, theirs: &[u8]) -> Result<SharedSecret, BadShare> {
        self.agree(theirs, SharedSecret::mpint)
    }

    /// The same, and gives the x coordinate to `read`.
    pub(super) fn agree<T>(self, theirs: &[u8], read: impl FnOnce(&[u8]) -> T) -> Result<T, BadShare> {
        if theirs.len() != self.curve.point_len() || theirs.first() != Some(&UNCOMPRESSED) {
            return Err(BadShare);
        }
        agree(self.key, self.curve.algorithm(), theirs, read).map_err(|_| BadShare)
    }
}

/// The server's part: makes its share and K.
pub(super) fn respond(curve: EcdhCurve, client_share: &[u8]) -> Result<(Vec<u8>, SharedSecret), BadShare> {
    let (key, point) = NistKey::generate(curve).map_err(|_| BadShare)?;
    Ok((point, key.finish(client_share)?))
}
