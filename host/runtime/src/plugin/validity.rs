//! Checks that a component is complete and uses only features that the engine enables, and otherwise tells its author
//! what to do.
//!
//! Validating a whole file takes a twentieth of the time of compiling it, so it is done first: a file that is damaged
//! near its end needs no compiler. If it fails, the file is validated again with every feature that the validator
//! knows: a file that passes then is valid, and the missing feature is named. The validator's own message names a
//! proposal of the standard at best, and misleads at worst: of a table of `externref` it says that "gc types are
//! disallowed".

use wasmparser::{BinaryReader, Validator, WasmFeatures};

use crate::error::Error;

/// The message about component-model async, wherever it is found.
pub(super) const ASYNC: &str = "needs component-model async, which Whelk does not run yet; build without it: jco with \
     `--backend-qjs-disable-async`, Rust without `async` in wit-bindgen's `generate!`, componentize-py without `async def`, \
     and a world without `async`, `stream` and `future`";

/// A feature that the engine does not enable, or several that belong together.
struct Feature {
    bits: WasmFeatures,
    /// What it is and how to build without it.
    words: &'static str,
}

const fn feature(bits: WasmFeatures, words: &'static str) -> Feature {
    Feature { bits, words }
}

/// wasmtime's defaults.
const WASM: WasmFeatures = WasmFeatures::WASM3.union(WasmFeatures::COMPONENT_MODEL);
const CM_ASYNC: WasmFeatures =
    WasmFeatures::CM_ASYNC.union(WasmFeatures::CM_ASYNC_STACKFUL).union(WasmFeatures::CM_MORE_ASYNC_BUILTINS);

/// Every feature that the engine does not enable. Of several that a file needs, the first here is named.
const FEATURES: [Feature; 22] = [
    feature(CM_ASYNC, ASYNC),
    feature(WasmFeatures::CM_THREADING, "uses threads of the component model, which plugins do not have"),
    feature(
        WasmFeatures::CM_ERROR_CONTEXT,
        "uses `error-context` of the component model, which is not supported; use a `string` in the WIT world",
    ),
    feature(
        WasmFeatures::CM_FIXED_LENGTH_LISTS,
        "uses lists of fixed length, which are not supported; write `list<T>` without a length in the WIT world",
    ),
    feature(
        WasmFeatures::CM_MAP,
        "uses `map` of the component model, which is not supported; use `list<tuple<K, V>>` in the WIT world",
    ),
    feature(WasmFeatures::CM_VALUES, "uses values or a start function of the component model, which are not supported"),
    feature(WasmFeatures::CM_GC, "uses the component model's GC interface, which is not supported"),
    feature(WasmFeatures::CM64, "passes 64-bit pointers to the host, which is not supported; build for wasm32"),
    feature(
        WasmFeatures::SHARED_EVERYTHING_THREADS.union(WasmFeatures::THREADS),
        "uses threads (shared memory or atomic instructions), which plugins do not have; build without `-pthread` and \
         without the target feature `atomics`, for wasm32-wasip2",
    ),
    feature(
        WasmFeatures::GC,
        "needs WebAssembly GC, which plugins do not have: its language's compiler relies on a garbage collector of the \
         host; build with one that brings its own, or in another language",
    ),
    feature(
        WasmFeatures::LEGACY_EXCEPTIONS,
        "uses WebAssembly exceptions (in their old form), which plugins do not have; build without exceptions: C++ with \
         `-fno-exceptions`, Rust with `panic = \"abort\"`",
    ),
    feature(
        WasmFeatures::EXCEPTIONS,
        "uses WebAssembly exceptions, which plugins do not have; build without: C++ with `-fno-exceptions`, C without \
         `setjmp`, Rust with `panic = \"abort\"`",
    ),
    feature(
        WasmFeatures::STACK_SWITCHING,
        "uses stack switching (continuations), which plugins do not have; build without that proposal",
    ),
    feature(
        WasmFeatures::CUSTOM_DESCRIPTORS,
        "uses custom descriptors, which plugins do not have; build without that proposal",
    ),
    feature(
        // GC implies them.
        WasmFeatures::FUNCTION_REFERENCES.union(WasmFeatures::GC),
        "uses typed function references, which plugins do not have; build without that proposal",
    ),
    feature(
        WasmFeatures::GC_TYPES,
        "uses `externref`, references to objects of a host such as a browser, which plugins do not have; build without \
         it: wasm-bindgen without `--reference-types`, or with wit-bindgen",
    ),
    feature(WasmFeatures::MEMORY64, "has a 64-bit memory or table, which plugins cannot have; build for wasm32"),
    feature(
        WasmFeatures::RELAXED_SIMD,
        "uses relaxed SIMD, whose results differ between processors; build without the target feature `relaxed-simd` \
         (plain `simd128` is supported)",
    ),
    feature(
        WasmFeatures::CUSTOM_PAGE_SIZES,
        "has a memory with its own page size, which is not supported; build with pages of 64 KiB",
    ),
    feature(
        WasmFeatures::WIDE_ARITHMETIC,
        "uses wide arithmetic, which is not supported; build without the target feature `wide-arithmetic`",
    ),
    feature(
        WasmFeatures::MEMORY_CONTROL,
        "uses memory control, which plugins do not have; build without that proposal",
    ),
    feature(
        WasmFeatures::COMPACT_IMPORTS,
        "has a compact import section, which is not supported; build without the target feature `compact-imports`",
    ),
];

/// The id of a custom section, in a component and in a core module.
const CUSTOM: u8 = 0;

/// What the sections of a file are.
#[derive(Clone, Copy)]
struct Layer {
    /// The id of the exports' section.
    export: u8,
    /// The last id.
    last: u8,
    name: &'static str,
}

const COMPONENT: Layer = Layer { export: 11, last: 12, name: "component" };
const MODULE: Layer = Layer { export: 7, last: 13, name: "module" };

/// Validates a component, or a core module, with the engine's features.
///
/// # Errors
/// [`Error::Refused`] says what is wrong and what to do.
pub(crate) fn check(wasm: &[u8]) -> Result<(), Error> {
    let bits = FEATURES.iter().fold(WasmFeatures::empty(), |bits, feature| bits | feature.bits);
    let Err(error) = validate(wasm, WASM.difference(bits)) else { return Ok(()) };
    Err(Error::Refused(match validate(wasm, WasmFeatures::all()) {
        Ok(()) => match missing(wasm) {
            Some(feature) => format!("it {}: {error}", feature.words),
            None => format!("it uses a feature of WebAssembly that is not supported: {error}"),
        },
        Err(error) => {
            mangled(wasm).or_else(|| broken(wasm)).unwrap_or_else(|| format!("it is damaged or wrongly built: {error}"))
        }
    }))
}

fn validate(wasm: &[u8], features: WasmFeatures) -> wasmparser::Result<()> {
    Validator::new_with_features(features).validate_all(wasm).map(drop)
}

/// The first feature without which a file is invalid that is valid with all. Binary search, so that a large file is
/// validated a few times only.
fn missing(wasm: &[u8]) -> Option<&'static Feature> {
    let fails = |features: &[Feature]| {
        let bits = features.iter().fold(WasmFeatures::empty(), |bits, feature| bits | feature.bits);
        validate(wasm, WasmFeatures::all().difference(bits)).is_err()
    };
    let mut among: &'static [Feature] = &FEATURES;
    while among.len() > 1 {
        let (first, second) = among.split_at(among.len() / 2);
        among = if fails(first) { first } else { second };
    }
    among.first().filter(|feature| fails(std::slice::from_ref(feature)))
}

/// What is wrong with the sequence of the sections; `None` if they are complete.
fn broken(wasm: &[u8]) -> Option<String> {
    let layer = if wasm.get(6) == Some(&1) { COMPONENT } else { MODULE };
    let mut at = 8;
    let mut exports = false;
    while at < wasm.len() {
        let Some((id, size, end)) = section(wasm, at) else {
            return Some(after_sections(wasm, at, None, (layer, exports)));
        };
        if id > layer.last || end > wasm.len() || (id == CUSTOM && custom_name(wasm, end - size, end).is_none()) {
            return Some(after_sections(
                wasm,
                at,
                (id <= layer.last).then_some((id, end - size, end)),
                (layer, exports),
            ));
        }
        exports |= id == layer.export;
        at = end;
    }
    None
}

/// A section's id, the length of its body and where it ends.
fn section(wasm: &[u8], at: usize) -> Option<(u8, usize, usize)> {
    let mut reader = BinaryReader::new(wasm.get(at + 1..)?, at + 1);
    let size = usize::try_from(reader.read_var_u32().ok()?).ok()?;
    Some((wasm[at], size, reader.original_position().checked_add(size)?))
}

/// The name of a custom section, if it is complete.
fn custom_name(wasm: &[u8], start: usize, end: usize) -> Option<&str> {
    let name = BinaryReader::new(wasm.get(start..end.min(wasm.len()))?, start).read_string().ok()?;
    (!name.is_empty()).then_some(name)
}

/// The error for bytes from `at` on that are not a complete section. `section`: an id, and where its body would begin
/// and end.
fn after_sections(
    wasm: &[u8],
    at: usize,
    section: Option<(u8, usize, usize)>,
    (layer, exports): (Layer, bool),
) -> String {
    let (rest, bytes, name) = (wasm.len() - at, wasm.len(), layer.name);
    if wasm[at..].starts_with(b"\0asm") {
        return format!("the file holds two {name}s, the second from byte {at} on: write each to a file of its own");
    }
    let cut_off = |end: usize| {
        format!("the file is cut off: it has {bytes} bytes and should have at least {end}; copy or build it again")
    };
    // One without exports is useless, so one that ends before them is truncated.
    let is_whole = exports && validate(&wasm[..at], WasmFeatures::all()).is_ok();
    match section {
        Some((CUSTOM, start, end)) if end > bytes && custom_name(wasm, start, end).is_some() => cut_off(end),
        _ if is_whole => format!(
            "the {name} ends at byte {at}, and what follows ({rest} bytes) is no part of it: something was appended to the \
             file, or its last section is cut off; copy or build it again"
        ),
        Some((_, _, end)) if end > bytes => cut_off(end),
        _ => {
            format!("the file is damaged or cut off at byte {at}, where a section should begin; copy or build it again")
        }
    }
}

/// Whether a program treated the file as text: invalid UTF-8 has become U+FFFD then.
fn mangled(wasm: &[u8]) -> Option<String> {
    let text = str::from_utf8(wasm).ok()?;
    text.contains('\u{fffd}')
        .then(|| "the file was damaged by a program that took it for text (UTF-8); copy it again as binary".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine;

    /// A component with an export, of four sections.
    const WHOLE: &str = "(component (core module $m (func (export \"f\"))) (core instance $i (instantiate $m))
        (func (export \"f\") (canon lift (core func $i \"f\"))))";

    fn whole() -> Vec<u8> {
        wat::parse_str(WHOLE).unwrap()
    }

    fn reason(wasm: &[u8]) -> String {
        check(wasm).err().map(|error| error.to_string()).unwrap_or_default()
    }

    /// The features with a message of their own, each with a word of that message.
    fn featured() -> Vec<(String, &'static str)> {
        let module = |fields: &str| format!("(component (core module {fields}))");
        let function = |body: &str| module(&format!("(memory 1) (func {body})"));
        vec![
            (module("(table 1 externref)"), "uses `externref`"),
            (module("(func (param externref))"), "uses `externref`"),
            (module("(type (struct))"), "needs WebAssembly GC"),
            (module("(func (param anyref))"), "needs WebAssembly GC"),
            (module("(func (param i32) (drop (ref.i31 (local.get 0))))"), "needs WebAssembly GC"),
            (module("(rec (type (func)) (type (func)))"), "needs WebAssembly GC"),
            (module("(type $t (func)) (func (param (ref null $t)))"), "typed function references"),
            (module("(memory i64 1)"), "64-bit memory"),
            (module("(table i64 1 funcref)"), "64-bit memory or table"),
            (module("(memory 1 1 shared)"), "without `-pthread`"),
            (function("(drop (i32.atomic.load (i32.const 0)))"), "without `-pthread`"),
            (module("(tag)"), "-fno-exceptions"),
            (module("(func (param exnref))"), "-fno-exceptions"),
            (module("(func try catch_all end)"), "in their old form"),
            (function("(drop (i8x16.relaxed_swizzle (v128.const i64x2 0 0) (v128.const i64x2 0 0)))"), "relaxed SIMD"),
            (module("(memory 1 (pagesize 1))"), "page size"),
            (module("(type $f (func)) (type $c (cont $f))"), "stack switching"),
            (
                function("(drop (drop (i64.add128 (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0))))"),
                "wide arithmetic",
            ),
            ("(component (import \"f\" (func async)))".to_owned(), "jco with `--backend-qjs-disable-async`"),
            ("(component (type (stream u8)))".to_owned(), "component-model async"),
            ("(component (type (future u8)))".to_owned(), "component-model async"),
            ("(component (core func (canon task.return)))".to_owned(), "component-model async"),
            ("(component (core func (canon task.cancel)))".to_owned(), "component-model async"),
            ("(component (core func (canon context.get i32 0)))".to_owned(), "component-model async"),
            ("(component (core func (canon thread.index)))".to_owned(), "threads of the component model"),
            ("(component (type error-context))".to_owned(), "use a `string`"),
            ("(component (type (list u8 4)))".to_owned(), "lists of fixed length"),
            ("(component (type (map string u8)))".to_owned(), "list<tuple<K, V>>"),
            (
                "(component (core module $m (func (export \"f\"))) (core instance $i (instantiate $m))
                    (func $f (canon lift (core func $i \"f\"))) (start $f))"
                    .to_owned(),
                "values or a start function",
            ),
        ]
    }

    #[test]
    fn each_disabled_feature_is_named_with_what_to_do() {
        let engine = engine::compiler(1 << 20).unwrap();
        for (text, words) in featured() {
            let wasm = wat::parse_str(&text).unwrap();
            assert!(reason(&wasm).contains(words), "{text}: {}", reason(&wasm));
            assert!(engine.precompile_component(&wasm).is_err(), "the engine runs it: {text}");
        }
    }

    #[test]
    fn components_with_enabled_features_are_valid() {
        let module = |fields: &str| format!("(component (core module {fields}))");
        let engine = engine::compiler(1 << 20).unwrap();
        for text in [
            WHOLE.to_owned(),
            module("(func (param funcref))"),
            module("(func $f (return_call $f))"),
            module("(func (drop (v128.const i64x2 0 0)))"),
            module("(memory 1) (memory 1)"),
            module("(global i32 (i32.add (i32.const 1) (i32.const 2)))"),
            module("(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))"),
            "(component (import \"m\" (core module)))".to_owned(),
        ] {
            let wasm = wat::parse_str(&text).unwrap();
            assert_eq!(reason(&wasm), "", "{text}");
            assert!(engine.precompile_component(&wasm).is_ok(), "{text}");
        }
    }

    #[test]
    fn truncated_and_extended_files_are_distinguished() {
        let whole = whole();
        for (bytes, words) in [
            (whole[..9].to_vec(), "damaged or cut off at byte 8"),
            (whole[..40].to_vec(), "the file is cut off: it has 40 bytes and should have at least "),
            (whole[..whole.len() - 1].to_vec(), "cut off"),
            ([&whole, &b"\n"[..]].concat(), "what follows (1 bytes) is no part of it"),
            ([&whole, &b"\0\0\0\0\0"[..]].concat(), "(5 bytes)"),
            ([&whole, &b"hello world, this is text"[..]].concat(), "(25 bytes)"),
            ([&whole, &[0xff; 64][..]].concat(), "(64 bytes)"),
            ([&whole, &b"\0\x30\x04name\0\0"[..]].concat(), "the file is cut off"),
            ([&whole[..], &whole[..]].concat(), "two components"),
            (
                String::from_utf8_lossy(&[&whole[..], &b"\0\x05\x01x\xff\xfe\xff"[..]].concat())
                    .into_owned()
                    .into_bytes(),
                "took it for text",
            ),
        ] {
            assert!(reason(&bytes).contains(words), "{words}: {}", reason(&bytes));
        }
    }

    #[test]
    fn an_error_inside_is_not_called_truncation() {
        let mut damaged = whole();
        // Inside the core module.
        damaged[22..30].fill(0xee);
        for (wasm, words) in [
            (damaged, "damaged or wrongly built"),
            (
                wat::parse_str("(component (core module (func (result i32) i64.const 0)))").unwrap(),
                "expected i32, found i64",
            ),
        ] {
            let reason = reason(&wasm);
            assert!(reason.contains(words) && !reason.contains("cut off"), "{reason}");
        }
    }
}
