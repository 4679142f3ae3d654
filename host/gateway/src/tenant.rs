//! Tenants: the plugins, routes, grants and shared limits of sessions, and how many sessions and connections each user
//! has.
//!
//! The tenants of a configuration are made at the start and by each reload. A tenant that was there before keeps what
//! is counted (sessions, memory, files, rates, quotas), whatever else changes. A removed tenant keeps its counts while
//! anybody uses it, in case it is added again (`counts`). In the demonstration each plugin is a tenant of its own
//! name, made when somebody first opens a session with it, and kept.
//!
//! Of connections and users only their numbers are known here.

mod components;
pub(crate) mod counts;
pub(crate) mod grants;
pub(crate) mod input_budget;
mod programs;
mod session_folders;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, timeout_at};
use whelk_runtime::limits::{Budget, Throttle, count};
use whelk_runtime::{
    ArgumentTemplates, Lookup, LookupNotice, Plugin, Plugins, ProgramEntry, ProgramRequest, Quota, Registry, Routes,
    Source, Unrunnable,
};

use crate::config::sections::plugins::arguments::{self, ProgramSettings};
use crate::config::sections::tenants::files::{PROGRAMS, Server, Serving};
use crate::config::{self, Grants, Limits, RecordingConfig, check_tenant_name};
use crate::observe::escape::escape;
use crate::observe::event::{PluginEvent, emit};
use crate::plugins::compilers::CurrentCompilers;
use crate::plugins::programs::ProgramFolder;
use crate::tenant::components::Components;
use crate::tenant::counts::Traffic;
use crate::tenant::grants::Granter;
use crate::tenant::input_budget::InputBudget;
use crate::tenant::programs::{LoadedPrograms, Programs, Runner};

/// One tenant.
pub struct Tenant {
    shared: Arc<whelk_runtime::Tenant>,
    limits: Limits,
    /// The name of the plugin that handles whole connections.
    connection_plugin: Option<String>,
    routes: Routes,
    /// Whether sftp and scp reach the files of its sessions.
    serves_files: bool,
    /// A command without a route runs the program that its first word names.
    exec_programs: bool,
    /// Names that mean the operator's programs alone.
    operators_alone: &'static [&'static str],
    /// The arguments that its programs get.
    arguments: ProgramSettings,
    /// The contents of its own plugin folder, if it has one.
    own: Option<Arc<Registry>>,
    operators: Arc<Registry>,
    /// What names mean that no plugin has.
    programs: Arc<Programs>,
    busy_permits: BusyPermits,
    input: Arc<InputBudget>,
    traffic: Arc<Traffic>,
    /// The quota of its directory, if it has one.
    quota: Option<Quota>,
    /// How its sessions are recorded, if they are.
    recording: Option<RecordingConfig>,
}

/// Permits for the connections of one tenant that have more to do than one turn: as many as there are worker threads.
/// The other connections queue, where they delay only their own tenant.
type BusyPermits = Arc<Semaphore>;

/// The folders of plugins and of programs, the operator's and the tenants' own.
pub(crate) struct TenantFolders {
    /// The operator's.
    pub(crate) operators: (Arc<Registry>, Arc<ProgramFolder>),
    /// Those of tenants, by the tenants' names.
    pub(crate) own: BTreeMap<String, (Arc<Registry>, Arc<ProgramFolder>)>,
    /// Who compiles what tenants start from files of their sessions.
    pub(crate) compilers: Arc<CurrentCompilers>,
}

/// All tenants.
pub struct Tenants {
    known: Known,
    /// How many sessions each user has whose end the client has not been sent ...
    sessions_per_user: Arc<Users>,
    /// ... how many that still run, such as a plugin that saves something after that ...
    tasks_per_user: Arc<Users>,
    /// ... and how many connections.
    connections_per_user: Arc<Users>,
}

enum Known {
    /// By their exact names.
    Configured(BTreeMap<String, Arc<Tenant>>),
    Demonstration(Box<Demonstration>),
}

/// Each plugin is a tenant of its own name.
struct Demonstration {
    limits: Limits,
    plugin_limits: whelk_runtime::Limits,
    plugins: Arc<Registry>,
    programs: Arc<ProgramFolder>,
    /// One for all, like `input`.
    loaded: Arc<LoadedPrograms>,
    granter: Arc<Granter>,
    /// One for all: in the demonstration tenants are not isolated from each other.
    input: Arc<InputBudget>,
    /// Those with which somebody has opened a session. Grows with the number of plugins, not of users.
    made: Mutex<BTreeMap<String, Arc<OnceCell<Arc<Tenant>>>>>,
}

/// How many sessions or connections each user has.
#[derive(Default)]
struct Users(Mutex<HashMap<String, Count>>);

struct Count {
    /// Permits that exist.
    held: u32,
    /// The limit was reached: logged once, and again after the user had fewer.
    throttle: Throttle,
}

impl Default for Count {
    fn default() -> Count {
        Count { held: 0, throttle: Throttle::first(1) }
    }
}

/// Counts one session or connection of a user, until it is dropped.
pub(crate) struct UserPermit {
    users: Arc<Users>,
    user: String,
}

/// Counts one session of a user: until the client was sent its end, and until nothing of it runs any more.
pub(crate) struct SessionPermit {
    pub(crate) unsent: UserPermit,
    pub(crate) task: UserPermit,
}

/// A user has reached the limit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Crowded {
    /// Whether to log it.
    pub(crate) is_news: bool,
}

impl Tenant {
    /// The part that its sessions share.
    pub fn shared(&self) -> &Arc<whelk_runtime::Tenant> {
        &self.shared
    }

    /// What its sessions have moved.
    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// The plugin that exactly this name means to the tenant: its own folder takes precedence over the operator's; no
    /// other is searched.
    pub fn plugin(&self, name: &str) -> Option<Arc<Plugin>> {
        self.folders(name).find_map(|plugins| plugins.get(name)).or_else(|| self.programs.loaded(name))
    }

    /// The same, or why there is none. A plugin that is being prepared takes precedence over a ready one in a later
    /// folder. A name that no plugin has is a program's.
    fn lookup(&self, name: &str) -> Lookup {
        match self.lookup_plugin(name) {
            Lookup::Absent => self.programs.lookup(name, self.runner()),
            found => found,
        }
    }

    fn lookup_plugin(&self, name: &str) -> Lookup {
        first(self.folders(name).map(|plugins| plugins.lookup(name)))
    }

    /// The same once it is known, or after `prepare_wait`. Waits for this name alone, and for no folder after the one
    /// that has it. Has a program loaded.
    async fn settled(&self, name: &str) -> Lookup {
        // Mostly it is known, and needs no deadline.
        let now = self.lookup_plugin(name);
        if let Lookup::Found(_) = now {
            return now;
        }
        let all = async {
            let mut found = Vec::new();
            for plugins in self.folders(name) {
                found.push(plugins.settled(name).await);
                if let Some(Lookup::Found(_)) = found.last() {
                    break;
                }
            }
            first(found)
        };
        let deadline = Instant::now() + self.limits.plugins.prepare_wait;
        match timeout_at(deadline, all).await.unwrap_or_else(|_| self.lookup_plugin(name)) {
            Lookup::Absent => self.programs.settled(name, self.runner(), deadline).await,
            found => found,
        }
    }

    fn runner(&self) -> Runner<'_> {
        Runner { payer: self.shared.name(), tenant: Some(&self.shared) }
    }

    /// The plugin folders of the tenant that may have this name, in the order of the search.
    fn folders(&self, name: &str) -> impl Iterator<Item = &Arc<Registry>> {
        let has_own = !self.operators_alone.contains(&name);
        self.own.iter().filter(move |_| has_own).chain([&self.operators])
    }

    fn serving(&self) -> Serving<'_> {
        Serving { routes: &self.routes, files: self.serves_files, exec_programs: self.exec_programs }
    }
}

impl Plugins for Tenant {
    fn lookup(&self, name: &str) -> Lookup {
        self.lookup(name)
    }

    fn settled<'a>(&'a self, name: &'a str) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>> {
        Box::pin(self.settled(name))
    }

    fn route(&self, start: &ProgramRequest<'_>) -> Option<String> {
        match self.serving().find(start) {
            Server::Route { plugin, .. } => Some(plugin.to_owned()),
            Server::Files(program) => Some(program.to_owned()),
            Server::Program(_) | Server::Closed(_) | Server::Plugin => None,
        }
    }

    fn command(&self, request: &ProgramRequest<'_>) -> Result<Option<String>, LookupNotice> {
        match self.serving().find(request) {
            Server::Program(name) => Ok(Some(name)),
            Server::Closed(name) => Lookup::Unrunnable(Unrunnable::because(CLOSED)).notice(&name).map_or(Ok(None), Err),
            Server::Route { .. } | Server::Files(_) | Server::Plugin => Ok(None),
        }
    }

    fn program<'a>(&'a self, name: &'a str) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>> {
        let deadline = Instant::now() + self.limits.plugins.prepare_wait;
        Box::pin(self.programs.settled(name, self.runner(), deadline))
    }

    fn component_limit(&self) -> Option<usize> {
        self.programs.component_limit()
    }

    fn component<'a>(&'a self, name: &'a str, file: Source) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>> {
        let deadline = Instant::now() + self.limits.plugins.prepare_wait;
        Box::pin(self.programs.component(name, file, self.runner(), deadline))
    }

    fn programs(&self) -> Vec<ProgramEntry> {
        self.programs.entries()
    }

    fn arguments(&self, name: &str) -> Option<Arc<ArgumentTemplates>> {
        self.arguments.get(name).cloned()
    }
}

impl Tenants {
    /// Makes the tenants of a configuration, which continue those of `before`, the generation before. Blocks.
    ///
    /// # Errors
    /// Every grant that is not possible, one a line.
    pub(crate) fn configured(
        configured: &BTreeMap<String, config::TenantConfig>,
        plugin_limits: impl Fn(&Limits) -> whelk_runtime::Limits,
        (folders, granter): (&TenantFolders, &Granter),
        before: Option<&Tenants>,
    ) -> Result<Tenants, String> {
        let (mut known, mut refused) = (BTreeMap::new(), Vec::new());
        for (name, tenant) in configured {
            let (limits, counts) = (plugin_limits(&tenant.limits), granter.counts());
            let programs = Arc::new(make_programs(name, tenant, folders, counts));
            let (grants, missing) = granter.grant(name, &tenant.grants, &limits, &programs);
            refused.extend(missing.iter().map(|what| format!("tenants.{name}.grants.{what}")));
            let budget = counts.budgets.get_or_make(name, || Arc::new(Budget::new(&limits)));
            let input = || InputBudget::new(tenant.limits.plugins.tenant_input);
            let tenant = Tenant {
                shared: whelk_runtime::Tenant::with_budget(name, limits, grants, budget),
                limits: tenant.limits.clone(),
                connection_plugin: tenant.connection_plugin.clone(),
                routes: tenant.routes.clone(),
                serves_files: tenant.serves_files(),
                exec_programs: tenant.exec_programs,
                operators_alone: tenant.operators_alone(),
                own: folders.own.get(name).map(|(plugins, _)| Arc::clone(plugins)),
                operators: Arc::clone(&folders.operators.0),
                programs,
                arguments: tenant.programs.clone(),
                busy_permits: counts.busy_permits.get_or_make(name, busy_permits),
                input: counts.inputs.get_or_make(name, input),
                traffic: counts.traffic.get_or_make(name, Arc::default),
                quota: tenant.grants.directory.as_ref().map(grants::quota),
                recording: tenant.recording.clone(),
            };
            known.insert(name.clone(), Arc::new(tenant));
        }
        if !refused.is_empty() {
            return Err(refused.join("\n"));
        }
        Ok(Tenants {
            known: Known::Configured(known),
            sessions_per_user: before.map(|before| Arc::clone(&before.sessions_per_user)).unwrap_or_default(),
            tasks_per_user: before.map(|before| Arc::clone(&before.tasks_per_user)).unwrap_or_default(),
            connections_per_user: before.map(|before| Arc::clone(&before.connections_per_user)).unwrap_or_default(),
        })
    }

    /// Bounds what is counted by the limits and quotas of these tenants. Two calls must not run at the same time.
    pub(crate) fn apply_limits(&self) {
        let Known::Configured(tenants) = &self.known else { return };
        for tenant in tenants.values() {
            tenant.shared.apply_limits();
            tenant.input.resize(tenant.limits.plugins.tenant_input);
            if let (Some(directory), Some(quota)) = (&tenant.shared.grants().directory, tenant.quota) {
                directory.set_quota(quota);
            }
            if let Some(homes) = &tenant.shared.grants().homes {
                homes.apply_quota();
            }
        }
    }

    /// The tenants of the demonstration, none of which exists yet.
    pub(crate) fn demonstration(
        limits: &Limits,
        plugin_limits: whelk_runtime::Limits,
        folders: &TenantFolders,
        granter: &Arc<Granter>,
    ) -> Tenants {
        let (plugins, programs) = &folders.operators;
        let demonstration = Demonstration {
            limits: limits.clone(),
            plugin_limits,
            plugins: Arc::clone(plugins),
            programs: Arc::clone(programs),
            loaded: Arc::default(),
            granter: Arc::clone(granter),
            input: InputBudget::new(limits.plugins.tenant_input),
            made: Mutex::default(),
        };
        let known = Known::Demonstration(Box::new(demonstration));
        let (sessions_per_user, tasks_per_user, connections_per_user) = Default::default();
        Tenants { known, sessions_per_user, tasks_per_user, connections_per_user }
    }

    /// The tenant of exactly this name. In the demonstration it is made if there is a plugin of this name.
    pub async fn find(&self, name: &str) -> Option<Arc<Tenant>> {
        match &self.known {
            Known::Configured(tenants) => tenants.get(name).cloned(),
            Known::Demonstration(demonstration) => demonstration.find(name).await,
        }
    }

    /// What a plugin's name means to the tenant of this name. Waits up to `prepare_wait` for the plugin to be loaded or
    /// refused.
    pub(crate) async fn settled(&self, tenant: &str, plugin: &str) -> Lookup {
        match &self.known {
            Known::Configured(tenants) => match tenants.get(tenant) {
                Some(tenant) => tenant.settled(plugin).await,
                None => Lookup::Absent,
            },
            Known::Demonstration(demonstration) => demonstration.settled(plugin).await,
        }
    }

    /// What a plugin's name means to a configured tenant now.
    pub(crate) fn lookup(&self, tenant: &str, plugin: &str) -> Lookup {
        match &self.known {
            Known::Configured(tenants) => tenants.get(tenant).map_or(Lookup::Absent, |tenant| tenant.lookup(plugin)),
            Known::Demonstration(demonstration) => demonstration.lookup(plugin),
        }
    }

    /// The limits of a tenant's sessions. Known before the tenant has been made.
    pub(crate) fn limits(&self, tenant: &str) -> Option<&Limits> {
        match &self.known {
            Known::Configured(tenants) => tenants.get(tenant).map(|tenant| &tenant.limits),
            Known::Demonstration(demonstration) => Some(&demonstration.limits),
        }
    }

    /// The name of the plugin that handles the connections of a tenant's users, if the tenant has one.
    pub(crate) fn connection_plugin(&self, tenant: &str) -> Option<&str> {
        match &self.known {
            Known::Configured(tenants) => tenants.get(tenant)?.connection_plugin.as_deref(),
            Known::Demonstration(_) => None,
        }
    }

    /// How the sessions of a tenant are recorded, if they are. Those of the demonstration are not.
    pub(crate) fn recording(&self, tenant: &str) -> Option<&RecordingConfig> {
        match &self.known {
            Known::Configured(tenants) => tenants.get(tenant)?.recording.as_ref(),
            Known::Demonstration(_) => None,
        }
    }

    /// Whether a request leads to a program that serves files to a configured tenant's client: sftp or scp.
    pub(crate) fn serves_files(&self, tenant: &str, request: &ProgramRequest<'_>) -> bool {
        let Known::Configured(tenants) = &self.known else { return false };
        tenants.get(tenant).is_some_and(|tenant| match tenant.serving().find(request) {
            Server::Files(_) => true,
            Server::Route { plugin, .. } => PROGRAMS.contains(&plugin),
            Server::Program(name) => PROGRAMS.contains(&name.as_str()),
            Server::Closed(_) | Server::Plugin => false,
        })
    }

    /// The busy permits of a configured tenant. None in the demonstration, whose tenants are not isolated from each
    /// other.
    pub(crate) fn busy_permits(&self, tenant: &str) -> Option<BusyPermits> {
        match &self.known {
            Known::Configured(tenants) => tenants.get(tenant).map(|tenant| Arc::clone(&tenant.busy_permits)),
            Known::Demonstration(_) => None,
        }
    }

    /// The budget of a tenant's clients for large packets. Known before the tenant has been made.
    pub(crate) fn input(&self, tenant: &str) -> Option<Arc<InputBudget>> {
        match &self.known {
            Known::Configured(tenants) => tenants.get(tenant).map(|tenant| Arc::clone(&tenant.input)),
            Known::Demonstration(demonstration) => Some(Arc::clone(&demonstration.input)),
        }
    }

    /// What the sessions of a tenant have moved. Known before the tenant has been made.
    pub(crate) fn traffic(&self, tenant: &str) -> Arc<Traffic> {
        match &self.known {
            Known::Configured(tenants) => {
                tenants.get(tenant).map(|tenant| Arc::clone(&tenant.traffic)).unwrap_or_default()
            }
            Known::Demonstration(demonstration) => {
                demonstration.granter.counts().traffic.get_or_make(tenant, Arc::default)
            }
        }
    }

    /// The tenants with what they have and use, by name. In the demonstration those with which somebody has opened a
    /// session.
    pub(crate) fn all(&self) -> Vec<Arc<Tenant>> {
        match &self.known {
            Known::Configured(tenants) => tenants.values().cloned().collect(),
            Known::Demonstration(demonstration) => {
                let made = demonstration.made.lock().unwrap_or_else(PoisonError::into_inner);
                made.values().filter_map(|cell| cell.get().cloned()).collect()
            }
        }
    }

    /// Acquires the permit for one more session of an account. As many sessions again as it may have may still run
    /// although the client was sent their end: a client that does not wait for that is not refused, and one that ends
    /// session after session does not take the places of other users.
    pub(crate) fn acquire_session(&self, account: &str, most: u32) -> Result<SessionPermit, Crowded> {
        let unsent = self.sessions_per_user.acquire(account, most)?;
        let task = self.tasks_per_user.acquire(account, most.saturating_mul(2))?;
        Ok(SessionPermit { unsent, task })
    }

    /// Acquires the permit for one more connection of an account that has just logged in.
    pub(crate) fn acquire_connection(&self, account: &str, most: u32) -> Result<UserPermit, Crowded> {
        self.connections_per_user.acquire(account, most)
    }

    /// Logs each plugin that a tenant names although it needs more than the tenant is granted: its sessions are
    /// refused. And each that is no connection plugin although it is named as one. Waits for plugins that are being
    /// prepared, as a session would.
    pub(crate) async fn warn_of_missing_grants(&self, named: &BTreeSet<(&str, &str)>) {
        let Known::Configured(tenants) = &self.known else { return };
        for (name, plugin) in named {
            let Some(tenant) = tenants.get(*name) else { continue };
            let Lookup::Found(plugin) = tenant.settled(plugin).await else { continue };
            if let Err(reason) = plugin.check_grants(&tenant.shared) {
                let reason = reason.to_string();
                let (plugin, reason) = (plugin.name(), escape(reason.as_bytes()));
                emit(PluginEvent::LacksGrants { tenant: name, plugin, reason });
            }
            if tenant.connection_plugin.as_deref() == Some(plugin.name()) && !plugin.is_connection_plugin() {
                emit(PluginEvent::OfAnotherKind { tenant: name, plugin: plugin.name() });
            }
        }
    }
}

/// The meaning of a name, from its meaning in each folder, in their order: of several absent ones the first that may
/// still come.
fn first(found: impl IntoIterator<Item = Lookup>) -> Lookup {
    let mut result = Lookup::Absent;
    for lookup in found {
        match lookup {
            Lookup::Found(_) | Lookup::Preparing | Lookup::Unrunnable(_) => return lookup,
            Lookup::Retried => result = Lookup::Retried,
            Lookup::Absent => {}
        }
    }
    result
}

fn busy_permits() -> BusyPermits {
    let workers = Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
    Arc::new(Semaphore::new(workers))
}

/// What a client is told who asks for a program that serves files, where these are not reached.
const CLOSED: &str = "sftp and scp reach no files here";

/// Who runs a program in the demonstration, where everything is granted.
const ANYBODY: Runner<'_> = Runner { payer: "", tenant: None };

/// The programs of a tenant of the configuration.
fn make_programs(
    name: &str,
    tenant: &config::TenantConfig,
    folders: &TenantFolders,
    counts: &counts::Counts,
) -> Programs {
    let own = folders.own.get(name).map(|(_, programs)| (Arc::clone(programs), tenant.operators_alone()));
    let limits = &tenant.limits.plugins;
    let (loaded, most) = (counts.programs.get_or_make(name, Arc::default), count(limits.programs));
    let programs = Programs::new(own, &folders.operators.1, loaded, most);
    if !tenant.grants.deploy {
        return programs;
    }
    let compilers = Arc::clone(&folders.compilers);
    programs.with_components(Components { compilers, largest: limits.component_tenant, code: limits.plugins_code })
}

impl Demonstration {
    async fn find(&self, name: &str) -> Option<Arc<Tenant>> {
        if self.plugins.get(name).is_none() {
            self.programs().loaded(name)?;
        }
        Some(self.tenant(name).await)
    }

    /// The operator's programs, which all tenants have loaded together.
    fn programs(&self) -> Programs {
        Programs::new(None, &self.programs, Arc::clone(&self.loaded), count(self.limits.plugins.programs))
    }

    /// What a name means before it has a tenant.
    fn lookup(&self, name: &str) -> Lookup {
        match self.plugins.lookup(name) {
            Lookup::Absent => self.programs().lookup(name, ANYBODY),
            found => found,
        }
    }

    /// The same once it is known, or after `prepare_wait`.
    async fn settled(&self, name: &str) -> Lookup {
        let deadline = Instant::now() + self.limits.plugins.prepare_wait;
        match timeout_at(deadline, self.plugins.settled(name)).await.unwrap_or_else(|_| self.plugins.lookup(name)) {
            Lookup::Absent => self.programs().settled(name, ANYBODY, deadline).await,
            found => found,
        }
    }

    /// The tenant of this name, made by the first caller; others wait for it.
    async fn tenant(&self, name: &str) -> Arc<Tenant> {
        let cell = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            // Not `entry`: it would copy the name each time.
            match made.get(name) {
                Some(cell) => Arc::clone(cell),
                None => Arc::clone(made.entry(name.to_owned()).or_default()),
            }
        };
        Arc::clone(cell.get_or_init(|| self.make(name.to_owned())).await)
    }

    /// Makes a tenant on a blocking thread. A grant that is not possible is left out and logged.
    async fn make(&self, name: String) -> Arc<Tenant> {
        let (granter, limits) = (Arc::clone(&self.granter), self.plugin_limits.clone());
        let programs = Arc::new(self.programs());
        let work = tokio::task::spawn_blocking({
            let (name, limits, programs) = (name.clone(), limits.clone(), Arc::clone(&programs));
            move || granter.grant(&name, &demonstration_grants(&name), &limits, &programs)
        });
        let (grants, missing) = work.await.unwrap_or_default();
        for what in missing {
            let (tenant, reason) = (escape(name.as_bytes()), escape(what.as_bytes()));
            emit(PluginEvent::GrantMissing { tenant, reason });
        }
        Arc::new(Tenant {
            shared: whelk_runtime::Tenant::new(&name, limits, grants),
            limits: self.limits.clone(),
            connection_plugin: None,
            routes: Routes::default(),
            serves_files: true,
            exec_programs: false,
            operators_alone: &[],
            arguments: arguments::defaults(),
            own: None,
            operators: Arc::clone(&self.plugins),
            programs,
            busy_permits: busy_permits(),
            input: Arc::clone(&self.input),
            traffic: self.granter.counts().traffic.get_or_make(&name, Arc::default),
            quota: None,
            recording: None,
        })
    }
}

/// A name that is not a valid tenant name never becomes a folder, wherever it would lead.
fn demonstration_grants(name: &str) -> Grants {
    let grants = Grants::demonstration();
    if check_tenant_name(name).is_ok() { grants } else { Grants { directory: None, ..grants } }
}

impl Users {
    fn acquire(self: &Arc<Users>, user: &str, most: u32) -> Result<UserPermit, Crowded> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(user.to_owned()).or_default();
        if count.held >= most {
            return Err(Crowded { is_news: count.throttle.allow(Instant::now()).is_some() });
        }
        count.held += 1;
        Ok(UserPermit { users: Arc::clone(self), user: user.to_owned() })
    }
}

impl Drop for UserPermit {
    fn drop(&mut self) {
        let mut counts = self.users.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Entry::Occupied(mut entry) = counts.entry(std::mem::take(&mut self.user)) else { return };
        let count = entry.get_mut();
        count.held = count.held.saturating_sub(1);
        count.throttle = Throttle::first(1);
        if count.held == 0 {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::plugins::programs::Place;
    use crate::state::plugin_files::Links;
    use crate::state::strict_modes::Writers;

    #[tokio::test]
    async fn sessions_that_run_on_after_their_end_was_sent_count_for_their_user() {
        let folder = tempfile::tempdir().unwrap();
        let granter = Granter::new(folder.path());
        let limits = |_: &Limits| whelk_runtime::Limits::default();
        let tenants = Tenants::configured(&BTreeMap::new(), limits, (&no_folders(), &granter), None).unwrap();
        let ended = |permit: SessionPermit| permit.task;
        let mut running: Vec<_> = (0..4).map(|_| ended(tenants.acquire_session("alice", 2).ok().unwrap())).collect();
        // None of them is open, and each still runs.
        assert!(tenants.acquire_session("alice", 2).is_err());
        assert!(tenants.acquire_session("bob", 2).is_ok());
        running.pop();
        let last = tenants.acquire_session("alice", 2).ok().unwrap();
        assert!(tenants.acquire_session("alice", 2).is_err());
        running.clear();
        let other = tenants.acquire_session("alice", 2).ok().unwrap();
        assert!(tenants.acquire_session("alice", 2).is_err(), "two are open");
        drop((last, other));
        assert!(tenants.acquire_session("alice", 2).is_ok());
    }

    #[test]
    fn a_user_at_the_limit_waits_for_an_ended_session_and_others_do_not() {
        let users = Arc::new(Users::default());
        let first = users.acquire("alice", 2).unwrap();
        let second = users.acquire("alice", 2).unwrap();
        // Logged once.
        assert_eq!(users.acquire("alice", 2).err(), Some(Crowded { is_news: true }));
        assert_eq!(users.acquire("alice", 2).err(), Some(Crowded { is_news: false }));
        let others = users.acquire("bob", 2).unwrap();
        drop(first);
        let third = users.acquire("alice", 2).unwrap();
        assert_eq!(users.acquire("alice", 2).err(), Some(Crowded { is_news: true }));
        drop((second, third, others));
        assert!(users.0.lock().unwrap().is_empty(), "who has no session is forgotten");
    }

    #[test]
    fn a_plugin_that_may_still_come_takes_precedence_over_an_absent_one() {
        use Lookup::{Absent, Preparing, Retried};
        for (own, operators, expected) in [
            (Absent, Absent, "nothing"),
            (Absent, Preparing, "still being prepared"),
            (Preparing, Absent, "still being prepared"),
            (Retried, Preparing, "still being prepared"),
            (Retried, Absent, "could not be prepared yet"),
            (Absent, Retried, "could not be prepared yet"),
        ] {
            let told = first([own, operators]).notice("echo").map_or("nothing".to_owned(), |notice| notice.text);
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn a_tenant_of_the_next_generation_goes_on_with_the_counts_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let (granter, limits) = (Granter::new(&folder.path().join("state")), Limits::default());
        let made = |names: &[&str], before: Option<&Tenants>| {
            let tenant = |name: &&str| {
                let grants = Grants { topics: true, ..Grants::demonstration() };
                ((*name).to_owned(), config::TenantConfig { grants, ..config::TenantConfig::plain(&limits) })
            };
            let configured = names.iter().map(tenant).collect();
            let limits = |limits: &Limits| limits.plugins.clone();
            Tenants::configured(&configured, limits, (&no_folders(), &granter), before).unwrap()
        };
        let of = |tenants: &Tenants, name: &str| {
            let Known::Configured(tenants) = &tenants.known else { panic!("they were configured") };
            Arc::clone(tenants.get(name).unwrap())
        };
        let first = made(&["acme", "gone"], None);
        let alice = (first.acquire_session("alice", 1).ok().unwrap(), first.acquire_connection("alice", 1).unwrap());
        let second = made(&["acme", "other"], Some(&first));
        assert!(second.acquire_session("alice", 1).is_err() && second.acquire_connection("alice", 1).is_err());
        drop(alice);
        assert!(second.acquire_session("alice", 1).is_ok() && second.acquire_connection("alice", 1).is_ok());
        let (before, after) = (of(&first, "acme"), of(&second, "acme"));
        assert!(Arc::ptr_eq(&before.input, &after.input) && Arc::ptr_eq(&before.busy_permits, &after.busy_permits));
        let grants = [&before, &after].map(|tenant| tenant.shared.grants());
        assert!(Arc::ptr_eq(grants[0].topics.as_ref().unwrap(), grants[1].topics.as_ref().unwrap()));
        assert!(Arc::ptr_eq(grants[0].directory.as_ref().unwrap(), grants[1].directory.as_ref().unwrap()));
        second.apply_limits();
        // It is removed and added again, while somebody is connected who has no session.
        let connected = of(&first, "gone");
        drop(first);
        let third = made(&["gone"], Some(&second));
        let again = of(&third, "gone");
        assert!(Arc::ptr_eq(&connected.input, &again.input));
        assert!(Arc::ptr_eq(&connected.busy_permits, &again.busy_permits));
        assert!(connected.shared.shares_budget_with(&again.shared));
        assert!(!again.shared.shares_budget_with(&after.shared));
    }

    /// Folders without files.
    fn no_folders() -> TenantFolders {
        let place = Place { path: "/nowhere".into(), links: Links::Within, writers: Writers::Anybody };
        let programs = ProgramFolder::new(Registry::default(), &Arc::default(), place, false);
        programs.registry().expect(BTreeSet::new());
        let operators = (Arc::default(), Arc::new(programs));
        TenantFolders { operators, own: BTreeMap::new(), compilers: Arc::default() }
    }

    /// A demonstration without plugins, and its state folder.
    fn demonstration() -> (tempfile::TempDir, Demonstration) {
        let folder = tempfile::tempdir().unwrap();
        let granter = Arc::new(Granter::new(&folder.path().join("state")));
        let limits = whelk_runtime::Limits::default();
        let tenants = Tenants::demonstration(&Limits::default(), limits, &no_folders(), &granter);
        let Known::Demonstration(demonstration) = tenants.known else { panic!("it was asked for") };
        (folder, *demonstration)
    }

    /// The contents of `files` in the state folder.
    fn directories(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder.join("state/files")).into_iter().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn an_unknown_plugin_name_makes_neither_a_tenant_nor_a_folder() {
        let (folder, demonstration) = demonstration();
        for name in ["mallory", "..", "../../etc", "", "a/b"] {
            assert!(demonstration.find(name).await.is_none(), "{name:?}");
        }
        assert!(demonstration.made.lock().unwrap().is_empty());
        assert!(!folder.path().join("state").exists());
    }

    #[tokio::test]
    async fn a_tenant_of_the_demonstration_is_made_once_with_a_directory_of_its_own() {
        let (folder, demonstration) = demonstration();
        let (one, same) = tokio::join!(demonstration.tenant("echo"), demonstration.tenant("echo"));
        assert!(Arc::ptr_eq(&one, &same));
        let other = demonstration.tenant("probe").await;
        assert_eq!((one.shared.name(), other.shared.name()), ("echo", "probe"));
        assert_eq!(directories(folder.path()), ["echo", "probe"]);
    }

    #[tokio::test]
    async fn a_name_that_is_invalid_for_a_folder_gets_none() {
        let (folder, demonstration) = demonstration();
        demonstration.tenant("echo").await;
        let long = "x".repeat(65);
        for name in ["..", ".", "../echo", "a/b", "/tmp/whelk", "a.b", "", "a\0b", "é", &long] {
            let tenant = demonstration.tenant(name).await;
            assert_eq!(tenant.shared.name(), name);
        }
        assert_eq!(directories(folder.path()), ["echo"]);
        let state = std::fs::read_dir(folder.path().join("state")).unwrap().count();
        // The directories and the store.
        assert_eq!((state, std::fs::read_dir(folder.path()).unwrap().count()), (2, 1));
    }
}
