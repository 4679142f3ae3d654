//! Files that are not plugins, and the reasons that their authors get. W35, W36, W37.

use std::fs;

use whelk_runtime::{Exit, Limits, Plugin};

use crate::client::Client;
use crate::guests;

/// The reason for the refusal.
fn reason(wasm: &[u8]) -> String {
    Plugin::load(guests::engine(), "test", wasm).err().map(|error| error.to_string()).unwrap_or_default()
}

fn component(text: &str) -> String {
    reason(&wat::parse_str(text).unwrap())
}

#[test]
fn files_of_other_kinds_are_refused_by_kind() {
    assert_eq!(reason(b""), "the file is empty");
    assert_eq!(reason(b"\0asm"), "the file is cut off after its first bytes");
    assert!(reason(b"(component)").contains("WebAssembly as text"));
    assert!(reason(b"#!/bin/sh\n").contains("this is text"));
    assert!(reason(&[0xff, 0xd8, 0xff]).contains("not WebAssembly"));
    assert!(reason(&fs::read("/proc/self/exe").unwrap()).contains("(ELF)"));
    assert!(reason(&wat::parse_str("(module)").unwrap()).contains("core module"));
}

#[test]
fn precompiled_code_is_never_loaded() {
    let engine = wasmtime::Engine::default();
    let compiled = engine.precompile_component(&guests::wasm("bare")).unwrap();
    assert!(reason(&compiled).contains(".cwasm"));
}

#[test]
fn a_truncated_file_is_refused() {
    // W38: a half-written file.
    let whole = guests::wasm("bare");
    for part in [9, 100, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        let reason = reason(&whole[..part]);
        assert!(!reason.is_empty(), "{part} bytes were taken for a plugin");
    }
    let mut damaged = whole;
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    assert!(!reason(&damaged).is_empty());
}

#[test]
fn missing_exports_are_listed_beside_existing_ones() {
    assert!(
        component("(component)")
            .contains("it exports nothing; a plugin exports whelk:ssh/session@0.1.0, a program wasi:cli/run@0.2")
    );
    let other =
        r#"(component (component $inner) (instance $i (instantiate $inner)) (export "a:b/c@1.0.0" (instance $i)))"#;
    let reason = component(other);
    assert!(
        reason.contains("it exports a:b/c@1.0.0, but neither whelk:ssh/session@0.1.0 nor wasi:cli/run@0.2"),
        "{reason}"
    );
}

#[test]
fn each_function_of_the_session_that_does_not_fit_is_named() {
    // W36
    let misshapen = r#"(component
        (core module $m (func (export "f")) (func (export "g") (result i32) i32.const 0))
        (core instance $c (instantiate $m))
        (func $nothing (canon lift (core func $c "f")))
        (func $bool (result bool) (canon lift (core func $c "g")))
        (instance $i (export "open" (func $nothing)) (export "shell" (func $bool)) (export "eof" (func $nothing)))
        (export "whelk:ssh/session@0.1.0" (instance $i)))"#;
    let reason = component(misshapen);
    assert!(reason.contains("does not fit version 0.1.0: open: "), "{reason}");
    for missing in
        ["env", "pty-req", "exec", "subsystem", "window-change", "signal", "data", "extended-data", "close", "closed"]
    {
        assert!(reason.contains(&format!("{missing} is missing")), "{missing}: {reason}");
    }
    assert!(!reason.contains("shell") && !reason.contains("eof"), "{reason}");
    let later = r#"(component (component $inner) (instance $i (instantiate $inner)) (export "whelk:ssh/session@0.2.0" (instance $i)))"#;
    assert!(component(later).contains("it exports whelk:ssh/session@0.2.0, of which version 0.1.0 is understood"));
}

#[test]
fn other_kinds_of_component_are_refused_by_kind() {
    let export = |name: &str| {
        format!(r#"(component (component $inner) (instance $i (instantiate $inner)) (export "{name}" (instance $i)))"#)
    };
    let empty = component(&export("wasi:cli/run@0.2.3"));
    assert!(empty.contains("its wasi:cli/run does not fit version 0.2: "), "{empty}");
    let later = component(&export("wasi:cli/run@0.3.0"));
    assert!(later.contains("it exports wasi:cli/run@0.3.0: WASI 0.3 needs component-model async"), "{later}");
    let empty = component(&export("whelk:ssh/connection-handler@0.1.0"));
    assert!(empty.contains("whelk:ssh/connection-handler does not fit version 0.1.0"), "{empty}");
    let control = r#"(component (component $inner) (instance $i (instantiate $inner))
        (import "whelk:ssh/connection-control@0.1.0" (instance)) (export "whelk:ssh/session@0.1.0" (instance $i)))"#;
    let reason = component(control);
    assert!(reason.contains("which only a plugin that exports whelk:ssh/connection-handler may use"), "{reason}");
    let empty = component(&export("whelk:ssh/authenticator@0.1.0"));
    assert!(empty.contains("whelk:ssh/authenticator does not fit version 0.1.0"), "{empty}");
    let later = component(&export("whelk:ssh/authenticator@0.2.0"));
    assert!(later.contains("of which version 0.1.0 is understood"), "{later}");
}

/// What WASI-SDK 28 and others produce: the requested exports, and `wasi:cli/run` besides.
#[tokio::test]
async fn a_component_that_exports_more_than_a_session_is_served_by_its_session() {
    let others = ["wasi:cli/run@0.2.6", "whelk:ssh/authenticator@0.1.0", "acme:a/b@1.0.0"];
    let wasm = guests::exporting_besides(guests::wasm("script"), &others);
    let plugin = Plugin::load(guests::engine(), "more", &wasm).unwrap();
    let (recorder, report) = Client::with(&plugin, &[], &Limits::default()).then("write served;finish 0").await;
    assert_eq!((recorder.text().as_str(), recorder.exit()), ("served", Some(Exit::Status(0))), "{report:?}");
}

#[test]
fn imports_that_nobody_provides_are_each_named() {
    // W36
    let imports = [
        "acme:tools/hammer@2.0.0",
        "wasi:http/incoming-handler@0.2.0",
        "whelk:ssh/channel@0.2.0",
        "wasi:cli/stdin@0.3.0",
    ];
    let imports = imports.map(|name| format!(r#"(import "{name}" (instance))"#)).concat();
    let reason = component(&format!("(component {imports})"));
    for part in [
        "it exports nothing",
        "imports acme:tools/hammer@2.0.0, which Whelk does not provide",
        "imports wasi:http/incoming-handler@0.2.0, which Whelk does not provide",
        "imports whelk:ssh/channel@0.2.0, which is provided in version 0.1.0",
        "imports wasi:cli/stdin@0.3.0: WASI 0.3 needs component-model async, which Whelk does not run yet; build without it",
    ] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
}

#[test]
fn component_model_async_is_refused_with_a_reason() {
    let text = r#"(component (core func $f (canon task.cancel)))"#;
    let reason = component(text);
    assert!(
        reason.contains("it needs component-model async, which Whelk does not run yet; build without it: jco with"),
        "{reason}"
    );
}

#[test]
fn more_memory_than_a_plugin_may_have_is_refused_before_it_is_mapped() {
    // W6
    let text = r#"(component (core module $m (memory 65536)) (core instance (instantiate $m)))"#;
    let reason = component(text);
    assert!(reason.contains("more memory to begin with than limits.memory or limits.memory_program allow"), "{reason}");
}

#[test]
fn a_component_bomb_is_refused() {
    // W7, W8, W34
    let many =
        format!("(component (core module $m (table 1 funcref)) {})", "(core instance (instantiate $m))".repeat(40));
    assert!(component(&many).contains("tables"), "{}", component(&many));
    let instances = format!("(component (core module $m) {})", "(core instance (instantiate $m))".repeat(70));
    assert!(component(&instances).contains("instances"), "{}", component(&instances));
    let table = "(component (core module $m (table 30000 funcref)) (core instance (instantiate $m)))";
    assert!(component(table).contains("table"), "{}", component(table));
    let memories = format!("(component (core module $m (memory 1)) {})", "(core instance (instantiate $m))".repeat(4));
    assert!(component(&memories).contains("memories"), "{}", component(&memories));
    let mut large = b"\0asm\x0d\0\x01\0".to_vec();
    large.resize((64 << 20) + 1, 0);
    assert!(reason(&large).contains("more than the 67108864 bytes that are allowed"));
}

#[test]
fn one_core_module_may_have_as_many_tables_and_memories_as_several() {
    // W7
    let with = |tables: usize, memories: usize| {
        let body = format!("{}{}", "(table 1 funcref)".repeat(tables), "(memory 1)".repeat(memories));
        component(&format!("(component (core module $m {body}) (core instance (instantiate $m)))"))
    };
    // Nothing else is wrong with it.
    assert_eq!(with(8, 3), "it exports nothing; a plugin exports whelk:ssh/session@0.1.0, a program wasi:cli/run@0.2");
    assert!(with(9, 3).contains("tables count of 9"), "{}", with(9, 3));
    assert!(with(8, 4).contains("memories count of 4"), "{}", with(8, 4));
}

#[test]
fn unused_proposals_are_disabled() {
    // W49
    for text in [
        "(component (core module (memory i64 1)))",
        "(component (core module (memory 1 1 shared)))",
        "(component (core module (type (struct))))",
        "(component (core module (tag)))",
    ] {
        let reason = component(text);
        assert!(reason.contains("which plugins"), "{text}: {reason}");
    }
}
