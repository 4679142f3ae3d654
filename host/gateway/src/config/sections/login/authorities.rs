//! `trusted_user_ca_keys`, as sshd's TrustedUserCAKeys: the authorities whose certificates let users in.

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use crate::config::problem::Problem;
use crate::config::reader::{Findings, Item};
use crate::config::setting::{path, text};
use crate::credential::{AuthorizedKey, parse_key, read_authorized_keys};

/// The authorities of a server or a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorities {
    /// Those that the configuration lists.
    pub listed: Vec<AuthorizedKey>,
    /// A file with one a line, which is read at each login with a certificate.
    pub file: Option<PathBuf>,
}

impl Authorities {
    /// Whether there are any, or a file that may have some.
    pub fn any(&self) -> bool {
        !self.listed.is_empty() || self.file.is_some()
    }
}

/// Reads a list of public keys, or the path of a file. Relative paths are relative to `folder`.
pub(in crate::config) fn read(item: &Item<'_>, folder: &Path, findings: &mut Findings) -> Authorities {
    let DeValue::String(named) = item.value else {
        let elements = item.elements(findings);
        let listed = elements
            .iter()
            .filter_map(|element| findings.keep(element, text(element.value).and_then(authority)))
            .collect();
        return Authorities { listed, file: None };
    };
    if parse_key(named).is_ok() {
        findings.add(&item.span, &item.key, format!("must be a list, or a path to a file of keys: write [{named:?}]"));
        return Authorities::default();
    }
    let file = findings.keep(item, path(item.value, folder));
    if let Some(file) = &file {
        check_file(item, file, findings);
    }
    Authorities { listed: Vec::new(), file }
}

/// Checks a file. A line that is not understood is skipped, as in OpenSSH; a file that cannot be read is an error,
/// because it is the operator's.
fn check_file(item: &Item<'_>, file: &Path, findings: &mut Findings) {
    let Some(read) = findings.keep(item, read_authorized_keys(file)) else { return };
    let skipped = read.skipped.into_iter().map(|line| (line.line, line.reason));
    let unfit = read.keys.iter().filter_map(|(line, key)| Some((*line, check(key).err()?)));
    let mut lines: Vec<_> = skipped.chain(unfit).collect();
    lines.sort();
    let note = |(line, what)| Problem::at(file, line, &item.key, format!("line skipped: {what}"));
    findings.notes.extend(lines.into_iter().map(note));
    if read.more_skipped > 0 {
        findings.note(item, format!("{} more lines of {} were skipped", read.more_skipped, file.display()));
    }
}

fn authority(text: &str) -> Result<AuthorizedKey, String> {
    let key = parse_key(text)?;
    check(&key).map(|()| key)
}

/// Whether a key can be an authority for many users.
fn check(key: &AuthorizedKey) -> Result<(), String> {
    match key.unusable() {
        Some(why) => Err(format!("the key {} cannot be used: {why}", key.fingerprint)),
        None if key.is_plain() => Ok(()),
        None => Err("has options, which belong to a cert-authority among the keys of a user".to_owned()),
    }
}
