//! `ssh-ed25519`, RFC 8709: the public half, the secret half, and their signatures.
//!
//! Knows what follows the algorithm's name in a blob; the names themselves are read and written by `public.rs` and
//! `host.rs`, for every algorithm alike.

use ed25519_dalek::{PUBLIC_KEY_LENGTH, Signature, VerifyingKey};
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::public::Ed25519PublicKey;
use zeroize::Zeroizing;

use super::error::{BadSignature, KeyError};
use crate::crypto::provider::rand::{self, SecureRandom};
use crate::crypto::provider::signature::{Ed25519KeyPair, KeyPair};
use crate::crypto::random::RandomFailed;
use crate::crypto::string;

/// The algorithm of the keys and of the signatures that they make. RFC 8709 §4, §6.
pub(super) const NAME: &str = "ssh-ed25519";

/// The public half: a point that is not of small order, ready to verify with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ed25519Public(
    /// Boxed: it holds the point's decoded form, some 200 bytes.
    Box<VerifyingKey>,
);

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
    pub(super) fn from_point(point: &[u8; PUBLIC_KEY_LENGTH]) -> Result<Ed25519Public, KeyError> {
        let key =
            VerifyingKey::from_bytes(point).map_err(|_| KeyError::Malformed("not a point of the curve".into()))?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Ed25519Public(Box::new(key))) }
    }

    /// Reads what follows the name in a key blob: `string` point, and nothing after it. RFC 8709 §4.
    ///
    /// # Errors
    /// [`KeyError::Truncated`], [`KeyError::Malformed`] or [`KeyError::Weak`].
    pub(super) fn read(mut fields: &[u8]) -> Result<Ed25519Public, KeyError> {
        let point = string::take(&mut fields).ok_or(KeyError::Truncated)?;
        if !fields.is_empty() {
            return Err(KeyError::Malformed("bytes follow the key".into()));
        }
        Ed25519Public::from_bytes(point)
    }

    /// Takes `string` point from the front of `fields`.
    ///
    /// # Errors
    /// [`KeyError::Truncated`], [`KeyError::Malformed`] or [`KeyError::Weak`].
    pub(super) fn take(fields: &mut &[u8]) -> Result<Ed25519Public, KeyError> {
        Ed25519Public::from_bytes(string::take(fields).ok_or(KeyError::Truncated)?)
    }

    fn from_bytes(point: &[u8]) -> Result<Ed25519Public, KeyError> {
        let point = point.try_into().map_err(|_| KeyError::Malformed("an Ed25519 key has 32 bytes".into()))?;
        Ed25519Public::from_point(point)
    }

    /// Appends what follows the name in a key blob.
    pub(super) fn write(&self, blob: &mut Vec<u8>) {
        string::put(blob, self.0.as_bytes());
    }

    /// Verifies a signature over `data`. RFC 8709 §6, RFC 8032 §5.1.7.
    ///
    /// # Errors
    /// The signature is not of 64 bytes, has a point of small order or a scalar out of range, or is another key's.
    pub(super) fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let signature = Signature::from_slice(signature).map_err(|_| BadSignature)?;
        self.0.verify_strict(data, &signature).map_err(|_| BadSignature)
    }
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
