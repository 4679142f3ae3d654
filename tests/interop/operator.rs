//! What `whelk init`, `whelk user` and `whelk backup` have made, with OpenSSH and a server that runs.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use whelk_tests::{
    Access, Call, Client, Finished, Gateway, Input, LATER, Log, Output, Running, SOON, Setup, client_program, figure,
    program, repository, shipped_plugins,
};

/// Runs `whelk` in a folder.
fn whelk(folder: &Path, arguments: &[&str]) -> Finished {
    let mut command = Command::new(program());
    command.args(arguments).current_dir(folder).env("XDG_STATE_HOME", folder).env_remove("WHELK_LOG");
    Running::run(command, Input::Nothing, LATER)
}

/// Runs it and expects success. Returns its standard output.
fn said(folder: &Path, arguments: &[&str]) -> String {
    let finished = whelk(folder, arguments);
    assert_eq!(finished.status, Some(0), "{arguments:?}: {}", finished.err);
    finished.out.text()
}

/// A server with a configuration, and its port.
fn serve(folder: &Path, file: &str) -> (Running, u16) {
    let mut command = Command::new(program());
    command.args(["serve", "--log", "json", "--config", file]).current_dir(folder).env_remove("WHELK_LOG");
    let process = Running::start(command, Input::Nothing, Output::Read, LATER);
    let log = Log::default();
    let address = log.wait(&process, "event `listening`", |events| {
        events.iter().find(|event| event.message == "plugins prepared")?;
        events.iter().find(|event| event.message == "listening").map(|event| event.field("address"))
    });
    let address = address.unwrap_or_else(|| panic!("whelk ended before it listened\n{}", process.said()));
    let port = address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("an address has a port");
    (process, port)
}

/// The exit status of a command that a plugin ends with 7.
fn log_in(port: u16, user: &str, access: &Access) -> Option<i32> {
    Call::to(Client::OpenSsh100, port, user).access(access.clone()).exec("exit 7").run(Input::Nothing).status
}

#[test]
fn init_writes_a_configuration_that_passes_check_and_lets_its_user_in() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (access, line) = Access::fresh_key();
    let folder = folder.path();
    fs::write(folder.join("alice.pub"), &line).expect("the temporary folder can be written");
    let plugin = shipped_plugins().join("probe.wasm").display().to_string();
    let arguments = ["init", "site/whelk", "--user", "alice", "--key", "alice.pub", "--listen", "127.0.0.1:0"];
    let told = said(folder, &[&arguments[..], &["--plugin", &plugin]].concat());
    assert!(told.contains("whelk serve --config site/whelk/whelk.toml"), "{told}");
    assert_eq!(said(folder, &["check", "site/whelk/whelk.toml"]), "site/whelk/whelk.toml: good\n");
    for (path, mode) in [("", 0o755), ("whelk.toml", 0o640), ("state", 0o700), ("plugins", 0o755)] {
        let facts = folder.join("site/whelk").join(path).metadata().expect("it is made");
        assert_eq!(facts.mode() & 0o777, mode, "{path}");
    }
    let (server, port) = serve(folder, "site/whelk/whelk.toml");
    assert_eq!(log_in(port, "alice", &access), Some(7));
    assert_eq!(log_in(port, "bob", &access), Some(255));
    server.kill_and_wait();
    // Nothing is overwritten.
    let before = fs::read(folder.join("site/whelk/whelk.toml")).expect("it is there");
    let again = whelk(folder, &[&arguments[..], &["--plugin", &plugin]].concat());
    assert_eq!(again.status, Some(2));
    assert!(again.err.contains("is there already, and is left as it is"), "{}", again.err);
    assert_eq!(fs::read(folder.join("site/whelk/whelk.toml")).expect("it is there"), before);
}

#[test]
fn at_a_terminal_init_asks_two_questions() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_, line) = Access::fresh_key();
    fs::write(folder.path().join("carol.pub"), &line).expect("the temporary folder can be written");
    let plugin = shipped_plugins().join("echo.wasm");
    let mut command = Command::new(client_program("python"));
    command.arg(repository().join("tests/interop/typed.py")).arg("--echo").arg(program());
    command.args(["init", "--plugin"]).arg(&plugin).args(["--", "carol", "~/carol.pub"]);
    command.current_dir(folder.path()).env("HOME", folder.path()).env("LOGNAME", "dave").env_remove("SUDO_USER");
    let finished = Running::run(command, Input::Nothing, SOON);
    let shown = finished.out.text();
    assert_eq!(finished.status, Some(0), "{shown}{}", finished.err);
    assert!(shown.contains("Who may log in [dave]: ") && shown.contains("With which public key (a file)"), "{shown}");
    let text = fs::read_to_string(folder.path().join("whelk.toml")).expect("it is written");
    assert!(text.contains("[users.carol]\nplugin = \"echo\"\n") && text.contains(line.trim()), "{text}");
}

#[test]
fn a_user_who_was_added_logs_in_and_one_who_was_removed_does_not() {
    let (folder, (alice, alices), (bob, bobs)) =
        (tempfile::tempdir().expect("a temporary folder"), Access::fresh_key(), Access::fresh_key());
    let folder = folder.path();
    fs::write(folder.join("alice.pub"), alices).expect("the temporary folder can be written");
    fs::write(folder.join("bob.pub"), bobs).expect("the temporary folder can be written");
    let plugin = shipped_plugins().join("probe.wasm").display().to_string();
    let init = ["init", "--user", "alice", "--key", "alice.pub", "--listen", "127.0.0.1:0", "--plugin", &plugin];
    said(folder, &init);
    let before = fs::read(folder.join("whelk.toml")).expect("it is written");
    let (server, port) = serve(folder, "whelk.toml");
    assert_eq!(log_in(port, "bob", &bob), Some(255));
    let told = said(
        folder,
        &["user", "add", "bob", "--config", "whelk.toml", "--key", "bob.pub", "--plugin", "probe", "--reload"],
    );
    assert!(told.starts_with("whelk.toml: the user \"bob\" is added\n") && told.contains("reloaded: "), "{told}");
    assert_eq!((log_in(port, "bob", &bob), log_in(port, "bob", &alice)), (Some(7), Some(255)));
    said(folder, &["user", "remove", "bob", "--config", "whelk.toml", "--reload"]);
    assert_eq!(fs::read(folder.join("whelk.toml")).expect("it is there"), before);
    assert_eq!((log_in(port, "bob", &bob), log_in(port, "alice", &alice)), (Some(255), Some(7)));
    server.kill_and_wait();
}

/// What a plugin says to a command about keys and values.
fn ask(gateway: &Gateway, command: &str) -> String {
    Call::new(Client::Ours, gateway, "guestbook").exec(command).run(Input::Nothing).out.text().trim().to_owned()
}

fn total(gateway: &Gateway) -> u64 {
    let text = ask(gateway, "kv get total");
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

/// A server that begins with the store of a backup.
fn restored(backup: &str) -> Gateway {
    let setup = Setup::default();
    fs::DirBuilder::new().mode(0o700).create(setup.state()).expect("the temporary folder can be written");
    let state = setup.state().display().to_string();
    let told = said(setup.folder(), &["restore", backup, "--state", &state]);
    assert!(told.starts_with("restored "), "{told}");
    setup.start()
}

#[test]
fn a_backup_under_load_has_what_was_confirmed_before_and_nothing_of_afterwards() {
    let gateway = Gateway::demonstration();
    let state = gateway.folder().join("state").display().to_string();
    ask(&gateway, "kv set before yes");
    ask(&gateway, "kv add total 1");
    // Clients that increment the same number, again and again, until their input ends.
    let options = ["--siege", "reconnect", "--count", "0", "--at-once", "4"];
    let call = options.iter().fold(Call::new(Client::Ours, &gateway, "guestbook"), |call, option| call.option(option));
    let mut writers = call.exec("kv add total 1").start_long();
    writers.wait_for_output("ready");
    writers.type_in(b"go\n");
    let mut backups = Vec::new();
    for number in 1..=3 {
        gateway.wait_all("sessions of writers", |events| {
            let ended = events.iter().filter(|event| event.message == "session ended").count();
            (ended >= number * 20).then_some(())
        });
        let file = format!("backup-{number}");
        let least = total(&gateway);
        let told = said(gateway.folder(), &["backup", &file, "--state", &state]);
        assert!(told.contains("while the server runs"), "{told}");
        // Confirmed after this copy, and before the next one begins.
        ask(&gateway, &format!("kv set after-{number} yes"));
        backups.push((gateway.folder().join(&file).display().to_string(), least, total(&gateway)));
    }
    writers.end_input();
    writers.wait_for_output("done");
    assert!(backups[2].1 > backups[0].1, "nobody wrote: {backups:?}");
    // A file that is there is not replaced, and the copy of the server is gone.
    let again = whelk(gateway.folder(), &["backup", "backup-1", "--state", &state]);
    assert!(again.status == Some(2) && again.err.contains("is there already"), "{}", again.err);
    let left = fs::read_dir(&state).expect("it is a folder").filter_map(Result::ok).map(|entry| entry.file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains("backup")).collect();
    assert!(left.is_empty(), "{left:?}");
    // A running server keeps its store.
    let refused = whelk(gateway.folder(), &["restore", "backup-1", "--state", &state]);
    assert!(refused.status == Some(1) && refused.err.contains("stop the server"), "{}", refused.err);
    for (number, (backup, least, most)) in (1..).zip(&backups) {
        let facts = fs::metadata(backup).expect("it is made");
        assert_eq!(facts.mode() & 0o777, 0o600);
        let restored = restored(backup);
        assert_eq!(ask(&restored, "kv get before"), "yes");
        for mark in 1..=3 {
            let expected = if mark < number { "yes" } else { "" };
            assert_eq!(ask(&restored, &format!("kv get after-{mark}")), expected, "{number}");
        }
        let found = total(&restored);
        assert!((*least..=*most).contains(&found), "{least} {found} {most}");
        // It can be written to.
        ask(&restored, "kv add total 1");
        assert_eq!(total(&restored), found + 1);
        restored.end();
    }
    figure("the number before and after each backup under load", format!("{backups:?}"));
    gateway.end();
}

#[test]
fn without_a_server_a_backup_is_a_copy_of_the_file_and_what_is_none_is_refused() {
    let setup = Setup::default();
    let (folder, state) = (setup.folder().to_owned(), setup.state().display().to_string());
    let gateway = setup.start();
    ask(&gateway, "kv set name value");
    let copy = Setup::default();
    let elsewhere = copy.state().display().to_string();
    let none = whelk(copy.folder(), &["backup", "b", "--state", &elsewhere]);
    assert_eq!(none.status, Some(2), "{}", none.err);
    said(&folder, &["backup", "first", "--state", &state]);
    // Into a folder that no server uses, and from there as a file.
    fs::DirBuilder::new().mode(0o700).create(copy.state()).expect("the temporary folder can be written");
    let first = folder.join("first").display().to_string();
    said(copy.folder(), &["restore", &first, "--state", &elsewhere]);
    let told = said(copy.folder(), &["backup", "second", "--state", &elsewhere]);
    assert!(told.contains("no server runs"), "{told}");
    let second = copy.folder().join("second").display().to_string();
    let restored = restored(&second);
    assert_eq!(ask(&restored, "kv get name"), "value");
    restored.end();
    let kept = fs::read(copy.state().join("keyvalue.redb")).expect("the store is there");
    fs::write(copy.folder().join("odd"), "hello").expect("the temporary folder can be written");
    for (file, words) in
        [("odd", "odd is no backup: "), ("absent", "there is no such file"), (".", "not a regular file")]
    {
        let refused = whelk(copy.folder(), &["restore", file, "--state", &elsewhere]);
        assert!(refused.status == Some(2) && refused.err.contains(words), "{file}: {}", refused.err);
    }
    assert_eq!(fs::read(copy.state().join("keyvalue.redb")).expect("the store is there"), kept);
    gateway.end();
}
