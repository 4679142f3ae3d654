//! What was refused before authentication, for the server's log. The client is told none of it.

use sha2::{Digest, Sha256};
use ssh_key::Fingerprint;

use crate::message::auth::Method;

/// Keys that are remembered. The others are counted.
const KEYS: usize = 16;
/// Bytes of an algorithm's name that are remembered. RFC 4251 §6: names have at most 64.
const NAME: usize = 64;

/// The attempts of one connection that were refused.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Refused {
    keys: Vec<RefusedKey>,
    /// How many keys were refused, remembered or not. A key counts each time.
    pub key_count: u32,
    /// Passwords.
    pub passwords: u32,
    /// The method `none`, RFC 4252 §5.2: how clients ask for the methods, and how they try a user without credentials.
    pub nones: u32,
    /// Methods that we do not have.
    pub unknown: u32,
}

/// A key that was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedKey {
    /// As the client named it, any bytes, at most 64: not to be shown unescaped.
    pub algorithm: Vec<u8>,
    /// `SHA256:` and 43 characters of base64, as OpenSSH prints it.
    pub fingerprint: String,
    /// Why, in words for an operator.
    pub reason: &'static str,
}

impl Refused {
    /// The keys that were refused first, at most 16.
    pub fn keys(&self) -> &[RefusedKey] {
        &self.keys
    }

    /// Whether anything was refused.
    pub fn any(&self) -> bool {
        self.key_count > 0 || self.passwords > 0 || self.nones > 0 || self.unknown > 0
    }

    /// An attempt is refused without a question.
    pub(super) fn add(&mut self, method: &Method<'_>, reason: &'static str) {
        match method {
            Method::None => self.none(),
            Method::Password { .. } => self.password(),
            Method::PublicKey { algorithm, key, .. } => self.key(algorithm, key, reason),
            Method::Unknown => self.unknown = self.unknown.saturating_add(1),
        }
    }

    pub(super) fn none(&mut self) {
        self.nones = self.nones.saturating_add(1);
    }

    pub(super) fn password(&mut self) {
        self.passwords = self.passwords.saturating_add(1);
    }

    pub(super) fn key(&mut self, algorithm: &[u8], blob: &[u8], reason: &'static str) {
        self.key_count = self.key_count.saturating_add(1);
        if self.keys.len() < KEYS {
            let algorithm = algorithm.get(..NAME).unwrap_or(algorithm).to_vec();
            let fingerprint = Fingerprint::Sha256(Sha256::digest(blob).into()).to_string();
            self.keys.push(RefusedKey { algorithm, fingerprint, reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::key::HostKey;

    #[test]
    fn a_key_is_told_as_openssh_prints_it_and_what_is_remembered_is_bounded() {
        let key = HostKey::generate().unwrap();
        let mut refused = Refused::default();
        assert!(!refused.any());
        for _ in 0..100 {
            let long = [b'a'; 1000];
            refused.add(&Method::PublicKey { algorithm: &long, key: key.public().blob(), signature: None }, "why");
        }
        assert_eq!((refused.keys().len(), refused.key_count), (16, 100));
        let first = RefusedKey { algorithm: vec![b'a'; 64], fingerprint: key.public().fingerprint(), reason: "why" };
        assert_eq!(refused.keys()[0], first);
    }
}
