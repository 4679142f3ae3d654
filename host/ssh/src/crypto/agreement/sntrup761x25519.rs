//! `sntrup761x25519-sha512`, draft-ietf-sshm-ntruprime-ssh: Streamlined NTRU Prime 761 with X25519.
//!
//! 2026-11-29. Chosen: the crate `sntrup-kem` of RustCrypto. Refused: `sntrup` and `sntrup761` of the same author, and
//! `sntrup-sys`, C code without a licence. Why: it is the one that others review, and it is tested with the vectors of
//! draft-josefsson-ntruprime-streamlined. It wipes its keys, but not all intermediate values (0.2: the sorted array in
//! `Zx::random_tsmall`, from which the secret polynomial follows), so freed memory may hold the half of a past
//! exchange that is quantum-safe. The X25519 half is wiped.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use sha2::{Digest, Sha512};
use sntrup_kem::sntrup761::{CIPHERTEXT_SIZE, Ciphertext, DecapsulationKey, EncapsulationKey, PUBLIC_KEY_SIZE};
use sntrup_kem::sntrup761::{SharedSecret as KemSecret, generate_key};
use zeroize::Zeroizing;

use super::curve25519;
use super::error::BadShare;
use crate::crypto::provider::Raw;
use crate::crypto::provider::rand::{self, SecureRandom};
use crate::crypto::random::RandomFailed;
use crate::crypto::secret::SharedSecret;

/// The client's private keys for one agreement.
pub(super) struct SntrupKeys {
    kem: DecapsulationKey,
    curve: curve25519::Key,
}

/// A generator with a fresh seed of the system. The crate draws from a generator that cannot fail.
fn generator() -> Result<ChaCha20Rng, RandomFailed> {
    let mut seed = Zeroizing::new([0; 32]);
    rand::SystemRandom::new().fill(seed.as_mut_slice()).map_err(|_| RandomFailed)?;
    Ok(ChaCha20Rng::from_seed(*seed))
}

impl SntrupKeys {
    /// Makes fresh keys and the share: encapsulation key and point.
    pub(super) fn generate() -> Result<(SntrupKeys, Vec<u8>), RandomFailed> {
        let (curve, point) = curve25519::Key::generate()?;
        let (public, kem) = generate_key(&mut generator()?);
        Ok((SntrupKeys { kem, curve }, [public.as_ref(), &point].concat()))
    }

    /// The client's second step.
    pub(super) fn finish(self, server_share: &[u8]) -> Result<SharedSecret, BadShare> {
        let (ciphertext, point) = server_share.split_at_checked(CIPHERTEXT_SIZE).ok_or(BadShare)?;
        let classical = self.curve.agree(point)?;
        let ciphertext = Ciphertext::try_from(ciphertext).map_err(|_| BadShare)?;
        Ok(combine(&self.kem.decapsulate(&ciphertext), &classical))
    }
}

/// The server's part: makes its share (ciphertext and point) and K.
pub(super) fn respond(client_share: &[u8]) -> Result<(Vec<u8>, SharedSecret), BadShare> {
    let (curve, point) = curve25519::Key::generate().map_err(|_| BadShare)?;
    let (kem_key, client_point) = client_share.split_at_checked(PUBLIC_KEY_SIZE).ok_or(BadShare)?;
    let classical = curve.agree(client_point)?;
    let kem_key = EncapsulationKey::try_from(kem_key).map_err(|_| BadShare)?;
    let (ciphertext, quantum) = kem_key.encapsulate(&mut generator().map_err(|_| BadShare)?);
    Ok(([ciphertext.as_ref(), &point].concat(), combine(&quantum, &classical)))
}

/// draft-ietf-sshm-ntruprime-ssh §3: `K = SHA-512(K_PQ || K_CL)`.
fn combine(quantum: &KemSecret, classical: &Raw) -> SharedSecret {
    let hash = Sha512::new().chain_update(quantum.as_ref()).chain_update(classical.as_slice());
    let secret: Zeroizing<[u8; 64]> = Zeroizing::new(hash.finalize().into());
    SharedSecret::string(secret.as_slice())
}
