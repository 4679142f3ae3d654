//! The tables `[tenants.NAME]`. A tenant has users, a default plugin, routes, limits and grants.
//!
//! The tenant [`DEFAULT_TENANT`] always exists, configured or not: it has the users without a tenant.

pub(crate) mod files;
pub(crate) mod recording;
mod routes;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use whelk_runtime::Routes;

use self::files::Serving;
use self::recording::RecordingConfig;
use super::grants::{self, DirectoryAccess, Grants, note_hidden, read_mounts};
use super::limits::Limits;
use super::login::authorities::{self, Authorities};
use super::login::methods::{self, RequiredMethods};
use super::plugins::arguments::{self, ProgramSettings};
use super::plugins::{Plugins, Visible};
use crate::config::folders::{Claim, DEPLOYS_NOTHING, Kind, ResolvedPath};
use crate::config::reader::{Findings, Item, Section};
use crate::config::setting::{path, text, truth};
use crate::config::suggest::nearest;
use crate::state::plugin_files::programs::{self, BIN, ProgramName};
use crate::state::plugin_files::{self, Links};
use crate::state::strict_modes::Writers;
use crate::state::{ephemeral_folder, tenant_folder};

/// The tenant of users without one.
pub const DEFAULT_TENANT: &str = "default";

/// The longest name of a tenant, in bytes.
const LONGEST_NAME: usize = 64;

/// One tenant.
#[derive(Clone, Debug)]
pub struct TenantConfig {
    /// The plugin of those of its users who have none.
    pub plugin: Option<String>,
    /// The plugin that handles whole connections of its users.
    pub connection_plugin: Option<String>,
    /// Its own plugin folder, which other tenants do not see and which takes precedence over the operator's. Absolute,
    /// without links.
    pub plugins: Option<PathBuf>,
    /// The tenant itself may change the contents of that folder.
    pub deploys: bool,
    /// Which plugin serves which command.
    pub routes: Routes,
    /// Whether sftp and scp reach the files of its sessions; `None`: if those are homes.
    pub files: Option<bool>,
    /// A command without a route runs the program that its first word names.
    pub exec_programs: bool,
    /// The arguments that its programs get: the server's settings, with this tenant's.
    pub(crate) programs: ProgramSettings,
    /// The methods of authentication that its users must succeed in, unless they say otherwise.
    pub methods: RequiredMethods,
    /// The server's limits, with this tenant's changes.
    pub limits: Limits,
    /// The grants of its plugins.
    pub grants: Grants,
    /// The authorities whose certificates its users may have, beside the server's.
    pub authorities: Authorities,
    /// How its sessions are recorded, if they are.
    pub recording: Option<RecordingConfig>,
}

/// What the tenants of a file are read with.
pub(in crate::config) struct Around<'a> {
    /// The base of relative paths.
    pub(in crate::config) folder: &'a Path,
    /// The state folder, unless it is unknown.
    pub(in crate::config) state: Option<&'a Path>,
    /// The operator's plugins, unless they cannot be read.
    pub(in crate::config) plugins: Option<&'a Plugins>,
    pub(in crate::config) limits: &'a Limits,
    /// The server's settings of programs.
    pub(in crate::config) programs: &'a ProgramSettings,
    /// The methods that the server requires.
    pub(in crate::config) methods: &'a RequiredMethods,
}

/// Every tenant, by its exact name, and the folders that they are given.
pub(in crate::config) struct TenantConfigs<'a> {
    known: BTreeMap<String, Known>,
    operators: Option<&'a Plugins>,
    pub(in crate::config) claims: Vec<Claim>,
}

struct Known {
    tenant: TenantConfig,
    /// The contents of its own plugin folder, if it has a readable one.
    own: Option<Plugins>,
    /// The place of its directory in the file, and the full key.
    directory: Option<(Range<usize>, String)>,
}

impl From<TenantConfig> for Known {
    fn from(tenant: TenantConfig) -> Known {
        Known { tenant, own: None, directory: None }
    }
}

/// Checks the name of a tenant, which becomes the name of a folder.
///
/// # Errors
/// What a name looks like.
pub fn check_tenant_name(name: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(plain) {
        return Err(format!("the name of a tenant has from 1 to {LONGEST_NAME} letters, digits, - and _"));
    }
    Ok(())
}

impl TenantConfig {
    /// The file of the plugin that this name means to the tenant, and whether it is in its own folder, which takes
    /// precedence over the operator's. `None` if it is in neither.
    pub(crate) fn file(&self, plugin: &str, operators: &Path) -> Option<(PathBuf, bool)> {
        // Names were checked when the configuration was read: this is not a path.
        let own = self.own_folder(plugin).map(|own| (own, Links::Refuse));
        let mut folders = own.into_iter().chain([(operators, Links::Follow)]);
        match folders.find(|(folder, links)| plugin_files::has(folder, plugin, *links)) {
            Some((folder, links)) => Some((folder.join(format!("{plugin}.wasm")), links == Links::Refuse)),
            None => self.program_file(plugin, operators),
        }
    }

    /// The same for a name that no plugin has.
    fn program_file(&self, name: &str, operators: &Path) -> Option<(PathBuf, bool)> {
        let own = self.own_folder(name).map(|own| (own.join(BIN), Links::Refuse));
        let mut folders = own.into_iter().chain([(operators.join(BIN), Links::Within)]);
        folders.find_map(|(folder, links)| {
            let found = programs::find(&folder, name, links, Writers::Anybody).ok()??;
            let ProgramName::File { program, .. } = found else { return None };
            Some((folder.join(format!("{program}.wasm")), links == Links::Refuse))
        })
    }

    /// The tenant's own plugin folder, if it may have the plugin of this name.
    fn own_folder(&self, plugin: &str) -> Option<&Path> {
        self.plugins.as_deref().filter(|_| !self.operators_alone().contains(&plugin))
    }

    /// Names that mean the operator's programs alone: those that serve files, where the tenant's sessions may write
    /// into its plugin folder, and sftp or scp leads to them.
    pub(crate) fn operators_alone(&self) -> &'static [&'static str] {
        let is_routed = || self.routes.all().any(|(.., plugin)| files::PROGRAMS.contains(&plugin));
        if self.deploys && (self.serves_files() || is_routed()) { &files::PROGRAMS } else { &[] }
    }

    /// Whether sftp and scp reach the files of its sessions. A directory that is no home may be an application's data.
    pub(crate) fn serves_files(&self) -> bool {
        self.files.unwrap_or_else(|| files::default(&self.grants, &self.routes))
    }

    /// What decides who serves a program request.
    pub(crate) fn serving(&self) -> Serving<'_> {
        Serving { routes: &self.routes, files: self.serves_files(), exec_programs: self.exec_programs }
    }

    /// A tenant with these limits and nothing else.
    pub(crate) fn plain(limits: &Limits) -> TenantConfig {
        let (routes, grants, authorities) = (Routes::default(), Grants::default(), Authorities::default());
        TenantConfig {
            plugin: None,
            connection_plugin: None,
            plugins: None,
            deploys: false,
            routes,
            files: None,
            exec_programs: false,
            programs: ProgramSettings::new(),
            methods: RequiredMethods::default(),
            limits: limits.clone(),
            grants,
            authorities,
            recording: None,
        }
    }
}

impl<'a> TenantConfigs<'a> {
    /// Reads every tenant. One with errors exists all the same, so that its users cause no further errors.
    pub(in crate::config) fn read(
        section: Option<Section<'_>>,
        around: &Around<'a>,
        findings: &mut Findings,
    ) -> TenantConfigs<'a> {
        let known = BTreeMap::from([(DEFAULT_TENANT.to_owned(), Known::from(inheriting(around)))]);
        let mut tenants = TenantConfigs { known, operators: around.plugins, claims: Vec::new() };
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
    /// There is none; suggests the one that was probably meant.
    pub(in crate::config) fn find(&self, name: &str) -> Result<(&TenantConfig, Visible<'_>), String> {
        if let Some(Known { tenant, own, .. }) = self.known.get(name) {
            return Ok((tenant, visible(tenant, own.as_ref(), self.operators)));
        }
        Err(match nearest(name, self.known.keys().map(String::as_str)) {
            Some(meant) => format!("there is no tenant {name:?} (did you mean {meant:?}?)"),
            None => format!("there is no tenant {name:?}: add [tenants.{name}]"),
        })
    }

    /// Notes each tenant whose homes sftp and scp reach, or do not, without the operator's word. `behind`: what serves
    /// the sessions of a tenant's users, which keeps clients from a home or lets them.
    pub(in crate::config) fn note_unsaid_files(
        &self,
        behind: &BTreeMap<&str, BTreeSet<String>>,
        findings: &mut Findings,
    ) {
        for (name, Known { tenant, directory, .. }) in &self.known {
            let behind = behind.get(name.as_str()).into_iter().flatten().map(String::as_str);
            if let (None, Some((span, key))) = (tenant.files, directory)
                && let Some(what) = files::unsaid(name, (&tenant.grants, &tenant.routes), behind)
            {
                findings.note_at(span, key, what);
            }
        }
    }

    /// The files of the tenants' authorities.
    pub(in crate::config) fn authorities(&self) -> impl Iterator<Item = &Path> {
        self.known.values().filter_map(|known| known.tenant.authorities.file.as_deref())
    }

    /// The folders of recordings that are named.
    pub(in crate::config) fn recordings(&self) -> Vec<PathBuf> {
        self.known.values().filter_map(|known| known.tenant.recording.as_ref()?.folder.clone()).collect()
    }

    /// The tenants alone.
    pub(in crate::config) fn into_table(self) -> BTreeMap<String, TenantConfig> {
        self.known.into_iter().map(|(name, known)| (name, known.tenant)).collect()
    }
}

/// A tenant that says nothing of its own.
fn inheriting(around: &Around<'_>) -> TenantConfig {
    let (methods, programs) = (around.methods.clone(), around.programs.clone());
    TenantConfig { methods, programs, ..TenantConfig::plain(around.limits) }
}

fn visible<'p>(tenant: &TenantConfig, own: Option<&'p Plugins>, operators: Option<&'p Plugins>) -> Visible<'p> {
    Visible { has_own: tenant.plugins.is_some(), deploys: tenant.deploys, own, operators }
}

fn read_tenant(item: &Item<'_>, around: &Around<'_>, claims: &mut Vec<Claim>, findings: &mut Findings) -> Known {
    let mut tenant = inheriting(around);
    let Some(mut section) = item.section(findings) else { return Known::from(tenant) };
    let directory = section
        .take("grants")
        .and_then(|granted| granted.section(findings))
        .and_then(|section| read_grants(section, (item, around), &mut tenant, claims, findings));
    let own = section.take("plugins").and_then(|folder| {
        let in_hands =
            directory.as_ref().filter(|directory| directory.kind.deploys()).map(|directory| &directory.place);
        let place = read_folder(&folder, around.folder, in_hands, findings);
        // If the folder cannot be read, its name is accepted: its plugins are not reported as missing.
        tenant.plugins = Some(place.as_ref().map(|place| place.path.clone()).unwrap_or_default());
        tenant.deploys = is_theirs(place.as_ref(), in_hands);
        let own = place.as_ref().and_then(|place| list_folder(&folder, place, in_hands, around.limits, findings));
        claims.extend(place.map(|place| claim(&item.name, &folder, Kind::Plugins, place)));
        own
    });
    let place = directory.as_ref().map(|claim| (claim.span.clone(), claim.key.clone()));
    claims.extend(directory);
    let visible = visible(&tenant, own.as_ref(), around.plugins);
    // A name without a plugin is kept: its users have a plugin all the same.
    if let Some(plugin) = section.take("plugin") {
        visible.read(&plugin, findings);
        tenant.plugin = text(plugin.value).ok().map(str::to_owned).or(Some(String::new()));
    }
    if let Some(plugin) = section.take("connection_plugin") {
        tenant.connection_plugin = visible.read(&plugin, findings).map(str::to_owned);
    }
    if let Some(section) = section.take("routes").and_then(|item| item.section(findings)) {
        tenant.routes = routes::read(section, &visible, findings);
    }
    if let Some(item) = section.take("files") {
        tenant.files = files::read(&item, (&tenant.grants, &tenant.routes), &visible, findings);
    }
    if let Some(given) = section.take("exec_programs").and_then(|item| findings.keep(&item, truth(item.value))) {
        tenant.exec_programs = given;
    }
    if let Some(item) = section.take("programs") {
        arguments::read(&item, &visible, &mut tenant.programs, findings);
    }
    if let Some(item) = section.take("trusted_user_ca_keys") {
        tenant.authorities = authorities::read(&item, around.folder, findings);
    }
    if let Some(methods) = section.take("methods").and_then(|item| methods::read(&item, findings)) {
        tenant.methods = methods;
    }
    if let Some(section) = section.take("limits").and_then(|item| item.section(findings)) {
        tenant.limits = read_limits(section, around.limits, findings);
    }
    if let Some(item) = section.take("recording") {
        tenant.recording = recording::read(&item, around.folder, findings);
    }
    section.finish(findings);
    Known { tenant, own, directory: place }
}

/// The grants, and the granted directory's claim. That of a skeleton is added to the others.
fn read_grants(
    mut section: Section<'_>,
    (item, around): (&Item<'_>, &Around<'_>),
    tenant: &mut TenantConfig,
    claims: &mut Vec<Claim>,
    findings: &mut Findings,
) -> Option<Claim> {
    let directory = section.take("directory");
    let (deploy, mounts) = (section.take("deploy"), section.take("mounts"));
    tenant.grants = grants::read(section, around.folder, findings);
    for (mount, mut config) in mounts.map(|item| read_mounts(&item, around.folder, findings)).unwrap_or_default() {
        if let Some(place) = findings.keep(&mount, resolve(&config.path, None)) {
            config.path = place.path.clone();
            claims.push(claim(&item.name, &mount, Kind::Mount, place));
            tenant.grants.mounts.push(config);
        }
    }
    let has_homes = tenant.grants.directory.as_ref().is_some_and(|directory| directory.homes.is_some());
    let deploys_nothing = tenant.grants.deploy && !tenant.grants.process && (directory.is_none() || has_homes);
    if let Some(deploy) = deploy.filter(|_| deploys_nothing) {
        findings.add(&deploy.span, &deploy.key, DEPLOYS_NOTHING);
    }
    let directory = directory?;
    let from = tenant.grants.directory.as_mut().and_then(|directory| directory.homes.as_mut()?.from.as_mut());
    if let Some(from) = from
        && let Some(place) = findings.keep(&directory, resolve(from, None))
    {
        *from = place.path.clone();
        claims.push(claim(&item.name, &directory, Kind::Skeleton, place));
    }
    let claimed = claim_directory(&item.name, tenant, &directory, around.state, findings);
    if let Some(Claim { place, .. }) = claimed.as_ref().filter(|_| !has_homes) {
        let Grants { mounts, system_folders, .. } = &tenant.grants;
        note_hidden(&place.path, (mounts, *system_folders), &directory, findings);
    }
    claimed
}

/// The path of a tenant's own plugin folder. `in_hands` is the directory that the tenant may change freely: its
/// contents are not the operator's responsibility.
fn read_folder(
    item: &Item<'_>,
    folder: &Path,
    in_hands: Option<&ResolvedPath>,
    findings: &mut Findings,
) -> Option<ResolvedPath> {
    let path = findings.keep(item, path(item.value, folder))?;
    let place = resolve(&path, in_hands);
    if !is_theirs(place.as_ref().ok(), in_hands) {
        findings.keep(item, grants::existing(&path))?;
    }
    findings.keep(item, place)
}

/// Whether the tenant may change this place freely.
fn is_theirs(place: Option<&ResolvedPath>, in_hands: Option<&ResolvedPath>) -> bool {
    place.zip(in_hands).is_some_and(|(place, in_hands)| place.is_within(in_hands))
}

/// The contents of a tenant's own plugin folder.
fn list_folder(
    item: &Item<'_>,
    place: &ResolvedPath,
    in_hands: Option<&ResolvedPath>,
    limits: &Limits,
    findings: &mut Findings,
) -> Option<Plugins> {
    // As many as are checked later.
    let most = usize::try_from(limits.plugins.plugins_per_folder).unwrap_or(usize::MAX);
    if let Err(what) = Plugins::check_tenants(&place.path) {
        findings.note(item, format!("{what}: its tenant has the operator's plugins until then"));
        return None;
    }
    match Plugins::tenants(&place.path, most) {
        Err(what) if is_theirs(Some(place), in_hands) => {
            findings.note(item, format!("{what}: its tenant can mend that, and has the operator's plugins until then"));
            None
        }
        listed => findings.keep(item, listed),
    }
}

/// Claims the directory of a tenant, to compare it with other folders. Its path is resolved.
fn claim_directory(
    name: &str,
    tenant: &mut TenantConfig,
    item: &Item<'_>,
    state: Option<&Path>,
    findings: &mut Findings,
) -> Option<Claim> {
    let directory = tenant.grants.directory.as_mut()?;
    let deploys = tenant.grants.deploy && directory.homes.is_none();
    let starts = tenant.grants.process;
    let private = directory.path.is_none();
    let path = match &directory.path {
        Some(path) => path.clone(),
        None if directory.lasts() => tenant_folder(state?, name),
        None => ephemeral_folder(state?, name),
    };
    let place = findings.keep(item, resolve(&path, None))?;
    if !private {
        directory.path = Some(place.path.clone());
    }
    let writes = directory.access == DirectoryAccess::ReadWrite;
    Some(claim(name, item, Kind::Directory { writes, deploys, starts, private }, place))
}

fn claim(tenant: &str, item: &Item<'_>, kind: Kind, place: ResolvedPath) -> Claim {
    Claim { tenant: tenant.to_owned(), kind, place, span: item.span.clone(), key: item.key.clone() }
}

fn resolve(path: &Path, in_hands: Option<&ResolvedPath>) -> Result<ResolvedPath, String> {
    ResolvedPath::resolve_up_to(path, in_hands).map_err(|error| format!("{} cannot be found: {error}", path.display()))
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
