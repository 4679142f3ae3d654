//! keyboard-interactive with other projects' clients: for ordinary passwords, as sshd with PAM.

use std::process::Command;

use whelk_tests::{
    Access, Call, Client, Finished, Gateway, Input, PASSWORD, Running, SOON, Setup, client_program, write_script,
};

/// [`whelk_tests::PASSWORD`].
const BCRYPT: &str = "$2b$10$FttUNdMv55OQFxMpuB8xKOKDBWEbs1ffv0KuBydMHAs/icx4lL3DC";

/// A gateway where Alice has a password.
fn gateway() -> Gateway {
    let users = format!("[users.alice]\nplugin = \"probe\"\npassword = \"{BCRYPT}\"\n");
    Setup::default().configuration(&users).start()
}

/// The methods of the logins that have succeeded, once this many connections have ended.
fn methods(gateway: &Gateway, connections: usize) -> Vec<String> {
    gateway.wait_all("end of all connections", |events| {
        let closed = events.iter().filter(|event| event.message == "connection closed").count();
        let entered = events.iter().filter(|event| event.message == "authenticated");
        (closed == connections).then(|| entered.map(|event| event.field("method")).collect())
    })
}

/// A login of `user` by a Python library, with these arguments.
pub(crate) fn by_library(library: &str, gateway: &Gateway, user: &str, arguments: &[&str]) -> Finished {
    let mut command = Command::new(client_program("python"));
    command.arg(whelk_tests::repository().join("tests/interop/interactive_login.py"));
    command.args(["--library", library, "--user", user, "--port", &gateway.port().to_string()]).args(arguments);
    Running::run(command, Input::Nothing, SOON)
}

/// OpenSSH, by keyboard-interactive alone.
pub(crate) fn openssh(client: Client, gateway: &Gateway, user: &str, password: &str) -> Call {
    let only = ["-o", "PreferredAuthentications=keyboard-interactive"];
    let call = Call::new(client, gateway, user).access(Access::password(password)).exec("exit 5");
    only.into_iter().fold(call, Call::option)
}

#[test]
fn clients_that_offer_only_keyboard_interactive_log_in_with_their_password() {
    let gateway = gateway();
    for client in [Client::OpenSsh92, Client::OpenSsh100] {
        let finished = openssh(client, &gateway, "alice", PASSWORD).run(Input::Nothing);
        assert_eq!(finished.status, Some(5), "{client:?}: {}", finished.err);
    }
    // These prefer it to `password`.
    for client in [Client::Dbclient, Client::Plink] {
        let call = Call::new(client, &gateway, "alice").access(Access::right_password()).exec("exit 5");
        let finished = call.run(Input::Nothing);
        assert_eq!(finished.status, Some(5), "{client:?}: {}", finished.err);
    }
    for library in ["paramiko", "asyncssh"] {
        let arguments = ["--method", "keyboard-interactive", "--answer", PASSWORD];
        let finished = by_library(library, &gateway, "alice", &arguments);
        assert_eq!(finished.status, Some(5), "{library}: {}{}", finished.out.text(), finished.err);
        let asked = r#"{"name": "", "instruction": "", "prompts": [["Password: ", false]]}"#;
        assert!(finished.out.text().contains(asked), "{library}: {}", finished.out.text());
    }
    assert_eq!(methods(&gateway, 6), vec!["keyboard-interactive"; 6]);
    gateway.end();
}

#[test]
fn a_wrong_answer_is_refused_for_known_and_unknown_users_alike() {
    let gateway = gateway();
    let transcript = |user: &str| {
        let call = openssh(Client::OpenSsh100, &gateway, user, "wrong");
        let finished = call.option("-vv").run(Input::Nothing);
        assert_eq!(finished.status, Some(255), "{user}: {}", finished.err);
        let lines = finished.err.replace(user, "USER");
        let speaks = ["Authentications that can continue", "Permission denied", "prompts", "packet: type 6"];
        lines.lines().filter(|line| speaks.iter().any(|word| line.contains(word))).collect::<Vec<_>>().join("\n")
    };
    let known = transcript("alice");
    assert_eq!(known.matches("num_prompts 1").count(), 1, "{known}");
    assert!(known.contains("can continue: password,keyboard-interactive\n"), "{known}");
    for unknown in ["nobody", "root"] {
        assert_eq!(transcript(unknown), known);
    }
    for user in ["alice", "nobody"] {
        for library in ["paramiko", "asyncssh"] {
            let arguments = ["--method", "keyboard-interactive", "--answer", "wrong"];
            let finished = by_library(library, &gateway, user, &arguments);
            assert_eq!(finished.status, Some(255), "{library}: {}{}", finished.out.text(), finished.err);
        }
    }
    let failures: Vec<_> = gateway.wait_all("all refusals", |events| {
        let failed: Vec<_> = events.iter().filter(|event| event.message == "login failed").collect();
        let counts = |event: &&whelk_tests::Event| (event.field("interactive"), event.field("passwords"));
        (failed.len() == 7).then(|| failed.iter().map(counts).collect())
    });
    assert_eq!(failures, vec![("1".to_owned(), "0".to_owned()); 7]);
    assert!(methods(&gateway, 7).is_empty());
    gateway.end();
}

/// A gateway where everybody must prove a key and then the password, and Alice has one of each; and her key.
fn two_factors() -> (Gateway, Access) {
    let setup = Setup::default();
    let (key, line) = Access::fresh_key();
    let users = format!(
        "methods = [\"publickey,password\", \"publickey,keyboard-interactive\"]\n\
         [users.alice]\nplugin = \"probe\"\npassword = \"{BCRYPT}\"\nkeys = [{:?}]\n",
        line.trim()
    );
    (setup.configuration(&users).start(), key)
}

/// OpenSSH with this key and this password: a [`Call`] has only one of them.
pub(crate) fn with_both(gateway: &Gateway, user: &str, key: &Access, password: &str, methods: &str) -> Finished {
    let Access::Key(keys) = key else { panic!("it is a key") };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join("ask");
    write_script(&program, &format!("printf '%s\\n' '{password}'"));
    let mut command = Command::new(client_program("ssh-10.0"));
    command.env("SSH_ASKPASS_REQUIRE", "force").env("SSH_ASKPASS", &program).arg("-i").arg(keys.openssh());
    command.args(["-F", "none", "-T", "-v", "-l", user, "-p", &gateway.port().to_string()]);
    let options = ["UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=no"];
    for option in options.into_iter().chain(["IdentitiesOnly=yes", "NumberOfPasswordPrompts=1"]) {
        command.args(["-o", option]);
    }
    command.args(["-o", &format!("PreferredAuthentications={methods}"), "127.0.0.1", "exit 5"]);
    Running::run(command, Input::Nothing, SOON)
}

#[test]
fn two_factors_in_a_row_let_in_whoever_has_both() {
    let (gateway, key) = two_factors();
    let (stranger, _) = Access::fresh_key();
    let rows = [
        (&key, PASSWORD, "publickey,password", 5),
        (&key, PASSWORD, "publickey,keyboard-interactive", 5),
        (&key, PASSWORD, "password,keyboard-interactive", 255),
        (&key, PASSWORD, "publickey", 255),
        (&key, "wrong", "publickey,password", 255),
        (&stranger, PASSWORD, "publickey,password", 255),
    ];
    for (key, password, methods, status) in rows {
        let finished = with_both(&gateway, "alice", key, password, methods);
        assert_eq!(finished.status, Some(status), "{methods} {password}: {}", finished.err);
        let told = finished.err.replace('\r', "");
        let partial = told.contains("Authenticated using \"publickey\" with partial success");
        assert_eq!(partial, status == 5 || password == "wrong" || methods == "publickey", "{told}");
        // What can continue is told anew after each step.
        assert!(told.contains("can continue: publickey\n"), "{told}");
        assert_eq!(told.contains("can continue: password,keyboard-interactive\n"), partial, "{told}");
    }
    let Access::Key(keys) = &key else { panic!("it is a key") };
    let path = keys.openssh().display().to_string();
    for library in ["paramiko", "asyncssh"] {
        for (method, value) in [("password", "--password"), ("keyboard-interactive", "--answer")] {
            let arguments = ["--method", "publickey", "--method", method, "--key", &path, value, PASSWORD];
            let finished = by_library(library, &gateway, "alice", &arguments);
            assert_eq!(finished.status, Some(5), "{library} {method}: {}{}", finished.out.text(), finished.err);
        }
    }
    gateway.end();
}

#[test]
fn a_first_factor_says_nothing_about_which_users_exist() {
    let (gateway, _) = two_factors();
    let (stranger, _) = Access::fresh_key();
    let transcript = |user: &str| {
        let finished = with_both(&gateway, user, &stranger, PASSWORD, "publickey,password");
        assert_eq!(finished.status, Some(255), "{user}: {}", finished.err);
        let lines = finished.err.replace(user, "USER");
        let speaks = ["can continue", "Permission denied", "Next authentication", "No more authentication"];
        lines.lines().filter(|line| speaks.iter().any(|word| line.contains(word))).collect::<Vec<_>>().join("\n")
    };
    let known = transcript("alice");
    assert!(known.contains("Permission denied (publickey)"), "{known}");
    assert_eq!(transcript("nobody"), known);
    gateway.end();
}

/// As sshd's `Banner`: to everybody who tries to log in, before the first answer.
#[test]
fn the_banner_is_shown_before_login_to_everybody() {
    let users = format!(
        "banner = \"Be kind.\\nTo all.\\n\"\n[users.alice]\nplugin = \"probe\"\npassword = \"{BCRYPT}\"\n\
         [users.guest]\nplugin = \"probe\"\nauth = \"none\"\n"
    );
    let gateway = Setup::default().configuration(&users).start();
    let rows =
        [("guest", Access::Nothing, 5), ("alice", Access::right_password(), 5), ("nobody", Access::password("x"), 255)];
    for (user, access, status) in rows {
        for client in [Client::OpenSsh92, Client::OpenSsh100] {
            let call = Call::new(client, &gateway, user).access(access.clone()).option("-o").option("LogLevel=INFO");
            let finished = call.exec("exit 5").run(Input::Nothing);
            assert_eq!(finished.status, Some(status), "{user}: {}", finished.err);
            for line in ["Be kind.", "To all."] {
                assert_eq!(finished.err.matches(line).count(), 1, "{user}: {:?}", finished.err);
            }
        }
    }
    gateway.end();
}
