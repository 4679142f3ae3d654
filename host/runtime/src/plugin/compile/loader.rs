//! How the bytes of a file become a plugin that may be published: checked, compiled elsewhere or found in the cache, linked, and tried.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use wasmtime::component::Component;

use crate::engine::Engine;
use crate::error::Error;
use crate::event::{Event, emit};
use crate::plugin::compile::cache::Cache;
use crate::plugin::compile::requirements::{InstanceLimits, check_component, pool_refusal};
use crate::plugin::compile::slots::CompileSlots;
use crate::plugin::compile::{Compiled, Compiler};
use crate::plugin::{Contents, Plugin, check_bytes, not_compiled};
use crate::tenant::Tenant;

/// Makes plugins of files.
pub struct Loader {
    engine: Engine,
    compiler: Compiler,
    cache: Option<Arc<Cache>>,
    /// For whom a plugin is tried. It should grant nothing.
    trial: Arc<Tenant>,
}

/// The bytes of a file.
pub struct Source {
    wasm: Vec<u8>,
    digest: [u8; 32],
}

/// For whom a file is loaded.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'t> {
    /// The largest file, bytes.
    pub component: usize,
    /// Where it is compiled.
    pub slots: &'t CompileSlots,
    /// Whose file it is: the time of compiling it is charged to this name. Empty: the operator's.
    pub tenant: &'t str,
}

impl Source {
    /// Takes the bytes and their digest, which takes a moment.
    #[must_use]
    pub fn new(wasm: Vec<u8>) -> Self {
        Self { digest: Sha256::digest(&wasm).into(), wasm }
    }

    /// SHA-256 of the bytes.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// How many they are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.wasm.len()
    }
}

impl Loader {
    /// A loader for this engine. Without a cache everything is compiled.
    #[must_use]
    pub fn new(engine: Engine, compiler: Compiler, cache: Option<Cache>, trial: Arc<Tenant>) -> Self {
        Self { engine, compiler, cache: cache.map(Arc::new), trial }
    }

    /// The plugin that a file is. Takes as long as compiling takes, in another process; dropping the future ends that.
    ///
    /// # Errors
    /// [`Error::Refused`] when the file is no plugin, with the reason in one line; [`Error::Unfinished`] or [`Error::Killed`] when that could
    /// not be found out this time; [`Error::Host`] when the fault is not the file's.
    pub async fn load(&self, name: &str, source: &Source, terms: Terms<'_>) -> Result<Arc<Plugin>, Error> {
        let component = self.component(source, terms).await?;
        check_component(&component, self.limits())?;
        let plugin = Plugin::assemble(&self.engine, name, source.digest, &component)?;
        match plugin.smoke(&self.trial).await {
            // A full server must not keep its operator from mending a plugin; the first sessions are the trial then.
            Ok(()) | Err(Error::Full { .. }) => Ok(plugin),
            Err(error) => Err(error),
        }
    }

    /// What a file says of itself, whether it is a plugin or not.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is no component.
    pub async fn inspect(&self, source: &Source, terms: Terms<'_>) -> Result<Contents, Error> {
        let component = self.component(source, terms).await?;
        Ok(Contents::read(&self.engine, &component))
    }

    /// What one instance may take.
    fn limits(&self) -> InstanceLimits {
        InstanceLimits::of(self.trial.limits())
    }

    /// What a file was compiled to, now or before.
    async fn component(&self, source: &Source, terms: Terms<'_>) -> Result<Component, Error> {
        check_bytes(&source.wasm, terms.component)?;
        let digest = source.digest;
        if let Some(component) = self.cached(digest).await? {
            return Ok(component);
        }
        let compile = || self.compiler.compile(&source.wasm, self.limits());
        let compiled = terms.slots.run(terms.tenant, source.size(), compile).await?;
        let (engine, cache) = (self.engine.clone(), self.cache.clone());
        off_the_path(move || {
            let mapped = map(&engine, &compiled);
            // What no pool can hold is kept, too: it is refused again without being compiled again, until a limit is
            // raised.
            let is_kept = mapped.as_ref().err().is_none_or(|error| pool_refusal(error).is_some());
            if let (true, Some(cache)) = (is_kept, cache)
                && let Err(error) = cache.keep(&digest, &compiled)
            {
                emit(Event::PluginCodeNotKept { error: &error });
            }
            mapped.map_err(|error| not_mapped(&error))
        })
        .await
    }

    async fn cached(&self, digest: [u8; 32]) -> Result<Option<Component>, Error> {
        let Some(cache) = self.cache.clone() else { return Ok(None) };
        let engine = self.engine.clone();
        off_the_path(move || {
            let Some(compiled) = cache.load(&digest) else { return Ok(None) };
            match map(&engine, &compiled) {
                Ok(component) => Ok(Some(component)),
                Err(error) => match pool_refusal(&error) {
                    Some(reason) => Err(Error::Refused(reason)),
                    None => {
                        cache.discard(&digest, &not_compiled(&error).to_string());
                        Ok(None)
                    }
                },
            }
        })
        .await
    }
}

/// Why code that was just compiled cannot be mapped: the pool can never hold an instance of it, or the host is at
/// fault.
fn not_mapped(error: &wasmtime::Error) -> Error {
    pool_refusal(error).map_or_else(|| Error::host(error), Error::Refused)
}

/// Maps machine code into this process.
#[expect(unsafe_code, reason = "whatever the bytes say will be run: they come from our own child or carry our seal")]
fn map(engine: &Engine, compiled: &Compiled) -> wasmtime::Result<Component> {
    // SAFETY: a `Compiled` is made of the output of our own compiler, or of a file with the seal of this server's key over name and code.
    // The engine itself checks that it was made for this engine.
    unsafe { Component::deserialize(engine.wasmtime(), compiled.bytes()) }
}

/// Runs what takes the disk or the processor where it keeps nobody waiting.
async fn off_the_path<R: Send + 'static>(work: impl FnOnce() -> Result<R, Error> + Send + 'static) -> Result<R, Error> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::host(&wasmtime::Error::new(error))))
}
