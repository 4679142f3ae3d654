//! What a gateway takes over from earlier ones of the same test program: compiled code and host keys.
//!
//! Hundreds of gateways serve the same plugins, each with a state folder of its own. Compiling those plugins and making
//! an RSA key for each of them takes longer than the tests do. In one test program each plugin is therefore compiled by
//! the first gateway that serves it, and the first gateway makes the host keys. The later ones find both in their state
//! folder, as after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

/// The key with which all gateways of the tests seal compiled code: 32 bytes in hexadecimal, as in `cache.key`.
const KEY: &str = "7468652073616d65206b657920696e206576657279207374617465666f6c6465\n";

/// Most bytes of compiled code that are kept of one plugin. The largest shipped program has half of that.
const MOST: u64 = 64 << 20;

/// What the names of the files of host keys begin with.
const HOST_KEY: &str = "ssh_host_";

/// Files by their names.
type Files = BTreeMap<String, Arc<Vec<u8>>>;

/// The code. A name has the SHA-256 of what was compiled, a hyphen, and what compiled it.
static CODE: Mutex<Files> = Mutex::new(BTreeMap::new());

/// The host keys, private and public.
static HOST_KEYS: Mutex<Files> = Mutex::new(BTreeMap::new());

fn lock(files: &Mutex<Files>) -> MutexGuard<'_, Files> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts host keys, and the code that earlier gateways have made of the plugins in a folder and of the programs in its
/// `bin`, into a state folder. Does nothing if that has been used before.
///
/// # Panics
/// If the state folder cannot be written.
pub(super) fn give(plugins: &Path, state: &Path) {
    let (key, cache) = (state.join("cache.key"), state.join("cache"));
    if key.exists() || cache.exists() {
        return;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&cache).expect("the temporary folder can be written");
    create(&key, KEY.as_bytes());
    let served = digests(plugins);
    let code = lock(&CODE).clone();
    code.iter().filter(|(name, _)| is_of(name, &served)).for_each(|(name, code)| create(&cache.join(name), code));
    if files_in(state).all(|(name, _)| !name.starts_with(HOST_KEY)) {
        lock(&HOST_KEYS).iter().for_each(|(name, key)| create(&state.join(name), key));
    }
}

fn create(path: &Path, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(bytes)).expect("the temporary folder can be written");
}

/// Keeps the code that a gateway has made of the plugins in a folder and of the programs in its `bin`.
pub(super) fn take_code(plugins: &Path, state: &Path) {
    let served = digests(plugins);
    for (name, path) in files_in(&state.join("cache")) {
        let is_small = fs::metadata(&path).is_ok_and(|facts| facts.len() <= MOST);
        if name.ends_with(".code")
            && is_of(&name, &served)
            && is_small
            && !lock(&CODE).contains_key(&name)
            && let Ok(code) = fs::read(path)
        {
            lock(&CODE).insert(name, Arc::new(code));
        }
    }
}

/// Keeps all host keys that a first start has made.
pub(super) fn take_host_keys(state: &Path) {
    let mut keys = lock(&HOST_KEYS);
    if keys.is_empty() {
        let files = files_in(state).filter(|(name, _)| name.starts_with(HOST_KEY));
        keys.extend(files.filter_map(|(name, path)| Some((name, Arc::new(fs::read(path).ok()?)))));
    }
}

/// The files in a folder with their names. None of a folder that cannot be read: the test may be about that.
fn files_in(folder: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    // A link is one more name of a file that is there, too.
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    files.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
}

/// Whether a file of code was made of one of these.
fn is_of(name: &str, digests: &BTreeSet<String>) -> bool {
    name.split_once('-').is_some_and(|(digest, _)| digests.contains(digest))
}

/// The SHA-256 of each plugin in a folder and of each program in its `bin`, in hexadecimal.
fn digests(plugins: &Path) -> BTreeSet<String> {
    let bin = plugins.join("bin");
    let files = files_in(plugins).chain(files_in(&bin)).filter(|(name, _)| name.ends_with(".wasm"));
    let digest = |bytes: Vec<u8>| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    files.filter_map(|(_, path)| fs::read(path).ok().map(digest)).collect()
}
