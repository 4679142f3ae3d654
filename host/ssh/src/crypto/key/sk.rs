//! `sk-ssh-ed25519@openssh.com` and `sk-ecdsa-sha2-nistp256@openssh.com`: keys in a security key (FIDO authenticator).
//! OpenSSH `PROTOCOL.u2f`. They are keys of users only, so there is no secret half here.

use sha2::{Digest, Sha256};

use super::ecdsa::{EcdsaCurve, EcdsaPublic};
use super::ed25519::Ed25519Public;
use super::error::{BadSignature, KeyError};
use crate::crypto::string;

/// Ed25519 in a security key.
pub(super) const ED25519: &str = "sk-ssh-ed25519@openssh.com";
/// ECDSA on P-256 in a security key.
pub(super) const ECDSA: &str = "sk-ecdsa-sha2-nistp256@openssh.com";

/// Bit of the flags: the user was present, as a touch shows. W3C Web Authentication §6.1.
const PRESENT: u8 = 0x01;
/// Bit of the flags: the user was verified, by PIN or biometry.
const VERIFIED: u8 = 0x04;

/// What a security key says with each signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Presence {
    /// The user has touched the key.
    pub touched: bool,
    /// The user has proven to the key who they are, by PIN or biometry.
    pub verified: bool,
    /// How many signatures the key has made. It may be 0 for a key that does not count.
    pub counter: u32,
}

/// The public half and the application that the key was made for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SkPublic {
    inner: SkKey,
    /// Usually `ssh:`.
    application: Box<[u8]>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum SkKey {
    Ed25519(Ed25519Public),
    Ecdsa(EcdsaPublic),
}

impl SkPublic {
    /// Reads what follows the name of an Ed25519 key: `string` point, `string` application.
    ///
    /// # Errors
    /// [`KeyError::Truncated`], [`KeyError::Malformed`] or [`KeyError::Weak`].
    pub(super) fn read_ed25519(mut fields: &[u8]) -> Result<SkPublic, KeyError> {
        let key = Ed25519Public::take(&mut fields)?;
        SkPublic::with_application(SkKey::Ed25519(key), fields)
    }

    /// Reads what follows the name of an ECDSA key: `string` identifier, `string` point, `string` application.
    ///
    /// # Errors
    /// [`KeyError::Truncated`] or [`KeyError::Malformed`].
    pub(super) fn read_ecdsa(mut fields: &[u8]) -> Result<SkPublic, KeyError> {
        let key = EcdsaPublic::take(EcdsaCurve::P256, &mut fields)?;
        SkPublic::with_application(SkKey::Ecdsa(key), fields)
    }

    fn with_application(inner: SkKey, mut fields: &[u8]) -> Result<SkPublic, KeyError> {
        let application = string::take(&mut fields).ok_or(KeyError::Truncated)?.into();
        if fields.is_empty() {
            Ok(SkPublic { inner, application })
        } else {
            Err(KeyError::Malformed("bytes follow the key".into()))
        }
    }

    /// The algorithm of the key and of its signatures: one name.
    pub(super) fn names(&self) -> &'static [&'static str; 1] {
        match self.inner {
            SkKey::Ed25519(_) => &[ED25519],
            SkKey::Ecdsa(_) => &[ECDSA],
        }
    }

    pub(super) fn name(&self) -> &'static str {
        let [name] = *self.names();
        name
    }

    /// Appends what follows the name in a key blob.
    pub(super) fn write(&self, blob: &mut Vec<u8>) {
        match &self.inner {
            SkKey::Ed25519(key) => key.write(blob),
            SkKey::Ecdsa(key) => key.write(blob),
        }
        string::put(blob, &self.application);
    }

    /// Verifies a signature over `data`. `flags_and_counter` follow the signature in the blob; the key has signed the
    /// hash of its application, these bytes, and the hash of `data`.
    ///
    /// # Errors
    /// The signature is not this key's over `data`, or `flags_and_counter` does not have 5 bytes.
    pub(super) fn verify(
        &self,
        data: &[u8],
        signature: &[u8],
        flags_and_counter: &[u8],
    ) -> Result<Presence, BadSignature> {
        let [flags, counter @ ..] = *<&[u8; 5]>::try_from(flags_and_counter).map_err(|_| BadSignature)?;
        let signed = [&Sha256::digest(&self.application)[..], flags_and_counter, &Sha256::digest(data)].concat();
        match &self.inner {
            SkKey::Ed25519(key) => key.verify(&signed, signature)?,
            SkKey::Ecdsa(key) => key.verify(&signed, signature)?,
        }
        let counter = u32::from_be_bytes(counter);
        Ok(Presence { touched: flags & PRESENT != 0, verified: flags & VERIFIED != 0, counter })
    }
}
