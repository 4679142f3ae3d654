//! `ring` as the provider, with ML-KEM-768 from the `ml-kem` crate and counter mode from `aes` and `ctr`.

pub(in crate::crypto) use ring::{aead, agreement, digest, hmac, rand, rsa, signature};

use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use ctr::cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipher, consts::U16};
use ctr::{Ctr128BE, CtrCore};
use ml_kem::kem::{Decapsulate, KeyExport};
use ml_kem::{B32, Seed, ml_kem_768};
use ring::rand::SecureRandom;
use zeroize::{Zeroize, Zeroizing};

use super::given::{ProviderError, Raw, raw};

/// See [`agree`](super::agree).
pub(super) fn agree<T>(
    mine: agreement::EphemeralPrivateKey,
    theirs: agreement::UnparsedPublicKey<&[u8]>,
    read: impl FnOnce(&[u8]) -> T,
) -> Result<T, ProviderError> {
    agreement::agree_ephemeral(mine, &theirs, read).map_err(|_| ProviderError)
}

/// Opens `in_out` in place; on success it is plaintext.
pub(in crate::crypto) fn open_gcm(
    key: &aead::LessSafeKey,
    nonce: aead::Nonce,
    aad: [u8; 4],
    tag: [u8; 16],
    in_out: &mut [u8],
) -> Result<(), ProviderError> {
    key.open_in_place_separate_tag(nonce, aead::Aad::from(aad), tag.into(), in_out, 0..)
        .map(|_| ())
        .map_err(|_| ProviderError)
}

/// An ECDSA key that signs. Refuses halves that do not belong together.
pub(in crate::crypto) fn ecdsa_pair(
    algorithm: &'static signature::EcdsaSigningAlgorithm,
    private: &[u8],
    public: &[u8],
) -> Result<signature::EcdsaKeyPair, ProviderError> {
    let random = rand::SystemRandom::new();
    signature::EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public, &random)
        .map_err(|_| ProviderError)
}

/// A key of AES in counter mode. RFC 4344 §4.
pub(in crate::crypto) enum CtrKey {
    Aes128(Aes128Enc),
    Aes192(Aes192Enc),
    Aes256(Aes256Enc),
}

impl CtrKey {
    /// A key of 16, 24 or 32 bytes.
    pub(in crate::crypto) fn new(key: &[u8]) -> Result<CtrKey, ProviderError> {
        let key = match key.len() {
            16 => Aes128Enc::new_from_slice(key).map(CtrKey::Aes128),
            24 => Aes192Enc::new_from_slice(key).map(CtrKey::Aes192),
            _ => Aes256Enc::new_from_slice(key).map(CtrKey::Aes256),
        };
        key.map_err(|_| ProviderError)
    }

    /// Encrypts or decrypts in place, beginning with this value of the counter.
    pub(in crate::crypto) fn apply(&self, counter: [u8; 16], in_out: &mut [u8]) -> Result<(), ProviderError> {
        match self {
            CtrKey::Aes128(key) => stream(key, counter, in_out),
            CtrKey::Aes192(key) => stream(key, counter, in_out),
            CtrKey::Aes256(key) => stream(key, counter, in_out),
        }
    }
}

fn stream<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>>(
    key: &C,
    counter: [u8; 16],
    in_out: &mut [u8],
) -> Result<(), ProviderError> {
    Ctr128BE::from_core(CtrCore::inner_iv_init(key, &counter.into()))
        .try_apply_keystream(in_out)
        .map_err(|_| ProviderError)
}

/// An ML-KEM-768 decapsulation key, FIPS 203 §7.
pub(in crate::crypto) struct KemKey(ml_kem_768::DecapsulationKey);

impl KemKey {
    /// Makes a fresh key and the 1184 bytes of its encapsulation key.
    pub(in crate::crypto) fn generate() -> Result<(KemKey, Vec<u8>), ProviderError> {
        let mut bytes = Zeroizing::new([0; 64]);
        rand::SystemRandom::new().fill(bytes.as_mut_slice()).map_err(|_| ProviderError)?;
        let mut seed = Seed::from(*bytes);
        let key = ml_kem_768::DecapsulationKey::from_seed(seed);
        seed.as_mut_slice().zeroize();
        let public = key.encapsulation_key().to_bytes().to_vec();
        Ok((KemKey(key), public))
    }

    /// Decapsulates the secret of a ciphertext. A ciphertext that was tampered with gives another secret, not an error
    /// (FIPS 203 §6.3).
    pub(in crate::crypto) fn decapsulate(self, ciphertext: &[u8]) -> Result<Raw, ProviderError> {
        let ciphertext = ciphertext.try_into().map_err(|_| ProviderError)?;
        raw(self.0.decapsulate(&ciphertext).as_slice())
    }
}

/// Encapsulates: a ciphertext for `encapsulation_key` and the secret in it. Refuses a key of the wrong length or with a
/// coefficient out of range (the modulus check, FIPS 203 §7.2).
pub(in crate::crypto) fn encapsulate(encapsulation_key: &[u8]) -> Result<(Vec<u8>, Raw), ProviderError> {
    let key = encapsulation_key.try_into().map_err(|_| ProviderError)?;
    let key = ml_kem_768::EncapsulationKey::new(&key).map_err(|_| ProviderError)?;
    let mut bytes = Zeroizing::new([0; 32]);
    rand::SystemRandom::new().fill(bytes.as_mut_slice()).map_err(|_| ProviderError)?;
    // "Deterministic" in these bytes: they are fresh from the system and are wiped on return.
    let mut message = B32::from(*bytes);
    let (ciphertext, mut secret) = key.encapsulate_deterministic(&message);
    message.as_mut_slice().zeroize();
    let shared = raw(secret.as_slice());
    secret.as_mut_slice().zeroize();
    Ok((ciphertext.to_vec(), shared?))
}
