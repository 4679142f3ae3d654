//! Turns the bytes of a file into a plugin that can be published: checks it, compiles it in a child process or finds it
//! in the cache, links it, and tries it.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use wasmtime::component::Component;

use crate::engine::Engine;
use crate::error::Error;
use crate::event::{LogEvent, emit};
use crate::limits::budget::Charge;
use crate::plugin::compile::cache::Cache;
use crate::plugin::compile::requirements::{InstanceLimits, check_component};
use crate::plugin::compile::slots::CompileSlots;
use crate::plugin::compile::{Code, Compiled, Compiler};
use crate::plugin::refusal::pool_refusal;
use crate::plugin::{Contents, Format, Plugin, check_bytes, not_compiled};
use crate::tenant::Tenant;

/// Makes plugins of files.
pub struct Loader {
    engine: Engine,
    compiler: Compiler,
    cache: Option<Arc<Cache>>,
    /// The tenant of trials. It should grant nothing.
    trial: Arc<Tenant>,
}

/// The bytes of a file.
pub struct Source {
    wasm: Vec<u8>,
    digest: [u8; 32],
    /// For the bytes, if they are a tenant's.
    _charge: Option<Charge>,
}

/// The owner and the limits of a load.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'t> {
    /// The largest file, in bytes.
    pub component: usize,
    /// How it is compiled.
    pub slots: &'t CompileSlots,
    /// The owner of the file, who is charged for the compile time. Empty: the operator.
    pub tenant: &'t str,
}

impl Source {
    /// Computes the digest, which takes a moment.
    #[must_use]
    pub fn new(wasm: Vec<u8>) -> Self {
        Self { digest: Sha256::digest(&wasm).into(), wasm, _charge: None }
    }

    /// The same with the digest of the bytes, which is known, and with what is charged for them.
    pub(crate) fn charged(wasm: Vec<u8>, digest: [u8; 32], charge: Charge) -> Self {
        Self { wasm, digest, _charge: Some(charge) }
    }

    /// SHA-256 of the bytes.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Their format, if they are a plugin.
    #[must_use]
    pub fn format(&self) -> Format {
        Format::of(&self.wasm)
    }

    /// Their number.
    #[must_use]
    pub fn size(&self) -> usize {
        self.wasm.len()
    }
}

/// Why a plugin is not served by a process that only reads compiled code: otherwise each stranger who connects could
/// start a compiler.
const NOT_COMPILED: &str = "it was not compiled yet, and this process only reads what a server has compiled: run `whelk serve` \
                            once";

impl Loader {
    /// A loader for this engine. Without a cache everything is compiled, with one that is only read nothing.
    #[must_use]
    pub fn new(engine: Engine, compiler: Compiler, cache: Option<Cache>, trial: Arc<Tenant>) -> Self {
        Self { engine, compiler, cache: cache.map(Arc::new), trial }
    }

    /// A loader with the same engine and cache, and with another compiler and tenant of trials.
    #[must_use]
    pub fn with(&self, compiler: Compiler, trial: Arc<Tenant>) -> Self {
        Self { engine: self.engine.clone(), compiler, cache: self.cache.clone(), trial }
    }

    /// A loader with the same engine and compiler that keeps no code on the disk; `None` if this one only reads what
    /// is there.
    #[must_use]
    pub fn uncached(&self) -> Option<Self> {
        if self.cache.as_ref().is_some_and(|cache| cache.is_read_only()) {
            return None;
        }
        let (engine, compiler, trial) = (self.engine.clone(), self.compiler.clone(), Arc::clone(&self.trial));
        Some(Self { engine, compiler, cache: None, trial })
    }

    /// Loads a plugin. Takes as long as compiling, in another process; dropping the future ends that.
    ///
    /// # Errors
    /// [`Error::Refused`] when the file is not a plugin, with the reason in one line; [`Error::Unfinished`] or
    /// [`Error::Killed`] when there was no verdict this time; [`Error::Host`] when the file is not at fault.
    pub async fn load(&self, name: &str, source: &Source, terms: Terms<'_>) -> Result<Arc<Plugin>, Error> {
        let component = self.component(source, terms).await?;
        check_component(self.engine.wasmtime(), &component, self.limits())?;
        let plugin = Plugin::assemble(&self.engine, name, source.digest, &component)?;
        match plugin.smoke(&self.trial).await {
            // A full server must not prevent the repair of a plugin; then its first sessions are the trial.
            Ok(()) | Err(Error::Full { .. }) => Ok(plugin),
            Err(error) => Err(error),
        }
    }

    /// Describes a file, whether it is a plugin or not.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is not a component.
    pub async fn inspect(&self, source: &Source, terms: Terms<'_>) -> Result<Contents, Error> {
        let component = self.component(source, terms).await?;
        Ok(Contents::read(&self.engine, &component))
    }

    /// The resources of one instance.
    fn limits(&self) -> InstanceLimits {
        InstanceLimits::of(self.trial.limits())
    }

    /// The compiled code of a file, from the cache or compiled now.
    async fn component(&self, source: &Source, terms: Terms<'_>) -> Result<Component, Error> {
        check_bytes(&source.wasm, terms.component)?;
        let digest = source.digest;
        if let Some(component) = self.cached(digest).await? {
            return Ok(component);
        }
        if self.cache.as_ref().is_some_and(|cache| cache.is_read_only()) {
            return Err(Error::Unfinished(NOT_COMPILED.to_owned()));
        }
        let compile = || self.compiler.compile(&source.wasm, self.limits());
        let compiled = terms.slots.run(terms.tenant, source.size(), compile).await?;
        let (engine, cache) = (self.engine.clone(), self.cache.clone());
        off_the_path(move || {
            let unloaded = cache.as_ref().and_then(|cache| cache.unloaded(&compiled));
            let mapped = map(&engine, unloaded.as_ref().unwrap_or(&compiled));
            // A refusal for the pool's size is cached, too: the file is refused again without compiling, until a limit
            // is raised.
            let is_kept = mapped.as_ref().err().is_none_or(|error| pool_refusal(error).is_some());
            if let (true, Some(cache)) = (is_kept, cache)
                && let Err(error) = cache.keep(&digest, &compiled)
            {
                emit(LogEvent::PluginCodeNotKept { error: &error });
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

/// Why code that was just compiled cannot be mapped: an instance never fits into the pool, or the host is at fault.
fn not_mapped(error: &wasmtime::Error) -> Error {
    pool_refusal(error).map_or_else(|| Error::host(error), Error::Refused)
}

/// Maps machine code into this process.
#[expect(unsafe_code, reason = "whatever the bytes say will be run: they come from our own child or carry our seal")]
fn map(engine: &Engine, compiled: &Compiled) -> wasmtime::Result<Component> {
    let engine = engine.wasmtime();
    // SAFETY: a `Compiled` comes from our own compiler, or from a file with the seal of this server's key over name and
    // code. If it is in a file of its own, nothing changes that file any more, which has no name. The engine itself
    // checks that it was made for this engine.
    match compiled.code() {
        Code::Memory(code) => unsafe { Component::deserialize(engine, code) },
        Code::File(file) => {
            let mapped = unsafe { Component::deserialize_file(engine, file.path()) };
            // Where files cannot be executed, or there is no /proc. Another error comes again.
            mapped.or_else(|_| unsafe { Component::deserialize(engine, file.read()?) })
        }
    }
}

/// Runs blocking work on a thread where it delays nobody.
async fn off_the_path<R: Send + 'static>(work: impl FnOnce() -> Result<R, Error> + Send + 'static) -> Result<R, Error> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::host(&wasmtime::Error::new(error))))
}

#[cfg(test)]
mod tests;
