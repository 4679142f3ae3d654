//! `whelk backup` and `whelk restore` without a server: no store is lost, and nothing damaged is taken for one.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use whelk_runtime::keyvalue::{Embedded, Load, StoreQuota};

/// A folder with the state folder `state`.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    (folder, state)
}

/// Makes a store with one key, by which it is known.
fn store(path: &Path, name: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let tenant = Embedded::open(path).unwrap().tenant("acme", StoreQuota { bytes: 1 << 20, keys: 100 });
        let room = tenant.flow().room(Load::write(1, 1)).await;
        tenant.set_many(room, "bucket".to_owned(), vec![(name.to_owned(), b"value".to_vec())]).await.unwrap();
    });
}

/// Whether the file is a store with this key.
fn is_store(path: &Path, name: &str) -> bool {
    let copy = tempfile::tempdir().unwrap();
    let copied = copy.path().join("store");
    fs::copy(path, &copied).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let tenant = Embedded::open(&copied).unwrap().tenant("acme", StoreQuota { bytes: 1 << 20, keys: 100 });
        let room = tenant.flow().room(Load::read(1, 1)).await;
        tenant.exists(room, "bucket".to_owned(), name.to_owned()).await.unwrap()
    })
}

/// The status, and both outputs.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whelk"));
    command.args(arguments).args(["--state", "state"]).current_dir(folder).env_remove("WHELK_LOG");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names.into_iter().map(|name| name.into_string().unwrap()).collect()
}

#[test]
fn each_store_that_is_replaced_is_kept() {
    let (folder, state) = place();
    let folder = folder.path();
    store(&folder.join("first"), "first");
    let (status, told, stderr) = run(folder, &["restore", "first"]);
    assert_eq!((status, told.as_str()), (0, "restored first to state/keyvalue.redb\n"), "{stderr}");
    for (file, kept) in [("wrong", "keyvalue.redb.before"), ("right", "keyvalue.redb.before-1")] {
        store(&folder.join(file), file);
        let (status, told, stderr) = run(folder, &["restore", file]);
        let expected = format!("restored {file} to state/keyvalue.redb; previous store kept as state/{kept}\n");
        assert_eq!((status, told), (0, expected), "{stderr}");
    }
    assert_eq!(names(&state), ["keyvalue.redb", "keyvalue.redb.before", "keyvalue.redb.before-1", "lock"]);
    assert!(is_store(&state.join("keyvalue.redb"), "right"));
    assert!(is_store(&state.join("keyvalue.redb.before"), "first"));
    assert!(is_store(&state.join("keyvalue.redb.before-1"), "wrong"));
    assert_eq!(state.join("keyvalue.redb").metadata().unwrap().mode() & 0o777, 0o600);
}

#[test]
fn nothing_damaged_is_restored_or_becomes_a_backup() {
    let (folder, state) = place();
    let folder = folder.path();
    let place = state.join("keyvalue.redb");
    store(&place, "kept");
    let good = fs::read(&place).unwrap();
    let mut zeros = good.clone();
    zeros[4096..8192].fill(0);
    let garbage: [(&str, &[u8], &str); 4] = [
        ("empty", b"", "it is empty"),
        ("short", b"garbage!", "it is damaged: "),
        ("half", &good[..good.len() / 2], "it is damaged: "),
        ("zeros", &zeros, "it is damaged: "),
    ];
    for (name, bytes, reason) in garbage {
        fs::write(folder.join(name), bytes).unwrap();
        let (status, told, stderr) = run(folder, &["restore", name]);
        assert_eq!((status, told.as_str()), (2, ""), "{name}: {stderr}");
        assert!(stderr.contains(&format!("{name} is no backup: {reason}")), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(fs::read(&place).unwrap() == good && names(&state) == ["keyvalue.redb", "lock"], "{name}");
    }
    for (name, bytes, reason) in garbage {
        fs::write(&place, bytes).unwrap();
        let (status, told, stderr) = run(folder, &["backup", "new"]);
        assert_eq!((status, told.as_str()), (1, ""), "{name}: {stderr}");
        assert!(stderr.contains("the store of state was not copied") && stderr.contains(reason), "{stderr}");
        assert!(names(folder).iter().all(|name| !name.contains("new")), "{:?}", names(folder));
        assert!(fs::read(&place).unwrap() == bytes, "{name}");
    }
    fs::write(&place, good).unwrap();
    let (status, told, stderr) = run(folder, &["backup", "new"]);
    assert!(status == 0 && told.ends_with("bytes, no server runs, of the state folder state\n"), "{told}{stderr}");
    assert!(is_store(&folder.join("new"), "kept"));
}

#[test]
fn a_store_behind_a_link_stays_behind_it() {
    let (folder, state) = place();
    let folder = folder.path();
    fs::create_dir(folder.join("disk")).unwrap();
    store(&folder.join("disk/store"), "before");
    symlink("../disk/store", state.join("keyvalue.redb")).unwrap();
    let (status, _, stderr) = run(folder, &["backup", "copy"]);
    assert_eq!(status, 0, "{stderr}");
    assert!(is_store(&folder.join("copy"), "before"));
    store(&folder.join("other"), "after");
    let (status, _, stderr) = run(folder, &["restore", "other"]);
    assert_eq!(status, 0, "{stderr}");
    assert!(state.join("keyvalue.redb").symlink_metadata().unwrap().is_symlink());
    assert_eq!(names(&folder.join("disk")), ["store", "store.before"]);
    assert!(is_store(&folder.join("disk/store"), "after") && is_store(&folder.join("disk/store.before"), "before"));
    fs::remove_file(folder.join("disk/store")).unwrap();
    let (status, _, stderr) = run(folder, &["restore", "other"]);
    assert!(status == 2 && stderr.contains("is a symbolic link that leads nowhere"), "{stderr}");
}

#[test]
fn a_file_of_another_owner_in_the_state_folder_is_not_read_by_root() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (folder, state) = place();
    std::os::unix::fs::chown(&state, Some(7), Some(7)).unwrap();
    store(&folder.path().join("secret"), "secret");
    symlink("../secret", state.join("keyvalue.redb")).unwrap();
    for verb in ["backup", "restore"] {
        let file = if verb == "backup" { "new" } else { "secret" };
        let (status, _, stderr) = run(folder.path(), &[verb, file]);
        assert!(status == 2 && stderr.contains("belongs to uid 0, and the state folder to uid 7"), "{stderr}");
    }
    assert_eq!(names(folder.path()), ["secret", "state"]);
    // What is restored belongs to the folder's owner.
    fs::remove_file(state.join("keyvalue.redb")).unwrap();
    let (status, _, stderr) = run(folder.path(), &["restore", "secret"]);
    assert_eq!(status, 0, "{stderr}");
    assert_eq!(state.join("keyvalue.redb").metadata().unwrap().uid(), 7);
    assert_eq!(state.join("lock").metadata().unwrap().uid(), 7);
}

#[test]
fn whoever_can_read_the_folder_cannot_stop_a_backup() {
    let (folder, state) = place();
    store(&state.join("keyvalue.redb"), "kept");
    let held = File::open(&state).unwrap();
    held.lock_shared().unwrap();
    let (status, _, stderr) = run(folder.path(), &["backup", "new"]);
    assert_eq!(status, 0, "{stderr}");
    // A server, or another backup without one.
    let lock = OpenOptions::new().write(true).open(state.join("lock")).unwrap();
    lock.lock().unwrap();
    for arguments in [["backup", "other"], ["restore", "new"]] {
        let (status, _, stderr) = run(folder.path(), &arguments);
        assert!(status == 1 && stderr.contains("stop the server, or wait for another `whelk backup`"), "{stderr}");
    }
    assert_eq!(names(folder.path()), ["new", "state"]);
}

#[test]
fn a_place_that_cannot_be_written_and_a_folder_that_is_not_there_are_named() {
    let (folder, state) = place();
    store(&state.join("keyvalue.redb"), "kept");
    for (arguments, status, words) in [
        (["backup", "absent/new"], 1, "absent/new cannot be written: "),
        (["backup", "state"], 2, "state is there already: name a new file"),
        (["restore", "absent"], 2, "absent: there is no such file"),
    ] {
        let (found, _, stderr) = run(folder.path(), &arguments);
        assert!(found == status && stderr.contains(words), "{arguments:?}: {stderr}");
    }
    fs::remove_dir_all(&state).unwrap();
    for arguments in [["backup", "new"], ["restore", "new"]] {
        let (status, _, stderr) = run(folder.path(), &arguments);
        assert!(status == 2 && stderr.contains("`install -d -m 0700 state`"), "{stderr}");
    }
    assert_eq!(names(folder.path()), [""; 0]);
}
