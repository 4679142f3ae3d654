//! Host keys: what clients are shown, certificates, and how a key is changed without a warning.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use whelk_tests::{Finished, Gateway, Input, Output, Running, SOON, Setup, client_program, has_ring};

/// Whom the clients take the server for: the ports differ.
const ALIAS: &str = "whelk.example";
const GUEST: &str = "[users.guest]\nplugin = \"probe\"\nauth = \"none\"\n";

/// A folder with host keys, which outlives the gateways that use them.
struct Keys(TempDir);

impl Keys {
    fn new() -> Keys {
        Keys(tempfile::Builder::new().prefix("whelk-keys-").tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn keygen(&self, arguments: &[&str]) {
        let mut command = Command::new(client_program("ssh-keygen"));
        command.current_dir(self.0.path()).args(["-q"]).args(arguments);
        let finished = Running::run(command, Input::Nothing, SOON);
        assert_eq!(finished.status, Some(0), "{arguments:?}: {}", finished.err);
    }

    /// Makes a key and returns its public half, without the comment.
    fn make(&self, kind: &str, name: &str) -> String {
        self.keygen(&["-t", kind, "-N", "", "-C", "", "-f", name]);
        self.read(&format!("{name}.pub")).trim_end().to_owned()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("our own file")
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).expect("our own folder");
        self.path(name)
    }

    /// A gateway with these key files and these certificates.
    fn gateway(&self, keys: &[&str], certificates: &[&str]) -> Gateway {
        let list = |names: &[&str]| {
            let paths: Vec<String> = names.iter().map(|name| format!("{:?}", self.path(name))).collect();
            paths.join(", ")
        };
        let mut text = format!("host_key_files = [{}]\n", list(keys));
        if !certificates.is_empty() {
            text += &format!("host_certificates = [{}]\n", list(certificates));
        }
        Setup::default().configuration(&(text + GUEST)).start()
    }
}

/// OpenSSH's client, which knows nothing but this file and asks nobody.
fn ssh(version: &str, gateway: &Gateway, known_hosts: &Path, options: &[&str], command: &str) -> Command {
    let mut ssh = Command::new(client_program(&format!("ssh-{version}")));
    ssh.args(["-F", "none", "-T", "-o", "BatchMode=yes", "-o", "PubkeyAuthentication=no"]);
    ssh.arg("-o").arg(format!("UserKnownHostsFile={}", known_hosts.display()));
    ssh.args(["-o", "GlobalKnownHostsFile=/dev/null", "-o", &format!("HostKeyAlias={ALIAS}")]);
    for option in options {
        ssh.args(["-o", option]);
    }
    ssh.args(["-p", &gateway.port().to_string(), "-l", "guest", "127.0.0.1", command]);
    ssh
}

fn run(command: Command) -> Finished {
    Running::run(command, Input::Nothing, SOON)
}

/// The keys of the state folder, by their public halves, sorted.
fn stored(gateway: &Gateway) -> Vec<String> {
    let files = std::fs::read_dir(gateway.folder().join("state")).expect("the state folder").filter_map(Result::ok);
    let public = files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|end| end == "pub"));
    let mut keys: Vec<String> = public
        .map(|path| std::fs::read_to_string(path).expect("a public key can be read").trim_end().to_owned())
        .collect();
    keys.sort();
    keys
}

#[test]
fn ssh_keyscan_shows_all_host_keys_that_the_first_start_makes() {
    let gateway = Setup::default().fresh().start();
    let mut command = Command::new(client_program("ssh-keyscan"));
    command.args(["-p", &gateway.port().to_string(), "127.0.0.1"]);
    let finished = run(command);
    let lines = finished.out.text();
    let mut seen: Vec<String> =
        lines.lines().filter_map(|line| Some(line.split_once(' ')?.1.trim_end().to_owned())).collect();
    seen.sort();
    assert_eq!(seen, stored(&gateway), "{}", finished.err);
    let kinds: Vec<&str> = seen.iter().filter_map(|line| line.split(' ').next()).collect();
    let made = ["ecdsa-sha2-nistp256", "ssh-ed25519", "ssh-rsa"];
    assert_eq!(kinds, if has_ring() { &made[..2] } else { &made });
    gateway.end();
}

/// HostKey of sshd_config: files of each kind and format. The client chooses one by its algorithm.
#[test]
fn a_client_gets_the_host_key_of_the_algorithm_that_it_prefers() {
    let keys = Keys::new();
    let public = [keys.make("ed25519", "one"), keys.make("ecdsa", "two"), keys.make("rsa", "three")];
    keys.keygen(&["-p", "-N", "", "-m", "PKCS8", "-f", "two"]);
    keys.keygen(&["-p", "-N", "", "-m", "PEM", "-f", "three"]);
    assert!(keys.read("two").contains("BEGIN PRIVATE") && keys.read("three").contains("BEGIN RSA PRIVATE"));
    let gateway = keys.gateway(&["one", "two", "three"], &[]);
    for (algorithm, key) in [("ssh-ed25519", 0), ("ecdsa-sha2-nistp256", 1), ("rsa-sha2-512", 2), ("rsa-sha2-256", 2)] {
        for version in ["9.2", "10.0"] {
            let known = keys.write("known", &format!("{ALIAS} {}\n", public[key]));
            let options = [&format!("HostKeyAlgorithms={algorithm}"), "StrictHostKeyChecking=yes", "UpdateHostKeys=no"];
            let finished = run(ssh(version, &gateway, &known, &options, "exit 5"));
            assert_eq!(finished.status, Some(5), "{version} {algorithm}: {}", finished.err);
        }
    }
    gateway.end();
}

/// HostCertificate of sshd_config.
#[test]
fn a_client_that_trusts_an_authority_needs_to_know_no_key() {
    let keys = Keys::new();
    let authority = keys.make("ed25519", "authority");
    let (mut names, mut certificates) = (Vec::new(), Vec::new());
    for kind in ["ed25519", "ecdsa", "rsa"] {
        keys.make(kind, kind);
        keys.keygen(&["-s", "authority", "-h", "-I", kind, "-n", ALIAS, &format!("{kind}.pub")]);
        names.push(kind);
        certificates.push(format!("{kind}-cert.pub"));
    }
    let certificates: Vec<&str> = certificates.iter().map(String::as_str).collect();
    let gateway = keys.gateway(&names, &certificates);
    let known = keys.write("known", &format!("@cert-authority * {authority}\n"));
    let algorithms = ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"];
    for version in ["9.2", "10.0"] {
        // By default a client prefers certificates.
        let finished = run(ssh(version, &gateway, &known, &["StrictHostKeyChecking=yes"], "exit 5"));
        assert_eq!(finished.status, Some(5), "{version}: {}", finished.err);
        for algorithm in algorithms {
            let algorithm = format!("HostKeyAlgorithms={algorithm}-cert-v01@openssh.com");
            let finished = run(ssh(version, &gateway, &known, &["StrictHostKeyChecking=yes", &algorithm], "exit 5"));
            assert_eq!(finished.status, Some(5), "{version} {algorithm}: {}", finished.err);
        }
        // It is the authority that is trusted, not the server.
        let other = keys.write("other", &format!("@cert-authority * {}\n", keys.read("rsa.pub").trim_end()));
        let finished = run(ssh(version, &gateway, &other, &["StrictHostKeyChecking=yes"], "exit 5"));
        assert_eq!(finished.status, Some(255), "{version}: {}", finished.err);
    }
    let told =
        gateway.wait("the certificate", |event| (event.message == "host certificate").then(|| event.field("hosts")));
    assert_eq!(told, ALIAS);
    gateway.end();
}

/// Logs in with UpdateHostKeys=yes, and waits until the client says that it has learned a key if it is to.
fn update(version: &str, gateway: &Gateway, known_hosts: &Path, learns: bool) -> String {
    let options = ["StrictHostKeyChecking=yes", "UpdateHostKeys=yes", "LogLevel=VERBOSE"];
    let command = ssh(version, gateway, known_hosts, &options, "cat");
    let mut running = Running::start(command, Input::Held, Output::Read, SOON);
    running.type_in(b"there\n");
    running.wait_for_output("there");
    if learns {
        running.wait_for_stderr("Learned new hostkey");
    }
    let finished = running.finish();
    assert_eq!(finished.status, Some(0), "{version}: {}", finished.err);
    assert!(!finished.err.contains("WARNING"), "{version}: {}", finished.err);
    finished.err
}

/// OpenSSH PROTOCOL §2.5: the new key stands behind the old one for a while, then alone. Of both types that clients
/// prefer, so that nothing but what they have learned makes them trust it.
#[test]
fn a_host_key_is_changed_without_a_warning() {
    let keys = Keys::new();
    let (old, new) = (keys.make("ed25519", "old"), keys.make("ed25519", "new"));
    let (rsa, ecdsa) = (keys.make("rsa", "rsa"), keys.make("ecdsa", "ecdsa"));
    for version in ["9.2", "10.0"] {
        let known = keys.write(&format!("known-{version}"), &format!("{ALIAS} {old}\n"));
        let before = keys.gateway(&["old"], &[]);
        update(version, &before, &known, false);
        before.end();
        let both = keys.gateway(&["old", "new", "rsa", "ecdsa"], &[]);
        let said = update(version, &both, &known, true);
        assert_eq!(said.matches("Learned new hostkey").count(), 3, "{version}: {said}");
        // Known now, so there is nothing to learn.
        let said = update(version, &both, &known, false);
        assert!(!said.contains("Learned new hostkey"), "{version}: {said}");
        both.end();
        let text = std::fs::read_to_string(&known).expect("our own file");
        for key in [&old, &new, &rsa, &ecdsa] {
            assert!(text.contains(key.as_str()), "{version}: {text}");
        }
        let after = keys.gateway(&["new"], &[]);
        update(version, &after, &known, false);
        after.end();
    }
}

#[test]
fn a_start_with_a_host_key_that_cannot_be_used_is_refused() {
    let keys = Keys::new();
    keys.make("ed25519", "key");
    let short = format!("host_key_files = [{:?}]\n{GUEST}", keys.path("missing"));
    let finished = Setup::default().configuration(&short).start_in_vain();
    assert!(finished.status == Some(2) && finished.err.contains("missing: is not there"), "{}", finished.err);
    // A key that makes none of the signatures that are allowed.
    let text = format!(
        "host_key_files = [{:?}]\n{GUEST}[algorithms]\nhost_key_algorithms = [\"rsa-sha2-512\"]\n",
        keys.path("key")
    );
    let finished = Setup::default().configuration(&text).start_in_vain();
    let expected = "no host key can be offered: the keys make ssh-ed25519, and algorithms.host_key_algorithms allows only rsa-sha2-512";
    assert!(finished.status == Some(2) && finished.err.contains(expected), "{}", finished.err);
}
