//! `ecdsa-sha2-nistp256`, `ecdsa-sha2-nistp384` and `ecdsa-sha2-nistp521`, RFC 5656 §3: the public half, the secret
//! half, and their signatures. The provider signs and verifies.
//!
//! This file reads and writes what follows the algorithm's name in a blob.

use ssh_key::private::{EcdsaKeypair, KeypairData};
use zeroize::Zeroizing;

use super::error::{BadSignature, KeyError, SignFailed};
use crate::crypto::provider::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair, UnparsedPublicKey, VerificationAlgorithm,
};
use crate::crypto::provider::{ecdsa_pair, rand};
use crate::crypto::string;

/// A curve and the hash that belongs to it. RFC 5656 §6.2.1. P-521 is known with `aws-lc-rs` only: `ring` lacks it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EcdsaCurve {
    P256,
    P384,
    #[cfg(feature = "aws-lc-rs")]
    P521,
}

/// The first byte of an uncompressed point. SEC 1 §2.3.3.
const UNCOMPRESSED: u8 = 4;

impl EcdsaCurve {
    pub(super) const ALL: &[EcdsaCurve] = &[
        EcdsaCurve::P256,
        EcdsaCurve::P384,
        #[cfg(feature = "aws-lc-rs")]
        EcdsaCurve::P521,
    ];

    /// The algorithm of the keys and of their signatures: one name. RFC 5656 §6.2.
    pub(super) fn names(self) -> &'static [&'static str; 1] {
        match self {
            EcdsaCurve::P256 => &["ecdsa-sha2-nistp256"],
            EcdsaCurve::P384 => &["ecdsa-sha2-nistp384"],
            #[cfg(feature = "aws-lc-rs")]
            EcdsaCurve::P521 => &["ecdsa-sha2-nistp521"],
        }
    }

    pub(super) fn name(self) -> &'static str {
        let [name] = *self.names();
        name
    }

    /// The identifier of the curve, which a blob repeats. RFC 5656 §6.1.
    fn identifier(self) -> &'static [u8] {
        match self {
            EcdsaCurve::P256 => b"nistp256",
            EcdsaCurve::P384 => b"nistp384",
            #[cfg(feature = "aws-lc-rs")]
            EcdsaCurve::P521 => b"nistp521",
        }
    }

    /// Bytes of a coordinate, of a private key and of each number of a signature.
    fn len(self) -> usize {
        match self {
            EcdsaCurve::P256 => 32,
            EcdsaCurve::P384 => 48,
            #[cfg(feature = "aws-lc-rs")]
            EcdsaCurve::P521 => 66,
        }
    }

    fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            EcdsaCurve::P256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            EcdsaCurve::P384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
            #[cfg(feature = "aws-lc-rs")]
            EcdsaCurve::P521 => &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        }
    }

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            EcdsaCurve::P256 => &signature::ECDSA_P256_SHA256_FIXED,
            EcdsaCurve::P384 => &signature::ECDSA_P384_SHA384_FIXED,
            #[cfg(feature = "aws-lc-rs")]
            EcdsaCurve::P521 => &signature::ECDSA_P521_SHA512_FIXED,
        }
    }
}

/// The public half: an uncompressed point. Whether it is on the curve is checked with each signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct EcdsaPublic {
    curve: EcdsaCurve,
    point: Box<[u8]>,
}

impl EcdsaPublic {
    /// The key with this point.
    ///
    /// # Errors
    /// [`KeyError::Malformed`]: another form than the uncompressed one, or of another curve.
    pub(super) fn from_point(curve: EcdsaCurve, point: &[u8]) -> Result<EcdsaPublic, KeyError> {
        if point.len() != 1 + 2 * curve.len() || point.first() != Some(&UNCOMPRESSED) {
            return Err(KeyError::Malformed("not an uncompressed point of its curve".into()));
        }
        Ok(EcdsaPublic { curve, point: point.into() })
    }

    /// Takes what follows the name in a key blob: `string` identifier, `string` point. RFC 5656 §3.1.
    ///
    /// # Errors
    /// [`KeyError::Truncated`] or [`KeyError::Malformed`].
    pub(super) fn take(curve: EcdsaCurve, fields: &mut &[u8]) -> Result<EcdsaPublic, KeyError> {
        let identifier = string::take(fields).ok_or(KeyError::Truncated)?;
        let point = string::take(fields).ok_or(KeyError::Truncated)?;
        if identifier != curve.identifier() {
            return Err(KeyError::Malformed("its curve is not that of its name".into()));
        }
        EcdsaPublic::from_point(curve, point)
    }

    pub(super) fn curve(&self) -> EcdsaCurve {
        self.curve
    }

    /// Appends what follows the name in a key blob.
    pub(super) fn write(&self, blob: &mut Vec<u8>) {
        string::put(blob, self.curve.identifier());
        string::put(blob, &self.point);
    }

    /// Verifies a signature over `data`: `mpint` r, `mpint` s. RFC 5656 §3.1.2.
    ///
    /// # Errors
    /// The numbers are not positive or too large, there is more than the two, the key's point is not on its curve, or
    /// the signature is another key's.
    pub(super) fn verify(&self, data: &[u8], mut signature: &[u8]) -> Result<(), BadSignature> {
        let mut fixed = Vec::with_capacity(2 * self.curve.len());
        for _ in 0..2 {
            let number = string::take(&mut signature).ok_or(BadSignature)?;
            // As in OpenSSH, unnecessary leading zeros are accepted. A number whose first bit is set is negative.
            let digits = number.iter().position(|byte| *byte != 0).and_then(|first| number.get(first..));
            let digits = digits.filter(|_| number.first().is_some_and(|first| *first < 0x80)).ok_or(BadSignature)?;
            let zeros = self.curve.len().checked_sub(digits.len()).ok_or(BadSignature)?;
            fixed.resize(fixed.len() + zeros, 0);
            fixed.extend_from_slice(digits);
        }
        if !signature.is_empty() {
            return Err(BadSignature);
        }
        let key = UnparsedPublicKey::new(self.curve.verification(), &*self.point);
        key.verify(data, &fixed).map_err(|_| BadSignature)
    }
}

/// The secret half, wiped when dropped.
pub(super) struct EcdsaSecret {
    curve: EcdsaCurve,
    /// The key that signs.
    pair: Box<EcdsaKeyPair>,
    /// Both halves, for the key file.
    halves: EcdsaKeypair,
}

/// Makes a P-256 key, in PKCS#8.
///
/// # Errors
/// There was no randomness.
pub(super) fn generate_ecdsa_p256() -> Result<Zeroizing<Vec<u8>>, SignFailed> {
    let made = EcdsaKeyPair::generate_pkcs8(EcdsaCurve::P256.signing(), &rand::SystemRandom::new());
    made.map(|document| Zeroizing::new(document.as_ref().to_vec())).map_err(|_| SignFailed)
}

impl EcdsaSecret {
    /// The key of a private key file.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] for a curve that the provider lacks, or [`KeyError::Mismatched`].
    pub(super) fn from_file(halves: &EcdsaKeypair) -> Result<EcdsaSecret, KeyError> {
        let name = halves.algorithm();
        let curve = EcdsaCurve::ALL.iter().copied().find(|curve| curve.name() == name.as_str());
        let curve = curve.ok_or_else(|| KeyError::Unsupported(name.as_str().into()))?;
        let (private, point) = match halves {
            EcdsaKeypair::NistP256 { public, private } => (private.as_slice(), public.as_bytes()),
            EcdsaKeypair::NistP384 { public, private } => (private.as_slice(), public.as_bytes()),
            EcdsaKeypair::NistP521 { public, private } => (private.as_slice(), public.as_bytes()),
        };
        let pair = ecdsa_pair(curve.signing(), private, point).map_err(|_| KeyError::Mismatched)?;
        Ok(EcdsaSecret { curve, pair: Box::new(pair), halves: halves.clone() })
    }

    /// The public half.
    ///
    /// # Errors
    /// [`KeyError::Malformed`]. It cannot happen with a key that the provider has made.
    pub(super) fn public(&self) -> Result<EcdsaPublic, KeyError> {
        EcdsaPublic::from_point(self.curve, self.pair.public_key().as_ref())
    }

    /// Both halves as `ssh-key` writes them to a file.
    pub(super) fn keypair_data(&self) -> KeypairData {
        KeypairData::Ecdsa(self.halves.clone())
    }

    /// Appends the signature over `data`: a `string` that holds `mpint` r and `mpint` s. RFC 5656 §3.1.2.
    ///
    /// # Errors
    /// The provider could not sign: the system gave no randomness.
    pub(super) fn sign(&self, data: &[u8], blob: &mut Vec<u8>) -> Result<(), SignFailed> {
        let fixed = self.pair.sign(&rand::SystemRandom::new(), data).map_err(|_| SignFailed)?;
        let (r, s) = fixed.as_ref().split_at_checked(self.curve.len()).ok_or(SignFailed)?;
        let mut numbers = Zeroizing::new(Vec::new());
        for number in [r, s] {
            let (sign, digits) = string::mpint(number);
            string::put(&mut numbers, &[sign, digits].concat());
        }
        string::put(blob, &numbers);
        Ok(())
    }
}
