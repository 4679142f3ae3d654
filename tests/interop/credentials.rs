//! Certificates that `ssh-keygen` makes, lists of revoked ones, and the options of `authorized_keys`, with OpenSSH.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use whelk_tests::{Access, Call, Client, Finished, Gateway, Input, Keys, Running, SOON, Setup, client_program};

/// The versions of OpenSSH that every certificate is shown with.
const CLIENTS: [Client; 2] = [Client::OpenSsh92, Client::OpenSsh100];

pub(crate) fn keygen(arguments: &[&str]) {
    let mut command = Command::new(client_program("ssh-keygen"));
    command.arg("-q").args(arguments);
    let finished = Running::run(command, Input::Nothing, SOON);
    assert_eq!(finished.status, Some(0), "{arguments:?}: {}", finished.err);
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// A fresh key.
pub(crate) fn fresh(kind: &str) -> (Arc<Keys>, String) {
    let (Access::Key(keys), line) = Access::fresh_key_of(kind) else { unreachable!("a fresh key is a key") };
    (keys, line)
}

/// A folder with an authority, and the certificates that it makes.
pub(crate) struct Authority {
    folder: PathBuf,
}

impl Authority {
    pub(crate) fn new(folder: &Path, kind: &str) -> Self {
        let folder = folder.join(format!("authority-{kind}"));
        fs::create_dir(&folder).expect("our own folder");
        keygen(&["-t", kind, "-N", "", "-f", text(&folder.join("ca"))]);
        Self { folder }
    }

    pub(crate) fn public(&self) -> PathBuf {
        self.folder.join("ca.pub")
    }

    /// Its private key.
    pub(crate) fn private(&self) -> PathBuf {
        self.folder.join("ca")
    }

    /// A certificate of this name, which is its id too.
    pub(crate) fn sign(&self, keys: &Keys, name: &str, arguments: &[&str]) -> PathBuf {
        let public = self.folder.join(format!("{name}.pub"));
        fs::copy(keys.openssh().with_extension("pub"), &public).expect("our own folder");
        let authority = self.private();
        keygen(&[&["-s", text(&authority), "-I", name], arguments, &[text(&public)]].concat());
        self.folder.join(format!("{name}-cert.pub"))
    }
}

/// A call with this certificate.
pub(crate) fn call(client: Client, gateway: &Gateway, user: &str, keys: &Arc<Keys>, certificate: &Path) -> Call {
    Call::new(client, gateway, user)
        .access(Access::Key(Arc::clone(keys)))
        .option(&format!("-oCertificateFile={}", text(certificate)))
}

/// Waits until the log says why the certificate of this id was refused.
pub(crate) fn refused(gateway: &Gateway, id: &str, why: &str) {
    gateway.wait(&format!("the refusal of {id}: {why}"), |event| {
        let is_it = event.message == "rejected" && event.field("key_id") == id;
        (is_it && event.field("reason").contains(why)).then_some(())
    });
}

fn started(setup: Setup, users: &str) -> Gateway {
    setup.configuration(users).start()
}

#[test]
fn a_certificate_lets_in_whom_it_names_and_any_other_is_refused_with_the_reason() {
    let setup = Setup::default();
    let folder = setup.folder().to_owned();
    let (keys, _) = fresh("ed25519");
    let (ours, other) = (Authority::new(&folder, "ed25519"), Authority::new(&folder, "ecdsa"));
    fs::write(folder.join("revoked.txt"), "serial: 42\nid: gone\n").expect("our own folder");
    let (list, spec) = (folder.join("revoked"), folder.join("revoked.txt"));
    keygen(&["-k", "-f", text(&list), "-s", text(&ours.public()), text(&spec)]);
    let users = format!(
        "trusted_user_ca_keys = {:?}\nrevoked_keys = \"revoked\"\n[users.alice]\nplugin = \"probe\"\n\
         [users.dba]\nplugin = \"probe\"\nprincipals = [\"admins\"]\n",
        ours.public()
    );
    let gateway = started(setup, &users);
    let good: [(&str, &str, &[&str]); 4] = [
        ("named", "alice", &["-n", "alice,bob", "-z", "41"]),
        ("group", "dba", &["-n", "admins"]),
        ("near", "alice", &["-n", "alice", "-O", "source-address=127.0.0.0/8"]),
        ("extended", "alice", &["-n", "alice", "-O", "extension:any@example.org=x"]),
    ];
    for (name, user, arguments) in good {
        let certificate = ours.sign(&keys, name, arguments);
        for client in CLIENTS {
            let finished = call(client, &gateway, user, &keys, &certificate).exec("exit 5").run(Input::Nothing);
            assert_eq!(finished.status, Some(5), "{client:?} {name}: {}", finished.err);
        }
    }
    let bad: [(&str, &str, &[&str], &str); 10] = [
        ("bobs", "alice", &["-n", "bob"], "the user's name is none of its principals"),
        ("dbas", "dba", &["-n", "dba"], "none of its principals is one of the user's"),
        ("nobodys", "alice", &[], "it names no principals"),
        ("old", "alice", &["-n", "alice", "-V", "20200101:20210101"], "it has expired"),
        ("new", "alice", &["-n", "alice", "-V", "20400101:20500101"], "it is not yet valid"),
        ("far", "alice", &["-n", "alice", "-O", "source-address=203.0.113.0/24"], "source-address"),
        ("odd", "alice", &["-n", "alice", "-O", "critical:any@example.org=x"], "any@example.org is not known"),
        ("numbered", "alice", &["-n", "alice", "-z", "42"], "it is revoked"),
        ("gone", "alice", &["-n", "alice"], "it is revoked"),
        ("mad", "mallory", &["-n", "mallory"], "its authority is not trusted for this user"),
    ];
    for (name, user, arguments, why) in bad {
        let certificate = ours.sign(&keys, name, arguments);
        let finished = call(Client::OpenSsh100, &gateway, user, &keys, &certificate).exec("exit 5").run(Input::Nothing);
        assert_eq!(finished.status, Some(255), "{name}: {}", finished.err);
        refused(&gateway, name, why);
    }
    let certificate = other.sign(&keys, "strange", &["-n", "alice"]);
    let finished = call(Client::OpenSsh100, &gateway, "alice", &keys, &certificate).exec("exit 5").run(Input::Nothing);
    assert_eq!(finished.status, Some(255), "{}", finished.err);
    refused(&gateway, "strange", "its authority is not trusted for this user");
    every_change_of_the_list_counts(&gateway, &list, &keys, &ours);
    gateway.end();
}

/// The list of revoked keys may be a text, and is read again when it has changed.
fn every_change_of_the_list_counts(gateway: &Gateway, list: &Path, keys: &Arc<Keys>, ours: &Authority) {
    let certificate = ours.sign(keys, "later", &["-n", "alice"]);
    for (revoked, why) in [
        (fs::read(ours.public()).expect("our own file"), "its authority is revoked"),
        (fs::read(keys.openssh().with_extension("pub")).expect("our own file"), "its key is revoked"),
        (b"nonsense\n".to_vec(), "the file of revoked keys cannot be used"),
    ] {
        fs::write(list, revoked).expect("our own folder");
        let finished =
            call(Client::OpenSsh100, gateway, "alice", keys, &certificate).exec("exit 5").run(Input::Nothing);
        assert_eq!(finished.status, Some(255), "{why}: {}", finished.err);
        refused(gateway, "later", why);
    }
}

#[test]
fn certificates_of_every_kind_of_key_by_authorities_of_every_kind_let_in() {
    let setup = Setup::default();
    let folder = setup.folder().to_owned();
    let authorities = ["ed25519", "ecdsa", "rsa"].map(|kind| Authority::new(&folder, kind));
    let lines = authorities.each_ref().map(|authority| fs::read_to_string(authority.public()).expect("our own file"));
    let list = lines.each_ref().map(|line| format!("{:?}", line.trim())).join(", ");
    // The tenant's own, and not the server's.
    let users = format!("[users.alice]\nplugin = \"probe\"\n[tenants.default]\ntrusted_user_ca_keys = [{list}]\n");
    let gateway = started(setup, &users);
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let (keys, _) = fresh(kind);
        for (number, authority) in authorities.iter().enumerate() {
            let certificate = authority.sign(&keys, &format!("{kind}-{number}"), &["-n", "alice"]);
            for client in CLIENTS {
                let finished = call(client, &gateway, "alice", &keys, &certificate).exec("exit 5").run(Input::Nothing);
                assert_eq!(finished.status, Some(5), "{client:?} {kind} {number}: {}", finished.err);
            }
        }
    }
    gateway.end();
}

fn out(finished: &Finished) -> String {
    finished.out.text()
}

#[test]
fn a_certificate_forces_its_command_and_gives_a_terminal_only_if_it_permits_one() {
    let setup = Setup::default();
    let folder = setup.folder().to_owned();
    let (keys, _) = fresh("ed25519");
    let authority = Authority::new(&folder, "ed25519");
    let line = fs::read_to_string(authority.public()).expect("our own file");
    fs::write(folder.join("alice.keys"), format!("cert-authority,principals=\"any\" {line}")).expect("our own folder");
    let gateway = started(setup, "[users.alice]\nplugin = \"probe\"\nauthorized_keys = \"alice.keys\"\n");
    let forced = authority.sign(&keys, "forced", &["-n", "any", "-O", "force-command=env"]);
    for asked in ["exit 5", "print hello"] {
        let finished = call(Client::OpenSsh100, &gateway, "alice", &keys, &forced).exec(asked).run(Input::Nothing);
        assert_eq!(finished.status, Some(0), "{}", finished.err);
        assert!(out(&finished).contains(&format!("SSH_ORIGINAL_COMMAND={asked}")), "{}", out(&finished));
    }
    for (name, arguments, has_terminal) in
        [("all", &["-n", "any"][..], true), ("little", &["-n", "any", "-O", "clear"], false)]
    {
        let certificate = authority.sign(&keys, name, arguments);
        let call = call(Client::OpenSsh100, &gateway, "alice", &keys, &certificate).pty().exec("exit 5");
        let finished = call.run(Input::Nothing);
        // A client that insists on a terminal (`-tt`) gives up without one.
        assert_eq!(finished.status, Some(if has_terminal { 5 } else { 255 }), "{name}: {}", finished.err);
        assert_eq!(finished.err.contains("PTY allocation request failed"), !has_terminal, "{name}: {}", finished.err);
    }
    gateway.end();
}

#[test]
fn the_options_of_a_key_are_obeyed_and_its_file_is_read_at_each_login() {
    let setup = Setup::default();
    let file = setup.folder().join("alice.keys");
    let (keys, line) = fresh("ed25519");
    fs::write(&file, "# none yet\n").expect("our own folder");
    let gateway = started(setup, "[users.alice]\nplugin = \"probe\"\nauthorized_keys = \"alice.keys\"\n");
    let call = || Call::new(Client::OpenSsh100, &gateway, "alice").access(Access::Key(Arc::clone(&keys)));
    let exit_5 = |options: &str| {
        fs::write(&file, format!("{options}{line}")).expect("our own folder");
        call().exec("exit 5").run(Input::Nothing)
    };
    assert_eq!(call().exec("exit 5").run(Input::Nothing).status, Some(255));
    for options in ["", "from=\"127.0.0.*,::1\" ", "expiry-time=\"20400101\" ", "restrict ", "no-pty,no-user-rc "] {
        let finished = exit_5(options);
        assert_eq!(finished.status, Some(5), "{options}: {}", finished.err);
    }
    for (options, why) in [
        ("from=\"203.0.113.0/24\" ", "from="),
        ("from=\"127.0.0.0/8,!127.0.0.1\" ", "from="),
        ("expiry-time=\"20200101\" ", "expiry-time has passed"),
        ("banana ", "`banana`, which is not known"),
        ("cert-authority ", "cert-authority"),
    ] {
        let finished = exit_5(options);
        assert_eq!(finished.status, Some(255), "{options}: {}", finished.err);
        gateway.wait(why, |event| (event.message == "rejected" && event.field("reason").contains(why)).then_some(()));
    }
    fs::write(&file, format!("restrict,command=\"env\",environment=\"LC_ROLE=reader\" {line}"))
        .expect("our own folder");
    for (asked, original) in
        [(call().exec("print hi"), Some("print hi")), (call().option("-s").exec("sftp"), Some("sftp")), (call(), None)]
    {
        let finished = asked.option("-oSetEnv=LC_ROLE=admin LC_MINE=1").run(Input::Nothing);
        let variables = out(&finished);
        assert_eq!(finished.status, Some(0), "{}", finished.err);
        assert!(variables.contains("LC_ROLE=reader") && variables.contains("LC_MINE=1"), "{variables}");
        let told = original.map(|original| format!("SSH_ORIGINAL_COMMAND={original}\n"));
        assert_eq!(told.is_some_and(|told| variables.contains(&told)), original.is_some(), "{variables}");
    }
    let finished = call().pty().exec("exit 5").run(Input::Nothing);
    assert!(finished.err.contains("PTY allocation request failed"), "{}", finished.err);
    gateway.end();
}
