//! A plugin that works, built once, and files that are like it.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::guest;
use std::fs;

/// A plugin. `version` changes the file and nothing else.
pub(crate) fn plugin(version: u8) -> Vec<u8> {
    static BARE: OnceLock<Vec<u8>> = OnceLock::new();
    let mut wasm = BARE.get_or_init(|| fs::read(built().join("bare.wasm")).unwrap()).clone();
    // A custom section: its kind, its length, the length of its name, its name, what is in it.
    wasm.extend([0, 3, 1, b'v', version]);
    wasm
}

/// The same with a core module of 10 MB in it, all of them data.
pub(crate) fn heavy(version: u8) -> Vec<u8> {
    let data = "x".repeat(10_000_000);
    let module = format!("(module (memory 200) (data (i32.const 0) \"{data}{version}\"))");
    let module = wat::parse_str(module).unwrap();
    let mut wasm = plugin(version);
    // The section of a core module, with its length in LEB128.
    wasm.push(1);
    let mut length = module.len();
    while length > 127 {
        wasm.push(u8::try_from(length & 127).unwrap() | 128);
        length >>= 7;
    }
    wasm.push(u8::try_from(length).unwrap());
    wasm.extend(module);
    wasm
}

/// One that crashes while an instance of it is made.
pub(crate) fn unborn() -> Vec<u8> {
    fs::read(built().join("unborn.wasm")).unwrap()
}

/// One that needs key-value and topics.
pub(crate) fn demanding() -> Vec<u8> {
    fs::read(built().join("neighbour.wasm")).unwrap()
}

fn built() -> PathBuf {
    guest::build(&["bare", "unborn", "neighbour"])
}
