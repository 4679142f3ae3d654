//! Limits that users know from OpenSSH, and files that operators write by hand.

use whelk_tests::{Access, Call, Client, Finished, Gateway, Input, Running, SOON, Setup};

fn run(gateway: &Gateway, client: Client, command: &str) -> Finished {
    Call::new(client, gateway, "probe").exec(command).run(Input::Nothing)
}

#[test]
fn a_command_of_120_000_bytes_runs() {
    let gateway = Gateway::demonstration();
    let text: String = ('a'..='z').cycle().take(120_000 - "print ".len()).collect();
    for client in [
        Client::OpenSsh92,
        Client::OpenSsh100,
        Client::Plink,
        Client::AsyncSsh,
        Client::Paramiko,
        Client::Libssh,
        Client::Ssh2,
    ] {
        let finished = run(&gateway, client, &format!("print {text}"));
        assert_eq!(finished.status, Some(0), "{client:?}: {}", finished.err);
        assert!(finished.out.text() == text, "{client:?}: {} bytes came back", finished.out.total);
    }
    gateway.end();
}

// As on CI machines, whose `ssh_config` says `SendEnv *`. OpenSSH asks for no replies.
#[test]
fn nine_hundred_variables_in_a_burst_end_nothing() {
    let gateway = Gateway::demonstration();
    let call = Call::new(Client::OpenSsh100, &gateway, "probe").option("-oSendEnv=CI_*").exec("exit 5");
    let mut command = call.command();
    command.envs((0..900).map(|number| (format!("CI_{number}"), "value")));
    let finished = Running::run(command, Input::Nothing, SOON);
    assert_eq!(finished.status, Some(5), "{}", finished.err);
    gateway.end();
}

/// An `authorized_keys` file as Windows editors and old terminals write it: a byte order mark, CR LF, a lone CR,
/// comments in Latin-1, and a line without a key.
fn untidy(line: &str) -> Vec<u8> {
    let [kind, key, ..] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line:?} is no line with a key") };
    let mut bytes = b"\xef\xbb\xbf# Schl\xfcssel von J\xf6rg\r\n".to_vec();
    bytes.extend(b"ssh-ed25519 this-is-no-key x\r\n\r\n");
    bytes.extend(b"# the next line ends as on an old Macintosh\r");
    bytes.extend(format!("{kind} {key} ").bytes());
    bytes.extend(b"J\xf6rg's laptop\r\n");
    bytes
}

#[test]
fn one_invalid_line_of_authorized_keys_affects_no_other_line() {
    let setup = Setup::default();
    let (key, line) = Access::fresh_key();
    std::fs::write(setup.folder().join("joerg.keys"), untidy(&line)).expect("our own folder");
    let users = "[users.probe]\nplugin = \"probe\"\nauthorized_keys = \"joerg.keys\"\n";
    let gateway = setup.configuration(users).start();
    gateway.wait("warning that names file and line", |event| {
        (event.level == "WARN" && event.line.contains("joerg.keys:2")).then_some(())
    });
    for client in Client::ALL {
        let call = Call::new(client, &gateway, "probe").access(key.clone()).exec("exit 5");
        let finished = call.run(Input::Nothing);
        assert_eq!(finished.status, Some(5), "{client:?}: {}", finished.err);
    }
    gateway.end();
}
