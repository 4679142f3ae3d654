//! Host keys: the server's secret, its file in OpenSSH's format, and signing.

use std::fmt;

use ssh_key::LineEnding;
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::public::Ed25519PublicKey;
use zeroize::Zeroizing;

use super::error::KeyError;
use super::public::{PublicKey, looks_like_a_name};
use crate::crypto::provider::rand::{self, SecureRandom};
use crate::crypto::provider::signature::{Ed25519KeyPair, KeyPair};
use crate::crypto::random::RandomFailed;
use crate::crypto::string;

/// A host key: it signs each exchange hash, and so says who we are. Wiped when dropped.
pub struct HostKey {
    secret: Secret,
    public: PublicKey,
}

enum Secret {
    Ed25519 {
        /// The 32 bytes that everything else is computed from (RFC 8032 §5.1.5), kept for [`HostKey::to_openssh`].
        seed: Zeroizing<[u8; 32]>,
        /// What signs.
        pair: Box<Ed25519KeyPair>,
    },
}

impl HostKey {
    /// A fresh `ssh-ed25519` key.
    ///
    /// # Errors
    /// There was no randomness.
    pub fn generate() -> Result<HostKey, RandomFailed> {
        let mut seed = Zeroizing::new([0; 32]);
        rand::SystemRandom::new().fill(seed.as_mut_slice()).map_err(|_| RandomFailed)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| RandomFailed)?;
        HostKey::from_ed25519(seed, pair).map_err(|_| RandomFailed)
    }

    /// Reads a private key file of OpenSSH's format, as `ssh-keygen` writes it.
    ///
    /// # Errors
    /// A [`KeyError`] for each way in which the text is not an unencrypted private key of a known kind.
    pub fn from_openssh(pem: &str) -> Result<HostKey, KeyError> {
        check_text(pem)?;
        let key = ssh_key::PrivateKey::from_openssh(pem).map_err(|error| KeyError::Malformed(error.to_string()))?;
        if key.is_encrypted() {
            return Err(KeyError::Encrypted);
        }
        let Some(read) = key.key_data().ed25519() else {
            return Err(KeyError::Unsupported(key.algorithm().to_string()));
        };
        let seed = Zeroizing::new(read.private.to_bytes());
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed.as_slice(), &read.public.0)
            .map_err(|_| KeyError::Mismatched)?;
        HostKey::from_ed25519(seed, pair)
    }

    fn from_ed25519(seed: Zeroizing<[u8; 32]>, pair: Ed25519KeyPair) -> Result<HostKey, KeyError> {
        let point = pair.public_key().as_ref().try_into();
        let public = PublicKey::from_ed25519(point.map_err(|_| KeyError::Mismatched)?)?;
        Ok(HostKey { secret: Secret::Ed25519 { seed, pair: Box::new(pair) }, public })
    }

    /// The key as a private key file, without passphrase. For the owner's eyes alone: mode 0600.
    #[must_use]
    pub fn to_openssh(&self) -> Zeroizing<String> {
        let data = match &self.secret {
            Secret::Ed25519 { seed, pair } => {
                let mut public = Ed25519PublicKey([0; 32]);
                public.0.copy_from_slice(pair.public_key().as_ref());
                KeypairData::Ed25519(Ed25519Keypair { public, private: Ed25519PrivateKey::from_bytes(seed) })
            }
        };
        ssh_key::PrivateKey::new(data, "")
            .and_then(|key| key.to_openssh(LineEnding::LF))
            .expect("all that can go wrong is a length that does not fit in 32 bits, and the key above has 64 bytes")
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `data`: the signature blob of RFC 8709 §6, `string` algorithm and `string` signature.
    #[must_use]
    pub fn sign(&self, data: &[u8]) -> Vec<u8> {
        let mut blob = Vec::new();
        match &self.secret {
            Secret::Ed25519 { pair, .. } => {
                string::put(&mut blob, self.public.algorithm().as_bytes());
                string::put(&mut blob, pair.sign(data).as_ref());
            }
        }
        blob
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostKey")
            .field("algorithm", &self.public.algorithm())
            .field("fingerprint", &self.public.fingerprint())
            .finish_non_exhaustive()
    }
}

/// How the text of a private key in OpenSSH's format begins and ends.
const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";

/// Whether `pem` is a whole private key in OpenSSH's format by its outside; if not, what it is instead.
fn check_text(pem: &str) -> Result<(), KeyError> {
    let text = pem.trim();
    if text.is_empty() {
        return Err(KeyError::Empty);
    }
    if text.starts_with(BEGIN) {
        return match text {
            _ if text.contains('\r') => Err(KeyError::CarriageReturn),
            _ if !text.ends_with(END) => Err(KeyError::Truncated),
            _ => Ok(()),
        };
    }
    if let Some((label, _)) = text.strip_prefix("-----BEGIN ").and_then(|rest| rest.split_once("-----")) {
        let public = label.ends_with("PUBLIC KEY");
        return Err(if public { KeyError::PublicOnly } else { KeyError::Foreign(label.escape_default().to_string()) });
    }
    if text.starts_with("PuTTY-User-Key-File") {
        return Err(KeyError::Foreign("PuTTY".into()));
    }
    match text.split_ascii_whitespace().next() {
        Some(word) if looks_like_a_name(word) => Err(KeyError::PublicOnly),
        Some(_) | None if BEGIN.starts_with(text) => Err(KeyError::Truncated),
        Some(_) | None => Err(KeyError::NotAKey),
    }
}

#[cfg(test)]
mod tests;
