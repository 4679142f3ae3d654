//! Code that is mapped from a file.

use std::fs;

use super::map;
use crate::engine::{Engine, EngineSettings};
use crate::limits::Limits;
use crate::plugin::compile::Compiled;
use crate::plugin::compile::code_file::CodeFile;

/// The lines of /proc/self/maps that name a deleted file in this folder.
fn mappings(folder: &std::path::Path) -> Vec<String> {
    let (maps, folder) = (fs::read_to_string("/proc/self/maps").unwrap(), folder.display().to_string());
    let is_ours = |line: &&str| line.contains(&folder) && line.ends_with("(deleted)");
    maps.lines().filter(is_ours).map(str::to_owned).collect()
}

#[test]
fn code_is_run_from_a_file_without_a_name_for_as_long_as_the_plugin_is_there() {
    let settings = EngineSettings::of(&Limits { instances: 1, memory_slot: 1 << 20, ..Limits::default() });
    let engine = Engine::new(&settings).unwrap();
    let wasm = r#"(component (core module (func (export "f") (result i32) (i32.const 7))))"#;
    let code = engine.wasmtime().precompile_component(&wat::parse_str(wasm).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let len = code.len().try_into().unwrap();
    let file = CodeFile::create(folder.path(), len, |file| file.write_all(&code)).unwrap();
    let component = map(&engine, &Compiled::in_file(file)).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let mapped = mappings(folder.path());
    assert!(mapped.iter().any(|line| line.contains(" r-xp ")), "{mapped:?}");
    assert!(mapped.iter().all(|line| !line.contains(" rw")), "{mapped:?}");
    drop(component);
    assert_eq!(mappings(folder.path()), [""; 0]);
}
