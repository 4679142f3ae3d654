//! `revoked_keys` and `end_revoked`: who may no longer log in, and what happens to the connections of those.

use std::path::{Path, PathBuf};

use crate::config::reader::{Findings, Section};
use crate::config::setting::{path, truth};
use crate::credential::check_revoked_keys;

/// The settings about revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationConfig {
    /// The file of revoked keys and certificates.
    pub keys: Option<PathBuf>,
    /// The connections of users who may no longer log in are ended.
    pub ends: bool,
}

impl Default for RevocationConfig {
    fn default() -> RevocationConfig {
        RevocationConfig { keys: None, ends: true }
    }
}

/// Reads them. A file of revoked keys that cannot be used would refuse every key, so it is an error.
pub(in crate::config) fn read(top: &mut Section<'_>, folder: &Path, findings: &mut Findings) -> RevocationConfig {
    let keys = top.take("revoked_keys").and_then(|item| {
        let path = findings.keep(&item, path(item.value, folder))?;
        findings.keep(&item, check_revoked_keys(&path))?;
        Some(path)
    });
    let ends = top.take("end_revoked").and_then(|item| findings.keep(&item, truth(item.value)));
    RevocationConfig { keys, ends: ends.unwrap_or(true) }
}
