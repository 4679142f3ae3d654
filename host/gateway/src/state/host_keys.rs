//! Host keys and their certificates: those of the files that the configuration names (HostKey, HostCertificate of
//! sshd_config), else those of the state folder, which are made at the first start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use whelk_ssh::crypto::key::{HostCertificate, HostKey, HostKeyKind, PublicKey, SignFailed};

use crate::state::{State, StateError, read_key_file};

/// The files of the state folder, as `ssh-keygen -A` names them, in the order in which they are announced.
const FILES: &[(&str, HostKeyKind)] = &[
    ("ssh_host_ed25519_key", HostKeyKind::Ed25519),
    ("ssh_host_ecdsa_key", HostKeyKind::EcdsaP256),
    #[cfg(feature = "aws-lc-rs")]
    ("ssh_host_rsa_key", HostKeyKind::Rsa3072),
];

/// The files that the configuration names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostKeyFiles {
    /// Private keys. Empty: those of the state folder.
    pub keys: Vec<PathBuf>,
    /// Certificates of these keys.
    pub certificates: Vec<PathBuf>,
}

/// The host keys of a server, in the order in which they are announced. Of several of one type the first signs in key
/// exchanges.
#[derive(Debug)]
pub struct HostKeys {
    keys: Vec<HostKey>,
    certificates: Vec<Arc<HostCertificate>>,
}

impl From<Vec<HostKey>> for HostKeys {
    fn from(keys: Vec<HostKey>) -> HostKeys {
        HostKeys { keys, certificates: Vec::new() }
    }
}

impl HostKeys {
    /// Reads the host keys. Makes those of the state folder if it has none. The flag says whether they were made.
    ///
    /// # Errors
    /// A file that cannot be used, or a certificate of another key.
    pub fn load(state: &State, files: &HostKeyFiles) -> Result<(HostKeys, bool), StateError> {
        match HostKeys::existing(state, files)? {
            Some(keys) => Ok((keys, false)),
            None => Ok((HostKeys::certified(made(state)?, files)?, true)),
        }
    }

    /// The same, but makes none: `None` before the first start.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn existing(state: &State, files: &HostKeyFiles) -> Result<Option<HostKeys>, StateError> {
        let keys = if files.keys.is_empty() {
            of_state(state)?
        } else {
            files.keys.iter().map(|path| read_host_key(path)).collect::<Result<_, _>>()?
        };
        if keys.is_empty() { Ok(None) } else { HostKeys::certified(keys, files).map(Some) }
    }

    /// These keys with their certificates.
    fn certified(keys: Vec<HostKey>, files: &HostKeyFiles) -> Result<HostKeys, StateError> {
        let mut certificates = Vec::new();
        for path in &files.certificates {
            let certificate = read_host_certificate(path)?;
            if !keys.iter().any(|key| key.public() == certificate.key().as_ref()) {
                let reason = format!("{NOT_OURS}: that has the fingerprint {}", certificate.key().fingerprint());
                return Err(StateError::of(path, reason));
            }
            certificates.push(Arc::new(certificate));
        }
        Ok(HostKeys { keys, certificates })
    }

    /// The public halves.
    pub fn public(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter().map(HostKey::public)
    }

    /// The certificates.
    pub fn certificates(&self) -> &[Arc<HostCertificate>] {
        &self.certificates
    }

    /// A secret that all processes with these keys share.
    pub(crate) fn timing_secret(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(b"whelk timing secret\0");
        self.keys.iter().for_each(|key| digest.update(key.to_openssh().as_bytes()));
        digest.finalize().into()
    }

    /// Signs with the key of this public half.
    ///
    /// # Errors
    /// It is none of ours, does not make this signature, or the cryptography provider failed.
    pub(crate) fn sign(&self, key: &PublicKey, algorithm: &str, data: &[u8]) -> Result<Vec<u8>, SignFailed> {
        let key = self.keys.iter().find(|other| other.public() == key).ok_or(SignFailed)?;
        key.sign_with(algorithm, data)
    }
}

/// The error for a certificate of another key.
pub(crate) const NOT_OURS: &str = "it certifies a key that is not among the host keys";

/// The keys that the state folder has.
fn of_state(state: &State) -> Result<Vec<HostKey>, StateError> {
    let mut keys = Vec::new();
    for (name, _) in FILES {
        if let Some(text) = state.read_host_key(name)? {
            keys.push(parse(&state.host_key_path(name), &text)?);
        }
    }
    Ok(keys)
}

/// Makes the keys of a state folder that has none. A folder with one key gets no others, because clients that know that
/// key must not be shown another.
fn made(state: &State) -> Result<Vec<HostKey>, StateError> {
    let mut keys = Vec::new();
    // Written when all are made, so that a start that is interrupted meanwhile leaves none.
    for (name, kind) in FILES {
        let made = HostKey::generate_kind(*kind);
        keys.push(
            made.map_err(|error| StateError::of(&state.host_key_path(name), format!("cannot be made: {error}")))?,
        );
    }
    for (index, ((name, _), key)) in FILES.iter().zip(&keys).enumerate() {
        if let Err(error) = state.write_host_key(name, &key.to_openssh(), &public_line(key.public())) {
            // All or none: the next start makes none if there is one.
            FILES.iter().take(index).for_each(|(name, _)| state.remove_host_key(name));
            return Err(error);
        }
    }
    Ok(keys)
}

/// Reads a host key that the configuration names. As for sshd, a file of our own user must be readable for nobody else,
/// and one of another user (root, or whoever makes secrets for services) for its group at most.
///
/// # Errors
/// The file and the reason.
pub(crate) fn read_host_key(path: &Path) -> Result<HostKey, StateError> {
    let text = read_key_file(path, OFlags::empty(), |mode, owner, me| {
        let (forbidden, change) = if owner == me { (0o077, "chmod 600") } else { (0o007, "chmod o-rwx") };
        if mode & forbidden != 0 {
            return Err(format!("has mode {:04o}, which is too open for a private key: {change} it", mode & 0o7777));
        }
        Ok(())
    })?;
    let missing = || StateError::of(path, "is not there (`ssh-keygen -t ed25519 -N '' -f FILE` makes a host key)");
    parse(path, &text.ok_or_else(missing)?)
}

/// Reads a host certificate that the configuration names.
///
/// # Errors
/// The file and the reason.
pub(crate) fn read_host_certificate(path: &Path) -> Result<HostCertificate, StateError> {
    let text = read_key_file(path, OFlags::empty(), |_, _, _| Ok(()))?;
    let text = text.ok_or_else(|| StateError::of(path, "is not there"))?;
    HostCertificate::from_openssh(&text)
        .map_err(|error| StateError::of(path, format!("the host certificate cannot be used: {error}")))
}

/// The public key as `ssh-keygen` writes it: `ssh-ed25519 AAAA...`.
fn public_line(key: &PublicKey) -> String {
    ssh_key::PublicKey::from_bytes(key.blob()).and_then(|key| key.to_openssh()).unwrap_or_default()
}

fn parse(path: &Path, text: &str) -> Result<HostKey, StateError> {
    HostKey::from_file(text).map_err(|error| StateError::of(path, format!("the host key cannot be used: {error}")))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn state() -> (tempfile::TempDir, State) {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("state")).unwrap();
        (folder, state)
    }

    fn algorithms(keys: &HostKeys) -> Vec<&str> {
        keys.public().map(PublicKey::algorithm).collect()
    }

    #[test]
    fn a_key_of_each_kind_is_made_once() {
        let (_folder, state) = state();
        let files = HostKeyFiles::default();
        let (made, is_new) = HostKeys::load(&state, &files).unwrap();
        assert_eq!((algorithms(&made), is_new), (vec!["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"], true));
        for (name, _) in FILES {
            let path = state.host_key_path(name);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert!(path.with_extension("pub").exists());
        }
        let (again, is_new) = HostKeys::load(&state, &files).unwrap();
        assert!(!is_new && made.public().eq(again.public()));
    }

    #[test]
    fn a_state_folder_that_has_a_key_gets_no_others() {
        let (_folder, state) = state();
        let key = HostKey::generate().unwrap();
        state.write_host_key("ssh_host_ed25519_key", &key.to_openssh(), "ssh-ed25519 AAAA").unwrap();
        let (found, is_new) = HostKeys::load(&state, &HostKeyFiles::default()).unwrap();
        assert_eq!((found.public().collect::<Vec<_>>(), is_new), (vec![key.public()], false));
        assert_eq!(fs::read_dir(state.folder()).unwrap().count(), 2);
    }

    #[test]
    fn a_key_of_the_state_folder_that_cannot_be_read_is_named_with_its_file() {
        let (_folder, state) = state();
        state.write_host_key("ssh_host_rsa_key", "", "").unwrap();
        let error = HostKeys::load(&state, &HostKeyFiles::default()).unwrap_err().to_string();
        assert!(error.ends_with("state/ssh_host_rsa_key: the host key cannot be used: it is empty"), "{error}");
    }

    #[test]
    fn a_named_key_may_be_a_link_and_must_be_private() {
        let (folder, state) = state();
        let (path, link) = (folder.path().join("key"), folder.path().join("link"));
        let key = HostKey::generate().unwrap();
        fs::write(&path, key.to_openssh().as_bytes()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("key", &link).unwrap();
        let files = HostKeyFiles { keys: vec![link.clone()], certificates: Vec::new() };
        let (found, is_new) = HostKeys::load(&state, &files).unwrap();
        assert_eq!((found.public().collect::<Vec<_>>(), is_new), (vec![key.public()], false));
        assert_eq!(fs::read_dir(state.folder()).unwrap().count(), 0, "none is made beside");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = HostKeys::load(&state, &files).unwrap_err().to_string();
        assert!(error.ends_with("link: has mode 0640, which is too open for a private key: chmod 600 it"), "{error}");
    }
}
