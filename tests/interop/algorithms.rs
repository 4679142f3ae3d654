//! Algorithms that are off by default, when they are on.

use std::process::Command;

use whelk_tests::{Input, Output, Running, SOON, Setup, client_program};

/// Connects with one key exchange and asks for `exit 5`.
const ASYNCSSH: &str = "
import asyncio, asyncssh, sys
async def main():
    async with asyncssh.connect('127.0.0.1', int(sys.argv[1]), username='guest', known_hosts=None, config=None,
                                client_keys=None, kex_algs=[sys.argv[2]]) as connection:
        sys.exit((await connection.run('exit 5')).exit_status)
asyncio.run(main())
";

/// K29: those with a group are computed two at a time, so ten clients wait for each other and are all served.
#[test]
fn key_exchanges_that_are_off_by_default_serve_a_client_when_they_are_on() {
    let kex = ["mlkem768nistp256-sha256", "diffie-hellman-group16-sha512", "diffie-hellman-group14-sha256"];
    let text = format!("[users.guest]\nplugin = \"probe\"\nauth = \"none\"\n[algorithms]\nkey_exchange = {kex:?}\n");
    let gateway = Setup::default().configuration(&text).start();
    for name in kex {
        let mut command = Command::new(client_program("python"));
        command.args(["-c", ASYNCSSH, &gateway.port().to_string(), name]);
        let finished = Running::run(command, Input::Nothing, SOON);
        assert_eq!(finished.status, Some(5), "{name}: {}", finished.err);
    }
    let openssh = |name: &str| {
        let mut command = Command::new(client_program("ssh-10.0"));
        command.args(["-F", "none", "-T", "-o", "BatchMode=yes", "-o", "PubkeyAuthentication=no"]);
        command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]);
        command.args(["-o", &format!("KexAlgorithms={name}"), "-p", &gateway.port().to_string()]);
        command.args(["-l", "guest", "127.0.0.1", "exit 5"]);
        Running::start(command, Input::Nothing, Output::Read, SOON)
    };
    let running: Vec<Running> = (0..10).map(|index| openssh(kex[1 + index % 2])).collect();
    for client in running {
        let finished = client.finish();
        assert_eq!(finished.status, Some(5), "{}", finished.err);
    }
    gateway.end();
}
