//! A valid plugin, built once, and variations of its file.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::guest;
use std::fs;

/// A plugin. `version` changes the file and nothing else.
pub(crate) fn plugin(version: u8) -> Vec<u8> {
    static BARE: OnceLock<Vec<u8>> = OnceLock::new();
    let mut wasm = BARE.get_or_init(|| fs::read(built().join("bare.wasm")).unwrap()).clone();
    // A custom section: its kind, its length, the length of its name, its name, its contents.
    wasm.extend([0, 3, 1, b'v', version]);
    wasm
}

/// The same with a core module that has 10 MB of data.
pub(crate) fn heavy(version: u8) -> Vec<u8> {
    let data = "x".repeat(10_000_000);
    let module = format!("(module (memory 200) (data (i32.const 0) \"{data}{version}\"))");
    let module = wat::parse_str(module).unwrap();
    [plugin(version), section(1, &module)].concat()
}

/// The same with a core module of about this many bytes of code that compiles slowly: 1 s for 1.3 MB.
pub(crate) fn slow(version: u8, size: usize) -> Vec<u8> {
    // (func (param i64) (result i64)) that multiplies and rotates its argument forty times.
    let turn = [0x20, 0, 0x42, 0x2b, 0x7e, 0x20, 0, 0x8a, 0x21, 0];
    let body = [&[0][..], &turn.repeat(40), &[0x20, 0, 0x0b]].concat();
    let function = [leb(body.len()), body].concat();
    let count = size / function.len();
    let types = [1, 0x60, 1, 0x7e, 1, 0x7e];
    let functions = [leb(count), vec![0; count]].concat();
    let code = [leb(count), function.repeat(count)].concat();
    let sections = [(1, &types[..]), (3, &functions), (10, &code)].map(|(kind, content)| section(kind, content));
    let module = [&b"\0asm\x01\0\0\0"[..], &sections.concat()].concat();
    [plugin(version), section(1, &module)].concat()
}

fn section(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind][..], &leb(content.len()), content].concat()
}

/// A number in WebAssembly's encoding.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 127 {
        bytes.push(u8::try_from(number & 127).unwrap() | 128);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

/// A plugin that crashes during instantiation.
pub(crate) fn unborn() -> Vec<u8> {
    fs::read(built().join("unborn.wasm")).unwrap()
}

/// A plugin that needs key-value and topics.
pub(crate) fn demanding() -> Vec<u8> {
    fs::read(built().join("neighbour.wasm")).unwrap()
}

fn built() -> PathBuf {
    guest::build(&["bare", "unborn", "neighbour"])
}
