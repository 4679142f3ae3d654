//! One compiled component with its digest, and the reasons for which a file is not one.

mod interfaces;
mod live;
mod refusal;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::component::{Component, InstancePre};

use crate::bindings::exports;
use crate::engine::Engine;
use crate::error::Error;
use crate::grants::Grant;
use crate::host::State;
use crate::pipe::Shared;
use crate::tenant::Tenant;
use live::Live;
pub(crate) use live::Presence;

/// A plugin, compiled and checked: every import is there, every export that a session needs is there. It lives as long as its last session.
pub struct Plugin {
    name: Arc<str>,
    digest: [u8; 32],
    generation: u32,
    engine: Engine,
    pre: InstancePre<State>,
    exports: Exports,
    imports: Vec<String>,
    needs: BTreeSet<Grant>,
    live: Arc<Live>,
}

/// Where a plugin's functions are; the optional interfaces are looked up once, here.
pub(crate) struct Exports {
    pub(crate) session: exports::session::GuestIndices,
    pub(crate) timer: Option<exports::timer_handler::GuestIndices>,
    pub(crate) drain: Option<exports::drain_handler::GuestIndices>,
    pub(crate) line_break: Option<exports::break_handler::GuestIndices>,
    pub(crate) request: Option<exports::request_handler::GuestIndices>,
    pub(crate) message: Option<exports::message_handler::GuestIndices>,
}

impl Plugin {
    /// Compiles `wasm` and checks that it fits. Takes as long as compiling takes: 13 ms for 20 KB of Rust, seconds for a language runtime.
    pub fn load(engine: &Engine, name: &str, wasm: &[u8]) -> Result<Arc<Self>, Error> {
        refusal::check_bytes(wasm, engine.component())?;
        let component = Component::new(engine.wasmtime(), wasm).map_err(|error| refusal::not_compiled(&error))?;
        refusal::check_interfaces(engine.wasmtime(), &component)?;
        let imports = refusal::imports(engine.wasmtime(), &component);
        let needs = imports.iter().filter_map(|import| Grant::of_import(import)).collect();
        let pre = engine.instantiate_pre(&component).map_err(|error| refusal::not_linked(&error))?;
        let exports = Exports::find(&pre)?;
        Ok(Arc::new(Self {
            name: name.into(),
            digest: Sha256::digest(wasm).into(),
            generation: 1,
            engine: engine.clone(),
            pre,
            exports,
            imports,
            needs,
            live: Arc::default(),
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
        self.generation
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
    pub fn admit(&self, tenant: &Tenant) -> Result<(), Error> {
        let missing = tenant.grants().missing(&self.needs);
        if missing.is_empty() { Ok(()) } else { Err(refusal::not_granted(&missing, &self.imports, tenant.name())) }
    }

    /// A session comes to this plugin.
    pub(crate) fn enter(&self, pipes: &Arc<Shared>) -> Presence {
        self.live.enter(pipes)
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

    pub(crate) fn exports(&self) -> &Exports {
        &self.exports
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of generation {}", self.name, self.generation)
    }
}

impl Exports {
    fn find(pre: &InstancePre<State>) -> Result<Self, Error> {
        Ok(Self {
            session: exports::session::GuestIndices::new(pre).map_err(|error| refusal::not_a_session(&error))?,
            timer: refusal::optional(pre, "timer-handler", exports::timer_handler::GuestIndices::new)?,
            drain: refusal::optional(pre, "drain-handler", exports::drain_handler::GuestIndices::new)?,
            line_break: refusal::optional(pre, "break-handler", exports::break_handler::GuestIndices::new)?,
            request: refusal::optional(pre, "request-handler", exports::request_handler::GuestIndices::new)?,
            message: refusal::optional(pre, "message-handler", exports::message_handler::GuestIndices::new)?,
        })
    }
}
