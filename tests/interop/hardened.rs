//! The server under filters that refuse system calls, as systemd's hardening, containers and gVisor do.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use whelk_tests::{Call, Client, Gateway, Input, Setup, repository};

/// The plugin of the runtime's tests that uses files.
fn files_plugin() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
        let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--release", "--locked", "--target", "wasm32-wasip2", "--package", "files"])
            .current_dir(repository().join("host/runtime/tests/guests"))
            .env("CARGO_TARGET_DIR", &target)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("RUSTFLAGS")
            .status()
            .expect("cargo runs this test");
        assert!(status.success(), "the plugin does not build; `rustup target add wasm32-wasip2` may help");
        target.join("wasm32-wasip2/release/files.wasm")
    })
}

/// A server for a tenant with a directory, key-value and a plugin folder, without these system calls.
fn without(error: &str, calls: &str) -> Gateway {
    let setup = Setup::default().fresh().under(&[env!("CARGO_BIN_EXE_without"), error, calls]);
    let root = setup.folder().canonicalize().expect("our own folder");
    for folder in ["acme/home", "acme/plugins", "operators"] {
        std::fs::create_dir_all(root.join(folder)).expect("our own folder");
    }
    std::fs::copy(files_plugin(), root.join("acme/plugins/files.wasm")).expect("the plugin was built");
    let text = format!(
        "state = \"{root}/state\"\n\
         [users.alice]\ntenant = \"acme\"\nplugin = \"files\"\nauth = \"none\"\n\
         [tenants.acme]\nplugins = \"{root}/acme/plugins\"\n\
         [tenants.acme.grants]\ndirectory = {{ path = \"{root}/acme/home\", access = \"read-write\" }}\nkeyvalue = {{}}\n",
        root = root.display()
    );
    setup.plugins(root.join("operators")).configuration(&text).start()
}

/// Starts a server and runs a plugin that uses its files.
fn serves(error: &str, calls: &str) {
    let gateway = without(error, calls);
    let script =
        "mkdir d;write d/a one;append d/a  two;read d/a;rename d/a b;symlink b l;read l;list .;read ../../secret";
    let finished = Call::new(Client::Ours, &gateway, "alice").run(Input::Bytes(script.into()));
    let said = format!("{error} for {calls}: {:?} {}", finished.out.text(), finished.err);
    // A path out of the directory fails, whichever call resolves it: above its root is nothing else.
    let answers = ["ok", "ok", "ok", "one two", "ok", "ok", "one two", "b:file d:dir l:link", "none", "\0"];
    assert_eq!(finished.out.text(), answers.join("\n"), "{said}");
    gateway.end();
}

#[test]
fn without_openat2_it_starts_and_serves() {
    ["ENOSYS", "EPERM"].iter().for_each(|error| serves(error, "openat2"));
}

#[test]
fn without_memfd_create_it_starts_and_serves() {
    ["ENOSYS", "EPERM"].iter().for_each(|error| serves(error, "memfd_create"));
}

#[test]
fn without_any_of_the_newer_calls_it_starts_and_serves() {
    serves("ENOSYS", "all");
    // Without faccessat2, whose errors cap-std takes literally: a filter that refuses it keeps plugins from opening
    // paths that end in a dot.
    let known = "memfd_create,openat2,statx,pidfd_open,pidfd_getfd,pidfd_send_signal,close_range,renameat2,copy_file_range,\
                 epoll_pwait2,io_uring_setup,setpriority,rseq";
    serves("EPERM", known);
}
