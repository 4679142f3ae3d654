//! Homes with OpenSSH: whose they are, whatever a client types, who shares them, and what is left of temporary ones.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use whelk_tests::{
    Access, Call, Client, Finished, Gateway, Input, Running, SOON, Setup, build_guest, client_program, shipped_plugins,
};

/// Who logs in is whom the authenticator grants: it does what the password says. The user `guest` needs no credentials.
const CONFIGURATION: &str = "\
[users.guest]
tenant = \"brief\"
auth = \"none\"
[tenants.acme]
plugin = \"files\"
grants.directory = { path = \"homes/{principal}\", from = \"skel\" }
[tenants.brief]
plugin = \"files\"
routes.exec = { scp = \"scp\" }
routes.subsystem = { sftp = \"sftp\" }
grants.directory = { ephemeral = true, from = \"skel\" }
[[authenticators]]
name = \"door\"
plugin = \"doorman\"
users = \"*\"
tenants = [\"acme\"]
";

fn gateway() -> Gateway {
    let setup = Setup::default();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let plugins = setup.folder().join("own");
    for folder in ["own", "own/bin", "homes", "skel"] {
        fs::DirBuilder::new().mode(0o755).create(setup.folder().join(folder)).expect("our own folder");
    }
    fs::write(setup.folder().join("skel/.profile"), "welcome").expect("our own folder");
    for name in ["files", "doorman"] {
        let wasm = build_guest(&format!("host/runtime/tests/guests/{name}"), name, &target);
        fs::write(plugins.join(name).with_extension("wasm"), wasm).expect("our own folder");
    }
    for name in ["bin/scp.wasm", "bin/sftp.wasm"] {
        let program = fs::read(shipped_plugins().join(name)).expect("it is built");
        fs::write(plugins.join(name), program).expect("our own folder");
    }
    setup.plugins(plugins).configuration(CONFIGURATION).start()
}

/// What a session answers to these actions, one a line.
fn answers(finished: &Finished) -> Vec<String> {
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    finished.out.text().replace('\0', "").lines().map(str::to_owned).collect()
}

/// Runs actions as this principal, with this name typed.
fn run(client: Client, gateway: &Gateway, typed: &str, principal: &str, actions: &str) -> Vec<String> {
    let access = Access::password(&format!("accept acme files as={principal}"));
    let call = Call::new(client, gateway, typed).access(access);
    answers(&call.run(Input::Bytes(actions.as_bytes().to_vec())))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is there").filter_map(Result::ok);
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The folder of the homes that are removed.
fn ephemeral(gateway: &Gateway) -> PathBuf {
    gateway.folder().join("state/ephemeral/brief")
}

/// Waits until so many homes were removed since the start.
fn wait_for_removals(gateway: &Gateway, count: usize) {
    gateway.wait_all("homes that are removed", |events| {
        (events.iter().filter(|event| event.message == "home removed").count() >= count).then_some(())
    });
}

/// A session of `guest` that stays, and has written this to the file `sent`.
fn held(call: &Call, text: &str) -> Running {
    let mut session = call.start();
    session.type_in(format!("read .profile;write sent {text}").as_bytes());
    session.wait_for_output("welcome\nok");
    session
}

#[test]
fn two_principals_never_see_each_others_homes_whatever_their_clients_type() {
    let gateway = gateway();
    let typed = ["alice", "bob", "Alice", "..", "../bob", "bob/..", "%62ob", "acme"];
    for (number, (name, client)) in typed.iter().zip([Client::OpenSsh92, Client::OpenSsh100].iter().cycle()).enumerate()
    {
        let actions =
            format!("read .profile;write alices-{number} x;stat secret;stat ../bob/secret;stat ../../homes/bob");
        let seen = run(*client, &gateway, name, "alice", &actions);
        assert_eq!(seen[..3], ["welcome", "ok", "none"], "{name}");
        assert!(seen[3..].iter().all(|way| way == "denied" || way == "none"), "{name}: {seen:?}");
        let seen = run(*client, &gateway, name, "bob", &format!("write secret {number};count .;stat alices-0"));
        assert_eq!(seen, ["ok", "2", "none"], "{name}");
    }
    let seen = run(Client::OpenSsh100, &gateway, "bob", "alice", "count .");
    assert_eq!(seen, [(typed.len() + 1).to_string()]);
    // Principals that differ in case alone, or would leave the folder.
    for principal in ["Alice", "..", "../alice", "a/b"] {
        assert_eq!(run(Client::OpenSsh100, &gateway, "alice", principal, "count ."), ["1"], "{principal}");
    }
    let homes = names(&gateway.folder().join("homes"));
    assert_eq!(homes, ["%2e.", "%2e.%2falice", "%41lice", "a%2fb", "alice", "bob"]);
    gateway.end();
}

#[test]
fn sessions_of_one_connection_share_an_ephemeral_home_that_is_gone_with_it() {
    let gateway = gateway();
    let socket = format!("ControlPath={}", gateway.folder().join("control").display());
    for (round, client) in [Client::OpenSsh92, Client::OpenSsh100].into_iter().enumerate() {
        let call = |master: &str| {
            let call = Call::new(client, &gateway, "guest").option("-o").option(&socket);
            call.option("-o").option(&format!("ControlMaster={master}"))
        };
        let first = held(&call("yes"), "data");
        let second = call("no").run(Input::Bytes(b"read sent;append sent more".to_vec()));
        assert_eq!(answers(&second), ["data", "ok"]);
        let third = call("no").run(Input::Bytes(b"read sent".to_vec()));
        assert_eq!(answers(&third), ["datamore"]);
        let other = Call::new(client, &gateway, "guest").run(Input::Bytes(b"stat sent;read .profile".to_vec()));
        assert_eq!(answers(&other), ["none", "welcome"]);
        assert_eq!(first.finish().status, Some(0));
        wait_for_removals(&gateway, 2 * (round + 1));
        assert_eq!(names(&ephemeral(&gateway)), [""; 0]);
    }
    gateway.end();
}

/// Runs `scp -O` (`scp`, by its own protocol) or `sftp` over the connection of this socket.
fn copy(program: &str, version: &str, gateway: &Gateway, socket: &str, places: [&str; 2]) {
    let mut command = Command::new(client_program(&format!("{program}-{version}")));
    command.args(["-F", "none", "-o", socket, "-oControlMaster=no", "-oBatchMode=yes", "-oLogLevel=ERROR"]);
    command.args(["-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oPubkeyAuthentication=no"]);
    command.arg("-S").arg(client_program(&format!("ssh-{version}"))).args(["-P", &gateway.port().to_string()]);
    if program == "scp" {
        command.arg("-O");
    }
    command.args(places);
    let finished = Running::run(command, Input::Nothing, SOON);
    assert_eq!(finished.status, Some(0), "{program} {version}: {}", finished.err);
}

#[test]
fn sftp_lists_the_programs_that_there_are_and_copies_none_of_them() {
    let gateway = gateway();
    let copied = gateway.folder().join("copied");
    for version in ["9.2", "10.0"] {
        let mut command = Command::new(client_program(&format!("sftp-{version}")));
        command.args(["-F", "none", "-oLogLevel=ERROR", "-oStrictHostKeyChecking=no", "-oPubkeyAuthentication=no"]);
        command.args(["-oUserKnownHostsFile=/dev/null", "-S"]).arg(client_program(&format!("ssh-{version}")));
        command.args(["-P", &gateway.port().to_string(), "-b", "-", "guest@127.0.0.1"]);
        let batch = format!("ls -1 /bin\nls -1 /usr/bin\n-get /bin/scp {}\nls -l /bin/sftp\n", copied.display());
        let finished = Running::run(command, Input::Bytes(batch.into_bytes()), SOON);
        assert_eq!(finished.status, Some(0), "sftp {version}: {}", finished.err);
        let listed: Vec<_> =
            finished.out.text().lines().filter(|line| !line.starts_with("sftp>")).map(str::to_owned).collect();
        assert_eq!(listed[..4], ["/bin/scp", "/bin/sftp", "/usr/bin/scp", "/usr/bin/sftp"], "{listed:?}");
        let size = fs::metadata(gateway.plugins().join("bin/sftp.wasm")).expect("our own folder").len().to_string();
        assert!(listed[4..].concat().split_whitespace().any(|word| word == size), "{listed:?}");
        assert!(finished.err.contains("ermission denied") && !copied.exists(), "{}", finished.err);
    }
    gateway.end();
}

#[test]
fn scp_and_sftp_and_then_ssh_over_one_connection_see_the_same_ephemeral_home() {
    let gateway = gateway();
    let (own, back) = (gateway.folder().join("own-file"), gateway.folder().join("back"));
    let text = |path: &Path| path.to_str().expect("it is UTF-8").to_owned();
    for (round, (client, version)) in [(Client::OpenSsh92, "9.2"), (Client::OpenSsh100, "10.0")].into_iter().enumerate()
    {
        let socket = format!("ControlPath={}", gateway.folder().join(format!("master-{version}")).display());
        let call = |master: &str| {
            let call = Call::new(client, &gateway, "guest").option("-o").option(&socket);
            call.option("-o").option(&format!("ControlMaster={master}"))
        };
        let first = held(&call("yes"), "data");
        fs::write(&own, format!("of {version}")).expect("our own folder");
        copy("scp", version, &gateway, &socket, [&text(&own), "guest@127.0.0.1:copied"]);
        let second = call("no").run(Input::Bytes(b"read copied;write new made;read sent".to_vec()));
        assert_eq!(answers(&second), [&*format!("of {version}"), "ok", "data"]);
        for (program, name) in [("scp", "new"), ("sftp", "new"), ("sftp", "copied")] {
            let _ = fs::remove_file(&back);
            copy(program, version, &gateway, &socket, [&format!("guest@127.0.0.1:{name}"), &text(&back)]);
            let expected = if name == "new" { "made".to_owned() } else { format!("of {version}") };
            assert_eq!(fs::read_to_string(&back).ok(), Some(expected), "{program} {version}: {name}");
        }
        let other = Call::new(client, &gateway, "guest").run(Input::Bytes(b"stat copied;read .profile".to_vec()));
        assert_eq!(answers(&other), ["none", "welcome"]);
        assert_eq!(first.finish().status, Some(0));
        wait_for_removals(&gateway, 2 * (round + 1));
        assert_eq!(names(&ephemeral(&gateway)), [""; 0]);
    }
    gateway.end();
}

#[test]
fn ephemeral_homes_leave_nothing_behind_after_a_kill_and_a_restart_and_others_stay() {
    let mut gateway = gateway();
    assert_eq!(run(Client::OpenSsh100, &gateway, "x", "alice", "write kept yes"), ["ok"]);
    let sessions: Vec<Running> =
        (0..3).map(|number| held(&Call::new(Client::OpenSsh100, &gateway, "guest"), &number.to_string())).collect();
    let folder = ephemeral(&gateway);
    assert_eq!(names(&folder).len(), 3);
    // The operator's, with the name of one and without its mark.
    fs::create_dir(folder.join(".whelk-temporary-mine")).expect("our own folder");
    fs::write(folder.join(".whelk-temporary-mine/data"), "x").expect("our own folder");
    gateway.kill_and_restart();
    sessions.into_iter().for_each(Running::kill_and_wait);
    wait_for_removals(&gateway, 3);
    assert_eq!(names(&folder), [".whelk-temporary-mine"]);
    assert!(folder.join(".whelk-temporary-mine/data").exists());
    assert_eq!(run(Client::OpenSsh100, &gateway, "y", "alice", "read kept"), ["yes"]);
    // An orderly end leaves nothing either.
    let session = held(&Call::new(Client::OpenSsh100, &gateway, "guest"), "x");
    assert_eq!(names(&folder).len(), 2);
    gateway.terminate();
    session.kill_and_wait();
    assert_eq!(names(&folder), [".whelk-temporary-mine"]);
}

#[test]
fn a_reload_changes_the_quota_of_homes_in_use_and_takes_those_of_a_removed_tenant_away() {
    let gateway = gateway();
    let path = gateway.configuration().expect("it has one").to_owned();
    let reload = |change: &dyn Fn(&str) -> String, times: usize| {
        let text = fs::read_to_string(&path).expect("it is there");
        fs::write(&path, change(&text)).expect("our own folder");
        gateway.signal(rustix::process::Signal::HUP);
        gateway.wait_all("a reload", |events| {
            let reloaded = |event: &&whelk_tests::Event| event.message == "configuration reloaded";
            (events.iter().filter(reloaded).count() == times).then_some(())
        });
    };
    let access = Access::password("accept acme files as=alice");
    let call = Call::new(Client::OpenSsh100, &gateway, "x").access(access);
    let mut alice = call.start();
    alice.type_in(b"fill big 2000");
    alice.wait_for_output("ok");
    reload(&|text| text.replace("from = \"skel\" }", "from = \"skel\", bytes = \"1 KiB\" }"), 1);
    alice.type_in(b"append big x;stat big");
    alice.wait_for_output("io\nfile 2000");
    let guest = held(&Call::new(Client::OpenSsh100, &gateway, "guest"), "x");
    let folder = ephemeral(&gateway);
    assert_eq!(names(&folder).len(), 1);
    reload(
        &|text| {
            let start = text.find("[tenants.brief]").expect("it is there");
            let end = text.find("[[auth").expect("it is there");
            let guest =
                text.find("[users.guest]").expect("it is there")..text.find("[tenants.acme]").expect("it is there");
            format!("{}{}{}", &text[..guest.start], &text[guest.end..start], &text[end..])
        },
        2,
    );
    // Whether it was revoked or its client leaves: the home goes.
    guest.kill_and_wait();
    wait_for_removals(&gateway, 1);
    assert_eq!(names(&folder), [""; 0]);
    alice.type_in(b"stat big");
    alice.wait_for_output("file 2000");
    assert_eq!(alice.finish().status, Some(0));
    gateway.end();
}
