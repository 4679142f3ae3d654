//! Recognises by its first bytes and its imports what a file is, and tells the author of one that can be no plugin what
//! to do instead.

mod core_module;

use wasmtime::Engine;

pub(crate) use core_module::{CoreModule, PREVIEW1};

use crate::error::Error;

/// The first bytes of files that are often put where a plugin belongs.
const KINDS: [(&[u8], &str); 16] = [
    (b"\x7fELF", "this is a native program (ELF), not a WebAssembly component; build for wasm32-wasip2"),
    (b"MZ", "this is a Windows program, not a WebAssembly component; build for wasm32-wasip2"),
    (b"\xcf\xfa\xed\xfe", "this is a macOS program, not a WebAssembly component; build for wasm32-wasip2"),
    (b"\xca\xfe\xba\xbe", "this is a macOS program or a Java class, not a WebAssembly component"),
    (b"!<arch>\n", "this is a library for a linker (.a, .rlib), not a WebAssembly component; build a cdylib"),
    (b"BC\xc0\xde", "this is LLVM bitcode, not a WebAssembly component; link it first"),
    (b"\x1f\x8b", "this is a compressed file (gzip); unpack it"),
    (b"PK\x03\x04", "this is an archive (zip); unpack it"),
    (b"\x28\xb5\x2f\xfd", "this is a compressed file (zstd); unpack it"),
    (b"\xfd7zXZ\0", "this is a compressed file (xz); unpack it"),
    (b"BZh", "this is a compressed file (bzip2); unpack it"),
    (b"\xff\xfe", "this is text in UTF-16, not a WebAssembly component"),
    (b"\xfe\xff", "this is text in UTF-16, not a WebAssembly component"),
    (b"version https://git-lfs.github.com/", "this is a pointer of Git LFS, not the file itself; run `git lfs pull`"),
    (b"<!DOCTYPE", "this is a web page, not a WebAssembly component: the download went wrong"),
    (b"<html", "this is a web page, not a WebAssembly component: the download went wrong"),
];

fn refused<T>(reason: impl Into<String>) -> Result<T, Error> {
    Err(Error::Refused(reason.into()))
}

/// The binary formats of which a plugin may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A component.
    Component,
    /// A core module that is made a component when it is loaded.
    CoreModule,
}

impl Format {
    /// The format of a file that [`check_bytes`] has passed.
    pub(crate) fn of(wasm: &[u8]) -> Self {
        if wasm.get(4..8) == Some(&CORE_MODULE) { Self::CoreModule } else { Self::Component }
    }

    /// Its name, for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::CoreModule => "core-module",
        }
    }

    /// What it is, for people.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::CoreModule => "core module, made a component when it is loaded",
        }
    }
}

/// The version and the layer of the two formats, which follow the first four bytes.
const COMPONENT: [u8; 4] = [0x0d, 0, 1, 0];
const CORE_MODULE: [u8; 4] = [1, 0, 0, 0];

/// Checks that these bytes may be a plugin, of at most `largest` bytes.
///
/// # Errors
/// What the file is instead.
pub(crate) fn check_bytes(wasm: &[u8], largest: usize) -> Result<(), Error> {
    if wasm.is_empty() {
        return refused("the file is empty");
    }
    if wasm.len() > largest {
        return refused(format!(
            "the file has more than the {largest} bytes that are allowed: build it smaller, or raise limits.component \
             (component_tenant in a tenant's own folder)"
        ));
    }
    if Engine::detect_precompiled(wasm).is_some() {
        return refused(
            "this is compiled machine code (.cwasm), which is never run from a file; give the .wasm it was made of",
        );
    }
    if !wasm.starts_with(b"\0asm") {
        return refused(other_kind(wasm));
    }
    match wasm.get(4..8) {
        None => refused("the file is cut off after its first bytes"),
        Some(version) if *version == COMPONENT => Ok(()),
        Some(version) if *version == CORE_MODULE => CoreModule::read(wasm)
            .check()
            .or_else(|reason| refused(format!("this is a core module, not a component: {reason}"))),
        Some([version, 0, 1, 0]) if *version < 0x0d => {
            refused("this is a component in an older binary format, from before WASI 0.2; build it with current tools")
        }
        Some(version) => refused(format!(
            "this is WebAssembly of a version that is not known here (bytes 4 to 7 are {version:02x?}): it is newer than \
             Whelk, or damaged"
        )),
    }
}

/// Describes a file that is not WebAssembly.
fn other_kind(bytes: &[u8]) -> &'static str {
    if bytes.iter().all(|byte| *byte == 0) {
        return "this file has nothing in it but zeros: it was not written to its end; copy it again";
    }
    if let Some((_, words)) = KINDS.iter().find(|(begin, _)| bytes.starts_with(begin)) {
        return words;
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return "this is an archive (tar); unpack it";
    }
    let is_text = |text: &&str| !text.chars().any(|c| c.is_control() && !c.is_ascii_whitespace() && c != '\x1b');
    match str::from_utf8(bytes).ok().filter(is_text) {
        Some(text) if text.trim_start_matches('\u{feff}').trim_start().starts_with('(') => {
            "this is WebAssembly as text; `wasm-tools parse` makes the binary"
        }
        Some(_) => "this is text, not a WebAssembly component",
        None => "this is not WebAssembly: it does not begin with \\0asm",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(bytes: &[u8]) -> String {
        check_bytes(bytes, 1 << 20).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn files_that_are_not_webassembly_are_recognised() {
        let tar = [&b"a.wasm"[..], &[0; 251], b"ustar\0", &[0; 200]].concat();
        for (bytes, words) in [
            (&b""[..], "the file is empty"),
            (&[0; 1000], "nothing in it but zeros"),
            (&[0], "nothing in it but zeros"),
            (b"\0asm", "cut off after its first bytes"),
            (b"\0asm\x0d\0", "cut off after its first bytes"),
            (b"\x1f\x8b\x08\0\0\0", "gzip"),
            (b"PK\x03\x04\x14\0", "zip"),
            (b"\x28\xb5\x2f\xfd\0", "zstd"),
            (&tar, "tar"),
            (b"\x7fELF\x02\x01", "ELF"),
            (b"MZ\x90\0", "Windows"),
            (b"!<arch>\n", "linker"),
            (b"<!DOCTYPE html><html>404", "web page"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
            (b"\xff\xfe(\0c\0", "UTF-16"),
            (b"\xef\xbb\xbf (component)", "WebAssembly as text"),
            (b"(component)", "WebAssembly as text"),
            (b"#!/bin/sh\n\techo \x1b[1mhi\r\n", "this is text"),
            (b"text and a zero\0", "does not begin with \\0asm"),
            (b"\xff\xd8\xff", "does not begin with \\0asm"),
            (b"\0asm\x0a\0\x01\0", "older binary format"),
            (b"\0asm\x0e\0\x01\0", "newer than Whelk"),
            (b"\0asm\x02\0\0\0", "newer than Whelk"),
        ] {
            assert!(reason(bytes).contains(words), "{bytes:?}: {}", reason(bytes));
        }
        assert_eq!(reason(b"\0asm\x0d\0\x01\0"), "");
    }

    #[test]
    fn an_oversized_file_names_the_settings() {
        let reason = check_bytes(&[0; 9], 8).unwrap_err().to_string();
        assert!(reason.contains("more than the 8 bytes") && reason.contains("limits.component"), "{reason}");
    }
}
