//! Why a file is not a plugin, in words that help whoever built it. Each reason says what was found and what would be
//! right.

use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre};

use super::interfaces::{AUTHENTICATOR, CONNECTION_HANDLER, RUN, SESSION};
use crate::error::Error;
use crate::grants::Grant;
use crate::host::State;

/// What the compiler's complaint means, of a file that [`validity::check`](super::validity::check) found nothing wrong
/// with.
pub(crate) fn not_compiled(error: &wasmtime::Error) -> Error {
    Error::Refused(pool_refusal(error).unwrap_or_else(|| format!("it cannot be compiled: {}", chain(error))))
}

/// Fragments of wasmtime's errors for a component that does not fit into the pool, and the limits that they mean.
const POOL: [(&str, &str); 9] = [
    (
        "memory has a minimum byte size",
        "it needs more memory to begin with than limits.memory or limits.memory_program allow (at most limits.memory_slot)",
    ),
    (
        "memory minimum size",
        "it needs more memory to begin with than limits.memory or limits.memory_program allow (at most limits.memory_slot)",
    ),
    ("defined memories count", "it needs more memories than limits.memories allows"),
    ("Wasm linear memories, which exceeds", "it needs more memories than limits.memories allows"),
    ("defined tables count", "it needs more tables than limits.tables allows"),
    ("tables, which exceeds", "it needs more tables than limits.tables allows"),
    ("minimum element size", "it needs a larger table than limits.table_elements allows"),
    ("core module instances, which exceeds", "it is made of more core modules than limits.core_instances allows"),
    (
        "instance allocation for this",
        "it has too many functions, imports or globals for one instance: build it smaller, or split it",
    ),
];

/// Why a component never fits into the pool, whatever else runs; `None` for other errors.
pub(crate) fn pool_refusal(error: &wasmtime::Error) -> Option<String> {
    let whole = format!("{error:#}").replace('\n', " ");
    let words = POOL.iter().find(|(sign, _)| whole.contains(sign)).map(|(_, words)| *words);
    let words = words.or(whole.contains("pooling allocator").then_some("it needs more than an instance may have"));
    words.map(|words| format!("{words}: {whole}"))
}

/// The names of everything that it imports.
pub(super) fn imports(engine: &Engine, component: &Component) -> Vec<String> {
    component.component_type().imports(engine).map(|(name, _)| name.to_owned()).collect()
}

/// What a tenant would have to grant, and for which of the imports.
pub(super) fn not_granted(missing: &[Grant], imports: &[String], tenant: &str) -> Error {
    let reasons = missing.iter().map(|grant| {
        let causes = imports.iter().filter(|import| Grant::of_import(import) == Some(*grant));
        let causes: Vec<&str> = causes.map(|import| import.split('@').next().unwrap_or(import)).collect();
        let line = grant.line(tenant);
        format!("imports {}, which tenant {tenant:?} is not granted: {line}", causes.join(", "))
    });
    Error::Refused(reasons.collect::<Vec<_>>().join("; "))
}

/// What the linker's complaint means: an import of a kind or version that is not here.
pub(super) fn not_linked(error: &wasmtime::Error) -> Error {
    Error::Refused(format!("its imports do not fit: {}", chain(error)))
}

/// The session interface is exported, but not all of it or not as it should be.
pub(super) fn not_a_session(error: &wasmtime::Error) -> Error {
    Error::Refused(format!("its {SESSION} does not fit version 0.1.0: {}", chain(error)))
}

/// The authenticator interface is exported, but not as it should be.
pub(super) fn not_an_authenticator(error: &wasmtime::Error) -> Error {
    Error::Refused(format!("its {AUTHENTICATOR} does not fit version 0.1.0: {}", chain(error)))
}

/// The connection handler is exported, but not as it should be.
pub(super) fn not_a_connection_plugin(error: &wasmtime::Error) -> Error {
    Error::Refused(format!("its {CONNECTION_HANDLER} does not fit version 0.1.0: {}", chain(error)))
}

/// `wasi:cli/run` is exported, but not as it should be.
pub(super) fn not_a_program(error: &wasmtime::Error) -> Error {
    Error::Refused(format!("its {RUN} does not fit version 0.2: {}", chain(error)))
}

/// Looks an optional interface up: absent is fine, present and wrong is not.
pub(super) fn optional<I>(
    pre: &InstancePre<State>,
    name: &str,
    find: impl FnOnce(&InstancePre<State>) -> wasmtime::Result<I>,
) -> Result<Option<I>, Error> {
    let exported = pre.component().get_export_index(None, format!("whelk:ssh/{name}@0.1.0")).is_some();
    if !exported {
        return Ok(None);
    }
    let wrong = |error| Error::Refused(format!("its whelk:ssh/{name} does not fit version 0.1.0: {}", chain(&error)));
    find(pre).map(Some).map_err(wrong)
}

/// An error and its causes in one line.
fn chain(error: &wasmtime::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ungranted_import_is_named_with_the_line_that_would_grant_it() {
        let imports = [
            "wasi:keyvalue/store@0.2.0-draft",
            "wasi:keyvalue/atomics@0.2.0-draft",
            "wasi:http/types@0.2.12",
            "whelk:ssh/topics@0.1.0",
        ]
        .map(str::to_owned);
        let words = not_granted(&[Grant::Topics, Grant::KeyValue], &imports, "acme").to_string();
        let topics =
            "imports whelk:ssh/topics, which tenant \"acme\" is not granted: [tenants.acme.grants] topics = true";
        let keyvalue = "imports wasi:keyvalue/store, wasi:keyvalue/atomics, which tenant \"acme\" is not granted: \
                        [tenants.acme.grants] keyvalue = { bytes = \"16 MiB\", keys = 10000 }";
        assert_eq!(words, format!("{topics}; {keyvalue}"));
    }
}
