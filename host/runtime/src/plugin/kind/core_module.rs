//! A core module: whether it can be made a component when it is loaded, and otherwise what its author can do.
//!
//! It can if it is a command of WASI 0.1, as C, Go and Rust's target wasm32-wasip1 build programs, or if it carries the
//! WIT world that it was made for (a section that wit-bindgen writes), as a component does.

use wasmparser::{Chunk, ExternalKind, Parser, Payload};

/// The module whose functions are WASI 0.1.
pub(crate) const PREVIEW1: &str = "wasi_snapshot_preview1";
/// The function that runs a command.
const START: &str = "_start";
/// The beginning of the name of a section that has a WIT world.
const WORLD: &str = "component-type";

/// Modules that only certain toolchains import, and what to do instead.
const TOOLCHAINS: [(&str, &str); 6] = [
    ("wbg", "it is made by wasm-bindgen for browsers; build for wasm32-wasip2 with wit-bindgen"),
    ("__wbindgen_placeholder__", "it is made for wasm-bindgen and browsers; build for wasm32-wasip2 with wit-bindgen"),
    ("gojs", "it is built by Go for browsers (GOOS=js); build with GOOS=wasip1 GOARCH=wasm"),
    ("go", "it is built by Go for browsers (GOOS=js); build with GOOS=wasip1 GOARCH=wasm"),
    ("wasi_unstable", "it is built for WASI 0.0 (wasi_unstable), which is not supported; build it with current tools"),
    ("wasi", "it is built for WASI with threads, which programs do not have; build for wasm32-wasip1, without threads"),
];

/// Most imports that a refusal names.
const MOST_NAMED: usize = 3;

/// What a core module says of itself.
#[derive(Debug, Default)]
pub(crate) struct CoreModule<'w> {
    /// It imports something of WASI 0.1.
    uses_preview1: bool,
    /// The first imports from modules other than WASI 0.1: module and name.
    others: Vec<(&'w str, &'w str)>,
    /// The toolchain that is known by an import, in words for its user.
    toolchain: Option<&'static str>,
    exports_start: bool,
    exports_memory: bool,
    /// It carries the WIT world that it was made for.
    has_world: bool,
    /// It is an object file.
    is_object: bool,
}

impl<'w> CoreModule<'w> {
    /// Reads the imports, the exports and the names of the sections. Of a damaged file, what comes before the damage.
    /// The code is skipped: it may have millions of functions.
    pub(crate) fn read(wasm: &'w [u8]) -> Self {
        let mut module = Self::default();
        let (mut parser, mut rest) = (Parser::new(0), wasm);
        while let Ok(Chunk::Parsed { consumed, payload }) = parser.parse(rest, true) {
            rest = &rest[consumed..];
            match payload {
                Payload::CodeSectionStart { size, .. } => {
                    parser.skip_section();
                    let Some(after) = usize::try_from(size).ok().and_then(|size| rest.get(size..)) else { break };
                    rest = after;
                }
                Payload::End(_) => break,
                payload => module.add(payload),
            }
        }
        module
    }

    fn add(&mut self, payload: Payload<'w>) {
        match payload {
            Payload::ImportSection(section) => {
                for import in section.into_imports().filter_map(Result::ok) {
                    self.add_import(import.module, import.name);
                }
            }
            Payload::ExportSection(section) => {
                for export in section.into_iter().filter_map(Result::ok) {
                    self.exports_start |= export.name == START && export.kind == ExternalKind::Func;
                    self.exports_memory |= export.name == "memory" && export.kind == ExternalKind::Memory;
                }
            }
            // Compares the name only: `as_known` builds tables many times the size of some sections.
            Payload::CustomSection(section) => {
                self.has_world |= section.name().starts_with(WORLD);
                self.is_object |= section.name() == "linking";
            }
            _ => {}
        }
    }

    fn add_import(&mut self, module: &'w str, name: &'w str) {
        if module == PREVIEW1 {
            self.uses_preview1 = true;
            return;
        }
        let known = TOOLCHAINS.iter().find(|(of, _)| *of == module).map(|(_, words)| *words);
        self.toolchain = self.toolchain.or(known);
        if self.others.len() <= MOST_NAMED {
            self.others.push((module, name));
        }
    }

    /// Whether it is run by one function, as a program is.
    pub(crate) fn is_command(&self) -> bool {
        self.exports_start
    }

    /// Whether it can be made a component.
    ///
    /// # Errors
    /// What is missing and what to do.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.is_object {
            return Err("it is an object file (.o) that was not linked".to_owned());
        }
        if self.has_world {
            return Ok(());
        }
        if let Some(words) = self.toolchain {
            return Err(words.to_owned());
        }
        if self.exports_start && !self.others.is_empty() {
            return Err(format!(
                "it imports {}, which no program gets: link what defines it (wasm-ld without --allow-undefined names each \
                 one), or build a component for wasm32-wasip2",
                self.named()
            ));
        }
        if self.exports_start && self.exports_memory {
            return Ok(());
        }
        if self.exports_start {
            return Err("it does not export its memory as `memory`, as WASI 0.1 wants it; link it so".to_owned());
        }
        Err(if self.uses_preview1 {
            "it is a library for WASI 0.1 without `_start`, and no program: give it a `main` (C: without \
             -mexec-model=reactor, Go: without -buildmode=c-shared, Rust: [[bin]] and no cdylib), or make a component of \
             it: build for wasm32-wasip2, or `wasm-tools component new --adapt wasi_snapshot_preview1.reactor.wasm`"
        } else {
            "it has no `_start`, so it is no program; for a plugin build for wasm32-wasip2, or wrap it with \
             `wasm-tools component new`"
        }
        .to_owned())
    }

    /// The first imports of other modules, in words.
    fn named(&self) -> String {
        let first = self.others.iter().take(MOST_NAMED).map(|(module, name)| format!("{module}.{name}"));
        let more = if self.others.len() > MOST_NAMED { ", ..." } else { "" };
        format!("{}{more}", first.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        CoreModule::read(&wat::parse_str(text).unwrap()).check()
    }

    const START_AND_MEMORY: &str = "(memory (export \"memory\") 1) (func (export \"_start\"))";

    fn import(module: &str) -> String {
        format!("(import \"{module}\" \"f\" (func))")
    }

    #[test]
    fn a_command_of_wasi_0_1_and_a_module_with_a_world_can_be_made_components() {
        let preview1 = import(PREVIEW1);
        for text in [
            format!("(module {preview1} {START_AND_MEMORY})"),
            format!("(module {START_AND_MEMORY})"),
            format!("(module {} (@custom \"component-type:guest\" \"\"))", import("whelk:ssh/channel@0.1.0")),
        ] {
            assert_eq!(check(&text), Ok(()), "{text}");
        }
        let module = wat::parse_str(format!("(module {START_AND_MEMORY})")).unwrap();
        assert!(CoreModule::read(&module).is_command());
    }

    #[test]
    fn any_other_module_is_refused_with_what_is_missing_and_what_to_do() {
        let preview1 = import(PREVIEW1);
        let env = import("env");
        for (fields, words) in [
            (String::new(), "wasm-tools component new"),
            (preview1.clone(), "without `_start`"),
            (format!("{preview1} (func (export \"_initialize\"))"), "-mexec-model=reactor"),
            (format!("{preview1} (memory (export \"_start\") 1)"), "without `_start`"),
            (format!("{preview1} (func (export \"_start\"))"), "does not export its memory"),
            (format!("{env} {START_AND_MEMORY}"), "it imports env.f, which no program gets"),
            (format!("{} {START_AND_MEMORY}", env.repeat(9)), "it imports env.f, env.f, env.f, ..., which"),
            (format!("{preview1} {} {START_AND_MEMORY}", import("wasi_unstable")), "WASI 0.0"),
            (format!("{preview1} {} {START_AND_MEMORY}", import("wasi")), "without threads"),
            (import("wbg"), "wasm-bindgen"),
            (import("gojs"), "GOOS=wasip1"),
            (format!("{preview1} (@custom \"linking\" \"\\02\")"), "object file"),
            // What comes after the code is read, too.
            (format!("{START_AND_MEMORY} (@custom \"linking\" (after last) \"\\02\")"), "object file"),
        ] {
            let reason = check(&format!("(module {fields})")).unwrap_err();
            assert!(reason.contains(words), "{fields}: {reason}");
        }
    }
}
