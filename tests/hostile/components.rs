//! The plugins of these tests: the attacker, built once, and small ones written by hand, where no compiler would
//! produce them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use whelk_tests::{build_guest, repository};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The attacker's component.
pub(crate) fn attacker() -> &'static [u8] {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    BUILT.get_or_init(|| {
        build_guest("tests/hostile/attacker", "attacker", &Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests"))
    })
}

/// The program that starts others.
pub(crate) fn spawner() -> &'static [u8] {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    BUILT.get_or_init(|| {
        build_guest("tests/hostile/spawner", "spawner", &Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests"))
    })
}

/// The functions of `whelk:ssh/session@0.1.0` as core WebAssembly: parameters, and whether they return a value.
const SESSION: [(&str, usize, bool); 13] = [
    ("open", 0, true),
    ("env", 4, true),
    ("pty-req", 8, true),
    ("shell", 0, true),
    ("exec", 2, true),
    ("subsystem", 2, true),
    ("window-change", 4, false),
    ("signal", 3, false),
    ("data", 2, false),
    ("extended-data", 3, false),
    ("eof", 0, false),
    ("close", 0, false),
    ("closed", 1, false),
];

/// The imports of a hand-written plugin.
const IMPORTS: &str = r#"
    (import "whelk:ssh/channel@0.1.0" "write" (func $write (param i32 i32 i32 i32 i32)))
    (import "whelk:ssh/channel@0.1.0" "finish" (func $finish (param i32 i32 i32 i32 i32 i32 i32)))
    (import "whelk:ssh/channel@0.1.0" "writable" (func $writable (result i32)))
    (import "whelk:ssh/channel@0.1.0" "get-env" (func $get-env (param i32)))"#;

/// Ends the session with status 0.
pub(crate) const FINISH: &str =
    "(call $finish (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))";

/// A hand-written core module of a session plugin. The default functions do nothing and return true.
pub(crate) struct Written {
    /// `(memory ...)`, exported as `memory`.
    pub(crate) memory: &'static str,
    /// The body of `cabi_realloc`, by which the host asks for memory. Parameters: old pointer, old length, alignment,
    /// new length.
    pub(crate) realloc: &'static str,
    /// Anything else: data, tables, a start function.
    pub(crate) more: String,
    /// Functions and their code before they return.
    pub(crate) bodies: Vec<(&'static str, String)>,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            memory: r#"(memory (export "memory") 4)"#,
            // Memory that is reused again and again, behind the plugin's own; 16 is sufficient alignment for anything.
            realloc: "(if (i32.gt_u (i32.add (global.get $top) (local.get 3)) (i32.const 260000))
                    (then (global.set $top (i32.const 4096))))
                (global.get $top)
                (global.set $top
                    (i32.and (i32.add (i32.add (global.get $top) (local.get 3)) (i32.const 15)) (i32.const -16)))",
            more: String::new(),
            bodies: Vec::new(),
        }
    }
}

impl Written {
    /// As text.
    fn text(&self) -> String {
        let Self { memory, realloc, more, .. } = self;
        let mut text = format!(
            r#"(module {IMPORTS} {memory} (global $top (mut i32) (i32.const 4096)) {more}
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})"#
        );
        for (name, parameters, answers) in SESSION {
            let body = self.bodies.iter().find(|(of, _)| *of == name).map_or("", |(_, body)| body);
            let (result, yes) = if answers { ("(result i32)", "(i32.const 1)") } else { ("", "") };
            let parameters = format!("(param{})", " i32".repeat(parameters));
            write!(text, r#"(func (export "whelk:ssh/session@0.1.0#{name}") {parameters} {result} {body} {yes})"#)
                .expect("a string can be written to");
        }
        text + ")"
    }

    /// The component.
    pub(crate) fn component(&self) -> Vec<u8> {
        let text = self.text();
        let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(repository().join("wit")).expect("our own interfaces");
        let world = resolve.select_world(&[package], Some("session-plugin")).expect("our own world");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("a module takes a section");
        let mut encoder = ComponentEncoder::default();
        let encoder = encoder.module(&module).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        encoder.encode().unwrap_or_else(|error| panic!("{error:?}\n{text}"))
    }
}

/// A plugin that prints its version: once at the start, and again for each input.
pub(crate) fn version(number: u64) -> Vec<u8> {
    let line = version_line(number);
    let say =
        format!("(call $write (i32.const 0) (i32.const 0) (i32.const 16) (i32.const {}) (i32.const 8))", line.len());
    Written {
        more: format!("(data (i32.const 16) {line:?})"),
        bodies: vec![("shell", say.clone()), ("exec", say.clone()), ("data", say), ("eof", FINISH.to_owned())],
        ..Written::default()
    }
    .component()
}

/// What it prints.
pub(crate) fn version_line(number: u64) -> String {
    format!("version {number:06}\n")
}

/// Installs a plugin atomically: writes it elsewhere, then renames it into place.
pub(crate) fn install(folder: &Path, name: &str, bytes: &[u8]) {
    let new = folder.join(format!(".{name}.new"));
    std::fs::write(&new, bytes).expect("our own folder");
    std::fs::rename(&new, file(folder, name)).expect("our own folder");
}

/// The path of a plugin.
pub(crate) fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.wasm"))
}
