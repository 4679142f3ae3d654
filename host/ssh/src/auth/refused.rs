//! The attempts that were refused before authentication, for the server's log. The client learns none of this.

use std::borrow::Cow;

use sha2::{Digest, Sha256};
use ssh_key::Fingerprint;

use super::presented::Presented;
use crate::crypto::key::{Certificate, CertificateFields};
use crate::message::auth::Method;

/// The most keys that are remembered. Further ones are only counted.
const KEYS: usize = 16;
/// The most bytes of an algorithm name that are remembered. RFC 4251 §6: names have at most 64.
const NAME: usize = 64;

/// The refused attempts of one connection.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct RefusedAttempts {
    keys: Vec<RefusedKey>,
    /// How many keys were refused, remembered or not. A repeated key counts each time.
    pub key_count: u32,
    /// How many passwords.
    pub passwords: u32,
    /// How many exchanges of prompts and answers: keyboard-interactive, RFC 4256.
    pub interactive: u32,
    /// How many times `none`, RFC 4252 §5.2: clients use it to learn the methods, and to log in users without
    /// credentials.
    pub nones: u32,
    /// How many attempts by methods that we do not support.
    pub unknown: u32,
}

/// A refused key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedKey {
    /// The algorithm as the client named it: any bytes, at most 64. Escape it before showing it.
    pub algorithm: Vec<u8>,
    /// `SHA256:` and 43 characters of base64, as OpenSSH prints it.
    pub fingerprint: String,
    /// What its certificate says, if it came with one. The fingerprint is that of the key, as OpenSSH shows it.
    pub certificate: Option<RefusedCertificate>,
    /// Why, as text for the operator.
    pub reason: Cow<'static, str>,
    /// The user has this key, or trusts the authority of this certificate, but may not use it: `reason` says why.
    pub is_known: bool,
}

/// What a refused certificate says. If its signature does not verify, anybody may have written it; then the reason says
/// so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedCertificate {
    /// What its authority calls it: any bytes, at most 64. Escape it before showing it.
    pub key_id: Vec<u8>,
    /// The number that its authority gave it.
    pub serial: u64,
    /// The fingerprint of its authority.
    pub authority: String,
}

impl RefusedCertificate {
    fn of(certificate: &Certificate) -> RefusedCertificate {
        let key_id = certificate.key_id();
        RefusedCertificate {
            key_id: key_id.get(..NAME).unwrap_or(key_id).to_vec(),
            serial: certificate.serial(),
            authority: certificate.authority().fingerprint(),
        }
    }

    fn unverified(fields: &CertificateFields<'_>) -> RefusedCertificate {
        RefusedCertificate {
            key_id: fields.key_id.get(..NAME).unwrap_or(fields.key_id).to_vec(),
            serial: fields.serial,
            authority: fingerprint(fields.authority),
        }
    }
}

impl RefusedAttempts {
    /// The first 16 keys that were refused.
    pub fn keys(&self) -> &[RefusedKey] {
        &self.keys
    }

    /// Whether anything was refused.
    pub fn any(&self) -> bool {
        self.key_count > 0 || self.passwords > 0 || self.interactive > 0 || self.nones > 0 || self.unknown > 0
    }

    /// Counts an attempt that is refused without asking the application.
    pub(super) fn add(&mut self, method: &Method<'_>, reason: Cow<'static, str>) {
        match method {
            Method::None => self.none(),
            Method::Password { .. } => self.password(),
            Method::PublicKey { algorithm, key, .. } | Method::HostBoundKey { algorithm, key, .. } => {
                self.key(algorithm, key, reason);
            }
            Method::KeyboardInteractive => self.interactive(),
            Method::Unknown => self.unknown = self.unknown.saturating_add(1),
        }
    }

    pub(super) fn none(&mut self) {
        self.nones = self.nones.saturating_add(1);
    }

    pub(super) fn password(&mut self) {
        self.passwords = self.passwords.saturating_add(1);
    }

    pub(super) fn interactive(&mut self) {
        self.interactive = self.interactive.saturating_add(1);
    }

    /// Remembers a key or certificate of which nothing was verified.
    pub(super) fn key(&mut self, algorithm: &[u8], blob: &[u8], reason: Cow<'static, str>) {
        self.key_count = self.key_count.saturating_add(1);
        if self.keys.len() < KEYS {
            let algorithm = algorithm.get(..NAME).unwrap_or(algorithm).to_vec();
            let fields = CertificateFields::read(blob).ok();
            let fingerprint = fingerprint(fields.as_ref().map_or(blob, |fields| &fields.key));
            let certificate = fields.as_ref().map(RefusedCertificate::unverified);
            self.keys.push(RefusedKey { algorithm, fingerprint, certificate, reason, is_known: false });
        }
    }

    /// Remembers a key or certificate that was read; `is_known`: see [`RefusedKey`].
    pub(super) fn presented(&mut self, presented: &Presented, reason: Cow<'static, str>, is_known: bool) {
        self.key_count = self.key_count.saturating_add(1);
        if self.keys.len() < KEYS {
            let (algorithm, fingerprint) =
                (presented.key().algorithm().as_bytes().to_vec(), presented.key().fingerprint());
            let certificate = match presented {
                Presented::Key(_) => None,
                Presented::Certificate(certificate) => Some(RefusedCertificate::of(certificate)),
            };
            self.keys.push(RefusedKey { algorithm, fingerprint, certificate, reason, is_known });
        }
    }
}

/// The fingerprint of a key, which need not be one that we support.
fn fingerprint(blob: &[u8]) -> String {
    Fingerprint::Sha256(Sha256::digest(blob).into()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::key::HostKey;

    #[test]
    fn a_refused_key_has_the_fingerprint_of_openssh_and_the_list_is_bounded() {
        let key = HostKey::generate().unwrap();
        let mut refused = RefusedAttempts::default();
        assert!(!refused.any());
        for _ in 0..100 {
            let long = [b'a'; 1000];
            refused
                .add(&Method::PublicKey { algorithm: &long, key: key.public().blob(), signature: None }, "why".into());
        }
        assert_eq!((refused.keys().len(), refused.key_count), (16, 100));
        let (algorithm, fingerprint, reason) = (vec![b'a'; 64], key.public().fingerprint(), "why".into());
        assert_eq!(
            refused.keys()[0],
            RefusedKey { algorithm, fingerprint, certificate: None, reason, is_known: false }
        );
    }
}
