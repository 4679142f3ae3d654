//! Revoked keys and certificates, as sshd's RevokedKeys: a file in OpenSSH's KRL format (`ssh-keygen -k`), or a text
//! with a public key a line.
//!
//! The file is looked at in each login and read again when it has changed. As with sshd, one that cannot be read or is
//! not understood refuses every key: it may revoke the one in question.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use whelk_ssh::crypto::key::{Certificate, PublicKey};

use super::authorized_keys::{key_lines, parse_key};
use super::file::{FileStamp, KeyPath};
use super::key_options::KeyOptions;
use super::krl::{Krl, MAGIC, RevocableCertificate, RevocableKey};

/// The largest file that is read: more than a million numbers of certificates.
const MOST_BYTES: u64 = 64 << 20;
/// The file of revoked keys.
#[derive(Debug)]
pub(crate) struct RevokedKeys {
    path: KeyPath,
    /// What was read last.
    loaded: Mutex<Option<Loaded>>,
}

#[derive(Clone, Debug)]
struct Loaded {
    stamp: FileStamp,
    /// Its stamp was old enough to show any later change.
    is_settled: bool,
    at: Instant,
    list: Arc<RevokedList>,
}

/// The contents of the file.
#[derive(Debug)]
pub(crate) enum RevokedList {
    /// OpenSSH's format.
    Krl(Krl),
    /// The blobs of the keys of a text.
    Keys(HashSet<Vec<u8>>),
}

impl RevokedKeys {
    /// The file at this path, which is read when it is needed.
    pub(crate) fn new(path: &Path) -> RevokedKeys {
        RevokedKeys { path: KeyPath::named(path), loaded: Mutex::new(None) }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &KeyPath {
        &self.path
    }

    /// What the file said at `since` or later, with the stamp of that. Waits for the disk.
    ///
    /// # Errors
    /// It cannot be read, others may write to it, or a part of it is not understood: a sentence that names the file.
    pub(crate) fn current(&self, since: Instant) -> Result<(Arc<RevokedList>, FileStamp), String> {
        let opened = self.path.open(MOST_BYTES)?;
        let (opened, facts) = opened.ok_or_else(|| format!("{} is not there", self.path))?;
        let stamp = FileStamp::of(&facts);
        // Held while the file is read: others that wait for it would read the same.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let is_current = |loaded: &&Loaded| loaded.stamp == stamp && (loaded.is_settled || loaded.at >= since);
        if let Some(Loaded { list, .. }) = loaded.as_ref().filter(is_current) {
            return Ok((Arc::clone(list), stamp));
        }
        *loaded = None;
        let (at, is_settled) = (Instant::now(), stamp.is_settled());
        let bytes = self.path.contents(opened, facts.len(), MOST_BYTES)?;
        let list = RevokedList::parse(&bytes).map_err(|what| format!("{}{what}", self.path))?;
        let list = Arc::new(list);
        *loaded = Some(Loaded { stamp, is_settled, at, list: Arc::clone(&list) });
        Ok((list, stamp))
    }
}

impl RevokedList {
    /// Reads the contents of a file. The error follows the file's name.
    fn parse(bytes: &[u8]) -> Result<RevokedList, String> {
        if bytes.starts_with(MAGIC) {
            return Krl::parse(bytes).map(RevokedList::Krl).map_err(|what| format!(" {what}"));
        }
        let keys = key_lines(bytes).map(|(line, text)| {
            let key = parse_key(&text).map_err(|what| format!(":{line}: {what}"))?;
            if key.options != KeyOptions::default() {
                return Err(format!(":{line}: has options, which a revoked key has not"));
            }
            Ok(key.blob().to_vec())
        });
        keys.collect::<Result<_, _>>().map(RevokedList::Keys)
    }

    /// Whether a key is revoked: of a user or of an authority.
    pub(crate) fn has_key(&self, key: &PublicKey) -> bool {
        match self {
            RevokedList::Krl(krl) => {
                krl.has_key(&RevocableKey { blob: key.blob(), sha1: key.sha1(), sha256: key.sha256() })
            }
            RevokedList::Keys(keys) => keys.contains(key.blob()),
        }
    }

    /// Why a certificate is revoked, if it is: by its key, its number, its id, or its authority.
    pub(crate) fn revokes(&self, certificate: &Certificate) -> Option<&'static str> {
        let (authority, serial) = (certificate.authority().blob(), certificate.serial());
        let named = RevocableCertificate { authority, serial, key_id: certificate.key_id() };
        if self.has_key(certificate.key()) {
            Some("its key is revoked")
        } else if self.has_key(certificate.authority()) {
            Some("its authority is revoked")
        } else {
            matches!(self, RevokedList::Krl(krl) if krl.has_certificate(&named)).then_some("it is revoked")
        }
    }
}

/// Checks the file of revoked keys, as each login does.
///
/// # Errors
/// Why every key would be refused.
pub fn check_revoked_keys(path: &Path) -> Result<(), String> {
    RevokedKeys::new(path).current(Instant::now()).map(|_| ())
}

#[cfg(test)]
mod tests;
