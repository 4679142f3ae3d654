//! Notes about users and the files that sftp and scp reach.

use whelk_runtime::ProgramRequest;

use super::key_files::KeyFileSetting;
use crate::config::reader::{Findings, Section};
use crate::config::sections::grants::DirectoryAccess;
use crate::config::sections::tenants::TenantConfig;
use crate::config::sections::tenants::files::Server;
use crate::credential::{AuthorizedKey, read_authorized_keys};

/// Notes what a user of this tenant can do by sftp and scp that the operator may not expect, or cannot although a key
/// is for that. `keys`: the listed ones and the files of keys; `None` if the user needs no credentials.
pub(super) fn note(
    section: &mut Section<'_>,
    (name, tenant): (&str, &TenantConfig),
    keys: Option<(&[AuthorizedKey], &[KeyFileSetting])>,
    findings: &mut Findings,
) {
    let shared = tenant.grants.directory.as_ref().filter(|directory| directory.homes.is_none());
    let access = shared.filter(|_| tenant.serves_files()).map(|directory| directory.access);
    let Some((keys, key_files)) = keys else {
        if let (Some(access), Some(auth)) = (access, section.take("auth")) {
            let can = if access == DirectoryAccess::ReadWrite { "read and change" } else { "read" };
            findings.note(&auth, format!("everybody can {can} the directory of tenant {name} by sftp and scp"));
        }
        return;
    };
    let named = |file: &KeyFileSetting| match file {
        // What cannot be read was noted before.
        KeyFileSetting::Named(path) => read_authorized_keys(path).ok(),
        KeyFileSetting::InHome(_) => None,
    };
    let of_files: Vec<AuthorizedKey> =
        key_files.iter().filter_map(named).flat_map(|file| file.keys.into_iter().map(|(_, key)| key)).collect();
    for (setting, keys) in [("keys", keys), ("authorized_keys", &*of_files)] {
        let Some(item) = section.take(setting) else { continue };
        if let Some(what) = keys.iter().find_map(|key| refused(key, name, tenant)) {
            findings.note(&item, what);
        }
    }
    let in_home = key_files.iter().any(|file| matches!(file, KeyFileSetting::InHome(_)));
    let Some(item) = section.take("authorized_keys").filter(|_| in_home) else { return };
    if let Some(key) = of_files.iter().find(|key| key.options.restricts()) {
        let fingerprint = &key.fingerprint;
        findings.note(
            &item,
            format!(
                "the file in the home has no effect, because the user's key {fingerprint} has options that restrict it"
            ),
        );
    } else if access == Some(DirectoryAccess::ReadWrite) && !keys.iter().any(|key| key.options.restricts()) {
        findings.note(
            &item,
            format!(
                "every user who reaches the directory of tenant {name} by sftp or scp, even with a key that is for \
                 sftp alone, can add keys of this user: keep them elsewhere, or give each user a home"
            ),
        );
    }
}

/// That a key forces a command which serves files, where none are reached.
fn refused(key: &AuthorizedKey, name: &str, tenant: &TenantConfig) -> Option<String> {
    let command = key.options.command.as_deref()?;
    match tenant.serving().find(&ProgramRequest::Exec(command.as_bytes())) {
        Server::Closed(_) => Some(format!(
            "the key {} forces {command:?}, which is refused, because sftp and scp reach no files of tenant {name}: see \
             `files`",
            key.fingerprint
        )),
        _ => None,
    }
}
