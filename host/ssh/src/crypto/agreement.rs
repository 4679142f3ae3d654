//! Ephemeral key agreement: both sides make a key for this once, and from the two shares comes K.
//!
//! `curve25519-sha256` (RFC 8731) and `mlkem768x25519-sha256` (draft-ietf-sshm-mlkem-hybrid-kex). Owns the ephemeral
//! secrets and the form in which K is hashed; the messages that carry the shares and the order of the exchange hash
//! belong to the key exchange.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::provider::agreement::{EphemeralPrivateKey, X25519};
use super::provider::{KemKey, Raw, agree_x25519, encapsulate, rand};
use super::random::RandomFailed;
use super::string;

/// The ways to agree on K.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Agreement {
    /// X25519. Shares are 32 bytes each way; K is hashed as an `mpint`. RFC 8731 §3.1.
    Curve25519,
    /// ML-KEM-768 beside X25519: safe while either is. Shares are 1184 + 32 and 1088 + 32 bytes; K is hashed as a
    /// `string`. draft-ietf-sshm-mlkem-hybrid-kex §2.
    MlKem768X25519,
}

impl Agreement {
    /// The client's first step: its ephemeral secrets and its share (`Q_C` or `C_INIT`).
    ///
    /// # Errors
    /// There was no randomness to make a key from.
    pub fn initiate(self) -> Result<(Initiator, Vec<u8>), RandomFailed> {
        let (curve, point) = curve_key()?;
        match self {
            Agreement::Curve25519 => Ok((Initiator(Secrets::Curve25519(curve)), point.to_vec())),
            Agreement::MlKem768X25519 => {
                let (kem, mut share) = KemKey::generate().map_err(|_| RandomFailed)?;
                share.extend_from_slice(&point);
                Ok((Initiator(Secrets::MlKem768X25519(Box::new(kem), curve)), share))
            }
        }
    }

    /// The server's whole part: from the client's share our own (`Q_S` or `S_REPLY`), and K.
    ///
    /// # Errors
    /// `client_share` has a wrong length, its X25519 point is of small order, or its ML-KEM key is not a valid one.
    /// (Also when there was no randomness, which the providers do not tell apart; on the systems we run on it
    /// cannot happen.)
    pub fn respond(self, client_share: &[u8]) -> Result<(Vec<u8>, SharedSecret), BadShare> {
        let (curve, point) = curve_key().map_err(|_| BadShare)?;
        match self {
            Agreement::Curve25519 => {
                let secret = agree_curve(curve, client_share)?;
                Ok((point.to_vec(), SharedSecret::mpint(&secret)))
            }
            Agreement::MlKem768X25519 => {
                let (kem_key, client_point) = client_share.split_at_checked(KEM_KEY_LEN).ok_or(BadShare)?;
                let classical = agree_curve(curve, client_point)?;
                let (mut share, quantum) = encapsulate(kem_key).map_err(|_| BadShare)?;
                share.extend_from_slice(&point);
                Ok((share, SharedSecret::hybrid(&quantum, &classical)))
            }
        }
    }
}

/// The client's ephemeral secrets, between its share and the server's.
pub struct Initiator(Secrets);

enum Secrets {
    Curve25519(EphemeralPrivateKey),
    MlKem768X25519(Box<KemKey>, EphemeralPrivateKey),
}

impl Initiator {
    /// The client's second step: K, from the server's share.
    ///
    /// # Errors
    /// `server_share` has a wrong length or its X25519 point is of small order. A KEM ciphertext that was tampered
    /// with is no error here: it gives another K, and the host key's signature fails.
    pub fn finish(self, server_share: &[u8]) -> Result<SharedSecret, BadShare> {
        match self.0 {
            Secrets::Curve25519(curve) => Ok(SharedSecret::mpint(&*agree_curve(curve, server_share)?)),
            Secrets::MlKem768X25519(kem, curve) => {
                let (ciphertext, server_point) = server_share.split_at_checked(KEM_CIPHERTEXT_LEN).ok_or(BadShare)?;
                let classical = agree_curve(curve, server_point)?;
                let quantum = kem.decapsulate(ciphertext).map_err(|_| BadShare)?;
                Ok(SharedSecret::hybrid(&quantum, &classical))
            }
        }
    }
}

impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Initiator(..)")
    }
}

/// K, in the form in which it is hashed: RFC 4253 §8 and §7.2. Wiped when dropped.
pub struct SharedSecret(Zeroizing<Vec<u8>>);

impl SharedSecret {
    /// K with its length before it, ready to go raw into the transcript and into key derivation.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.0
    }

    /// RFC 4251 §5: big-endian, no needless zeros in front, one zero where the first bit would read as a sign.
    /// RFC 8731 §3.1: the X25519 output is read as big-endian, although the curve's own order is the other one.
    fn mpint(secret: &[u8; 32]) -> SharedSecret {
        let mut padded = Zeroizing::new([0; 33]);
        for (to, from) in padded.iter_mut().skip(1).zip(secret) {
            *to = *from;
        }
        let mut digits = padded.as_slice();
        while let [0, rest @ ..] = digits
            && rest.first().is_none_or(|next| *next < 0x80)
        {
            digits = rest;
        }
        SharedSecret::string(digits)
    }

    /// draft-ietf-sshm-mlkem-hybrid-kex §2.4: `K = SHA-256(K_PQ || K_CL)`.
    fn hybrid(quantum: &Raw, classical: &Raw) -> SharedSecret {
        let hash = Sha256::new().chain_update(quantum.as_slice()).chain_update(classical.as_slice());
        let secret = Raw::new(hash.finalize().into());
        SharedSecret::string(secret.as_slice())
    }

    /// A K of the test's choice, in the form in which it is hashed.
    #[cfg(test)]
    pub(super) fn of_test_vector(encoded: &[u8]) -> SharedSecret {
        SharedSecret(Zeroizing::new(encoded.to_vec()))
    }

    fn string(bytes: &[u8]) -> SharedSecret {
        // The exact room: a vector that grows leaves the secret behind where it was.
        let mut encoded = Zeroizing::new(Vec::with_capacity(4 + bytes.len()));
        string::put(&mut encoded, bytes);
        SharedSecret(encoded)
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}

/// The peer's share is not one that can be agreed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadShare;

impl fmt::Display for BadShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an ephemeral key that cannot be agreed with")
    }
}

impl std::error::Error for BadShare {}

/// Bytes of an X25519 point. RFC 7748 §5.
const POINT_LEN: usize = 32;

/// Bytes of an ML-KEM-768 encapsulation key. FIPS 203, table 3.
const KEM_KEY_LEN: usize = 1184;

/// Bytes of an ML-KEM-768 ciphertext. FIPS 203, table 3.
const KEM_CIPHERTEXT_LEN: usize = 1088;

/// A fresh X25519 key and its point.
fn curve_key() -> Result<(EphemeralPrivateKey, [u8; POINT_LEN]), RandomFailed> {
    let key = EphemeralPrivateKey::generate(&X25519, &rand::SystemRandom::new()).map_err(|_| RandomFailed)?;
    let point = key.compute_public_key().map_err(|_| RandomFailed)?;
    let point = point.as_ref().try_into().map_err(|_| RandomFailed)?;
    Ok((key, point))
}

/// RFC 8731 §3: a wrong length and an all-zero result end the exchange.
///
/// A point whose highest bit is set is refused too. RFC 7748 §5 would have that bit masked; but no implementation
/// sends one, it gives a second spelling to each point, and five of the twelve well-known small-order encodings are
/// such spellings.
fn agree_curve(mine: EphemeralPrivateKey, theirs: &[u8]) -> Result<Raw, BadShare> {
    let theirs: &[u8; POINT_LEN] = theirs.try_into().map_err(|_| BadShare)?;
    let [.., last] = theirs;
    if *last >= 0x80 {
        return Err(BadShare);
    }
    agree_x25519(mine, theirs).map_err(|_| BadShare)
}

#[cfg(test)]
mod tests;
