//! Public keys: the blob of RFC 4253 §6.6, the line of an OpenSSH `.pub` file, and verification.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use ssh_key::Fingerprint;

use super::ecdsa::{EcdsaCurve, EcdsaPublic};
use super::ed25519::{self, Ed25519Public};
use super::error::{BadSignature, KeyError};
use super::rsa::{self, RsaPublic};
use super::sk::{self, Presence, SkPublic};
use crate::crypto::provider::digest;
use crate::crypto::string;

/// A public key of a host or a user. Two are equal when their blobs are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicKey {
    kind: Kind,
    /// The key blob: `string` algorithm, then what the algorithm defines. Shared: a login makes several copies.
    blob: Arc<[u8]>,
}

/// What verifies, by algorithm: a file each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// RFC 8709.
    Ed25519(Ed25519Public),
    /// RFC 5656.
    Ecdsa(EcdsaPublic),
    /// RFC 8332.
    Rsa(RsaPublic),
    /// OpenSSH `PROTOCOL.u2f`.
    Sk(SkPublic),
}

impl Kind {
    /// The algorithm name at the start of the blob.
    fn algorithm(&self) -> &'static str {
        match self {
            // The type of the keys is the name of no signature that we verify.
            Kind::Rsa(_) => rsa::NAME,
            Kind::Ed25519(_) => ed25519::NAME,
            Kind::Ecdsa(key) => key.curve().name(),
            Kind::Sk(key) => key.name(),
        }
    }
}

/// Every signature algorithm that we verify of users' keys, best first, in the order of OpenSSH.
pub const SIGNATURES: &[&str] = &[
    ed25519::NAME,
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    #[cfg(feature = "aws-lc-rs")]
    "ecdsa-sha2-nistp521",
    sk::ED25519,
    sk::ECDSA,
    rsa::SHA_512,
    rsa::SHA_256,
];

/// Every signature algorithm that we make with host keys and verify of them, best first, in the order of OpenSSH.
pub const HOST_SIGNATURES: &[&str] = &[
    ed25519::NAME,
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    #[cfg(feature = "aws-lc-rs")]
    "ecdsa-sha2-nistp521",
    rsa::SHA_512,
    rsa::SHA_256,
];

/// The most characters of a peer's algorithm name that an error repeats. RFC 4251 §6: names have at most 64.
const NAME_SHOWN: usize = 64;

impl PublicKey {
    /// Reads a key blob. RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4, OpenSSH `PROTOCOL.u2f`.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`], [`KeyError::Truncated`], [`KeyError::Malformed`], [`KeyError::RsaSize`] or
    /// [`KeyError::Weak`].
    pub fn from_blob(blob: &[u8]) -> Result<PublicKey, KeyError> {
        let key = PublicKey::from_blob_to_verify(blob)?;
        if let Kind::Ed25519(key) = &key.kind {
            key.check_curve()?;
        }
        Ok(key)
    }

    /// Reads a key blob as [`PublicKey::from_blob`] does, for a caller that verifies a signature of the key before
    /// anything else: whether an Ed25519 key is a point of its curve is found then, and not twice.
    ///
    /// # Errors
    /// As [`PublicKey::from_blob`].
    pub(crate) fn from_blob_to_verify(blob: &[u8]) -> Result<PublicKey, KeyError> {
        let mut rest = blob;
        let name = string::take(&mut rest).ok_or(KeyError::Truncated)?;
        let is = |other: &str| other.as_bytes() == name;
        let kind = match EcdsaCurve::ALL.iter().copied().find(|curve| is(curve.name())) {
            Some(curve) => {
                let key = EcdsaPublic::take(curve, &mut rest)?;
                if !rest.is_empty() {
                    return Err(KeyError::Malformed("bytes follow the key".into()));
                }
                Kind::Ecdsa(key)
            }
            None if is(ed25519::NAME) => Kind::Ed25519(Ed25519Public::read(rest)?),
            None if is(rsa::NAME) => Kind::Rsa(RsaPublic::read(rest)?),
            None if is(sk::ED25519) => Kind::Sk(SkPublic::read_ed25519(rest)?),
            None if is(sk::ECDSA) => Kind::Sk(SkPublic::read_ecdsa(rest)?),
            None => {
                let shown: Vec<u8> = name.iter().copied().take(NAME_SHOWN).collect();
                return Err(KeyError::Unsupported(shown.escape_ascii().to_string()));
            }
        };
        Ok(PublicKey::with_capacity(kind, blob.len()))
    }

    /// The key with its blob.
    pub(super) fn new(kind: Kind) -> PublicKey {
        PublicKey::with_capacity(kind, 0)
    }

    /// The same, with room for a blob of so many bytes.
    fn with_capacity(kind: Kind, room: usize) -> PublicKey {
        let mut blob = Vec::with_capacity(room);
        string::put(&mut blob, kind.algorithm().as_bytes());
        match &kind {
            Kind::Ed25519(key) => key.write(&mut blob),
            Kind::Ecdsa(key) => key.write(&mut blob),
            Kind::Rsa(key) => key.write(&mut blob),
            Kind::Sk(key) => key.write(&mut blob),
        }
        PublicKey { kind, blob: blob.into() }
    }

    /// Whether it is an RSA key.
    pub fn is_rsa(&self) -> bool {
        matches!(self.kind, Kind::Rsa(_))
    }

    /// Whether we verify signatures of this algorithm.
    pub fn verifies(algorithm: &[u8]) -> bool {
        SIGNATURES.iter().any(|name| name.as_bytes() == algorithm)
    }

    /// The signature algorithms of this key, best first. An RSA key has two. RFC 8332 §3.
    #[must_use]
    pub fn signatures(&self) -> &'static [&'static str] {
        match &self.kind {
            Kind::Ed25519(_) => &[ed25519::NAME],
            Kind::Ecdsa(key) => key.curve().names(),
            Kind::Rsa(_) => &[rsa::SHA_512, rsa::SHA_256],
            Kind::Sk(key) => key.names(),
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
        let blob = key.to_bytes().map_err(|error| KeyError::Malformed(error.to_string()))?;
        PublicKey::from_blob(&blob)
    }

    /// The key blob. RFC 4253 §6.6.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The algorithm name at the start of the blob. Signature algorithms may differ: [`PublicKey::signatures`].
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        self.kind.algorithm()
    }

    /// The fingerprint as OpenSSH prints it: `SHA256:` and 43 characters of base64.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        Fingerprint::Sha256(self.sha256()).to_string()
    }

    /// The SHA-256 hash of the blob, of which the fingerprint is the text.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.blob).into()
    }

    /// The SHA-1 hash of the blob, by which some lists of revoked keys name it. It is used for nothing else.
    #[must_use]
    pub fn sha1(&self) -> [u8; 20] {
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.blob);
        hash.as_ref().try_into().expect("SHA-1 has 20 bytes")
    }

    /// Verifies a signature blob (`string` algorithm, `string` signature; RFC 8709 §6) over `data`. A security key must
    /// have been touched.
    ///
    /// `algorithm` is the name that the peer claimed outside the blob. It must be one that this key can make, and
    /// the blob must carry the same: a signature is never taken for another algorithm's.
    ///
    /// # Errors
    /// Any name that differs, any byte too many or too few, a security key that was not touched, or a signature that is
    /// not this key's over `data`. Which of them is not said.
    pub fn verify(&self, algorithm: &[u8], data: &[u8], signature_blob: &[u8]) -> Result<(), BadSignature> {
        match self.verify_presence(algorithm, data, signature_blob)? {
            Some(Presence { touched: false, .. }) => Err(BadSignature),
            Some(Presence { touched: true, .. }) | None => Ok(()),
        }
    }

    /// Verifies a signature blob as [`PublicKey::verify`] does and returns what a security key says of its user, who
    /// may not have touched it. `None` for other keys.
    ///
    /// # Errors
    /// As [`PublicKey::verify`], but for the touch.
    pub fn verify_presence(
        &self,
        algorithm: &[u8],
        data: &[u8],
        signature_blob: &[u8],
    ) -> Result<Option<Presence>, BadSignature> {
        let mut rest = signature_blob;
        let name = string::take(&mut rest).ok_or(BadSignature)?;
        let signature = string::take(&mut rest).ok_or(BadSignature)?;
        let makes = self.signatures().iter().any(|made| made.as_bytes() == algorithm);
        if name != algorithm || !makes {
            return Err(BadSignature);
        }
        match &self.kind {
            // Flags and counter follow.
            Kind::Sk(key) => key.verify(data, signature, rest).map(Some),
            _ if !rest.is_empty() => Err(BadSignature),
            Kind::Ed25519(key) => key.verify(data, signature).map(|()| None),
            Kind::Ecdsa(key) => key.verify(data, signature).map(|()| None),
            Kind::Rsa(key) => key.verify(algorithm, data, signature).map(|()| None),
        }
    }
}

/// Whether a line that begins with `word` is meant to be a public key.
pub(super) fn looks_like_a_name(word: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-", "rsa-sha2-"].iter().any(|start| word.starts_with(start))
}

#[cfg(test)]
mod kinds;
#[cfg(test)]
mod tests;
