//! Reloads the configuration while the server runs, on SIGHUP or `whelk reload`: all of it or nothing.
//!
//! A reload reads the file that the server was started with once more, with the same command line options and with
//! everything that it names. It first makes the next generation ([`Gateway::reloaded`]) and binds new addresses; any
//! error until then changes nothing. Then it cannot fail any more: the limits of what is counted, the plugin folders,
//! the gateway of new connections and the listener are replaced in this order, so that nobody logs in by a generation
//! whose plugins are not looked for yet. Live connections keep the generation that they were accepted with.
//!
//! Reloads run one after another, on a thread that may wait for disks. Whoever asks while one runs is served by the
//! next one, all together: it begins after the last of them has asked.
//!
//! What is fixed when the process starts keeps its value and is reported, every time until the restart: the state
//! folder, the audit, and the limits in [`AT_START`].
//!
//! Decided 2026-11-29: settings that need a restart are reported, and the rest takes effect. Refused: refusing the
//! whole file, since then one such setting in it would keep a key from being revoked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::config::{AuditConfig, Config, LoginPolicy, Overrides};
use crate::observe::escape::escape;
use crate::observe::event::{ServerEvent, emit};
use crate::os_limits;
use crate::plugins::reload::Reload;
use crate::server::drain::DrainTime;
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
}

impl ReloadTrigger {
    /// For a server that is being started: what is asked for before it serves is done then. A reload changes `drain`.
    #[must_use]
    pub fn new(drain: &DrainTime) -> (ReloadTrigger, ReloadRequests) {
        let (trigger, asked) = mpsc::channel(MOST_WAITING);
        (ReloadTrigger(trigger), ReloadRequests { asked, drain: drain.clone() })
    }

    /// Asks for a reload. Never blocks.
    pub fn signal(&self) {
        // If there is no room, a reload that begins later is asked for already.
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
        let (file, overrides, running) = (file.to_owned(), overrides.clone(), Mutex::new(config));
        Reloader { file, overrides, state, current, plugins, listener, manager, running }
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
            reloader.manager.reloading();
            let working = Arc::clone(&reloader);
            let panicked = |error: tokio::task::JoinError| {
                ReloadOutcome::Refused(format!("the reload has failed unexpectedly: {error}"))
            };
            let outcome = tokio::task::spawn_blocking(move || working.reload()).await.unwrap_or_else(panicked);
            requests.drain.set(reloader.current.current().limits().drain);
            log(&outcome);
            reloader.manager.ready();
            for tell in asked.into_iter().flatten() {
                // Who has gone does not want to know.
                let _ = tell.send(outcome.clone());
            }
        }
    }

    fn reload(&self) -> ReloadOutcome {
        let started = Instant::now();
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match self.replace(&mut running, started) {
            Ok(done) => done,
            Err(problems) => ReloadOutcome::Refused(problems),
        }
    }

    /// Replaces the running configuration by the file's, or changes nothing. Blocks on the disk.
    fn replace(&self, running: &mut Config, started: Instant) -> Result<ReloadOutcome, String> {
        let mut config = Config::reload(&self.file, &self.overrides).map_err(|problems| problems.to_string())?;
        let restart = keep_fixed(&mut config, running);
        os_limits::check_start(&config)?;
        let (host_keys, _) = HostKeys::load(&self.state, &config.host_keys).map_err(|error| error.to_string())?;
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
            checked.warn_of_missing_grants(&named);
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

/// Gives settings that are fixed at the start the value that they have, and returns those that have another now.
fn keep_fixed(config: &mut Config, running: &Config) -> Vec<NeedsRestart> {
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
    restart
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
            "users: {users}, tenants: {tenants}, addresses: {listening} (of all of these {added} added, {removed} removed)"
        )
    }
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

/// Logs what a successful reload leaves for a restart, or why one was refused. The success itself is logged as soon as
/// it is one.
fn log(outcome: &ReloadOutcome) {
    match outcome {
        ReloadOutcome::Refused(problems) => {
            for problem in problems.lines() {
                emit(ServerEvent::ReloadRefused { reason: escape(problem.as_bytes()) });
            }
        }
        ReloadOutcome::Done { restart, .. } => {
            for NeedsRestart { setting, running, configured } in restart {
                emit(ServerEvent::NeedsRestart { setting, running, configured });
            }
        }
    }
}

/// Logs by which keys clients know this server that did not before.
fn log_new_host_keys(before: &Gateway, after: &Gateway) {
    let known: BTreeSet<_> = before.host_keys().public().map(|key| key.fingerprint()).collect();
    for key in after.host_keys().public() {
        let fingerprint = key.fingerprint();
        if !known.contains(&fingerprint) {
            emit(ServerEvent::HostKey { algorithm: key.algorithm(), fingerprint: &fingerprint });
        }
    }
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
