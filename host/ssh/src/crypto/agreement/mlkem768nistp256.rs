//! `mlkem768nistp256-sha256`, draft-ietf-sshm-mlkem-hybrid-kex: for those who need a curve of NIST. Off by default, as
//! in OpenSSH, which does not know it.

use sha2::{Digest, Sha256};

use super::error::BadShare;
use super::mlkem768x25519::{KEM_CIPHERTEXT_LEN, KEM_KEY_LEN};
use super::nistp::{EcdhCurve, NistKey};
use crate::crypto::provider::{KemKey, Raw, encapsulate};
use crate::crypto::random::RandomFailed;
use crate::crypto::secret::SharedSecret;

/// The client's private keys for one agreement.
pub(super) struct NistHybridKeys {
    kem: KemKey,
    curve: NistKey,
}

impl NistHybridKeys {
    /// Makes fresh keys and the share: encapsulation key and uncompressed point.
    pub(super) fn generate() -> Result<(NistHybridKeys, Vec<u8>), RandomFailed> {
        let (curve, point) = NistKey::generate(EcdhCurve::P256)?;
        let (kem, mut share) = KemKey::generate().map_err(|_| RandomFailed)?;
        share.extend_from_slice(&point);
        Ok((NistHybridKeys { kem, curve }, share))
    }

    /// The client's second step.
    pub(super) fn finish(self, server_share: &[u8]) -> Result<SharedSecret, BadShare> {
        let (ciphertext, point) = server_share.split_at_checked(KEM_CIPHERTEXT_LEN).ok_or(BadShare)?;
        let classical = coordinate(self.curve, point)?;
        let quantum = self.kem.decapsulate(ciphertext).map_err(|_| BadShare)?;
        Ok(combine(&quantum, &classical))
    }
}

/// The server's part: makes its share (ciphertext and point) and K.
pub(super) fn respond(client_share: &[u8]) -> Result<(Vec<u8>, SharedSecret), BadShare> {
    let (curve, point) = NistKey::generate(EcdhCurve::P256).map_err(|_| BadShare)?;
    let (kem_key, client_point) = client_share.split_at_checked(KEM_KEY_LEN).ok_or(BadShare)?;
    let classical = coordinate(curve, client_point)?;
    let (mut share, quantum) = encapsulate(kem_key).map_err(|_| BadShare)?;
    share.extend_from_slice(&point);
    Ok((share, combine(&quantum, &classical)))
}

/// The x coordinate of the product, in its 32 bytes.
fn coordinate(key: NistKey, theirs: &[u8]) -> Result<Raw, BadShare> {
    key.agree(theirs, |secret| secret.try_into().map(Raw::new).map_err(|_| BadShare))?
}

/// draft-ietf-sshm-mlkem-hybrid-kex §2.4: `K = SHA-256(K_PQ || K_CL)`.
fn combine(quantum: &Raw, classical: &Raw) -> SharedSecret {
    let hash = Sha256::new().chain_update(quantum.as_slice()).chain_update(classical.as_slice());
    let secret = Raw::new(hash.finalize().into());
    SharedSecret::string(secret.as_slice())
}
