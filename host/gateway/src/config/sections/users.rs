//! The table `[users]`: who may log in, with which credentials, to which tenant and plugin.

mod files;
mod key_files;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::grants::Directory;
use super::login::authorities::Authorities;
use super::login::methods::{self, RequiredMethods};
use super::login::patterns::LONGEST_NAME;
use super::plugins::Visible;
use super::tenants::{DEFAULT_TENANT, TenantConfig, TenantConfigs};
use crate::config::folders::UserKeyFile;
use crate::config::reader::{Findings, Item, Section};
use crate::config::setting::text;
use crate::credential::{AuthorizedKey, PasswordHash, parse_key};
pub use key_files::KeyFileSetting;
use key_files::{KeyFiles, remarks};

/// The error for a file without users.
pub(in crate::config) const NOBODY: &str = "nobody could enter: add at least one [users.NAME]";

/// The message for a user none of whose keys can be used. Decided 2026-11-29: an error if the operator wrote the keys
/// into the configuration, and a warning if they are in a file, which is the user's own: one user's file never prevents
/// the start.
const NO_KEY: &str =
    "nobody could log in as this user: no key of the list can be used (`ssh-keygen -t ed25519` makes one that can)";

/// The error for a user without credentials whose tenant has homes that stay.
const NO_HOME: &str = "everybody would share the home of this user: add credentials, or make the homes of its tenant \
                       ephemeral";

/// One user.
#[derive(Clone, Debug)]
pub struct User {
    /// The name of the tenant of the user's sessions.
    pub tenant: String,
    /// The plugin of the user's sessions unless a route selects another.
    pub plugin: String,
    /// Chosen for this user, not the tenant's default.
    pub own_plugin: bool,
    /// How the user authenticates.
    pub authentication: Authentication,
    /// The methods that must succeed. Without effect for a user who needs no credentials.
    pub methods: RequiredMethods,
    /// A certificate of the server's or the tenant's authorities must have one of these instead of the user's name.
    pub principals: Option<Vec<String>>,
}

/// How a user authenticates.
#[derive(Clone, Debug)]
pub enum Authentication {
    /// Needs no credentials: `auth = "none"`. Never one of several required methods.
    NotRequired,
    /// Any one of these.
    Required {
        /// The hash of the password, if one is set.
        password: Option<PasswordHash>,
        /// The public keys that the configuration lists.
        keys: Vec<AuthorizedKey>,
        /// The user's own key files, which are read at each login. They need not exist.
        key_files: Vec<KeyFileSetting>,
    },
}

/// Reads every user and their key files. Relative paths are relative to `folder`.
pub(in crate::config) fn read(
    section: Section<'_>,
    folder: &Path,
    (tenants, authorities): (&TenantConfigs<'_>, &Authorities),
    findings: &mut Findings,
) -> (BTreeMap<String, User>, Vec<UserKeyFile>) {
    let (mut users, mut files) = (BTreeMap::new(), Vec::new());
    let items = section.all();
    if items.is_empty() {
        findings.add(&section.span, &section.key, NOBODY);
    }
    for item in items {
        let Some(mut section) = item.section(findings) else { continue };
        let found = read_tenant(&mut section, tenants, findings);
        let plugin = read_plugin(&mut section, found, findings);
        let has_authorities = authorities.any() || found.is_some_and(|(_, tenant, _)| tenant.authorities.any());
        let directory = found.and_then(|(_, tenant, _)| tenant.grants.directory.as_ref());
        let has_home = found.is_none() || directory.is_some_and(Directory::lasts);
        let authentication = read_authentication(&mut section, (folder, has_home), has_authorities, findings);
        if let (Some(Authentication::NotRequired), Some(auth)) = (&authentication, section.take("auth"))
            && directory.is_some_and(Directory::is_per_principal)
        {
            findings.add(&auth.span, &auth.key, NO_HOME);
        }
        if let (Some((name, tenant, _)), Some(authentication)) = (found, &authentication) {
            let keys = match authentication {
                Authentication::NotRequired => None,
                Authentication::Required { keys, key_files, .. } => Some((&**keys, &**key_files)),
            };
            files::note(&mut section, (name, tenant), keys, findings);
        }
        let principals = read_principals(&mut section, has_authorities, findings);
        let tenants_methods = (found.map(|(_, tenant, _)| &tenant.methods), has_authorities);
        let methods = read_methods(&mut section, tenants_methods, authentication.as_ref(), findings);
        let name = read_name(&item, findings);
        let named = section.take("authorized_keys").map(|item| key_files::named(&item, folder)).unwrap_or_default();
        section.finish(findings);
        let Some((tenant, ..)) = found else { continue };
        let tenant = tenant.to_owned();
        let file = |path| UserKeyFile { path, user: item.name.clone(), tenant: tenant.clone() };
        files.extend(named.into_iter().map(file));
        if let (Some((plugin, own_plugin)), Some(authentication), Some(name)) = (plugin, authentication, name) {
            users.insert(name, User { tenant, plugin, own_plugin, authentication, methods, principals });
        }
    }
    (users, files)
}

/// A tenant that a user names: its name, itself, and the plugins that it sees.
type Found<'t> = (&'t str, &'t TenantConfig, Visible<'t>);

fn read_tenant<'t>(
    section: &mut Section<'t>,
    tenants: &'t TenantConfigs<'_>,
    findings: &mut Findings,
) -> Option<Found<'t>> {
    let Some(item) = section.take("tenant") else {
        let (tenant, visible) = tenants.find(DEFAULT_TENANT).ok()?;
        return Some((DEFAULT_TENANT, tenant, visible));
    };
    let name = findings.keep(&item, text(item.value))?;
    let (tenant, visible) = findings.keep(&item, tenants.find(name))?;
    Some((name, tenant, visible))
}

fn read_name(item: &Item<'_>, findings: &mut Findings) -> Option<String> {
    let name = &item.name;
    let read = if name.is_empty() || name.len() > LONGEST_NAME {
        Err(format!("a user name has from 1 to {LONGEST_NAME} bytes"))
    } else if name.chars().any(char::is_control) {
        Err("a user name has no control characters".to_owned())
    } else {
        Ok(name.clone())
    };
    findings.keep(item, read)
}

/// The plugin, and whether it was chosen for this user. If the tenant is unknown, so are its plugins.
fn read_plugin(section: &mut Section<'_>, found: Option<Found<'_>>, findings: &mut Findings) -> Option<(String, bool)> {
    let item = section.take("plugin");
    let (name, tenant, visible) = found?;
    if let Some(item) = item {
        return visible.read(&item, findings).map(|plugin| (plugin.to_owned(), true));
    }
    if tenant.plugin.is_none() {
        let what = format!("has no plugin: add plugin = \"NAME\" here or in [tenants.{name}]");
        findings.add(&section.span, &section.key, what);
    }
    tenant.plugin.clone().map(|plugin| (plugin, false))
}

/// The principals of which a certificate needs one, as in sshd's AuthorizedPrincipalsFile.
fn read_principals(section: &mut Section<'_>, has_authorities: bool, findings: &mut Findings) -> Option<Vec<String>> {
    let item = section.take("principals")?;
    if !has_authorities {
        findings.note(
            &item,
            "has no effect without trusted_user_ca_keys; a cert-authority among the keys has its own `principals=`",
        );
    }
    let elements = item.elements(findings);
    if let (toml::de::DeValue::Array(_), true) = (item.value, elements.is_empty()) {
        findings.add(&item.span, &item.key, "must name at least one principal");
    }
    let named = |element: &Item<'_>| match text(element.value) {
        Ok("") => Err("must be a name, is empty".to_owned()),
        read => read.map(str::to_owned),
    };
    Some(elements.iter().filter_map(|element| findings.keep(element, named(element))).collect())
}

fn read_authentication(
    section: &mut Section<'_>,
    (folder, has_home): (&Path, bool),
    has_authorities: bool,
    findings: &mut Findings,
) -> Option<Authentication> {
    let before = findings.problems.len();
    let auth = section.take("auth");
    let password = section.take("password");
    let list = section.take("keys");
    let file = section.take("authorized_keys");
    let credentials = [&password, &list, &file].iter().any(|item| item.is_some());
    if let Some(auth) = auth {
        let read = match text(auth.value) {
            Ok("none") if credentials => {
                Err("\"none\" lets everybody in: remove either `auth` or the credentials".to_owned())
            }
            Ok("none") => Ok(Authentication::NotRequired),
            Ok(other) => Err(format!(
                "can only be \"none\", which lets everybody in without credentials, is {other:?}: remove it where \
                     there is a password or a key"
            )),
            Err(what) => Err(what),
        };
        return findings.keep(&auth, read);
    }
    let password = password.and_then(|item| {
        // The value may be a password instead of a hash, so it is not shown.
        let hash = text(item.value).map_err(|_| "must be a hash in quotes".to_owned());
        findings.keep(&item, hash.and_then(PasswordHash::parse))
    });
    let listed = list.clone();
    let keys = list.map(|item| read_list(&item, findings)).unwrap_or_default();
    let has_file = file.is_some();
    let mut key_files = Vec::new();
    if let Some(item) = file {
        let KeyFiles { files, usable } = key_files::read(&item, folder, has_home, findings);
        key_files = files;
        note_useless_home(&item, &key_files, &keys, findings);
        if password.is_none() && !usable && !has_authorities && !keys.iter().any(AuthorizedKey::usable) {
            findings.note(&item, "nobody can log in as this user: no key of the file can be used");
        }
    } else if let (None, Some(item)) = (&password, listed.filter(|_| !keys.is_empty()))
        && !keys.iter().any(AuthorizedKey::usable)
    {
        findings.add(&item.span, &item.key, NO_KEY);
    }
    if findings.problems.len() > before {
        return None;
    }
    if password.is_none() && keys.is_empty() && !has_file && !has_authorities {
        let what = "could never enter: add a password, a key, or auth = \"none\" to let everybody in";
        findings.add(&section.span, &section.key, what);
        return None;
    }
    Some(Authentication::Required { password, keys, key_files })
}

/// The methods that the user must succeed in: the user's own, or the tenant's.
fn read_methods(
    section: &mut Section<'_>,
    (tenants, has_authorities): (Option<&RequiredMethods>, bool),
    authentication: Option<&Authentication>,
    findings: &mut Findings,
) -> RequiredMethods {
    let item = section.take("methods");
    let own = item.as_ref().and_then(|item| methods::read(item, findings));
    let required = own.or_else(|| tenants.cloned()).unwrap_or_default();
    match (authentication, item) {
        (Some(Authentication::NotRequired), Some(item)) => {
            let what = "has no effect on a user who needs no credentials: remove either `auth` or `methods`";
            findings.add(&item.span, &item.key, what);
        }
        (Some(Authentication::Required { password, keys, .. }), item) => {
            // A file may get further keys.
            let has_more = has_authorities || section.take("authorized_keys").is_some();
            let most_keys = if has_more { usize::MAX } else { most_keys(keys) };
            if !required.can_be_satisfied(most_keys, password.is_some()) {
                let (span, key, whose) = match &item {
                    Some(item) => (&item.span, &item.key, "these methods"),
                    None => (&section.span, &section.key, "the `methods` of its tenant or of the server"),
                };
                let what = format!(
                    "nobody could log in as this user, who lacks credentials that {whose} require ({required}): add \
                     them, or set other `methods` for the user"
                );
                findings.add(span, key, what);
            }
        }
        (Some(Authentication::NotRequired) | None, _) => {}
    }
    required
}

/// With how many different keys a user with these can log in, at most. An authority can certify any number.
fn most_keys(keys: &[AuthorizedKey]) -> usize {
    let usable = || keys.iter().filter(|key| key.usable());
    if usable().any(|key| key.options.is_authority) {
        return usize::MAX;
    }
    usable().map(|key| key.fingerprint.as_str()).collect::<BTreeSet<_>>().len()
}

/// Reads one key of a list.
fn listed_key(text: &str) -> Result<AuthorizedKey, String> {
    let is_path = !text.contains(char::is_whitespace) && (text.contains('/') || text.ends_with(".pub"));
    parse_key(text).map_err(|what| {
        if is_path && parse_key(&format!("ssh-ed25519 {text}")).is_err() {
            format!("{what}: of a file of keys, write authorized_keys = {text:?} instead")
        } else {
            what
        }
    })
}

fn read_list(list: &Item<'_>, findings: &mut Findings) -> Vec<AuthorizedKey> {
    let (mut keys, mut spans): (Vec<AuthorizedKey>, Vec<_>) = (Vec::new(), Vec::new());
    for item in list.elements(findings) {
        let Some(key) = findings.keep(&item, text(item.value).and_then(listed_key)) else { continue };
        remarks(&key).for_each(|remark| findings.note(&item, remark));
        if let Some((_, first)) = keys.iter().zip(&spans).find(|(other, _)| **other == key) {
            let first = findings.first(first);
            findings.note(&item, format!("the key {} is listed twice {first}", key.fingerprint));
        }
        spans.push(item.span.clone());
        keys.push(key);
    }
    keys
}

/// Warns that the home file is ignored because a listed key has restricting options.
fn note_useless_home(item: &Item<'_>, files: &[KeyFileSetting], keys: &[AuthorizedKey], findings: &mut Findings) {
    let in_home = files.iter().any(|file| matches!(file, KeyFileSetting::InHome(_)));
    if let Some(key) = keys.iter().find(|key| in_home && key.options.restricts()) {
        let fingerprint = &key.fingerprint;
        let what = format!(
            "the file in the home has no effect, because the user's key {fingerprint} has options that restrict it"
        );
        findings.note(item, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    #[test]
    fn a_key_counts_once_and_an_authority_as_any_number_of_keys() {
        let count = |lines: &[String]| {
            let keys: Vec<_> = lines.iter().map(|line| parse_key(line).unwrap()).collect();
            most_keys(&keys)
        };
        let (key, other) = (KEY.to_owned(), OTHER.to_owned());
        assert_eq!(count(&[]), 0);
        assert_eq!(count(&[key.clone(), key.clone(), format!("no-pty {KEY}")]), 1);
        assert_eq!(count(&[key.clone(), other]), 2);
        assert_eq!(count(&[key, format!("cert-authority {OTHER}")]), usize::MAX);
    }
}
