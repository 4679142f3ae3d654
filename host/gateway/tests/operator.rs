//! What an operator does beside serving: `whelk user` and `whelk doctor`. No test here needs a connection.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod guest;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKvwe0BStbJY6amYVE23FB5tBW1vTr8O6hl5o4Eur7Fp alice@example.org";
const FINGERPRINT: &str = "SHA256:XIIzm7T4WByx70pOxUHDorZhdykl92EBGDgt1j2VIfc";
const CONFIGURATION: &str = "\
# The gateway of the office.
listen = [\"127.0.0.1:2222\"]   # for now
state  = 'state'

# Alice, since 2026
[users.alice]
plugin = \"echo\"
auth = \"none\"

[limits]
instances = 100
";

/// A folder with a plugin and a configuration.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    fs::write(folder.path().join("plugins/echo.wasm"), "").unwrap();
    fs::write(folder.path().join("alice.pub"), format!("{KEY}\n")).unwrap();
    let file = folder.path().join("whelk.toml");
    fs::write(&file, CONFIGURATION).unwrap();
    (folder, file)
}

fn whelk(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whelk"));
    command.args(arguments).current_dir(folder).env_remove("WHELK_LOG").env("XDG_STATE_HOME", folder);
    command.stdin(Stdio::null());
    command
}

/// The status, and both outputs.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    output(whelk(folder, arguments))
}

fn output(mut command: Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn add(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    run(folder, &[&["user", "add", "--config", "whelk.toml"], arguments].concat())
}

fn remove(folder: &Path, name: &str) -> (i32, String, String) {
    run(folder, &["user", "remove", "--config", "whelk.toml", name])
}

#[test]
fn a_user_is_added_listed_and_removed_and_the_file_is_as_before() {
    let (folder, file) = place();
    let folder = folder.path();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let (status, stdout, stderr) = add(folder, &["bob", "--key", "alice.pub", "--plugin", "echo"]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert_eq!(
        stdout,
        "whelk.toml: the user \"bob\" is added; `whelk reload --config whelk.toml` tells a running server\n"
    );
    let added = fs::read_to_string(&file).unwrap();
    let bob = format!("[users.bob]\nplugin = \"echo\"\nkeys = [\"{KEY}\"]\n\n");
    assert_eq!(added.replace(&bob, ""), CONFIGURATION);
    assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o600);
    let (_, listed, _) = run(folder, &["user", "list", "--config", "whelk.toml"]);
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["USER", "TENANT", "PLUGIN", "METHODS", "PASSWORD", "KEYS"], "{listed}");
    assert_eq!(lines[1], ["alice", "default", "echo", "none:", "anybody", "no", "0"]);
    assert_eq!(lines[2], ["bob", "default", "echo", "any", "no", "1"]);
    assert_eq!(lines[3], ["ssh-ed25519", FINGERPRINT]);
    let (_, listed, _) = run(folder, &["user", "list", "--config", "whelk.toml", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&listed[0]["name"], &listed[0]["anybody"]), (&Value::from("alice"), &Value::from(true)));
    assert_eq!(listed[1]["keys"][0]["fingerprint"], FINGERPRINT);
    // The edit is made, and no server was told.
    let (status, stdout, stderr) = run(folder, &["user", "remove", "--config", "whelk.toml", "bob", "--reload"]);
    assert_eq!((status, stdout.as_str()), (1, "whelk.toml: the user \"bob\" is removed\n"));
    assert!(stderr.contains("no whelk is running"), "{stderr}");
    assert_eq!(fs::read_to_string(&file).unwrap(), CONFIGURATION);
}

#[test]
fn what_would_be_no_configuration_is_refused_and_the_file_stays() {
    let (folder, file) = place();
    let folder = folder.path();
    fs::write(folder.join("none.pub"), "# nothing\n").unwrap();
    fs::write(folder.join("odd.pub"), "hello\n").unwrap();
    fs::write(folder.join("large.pub"), "# \n".repeat(1 << 19)).unwrap();
    for (arguments, status, words) in [
        (&["alice", "--key", "alice.pub"][..], 2, "there is a user \"alice\" already"),
        (&["bob", "--key", "alice.pub", "--plugin", "absent"], 2, "users.bob.plugin: there is no plugin \"absent\""),
        (&["bob", "--key", "alice.pub", "--tenant", "acme", "--plugin", "echo"], 2, "users.bob.tenant: "),
        (&["bob", "--key", "alice.pub"], 2, "users.bob: has no plugin"),
        (&["bob", "--plugin", "echo"], 2, "users.bob: could never enter"),
        (&["", "--key", "alice.pub", "--plugin", "echo"], 2, "a user name has from 1 to"),
        (&["a\nb", "--key", "alice.pub", "--plugin", "echo"], 2, "a user name has no control characters"),
        (&["bob", "--key", "absent.pub"], 2, "absent.pub: No such file"),
        (&["bob", "--key", "none.pub"], 2, "none.pub: has no public key"),
        (&["bob", "--key", "odd.pub"], 2, "odd.pub:1: does not begin with a type of key"),
        (&["bob", "--key", "large.pub"], 2, "large.pub is larger than 1048576 bytes"),
        (&["bob", "--key", "."], 2, ". is not a regular file"),
        (&["bob", "--key", "-", "--password"], 2, "would both read standard input"),
    ] {
        let (found, stdout, stderr) = add(folder, arguments);
        assert_eq!((found, stdout.as_str()), (status, ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
        assert_eq!(fs::read_to_string(&file).unwrap(), CONFIGURATION);
    }
    let (status, _, stderr) = remove(folder, "bob");
    assert_eq!((status, stderr.contains("whelk.toml: there is no user \"bob\"")), (2, true), "{stderr}");
    // The last user.
    let (status, _, stderr) = remove(folder, "alice");
    assert_eq!((status, stderr.contains("nobody could enter")), (2, true), "{stderr}");
    assert!(stderr.contains("whelk.toml was not changed: the change would cause the errors above"), "{stderr}");
    assert_eq!(fs::read_to_string(&file).unwrap(), CONFIGURATION);
    assert!(fs::read_dir(folder).unwrap().all(|entry| !entry.unwrap().file_name().to_str().unwrap().contains(".new")));
}

#[test]
fn a_configuration_that_is_wrong_already_says_what_and_where() {
    let (folder, file) = place();
    fs::write(&file, "[users\n").unwrap();
    let (status, _, stderr) = add(folder.path(), &["bob", "--key", "alice.pub"]);
    assert_eq!((status, stderr.contains("whelk.toml:1: ")), (2, true), "{stderr}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let (status, _, stderr) = add(folder.path(), &["bob", "--key", "alice.pub"]);
    assert_eq!((status, stderr.contains("others may write to ")), (2, true), "{stderr}");
}

#[test]
fn a_key_comes_by_standard_input_and_a_password_is_hashed() {
    let (folder, file) = place();
    let through = |arguments: &[&str], input: &str| {
        let mut command = whelk(folder.path(), &[&["user", "add", "--config", "whelk.toml"], arguments].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    };
    let input = format!("# mine\r\nrestrict,command=\"a \\\"b\\\"\" {KEY}\r\n\r\n");
    through(&["o'brien the 2nd", "--key", "-", "--plugin", "echo", "--key", "alice.pub"], &input);
    through(&["carol", "--password", "--plugin", "echo", "--authorized-keys", "keys/carol"], "secret\n");
    let text = fs::read_to_string(&file).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let obrien = table["users"]["o'brien the 2nd"]["keys"].as_array().unwrap();
    assert_eq!(obrien[0].as_str().unwrap(), format!("restrict,command=\"a \\\"b\\\"\" {KEY}"));
    assert_eq!(obrien[1].as_str().unwrap(), KEY);
    let hash = table["users"]["carol"]["password"].as_str().unwrap();
    let hash = whelk::credential::PasswordHash::parse(hash).unwrap();
    assert_eq!(hash.verify(b"secret"), Ok(true));
    assert_eq!(table["users"]["carol"]["authorized_keys"].as_str(), Some("keys/carol"));
}

#[test]
fn a_link_is_followed_and_a_read_only_folder_is_named() {
    let (folder, file) = place();
    let elsewhere = tempfile::tempdir_in(folder.path()).unwrap();
    let real = elsewhere.path().join("real.toml");
    fs::rename(&file, &real).unwrap();
    symlink(&real, &file).unwrap();
    let (status, _, stderr) = add(folder.path(), &["bob", "--key", "alice.pub", "--plugin", "echo"]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(file.symlink_metadata().unwrap().is_symlink());
    assert!(fs::read_to_string(&real).unwrap().contains("[users.bob]"));
    // Root may write everywhere but where nobody can.
    let (status, _, stderr) = run(folder.path(), &["user", "remove", "bob", "--config", "/proc/self/status"]);
    assert_eq!(status, 2, "{stderr}");
}

#[test]
fn init_without_a_terminal_takes_what_there_is_or_says_what_is_missing_and_leaves_nothing() {
    let (folder, _) = place();
    let folder = folder.path();
    fs::create_dir(folder.join(".ssh")).unwrap();
    let init = |arguments: &[&str]| {
        let mut command = whelk(folder, &[&["init", "new/site"], arguments].concat());
        output({
            command.env("HOME", folder).env("LOGNAME", "carol").env_remove("SUDO_USER");
            command
        })
    };
    let plugin = "plugins/echo.wasm";
    fs::write(folder.join("bad.wasm"), "no plugin").unwrap();
    fs::copy(guest::build(&["bare"]).join("bare.wasm"), folder.join(plugin)).unwrap();
    for (arguments, words) in [
        (&["--plugin", "bad.wasm", "--key", "alice.pub", "--user", "a"][..], "bad"),
        (&["--plugin", plugin], "there is no public key in ~/.ssh: name one with --key"),
        (&["--plugin", plugin, "--key", "absent.pub"], "absent.pub: No such file"),
        (&["--plugin", "absent.wasm", "--key", "alice.pub"], "absent.wasm: No such file"),
        (&["--plugin", "absent", "--key", "alice.pub"], "there is no plugin \"absent\" beside the program"),
        (&["--plugin", "a/b", "--key", "alice.pub"], "a/b: a plugin is a file NAME.wasm"),
        (&["--plugin", plugin, "--key", "alice.pub", "--user", ""], "a user name has from 1 to"),
        (&["--plugin", plugin, "--key", "alice.pub", "--state", "../../alice.pub"], "a file is in its place"),
    ] {
        let (status, stdout, stderr) = init(arguments);
        assert_eq!((status, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
        assert!(!folder.join("new").exists(), "{arguments:?}");
    }
    fs::write(folder.join(".ssh/id_rsa.pub"), "no key\n").unwrap();
    fs::write(folder.join(".ssh/id_ed25519-cert.pub"), "no key\n").unwrap();
    fs::copy(folder.join("alice.pub"), folder.join(".ssh/id_ed25519.pub")).unwrap();
    let (status, stdout, stderr) = init(&["--plugin", plugin]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(stdout.contains(FINGERPRINT) && stdout.contains("ssh -p 2222 carol@127.0.0.1"), "{stdout}");
    let text = fs::read_to_string(folder.join("new/site/whelk.toml")).unwrap();
    assert!(text.ends_with(&format!("[users.carol]\nplugin = \"echo\"\nkeys = [\"{KEY}\"]\n")), "{text}");
    let mode = |path: &str| folder.join(path).metadata().unwrap().mode() & 0o777;
    assert_eq!((mode("new/site/whelk.toml"), mode("new/site/state"), mode("new")), (0o640, 0o700, 0o755));
    // Only the last folder of the state is private, an address that is none of a machine is not printed, and another
    // plugin of the same name is not taken for the one that was named.
    fs::create_dir_all(folder.join("deep/plugins")).unwrap();
    fs::write(folder.join("deep/plugins/echo.wasm"), "another").unwrap();
    let deep = ["init", "deep", "--key", "alice.pub", "--user", "a", "--state", "a/b", "--listen", "[::]:2222"];
    let (status, _, stderr) = run(folder, &[&deep[..], &["--plugin", plugin]].concat());
    assert!(status == 2 && stderr.contains("is there already, and is not plugins/echo.wasm"), "{stderr}");
    fs::remove_file(folder.join("deep/plugins/echo.wasm")).unwrap();
    let (status, stdout, stderr) = run(folder, &[&deep[..], &["--plugin", plugin]].concat());
    assert!(status == 0 && stdout.contains("ssh -p 2222 a@THIS-MACHINE"), "{stdout}{stderr}");
    assert_eq!((mode("deep/a"), mode("deep/a/b")), (0o755, 0o700));
    // A folder that others may write to.
    let open = folder.join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let (status, _, stderr) = run(folder, &["init", "open", "--key", "alice.pub", "--user", "a", "--plugin", plugin]);
    assert_eq!((status, stderr.contains("others may write to open")), (2, true), "{stderr}");
    assert_eq!(fs::read_dir(open).unwrap().count(), 0);
}

/// The findings of `whelk doctor --json` by their names.
fn examined(command: Command) -> (i32, Value, impl Fn(&str) -> Value) {
    let (status, stdout, stderr) = output(command);
    let all: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    let findings = all["findings"].as_array().unwrap().clone();
    let find = move |what: &str| {
        let found = findings.iter().find(|finding| finding["what"] == what);
        found.unwrap_or_else(|| panic!("no {what} in {findings:?}")).clone()
    };
    (status, all, find)
}

/// A command in a shell that lowers limits first.
fn limited(folder: &Path, limits: &str, arguments: &[&str]) -> Command {
    let inner = whelk(folder, arguments);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limits} && exec \"$@\""), "sh"]).arg(inner.get_program()).args(inner.get_args());
    command.current_dir(folder).env_remove("WHELK_LOG").env("XDG_STATE_HOME", folder).stdin(Stdio::null());
    command
}

#[test]
fn the_doctor_counts_the_connections_that_a_server_then_has_room_for() {
    let (folder, file) = place();
    fs::write(&file, CONFIGURATION.replace("2222", "0")).unwrap();
    for files in [1024, 700] {
        let limits = format!("ulimit -n {files}");
        let arguments = ["doctor", "--config", "whelk.toml", "--json"];
        let (status, all, find) = examined(limited(folder.path(), &limits, &arguments));
        assert_eq!((status, &all["starts"], &all["enough"]), (1, &Value::from(true), &Value::from(false)));
        let finding = find("the number of open files");
        assert_eq!(finding["verdict"], "less");
        assert!(finding["value"].as_str().unwrap().contains(&format!("hard limit {files};")), "{finding}");
        assert!(finding["change"].as_str().unwrap().contains("LimitNOFILE="), "{finding}");
        let arguments = ["serve", "--config", "whelk.toml", "--log", "json"];
        let mut server = limited(folder.path(), &limits, &arguments);
        let mut server = server.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(server.stderr.take().unwrap()).lines().map(Result::unwrap);
        let events = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap()["fields"].clone());
        // The last event of a start.
        let events: Vec<_> = events.take_while(|event| event["message"] != "listening").collect();
        server.kill().unwrap();
        server.wait().unwrap();
        let is_room = |event: &&Value| event["message"].as_str().unwrap().starts_with("room for connections");
        let room = events.iter().find(is_room).unwrap();
        let (connections, unauthenticated) = (&room["connections"], &room["unauthenticated"]);
        let words = format!("room for {connections} of 10000 connections, {unauthenticated} of them not logged in");
        assert!(finding["means"].as_str().unwrap().contains(&words), "{finding}\n{room}");
    }
}

#[test]
fn the_doctor_says_what_prevents_a_start_as_the_start_does() {
    let (folder, _) = place();
    let arguments = ["doctor", "--config", "whelk.toml", "--json"];
    let (status, all, find) = examined(limited(folder.path(), "ulimit -v 2000000", &arguments));
    assert_eq!((status, &all["starts"]), (2, &Value::from(false)));
    let finding = find("the address space in bytes (RLIMIT_AS)");
    assert_eq!(finding["verdict"], "missing");
    let (status, _, stderr) = output(limited(folder.path(), "ulimit -v 2000000", &["serve", "--config", "whelk.toml"]));
    assert_eq!(status, 2, "{stderr}");
    let needs = finding["value"].as_str().unwrap().replace("; ", ", and at least ");
    assert!(stderr.contains(&needs) && stderr.contains(finding["change"].as_str().unwrap()), "{finding}\n{stderr}");
}

#[test]
fn the_doctor_works_without_a_configuration_and_with_a_wrong_one() {
    let (folder, file) = place();
    let (status, all, find) = examined(whelk(folder.path(), &["doctor", "--json"]));
    assert_eq!(status == 0, all["enough"] == true, "{all}");
    for what in ["the number of threads", "the memory in bytes", "vm.max_map_count", "clock", "random numbers", "umask"]
    {
        let value = find(what)["value"].as_str().unwrap().to_owned();
        assert!(value == "is synchronized" || value.bytes().any(|byte| byte.is_ascii_digit()) || what != "umask");
        assert!(value.len() > 3, "{what}: {value}");
    }
    // The same for people.
    let (_, stdout, stderr) = run(folder.path(), &["doctor"]);
    assert!(stdout.contains(" vm.max_map_count: ") && stdout.contains("room for "), "{stdout}");
    assert!(format!("{stdout}{stderr}").contains("(with the defaults of all limits)"), "{stdout}{stderr}");
    fs::write(&file, "lisen = 1\n").unwrap();
    let (status, all, find) = examined(whelk(folder.path(), &["doctor", "--config", "whelk.toml", "--json"]));
    assert_eq!((status, &all["starts"]), (2, &Value::from(false)));
    assert!(find("configuration")["value"].as_str().unwrap().contains("lisen"), "{all}");
}

#[test]
fn the_doctor_finds_what_prevents_a_start_in_the_state_folder() {
    let (folder, _) = place();
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    let examine =
        || examined(whelk(folder.path(), &["doctor", "--config", "whelk.toml", "--listen", "127.0.0.1:0", "--json"]));
    let (_, _, find) = examine();
    assert_eq!(find("host keys")["value"], "none yet");
    assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
    fs::write(state.join("ssh_host_ed25519_key"), "garbage").unwrap();
    for (mode, words) in [(0o644, "which is too open for a private key"), (0o600, "ssh_host_ed25519_key: ")] {
        fs::set_permissions(state.join("ssh_host_ed25519_key"), fs::Permissions::from_mode(mode)).unwrap();
        let (status, all, find) = examine();
        assert_eq!(
            (status, &all["starts"], &find("host keys")["verdict"]),
            (2, &Value::from(false), &Value::from("missing"))
        );
        assert!(find("host keys")["value"].as_str().unwrap().contains(words), "{all}");
    }
    fs::remove_file(state.join("ssh_host_ed25519_key")).unwrap();
    // A server without a control socket, and something that can be no lock.
    let lock = fs::File::create(state.join("lock")).unwrap();
    lock.lock().unwrap();
    let (status, _, find) = examine();
    assert_eq!((status, &find("state folder")["verdict"]), (2, &Value::from("missing")));
    assert!(find("state folder")["means"].as_str().unwrap().contains("another whelk is running"));
    drop(lock);
    fs::remove_file(state.join("lock")).unwrap();
    fs::create_dir(state.join("lock")).unwrap();
    assert_eq!((examine().2)("state folder")["verdict"], "missing");
}

#[test]
fn everybody_who_may_read_hashes_is_noted() {
    let (folder, file) = place();
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$c2FsdHNhbHRzYWx0c2FsdHNhbHRzYWx0c2FsdHNhbHQ";
    let text = CONFIGURATION.replace("auth = \"none\"", &format!("password = \"{hash}\""));
    fs::write(&file, text).unwrap();
    let words = "everybody on this machine may read the hashes of passwords in it (mode 0644): `chmod 640 whelk.toml`";
    for (mode, is_noted) in [(0o644, true), (0o640, false)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let (status, stdout, stderr) = add(folder.path(), &["bob", "--key", "alice.pub", "--plugin", "echo"]);
        assert_eq!((status, stdout.contains(words)), (0, is_noted), "{stdout}{stderr}");
        remove(folder.path(), "bob");
        let (_, stdout, _) = run(folder.path(), &["doctor", "--config", "whelk.toml"]);
        assert_eq!(stdout.contains(words), is_noted, "{stdout}");
    }
}

#[test]
fn a_user_without_a_setting_is_refused_where_each_setting_is_a_line() {
    let (folder, file) = place();
    let text = "plugins = 'plugins'\nusers.alice.plugin = 'echo'\nusers.alice.auth = 'none'\n";
    fs::write(&file, text).unwrap();
    let (status, stdout, stderr) = add(folder.path(), &["dave"]);
    assert_eq!((status, stdout.as_str()), (2, ""), "{stderr}");
    assert!(stderr.contains("a user without a setting cannot be written as"), "{stderr}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn the_doctor_finds_an_address_in_use() {
    let (folder, file) = place();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    fs::write(&file, CONFIGURATION.replace("127.0.0.1:2222", &address.to_string())).unwrap();
    let (status, _, find) = examined(whelk(folder.path(), &["doctor", "--config", "whelk.toml", "--json"]));
    assert_eq!(status, 2);
    assert_eq!(find(&format!("listen on {address}"))["verdict"], "missing");
}
