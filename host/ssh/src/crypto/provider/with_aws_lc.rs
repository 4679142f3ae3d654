//! AWS-LC as the provider.

pub(in crate::crypto) use aws_lc_rs::{aead, agreement, digest, hmac, rand, rsa, signature};

use aws_lc_rs::cipher::{AES_128, AES_192, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::kem;
use zeroize::Zeroizing;

use super::given::{ProviderError, Raw, raw};

/// See [`agree`](super::agree).
pub(super) fn agree<T>(
    mine: agreement::EphemeralPrivateKey,
    theirs: agreement::UnparsedPublicKey<&[u8]>,
    read: impl FnOnce(&[u8]) -> T,
) -> Result<T, ProviderError> {
    agreement::agree_ephemeral(mine, theirs, ProviderError, |secret| Ok(read(secret)))
}

/// Opens `in_out` in place; on success it is plaintext.
pub(in crate::crypto) fn open_gcm(
    key: &aead::LessSafeKey,
    nonce: aead::Nonce,
    aad: [u8; 4],
    tag: [u8; 16],
    in_out: &mut [u8],
) -> Result<(), ProviderError> {
    // The call with the tag at the end of `in_out` moves the plaintext afterwards; this one does not.
    key.open_in_place_separate_tag(nonce, aead::Aad::from(aad), &tag, in_out).map(|_| ()).map_err(|_| ProviderError)
}

/// An ECDSA key that signs. Refuses halves that do not belong together.
pub(in crate::crypto) fn ecdsa_pair(
    algorithm: &'static signature::EcdsaSigningAlgorithm,
    private: &[u8],
    public: &[u8],
) -> Result<signature::EcdsaKeyPair, ProviderError> {
    signature::EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public).map_err(|_| ProviderError)
}

/// Makes an RSA key of 3072 bits, in PKCS#8.
pub(in crate::crypto) fn generate_rsa_3072() -> Result<Zeroizing<Vec<u8>>, ProviderError> {
    let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa3072).map_err(|_| ProviderError)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| ProviderError)?;
    Ok(Zeroizing::new(der.as_ref().to_vec()))
}

/// A key of AES in counter mode. RFC 4344 §4.
pub(in crate::crypto) struct CtrKey(EncryptingKey);

impl CtrKey {
    /// A key of 16, 24 or 32 bytes.
    pub(in crate::crypto) fn new(key: &[u8]) -> Result<CtrKey, ProviderError> {
        let algorithm = match key.len() {
            16 => &AES_128,
            24 => &AES_192,
            _ => &AES_256,
        };
        let key = UnboundCipherKey::new(algorithm, key).and_then(EncryptingKey::ctr);
        key.map(CtrKey).map_err(|_| ProviderError)
    }

    /// Encrypts or decrypts in place, beginning with this value of the counter.
    pub(in crate::crypto) fn apply(&self, counter: [u8; 16], in_out: &mut [u8]) -> Result<(), ProviderError> {
        let context = EncryptionContext::Iv128(counter.into());
        self.0.less_safe_encrypt(in_out, context).map(|_| ()).map_err(|_| ProviderError)
    }
}

/// An ML-KEM-768 decapsulation key, FIPS 203 §7.
pub(in crate::crypto) struct KemKey(kem::DecapsulationKey);

impl KemKey {
    /// Makes a fresh key and the 1184 bytes of its encapsulation key.
    pub(in crate::crypto) fn generate() -> Result<(KemKey, Vec<u8>), ProviderError> {
        let key = kem::DecapsulationKey::generate(&kem::ML_KEM_768).map_err(|_| ProviderError)?;
        let public = key.encapsulation_key().and_then(|public| public.key_bytes()).map_err(|_| ProviderError)?;
        Ok((KemKey(key), public.as_ref().to_vec()))
    }

    /// Decapsulates the secret of a ciphertext. A ciphertext that was tampered with gives another secret, not an error
    /// (FIPS 203 §6.3).
    pub(in crate::crypto) fn decapsulate(self, ciphertext: &[u8]) -> Result<Raw, ProviderError> {
        raw(self.0.decapsulate(ciphertext.into()).map_err(|_| ProviderError)?.as_ref())
    }
}

/// Encapsulates: a ciphertext for `encapsulation_key` and the secret in it. Refuses a key of the wrong length or with a
/// coefficient out of range (the modulus check, FIPS 203 §7.2).
pub(in crate::crypto) fn encapsulate(encapsulation_key: &[u8]) -> Result<(Vec<u8>, Raw), ProviderError> {
    let key = kem::EncapsulationKey::new(&kem::ML_KEM_768, encapsulation_key).map_err(|_| ProviderError)?;
    let (ciphertext, secret) = key.encapsulate().map_err(|_| ProviderError)?;
    Ok((ciphertext.as_ref().to_vec(), raw(secret.as_ref())?))
}
