//! Public keys: the blob of RFC 4253 §6.6, the line of an OpenSSH `.pub` file, and verification.

use ssh_key::HashAlg;
use ssh_key::public::KeyData;

use super::ed25519::{self, Ed25519Public};
use super::error::{BadSignature, KeyError};
use crate::crypto::string;

/// A public key of a host or a user. Two are equal when their blobs are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicKey {
    kind: Kind,
    /// The key blob: `string` algorithm, then what the algorithm defines.
    blob: Box<[u8]>,
}

/// What verifies, by algorithm: a file each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// RFC 8709.
    Ed25519(Ed25519Public),
}

/// Every signature algorithm that we verify, of host keys and of users' keys, best first.
pub const SIGNATURES: [&str; 1] = [ed25519::NAME];

/// The most characters of a peer's algorithm name that an error repeats. RFC 4251 §6: names have at most 64.
const NAME_SHOWN: usize = 64;

impl PublicKey {
    /// Reads a key blob. RFC 4253 §6.6, RFC 8709 §4.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`], [`KeyError::Truncated`], [`KeyError::Malformed`] or [`KeyError::Weak`].
    pub fn from_blob(blob: &[u8]) -> Result<PublicKey, KeyError> {
        let mut rest = blob;
        let name = string::take(&mut rest).ok_or(KeyError::Truncated)?;
        if name == ed25519::NAME.as_bytes() {
            return Ok(PublicKey::new(Kind::Ed25519(Ed25519Public::read(rest)?)));
        }
        let shown: Vec<u8> = name.iter().copied().take(NAME_SHOWN).collect();
        Err(KeyError::Unsupported(shown.escape_ascii().to_string()))
    }

    /// The key with its blob.
    pub(super) fn new(kind: Kind) -> PublicKey {
        let mut blob = Vec::new();
        match &kind {
            Kind::Ed25519(key) => {
                string::put(&mut blob, ed25519::NAME.as_bytes());
                key.write(&mut blob);
            }
        }
        PublicKey { kind, blob: blob.into() }
    }

    /// Whether we verify signatures of this algorithm.
    pub fn verifies(algorithm: &[u8]) -> bool {
        SIGNATURES.iter().any(|name| name.as_bytes() == algorithm)
    }

    /// The signature algorithms of this key, best first. An RSA key will have several. RFC 8332 §3.
    #[must_use]
    pub fn signatures(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Ed25519(_) => &[ed25519::NAME],
        }
    }

    /// Reads the line of a `.pub` file: `ssh-ed25519 AAAA... comment`. Options before the key are not supported.
    ///
    /// # Errors
    /// Any [`KeyError`] that a text can cause.
    pub fn from_openssh(line: &str) -> Result<PublicKey, KeyError> {
        let line = line.trim();
        if line.is_empty() {
            return Err(KeyError::Empty);
        }
        if line.contains("PRIVATE KEY-----") {
            return Err(KeyError::PrivateKey);
        }
        let mut words = line.split_ascii_whitespace();
        let Some(name) = words.next().filter(|word| looks_like_a_name(word)) else {
            return Err(KeyError::NotAKey);
        };
        let base64 = words.next().ok_or(KeyError::Truncated)?;
        // Normalized: tabs and runs of blanks are allowed between words, and the comment is ignored.
        let key = ssh_key::PublicKey::from_openssh(&format!("{name} {base64}"))
            .map_err(|error| KeyError::Malformed(error.to_string()))?;
        match key.key_data() {
            KeyData::Ed25519(point) => Ok(PublicKey::new(Kind::Ed25519(Ed25519Public::from_point(&point.0)?))),
            _ => Err(KeyError::Unsupported(key.algorithm().to_string())),
        }
    }

    /// The key blob. RFC 4253 §6.6.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The algorithm name at the start of the blob. Signature algorithms may differ: [`PublicKey::signatures`].
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self.kind {
            Kind::Ed25519(_) => ed25519::NAME,
        }
    }

    /// The fingerprint as OpenSSH prints it: `SHA256:` and 43 characters of base64.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let data = match &self.kind {
            Kind::Ed25519(key) => key.key_data(),
        };
        data.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Verifies a signature blob (`string` algorithm, `string` signature; RFC 8709 §6) over `data`.
    ///
    /// `algorithm` is the name that the peer claimed outside the blob. It must be one that this key can make, and
    /// the blob must carry the same: a signature is never taken for another algorithm's.
    ///
    /// # Errors
    /// Any name that differs, any byte too many or too few, or a signature that is not this key's over `data`. Which of
    /// them is not said.
    pub fn verify(&self, algorithm: &[u8], data: &[u8], signature_blob: &[u8]) -> Result<(), BadSignature> {
        let mut rest = signature_blob;
        let name = string::take(&mut rest).ok_or(BadSignature)?;
        let signature = string::take(&mut rest).ok_or(BadSignature)?;
        let makes = self.signatures().iter().any(|made| made.as_bytes() == algorithm);
        if !rest.is_empty() || name != algorithm || !makes {
            return Err(BadSignature);
        }
        match &self.kind {
            Kind::Ed25519(key) => key.verify(data, signature),
        }
    }
}

/// Whether a line that begins with `word` is meant to be a public key.
pub(super) fn looks_like_a_name(word: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-", "rsa-sha2-"].iter().any(|start| word.starts_with(start))
}

#[cfg(test)]
mod tests;
