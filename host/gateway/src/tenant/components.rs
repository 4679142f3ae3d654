//! Components that the processes of a tenant start from files of their own (`deploy`): compiled when one is first
//! needed, in the tenant's line, found again by their digests, and counted among the tenant's loaded programs.
//!
//! Decided 2026-11-30: their code is not kept on the disk. A tenant can have any number of them, and whatever it kept
//! there would push out what others' next start needs. After a restart each is compiled once more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use whelk_runtime::{Error, Fallback, Lookup, Plugin, ProgramTable, Published, Registry, Source, Terms, Unrunnable};

use crate::observe::escape::escape;
use crate::observe::event::{PluginEvent, emit};
use crate::observe::hex::hex;
use crate::plugins::compilers::{Compilers, CurrentCompilers};

/// How many refusals of one tenant are remembered.
const MOST_REFUSED: usize = 64;
/// How long the same bytes are refused without another look ...
const REFUSED: Duration = Duration::from_secs(60);
/// ... and how long if they may be accepted later.
const NOT_YET: Duration = Duration::from_secs(2);
/// How often a component is loaded for one process, if it is unloaded before the process has it.
const TRIES: usize = 3;

/// What a tenant may start from files of its own.
pub(super) struct Components {
    pub(super) compilers: Arc<CurrentCompilers>,
    /// The most bytes of a file.
    pub(super) largest: usize,
    /// The most bytes of compiled code.
    pub(super) code: usize,
}

/// Who wants a component, and what its tenant has loaded.
pub(super) struct Demand<'a> {
    pub(super) loaded: &'a Arc<LoadedComponents>,
    /// Where its programs are counted, and how many there may be.
    pub(super) table: &'a ProgramTable,
    pub(super) most: usize,
    /// For loads.
    pub(super) permits: &'a Arc<Semaphore>,
    pub(super) tenant: &'a str,
}

/// The components that a tenant has loaded or that were refused, by their digests in hexadecimal.
#[derive(Default)]
pub(super) struct LoadedComponents {
    registry: Arc<Registry>,
    refused: Mutex<BTreeMap<String, (Unrunnable, Instant)>>,
    /// Held to begin a load.
    beginning: Mutex<()>,
}

/// A load that goes on when nobody waits for it any more.
struct Load {
    loaded: Arc<LoadedComponents>,
    compilers: Arc<Compilers>,
    digest: String,
    source: Source,
    /// The most bytes of the file, and of all compiled code.
    limits: (usize, usize),
    tenant: String,
    _permit: OwnedSemaphorePermit,
}

impl Components {
    /// The most bytes of a component that a process may start; `None` if this server compiles none.
    pub(super) fn limit(&self) -> Option<usize> {
        self.compilers.get().map(|_| self.largest)
    }

    /// The program that these bytes are. Has them compiled, which goes on when the caller does not wait any more.
    pub(super) async fn load(&self, source: Source, demand: Demand<'_>) -> Lookup {
        let Some(compilers) = self.compilers.get() else { return Lookup::Absent };
        let Demand { loaded, table, most, permits, tenant } = demand;
        let digest = hex(source.digest());
        for _ in 0..TRIES {
            if let Some(refused) = loaded.refused(&digest) {
                return Lookup::Unrunnable(refused);
            }
            if table.note_use(&loaded.registry, &digest, tenant, most).is_err() {
                return Lookup::Unrunnable(too_many(most));
            }
            if let found @ Lookup::Found(_) = loaded.registry.settled(&digest).await {
                return found;
            }
            let permit = Arc::clone(permits).acquire_owned().await.expect("the semaphore is never closed");
            if !loaded.begin(&digest) {
                // Somebody else's load has begun or ended meanwhile.
                continue;
            }
            let (loaded, tenant, limits) = (Arc::clone(loaded), tenant.to_owned(), (self.largest, self.code));
            let load = Load { loaded, compilers, digest, source, limits, tenant, _permit: permit };
            return match tokio::spawn(load.run()).await {
                Ok(Ok(plugin)) => Lookup::Found(plugin),
                Ok(Err(refused)) => Lookup::Unrunnable(refused),
                Err(_) => Lookup::Unrunnable(internal_error()),
            };
        }
        Lookup::Unrunnable(not_ready())
    }
}

impl LoadedComponents {
    /// Whether this digest is neither loaded nor being loaded. It is being loaded then.
    fn begin(&self, digest: &str) -> bool {
        let _beginning = lock(&self.beginning);
        let is_new = !matches!(self.registry.lookup(digest), Lookup::Found(_) | Lookup::Preparing);
        if is_new {
            self.registry.expect_also(digest);
        }
        is_new
    }

    /// Why this component was refused a short while ago.
    fn refused(&self, digest: &str) -> Option<Unrunnable> {
        let mut refused = lock(&self.refused);
        refused.retain(|_, (_, until)| *until > Instant::now());
        refused.get(digest).map(|(refused, _)| refused.clone())
    }

    fn refuse(&self, digest: &str, why: &Unrunnable, lasts: Duration) {
        let mut refused = lock(&self.refused);
        if refused.len() >= MOST_REFUSED {
            let first = refused.iter().min_by_key(|(_, (_, until))| *until).map(|(digest, _)| digest.clone());
            first.and_then(|first| refused.remove(&first));
        }
        refused.insert(digest.to_owned(), (why.clone(), Instant::now() + lasts));
    }

    /// Whether so much more code fits, once what nobody runs is unloaded.
    fn has_room(&self, digest: &str, code: usize, most: usize) -> bool {
        let fits = || self.registry.code_beside(digest, Fallback::None).saturating_add(code) <= most;
        if !fits() {
            self.registry.unload_idle(digest, fits);
        }
        fits()
    }
}

impl Load {
    async fn run(self) -> Result<Arc<Plugin>, Unrunnable> {
        let Load { loaded, compilers, digest, source, limits, tenant, .. } = &self;
        let terms = Terms { component: limits.0, slots: &compilers.slots, tenant };
        let compiled = compilers.loader.load(digest, source, terms).await;
        let published = compiled.map_err(|error| refusal(&error)).and_then(|plugin| self.publish(plugin));
        published.map_err(|(refused, lasts)| {
            loaded.refuse(digest, &refused, lasts);
            refused
        })
    }

    fn publish(&self, plugin: Arc<Plugin>) -> Result<Arc<Plugin>, (Unrunnable, Duration)> {
        let Load { loaded, digest, limits, tenant, .. } = self;
        if !loaded.has_room(digest, plugin.code(), limits.1) {
            return Err((Unrunnable::not_yet("there is no room for it now; try again later"), NOT_YET));
        }
        let registry = &loaded.registry;
        if let Published::As(generation) = registry.publish_alone(&plugin) {
            let (shown, tenant) = (escape(digest.as_bytes()), Some(tenant.as_str()));
            emit(PluginEvent::ProgramLoaded { plugin: shown, tenant, digest, generation });
        }
        if !registry.is_held(digest) {
            // Whoever needed it needs others more by now.
            registry.unload(digest);
        }
        Ok(plugin)
    }
}

/// However a load ends, those who wait for it go on.
impl Drop for Load {
    fn drop(&mut self) {
        self.loaded.registry.prepared(&self.digest);
    }
}

/// What a process is told, and for how long the same bytes are refused.
fn refusal(error: &Error) -> (Unrunnable, Duration) {
    match error {
        Error::Host { .. } => (internal_error(), NOT_YET),
        Error::Unfinished(_) | Error::Killed(_) => {
            (Unrunnable::not_yet("it could not be prepared yet; try again later"), NOT_YET)
        }
        _ => (Unrunnable::because(error.to_string()), REFUSED),
    }
}

/// A program that is not prepared in time.
pub(super) fn not_ready() -> Unrunnable {
    Unrunnable::not_yet("not ready yet")
}

/// One more program than the tenant may have loaded.
pub(super) fn too_many(most: usize) -> Unrunnable {
    Unrunnable::not_yet(format!("all {most} programs that this account may have loaded are running; try again later"))
}

fn internal_error() -> Unrunnable {
    Unrunnable::not_yet("internal error; try again later")
}

/// Nothing panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
