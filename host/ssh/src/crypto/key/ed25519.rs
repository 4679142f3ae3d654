//! `ssh-ed25519`, RFC 8709: the public half, the secret half, and their signatures.
//!
//! Knows what follows the algorithm's name in a blob; the names themselves are read and written by `public.rs` and
//! `host.rs`, for every algorithm alike.
//!
//! # Strictness
//!
//! A signature (R, S) of a key A is valid if `[S]B = R + [k]A` holds without the cofactor, S is below the order, and
//! A and R are canonical encodings of points that are not of small order. Malleable signatures are therefore refused,
//! and so are keys for which one signature fits many messages.
//!
//! Decision of 2026-11-30: the provider verifies, and this file refuses what the provider takes and the rule does not.
//! Chosen: AWS-LC and `ring` both compare the bytes of R with the encoding that they compute, without the cofactor, and
//! refuse S at or above the order; what they lack is a look at A when it is read and at R. Refused: `verify_strict` of
//! `ed25519-dalek`, which obeys the same rule except that it takes A in any encoding, and needs 2.5 times as long. It
//! still decodes A, and the tests compare every verdict with its own.

use ed25519_dalek::VerifyingKey;
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::public::Ed25519PublicKey;
use zeroize::Zeroizing;

use super::error::{BadSignature, KeyError};
use crate::crypto::provider::rand::{self, SecureRandom};
use crate::crypto::provider::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use crate::crypto::random::RandomFailed;
use crate::crypto::string;

/// The algorithm of the keys and of the signatures that they make. RFC 8709 §4, §6.
pub(super) const NAME: &str = "ssh-ed25519";

/// Bytes of an encoded point. RFC 8032 §5.1.2.
const POINT: usize = 32;
/// Bytes of a signature: the point R and the scalar S. RFC 8032 §5.1.6.
const SIGNATURE: usize = 64;

/// The y coordinates of the eight points of small order in all their encodings, without the sign of x.
const SMALL_ORDER: [[u8; POINT]; 7] = [
    // 0, of order 4, and the same plus the prime.
    ends(0x00, 0x00, 0x00),
    ends(0xed, 0xff, 0x7f),
    // 1, the neutral point, and the same plus the prime.
    ends(0x01, 0x00, 0x00),
    ends(0xee, 0xff, 0x7f),
    // -1, of order 2.
    ends(0xec, 0xff, 0x7f),
    // Of order 8: one number and its negative.
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, //
        0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, //
        0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// The number with these bytes at its ends and this one in all other places, least significant first.
const fn ends(first: u8, middle: u8, last: u8) -> [u8; POINT] {
    let mut number = [middle; POINT];
    number[0] = first;
    number[POINT - 1] = last;
    number
}

/// The y coordinate of an encoded point: all but the first bit, which is the sign of x.
fn y(point: &[u8; POINT]) -> [u8; POINT] {
    let mut y = *point;
    y[POINT - 1] &= 0x7f;
    y
}

fn is_small_order(point: &[u8; POINT]) -> bool {
    SMALL_ORDER.contains(&y(point))
}

/// Whether the y coordinate is below the prime, 2^255 - 19. The other encodings that are not canonical are of points of
/// small order: x = 0 with the sign of a negative number.
fn is_canonical(point: &[u8; POINT]) -> bool {
    let [first, middle @ .., last] = y(point);
    first < 0xed || last < 0x7f || middle.iter().any(|byte| *byte < 0xff)
}

/// The public half: the canonical encoding of a point that is not of small order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ed25519Public([u8; POINT]);

/// The secret half, wiped when dropped.
pub(super) struct Ed25519Secret {
    /// The 32 bytes from which everything else is computed (RFC 8032 §5.1.5), kept for the key file.
    seed: Zeroizing<[u8; 32]>,
    /// The key that signs.
    pair: Box<Ed25519KeyPair>,
}

impl Ed25519Public {
    /// The key whose point is `point`. RFC 8032 §5.1.5.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] or [`KeyError::Weak`].
    pub(super) fn from_point(point: &[u8; POINT]) -> Result<Ed25519Public, KeyError> {
        let key = Ed25519Public::from_encoding(point)?;
        key.check_curve()?;
        Ok(key)
    }

    /// The key whose point is `point`, if there is one: [`check_curve`](Self::check_curve) and
    /// [`verify`](Self::verify) find out.
    fn from_encoding(point: &[u8; POINT]) -> Result<Ed25519Public, KeyError> {
        if is_small_order(point) {
            return Err(KeyError::Weak);
        }
        if !is_canonical(point) {
            return Err(KeyError::Malformed("the point is not in its canonical encoding".into()));
        }
        Ok(Ed25519Public(*point))
    }

    /// Checks that the point is one of the curve, which takes a tenth of the time of a verification.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub(super) fn check_curve(&self) -> Result<(), KeyError> {
        let decoded = VerifyingKey::from_bytes(&self.0);
        decoded.map(|_| ()).map_err(|_| KeyError::Malformed("not a point of the curve".into()))
    }

    /// Reads what follows the name in a key blob: `string` point, and nothing after it. RFC 8709 §4. Does not
    /// [`check_curve`](Self::check_curve).
    ///
    /// # Errors
    /// [`KeyError::Truncated`], [`KeyError::Malformed`] or [`KeyError::Weak`].
    pub(super) fn read(mut fields: &[u8]) -> Result<Ed25519Public, KeyError> {
        let point = string::take(&mut fields).ok_or(KeyError::Truncated)?;
        if !fields.is_empty() {
            return Err(KeyError::Malformed("bytes follow the key".into()));
        }
        Ed25519Public::from_encoding(fixed(point)?)
    }

    /// Takes `string` point from the front of `fields`.
    ///
    /// # Errors
    /// [`KeyError::Truncated`], [`KeyError::Malformed`] or [`KeyError::Weak`].
    pub(super) fn take(fields: &mut &[u8]) -> Result<Ed25519Public, KeyError> {
        Ed25519Public::from_point(fixed(string::take(fields).ok_or(KeyError::Truncated)?)?)
    }

    /// Appends what follows the name in a key blob.
    pub(super) fn write(&self, blob: &mut Vec<u8>) {
        string::put(blob, &self.0);
    }

    /// Verifies a signature over `data`, strictly: see above. RFC 8709 §6, RFC 8032 §5.1.7.
    ///
    /// # Errors
    /// The signature is not of 64 bytes, has a point of small order or a scalar out of range, or is another key's.
    pub(super) fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let signature = <&[u8; SIGNATURE]>::try_from(signature).map_err(|_| BadSignature)?;
        // The provider takes R in its canonical encoding only, but of any order.
        if signature.first_chunk().is_none_or(is_small_order) {
            return Err(BadSignature);
        }
        UnparsedPublicKey::new(&ED25519, self.0).verify(data, signature).map_err(|_| BadSignature)
    }
}

/// The 32 bytes of a point.
fn fixed(point: &[u8]) -> Result<&[u8; POINT], KeyError> {
    point.try_into().map_err(|_| KeyError::Malformed("an Ed25519 key has 32 bytes".into()))
}

impl Ed25519Secret {
    /// A fresh key.
    ///
    /// # Errors
    /// There was no randomness.
    pub(super) fn generate() -> Result<Ed25519Secret, RandomFailed> {
        let mut seed = Zeroizing::new([0; 32]);
        rand::SystemRandom::new().fill(seed.as_mut_slice()).map_err(|_| RandomFailed)?;
        Ed25519Secret::from_seed(seed).map_err(|_| RandomFailed)
    }

    /// The key of this seed.
    ///
    /// # Errors
    /// [`KeyError::Malformed`]. It cannot happen with 32 bytes.
    pub(super) fn from_seed(seed: Zeroizing<[u8; 32]>) -> Result<Ed25519Secret, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice());
        let pair = pair.map_err(|_| KeyError::Malformed("not a seed".into()))?;
        Ok(Ed25519Secret { seed, pair: Box::new(pair) })
    }

    /// The key of a private key file.
    ///
    /// # Errors
    /// [`KeyError::Mismatched`].
    pub(super) fn from_file(read: &Ed25519Keypair) -> Result<Ed25519Secret, KeyError> {
        let seed = Zeroizing::new(read.private.to_bytes());
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed.as_slice(), &read.public.0)
            .map_err(|_| KeyError::Mismatched)?;
        Ok(Ed25519Secret { seed, pair: Box::new(pair) })
    }

    /// The public half.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] or [`KeyError::Weak`], which no provider makes of a seed.
    pub(super) fn public(&self) -> Result<Ed25519Public, KeyError> {
        let point = self.pair.public_key().as_ref().try_into();
        Ed25519Public::from_point(point.map_err(|_| KeyError::Mismatched)?)
    }

    /// Both halves as `ssh-key` writes them to a file.
    pub(super) fn keypair_data(&self) -> KeypairData {
        let mut public = Ed25519PublicKey([0; 32]);
        public.0.copy_from_slice(self.pair.public_key().as_ref());
        KeypairData::Ed25519(Ed25519Keypair { public, private: Ed25519PrivateKey::from_bytes(&self.seed) })
    }

    /// Appends the signature over `data`: the second `string` of RFC 8709 §6.
    pub(super) fn sign(&self, data: &[u8], blob: &mut Vec<u8>) {
        string::put(blob, self.pair.sign(data).as_ref());
    }
}

#[cfg(test)]
mod tests;
