//! Logins with a configuration: nobody logs in without a credential, and nobody learns which users exist.

use whelk_tests::{Access, Call, Client, Finished, Gateway, Input, Setup};

/// [`whelk_tests::PASSWORD`], hashed in both ways that a configuration accepts.
const ARGON2: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$S2aaE/TDH5padCF7ghv7mQ$zTtmCdY6SFbI2apkX35/ITFUAXb78e7qQvuvwf9UZLs";
const BCRYPT: &str = "$2b$10$FttUNdMv55OQFxMpuB8xKOKDBWEbs1ffv0KuBydMHAs/icx4lL3DC";

/// Alice has a password and a key, Bob an older hash, and `guest` needs no credentials.
fn configured() -> (Gateway, Access) {
    let setup = Setup::default();
    let (key, line) = Access::fresh_key();
    std::fs::write(setup.folder().join("alice.keys"), format!("# Alice\n{line}")).expect("our own folder");
    let users = format!(
        r#"
[users.alice]
plugin = "probe"
password = "{ARGON2}"
authorized_keys = "alice.keys"

[users.bob]
plugin = "echo"
password = "{BCRYPT}"

[users.guest]
plugin = "probe"
auth = "none"
"#
    );
    (setup.configuration(&users).start(), key)
}

fn exit_5(client: Client, gateway: &Gateway, user: &str, access: Access) -> Finished {
    Call::new(client, gateway, user).access(access).exec("exit 5").run(Input::Nothing)
}

#[test]
fn every_client_logs_in_with_the_right_password() {
    let (gateway, _) = configured();
    for client in Client::ALL {
        let finished = exit_5(client, &gateway, "alice", Access::right_password());
        assert_eq!(finished.status, Some(5), "{client:?}: {}", finished.err);
    }
    gateway.end();
}

#[test]
fn every_client_logs_in_with_the_right_key() {
    let (gateway, key) = configured();
    for client in Client::ALL {
        let finished = exit_5(client, &gateway, "alice", key.clone());
        assert_eq!(finished.status, Some(5), "{client:?}: {}", finished.err);
    }
    gateway.end();
}

#[test]
fn a_user_gets_the_plugin_of_the_configuration() {
    let (gateway, _) = configured();
    let call = Call::new(Client::OpenSsh100, &gateway, "bob").access(Access::right_password());
    let finished = call.run(Input::Bytes(b"hi\n".to_vec()));
    assert!(finished.out.text().contains(r#"echo: "hi\n""#), "{}{}", finished.out.text(), finished.err);
    gateway.end();
}

/// The users who logged in according to the log, once this many connections have ended. A client's status does not
/// tell: dbclient ends with 0 after a refusal.
fn entered(gateway: &Gateway, connections: usize) -> Vec<String> {
    gateway.wait_all("end of all connections", |events| {
        let closed = events.iter().filter(|event| event.message == "connection closed").count();
        let names = events.iter().filter(|event| event.message == "authenticated").map(|event| event.field("user"));
        (closed == connections).then(|| names.collect())
    })
}

#[test]
fn only_a_user_without_credentials_logs_in_without_them() {
    let (gateway, _) = configured();
    for client in Client::ALL {
        let finished = exit_5(client, &gateway, "guest", Access::Nothing);
        assert_eq!(finished.status, Some(5), "{client:?}: {}", finished.err);
        for user in ["alice", "bob", "echo", "probe", "nobody"] {
            let finished = exit_5(client, &gateway, user, Access::Nothing);
            assert_ne!(finished.status, Some(5), "{client:?} ran a command as {user}");
        }
    }
    assert_eq!(entered(&gateway, 6 * Client::ALL.len()), vec!["guest"; Client::ALL.len()]);
    gateway.end();
}

// paramiko never tries without a credential. What it offers for a user who needs none is neither hashed nor stored.
#[test]
fn a_user_without_credentials_logs_in_whatever_the_client_offers() {
    let (gateway, _) = configured();
    let (stranger, _) = Access::fresh_key();
    let mut logins = 0;
    for client in Client::ALL {
        for access in [Access::password("any"), stranger.clone()] {
            let finished = exit_5(client, &gateway, "guest", access.clone());
            assert_eq!(finished.status, Some(5), "{client:?} with {access:?}: {}", finished.err);
            logins += 1;
        }
    }
    let methods: Vec<String> = gateway.wait_all("all logins", |events| {
        let entered = events.iter().filter(|event| event.message == "authenticated");
        let methods: Vec<String> = entered.map(|event| event.field("method")).collect();
        (methods.len() == logins).then_some(methods)
    });
    assert_eq!(methods, vec!["none"; logins]);
    gateway.end();
}

#[test]
fn nobody_logs_in_with_a_wrong_credential() {
    let (gateway, _) = configured();
    let (stranger, _) = Access::fresh_key();
    for client in Client::ALL {
        for access in [Access::password("correct horse battery stapl"), Access::password(""), stranger.clone()] {
            let finished = exit_5(client, &gateway, "alice", access);
            assert_ne!(finished.status, Some(5), "{client:?} ran a command");
        }
    }
    assert_eq!(entered(&gateway, 3 * Client::ALL.len()), Vec::<String>::new());
    gateway.end();
}

/// OpenSSH's messages of a login, without those that differ from run to run.
fn transcript(gateway: &Gateway, user: &str, access: Access) -> String {
    let call = Call::new(Client::OpenSsh100, gateway, user).access(access).option("-vv").exec("exit 5");
    let finished = call.run(Input::Nothing);
    assert_eq!(finished.status, Some(255), "{user} entered");
    let text = finished.err.replace(user, "USER");
    let from = text.find("Authenticating to").unwrap_or_else(|| panic!("no login in {text}"));
    let speaks = |line: &&str| {
        [
            "Authentications that can continue",
            "Permission denied",
            "disconnect",
            "receive packet",
            "Next authentication",
            "banner",
        ]
        .iter()
        .any(|word| line.contains(word))
    };
    text[from..].lines().filter(speaks).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_unknown_user_gets_the_same_answer_as_a_wrong_credential() {
    let (gateway, _) = configured();
    let (stranger, _) = Access::fresh_key();
    for access in [Access::password("wrong"), stranger, Access::Nothing] {
        let known = transcript(&gateway, "alice", access.clone());
        assert!(known.contains("Permission denied"), "{known}");
        for unknown in ["nobody", "root", "alicia"] {
            assert_eq!(transcript(&gateway, unknown, access.clone()), known, "with {access:?}");
        }
    }
    gateway.end();
}

#[test]
fn no_secret_reaches_the_log() {
    let (gateway, _) = configured();
    exit_5(Client::OpenSsh100, &gateway, "alice", Access::right_password());
    exit_5(Client::OpenSsh100, &gateway, "alice", Access::password("a wrong secret"));
    let log = gateway.wait_all("both ends", |events| {
        let closed = events.iter().filter(|event| event.message == "connection closed").count();
        (closed == 2).then(|| events.iter().map(|event| event.line.clone()).collect::<Vec<_>>().join("\n"))
    });
    for secret in [whelk_tests::PASSWORD, "a wrong secret", ARGON2] {
        assert!(!log.contains(secret), "{secret:?} is in the log:\n{log}");
    }
    gateway.end();
}

#[test]
fn a_wrong_configuration_is_reported_whole_and_nothing_is_bound() {
    let text = "listne = 1\n\n[users.alice]\nplugin = \"nosuch\"\nauth = \"none\"\n\n[users.bob]\nplugin = \"echo\"\n";
    let finished = Setup::default().configuration(text).start_in_vain();
    assert_eq!(finished.status, Some(2), "{}", finished.err);
    // The first line is that of `Setup::configuration`.
    for told in ["whelk.toml:2", "listne", "whelk.toml:5", "nosuch", "users.bob"] {
        assert!(finished.err.contains(told), "{told:?} is not in: {}", finished.err);
    }
    assert!(!finished.err.contains("\"listening\""), "{}", finished.err);
}
