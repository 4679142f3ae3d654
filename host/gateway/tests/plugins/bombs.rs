//! Files that keep a compiler busy. W34.

use std::fmt::Write;

/// A component that looks like a plugin around this core module.
pub(crate) fn around(module: &str) -> Vec<u8> {
    let names = "open env pty-req shell exec subsystem window-change signal data extended-data eof close closed";
    let exports: String = names.split(' ').map(|name| format!("(export \"{name}\" (func $f))")).collect();
    let text = format!(
        r#"(component
            (core module $m {module} (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $session {exports})
            (export "whelk:ssh/session@0.1.0" (instance $session)))"#
    );
    wat::parse_str(text).unwrap()
}

/// A program that begins with this many pages of memory.
pub(crate) fn program(pages: usize) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $m (memory {pages}) (func (export "run") (result i32) i32.const 0))
            (core instance $c (instantiate $m))
            (func $run (result (result)) (canon lift (core func $c "run")))
            (instance $i (export "run" (func $run)))
            (export "wasi:cli/run@0.2.6" (instance $i)))"#
    );
    wat::parse_str(text).unwrap()
}

/// Very many functions.
pub(crate) fn many_functions(count: usize) -> Vec<u8> {
    around(&"(func (param i64) (result i64) local.get 0 i64.const 3 i64.mul i64.clz)".repeat(count))
}

/// One function with so many live values and join points that register allocation is slow.
pub(crate) fn one_large_function(blocks: usize) -> Vec<u8> {
    one_large_function_beside(blocks, "")
}

/// The same with another section behind it in the module.
pub(crate) fn one_large_function_beside(blocks: usize, others: &str) -> Vec<u8> {
    let mut body = String::new();
    for local in 0..60 {
        // Writing to a String cannot fail.
        let _ = write!(body, "(local $l{local} i64)");
    }
    for block in 0..blocks {
        let (a, b, c) = (block % 60, (block * 7 + 1) % 60, (block * 13 + 5) % 60);
        let _ = write!(
            body,
            "(block $b{block} (br_if $b{block} (i64.eqz (local.get $l{a})))
                (local.set $l{b} (i64.rotl (i64.mul (local.get $l{a}) (local.get $l{c})) (local.get $l{b}))))"
        );
    }
    around(&format!("(func {body}) {others}"))
}

/// Deeply nested types.
pub(crate) fn nested_types(depth: usize) -> Vec<u8> {
    let mut text = "(component (type $t0 (list u8))".to_owned();
    for level in 1..=depth {
        let _ = write!(text, "(type $t{level} (tuple $t{0} $t{0}))", level - 1);
    }
    wat::parse_str(text + ")").unwrap()
}

/// Deeply nested components.
pub(crate) fn nested_components(depth: usize) -> Vec<u8> {
    let mut wasm = HEAD.to_vec();
    for _ in 0..depth {
        // A component section around the previous bytes.
        let mut outer = HEAD.to_vec();
        outer.push(4);
        let mut length = wasm.len();
        while length > 127 {
            outer.push(length as u8 & 127 | 128);
            length >>= 7;
        }
        outer.push(length as u8);
        outer.extend(wasm);
        wasm = outer;
    }
    wasm
}

/// The header of a component.
const HEAD: &[u8] = b"\0asm\x0d\0\x01\0";
