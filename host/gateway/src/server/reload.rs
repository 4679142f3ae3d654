//! Reloads the configuration while the server runs, on SIGHUP or `whelk reload`: all of it or nothing.
//!
//! A reload reads the file that the server was started with once more, with the same command line options and with
//! everything that it names. It first makes the next generation (`Gateway::reloaded`) and binds new addresses; any
//! error until then changes nothing. Then it cannot fail any more: the limits of what is counted, the plugin folders,
//! the gateway of new connections and the listener are replaced in this order. Plugin folders are replaced before the
//! gateway, so a new login never meets a folder that is not watched yet. Live connections keep the generation that they
//! were accepted with.
//!
//! Reloads run one after another, on a thread that may wait for disks. Requests that arrive during a reload are
//! coalesced into the next one.
//!
//! Settings that need a restart keep their value. Each reload reports them until the restart: the state folder, the
//! audit, the metrics, the limits in `AT_START`, and the places of authenticators if there were none at the start.
//!
//! Decided 2026-11-29: settings that need a restart are reported, and the rest takes effect. Rejected: refusing
//! the whole file. One such setting would then block an urgent change, such as revoking a key.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use whelk_ssh::crypto::key::HostCertificate;

use crate::config::{AuditConfig, Config, LoginPolicy, Overrides};
use crate::observe::escape::escape;
use crate::observe::event::{ServerEvent, emit};
use crate::os_limits;
use crate::plugins::reload::Reload;
use crate::server::drain::{DrainTime, ShutdownPhase};
use crate::server::gateway::{Gateway, THIS_PROGRAM};
use crate::server::generation::CurrentGateway;
use crate::server::listener::ListenerControl;
use crate::server::systemd::Systemd;
use crate::state::State;
use crate::state::host_keys::HostKeys;

/// The request of the control socket.
pub const RELOAD: &str = "reload";
/// How long the answer may take: a key file or a plugin folder may be on a slow disk.
pub const RELOAD_TIME: Duration = Duration::from_secs(600);
/// How many may wait for the next reload.
const MOST_WAITING: usize = 64;
/// How many problems of a refused configuration are logged, since a broken file may have any number.
const MOST_LOGGED: usize = 8;
/// What is said of a reload that has panicked.
const HALF_APPLIED: &str = "the reload panicked, and may be half applied: restart the server";

/// The limits that are fixed when the process starts: the pool of instances and what is compiled for it, and the
/// records of versions that crash.
const AT_START: [&str; 17] = [
    "instances",
    "memory_slot",
    "stack",
    "host_stack",
    "core_instances",
    "tables",
    "table_elements",
    "memories",
    "keep_resident",
    "component",
    "cache_bytes",
    "generations",
    "crashes",
    "crash_window",
    "crash_pause",
    "crash_pause_longest",
    "authenticator_instances",
];

/// Asks for reloads. Clones ask the same server.
#[derive(Clone, Debug)]
pub struct ReloadTrigger(mpsc::Sender<Asked>);

/// The requests for reloads, for [`Reloader::run`].
pub struct ReloadRequests {
    asked: mpsc::Receiver<Asked>,
    /// What signals go by.
    drain: DrainTime,
}

/// Who wants the outcome; `None` after a signal.
type Asked = Option<oneshot::Sender<ReloadOutcome>>;

/// How a reload has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// Nothing has changed: the problems, one a line, as `whelk check` prints them.
    Refused(String),
    /// A fault of this program, which may have happened halfway.
    Failed(String),
    /// Everything takes effect except what needs a restart.
    Done {
        /// The notes of the configuration.
        notes: Vec<String>,
        /// What is served now.
        summary: String,
        /// What keeps its value until a restart.
        restart: Vec<NeedsRestart>,
    },
}

/// A setting that keeps its value until a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedsRestart {
    /// Its full key.
    pub setting: String,
    /// The value that the process was started with.
    pub running: String,
    /// The value that the configuration has now.
    pub configured: String,
}

/// Reloads the configuration of one server.
pub struct Reloader {
    /// The file and the options that the server was started with.
    file: PathBuf,
    overrides: Overrides,
    state: State,
    current: CurrentGateway,
    plugins: Arc<Reload>,
    listener: Arc<ListenerControl>,
    manager: Systemd,
    /// The configuration in effect.
    running: Mutex<Config>,
    /// Whether instances of authenticators have places of their own, which are reserved at the start.
    has_authenticator_places: bool,
}

impl ReloadTrigger {
    /// For a server that is being started: requests made during start-up are handled once the server accepts
    /// connections. A reload changes `drain`.
    #[must_use]
    pub fn new(drain: &DrainTime) -> (ReloadTrigger, ReloadRequests) {
        let (trigger, asked) = mpsc::channel(MOST_WAITING);
        (ReloadTrigger(trigger), ReloadRequests { asked, drain: drain.clone() })
    }

    /// Asks for a reload. Never blocks.
    pub fn signal(&self) {
        // A full queue already guarantees a later reload.
        let _ = self.0.try_send(None);
    }

    /// Asks for a reload and waits until it is done. `None` if the server ends before.
    pub async fn reload(&self) -> Option<ReloadOutcome> {
        let (tell, told) = oneshot::channel();
        self.0.send(Some(tell)).await.ok()?;
        told.await.ok()
    }
}

impl Reloader {
    /// For a server that was started with this file and these options, with its configuration and its state folder, and
    /// with what a reload replaces. `manager` is told when one begins and ends.
    #[must_use]
    pub fn new(
        (file, overrides): (&Path, &Overrides),
        (config, state): (Config, State),
        (current, plugins, listener): (CurrentGateway, Arc<Reload>, Arc<ListenerControl>),
        manager: Systemd,
    ) -> Reloader {
        let has_authenticator_places = !config.authenticators.is_empty();
        let (file, overrides, running) = (file.to_owned(), overrides.clone(), Mutex::new(config));
        Reloader { file, overrides, state, current, plugins, listener, manager, running, has_authenticator_places }
    }

    /// Does what is asked for, until nobody can ask any more.
    pub async fn run(self, mut requests: ReloadRequests) {
        let reloader = Arc::new(self);
        while let Some(first) = requests.asked.recv().await {
            let mut asked = vec![first];
            // Those that have asked by now are served by the same reload.
            while let Ok(more) = requests.asked.try_recv() {
                asked.push(more);
            }
            if reloader.current.current().drain().phase() > ShutdownPhase::Serving {
                // Those who asked learn that the server is stopping.
                continue;
            }
            reloader.manager.reloading();
            let working = Arc::clone(&reloader);
            let panicked = |error: tokio::task::JoinError| ReloadOutcome::Failed(format!("{HALF_APPLIED} ({error})"));
            let outcome = tokio::task::spawn_blocking(move || working.reload()).await.unwrap_or_else(panicked);
            requests.drain.set(reloader.current.current().limits().drain);
            log(&outcome);
            reloader.manager.ready();
            for tell in asked.into_iter().flatten() {
                // The client may have disconnected.
                let _ = tell.send(outcome.clone());
            }
        }
    }

    /// The host keys of the configuration. Those of the state folder are made only if it never needed any: a server
    /// that has lost its keys goes on with those that clients know.
    fn host_keys(&self, running: &Config, config: &Config) -> Result<HostKeys, String> {
        let keys = HostKeys::existing(&self.state, &config.host_keys).map_err(|error| error.to_string())?;
        match keys {
            Some(keys) => Ok(keys),
            None if running.host_keys.keys.is_empty() => Err(format!(
                "{}: the state folder has no host keys any more: put them back, since clients would not trust others",
                self.state.folder().display()
            )),
            None => {
                let made = HostKeys::load(&self.state, &config.host_keys).map_err(|error| error.to_string())?;
                Ok(made.0)
            }
        }
    }

    /// Refuses a mixture of two versions, if a link on the way to the file was replaced while it and what it names were
    /// read.
    fn check_unmoved(&self, before: Option<&Path>) -> Result<(), String> {
        let now = fs::canonicalize(&self.file).ok();
        if before.is_some() && now.as_deref() == before {
            return Ok(());
        }
        Err(format!("{}: has been replaced while it was read: reload again", self.file.display()))
    }

    fn reload(&self) -> ReloadOutcome {
        let started = Instant::now();
        let path = fs::canonicalize(&self.file).ok();
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match self.replace(&mut running, (started, path.as_deref())) {
            Ok(done) => done,
            Err(problems) => ReloadOutcome::Refused(problems),
        }
    }

    /// Replaces the running configuration by the file's, or changes nothing. `path` is where the file is found when
    /// this has `started`. Blocks on the disk.
    fn replace(
        &self,
        running: &mut Config,
        (started, path): (Instant, Option<&Path>),
    ) -> Result<ReloadOutcome, String> {
        let mut config = Config::reload(&self.file, &self.overrides).map_err(|problems| problems.to_string())?;
        let mut restart = keep_fixed(&mut config, running)?;
        if !self.has_authenticator_places && !config.authenticators.is_empty() {
            restart.push(authenticator_places(&config));
        }
        os_limits::check_start(&config)?;
        let host_keys = self.host_keys(running, &config)?;
        self.check_unmoved(path)?;
        let before = self.current.current();
        let next = Arc::new(before.reloaded(&config, host_keys)?);
        // Last, since nothing that follows can fail.
        let listener = self.listener.prepare(&config).map_err(|error| error.to_string())?;
        next.apply_limits();
        next.replace_folders(&config, &self.plugins, Path::new(THIS_PROGRAM));
        self.current.replace(Arc::clone(&next));
        self.listener.apply(listener);
        log_new_host_keys(&before, &next);
        log_new_notes(running, &config);
        let (prepared, checked, named) = (self.plugins.prepared(), next, config.clone());
        tokio::spawn(async move {
            prepared.await;
            checked.warn_of_missing_grants(&named).await;
        });
        let changes = Changes::of(running, &config);
        emit(ServerEvent::Reloaded {
            users: changes.users,
            tenants: changes.tenants,
            listening: changes.listening,
            added: changes.added,
            removed: changes.removed,
            seconds: started.elapsed().as_secs_f32(),
        });
        let notes = config.notes.iter().map(ToString::to_string).collect();
        *running = config;
        Ok(ReloadOutcome::Done { notes, summary: changes.to_string(), restart })
    }
}

/// Resets settings that need a restart to their running values. Returns those that differ in the file.
///
/// # Errors
/// Others of the file do not fit the values that are kept, one a line.
fn keep_fixed(config: &mut Config, running: &Config) -> Result<Vec<NeedsRestart>, String> {
    let fixed = |(setting, running, configured): (&str, String, String)| NeedsRestart {
        setting: format!("limits.{setting}"),
        running,
        configured,
    };
    let mut restart: Vec<_> = config.limits.keep(&running.limits, &AT_START).into_iter().map(fixed).collect();
    for tenant in config.tenants.values_mut() {
        tenant.limits.keep(&running.limits, &AT_START);
    }
    if config.state != running.state {
        let configured = std::mem::replace(&mut config.state, running.state.clone());
        let (running, configured) = (running.state.display().to_string(), configured.display().to_string());
        restart.push(NeedsRestart { setting: "state".to_owned(), running, configured });
    }
    if config.audit != running.audit {
        let configured = std::mem::replace(&mut config.audit, running.audit.clone());
        let shown = |audit: &Option<AuditConfig>| audit.as_ref().map_or("none".to_owned(), ToString::to_string);
        let (running, configured) = (shown(&running.audit), shown(&configured));
        restart.push(NeedsRestart { setting: "audit".to_owned(), running, configured });
    }
    if config.metrics != running.metrics {
        let configured = std::mem::replace(&mut config.metrics, running.metrics.clone()).to_string();
        restart.push(NeedsRestart { setting: "metrics".to_owned(), running: running.metrics.to_string(), configured });
    }
    let contradictions = contradictions(config);
    if contradictions.is_empty() { Ok(restart) } else { Err(contradictions.join("\n")) }
}

/// What does not fit together although it does in the file.
fn contradictions(config: &Config) -> Vec<String> {
    let servers = config.limits.contradictions();
    let of_server = servers.iter().map(|(name, what)| format!("limits.{name}: {what}"));
    let of_tenants = config.tenants.iter().flat_map(|(tenant, settings)| {
        let own = settings.limits.contradictions().into_iter().filter(|found| !servers.contains(found));
        own.map(move |(name, what)| format!("tenants.{tenant}.limits.{name}: {what}"))
    });
    let line = |found| format!("{found}: that keeps its value until a restart");
    of_server.chain(of_tenants).map(line).collect()
}

/// The first authenticators since the start have no places of their own.
fn authenticator_places(config: &Config) -> NeedsRestart {
    NeedsRestart {
        setting: "limits.authenticator_instances".to_owned(),
        running: "none beside those of sessions".to_owned(),
        configured: config.limits.authenticator_instances.to_string(),
    }
}

/// How a configuration differs from the one before.
struct Changes {
    users: usize,
    tenants: usize,
    listening: usize,
    /// Users, tenants and addresses that were not there before.
    added: usize,
    removed: usize,
}

impl Changes {
    fn of(before: &Config, after: &Config) -> Changes {
        let (old, new) = (names(before), names(after));
        Changes {
            users: users(after).count(),
            tenants: after.tenants.len(),
            listening: after.listen.len(),
            added: new.difference(&old).count(),
            removed: old.difference(&new).count(),
        }
    }
}

impl std::fmt::Display for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Changes { users, tenants, listening, added, removed } = self;
        write!(
            f,
            "{}, {}, {} ({added} added, {removed} removed)",
            counted(*users, "user", "users"),
            counted(*tenants, "tenant", "tenants"),
            counted(*listening, "address", "addresses"),
        )
    }
}

fn counted(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

/// The names of everything that is counted, each with its kind.
fn names(config: &Config) -> BTreeSet<(u8, String)> {
    let tenants = config.tenants.keys().map(|name| (1, name.clone()));
    let addresses = config.listen.iter().map(|address| (2, address.to_string()));
    users(config).map(|name| (0, name.clone())).chain(tenants).chain(addresses).collect()
}

fn users(config: &Config) -> impl Iterator<Item = &String> {
    let users = match &config.login_policy {
        LoginPolicy::Users(users) => Some(users.keys()),
        LoginPolicy::Demonstration => None,
    };
    users.into_iter().flatten()
}

/// Logs what a successful reload leaves for a restart, or why one was refused. `replace` logs the success.
fn log(outcome: &ReloadOutcome) {
    match outcome {
        ReloadOutcome::Refused(problems) => {
            for (index, problem) in problems.lines().take(MOST_LOGGED).enumerate() {
                emit(ServerEvent::ReloadRefused { reason: escape(problem.as_bytes()), is_first: index == 0 });
            }
            let more = problems.lines().count().saturating_sub(MOST_LOGGED);
            if more > 0 {
                let reason = format!("and {more} more: run `whelk check`");
                emit(ServerEvent::ReloadRefused { reason: escape(reason.as_bytes()), is_first: false });
            }
        }
        ReloadOutcome::Failed(reason) => emit(ServerEvent::ReloadFailed { reason: escape(reason.as_bytes()) }),
        ReloadOutcome::Done { restart, .. } => {
            for NeedsRestart { setting, running, configured } in restart {
                emit(ServerEvent::NeedsRestart { setting, running, configured });
            }
        }
    }
}

/// Logs a certificate that clients may be shown.
pub(crate) fn log_certificate(certificate: &HostCertificate) {
    let (fingerprint, authority) = (certificate.key().fingerprint(), certificate.authority().fingerprint());
    let hosts = certificate.principals().join(",");
    let hosts = escape(hosts.as_bytes());
    emit(ServerEvent::HostCertificate { fingerprint: &fingerprint, authority: &authority, hosts });
}

/// Logs by which keys and certificates clients know this server that did not before.
fn log_new_host_keys(before: &Gateway, after: &Gateway) {
    let known: BTreeSet<_> = before.host_keys().public().map(|key| key.fingerprint()).collect();
    for key in after.host_keys().public() {
        let fingerprint = key.fingerprint();
        if !known.contains(&fingerprint) {
            emit(ServerEvent::HostKey { algorithm: key.algorithm(), fingerprint: &fingerprint });
        }
    }
    let known = before.host_keys().certificates();
    after
        .host_keys()
        .certificates()
        .iter()
        .filter(|certificate| !known.contains(certificate))
        .for_each(|certificate| log_certificate(certificate));
}

/// Logs the notes of a configuration that the one before did not have.
fn log_new_notes(before: &Config, after: &Config) {
    for note in after.notes.iter().filter(|note| !before.notes.contains(note)) {
        emit(ServerEvent::Note { note: &note.to_string() });
    }
    let known = os_limits::shortages(before);
    for shortage in os_limits::shortages(after).iter().filter(|shortage| !known.contains(shortage)) {
        let os_limits::Shortage { resource, has, needs, change } = shortage;
        emit(ServerEvent::Shortage { resource, has: *has, needs: *needs, change });
    }
}
