//! The table `[users]`: who may enter, by which proof, to which tenant and plugin.

use std::collections::BTreeMap;
use std::path::Path;

use super::folders::KeyFile as KeyFilePlace;
use super::plugins::Visible;
use super::problem::Problem;
use super::reader::{Findings, Item, Section};
use super::setting::text;
use super::tenants::{DEFAULT_TENANT, Tenant, Tenants};
use crate::credential::{AuthorizedKey, KeyFile, MOST_TOLD, PasswordHash, parse_key, read_authorized_keys};

/// RFC 4252 sets no bound on a user name; this is the longest that anybody enters with.
pub const LONGEST_NAME: usize = 255;

/// What is wrong with a file without users.
pub(super) const NOBODY: &str = "nobody could enter: add at least one [users.NAME]";

/// One user.
#[derive(Clone, Debug)]
pub struct User {
    /// The name of the tenant for whom the user's sessions run.
    pub tenant: String,
    /// The plugin that the user's sessions run unless a route leads elsewhere.
    pub plugin: String,
    /// It is the user's own choice, and not the tenant's default.
    pub own_plugin: bool,
    /// How the user gets in.
    pub door: Door,
}

/// How a user gets in.
#[derive(Clone, Debug)]
pub enum Door {
    /// Without credentials: `auth = "none"`. Never one of several methods that are asked for.
    Open,
    /// With any one of these. None exists where no line of the user's file of keys was understood: then nobody gets in.
    Credentials {
        /// The hash of the password, if one opens the door.
        password: Option<PasswordHash>,
        /// The public keys that open it.
        keys: Vec<AuthorizedKey>,
    },
}

/// Reads every user, and names the files by whose keys they enter. `folder` is what relative paths are relative to.
pub(super) fn read(
    section: Section<'_>,
    folder: &Path,
    tenants: &Tenants<'_>,
    findings: &mut Findings,
) -> (BTreeMap<String, User>, Vec<KeyFilePlace>) {
    let (mut users, mut files) = (BTreeMap::new(), Vec::new());
    let items = section.all();
    if items.is_empty() {
        findings.add(&section.span, &section.key, NOBODY);
    }
    for item in items {
        let Some(mut section) = item.section(findings) else { continue };
        let found = read_tenant(&mut section, tenants, findings);
        let plugin = read_plugin(&mut section, found, findings);
        let door = read_door(&mut section, folder, findings);
        let name = read_name(&item, findings);
        let file = section.take("authorized_keys").and_then(|item| text(item.value).ok());
        section.finish(findings);
        let Some((tenant, ..)) = found else { continue };
        let tenant = tenant.to_owned();
        files.extend(file.map(|file| KeyFilePlace {
            path: folder.join(file),
            user: item.name.clone(),
            tenant: tenant.clone(),
        }));
        if let (Some((plugin, own_plugin)), Some(door), Some(name)) = (plugin, door, name) {
            users.insert(name, User { tenant, plugin, own_plugin, door });
        }
    }
    (users, files)
}

/// A tenant that a user names: its name, itself, and the plugins that it sees.
type Found<'t> = (&'t str, &'t Tenant, Visible<'t>);

fn read_tenant<'t>(section: &mut Section<'t>, tenants: &'t Tenants<'_>, findings: &mut Findings) -> Option<Found<'t>> {
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

/// The plugin, and whether it is the user's own choice. Where the tenant is not known, neither are its plugins.
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

fn read_door(section: &mut Section<'_>, folder: &Path, findings: &mut Findings) -> Option<Door> {
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
            Ok("none") => Ok(Door::Open),
            Ok(other) => {
                Err(format!("can only be \"none\", which lets everybody in without credentials, is {other:?}"))
            }
            Err(what) => Err(what),
        };
        return findings.keep(&auth, read);
    }
    let password = password.and_then(|item| {
        // What stands there instead of a hash may be a password, so it is not shown.
        let hash = text(item.value).map_err(|_| "must be a hash in quotes".to_owned());
        findings.keep(&item, hash.and_then(PasswordHash::parse))
    });
    let mut keys = list.map(|item| read_list(&item, findings)).unwrap_or_default();
    let has_file = file.is_some();
    if let Some(item) = file {
        keys.extend(read_file(&item, folder, findings));
        if password.is_none() && !keys.iter().any(AuthorizedKey::usable) {
            findings.note(&item, "nobody can log in as this user: no key of the file can be used");
        }
    }
    if findings.problems.len() > before {
        return None;
    }
    if password.is_none() && keys.is_empty() && !has_file {
        let what = "could never enter: add a password, a key, or auth = \"none\" to let everybody in";
        findings.add(&section.span, &section.key, what);
        return None;
    }
    Some(Door::Credentials { password, keys })
}

fn read_list(list: &Item<'_>, findings: &mut Findings) -> Vec<AuthorizedKey> {
    let mut keys = Vec::new();
    for item in list.elements(findings) {
        let Some(key) = findings.keep(&item, text(item.value).and_then(parse_key)) else { continue };
        if !key.usable() {
            findings.note(&item, unusable(&key));
        }
        keys.push(key);
    }
    keys
}

/// Reads a user's file of keys. Whatever is wrong with it is told and concerns this user alone: it is the user's own, and no reason
/// to keep the server from starting.
fn read_file(item: &Item<'_>, folder: &Path, findings: &mut Findings) -> Vec<AuthorizedKey> {
    let Some(name) = findings.keep(item, text(item.value)) else { return Vec::new() };
    let path = folder.join(name);
    let file = read_authorized_keys(&path).unwrap_or_else(|what| {
        findings.note(item, format!("{what}: none of its keys is used"));
        KeyFile::default()
    });
    let skipped = file.skipped.into_iter().map(|line| (line.line, format!("line skipped: {}", line.reason)));
    let unusable = file.keys.iter().filter(|(_, key)| !key.usable()).map(|(line, key)| (*line, unusable(key)));
    let more_unusable = unusable.clone().count().saturating_sub(MOST_TOLD);
    let notes = skipped.chain(unusable.take(MOST_TOLD)).map(|(line, what)| Problem::at(&path, line, &item.key, what));
    findings.notes.extend(notes);
    if more_unusable > 0 {
        findings.note(item, format!("{more_unusable} more keys of {} cannot log in yet", path.display()));
    }
    if file.more_skipped > 0 {
        findings.note(item, format!("{} more lines of {} were skipped", file.more_skipped, path.display()));
    }
    file.keys.into_iter().map(|(_, key)| key).collect()
}

fn unusable(key: &AuthorizedKey) -> String {
    format!("a key of type {} cannot log in yet: use ssh-ed25519", key.kind)
}
