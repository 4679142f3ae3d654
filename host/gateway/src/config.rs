//! The configuration: read as a whole at the start and by each reload, checked as a whole.
//!
//! A [`Config`] comes from a TOML file, or stands for the demonstration when there is none. All errors are found before
//! anything is bound or written and reported together, each with file, line and key. The files that it names (keys,
//! plugins) are read or listed here too, so that they cannot fail later.
//!
//! Decided 2026-09: the TOML tree is read by hand and not with serde's derive, which stops at the first error.

mod belongs;
pub(crate) mod derived;
mod duplicate;
mod folders;
pub(crate) mod machine;
mod problem;
mod reader;
mod reference;
pub(crate) mod sections;
mod setting;
pub(crate) mod suggest;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use toml::de::DeTable;
use whelk_ssh::algorithm::Preferences;
use whelk_ssh::message::Role;
use whelk_ssh::transport::SoftwareVersion;

pub use problem::{Problem, Refused};
use reader::{Findings, Section};
pub use reference::example::Example;
pub use reference::reference;
pub use sections::algorithms::table as algorithms_table;
pub use sections::audit::{AuditConfig, AuditTarget};
pub use sections::authenticators::AuthenticatorConfig;
use sections::authenticators::Surroundings;
pub use sections::environment::EnvironmentNames;
pub use sections::grants::{Clock, Directory, DirectoryAccess, Grants, HomesConfig, KeyValue, MountConfig, size};
pub use sections::limits::Limits;
pub use sections::listen::metrics::MetricsConfig;
pub use sections::listen::{AddressLists, parse_address};
pub use sections::login::authorities::Authorities;
pub use sections::login::methods::RequiredMethods;
pub use sections::login::patterns::{LONGEST_NAME, UserPattern};
pub use sections::login::revocation::RevocationConfig;
use sections::plugins::{Plugins, Visible};
use sections::tenants::files::PROGRAMS;
pub use sections::tenants::recording::{RecordingConfig, RecordingFormat, RecordingHash};
use sections::tenants::{Around, TenantConfigs};
pub use sections::tenants::{DEFAULT_TENANT, TenantConfig, check_tenant_name};
pub use sections::users::{Authentication, KeyFileSetting, User};
pub use setting::parse_time;

use crate::state::host_keys::HostKeyFiles;
use crate::state::strict_modes::Writers;
use crate::state::{State, tenant_folder};

/// The demonstration's banner and notice.
pub const DEMONSTRATION: &str = "DEMONSTRATION: anyone on this machine can log in";

/// How many errors of an invalid TOML text are reported. A missing quote makes every following line an error.
const MOST_ERRORS: usize = 8;

/// The longest banner, in bytes.
const LONGEST_BANNER: usize = 8 << 10;

/// A valid configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen, without conflicts.
    pub listen: Vec<SocketAddr>,
    /// Proxies, and who gets no penalties.
    pub addresses: AddressLists,
    /// The operator's plugin folder, which every tenant sees.
    pub plugins: PathBuf,
    /// The state folder.
    pub state: PathBuf,
    /// The host keys that it names.
    pub host_keys: HostKeyFiles,
    /// The banner: whole lines, without control characters except LF and tab.
    pub banner: Option<String>,
    /// What clients are told of the server's software.
    pub software_version: SoftwareVersion,
    /// The environment variables that a client may set.
    pub environment_names: EnvironmentNames,
    /// Whether erasing a character in a terminal moves back by the columns that it takes.
    pub erase_by_width: bool,
    /// Who may log in.
    pub login_policy: LoginPolicy,
    /// The plugins that decide about the logins of others than these users, in the order in which they are asked.
    pub authenticators: Vec<AuthenticatorConfig>,
    /// The authorities whose certificates any user may have.
    pub authorities: Authorities,
    /// What is revoked, and what follows.
    pub revoked: RevocationConfig,
    /// The tenants, by their exact names: at least [`DEFAULT_TENANT`]. Empty in the demonstration, where each plugin is
    /// a tenant of its own.
    pub tenants: BTreeMap<String, TenantConfig>,
    /// The algorithms to offer.
    pub algorithms: Preferences,
    /// Every limit.
    pub limits: Limits,
    /// Whether the process serves one connection (`whelk serve --stdio`). Then grants that are counted over all
    /// connections are not given: key-value, topics, and directories that can be written to, since they have a quota.
    pub one_connection: bool,
    /// How the audit is kept, if it is.
    pub audit: Option<AuditConfig>,
    /// Where and how metrics are shown.
    pub metrics: MetricsConfig,
    /// Notes for the operator.
    pub notes: Vec<Problem>,
    /// The file. None in the demonstration.
    pub source: Option<ConfigSource>,
}

/// The file that a configuration was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSource {
    /// Its path.
    pub file: PathBuf,
    /// The SHA-256 of what was read, in hexadecimal.
    pub digest: String,
}

/// Who may log in.
#[derive(Clone, Debug)]
pub enum LoginPolicy {
    /// Anybody, from this machine only. The user name selects the plugin.
    Demonstration,
    /// These users, by their exact names.
    Users(BTreeMap<String, User>),
}

/// Command line options that override the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--listen`, replaces the file's list if there is any.
    pub listen: Vec<SocketAddr>,
    /// `--plugins`.
    pub plugins: Option<PathBuf>,
    /// `--state`.
    pub state: Option<PathBuf>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// All errors of the file and of the files that it names, in the order of its lines.
    pub fn load(file: &Path, overrides: &Overrides) -> Result<Config, Refused> {
        let text = text::read(file).map_err(|what| Problem::of_option("--config", what))?;
        Config::parse(file, &text, overrides)
    }

    /// Reads the file of a running server again. A FIFO is an error: nobody writes to it any more.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn reload(file: &Path, overrides: &Overrides) -> Result<Config, Refused> {
        let text = text::read_again(file).map_err(|what| Problem::of_option("--config", what))?;
        Config::parse(file, &text, overrides)
    }

    /// The configuration without a file: anybody may log in, so it listens on loopback addresses only.
    ///
    /// # Errors
    /// `a configuration is needed to listen on ADDR` for each other address; a plugin folder that cannot be read.
    pub fn demonstration(overrides: &Overrides) -> Result<Config, Refused> {
        let far = overrides.listen.iter().filter(|address| !address.ip().is_loopback());
        let mut problems: Vec<_> = far
            .map(|address| Problem::of_option("", format!("a configuration is needed to listen on {address}")))
            .collect();
        let listen =
            if overrides.listen.is_empty() { vec![sections::listen::DEFAULT] } else { overrides.listen.clone() };
        problems.extend(sections::listen::doubles(&overrides.listen));
        let plugins = overrides.plugins.clone().unwrap_or_else(|| PathBuf::from("plugins"));
        problems.extend(
            Plugins::operators(&plugins, Writers::Anybody).err().map(|what| Problem::of_option("--plugins", what)),
        );
        let state = overrides.state.clone().map_or_else(default_state, Ok);
        let state = state.and_then(|state| State::check(&state).map(|()| state).map_err(|error| error.to_string()));
        match state {
            Ok(state) if problems.is_empty() => Ok(Config {
                listen,
                addresses: AddressLists::default(),
                plugins,
                state,
                host_keys: HostKeyFiles::default(),
                banner: Some(format!("{DEMONSTRATION}\n")),
                software_version: SoftwareVersion::of(Role::Server),
                environment_names: EnvironmentNames::default(),
                erase_by_width: true,
                login_policy: LoginPolicy::Demonstration,
                authenticators: Vec::new(),
                authorities: Authorities::default(),
                revoked: RevocationConfig::default(),
                tenants: BTreeMap::new(),
                algorithms: Preferences::default(),
                limits: demonstration_limits(),
                one_connection: false,
                audit: None,
                metrics: MetricsConfig::default(),
                notes: Vec::new(),
                source: None,
            }),
            Ok(_) => Err(Refused(problems)),
            Err(what) => {
                problems.push(Problem::of_option("--state", what));
                Err(Refused(problems))
            }
        }
    }

    /// Every plugin that a tenant names as its connection plugin: the tenant's name and the plugin's.
    pub fn connection_plugins(&self) -> BTreeSet<(&str, &str)> {
        let all = self.tenants.iter();
        all.filter_map(|(name, tenant)| Some((name.as_str(), tenant.connection_plugin.as_deref()?))).collect()
    }

    /// Every plugin that a tenant, its routes or its users name: the tenant's name and the plugin's.
    pub fn named_plugins(&self) -> BTreeSet<(&str, &str)> {
        &self.session_plugins() | &self.connection_plugins()
    }

    /// Those of them that serve sessions.
    pub fn session_plugins(&self) -> BTreeSet<(&str, &str)> {
        let mut named = BTreeSet::new();
        for (name, tenant) in &self.tenants {
            let routed = tenant.routes.all().map(|(_, _, plugin)| plugin);
            named.extend(tenant.plugin.as_deref().into_iter().chain(routed).map(|plugin| (name.as_str(), plugin)));
        }
        if let LoginPolicy::Users(users) = &self.login_policy {
            named.extend(users.values().map(|user| (user.tenant.as_str(), user.plugin.as_str())));
        }
        named
    }

    /// The home directory of a tenant's user: the directory that the user's plugins are granted, if it lasts.
    pub(crate) fn home(&self, tenant: &str, user: &str) -> Option<PathBuf> {
        let granted = self.tenants.get(tenant)?.grants.directory.as_ref()?;
        let path = granted.path.clone().unwrap_or_else(|| tenant_folder(&self.state, tenant));
        granted.of_principal(path, user)
    }

    /// The authenticator that is asked about a name which is no user's: the first with a pattern that fits.
    pub fn authenticator(&self, name: &str) -> Option<&AuthenticatorConfig> {
        self.authenticators.iter().find(|asked| asked.users.iter().any(|pattern| pattern.fits(name)))
    }

    /// Reads a text as if it were in the file.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub(crate) fn parse(file: &Path, text: &str, overrides: &Overrides) -> Result<Config, Refused> {
        let mut findings = Findings::new(file, text);
        let (table, errors) = DeTable::parse_recoverable(text);
        add_errors(&errors, text, table.get_ref(), &mut findings);
        // Settings of an invalid text would only cause misleading errors.
        let config = if errors.is_empty() { read(Section::top(&table), overrides, &mut findings) } else { None };
        belongs::amend(&mut findings);
        let mut problems = findings.problems;
        problems.sort();
        problems.dedup();
        if !errors.is_empty() {
            problems.truncate(MOST_ERRORS);
        }
        match config {
            Some(config) if problems.is_empty() => {
                let digest = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
                let source = Some(ConfigSource { file: file.to_owned(), digest });
                Ok(Config { notes: findings.notes, source, ..config })
            }
            Some(_) | None => Err(Refused(problems)),
        }
    }
}

/// Adds the parser's errors of an invalid TOML text.
fn add_errors(errors: &[toml::de::Error], text: &str, table: &DeTable<'_>, findings: &mut Findings) {
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let first = (error.message() == duplicate::DUPLICATE).then(|| duplicate::first(text, table, &span)).flatten();
        match first {
            Some((key, first)) => {
                let first = findings.first(&first);
                findings.add(&span, &key, format!("is set twice: remove one of them {first}"));
            }
            None => findings.add(&span, "", error.message()),
        }
    }
}

/// Reads every setting. `None` only after an error.
fn read(mut top: Section<'_>, overrides: &Overrides, findings: &mut Findings) -> Option<Config> {
    let folder = findings.file().parent().unwrap_or(Path::new("")).to_owned();
    let (listen, addresses) = sections::listen::read(&mut top, &overrides.listen, findings);
    let (plugins, known) = read_plugins(&mut top, &folder, overrides, findings);
    let state = read_state(&mut top, &folder, overrides, findings);
    let host_keys = sections::host_keys::read(&mut top, &folder, findings);
    let banner = read_banner(&mut top, findings);
    let software_version = read_software_version(&mut top, findings);
    let methods = top.take("methods").and_then(|item| sections::login::methods::read(&item, findings));
    let (environment_names, erase_by_width) = sections::environment::read(&mut top, findings);
    let algorithms = match top.take("algorithms") {
        Some(item) => item.section(findings).map(|section| sections::algorithms::read(section, findings)),
        None => Some(Preferences::default()),
    };
    let limits = read_limits(&mut top, findings);
    let authorities = match top.take("trusted_user_ca_keys") {
        Some(item) => sections::login::authorities::read(&item, &folder, findings),
        None => Authorities::default(),
    };
    let revoked = sections::login::revocation::read(&mut top, &folder, findings);
    let audit = sections::audit::read(&mut top, &folder, findings);
    let metrics = sections::listen::metrics::read(&mut top, findings);
    let own = OwnFiles {
        plugins: &plugins,
        known,
        state: state.as_deref(),
        authorities: &authorities,
        revoked_keys: revoked.keys.as_deref(),
        audit: audit.as_ref().and_then(AuditConfig::file),
        host_keys: &host_keys.keys,
    };
    let server = Defaults { limits: limits.as_ref(), methods: methods.unwrap_or_default() };
    let People { tenants, users, authenticators } = read_people(&mut top, &folder, own, server, findings);
    metrics.check(&listen, tenants.iter().map(|(name, tenant)| (name.as_str(), &tenant.grants)), findings);
    top.finish(findings);
    let login_policy = LoginPolicy::Users(users?);
    Some(Config {
        listen,
        addresses,
        plugins,
        state: state?,
        host_keys,
        banner,
        software_version,
        environment_names,
        erase_by_width,
        login_policy,
        authenticators,
        authorities,
        revoked,
        tenants,
        algorithms: algorithms?,
        limits: limits?,
        one_connection: false,
        audit,
        metrics: metrics.config,
        notes: Vec::new(),
        source: None,
    })
}

/// The program's own folders and files, as far as they are known.
struct OwnFiles<'a> {
    /// The operator's plugin folder ...
    plugins: &'a Path,
    /// ... and its contents.
    known: Option<Plugins>,
    state: Option<&'a Path>,
    /// The files of host keys.
    host_keys: &'a [PathBuf],
    authorities: &'a Authorities,
    revoked_keys: Option<&'a Path>,
    audit: Option<&'a Path>,
}

/// What tenants and users have unless they say otherwise.
struct Defaults<'a> {
    limits: Option<&'a Limits>,
    methods: RequiredMethods,
}

/// For whom sessions run, and who may log in.
struct People {
    tenants: BTreeMap<String, TenantConfig>,
    /// None only after an error.
    users: Option<BTreeMap<String, User>>,
    authenticators: Vec<AuthenticatorConfig>,
}

/// Reads tenants, users and authenticators, which refer to each other.
fn read_people(
    top: &mut Section<'_>,
    folder: &Path,
    own: OwnFiles<'_>,
    server: Defaults<'_>,
    findings: &mut Findings,
) -> People {
    let defaults = Limits::default();
    let limits = server.limits.unwrap_or(&defaults);
    let (state, plugins, methods) = (own.state, own.known.as_ref(), &server.methods);
    let mut programs = sections::plugins::arguments::defaults();
    if let Some(item) = top.take("programs") {
        let visible = Visible { has_own: false, deploys: false, own: None, operators: plugins };
        sections::plugins::arguments::read(&item, &visible, &mut programs, findings);
    }
    let around = Around { folder, state, plugins, limits, programs: &programs, methods };
    let section = top.take("tenants").and_then(|item| item.section(findings));
    let mut tenants = TenantConfigs::read(section, &around, findings);
    let asked = top.take("authenticators");
    let (users, keys) = match top.take("users") {
        Some(item) => match item.section(findings) {
            Some(section) if asked.is_some() && section.all().is_empty() => (Some(BTreeMap::new()), Vec::new()),
            Some(section) => {
                let (users, keys) = sections::users::read(section, folder, (&tenants, own.authorities), findings);
                (Some(users), keys)
            }
            None => (None, Vec::new()),
        },
        None if asked.is_some() => (Some(BTreeMap::new()), Vec::new()),
        None => {
            findings.add(&(0..0), "users", sections::users::NOBODY);
            (None, Vec::new())
        }
    };
    let authenticators = asked.map_or_else(Vec::new, |item| {
        let nobody = BTreeMap::new();
        let users = users.as_ref().unwrap_or(&nobody);
        let around = Surroundings { folder, tenants: &tenants, plugins, methods, users };
        sections::authenticators::read(&item, &around, findings)
    });
    tenants.note_unsaid_files(&behind_files(users.iter().flatten(), &authenticators), findings);
    if let Some(state) = own.state {
        let file = findings.file().to_owned();
        let of_others = authenticators.iter().filter_map(|asked| asked.authorities.as_ref()?.file.as_deref());
        let of_tenants = tenants.authorities().chain(of_others).map(|list| (folders::AUTHORITIES, list));
        let of_server = own.authorities.file.as_deref().map(|list| (folders::AUTHORITIES, list));
        let revoked = own.revoked_keys.map(|list| ("the revoked keys", list));
        let audit = own.audit.map(|file| ("the audit", file));
        let lists = of_tenants
            .chain(of_server)
            .chain(revoked)
            .chain(audit)
            .map(|(what, path)| (what, path.to_owned()))
            .collect();
        let (plugins, host_keys, recordings) = (own.plugins, own.host_keys, tenants.recordings());
        let owned = folders::Owned { file: &file, state, plugins, host_keys, keys: &keys, lists, recordings };
        folders::check(&mut tenants.claims, &owned, findings);
    }
    People { tenants: tenants.into_table(), users, authenticators }
}

/// What serves the sessions of each tenant's users, in words, but for the programs that serve files.
fn behind_files<'a>(
    users: impl Iterator<Item = (&'a String, &'a User)>,
    authenticators: &'a [AuthenticatorConfig],
) -> BTreeMap<&'a str, BTreeSet<String>> {
    let mut behind: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (_, User { tenant, plugin, .. }) in users.filter(|(_, user)| !PROGRAMS.contains(&user.plugin.as_str())) {
        behind.entry(tenant).or_default().insert(format!("the plugin {plugin}"));
    }
    for AuthenticatorConfig { name, tenants, .. } in authenticators {
        for tenant in tenants {
            behind.entry(tenant).or_default().insert(format!("the plugins that {name} grants"));
        }
    }
    behind
}

/// In the demonstration all users are on this machine: none has less than all.
fn demonstration_limits() -> Limits {
    let mut limits = Limits::default();
    limits.plugins.sessions_per_user = limits.plugins.instances;
    limits.plugins.connections_per_user = limits.connections;
    limits.plugins.user_output_share = 100;
    limits.penalty_sources = 0;
    limits
}

/// The plugin folder, and its contents unless it cannot be read.
fn read_plugins(
    top: &mut Section<'_>,
    folder: &Path,
    overrides: &Overrides,
    findings: &mut Findings,
) -> (PathBuf, Option<Plugins>) {
    let item = top.take("plugins");
    let named = match &item {
        Some(item) => match findings.keep(item, setting::path(item.value, folder)) {
            Some(path) => path,
            // An invalid path is reported once.
            None => return (folder.join("plugins"), None),
        },
        None => folder.join("plugins"),
    };
    let path = overrides.plugins.clone().unwrap_or(named);
    match (Plugins::operators(&path, Writers::Operator), &overrides.plugins, item) {
        (Ok(plugins), ..) => return (path, Some(plugins)),
        (Err(what), Some(_), _) => findings.problems.push(Problem::of_option("--plugins", what)),
        (Err(what), None, Some(item)) => findings.add(&item.span, &item.key, what),
        (Err(what), None, None) => findings.add(&(0..0), "plugins", what),
    }
    (path, None)
}

fn read_software_version(top: &mut Section<'_>, findings: &mut Findings) -> SoftwareVersion {
    let read = top.take("software_version").and_then(|item| {
        let read = setting::text(item.value).and_then(|text| SoftwareVersion::new(text).map_err(|bad| bad.to_string()));
        findings.keep(&item, read)
    });
    read.unwrap_or_else(|| SoftwareVersion::of(Role::Server))
}

fn read_state(top: &mut Section<'_>, folder: &Path, overrides: &Overrides, findings: &mut Findings) -> Option<PathBuf> {
    let item = top.take("state");
    let named = match &item {
        Some(item) => Some(findings.keep(item, setting::path(item.value, folder))?),
        None => None,
    };
    let state = overrides.state.clone().or(named).map_or_else(default_state, Ok);
    let checked = state.and_then(|state| State::check(&state).map(|()| state).map_err(|error| error.to_string()));
    match (checked, &overrides.state, item) {
        (Ok(state), ..) => return Some(state),
        (Err(what), Some(_), _) => findings.problems.push(Problem::of_option("--state", what)),
        (Err(what), None, Some(item)) => findings.add(&item.span, &item.key, what),
        (Err(what), None, None) => findings.add(&(0..0), "state", what),
    }
    None
}

/// The limits. None only after an error.
fn read_limits(top: &mut Section<'_>, findings: &mut Findings) -> Option<Limits> {
    let Some(item) = top.take("limits") else { return Some(Limits::default()) };
    let mut section = item.section(findings)?;
    let limits = Limits::read(&mut section, findings);
    for (name, what) in limits.contradictions() {
        // The line of the setting itself if the file has it, else of the table.
        match section.take(name) {
            Some(item) => findings.add(&item.span, &item.key, what),
            None => findings.add(&section.span, &section.full(name), what),
        }
    }
    for (name, what) in limits.oddities() {
        if let Some(item) = section.take(name) {
            findings.note(&item, what);
        }
    }
    section.finish(findings);
    Some(limits)
}

/// The default state folder: the XDG base directory specification, `XDG_STATE_HOME`.
///
/// # Errors
/// When the environment does not have it.
pub fn default_state() -> Result<PathBuf, String> {
    state_folder(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))
}

fn state_folder(xdg_state_home: Option<OsString>, home: Option<OsString>) -> Result<PathBuf, String> {
    // The specification: a relative path is to be ignored.
    let absolute = |path: Option<OsString>| path.map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(xdg_state_home)
        .or_else(|| absolute(home).map(|home| home.join(".local/state")))
        .map(|base| base.join("whelk"))
        .ok_or_else(|| "neither XDG_STATE_HOME nor HOME says where: name the folder".to_owned())
}

/// Reads the banner.
fn read_banner(top: &mut Section<'_>, findings: &mut Findings) -> Option<String> {
    let item = top.take("banner")?;
    let read = setting::text(item.value).and_then(banner_lines);
    findings.keep(&item, read)
}

/// RFC 4252 §5.4: the banner goes to a terminal, so control characters are removed. CR LF in the file is a line end
/// like LF.
fn banner_lines(text: &str) -> Result<String, String> {
    if text.len() > LONGEST_BANNER {
        return Err(format!("must have at most {LONGEST_BANNER} bytes, has {}", text.len()));
    }
    let lines: String = text.lines().map(|line| format!("{line}\n")).collect();
    match lines.chars().find(|character| character.is_control() && !matches!(character, '\n' | '\t')) {
        Some(character) => Err(format!("must have no control characters, has {character:?}")),
        None => Ok(lines),
    }
}
