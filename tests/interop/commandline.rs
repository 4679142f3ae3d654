//! Starting and ending the program, with valid and invalid arguments.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use whelk_tests::{Call, Client, Finished, Gateway, Input, Setup, has_ring, shipped_plugins};

fn assert_refused(finished: &Finished, status: i32, says: &[&str]) {
    assert_eq!(finished.status, Some(status), "{}", finished.err);
    for text in says {
        assert!(finished.err.contains(text), "{text:?} is not in: {}", finished.err);
    }
    assert!(!finished.err.contains("panicked"), "{}", finished.err);
    assert!(!finished.err.contains("\"listening\""), "it listened all the same: {}", finished.err);
}

/// The shipped plugins in a folder of the test.
fn copied_plugins(setup: &Setup) -> PathBuf {
    let folder = setup.folder().join("plugins");
    std::fs::create_dir(&folder).expect("our own folder");
    for name in ["echo.wasm", "probe.wasm"] {
        std::fs::copy(shipped_plugins().join(name), folder.join(name)).expect("the plugins are built");
    }
    folder
}

#[test]
fn an_unknown_plugin_name_lists_the_plugins_and_ends_with_status_1() {
    let gateway = Gateway::demonstration();
    let finished = Call::new(Client::OpenSsh100, &gateway, "nosuch").run(Input::Nothing);
    let said = finished.out.text() + &finished.err;
    assert_eq!(finished.status, Some(1), "{said}");
    for name in ["echo", "lifecycle", "probe", "terminal"] {
        assert!(said.contains(name), "{name} is not in {said:?}");
    }
    // They serve no sessions.
    for name in ["totp", "principals"] {
        assert!(!said.contains(name), "{name} is in {said:?}");
    }
    gateway.end();
}

#[test]
fn a_user_name_is_never_a_path() {
    let gateway = Gateway::demonstration();
    for name in ["../plugins/echo", "echo.wasm", "./echo", "ECHO", ""] {
        // OpenSSH refuses some of these names itself.
        let finished = Call::new(Client::AsyncSsh, &gateway, name).run(Input::Nothing);
        assert_ne!(finished.status, Some(0), "{name:?} entered: {}", finished.out.text());
    }
    gateway.end();
}

#[test]
fn the_demonstration_listens_on_loopback_alone() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:2222"] {
        let finished = Setup::default().listen(address).start_in_vain();
        assert_refused(&finished, 2, &[&format!("a configuration is needed to listen on {address}")]);
    }
}

#[test]
fn the_demonstration_says_what_it_is() {
    let gateway = Gateway::demonstration();
    let said = "DEMONSTRATION: anyone on this machine can log in";
    gateway.wait_all("notice of the demonstration", |events| {
        events.iter().find(|event| event.line.contains(said)).map(drop)
    });
    let finished = Call::new(Client::OpenSsh100, &gateway, "probe").option("-v").exec("exit 0").run(Input::Nothing);
    assert!(finished.err.contains("DEMONSTRATION"), "the banner is {:?}", finished.err);
    gateway.end();
}

#[test]
fn broken_plugins_are_named_and_valid_ones_are_served() {
    let setup = Setup::default();
    let folder = copied_plugins(&setup);
    let whole = std::fs::read(folder.join("echo.wasm")).expect("it was copied above");
    std::fs::write(folder.join("cut.wasm"), &whole[..whole.len() / 2]).expect("our own folder");
    std::fs::write(folder.join("text.wasm"), "not wasm at all\n").expect("our own folder");
    std::fs::write(folder.join("empty.wasm"), "").expect("our own folder");
    // A core module without exports: WebAssembly, but not a component.
    std::fs::write(folder.join("core.wasm"), b"\0asm\x01\0\0\0").expect("our own folder");
    // A component without exports.
    std::fs::write(folder.join("foreign.wasm"), b"\0asm\x0d\0\x01\0").expect("our own folder");
    let gateway = setup.plugins(folder).start();
    for name in ["cut.wasm", "text.wasm", "empty.wasm", "core.wasm", "foreign.wasm"] {
        let reason = gateway.wait(&format!("refusal of {name}"), |event| {
            (event.message == "plugin refused" && event.field("file").ends_with(name)).then(|| event.field("reason"))
        });
        assert!(!reason.is_empty(), "{name} was refused without a reason");
    }
    let finished = Call::new(Client::OpenSsh100, &gateway, "echo").run(Input::Bytes(b"hi\n".to_vec()));
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    gateway.end();
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let finished = Setup::default().listen(&address).start_in_vain();
    assert_ne!(finished.status, Some(0), "{}", finished.err);
    assert_refused(&finished, finished.status.unwrap_or(-1), &[&address]);
}

#[test]
fn a_host_key_that_others_can_read_is_refused_by_name() {
    let gateway = Setup::default().fresh().start();
    let state = gateway.folder().join("state");
    let files = std::fs::read_dir(&state).expect("a state folder was made").filter_map(Result::ok);
    let keys: Vec<PathBuf> = files.map(|file| file.path()).filter(|path| is_private_key(path)).collect();
    let made = if has_ring() { 2 } else { 3 };
    assert_eq!(keys.len(), made, "an Ed25519, an ECDSA and perhaps an RSA key in {}", state.display());
    for key in &keys {
        let mode = std::fs::metadata(key).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{} was made with mode {mode:o}", key.display());
    }

    let setup = Setup::default();
    std::fs::create_dir_all(setup.state()).expect("our own folder");
    let copy = setup.state().join(keys[0].file_name().expect("a file has a name"));
    std::fs::copy(&keys[0], &copy).expect("our own folder");
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o644)).expect("our own file");
    let finished = setup.start_in_vain();
    assert_ne!(finished.status, Some(0), "{}", finished.err);
    assert_refused(&finished, finished.status.unwrap_or(-1), &[&copy.display().to_string(), "644"]);
    gateway.end();
}

fn is_private_key(path: &std::path::Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.contains("PRIVATE KEY"))
}

#[test]
fn a_host_key_survives_a_restart() {
    let first = Setup::default().fresh().start();
    let fingerprint = first.fingerprint();
    let state = first.folder().join("state");
    let setup = Setup::default();
    copy_folder(&state, &setup.state());
    first.end();
    let second = setup.start();
    assert_eq!(second.fingerprint(), fingerprint);
    second.end();
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("our own folder");
    for file in std::fs::read_dir(from).expect("it is there").filter_map(Result::ok) {
        if file.path().is_file() {
            std::fs::copy(file.path(), to.join(file.file_name())).expect("our own folder");
        }
    }
}

#[test]
fn sigterm_ends_the_program_and_its_sessions_cleanly() {
    let gateway = Gateway::demonstration();
    let mut session = Call::new(Client::OpenSsh100, &gateway, "probe").exec("cat").start();
    session.type_in(b"still here\n");
    session.wait_for_output("still here");
    gateway.end();
    session.wait("end of the client", |seen| seen.status);
}
