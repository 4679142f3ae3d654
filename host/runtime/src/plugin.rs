//! One compiled component with its digest, and the checks that a file must pass.

pub(crate) mod compile;
pub(crate) mod health;
mod interfaces;
mod kind;
mod live;
pub(crate) mod lookup;
mod refusal;
pub(crate) mod registry;
pub(crate) mod routes;
pub(crate) mod table;
mod validity;
pub(crate) mod world;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use wasmtime::component::{Component, InstancePre};

use crate::channel::Shared;
use crate::engine::Engine;
use crate::error::Error;
use crate::grants::Grant;
use crate::host::State;
use crate::limits::Limits;
use crate::plugin::health::{BreakerScope, Cause, Choice, Health, Opened, Who};
use crate::posix::process::ProcessEntry;
use crate::tenant::Tenant;
pub use kind::Format;
pub(crate) use kind::check_bytes;
use live::Live;
pub(crate) use live::Presence;
pub(crate) use refusal::not_compiled;
pub(crate) use validity::check as check_valid;
use world::World;

/// A compiled and checked plugin: every import is available, every export that a session needs exists. It is kept as
/// long as its last session.
pub struct Plugin {
    name: Arc<str>,
    /// The plugin of which this is another name. Held, because its registry only knows that one.
    original: Option<Arc<Plugin>>,
    parts: Arc<Parts>,
}

/// What all names of a plugin share.
struct Parts {
    digest: [u8; 32],
    engine: Engine,
    pre: InstancePre<State>,
    world: World,
    imports: Vec<String>,
    needs: BTreeSet<Grant>,
    /// Bytes of compiled code.
    code: usize,
    /// Linear memories and tables of one instance.
    memories_and_tables: (usize, usize),
    live: Arc<Live>,
    /// Set when it is published.
    standing: OnceLock<Standing>,
}

/// The state of a version in a registry.
pub(crate) struct Standing {
    generation: u32,
    health: Mutex<Health>,
    /// The version that runs in its place if it does not start; `None` once a newer version has replaced it.
    older: Mutex<Option<Arc<Plugin>>>,
    /// A session has started well.
    proven: OnceLock<()>,
}

/// Describes a file.
#[derive(Debug)]
pub struct Contents {
    /// Its imports, in the order of the file.
    pub imports: Vec<String>,
    /// Its exports.
    pub exports: Vec<String>,
    /// Its world, by its name in `wit/worlds.wit`. `None` if it cannot run at all.
    pub world: Option<&'static str>,
    /// The grants that it needs. Empty if it cannot run at all.
    pub needs: BTreeSet<Grant>,
    /// Why it is not a plugin; `None` if it is one.
    pub refused: Option<Error>,
}

impl Plugin {
    /// Compiles `wasm` in this process and checks it. Takes as much time and memory as compiling does: a server
    /// compiles with [`Loader`](crate::Loader).
    pub fn load(engine: &Engine, name: &str, wasm: &[u8]) -> Result<Arc<Self>, Error> {
        check_bytes(wasm, engine.component())?;
        let converted = compile::preview1::convert(wasm).map_err(Error::Refused)?;
        check_valid(&converted)?;
        let component = Component::new(engine.wasmtime(), &converted).map_err(|error| refusal::not_compiled(&error))?;
        Self::assemble(engine, name, Sha256::digest(wasm).into(), &component)
    }

    /// Checks a compiled component.
    pub(crate) fn assemble(
        engine: &Engine,
        name: &str,
        digest: [u8; 32],
        component: &Component,
    ) -> Result<Arc<Self>, Error> {
        let kind = world::check_interfaces(engine.wasmtime(), component)?;
        let imports = refusal::imports(engine.wasmtime(), component);
        let needs = needs_of(&imports);
        let pre = engine.instantiate_pre(component).map_err(|error| refusal::not_linked(&error))?;
        let world = kind.find(&pre)?;
        let image = component.image_range();
        let parts = Parts {
            digest,
            engine: engine.clone(),
            pre,
            world,
            imports,
            needs,
            code: image.end.addr() - image.start.addr(),
            memories_and_tables: memories_and_tables(component).unwrap_or_else(|| engine.memories_and_tables()),
            live: Arc::default(),
            standing: OnceLock::new(),
        };
        Ok(Arc::new(Self { name: name.into(), original: None, parts: Arc::new(parts) }))
    }

    /// The same plugin by another name: one of several names of a multicall program. Code, generation, sessions and
    /// circuit breakers are shared.
    #[must_use]
    pub fn called(self: &Arc<Self>, name: &str) -> Arc<Self> {
        if self.name() == name {
            return Arc::clone(self);
        }
        let original = self.original.as_ref().unwrap_or(self);
        if original.name() == name {
            return Arc::clone(original);
        }
        let (original, parts) = (Some(Arc::clone(original)), Arc::clone(&self.parts));
        Arc::new(Self { name: name.into(), original, parts })
    }

    /// The name by which sessions ask for it. For a program also the first of its arguments.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its file, of which [`name`](Self::name) may be another.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.original.as_ref().map_or(&self.name, |original| &original.name)
    }

    /// SHA-256 of the file.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.parts.digest
    }

    /// SHA-256 of the file in hexadecimal, for the log.
    #[must_use]
    pub fn digest_hex(&self) -> String {
        self.parts.digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Its generation: the number of this version of its name, counted from 1.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.standing().map_or(1, |standing| standing.generation)
    }

    /// How many live sessions run this generation, including those that are starting.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.parts.live.count()
    }

    /// Whether a live session of this tenant runs this generation.
    pub(crate) fn runs_for(&self, tenant: &str) -> bool {
        self.parts.live.has_session_of(tenant)
    }

    /// Ends every session of this generation, including later ones: the client gets `words` as a line on stderr, where
    /// one can be sent, then the plugin its end ([`Ending::Drained`](crate::Ending::Drained)), and the session ends as
    /// if by the signal HUP. Does not wait for them.
    pub fn retire(&self, words: &str) {
        self.parts.live.retire(words);
    }

    /// Bytes of compiled code.
    #[must_use]
    pub fn code(&self) -> usize {
        self.parts.code
    }

    /// Linear memories and tables of one instance.
    pub(crate) fn memories_and_tables(&self) -> (usize, usize) {
        self.parts.memories_and_tables
    }

    /// Its optional handlers, in the order of the interfaces' names.
    #[must_use]
    pub fn handlers(&self) -> Vec<&'static str> {
        self.parts.world.handlers()
    }

    /// Its world, by its name in `wit/worlds.wit`.
    #[must_use]
    pub fn world_name(&self) -> &'static str {
        self.parts.world.name()
    }

    /// The grants that it needs.
    #[must_use]
    pub fn needs(&self) -> &BTreeSet<Grant> {
        &self.parts.needs
    }

    /// Its imports, by their full names: `wasi:cli/stdout@0.2.6`.
    #[must_use]
    pub fn imports(&self) -> &[String] {
        &self.parts.imports
    }

    /// The grants that it needs and the tenant does not have.
    #[must_use]
    pub fn missing_grants(&self, tenant: &Tenant) -> Vec<Grant> {
        self.parts.needs.iter().copied().filter(|grant| !tenant.grants().has(*grant)).collect()
    }

    /// Checks that the tenant grants what it needs. The error names each import without a grant, and the line that
    /// would grant it.
    pub fn check_grants(&self, tenant: &Tenant) -> Result<(), Error> {
        self.suits(tenant.name(), |grant| tenant.grants().has(grant))
    }

    /// The same for a tenant of which only the grants are known.
    ///
    /// # Errors
    /// [`Error::Refused`], as for [`check_grants`](Self::check_grants).
    pub fn suits(&self, tenant: &str, has: impl Fn(Grant) -> bool) -> Result<(), Error> {
        let missing: Vec<Grant> = self.parts.needs.iter().copied().filter(|grant| !has(*grant)).collect();
        if missing.is_empty() { Ok(()) } else { Err(refusal::not_granted(&missing, &self.parts.imports, tenant)) }
    }

    /// A session of a tenant begins to run this plugin.
    pub(crate) fn register_session(&self, pipes: &Arc<Shared>, tenant: &Arc<Tenant>) -> Presence {
        pipes.serve_by(self.shared_name(), self.generation());
        self.parts.live.register(pipes, tenant)
    }

    /// A process that another one has started begins to run this plugin.
    pub(crate) fn register_child(&self, process: &Arc<ProcessEntry>, tenant: &Arc<Tenant>) -> Presence {
        self.parts.live.register_child(process, tenant)
    }

    /// Gives it its place in a registry. It has at most one place; a second is ignored.
    pub(crate) fn stand(&self, generation: u32, limits: Arc<Limits>, older: Option<Arc<Plugin>>) {
        self.parts.standing.get_or_init(|| Standing {
            generation,
            health: Mutex::new(Health::new(limits)),
            older: Mutex::new(older),
            proven: OnceLock::new(),
        });
    }

    pub(crate) fn standing(&self) -> Option<&Standing> {
        self.parts.standing.get()
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.parts.engine
    }

    pub(crate) fn pre(&self) -> &InstancePre<State> {
        &self.parts.pre
    }

    pub(crate) fn world(&self) -> &World {
        &self.parts.world
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of generation {}", self.name, self.generation())
    }
}

impl Standing {
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// The version that runs in its place.
    pub(crate) fn older(&self) -> Option<Arc<Plugin>> {
        self.older.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A newer version has replaced it. Returns the version that has run in its place.
    pub(crate) fn supersede(&self) -> Option<Arc<Plugin>> {
        self.older.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether a session has ever started well.
    pub(crate) fn is_proven(&self) -> bool {
        self.proven.get().is_some()
    }

    /// Whether somebody gets another version now, or none.
    pub(crate) fn is_tripped(&self, now: Instant) -> bool {
        self.health().is_tripped(now)
    }

    pub(crate) fn choice(&self, who: &Who, now: Instant) -> Choice {
        self.health().choice(who, now)
    }

    pub(crate) fn passed(&self, who: &Who) -> Vec<BreakerScope> {
        self.proven.get_or_init(|| ());
        self.health().passed(who)
    }

    pub(crate) fn failed(&self, who: &Who, cause: Cause, after: Duration, now: Instant) -> Vec<Opened> {
        self.health().failed(who, cause, after, now)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many linear memories and tables an instance has. `None` if it imports a core module, which nothing provides.
fn memories_and_tables(component: &Component) -> Option<(usize, usize)> {
    let required = component.resources_required()?;
    Some((usize::try_from(required.num_memories).ok()?, usize::try_from(required.num_tables).ok()?))
}

/// The grants that these imports need.
fn needs_of(imports: &[String]) -> BTreeSet<Grant> {
    imports.iter().filter_map(|import| Grant::of_import(import)).collect()
}

impl Contents {
    /// Describes a compiled component, and checks it as far as possible.
    pub(crate) fn read(engine: &Engine, component: &Component) -> Self {
        let engine = engine.wasmtime();
        let ty = component.component_type();
        let imports = refusal::imports(engine, component);
        let exports = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
        let (world, refused) = match world::check_interfaces(engine, component) {
            Ok(kind) => (Some(kind.name()), None),
            Err(error) => (None, Some(error)),
        };
        let needs = if refused.is_some() { BTreeSet::new() } else { needs_of(&imports) };
        Self { imports, exports, world, needs, refused }
    }
}
