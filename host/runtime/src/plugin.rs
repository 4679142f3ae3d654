//! One compiled component with its digest, and the reasons for which a file is not one.

pub(crate) mod compile;
pub(crate) mod health;
mod interfaces;
mod kind;
mod live;
pub(crate) mod lookup;
pub(crate) mod preparing;
mod refusal;
pub(crate) mod registry;
pub(crate) mod routes;
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
use crate::plugin::health::{Cause, Health, Opened, Scope, Verdict, Who};
use crate::tenant::Tenant;
pub(crate) use kind::check_bytes;
use live::Live;
pub(crate) use live::Presence;
pub(crate) use refusal::not_compiled;
pub(crate) use validity::check as check_valid;
use world::World;

/// A plugin, compiled and checked: every import is there, every export that a session needs is there. It lives as long as its last session.
pub struct Plugin {
    name: Arc<str>,
    digest: [u8; 32],
    engine: Engine,
    pre: InstancePre<State>,
    world: World,
    imports: Vec<String>,
    needs: BTreeSet<Grant>,
    /// Bytes of compiled code.
    code: usize,
    /// Linear memories of one instance.
    memories: usize,
    live: Arc<Live>,
    /// Set when it is published.
    standing: OnceLock<Standing>,
}

/// What a registry knows of one version.
pub(crate) struct Standing {
    generation: u32,
    health: Mutex<Health>,
    /// What is run in its place when it does not start; none once a newer version has taken its own place.
    older: Mutex<Option<Arc<Plugin>>>,
    /// A session has started well.
    proven: OnceLock<()>,
}

/// What a file says of itself.
#[derive(Debug)]
pub struct Contents {
    /// What it imports, in the order of the file.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// What a tenant must grant to run it. Empty if it cannot be run at all.
    pub needs: BTreeSet<Grant>,
    /// Why it is no plugin; none if it is one.
    pub refused: Option<Error>,
}

impl Plugin {
    /// Compiles `wasm` in this process and checks that it fits. Takes as long as compiling takes, and as much memory: a server compiles with
    /// [`Loader`](crate::Loader).
    pub fn load(engine: &Engine, name: &str, wasm: &[u8]) -> Result<Arc<Self>, Error> {
        check_bytes(wasm, engine.component())?;
        check_valid(wasm)?;
        let component = Component::new(engine.wasmtime(), wasm).map_err(|error| refusal::not_compiled(&error))?;
        Self::assemble(engine, name, Sha256::digest(wasm).into(), &component)
    }

    /// Checks that a component fits, once it is compiled.
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
        Ok(Arc::new(Self {
            name: name.into(),
            digest,
            engine: engine.clone(),
            pre,
            world,
            imports,
            needs,
            code: image.end.addr() - image.start.addr(),
            memories: memories_of(component).unwrap_or_else(|| engine.memories()),
            live: Arc::default(),
            standing: OnceLock::new(),
        }))
    }

    /// The name by which sessions ask for it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the file.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// SHA-256 of the file in hexadecimal, for the log.
    #[must_use]
    pub fn digest_hex(&self) -> String {
        self.digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Which of the files of its name this is, counted from 1.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.standing().map_or(1, |standing| standing.generation)
    }

    /// How many live sessions have this very generation, those that are being started included.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.live.count()
    }

    /// Ends every session that has this very generation, and those that would still get it: the client is told these words in a line on
    /// stderr, where one can be said, then the plugin its end ([`Ending::Drained`](crate::Ending::Drained)), and the session ends as if
    /// by the signal HUP. Does not wait for them.
    pub fn retire(&self, words: &str) {
        self.live.retire(words);
    }

    /// Bytes of compiled code.
    #[must_use]
    pub fn code(&self) -> usize {
        self.code
    }

    /// Linear memories of one instance.
    pub(crate) fn memories(&self) -> usize {
        self.memories
    }

    /// Its optional handlers, in the order of the interfaces' names.
    #[must_use]
    pub fn handlers(&self) -> Vec<&'static str> {
        self.world.handlers()
    }

    /// What a tenant must grant to run it.
    #[must_use]
    pub fn needs(&self) -> &BTreeSet<Grant> {
        &self.needs
    }

    /// Everything that it imports, as it names it: `wasi:cli/stdout@0.2.6`.
    #[must_use]
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// Whether the tenant grants what it takes to run it. The error names each import for which it does not, and the line that would.
    pub fn check_grants(&self, tenant: &Tenant) -> Result<(), Error> {
        self.suits(tenant.name(), |grant| tenant.grants().has(grant))
    }

    /// The same for a tenant of which it is only known what it would be granted.
    ///
    /// # Errors
    /// [`Error::Refused`], as of [`check_grants`](Self::check_grants).
    pub fn suits(&self, tenant: &str, has: impl Fn(Grant) -> bool) -> Result<(), Error> {
        let missing: Vec<Grant> = self.needs.iter().copied().filter(|grant| !has(*grant)).collect();
        if missing.is_empty() { Ok(()) } else { Err(refusal::not_granted(&missing, &self.imports, tenant)) }
    }

    /// A session comes to this plugin.
    pub(crate) fn register_session(&self, pipes: &Arc<Shared>) -> Presence {
        pipes.serve_by(self.shared_name(), self.generation());
        self.live.register(pipes)
    }

    /// Gives it its place in a registry. A plugin has one place for all its life; a second is not taken.
    pub(crate) fn stand(&self, generation: u32, limits: Arc<Limits>, older: Option<Arc<Plugin>>) {
        self.standing.get_or_init(|| Standing {
            generation,
            health: Mutex::new(Health::new(limits)),
            older: Mutex::new(older),
            proven: OnceLock::new(),
        });
    }

    pub(crate) fn standing(&self) -> Option<&Standing> {
        self.standing.get()
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn pre(&self) -> &InstancePre<State> {
        &self.pre
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
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

    /// What is run in its place.
    pub(crate) fn older(&self) -> Option<Arc<Plugin>> {
        self.older.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A newer version is there: nobody asks for this one any more.
    pub(crate) fn supersede(&self) {
        *self.older.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether a session has ever started well.
    pub(crate) fn is_proven(&self) -> bool {
        self.proven.get().is_some()
    }

    /// Whether somebody gets another version now, or none.
    pub(crate) fn is_tripped(&self, now: Instant) -> bool {
        self.health().is_tripped(now)
    }

    pub(crate) fn verdict(&self, who: &Who, now: Instant) -> Verdict {
        self.health().verdict(who, now)
    }

    pub(crate) fn passed(&self, who: &Who) -> Vec<Scope> {
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

/// How many linear memories an instance has. `None` if it imports a core module, which nobody provides.
fn memories_of(component: &Component) -> Option<usize> {
    let required = component.resources_required()?;
    usize::try_from(required.num_memories).ok()
}

/// What these imports take of a tenant.
fn needs_of(imports: &[String]) -> BTreeSet<Grant> {
    imports.iter().filter_map(|import| Grant::of_import(import)).collect()
}

impl Contents {
    /// Reads what a compiled component says of itself, and checks it as far as that goes.
    pub(crate) fn read(engine: &Engine, component: &Component) -> Self {
        let engine = engine.wasmtime();
        let ty = component.component_type();
        let imports = refusal::imports(engine, component);
        let exports = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
        let refused = world::check_interfaces(engine, component).err();
        let needs = if refused.is_some() { BTreeSet::new() } else { needs_of(&imports) };
        Self { imports, exports, needs, refused }
    }
}
