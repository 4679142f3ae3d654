//! The programs around `ssh` that use it as their transport: scp, sftp, a shared connection (ControlMaster) and a jump
//! through another server (ProxyJump). Each with both versions of OpenSSH.

use std::process::Command;

use whelk_tests::{
    Access, Finished, Gateway, Input, OPENSSH_VERSIONS, Output, Running, SOON, Setup, Sshd, client_program,
    openssh_tool,
};

/// A gateway whose user `probe` has a key.
fn gateway() -> (Gateway, Access, String) {
    let (access, line) = Access::fresh_key();
    let setup = Setup::default();
    std::fs::write(setup.folder().join("keys"), &line).expect("our own folder");
    let users = "[users.probe]\nplugin = \"probe\"\nauthorized_keys = \"keys\"\n";
    (setup.configuration(users).start(), access, line)
}

/// One of the programs, with the key.
fn program(name: &str, access: &Access) -> Command {
    let Access::Key(key) = access else { unreachable!("a fresh key is a key") };
    openssh_tool(name, key)
}

fn run(command: Command) -> Finished {
    Running::run(command, Input::Nothing, SOON)
}

#[test]
fn scp_and_sftp_are_told_that_there_is_no_such_subsystem_where_the_tenant_has_no_files() {
    let (gateway, access, _) = gateway();
    let port = gateway.port().to_string();
    for version in OPENSSH_VERSIONS {
        let ssh = client_program(&format!("ssh-{version}"));
        for name in ["sftp", "scp"] {
            let mut command = program(&format!("{name}-{version}"), &access);
            command.arg("-S").arg(&ssh).args(["-P", &port, "probe@127.0.0.1:file"]);
            if name == "scp" {
                command.arg(gateway.folder().join("copy"));
            }
            let finished = run(command);
            assert_eq!(finished.status, Some(255), "{name} {version}: {}", finished.err);
            assert!(finished.err.contains("subsystem request failed"), "{name} {version}: {}", finished.err);
        }
        // Without SFTP scp runs itself on the other side: the plugin gets a command like any other.
        let mut command = program(&format!("scp-{version}"), &access);
        command.arg("-O").arg("-S").arg(&ssh).args(["-P", &port, "probe@127.0.0.1:file"]);
        command.arg(gateway.folder().join("copy"));
        let finished = run(command);
        assert_eq!(finished.status, Some(1), "scp -O {version}: {}", finished.err);
        assert!(finished.err.contains("usage: cat"), "scp -O {version}: {}", finished.err);
    }
    gateway.end();
}

#[test]
fn sessions_share_the_connection_of_a_control_master() {
    let (gateway, access, _) = gateway();
    let port = gateway.port().to_string();
    for version in OPENSSH_VERSIONS {
        let socket = gateway.folder().join(format!("master-{version}"));
        let ssh = |arguments: &[&str]| {
            let mut command = program(&format!("ssh-{version}"), &access);
            command.arg("-S").arg(&socket).args(["-p", &port, "-l", "probe"]).args(arguments);
            command
        };
        // It says so when it has put the socket there.
        let master = ssh(&["-M", "-N", "-v", "-oLogLevel=DEBUG1", "127.0.0.1"]);
        let master = Running::start(master, Input::Held, Output::Read, SOON);
        master.wait_for_stderr("Entering interactive session");
        let held: Vec<Running> =
            (0..8).map(|_| Running::start(ssh(&["127.0.0.1", "cat"]), Input::Held, Output::Read, SOON)).collect();
        for (number, mut session) in held.into_iter().enumerate() {
            session.type_in(format!("session {number}\n").as_bytes());
            session.wait_for_output(&format!("session {number}"));
            assert_eq!(session.finish().status, Some(0));
        }
        assert_eq!(run(ssh(&["127.0.0.1", "exit 3"])).status, Some(3));
        assert_eq!(run(ssh(&["-O", "exit", "127.0.0.1"])).status, Some(0));
        // Its own status is 255 when it is told to leave.
        master.finish();
    }
    let logins = gateway.wait_all("ends of both connections", |events| {
        let closed = events.iter().filter(|event| event.message == "connection closed").count();
        let logins = events.iter().filter(|event| event.message == "authenticated").count();
        (closed == OPENSSH_VERSIONS.len()).then_some(logins)
    });
    assert_eq!(logins, OPENSSH_VERSIONS.len(), "one login for all sessions of a master");
    gateway.end();
}

#[test]
fn whelk_is_reached_through_a_jump_host() {
    let (gateway, access, line) = gateway();
    let jump = Sshd::start(&line, "");
    let Access::Key(key) = &access else { unreachable!("a fresh key is a key") };
    let key = key.openssh();
    let settings = gateway.folder().join("ssh_config");
    // The connection to the jump host is one of ssh's own, to which options of the command line do not apply.
    let text = format!(
        "Host *\nStrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nGlobalKnownHostsFile /dev/null\nBatchMode yes\n\
         LogLevel ERROR\nHostName 127.0.0.1\nIdentitiesOnly yes\nIdentityFile {}\nHost jump\nPort {}\nUser {}\nHost whelk\n\
         Port {}\nUser probe\nProxyJump jump\n",
        key.display(),
        jump.port(),
        jump.user(),
        gateway.port(),
    );
    std::fs::write(&settings, text).expect("our own folder");
    for version in OPENSSH_VERSIONS {
        let ssh = |command: &str| {
            let mut ssh = Command::new(client_program(&format!("ssh-{version}")));
            ssh.arg("-F").arg(&settings).args(["whelk", command]);
            ssh
        };
        assert_eq!(run(ssh("exit 9")).status, Some(9), "{version}");
        let bytes = vec![7; 1 << 20];
        let finished = Running::run(ssh("cat"), Input::Bytes(bytes.clone()), SOON);
        assert_eq!(finished.status, Some(0), "{version}: {}", finished.err);
        assert!(finished.out.kept == bytes, "{version}: {} bytes came back, or others", finished.out.total);
    }
    gateway.end();
}
