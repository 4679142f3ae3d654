//! Makes a component of a core module, in the compiling child.
//!
//! The adapter of wasmtime's authors serves WASI 0.1 by WASI 0.2, so a program of any toolchain has the imports of a
//! component, and its files, streams and sockets are those that the host gives everybody. One function is not the
//! adapter's: it knows only success and failure, and would make 1 of every status. `proc_exit` becomes the import
//! `exit-with-code` of `wasi:cli/exit` itself, whose form is the same: one number, and no return.

use std::borrow::Cow;
use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use wasi_preview1_component_adapter_provider as adapters;
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{CustomSection, ImportSection, Module, RawSection};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, metadata};
use wit_parser::Resolve;

use crate::plugin::check_valid;
use crate::plugin::kind::{CoreModule, Format, PREVIEW1};
use crate::supervise::catch;

/// The function of WASI 0.1 that ends a program, and where it leads.
const PROC_EXIT: &str = "proc_exit";
const EXIT: (&str, &str) = ("wasi:cli/exit@0.2.12", "exit-with-code");
/// The world of that import. The interface is whole: it is merged with what the module says of it.
const EXIT_WORLD: &str = "
    package whelk:exit;
    world exit { import wasi:cli/exit@0.2.12; }
    package wasi:cli@0.2.12 {
        interface exit {
            exit: func(status: result);
            exit-with-code: func(status-code: u8);
        }
    }
";
/// The beginning of a refusal.
const FAILED: &str = "no component can be made of it";
/// Changes whenever this file makes another component of the same module.
const VERSION: &[u8] = b"whelk preview1 1";

/// What the component that is made of a module depends on beside the module.
pub(super) fn fingerprint() -> [u8; 32] {
    let adapters = [adapters::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER, adapters::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER];
    let adapters = adapters.iter().fold(Sha256::new(), |digest, adapter| digest.chain_update(Sha256::digest(adapter)));
    // wit-component writes its version into the world that it encodes.
    let encoder = exit_world().unwrap_or_else(|error| error.into_bytes());
    adapters.chain_update(Sha256::digest(encoder)).chain_update(VERSION).finalize().into()
}

/// The component that a file is or becomes. The file has passed [`check_bytes`](crate::plugin::check_bytes).
///
/// # Errors
/// What a core module imports that nothing provides, or what does not fit its WIT world.
pub(crate) fn convert(wasm: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    match Format::of(wasm) {
        Format::Component => Ok(Cow::Borrowed(wasm)),
        Format::CoreModule => {
            check_valid(wasm).map_err(|error| error.to_string())?;
            // It parses what a stranger wrote: its panic is a fault of the file.
            let made = catch(|| component_of(wasm)).map_err(|panic| format!("{FAILED}: {panic}"))?;
            made.map(Cow::Owned)
        }
    }
}

fn component_of(module: &[u8]) -> Result<Vec<u8>, String> {
    let adapter = if CoreModule::read(module).is_command() {
        adapters::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER
    } else {
        adapters::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER
    };
    check_functions(module, adapter)?;
    let failed = |error: &dyn std::fmt::Display| format!("{FAILED}: {error:#}");
    let module = keep_status(module).map_err(|error| failed(&error))?;
    let mut encoder = ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.adapter(PREVIEW1, adapter))
        .map_err(|error| failed(&error))?;
    encoder.encode().map_err(|error| failed(&error))
}

/// Checks that it imports nothing of WASI 0.1 that the adapter does not have.
fn check_functions(module: &[u8], adapter: &[u8]) -> Result<(), String> {
    let mut provided = BTreeSet::new();
    for payload in Parser::new(0).parse_all(adapter).filter_map(Result::ok) {
        if let Payload::ExportSection(exports) = payload {
            provided.extend(exports.into_iter().filter_map(Result::ok).map(|export| export.name));
        }
    }
    for payload in Parser::new(0).parse_all(module).filter_map(Result::ok) {
        let Payload::ImportSection(imports) = payload else { continue };
        let mut imports = imports.into_imports().filter_map(Result::ok).filter(|import| import.module == PREVIEW1);
        if let Some(import) = imports.find(|import| !provided.contains(import.name)) {
            return Err(format!(
                "it imports {PREVIEW1}.{}, which WASI 0.1 does not have: build it with a standard toolchain",
                import.name
            ));
        }
    }
    Ok(())
}

/// The module with its import of `proc_exit`, if it has one, turned into one of `exit-with-code`.
fn keep_status(wasm: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let unreadable = |error: &dyn std::fmt::Display| error.to_string();
    let mut module = Module::new();
    let mut ends_itself = false;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(|error| unreadable(&error))?;
        if let Payload::ImportSection(section) = payload {
            let mut imports = ImportSection::new();
            for import in section.into_imports() {
                let mut import = import.map_err(|error| unreadable(&error))?;
                if (import.module, import.name) == (PREVIEW1, PROC_EXIT) {
                    (import.module, import.name) = EXIT;
                    ends_itself = true;
                }
                let ty = RoundtripReencoder.entity_type(import.ty).map_err(|error| unreadable(&error))?;
                imports.import(import.module, import.name, ty);
            }
            module.section(&imports);
        } else if let Some((id, range)) = payload.as_section() {
            module.section(&RawSection { id, data: &wasm[range] });
        }
    }
    if !ends_itself {
        return Ok(Cow::Borrowed(wasm));
    }
    let world = exit_world().map_err(|error| error.to_string())?;
    module.section(&CustomSection { name: "component-type:whelk-exit".into(), data: Cow::Borrowed(&world) });
    Ok(Cow::Owned(module.finish()))
}

/// [`EXIT_WORLD`] in the form in which a module carries it.
fn exit_world() -> Result<Vec<u8>, String> {
    let mut resolve = Resolve::default();
    let encoded = resolve
        .push_source("exit.wit", EXIT_WORLD)
        .and_then(|package| resolve.select_world(&[package], Some("exit")))
        .and_then(|world| metadata::encode(&resolve, world, StringEncoding::UTF8, None));
    encoded.map_err(|error| format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use wasmtime::Engine;
    use wasmtime::component::Component;

    use super::*;

    /// The imports and exports of the component that a module becomes.
    fn interfaces(text: &str) -> Result<(Vec<String>, Vec<String>), String> {
        let module = wat::parse_str(text).unwrap();
        let component = convert(&module)?;
        let engine = Engine::default();
        let component = Component::new(&engine, &component).map_err(|error| format!("{error:#}"))?;
        let ty = component.component_type();
        let imports = ty.imports(&engine).map(|(name, _)| name.to_owned()).collect();
        Ok((imports, ty.exports(&engine).map(|(name, _)| name.to_owned()).collect()))
    }

    fn function(name: &str, parameters: &str) -> String {
        format!("(import \"{PREVIEW1}\" \"{name}\" (func (param {parameters})))")
    }

    const START: &str = "(memory (export \"memory\") 1) (func (export \"_start\"))";

    /// Otherwise components of another version would be served from the cache.
    #[test]
    fn the_version_of_the_encoder_is_part_of_the_fingerprint() {
        let world = exit_world().unwrap();
        // The name with its length before it, the length of the version, and the version.
        let is_version = |bytes: &&[u8]| bytes[..14] == *b"\x0dwit-component" && bytes[15].is_ascii_digit();
        assert_eq!(world.windows(16).filter(is_version).count(), 1, "{world:?}");
    }

    #[test]
    fn a_command_becomes_a_program_whose_status_is_kept() {
        for imports in [function("proc_exit", "i32"), function("proc_exit", "i32").repeat(2), String::new()] {
            let (names, exports) = interfaces(&format!("(module {imports} {START})")).unwrap();
            let [run] = exports.as_slice() else { panic!("{exports:?}") };
            assert!(run.starts_with("wasi:cli/run@0.2."), "{run}");
            let exit = names.iter().filter(|name| name.starts_with("wasi:cli/exit@")).collect::<Vec<_>>();
            assert_eq!(exit, if imports.is_empty() { vec![] } else { vec![EXIT.0] }, "{names:?}");
        }
    }

    #[test]
    fn what_nothing_provides_is_named() {
        let reason = interfaces(&format!("(module {} {START})", function("sock_open", "i32"))).unwrap_err();
        assert!(reason.starts_with("it imports wasi_snapshot_preview1.sock_open, which WASI 0.1 does not"), "{reason}");
        let reason = interfaces(&format!("(module {} {START})", function("proc_exit", "i64"))).unwrap_err();
        assert!(reason.starts_with(FAILED) && reason.contains("exit-with-code"), "{reason}");
        let reason = interfaces("(module (@custom \"component-type\" \"nonsense\"))").unwrap_err();
        assert!(reason.starts_with(FAILED), "{reason}");
    }

    #[test]
    fn a_component_stays_as_it_is_and_a_module_with_a_fault_is_told_as_a_component_is() {
        let component = wat::parse_str("(component)").unwrap();
        assert_eq!(convert(&component).unwrap(), component);
        let module = wat::parse_str(format!("(module {START})")).unwrap();
        let reason = convert(&module[..module.len() - 1]).unwrap_err();
        assert!(reason.contains("cut off"), "{reason}");
        let reason = interfaces(&format!("(module (memory 1 1 shared) {START})")).unwrap_err();
        assert!(reason.contains("without `-pthread`"), "{reason}");
    }
}
