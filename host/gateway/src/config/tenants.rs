//! The tables `[tenants.NAME]`: for whom sessions run. A tenant has users, a default plugin, routes, limits and grants.
//!
//! The tenant [`DEFAULT_TENANT`] always exists, configured or not: it has the users who name none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use whelk_runtime::Routes;

use super::folders::{Claim, DEPLOYS_NOTHING, Kind, Place};
use super::grants::{self, DirectoryAccess, Grants};
use super::limits::Limits;
use super::plugins::{Plugins, Visible};
use super::reader::{Findings, Item, Section, nearest};
use super::routes;
use super::setting::text;

/// The tenant of those users who name none.
pub const DEFAULT_TENANT: &str = "default";

/// The longest name of a tenant, in bytes.
const LONGEST_NAME: usize = 64;

/// One tenant.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// The plugin of those of its users who name none.
    pub plugin: Option<String>,
    /// Its own plugin folder, which nobody else sees and which is looked in before the operator's. Absolute, without links.
    pub plugins: Option<PathBuf>,
    /// Which plugin serves which command.
    pub routes: Routes,
    /// The server's limits, with what this tenant has more or less of.
    pub limits: Limits,
    /// What its plugins may reach.
    pub grants: Grants,
}

/// What the tenants of a file are read beside.
pub(super) struct Around<'a> {
    /// What relative paths are relative to.
    pub(super) folder: &'a Path,
    /// The state folder, unless nobody could say where it is.
    pub(super) state: Option<&'a Path>,
    /// The operator's plugins, unless they cannot be read.
    pub(super) plugins: Option<&'a Plugins>,
    pub(super) limits: &'a Limits,
}

/// Every tenant, by its exact name, and the folders that they are given.
pub(super) struct Tenants<'a> {
    known: BTreeMap<String, Known>,
    operators: Option<&'a Plugins>,
    pub(super) claims: Vec<Claim>,
}

struct Known {
    tenant: Tenant,
    /// What is in its own plugin folder, if it has one that can be read.
    own: Option<Plugins>,
}

/// Whether a tenant may be called so: its name becomes the name of a folder.
///
/// # Errors
/// Says what a name looks like.
pub fn check_tenant_name(name: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(plain) {
        return Err(format!("the name of a tenant has from 1 to {LONGEST_NAME} letters, digits, - and _"));
    }
    Ok(())
}

impl Tenant {
    /// The file of a plugin that this name means to it, and whether it is in its own folder, which comes before the operator's. `None` if it is
    /// in neither.
    pub(crate) fn file(&self, plugin: &str, operators: &Path) -> Option<(PathBuf, bool)> {
        // The name is one that stood in a folder's list when the configuration was read, so it is no path.
        let file = format!("{plugin}.wasm");
        let folders = self.plugins.iter().map(|own| (own.join(&file), true)).chain([(operators.join(&file), false)]);
        folders.into_iter().find(|(path, _)| path.is_file())
    }

    fn plain(limits: &Limits) -> Tenant {
        let (routes, grants) = (Routes::default(), Grants::default());
        Tenant { plugin: None, plugins: None, routes, limits: limits.clone(), grants }
    }
}

impl<'a> Tenants<'a> {
    /// Reads every tenant. One with problems is there all the same, so that its users are not told of them again.
    pub(super) fn read(section: Option<Section<'_>>, around: &Around<'a>, findings: &mut Findings) -> Tenants<'a> {
        let known =
            BTreeMap::from([(DEFAULT_TENANT.to_owned(), Known { tenant: Tenant::plain(around.limits), own: None })]);
        let mut tenants = Tenants { known, operators: around.plugins, claims: Vec::new() };
        for item in section.map(|section| section.all()).unwrap_or_default() {
            findings.keep(&item, check_tenant_name(&item.name));
            let known = read_tenant(&item, around, &mut tenants.claims, findings);
            tenants.known.insert(item.name, known);
        }
        tenants
    }

    /// The tenant of exactly this name, with the plugins that it sees.
    ///
    /// # Errors
    /// Says that there is none, and which one was probably meant.
    pub(super) fn find(&self, name: &str) -> Result<(&Tenant, Visible<'_>), String> {
        if let Some(Known { tenant, own }) = self.known.get(name) {
            return Ok((tenant, visible(tenant, own.as_ref(), self.operators)));
        }
        Err(match nearest(name, self.known.keys().map(String::as_str)) {
            Some(meant) => format!("there is no tenant {name:?} (did you mean {meant:?}?)"),
            None => format!("there is no tenant {name:?}: add [tenants.{name}]"),
        })
    }

    /// The tenants alone.
    pub(super) fn into_table(self) -> BTreeMap<String, Tenant> {
        self.known.into_iter().map(|(name, known)| (name, known.tenant)).collect()
    }
}

fn visible<'p>(tenant: &Tenant, own: Option<&'p Plugins>, operators: Option<&'p Plugins>) -> Visible<'p> {
    Visible { has_own: tenant.plugins.is_some(), own, operators }
}

fn read_tenant(item: &Item<'_>, around: &Around<'_>, claims: &mut Vec<Claim>, findings: &mut Findings) -> Known {
    let mut tenant = Tenant::plain(around.limits);
    let Some(mut section) = item.section(findings) else { return Known { tenant, own: None } };
    let mut own = None;
    if let Some(folder) = section.take("plugins") {
        let place = read_folder(&folder, around.folder, findings);
        // Where the folder cannot be read, its name stands for it: no plugin in it is missed a second time.
        tenant.plugins = Some(place.as_ref().map(|place| place.path.clone()).unwrap_or_default());
        own = place.as_ref().and_then(|place| findings.keep(&folder, Plugins::list(&place.path)));
        claims.extend(place.map(|place| claim(&item.name, &folder, Kind::Plugins, place)));
    }
    let visible = visible(&tenant, own.as_ref(), around.plugins);
    // A name that leads nowhere is kept: its users are not without a plugin.
    if let Some(plugin) = section.take("plugin") {
        visible.read(&plugin, findings);
        tenant.plugin = text(plugin.value).ok().map(str::to_owned).or(Some(String::new()));
    }
    if let Some(section) = section.take("routes").and_then(|item| item.section(findings)) {
        tenant.routes = routes::read(section, &visible, findings);
    }
    if let Some(section) = section.take("limits").and_then(|item| item.section(findings)) {
        tenant.limits = read_limits(section, around.limits, findings);
    }
    if let Some(granted) = section.take("grants")
        && let Some(mut section) = granted.section(findings)
    {
        let directory = section.take("directory");
        let deploy = section.take("deploy");
        tenant.grants = grants::read(section, around.folder, findings);
        match directory {
            Some(directory) => {
                claims.extend(claim_directory(&item.name, &mut tenant, &directory, around.state, findings))
            }
            None => {
                if let Some(deploy) = deploy.filter(|_| tenant.grants.deploy) {
                    findings.add(&deploy.span, &deploy.key, DEPLOYS_NOTHING);
                }
            }
        }
    }
    section.finish(findings);
    Known { tenant, own }
}

fn read_folder(item: &Item<'_>, folder: &Path, findings: &mut Findings) -> Option<Place> {
    let named = findings.keep(item, text(item.value))?;
    let path = findings.keep(item, grants::existing(&folder.join(named)))?;
    findings.keep(item, resolve(&path))
}

/// The directory of a tenant as what the other folders are held against. Its path becomes where it leads.
fn claim_directory(
    name: &str,
    tenant: &mut Tenant,
    item: &Item<'_>,
    state: Option<&Path>,
    findings: &mut Findings,
) -> Option<Claim> {
    let deploys = tenant.grants.deploy;
    let directory = tenant.grants.directory.as_mut()?;
    let private = directory.path.is_none();
    let path = match &directory.path {
        Some(path) => path.clone(),
        None => private_folder(state?, name),
    };
    let place = findings.keep(item, resolve(&path))?;
    if !private {
        directory.path = Some(place.path.clone());
    }
    let writes = directory.access == DirectoryAccess::ReadWrite;
    Some(claim(name, item, Kind::Directory { writes, deploys, private }, place))
}

/// Where whelk makes the directory of a tenant that has none of its own. Only for names that [`check_tenant_name`] takes.
pub fn private_folder(state: &Path, tenant: &str) -> PathBuf {
    state.join("files").join(tenant)
}

fn claim(tenant: &str, item: &Item<'_>, kind: Kind, place: Place) -> Claim {
    Claim { tenant: tenant.to_owned(), kind, place, span: item.span.clone(), key: item.key.clone() }
}

fn resolve(path: &Path) -> Result<Place, String> {
    Place::resolve(path).map_err(|error| format!("{} cannot be found: {error}", path.display()))
}

fn read_limits(mut section: Section<'_>, hosts: &Limits, findings: &mut Findings) -> Limits {
    let limits = hosts.read_tenant(&mut section, findings);
    let known = hosts.contradictions();
    for (name, what) in limits.contradictions() {
        if !known.iter().any(|(other, words)| *other == name && *words == what) {
            findings.add(&section.span, &section.key, format!("`{name}` {what}"));
        }
    }
    section.finish(findings);
    limits
}
