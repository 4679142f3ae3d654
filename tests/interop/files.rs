//! sftp and scp with OpenSSH, without a line of configuration where users have homes: whose files they reach, what a
//! forced command leaves of them, and what the audit says.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use whelk_tests::{
    Access, Call, Client, Finished, Gateway, Input, Keys, OPENSSH_VERSIONS, Output, Running, SOON, Setup, build_guest,
    client_program, openssh_tool, shipped_plugins, size,
};

/// Users with homes and without, by the keys in `keys`; `forced` has keys that may do one thing each. Whoever else
/// comes is let into `granted` by an authenticator.
const CONFIGURATION: &str = r#"
[audit]
file = "audit.log"
[users.alice]
tenant = "homes"
authorized_keys = "keys"
[users.bob]
tenant = "homes"
authorized_keys = "keys"
[users.forced]
tenant = "homes"
authorized_keys = "forced"
[users.plain]
tenant = "plain"
authorized_keys = "keys"
[users.reached]
tenant = "reached"
authorized_keys = "keys"
[users.brief]
tenant = "brief"
auth = "none"
[tenants.homes]
plugin = "echo"
grants.directory = { path = "homes/{principal}", from = "skel", files = 20000 }
[tenants.granted]
plugin = "echo"
grants.directory = { path = "granted/{principal}" }
[tenants.plain]
plugin = "echo"
grants.directory = { path = "plain", access = "read-write" }
[tenants.reached]
plugin = "echo"
files = true
grants.directory = { path = "reached", access = "read-write" }
[tenants.brief]
plugin = "echo"
grants.directory = { ephemeral = true, from = "skel" }
[[authenticators]]
name = "door"
plugin = "doorman"
users = "*@door"
tenants = ["granted"]
"#;

struct Place {
    gateway: Gateway,
    key: Arc<Keys>,
    /// Keys with forced commands: `internal-sftp`, and `scp -t /drop`.
    forced: [Arc<Keys>; 2],
}

impl Place {
    /// A gateway with these programs.
    fn new(programs: &[&str]) -> Self {
        let setup = Setup::default();
        let folder = setup.folder().to_owned();
        for name in ["own", "own/bin", "homes", "skel", "skel/drop", "granted", "plain", "reached"] {
            fs::DirBuilder::new().mode(0o755).create(folder.join(name)).expect("our own folder");
        }
        fs::write(folder.join("skel/welcome"), "welcome\n").expect("our own folder");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
        let doorman = build_guest("host/runtime/tests/guests/doorman", "doorman", &target);
        fs::write(folder.join("own/doorman.wasm"), doorman).expect("our own folder");
        for name in ["echo"]
            .iter()
            .map(|name| format!("{name}.wasm"))
            .chain(programs.iter().map(|name| format!("bin/{name}.wasm")))
        {
            let wasm = fs::read(shipped_plugins().join(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            fs::write(folder.join("own").join(&name), wasm).expect("our own folder");
        }
        let (access, line) = Access::fresh_key();
        let (sftp, sftp_line) = Access::fresh_key();
        let (scp, scp_line) = Access::fresh_key();
        fs::write(folder.join("keys"), line).expect("our own folder");
        let forced = format!("command=\"internal-sftp\" {sftp_line}command=\"scp -t /drop\" {scp_line}");
        fs::write(folder.join("forced"), forced).expect("our own folder");
        let key = |access| match access {
            Access::Key(key) => key,
            Access::Nothing | Access::Password(_) => unreachable!("a fresh key is a key"),
        };
        let gateway = setup.plugins(folder.join("own")).configuration(CONFIGURATION).start();
        Self { gateway, key: key(access), forced: [key(sftp), key(scp)] }
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.gateway.folder().join(name)
    }

    /// One of OpenSSH's programs, with a key.
    fn program(&self, name: &str, version: &str, key: &Keys) -> Command {
        let mut command = openssh_tool(&format!("{name}-{version}"), key);
        command.arg("-S").arg(client_program(&format!("ssh-{version}")));
        command.args(["-P", &self.gateway.port().to_string()]);
        command
    }

    /// Runs the commands of a batch of sftp, one a line.
    fn sftp(&self, user: &str, version: &str, key: &Keys, batch: &str) -> Finished {
        let mut command = self.program("sftp", version, key);
        command.args(["-b", "-", &format!("{user}@127.0.0.1")]);
        Running::run(command, Input::Bytes(batch.as_bytes().to_vec()), SOON)
    }

    fn scp(&self, version: &str, key: &Keys, arguments: &[&str]) -> Finished {
        let mut command = self.program("scp", version, key);
        command.args(arguments);
        Running::run(command, Input::Nothing, SOON)
    }

    /// A file of ours to send.
    fn local(&self, name: &str, text: &str) -> String {
        let path = self.folder(name);
        fs::write(&path, text).expect("our own folder");
        path.display().to_string()
    }

    /// The records of the audit about files, in their order.
    fn records(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder("audit.log")).expect("it is there");
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let records = whole.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is one"));
        records.filter(|record| record["event"] == "file_used").collect()
    }
}

#[test]
fn a_home_is_reached_by_sftp_and_by_both_protocols_of_scp() {
    let place = Place::new(&["sftp", "scp"]);
    for version in OPENSSH_VERSIONS {
        let (sent, got) = (place.local("sent", &format!("of {version}\n")), place.folder("got"));
        let got = got.display().to_string();
        let batch = format!("put {sent} new-{version}\nget welcome {got}\nls -1\n");
        let finished = place.sftp("alice", version, &place.key, &batch);
        assert_eq!(finished.status, Some(0), "{version}: {}", finished.err);
        assert_eq!(fs::read_to_string(&got).expect("it came"), "welcome\n");
        let home = place.folder("homes/alice");
        assert_eq!(
            fs::read_to_string(home.join(format!("new-{version}"))).expect("it is there"),
            format!("of {version}\n")
        );
        for options in [&[][..], &["-O"]] {
            let arguments = [options, &[&sent, "alice@127.0.0.1:copied"]].concat();
            let finished = place.scp(version, &place.key, &arguments);
            assert_eq!(finished.status, Some(0), "{version} {options:?}: {}", finished.err);
            let arguments = [options, &["alice@127.0.0.1:copied", &got]].concat();
            let finished = place.scp(version, &place.key, &arguments);
            assert_eq!(finished.status, Some(0), "{version} {options:?}: {}", finished.err);
            assert_eq!(fs::read_to_string(&got).expect("it came"), format!("of {version}\n"));
            fs::remove_file(home.join("copied")).expect("it is there");
        }
        // Each has a home.
        let finished = place.sftp("bob", version, &place.key, "ls -1\nget new-9.2\n");
        assert!(finished.status == Some(1) && finished.err.contains("not found"), "{version}: {}", finished.err);
        // A session that ends takes its home with it.
        let finished = place.sftp("brief", version, &place.key, &format!("put {sent} new\nls -1\n"));
        assert!(finished.status == Some(0) && finished.out.text().contains("welcome"), "{}", finished.err);
    }
    place.gateway.end();
}

#[test]
fn a_directory_that_is_no_home_is_reached_by_one_line_and_a_granted_home_without_any() {
    let place = Place::new(&["sftp", "scp"]);
    fs::write(place.folder("plain/data"), "an application's").expect("our own folder");
    fs::write(place.folder("reached/data"), "text").expect("our own folder");
    for version in OPENSSH_VERSIONS {
        let got = place.folder("got").display().to_string();
        let batch = format!("get data {got}\n");
        let finished = place.sftp("plain", version, &place.key, &batch);
        assert_eq!(finished.status, Some(255), "{version}: {}", finished.err);
        assert!(finished.err.contains("subsystem request failed"), "{version}: {}", finished.err);
        let finished = place.scp(version, &place.key, &["-O", "plain@127.0.0.1:data", &got]);
        assert!(finished.status != Some(0) && !Path::new(&got).exists(), "{version}: {}", finished.err);
        let finished = place.sftp("reached", version, &place.key, &batch);
        assert_eq!(finished.status, Some(0), "{version}: {}", finished.err);
        let finished = place.scp(version, &place.key, &["-O", "reached@127.0.0.1:data", &got]);
        assert_eq!(finished.status, Some(0), "{version}: {}", finished.err);
        assert_eq!(fs::read_to_string(&got).expect("it came"), "text");
        fs::remove_file(&got).expect("it is there");
        // Whom an authenticator lets in. The principal is not the name that was typed.
        let call = Call::new(Client::OpenSsh100, &place.gateway, "who@door");
        let call = call.access(Access::password("accept granted echo as=carol")).exec("scp -f none");
        let finished = call.run(Input::Bytes(vec![0]));
        assert!(finished.out.text().contains("No such file"), "{version}: {:?}", finished.out.text());
        assert!(place.folder("granted/carol").is_dir());
    }
    place.gateway.end();
}

#[test]
fn what_is_routed_is_the_forced_command() {
    let place = Place::new(&["sftp", "scp"]);
    let [sftp, scp] = &place.forced;
    let home = place.folder("homes/forced");
    for version in OPENSSH_VERSIONS {
        let (sent, got) = (place.local("sent", "text"), place.folder("got").display().to_string());
        // `internal-sftp`, whatever the client asks for.
        let finished = place.sftp("forced", version, sftp, &format!("put {sent} by-sftp\nget welcome {got}\n"));
        assert_eq!(finished.status, Some(0), "{version}: {}", finished.err);
        fs::remove_file(home.join("by-sftp")).expect("it came");
        assert_eq!(fs::read_to_string(&got).expect("it came"), "welcome\n");
        // `scp -t /drop`: files come in.
        let finished = place.scp(version, scp, &["-O", &sent, "forced@127.0.0.1:elsewhere"]);
        assert_eq!(finished.status, Some(0), "{version}: {}", finished.err);
        assert_eq!(fs::read_to_string(home.join("drop/sent")).expect("it came"), "text");
        assert!(!home.join("elsewhere").exists());
        fs::remove_file(home.join("drop/sent")).expect("it is there");
    }
    // None goes out, and the client's own command is not run.
    for (key, command, told) in
        [(scp, "scp -f welcome", "\0"), (scp, "cat welcome", "\0"), (sftp, "scp -f welcome", "")]
    {
        let call = Call::new(Client::OpenSsh100, &place.gateway, "forced").access(Access::Key(Arc::clone(key)));
        let finished = call.exec(command).run(Input::Nothing);
        assert_eq!(finished.out.text(), told, "{command}: {}", finished.err);
    }
    place.gateway.end();
}

#[test]
fn a_program_that_is_not_built_is_a_refusal_and_one_line_in_the_log() {
    let place = Place::new(&[]);
    let finished = place.sftp("alice", "10.0", &place.key, "ls\n");
    assert_eq!(finished.status, Some(255), "{}", finished.err);
    assert!(finished.err.contains("subsystem request failed"), "{}", finished.err);
    let finished = place.scp("10.0", &place.key, &["-O", "alice@127.0.0.1:welcome", "/dev/null"]);
    assert!(finished.err.contains("exec request failed"), "{}", finished.err);
    let refused = place.gateway.wait_all("both lines", |events| {
        let about = |event: &&whelk_tests::Event| event.field("reason").contains("in `bin`");
        let told: Vec<_> = events.iter().filter(about).map(|event| event.field("plugin")).collect();
        (told.len() >= 2).then_some(told)
    });
    assert_eq!(refused, ["sftp", "scp"]);
    place.gateway.end();
}

#[test]
fn in_the_demonstration_sftp_reaches_the_directory_of_the_plugin() {
    let setup = Setup::default();
    let state = setup.state();
    let gateway = setup.start();
    let (access, _) = Access::fresh_key();
    let Access::Key(key) = access else { unreachable!("a fresh key is a key") };
    let place = Place { gateway, forced: [Arc::clone(&key), Arc::clone(&key)], key };
    let sent = place.local("sent", "text");
    for version in OPENSSH_VERSIONS {
        let finished = place.sftp("echo", version, &place.key, &format!("put {sent} new\nls -1\n"));
        assert_eq!(finished.status, Some(0), "{version}: {}", finished.err);
        assert_eq!(fs::read_to_string(state.join("files/echo/new")).expect("it came"), "text");
        let finished = place.scp(version, &place.key, &["-O", "echo@127.0.0.1:new", &format!("{sent}.back")]);
        assert_eq!(finished.status, Some(0), "{version}: {}", finished.err);
        // Another plugin, another directory; and no plugin, none.
        let finished = place.sftp("probe", version, &place.key, "ls -1\n");
        assert!(finished.status == Some(0) && !finished.out.text().contains("new"), "{}", finished.err);
        let finished = place.sftp("nobody", version, &place.key, "ls -1\n");
        assert_ne!(finished.status, Some(0), "{version}: {}", finished.out.text());
    }
    assert!(!state.join("files/nobody").exists());
    place.gateway.end();
}

#[test]
fn the_audit_has_each_file_of_a_transfer_with_its_user_and_bytes() {
    let mut place = Place::new(&["sftp", "scp"]);
    let count = usize::try_from(size(300, 10_000)).expect("it fits");
    let (out, back) = (place.folder("out"), place.folder("back"));
    fs::create_dir(&out).expect("our own folder");
    fs::create_dir(&back).expect("our own folder");
    for number in 0..count {
        fs::write(out.join(format!("f{number}")), vec![b'x'; number % 100 + 1]).expect("our own folder");
    }
    let batch =
        format!("put -R {} all\nget -R all {}\nrename all/f0 all/g0\nrm all/g0\n", out.display(), back.display());
    let mut command = place.program("sftp", "10.0", &place.key);
    command.args(["-b", "-", "alice@127.0.0.1"]);
    let running = Running::start(command, Input::Bytes(batch.into_bytes()), Output::Read, whelk_tests::LATER);
    let finished = running.finish();
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    place.gateway.terminate();
    let records = place.records();
    let of = |operation: &str| records.iter().filter(|record| record["operation"] == operation).collect::<Vec<_>>();
    for record in &records {
        for (field, value) in [("user", "alice"), ("principal", "alice"), ("tenant", "homes"), ("plugin", "sftp")] {
            assert_eq!(record[field], value, "{record}");
        }
        assert!(record["session"] == 1 && record["refused"].is_null(), "{record}");
    }
    for (operation, bytes) in [("write-end", "bytes"), ("read-end", "read")] {
        let told = of(operation);
        assert_eq!(told.len(), count, "{operation}");
        for record in told {
            let path = record["path"].as_str().expect("a text");
            let number: usize = path.strip_prefix("all/f").expect("one of them").parse().expect("a number");
            assert_eq!(record[bytes], number % 100 + 1, "{record}");
        }
    }
    assert_eq!((of("create").len(), of("open").len(), of("mkdir").len()), (count, count, 1));
    assert!(!of("remove").is_empty(), "{records:?}");
    let text = fs::read_to_string(place.folder("audit.log")).expect("it is there");
    assert!(!text.contains("audit_left_out"), "records were left out");
}
