//! `mlkem768x25519-sha256`, draft-ietf-sshm-mlkem-hybrid-kex.

use sha2::{Digest, Sha256};

use super::curve25519;
use super::error::BadShare;
use crate::crypto::provider::{KemKey, Raw, encapsulate};
use crate::crypto::random::RandomFailed;
use crate::crypto::secret::SharedSecret;

/// Bytes of an ML-KEM-768 encapsulation key. FIPS 203, table 3.
pub(super) const KEM_KEY_LEN: usize = 1184;

/// Bytes of an ML-KEM-768 ciphertext. FIPS 203, table 3.
pub(super) const KEM_CIPHERTEXT_LEN: usize = 1088;

/// The client's private keys for one agreement.
pub(super) struct Keys {
    kem: KemKey,
    curve: curve25519::Key,
}

impl Keys {
    /// Makes fresh keys and the share: encapsulation key and point.
    pub(super) fn generate() -> Result<(Keys, Vec<u8>), RandomFailed> {
        let (curve, point) = curve25519::Key::generate()?;
        let (kem, mut share) = KemKey::generate().map_err(|_| RandomFailed)?;
        share.extend_from_slice(&point);
        Ok((Keys { kem, curve }, share))
    }

    /// The client's second step.
    pub(super) fn finish(self, server_share: &[u8]) -> Result<SharedSecret, BadShare> {
        let (ciphertext, point) = server_share.split_at_checked(KEM_CIPHERTEXT_LEN).ok_or(BadShare)?;
        let classical = self.curve.agree(point)?;
        let quantum = self.kem.decapsulate(ciphertext).map_err(|_| BadShare)?;
        Ok(combine(&quantum, &classical))
    }
}

/// The server's part: makes its share (ciphertext and point) and K.
pub(super) fn respond(client_share: &[u8]) -> Result<(Vec<u8>, SharedSecret), BadShare> {
    let (curve, point) = curve25519::Key::generate().map_err(|_| BadShare)?;
    let (kem_key, client_point) = client_share.split_at_checked(KEM_KEY_LEN).ok_or(BadShare)?;
    let classical = curve.agree(client_point)?;
    let (mut share, quantum) = encapsulate(kem_key).map_err(|_| BadShare)?;
    share.extend_from_slice(&point);
    Ok((share, combine(&quantum, &classical)))
}

/// draft-ietf-sshm-mlkem-hybrid-kex §2.4: `K = SHA-256(K_PQ || K_CL)`.
fn combine(quantum: &Raw, classical: &Raw) -> SharedSecret {
    let hash = Sha256::new().chain_update(quantum.as_slice()).chain_update(classical.as_slice());
    let secret = Raw::new(hash.finalize().into());
    SharedSecret::string(secret.as_slice())
}
