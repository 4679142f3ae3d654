//! Host keys: the server's secret, its file in OpenSSH's format, and signing.

use std::fmt;

use ssh_key::LineEnding;
use ssh_key::private::KeypairData;
use zeroize::Zeroizing;

use super::ed25519::Ed25519Secret;
use super::error::KeyError;
use super::public::{Kind, PublicKey, looks_like_a_name};
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
}

impl HostKey {
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
    pub fn from_openssh(pem: &str) -> Result<HostKey, KeyError> {
        check_text(pem)?;
        let key = ssh_key::PrivateKey::from_openssh(pem).map_err(|error| KeyError::Malformed(error.to_string()))?;
        if key.is_encrypted() {
            return Err(KeyError::Encrypted);
        }
        match key.key_data() {
            KeypairData::Ed25519(read) => HostKey::new(Secret::Ed25519(Ed25519Secret::from_file(read)?)),
            _ => Err(KeyError::Unsupported(key.algorithm().to_string())),
        }
    }

    fn new(secret: Secret) -> Result<HostKey, KeyError> {
        let public = match &secret {
            Secret::Ed25519(secret) => PublicKey::new(Kind::Ed25519(secret.public()?)),
        };
        Ok(HostKey { secret, public })
    }

    /// The key as a private key file, without passphrase. The file must be readable by its owner alone: mode 0600.
    #[must_use]
    pub fn to_openssh(&self) -> Zeroizing<String> {
        let data = match &self.secret {
            Secret::Ed25519(secret) => secret.keypair_data(),
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

    /// Signs `data`: the signature blob of RFC 4253 §6.6, `string` algorithm and `string` signature.
    #[must_use]
    pub fn sign(&self, data: &[u8]) -> Vec<u8> {
        let mut blob = Vec::new();
        string::put(&mut blob, self.public.algorithm().as_bytes());
        match &self.secret {
            Secret::Ed25519(secret) => secret.sign(data, &mut blob),
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
mod tests;
