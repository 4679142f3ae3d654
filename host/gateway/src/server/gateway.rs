//! The state that all connections share, made from a configuration. A reload makes another one from the changed
//! configuration (`generation.rs`), which shares with the one before what must be one in a process: the engine, the
//! plugins, and everything that is counted.

pub(crate) mod figures;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use whelk_runtime::keyvalue::Embedded;
use whelk_runtime::limits::{Amount, ResizablePermit, ResizableSemaphore, count};
use whelk_runtime::{
    Cache, CacheKey, CompileSettings, Compiler, Engine, EngineSettings, Grants, Loader, Registry, ReservedAddresses,
    Tenant,
};
use whelk_ssh::crypto::key::SignFailed;
use whelk_ssh::crypto::random::{Random, SystemRandom};
use whelk_ssh::transport::SignatureRequest;
use whelk_ssh::{auth, connection};

use crate::auth::access::{Access, Identity, TimingSecret};
use crate::auth::authenticators::{AuthenticatorParts, Authenticators, store_name};
use crate::config::derived::{
    authenticator_limits, engine_settings, engine_settings_of, plugin_limits, protocol, uncompressed,
};
use crate::config::{self, AuthenticatorConfig, Config, EnvironmentNames, Limits, LoginPolicy};
use crate::observe::escape::escape;
use crate::observe::recording::Recordings;
use crate::os_limits;
use crate::plugins::compilers::CurrentCompilers;
use crate::plugins::programs::{Place, ProgramFolder};
use crate::plugins::reload::{FolderConfig, Loaders, Reload};
use crate::server::connection_table::ConnectionTable;
use crate::server::drain::{Drain, Stopper};
use crate::state::host_keys::HostKeys;
use crate::state::plugin_files::Links;
use crate::state::plugin_files::programs::BIN;
use crate::state::strict_modes::Writers;
use crate::state::{NOT_STARTED, State};
use crate::tenant::grants::Granter;
use crate::tenant::{TenantFolders, Tenants};

/// The running program, even if it has been replaced on disk since it was started.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// The state that all connections share.
pub struct Gateway {
    /// Decides who may log in. None once a newer generation has replaced this one, which its connections keep: with
    /// thousands of users each reload would otherwise cost megabytes for as long as one connection lasts.
    access: Mutex<Option<Arc<Access>>>,
    /// Its number.
    access_number: u64,
    protocol: connection::Settings,
    /// The same for connections that are not offered compression.
    uncompressed: connection::Settings,
    /// Whether any connection is offered compression.
    offers_compression: bool,
    authentication: Arc<auth::server::Settings>,
    host_keys: Arc<HostKeys>,
    /// The plugin folders of tenants that have one of their own, by the tenants' names, and the programs in them.
    own: BTreeMap<String, OwnFolders>,
    /// For whom sessions run.
    tenants: Arc<Tenants>,
    limits: Limits,
    /// The environment variables that a client may set.
    environment_names: EnvironmentNames,
    erase_by_width: bool,
    /// Anybody may log in, and the user name selects the plugin.
    demonstration: bool,
    /// The open files of plugins, of all tenants together.
    plugin_files: usize,
    /// The engine's totals of memory and output.
    totals: (usize, usize),
    process: Arc<Process>,
}

/// The program that the demonstration offers to whoever names no plugin.
const SHELL: &str = "shell";

/// A tenant's own plugin folder, and the folder of programs in it.
struct OwnFolders {
    plugins: FolderConfig,
    programs: FolderConfig,
}

/// Counts a connection that may be compressed, until it is dropped.
pub(crate) type CompressionPermit = ResizablePermit<Arc<ResizableSemaphore>>;

/// What all generations share.
struct Process {
    engine: Engine,
    /// The operator's plugins.
    registry: Arc<Registry>,
    /// The operator's programs.
    programs: Arc<ProgramFolder>,
    /// Who compiles what tenants start from files of their sessions.
    compilers: Arc<CurrentCompilers>,
    granter: Arc<Granter>,
    /// The timing of the first generation, whose host keys may change: see [`TimingSecret`].
    secret: TimingSecret,
    drain: Drain,
    /// One permit for each connection that may be compressed.
    compression: Arc<ResizableSemaphore>,
    /// Slots for cryptography that costs milliseconds.
    costly_work: [Arc<ResizableSemaphore>; 2],
    /// Every live connection.
    connections: Arc<ConnectionTable>,
    recordings: Arc<Recordings>,
}

impl Gateway {
    /// Makes everything that connections need. Plugins are loaded by [`load`](Self::load).
    ///
    /// # Errors
    /// When no host key can be offered, the runtime cannot be started, or a tenant's grant is not possible.
    pub fn new(config: &Config, host_keys: impl Into<HostKeys>, stopper: &Stopper) -> Result<Gateway, String> {
        let host_keys = host_keys.into();
        check_offered(&host_keys, config.algorithms.host_key_algorithm_names())?;
        let files = os_limits::make_room(config);
        let granter =
            if config.one_connection { Granter::without_counts(&config.state) } else { Granter::new(&config.state) };
        let (compressed, costly) = (count(config.limits.compressed_connections), count(config.limits.costly_exchanges));
        let place = programs_place(&config.plugins, Links::Within, writers(config));
        let (registry, loads_first) = (Registry::new(&config.limits.plugins), !config.one_connection);
        let process = Process {
            programs: Arc::new(ProgramFolder::new(registry, &Arc::default(), place, loads_first)),
            engine: start_engine(engine_settings_of(config), files.plugins)?,
            registry: Arc::new(Registry::new(&config.limits.plugins)),
            compilers: Arc::default(),
            granter: Arc::new(granter),
            secret: TimingSecret::new(host_keys.timing_secret()),
            drain: stopper.drain(),
            compression: Arc::new(ResizableSemaphore::new(compressed)),
            costly_work: [(); 2].map(|()| Arc::new(ResizableSemaphore::new(costly))),
            connections: Arc::default(),
            recordings: Arc::new(Recordings::new(&config.state)),
        };
        Gateway::generation(config, host_keys, files, (Arc::new(process), None))
    }

    /// The next generation, for a changed configuration. Nothing that connections have changes until
    /// [`apply_limits`](Self::apply_limits). Blocks on the disk.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn reloaded(&self, config: &Config, host_keys: HostKeys) -> Result<Gateway, String> {
        check_offered(&host_keys, config.algorithms.host_key_algorithm_names())?;
        let files = os_limits::make_room(config);
        Gateway::generation(config, host_keys, files, (Arc::clone(&self.process), Some(self)))
    }

    fn generation(
        config: &Config,
        host_keys: HostKeys,
        files: os_limits::Files,
        (process, before): (Arc<Process>, Option<&Gateway>),
    ) -> Result<Gateway, String> {
        process.recordings.prepare(config.tenants.values().filter_map(|tenant| tenant.recording.as_ref()))?;
        let own = own_folders(config, &process, before.map(|before| &before.own));
        let granted = authenticator_grants(config, &process.granter)?;
        let before_tenants = before.map(|before| &*before.tenants);
        let tenants = Arc::new(make_tenants(config, &own, &process, (files, before_tenants))?);
        let authenticators = make_authenticators(config, granted, (&process, &tenants), before);
        let mut access = Access::new(config, authenticators, &process.secret);
        if let Some(before) = before {
            access.continue_from(&before.access());
        }
        let authentication = auth::server::Settings {
            methods: access.methods(),
            banner: config.banner.as_deref().map(auth::server::Banner::new),
            max_failures: config.limits.failed_attempts,
            max_requests: config.limits.authentication_requests,
        };
        let (protocol, settings) = (protocol(config, &host_keys), engine_settings_of(config));
        Ok(Gateway {
            uncompressed: uncompressed(&protocol),
            offers_compression: config.algorithms.compression_names().iter().any(|name| *name != "none"),
            protocol,
            authentication: Arc::new(authentication),
            own,
            tenants,
            limits: config.limits.clone(),
            environment_names: config.environment_names.clone(),
            erase_by_width: config.erase_by_width,
            demonstration: matches!(config.login_policy, LoginPolicy::Demonstration),
            plugin_files: usize::try_from(files.plugins).unwrap_or(usize::MAX),
            totals: (settings.total_memory, settings.total_output),
            access_number: access.number(),
            access: Mutex::new(Some(Arc::new(access))),
            host_keys: Arc::new(host_keys),
            process,
        })
    }

    /// Bounds everything that is counted for the process, for a tenant or for a user by the limits of this generation.
    /// What is taken stays taken. Two calls must not run at the same time.
    pub(crate) fn apply_limits(&self) {
        let Process { engine, compression, costly_work, .. } = &*self.process;
        let (memory, output) = self.totals;
        engine.set_totals(self.plugin_files, memory, output);
        compression.resize(count(self.limits.compressed_connections));
        costly_work.iter().for_each(|slots| slots.resize(count(self.limits.costly_exchanges)));
        self.tenants.apply_limits();
        self.access().apply_limits(&self.limits);
    }

    /// Loads the plugins and keeps them up to date until the returned [`Reload`] is dropped. Returns once the
    /// operator's folder has been listed; [`Reload::prepared`] waits until its plugins are compiled. A plugin that
    /// cannot be loaded is logged, and the others are served. `program` is the `whelk` that compiles: [`THIS_PROGRAM`]
    /// except in tests.
    ///
    /// # Errors
    /// When the folder or the state cannot be used.
    pub async fn load(&self, config: &Config, state: &State, program: &Path) -> Result<Reload, String> {
        let key = cache_key(state, config.one_connection)?;
        let most = u64::try_from(config.limits.plugins.cache_bytes).unwrap_or(u64::MAX);
        let cache = |folder: PathBuf| {
            if config.one_connection {
                return Ok(Cache::read_only(folder, key.clone(), &self.process.engine, most));
            }
            let opened = Cache::open(folder.clone(), key.clone(), &self.process.engine, most);
            opened.map_err(|error| format!("{}: {error}", folder.display()))
        };
        // Tenants' plugins must not evict what the operator's next start needs.
        let (operators_cache, tenants_cache) = (cache(state.cache_path())?, cache(state.tenants_cache_path())?);
        let limits = trial_limits(config);
        let loader = |cache| Arc::new(loader(self.process.engine.clone(), program, Some(cache), &limits));
        let loaders = Loaders { operators: loader(operators_cache), tenants: loader(tenants_cache) };
        let reload = Reload::start(self.folders(config), loaders, &limits).await?;
        self.process.compilers.set(reload.compilers());
        Ok(reload)
    }

    /// Switches the plugin task to this generation's folders and limits. Blocks for a moment. Needs a tokio runtime.
    pub(crate) fn replace_folders(&self, config: &Config, reload: &Reload, program: &Path) {
        let limits = trial_limits(config);
        let (compiler, trial) = loader_parts(&self.process.engine, program, &limits);
        reload.replace(self.folders(config), &limits, |loader| loader.with(compiler.clone(), Arc::clone(&trial)));
        self.process.compilers.set(reload.compilers());
    }

    /// All plugin folders, the operator's first, and then the folders of programs in them.
    fn folders(&self, config: &Config) -> Vec<FolderConfig> {
        let Process { registry, programs, .. } = &*self.process;
        let operators = FolderConfig {
            path: config.plugins.clone(),
            tenant: None,
            writers: writers(config),
            registry: Arc::clone(registry),
            component: config.limits.plugins.component,
            programs: None,
        };
        let place = programs_place(&config.plugins, Links::Within, writers(config));
        let operators_programs = FolderConfig {
            path: place.path.clone(),
            registry: Arc::clone(programs.registry()),
            programs: Some(Arc::clone(programs)),
            ..operators.clone()
        };
        programs.set_place(place);
        let plugins = self.own.values().map(|own| own.plugins.clone());
        let programs = self.own.values().map(|own| own.programs.clone());
        std::iter::once(operators).chain(plugins).chain([operators_programs]).chain(programs).collect()
    }

    /// Logs each plugin that the configuration names although it needs more than its tenant is granted.
    pub async fn warn_of_missing_grants(&self, config: &Config) {
        self.tenants.warn_of_missing_grants(&config.named_plugins()).await;
    }

    /// Decides who may log in: that of the newest generation once it has replaced this one.
    pub(crate) fn access(&self) -> Arc<Access> {
        let own = self.access.lock().unwrap_or_else(PoisonError::into_inner).clone();
        own.or_else(|| self.connections().logins().newer_than(self.access_number))
            .expect("a generation is replaced only after the newest `Access` is known")
    }

    /// The number of what decided about logins when this generation was made.
    pub(crate) fn access_number(&self) -> u64 {
        self.access_number
    }

    /// A newer generation has replaced this one, and its `Access` is known to the connection table.
    pub(crate) fn replaced(&self) {
        *self.access.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The settings of the protocol for a new connection, with or without the offer of compression.
    pub(crate) fn protocol(&self, compression: bool) -> &connection::Settings {
        if compression { &self.protocol } else { &self.uncompressed }
    }

    /// A permit to offer compression to a new connection. The connection keeps it until the login shows whether the
    /// client uses compression. None if compression is off, or all `compressed_connections` permits are taken.
    pub(crate) fn offer_compression(&self) -> Option<CompressionPermit> {
        if self.offers_compression { self.acquire_compression() } else { None }
    }

    /// A permit for a connection that is compressed, if one is left.
    pub(crate) fn acquire_compression(&self) -> Option<CompressionPermit> {
        ResizableSemaphore::try_acquire(Arc::clone(&self.process.compression), 1)
    }

    /// The settings of authentication.
    pub(crate) fn authentication(&self) -> Arc<auth::server::Settings> {
        Arc::clone(&self.authentication)
    }

    /// The signature for a key exchange.
    ///
    /// # Errors
    /// The cryptography provider failed.
    pub(crate) fn sign(&self, request: &SignatureRequest<'_>) -> Result<Vec<u8>, SignFailed> {
        self.host_keys.sign(request.host_key, request.algorithm, request.hash.as_ref())
    }

    /// The host keys.
    pub(crate) fn host_keys(&self) -> &Arc<HostKeys> {
        &self.host_keys
    }

    /// Slots for cryptography that costs milliseconds.
    pub(crate) fn costly_work(&self, logged_in: bool) -> &Arc<ResizableSemaphore> {
        let [strangers, users] = &self.process.costly_work;
        if logged_in { users } else { strangers }
    }

    /// Our identification line.
    pub(crate) fn identification(&self) -> &str {
        self.protocol.transport.software.line()
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &Engine {
        &self.process.engine
    }

    /// Whether the instance pool is full.
    pub(crate) fn is_full(&self) -> bool {
        self.process.engine.is_full()
    }

    /// The peak of instances since the last call, and the current number.
    pub(crate) fn sessions(&self) -> (usize, usize) {
        (self.process.engine.take_peak(), self.process.engine.live())
    }

    /// How many instances have begun since the start.
    pub(crate) fn instances_started(&self) -> u64 {
        self.process.engine.instances_started()
    }

    /// Instances of sessions, the memory of all instances in bytes, and open files of plugins, each with its limit.
    pub(crate) fn usage(&self) -> [Amount; 3] {
        self.process.engine.usage()
    }

    /// How many of the operator's plugins are served, and how many are being prepared.
    pub(crate) fn plugin_counts(&self) -> (usize, usize) {
        (self.process.registry.plugins().len(), self.process.registry.preparing().len())
    }

    /// For whom sessions run.
    #[must_use]
    pub fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// The operator's plugins.
    #[cfg(test)]
    pub(crate) fn registry(&self) -> &Registry {
        &self.process.registry
    }

    /// The server's limits.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The environment variables that a client may set.
    pub(crate) fn environment_names(&self) -> &EnvironmentNames {
        &self.environment_names
    }

    /// Whether erasing a character in a terminal moves back by the columns that it takes.
    pub(crate) fn erases_by_width(&self) -> bool {
        self.erase_by_width
    }

    /// The limits of a user's sessions.
    pub(crate) fn limits_of(&self, identity: &Identity) -> &Limits {
        self.tenants.limits(&identity.tenant).unwrap_or(&self.limits)
    }

    /// The message for a user without a plugin. Only the demonstration lists the others.
    pub(crate) fn no_such_plugin(&self) -> String {
        if !self.demonstration {
            return "The plugin of this account is not available.\r\n".to_owned();
        }
        let mut ready = self.process.registry.plugins();
        ready.retain(|plugin| !plugin.is_authenticator());
        let (preparing, retried) = (self.process.registry.preparing(), self.process.registry.retried());
        let programs = self.process.programs.names();
        if ready.is_empty() && preparing.is_empty() && retried.is_empty() && programs.is_empty() {
            return "There are no plugins here yet. Put a .wasm file into the plugin folder.\r\n".to_owned();
        }
        let shown = |name: &str| escape(name.as_bytes()).to_string();
        let ready = ready.iter().map(|plugin| format!("  {}\r\n", shown(plugin.name())));
        let preparing = preparing.iter().map(|name| format!("  {} (still being prepared)\r\n", shown(name)));
        let is_ready = |name: &String| self.process.registry.get(name).is_some();
        let retried = retried.iter().filter(|name| !is_ready(name));
        let retried = retried.map(|name| format!("  {} (could not be prepared yet)\r\n", shown(name)));
        let list: String = ready.chain(preparing).chain(retried).collect();
        let leave = "At a terminal Ctrl-C or Ctrl-D leaves those that come with whelk; Enter and then ~. leaves any.";
        let shell = if programs.contains_key(SHELL) {
            format!("ssh {SHELL}@here is a shell with {} programs and files of its own.\r\n", programs.len())
        } else {
            String::new()
        };
        format!("{shell}The user name picks the plugin: ssh NAME@here. These are here:\r\n{list}{leave}\r\n")
    }

    /// Every live connection, and how to end one of them, or one of its sessions.
    #[must_use]
    pub fn connections(&self) -> &Arc<ConnectionTable> {
        &self.process.connections
    }

    /// The recordings of sessions.
    pub(crate) fn recordings(&self) -> &Arc<Recordings> {
        &self.process.recordings
    }

    /// The key-value store; none if nobody has used one yet. Blocks on the disk.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn existing_store(&self) -> Result<Option<Arc<Embedded>>, String> {
        self.process.granter.existing_store()
    }

    /// Addresses that no plugin may connect to.
    #[must_use]
    pub fn reserved_addresses(&self) -> &Arc<ReservedAddresses> {
        self.process.granter.reserved()
    }

    /// Waits until the homes of ended connections and sessions are removed, but not longer than this.
    pub(crate) async fn settle_homes(&self, most: Duration) {
        let granter = Arc::clone(&self.process.granter);
        // An error means that it panicked; the next start removes what is left.
        let _ = tokio::task::spawn_blocking(move || granter.settle(most)).await;
    }

    /// The phase of the shutdown.
    pub(crate) fn drain(&self) -> Drain {
        self.process.drain.clone()
    }
}

/// Checks that at least one host key makes signatures of the configured algorithms.
fn check_offered(host_keys: &HostKeys, offered: &[&str]) -> Result<(), String> {
    let certified = host_keys.certificates().iter().flat_map(|certificate| certificate.algorithms());
    let plain = host_keys.public().flat_map(|key| key.signatures()).copied();
    let made: Vec<&str> = certified.chain(plain).collect();
    if offered.iter().any(|name| made.contains(name)) {
        return Ok(());
    }
    let (made, offered) = (made.join(", "), offered.join(", "));
    Err(format!(
        "no host key can be offered: the keys make {made}, and algorithms.host_key_algorithms allows only {offered}"
    ))
}

/// The key that seals compiled code, made if there is none. A process that serves one connection makes none.
fn cache_key(state: &State, one_connection: bool) -> Result<CacheKey, String> {
    if one_connection {
        let key = state.existing_cache_key().map_err(|error| error.to_string())?;
        return key.map(CacheKey::new).ok_or_else(|| format!("{}: {NOT_STARTED}", state.folder().display()));
    }
    let mut fresh = [0; 32];
    SystemRandom::new().fill(&mut fresh).map_err(|error| error.to_string())?;
    let key = state.cache_key(&fresh).map_err(|error| error.to_string())?;
    Ok(CacheKey::new(key))
}

/// Reserves the pool for all instances, with this many open files together.
fn start_engine(defaults: EngineSettings, files: u64) -> Result<Engine, String> {
    // The number of workers that the current runtime really has.
    let workers = Handle::try_current().map_or(defaults.workers, |handle| handle.metrics().num_workers());
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    Engine::new(&EngineSettings { workers, files, ..defaults })
        .map_err(|error| format!("the plugin host cannot be started: {error}"))
}

/// Makes the tenants. Their plugins come later.
fn make_tenants(
    config: &Config,
    own: &BTreeMap<String, OwnFolders>,
    process: &Process,
    (files, before): (os_limits::Files, Option<&Tenants>),
) -> Result<Tenants, String> {
    let Process { registry, programs, granter, compilers, .. } = process;
    let plugin_limits = |limits: &Limits| {
        let tenant_open_files = files.share(limits.plugins.tenant_open_files);
        whelk_runtime::Limits { tenant_open_files, ..plugin_limits(limits) }
    };
    let of = |folder: &FolderConfig| folder.programs.as_ref().map(Arc::clone);
    let own = own
        .iter()
        .filter_map(|(name, own)| Some((name.clone(), (Arc::clone(&own.plugins.registry), of(&own.programs)?))));
    let operators = (Arc::clone(registry), Arc::clone(programs));
    let folders = TenantFolders { operators, own: own.collect(), compilers: Arc::clone(compilers) };
    if let LoginPolicy::Demonstration = config.login_policy {
        return Ok(Tenants::demonstration(&config.limits, plugin_limits(&config.limits), &folders, granter));
    }
    Tenants::configured(&config.tenants, plugin_limits, (&folders, granter), before)
}

/// Who may write to the operator's plugins.
fn writers(config: &Config) -> Writers {
    match config.login_policy {
        LoginPolicy::Demonstration => Writers::Anybody,
        LoginPolicy::Users(_) => Writers::Operator,
    }
}

/// The folder of programs in a plugin folder.
fn programs_place(plugins: &Path, links: Links, writers: Writers) -> Place {
    Place { path: plugins.join(BIN), links, writers }
}

/// The grants of each authenticator. Blocks on the disk.
fn authenticator_grants(config: &Config, granter: &Granter) -> Result<Vec<(AuthenticatorConfig, Grants)>, String> {
    let grants = |asked: &AuthenticatorConfig| match granter.authenticator(&store_name(&asked.name), asked) {
        Ok(grants) => Ok((asked.clone(), grants)),
        Err(reason) => Err(format!("authenticators.{}.keyvalue: {reason}", asked.name)),
    };
    config.authenticators.iter().map(grants).collect()
}

/// Makes the authenticators. Their plugins come later.
fn make_authenticators(
    config: &Config,
    granted: Vec<(AuthenticatorConfig, Grants)>,
    (process, tenants): (&Process, &Arc<Tenants>),
    before: Option<&Gateway>,
) -> Authenticators {
    let before = before.map(Gateway::access);
    let before = before.as_ref().map(|access| access.authenticators());
    let plugins = config.tenants.iter().map(|(name, tenant)| (name.clone(), tenant.plugin.clone())).collect();
    let (limits, instances) = (authenticator_limits(&config.limits), config.limits.authenticator_instances);
    let (operators, budgets) = (&process.registry, &process.granter.counts().budgets);
    Authenticators::new(
        granted,
        &AuthenticatorParts { limits, instances, operators, tenants, plugins, before, budgets },
    )
}

/// The plugin folders of tenants. A folder that was there before keeps its plugins and programs.
fn own_folders(
    config: &Config,
    process: &Process,
    before: Option<&BTreeMap<String, OwnFolders>>,
) -> BTreeMap<String, OwnFolders> {
    let folder = |(name, tenant): (&String, &config::TenantConfig)| {
        let path = tenant.plugins.clone()?;
        let same = before.and_then(|before| before.get(name)).filter(|own| own.plugins.path == path);
        let registry = || Registry::new(&config.limits.plugins);
        let place = programs_place(&path, Links::Refuse, Writers::Tenant);
        let programs_path = place.path.clone();
        let new = || Arc::new(ProgramFolder::new(registry(), process.programs.signal(), place, false));
        let programs = same.and_then(|same| same.programs.programs.clone()).unwrap_or_else(new);
        let plugins = FolderConfig {
            path,
            tenant: Some(name.clone()),
            writers: Writers::Tenant,
            registry: same.map_or_else(|| Arc::new(registry()), |same| Arc::clone(&same.plugins.registry)),
            component: tenant.limits.plugins.component_tenant,
            programs: None,
        };
        let programs = FolderConfig {
            path: programs_path,
            registry: Arc::clone(programs.registry()),
            programs: Some(programs),
            ..plugins.clone()
        };
        Some((name.clone(), OwnFolders { plugins, programs }))
    };
    config.tenants.iter().filter_map(folder).collect()
}

/// The limits for the trial of a plugin before it is published: the server's, with as much memory as any tenant may
/// have. A tenant with less learns so when a session starts.
#[must_use]
pub fn trial_limits(config: &Config) -> Limits {
    let mut limits = config.limits.clone();
    for tenant in config.tenants.values() {
        let (plugins, theirs) = (&mut limits.plugins, &tenant.limits.plugins);
        plugins.memory = plugins.memory.max(theirs.memory);
        plugins.memory_program = plugins.memory_program.max(theirs.memory_program);
    }
    limits
}

/// A loader like that of a server with these limits, without a server.
///
/// # Errors
/// When the runtime cannot be started.
pub fn lone_loader(limits: &Limits) -> Result<Loader, String> {
    // A trial needs no grants.
    let mut alone = limits.clone();
    alone.plugins.instances = 1;
    let engine = start_engine(engine_settings(&alone), 0)?;
    Ok(loader(engine, Path::new(THIS_PROGRAM), None, limits))
}

/// Compiles by running the program.
fn loader(engine: Engine, program: &Path, cache: Option<Cache>, limits: &Limits) -> Loader {
    let (compiler, trial) = loader_parts(&engine, program, limits);
    Loader::new(engine, compiler, cache, trial)
}

/// The compiler and the tenant of trials.
fn loader_parts(engine: &Engine, program: &Path, limits: &Limits) -> (Compiler, Arc<Tenant>) {
    let settings = CompileSettings {
        memory: os_limits::compile_memory(limits),
        time: limits.plugins.compile_time,
        code: limits.plugins.compile_code,
        instance_memory: engine.memory_slot(),
    };
    let compiler = Compiler::new(program.to_owned(), "compile", settings);
    (compiler, Tenant::new("trial", plugin_limits(limits), Grants::default()))
}
