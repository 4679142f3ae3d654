//! Compiled code of plugins, handed from one gateway to the next.
//!
//! Hundreds of gateways serve the same plugins, each with a state folder of its own. Compiling those plugins for each
//! of them takes longer than the tests do. In one test program each plugin is therefore compiled by the first gateway
//! that serves it; the later ones find the code in their state folder, as after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

/// The key with which all gateways of the tests seal compiled code: 32 bytes in hexadecimal, as in `cache.key`.
const KEY: &str = "7468652073616d65206b657920696e206576657279207374617465666f6c6465\n";

/// Most bytes of a file that is kept. The code of the largest shipped program has half of that.
const MOST: u64 = 64 << 20;

/// The code, by the name of its file: the SHA-256 of what was compiled, a hyphen, and what compiled it.
static CODE: Mutex<BTreeMap<String, Arc<Vec<u8>>>> = Mutex::new(BTreeMap::new());

/// Puts the code that earlier gateways have made of the plugins in a folder, and of the programs in its `bin`, into a
/// state folder. Does nothing if that has been used before.
///
/// # Panics
/// If the state folder cannot be written.
pub(super) fn give(plugins: &Path, state: &Path) {
    let (key, cache) = (state.join("cache.key"), state.join("cache"));
    if key.exists() || cache.exists() {
        return;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&cache).expect("the temporary folder can be written");
    let create = |path: &Path, bytes: &[u8]| {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        file.and_then(|mut file| file.write_all(bytes)).expect("the temporary folder can be written");
    };
    create(&key, KEY.as_bytes());
    let served = digests(plugins);
    let code = CODE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for (name, code) in code.iter().filter(|(name, _)| is_of(name, &served)) {
        create(&cache.join(name), code);
    }
}

/// Keeps the code that a gateway has made of the plugins in a folder and of the programs in its `bin`.
pub(super) fn take(plugins: &Path, state: &Path) {
    let served = digests(plugins);
    for entry in fs::read_dir(state.join("cache")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_new = || !CODE.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&name);
        let is_small = entry.metadata().is_ok_and(|facts| facts.is_file() && facts.len() <= MOST);
        if name.ends_with(".code")
            && is_of(&name, &served)
            && is_small
            && is_new()
            && let Ok(code) = fs::read(entry.path())
        {
            CODE.lock().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::new(code));
        }
    }
}

/// Whether a file of code was made of one of these.
fn is_of(name: &str, digests: &BTreeSet<String>) -> bool {
    name.split_once('-').is_some_and(|(digest, _)| digests.contains(digest))
}

/// The SHA-256 of each plugin in a folder and of each program in its `bin`, in hexadecimal. None of a file that cannot
/// be read: the test may be about that.
fn digests(plugins: &Path) -> BTreeSet<String> {
    let entries = [plugins.to_owned(), plugins.join("bin")].into_iter().filter_map(|folder| fs::read_dir(folder).ok());
    // A link is one more name of a file that is there, too.
    let files = entries.flatten().flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let wasm = files.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "wasm"));
    let digest = |bytes: Vec<u8>| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    wasm.filter_map(|path| fs::read(path).ok().map(digest)).collect()
}
