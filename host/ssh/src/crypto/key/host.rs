//! Host keys: the server's secret, its file, and signing.

pub(super) mod certificate;

use std::fmt;

use ssh_key::LineEnding;
use ssh_key::private::KeypairData;
use zeroize::Zeroizing;

use super::ecdsa::{EcdsaSecret, generate_ecdsa_p256};
use super::ed25519::Ed25519Secret;
use super::error::{KeyError, SignFailed};
use super::pem::{self, FromPem};
use super::public::{Kind, PublicKey, looks_like_a_name};
use super::rsa::RsaSecret;
#[cfg(feature = "aws-lc-rs")]
use crate::crypto::provider::generate_rsa_3072;
use crate::crypto::random::RandomFailed;
use crate::crypto::string;

/// A host key: it signs each exchange hash, which proves to the client who the server is. Wiped when dropped.
pub struct HostKey {
    secret: Secret,
    public: PublicKey,
}

/// The secret half, by algorithm.
enum Secret {
    Ed25519(Ed25519Secret),
    Ecdsa(EcdsaSecret),
    Rsa(RsaSecret),
}

/// The kinds of host keys that are made, as `ssh-keygen -A` makes them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HostKeyKind {
    /// `ssh-ed25519`.
    Ed25519,
    /// `ecdsa-sha2-nistp256`.
    EcdsaP256,
    /// `ssh-rsa` with 3072 bits. Takes some tenths of a second. `ring` cannot make one.
    #[cfg(feature = "aws-lc-rs")]
    Rsa3072,
}

impl HostKey {
    /// Makes a fresh key.
    ///
    /// # Errors
    /// The system gave no randomness.
    pub fn generate_kind(kind: HostKeyKind) -> Result<HostKey, RandomFailed> {
        let secret = match kind {
            HostKeyKind::Ed25519 => return HostKey::generate(),
            HostKeyKind::EcdsaP256 => pem::pkcs8(&generate_ecdsa_p256().map_err(|_| RandomFailed)?),
            #[cfg(feature = "aws-lc-rs")]
            HostKeyKind::Rsa3072 => pem::pkcs8(&generate_rsa_3072().map_err(|_| RandomFailed)?),
        };
        secret.and_then(HostKey::from_pem).map_err(|_| RandomFailed)
    }

    /// Makes a fresh `ssh-ed25519` key.
    ///
    /// # Errors
    /// The system gave no randomness.
    pub fn generate() -> Result<HostKey, RandomFailed> {
        HostKey::new(Secret::Ed25519(Ed25519Secret::generate()?)).map_err(|_| RandomFailed)
    }

    /// Reads a private key file of OpenSSH's format, as `ssh-keygen` writes it.
    ///
    /// # Errors
    /// A [`KeyError`] for each way in which the text is not an unencrypted private key of a known kind.
    pub fn from_openssh(text: &str) -> Result<HostKey, KeyError> {
        check_text(text)?;
        let key = match (ssh_key::PrivateKey::from_openssh(text), pem::short_p256(text)) {
            (Ok(key), _) => key,
            (Err(_), Some(short)) => return HostKey::new(Secret::Ecdsa(EcdsaSecret::from_file(&short)?)),
            (Err(error), None) => return Err(KeyError::Malformed(error.to_string())),
        };
        if key.is_encrypted() {
            return Err(KeyError::Encrypted);
        }
        match key.key_data() {
            KeypairData::Ed25519(read) => HostKey::new(Secret::Ed25519(Ed25519Secret::from_file(read)?)),
            KeypairData::Ecdsa(read) => HostKey::new(Secret::Ecdsa(EcdsaSecret::from_file(read)?)),
            KeypairData::Rsa(read) => HostKey::new(Secret::Rsa(RsaSecret::from_file(read)?)),
            _ => Err(KeyError::Unsupported(key.algorithm().to_string())),
        }
    }

    /// Reads a private key file of any format that sshd reads: OpenSSH's, PKCS#8 and, for RSA and ECDSA, PEM.
    ///
    /// # Errors
    /// A [`KeyError`] for each way in which the text is not an unencrypted private key of a known kind.
    pub fn from_file(text: &str) -> Result<HostKey, KeyError> {
        match pem::read(text) {
            None => HostKey::from_openssh(text),
            Some(read) => HostKey::from_pem(read?),
        }
    }

    fn from_pem(read: FromPem) -> Result<HostKey, KeyError> {
        HostKey::new(match read {
            FromPem::Ed25519(seed) => Secret::Ed25519(Ed25519Secret::from_seed(seed)?),
            FromPem::Ecdsa(read) => Secret::Ecdsa(EcdsaSecret::from_file(&read)?),
            FromPem::Rsa(read) => Secret::Rsa(RsaSecret::from_file(&read)?),
        })
    }

    fn new(secret: Secret) -> Result<HostKey, KeyError> {
        let public = match &secret {
            Secret::Ed25519(secret) => PublicKey::new(Kind::Ed25519(secret.public()?)),
            Secret::Ecdsa(secret) => PublicKey::new(Kind::Ecdsa(secret.public()?)),
            Secret::Rsa(secret) => PublicKey::new(Kind::Rsa(secret.public()?)),
        };
        Ok(HostKey { secret, public })
    }

    /// The key as a private key file, without passphrase. The file must be readable by its owner alone: mode 0600.
    #[must_use]
    pub fn to_openssh(&self) -> Zeroizing<String> {
        let data = match &self.secret {
            Secret::Ed25519(secret) => secret.keypair_data(),
            Secret::Ecdsa(secret) => secret.keypair_data(),
            Secret::Rsa(secret) => secret.keypair_data(),
        };
        ssh_key::PrivateKey::new(data, "")
            .and_then(|key| key.to_openssh(LineEnding::LF))
            .expect("all that can go wrong is a length that does not fit in 32 bits, and a key has a few KiB")
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `data` with the first of the key's [signatures](PublicKey::signatures): only an RSA key has more than one.
    /// If the provider fails, the result is empty, which no client accepts as a signature.
    #[must_use]
    pub fn sign(&self, data: &[u8]) -> Vec<u8> {
        let best = self.public.signatures().first().copied().unwrap_or_default();
        self.sign_with(best, data).unwrap_or_default()
    }

    /// Signs `data` with `algorithm`: the signature blob of RFC 4253 §6.6, `string` algorithm and `string` signature.
    ///
    /// # Errors
    /// `algorithm` is none of the key's [signatures](PublicKey::signatures), or the provider failed.
    pub fn sign_with(&self, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, SignFailed> {
        if !self.public.signatures().contains(&algorithm) {
            return Err(SignFailed);
        }
        let mut blob = Vec::with_capacity(SIGNATURE_ROOM);
        string::put(&mut blob, algorithm.as_bytes());
        match &self.secret {
            Secret::Ed25519(secret) => secret.sign(data, &mut blob),
            Secret::Ecdsa(secret) => secret.sign(data, &mut blob)?,
            Secret::Rsa(secret) => secret.sign(algorithm, data, &mut blob)?,
        }
        Ok(blob)
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

/// Room for the signature blob of any key but an RSA key.
const SIGNATURE_ROOM: usize = 192;
/// The first and last lines of a private key in OpenSSH's format.
const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";

/// Checks that `pem` looks like a whole private key in OpenSSH's format; otherwise says what it is instead.
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
mod kinds;
#[cfg(test)]
mod tests;
