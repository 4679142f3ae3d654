//! `whelk serve --stdio`: one connection on standard input and output, as inetd, systemd and `ssh -o ProxyCommand`
//! start it; and a server whose sockets somebody else listens on.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use whelk_tests::{Call, Client, Gateway, Input, Output, Running, SOON, Setup, client_program, program};

/// The command line of a process for one connection that shares the state folder of a running gateway.
fn one_connection(gateway: &Gateway) -> Command {
    let mut command = Command::new(program());
    command.args(["serve", "--stdio", "--log", "json", "--plugins"]).arg(gateway.plugins());
    command.arg("--state").arg(gateway.folder().join("state")).env_remove("WHELK_LOG");
    if let Some(file) = gateway.configuration() {
        command.arg("--config").arg(file);
    }
    command
}

/// The same as a `ProxyCommand`, whose log goes to a file.
pub(crate) fn proxy_command(gateway: &Gateway) -> String {
    let command = one_connection(gateway);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_str().expect("our paths are text")).collect();
    format!("ProxyCommand={} 2>{}", words.join(" "), gateway.folder().join("log").display())
}

#[test]
fn openssh_reaches_a_process_of_its_own_by_proxy_command() {
    let gateway = Gateway::demonstration();
    let bytes: Vec<u8> = (0..1_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for client in [Client::OpenSsh92, Client::OpenSsh100] {
        let call = |command: &str| {
            Call::new(client, &gateway, "probe").option("-o").option(&proxy_command(&gateway)).exec(command)
        };
        let finished = call("exit 7").run(Input::Nothing);
        assert_eq!(finished.status, Some(7), "{}", finished.err);
        let finished = call("cat").run(Input::Bytes(bytes.clone()));
        assert_eq!(finished.status, Some(0), "{}", finished.err);
        assert!(finished.out.kept == bytes, "{} bytes came back", finished.out.total);
        let finished = call("facts").run(Input::Nothing);
        let facts = finished.out.text();
        assert!(facts.lines().any(|fact| fact == "address=unknown"), "{facts}");
        // The process outlives the client, and may still be writing its log.
        let mut follow = Command::new("tail");
        follow.args(["--lines=+1", "--follow"]).arg(gateway.folder().join("log"));
        let follow = Running::start(follow, Input::Nothing, Output::Read, SOON);
        follow.wait("the client's address in the log of the last process", |seen| {
            seen.out.text().contains(r#""peer":"unknown""#).then_some(())
        });
        follow.kill_and_wait();
    }
    gateway.end();
}

/// systemd with `Accept=yes`, and inetd: the socket of the connection is standard input and output, and with inetd
/// standard error as well.
#[test]
fn a_socket_on_standard_input_tells_who_the_client_is_and_carries_no_line_of_the_log() {
    let gateway = Gateway::demonstration();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = socket.local_addr().expect("it is bound").port();
    for errors_too in [false, true] {
        let running = Call::new(Client::OpenSsh100, &gateway, "probe").port(port).exec("facts").start();
        let (connection, peer) = socket.accept().expect("the client connects");
        let mut process = one_connection(&gateway);
        let copy =
            |connection: &TcpStream| Stdio::from(OwnedFd::from(connection.try_clone().expect("a descriptor is free")));
        process.stdin(copy(&connection)).stdout(copy(&connection));
        process.stderr(if errors_too { copy(&connection) } else { Stdio::null() });
        let mut process = process.spawn().expect("it is built");
        drop(connection);
        let address = format!("address={peer}");
        running.wait("the client's own address among the facts", |seen| {
            seen.out.text().lines().any(|fact| fact == address).then_some(())
        });
        assert_eq!(running.wait("end", |seen| seen.status).code(), Some(0), "{}", running.said());
        assert_eq!(process.wait().expect("it is ours").code(), Some(0));
    }
    gateway.end();
}

/// As sshd does for who only wants to see its version: `whelk serve --stdio < /dev/null | head -1`, by a pipe.
#[test]
fn a_client_that_sends_nothing_and_closes_its_direction_hears_the_identification() {
    let gateway = Gateway::demonstration();
    let finished = Running::run(one_connection(&gateway), Input::Bytes(Vec::new()), SOON);
    assert!(
        finished.out.kept.starts_with(b"SSH-2.0-OpenSSH_compatible_Whelk_"),
        "{:?}, {}",
        finished.out.text(),
        finished.err
    );
    gateway.end();
}

#[test]
fn it_says_what_is_missing_and_what_cannot_be_a_connection() {
    let setup = Setup::default();
    let run = |state: &str, input: Input| {
        let mut command = Command::new(program());
        command.args(["serve", "--stdio", "--plugins"]).arg(whelk_tests::shipped_plugins());
        Running::run(
            {
                command.arg("--state").arg(setup.folder().join(state));
                command
            },
            input,
            SOON,
        )
    };
    let finished = run("absent", Input::Bytes(Vec::new()));
    assert_eq!(finished.status, Some(2), "{}", finished.err);
    assert!(finished.err.contains("run `whelk serve` once without --stdio"), "{}", finished.err);
    assert!(!setup.folder().join("absent").exists(), "it made the folder");

    let gateway = Gateway::demonstration();
    let finished = Running::run(one_connection(&gateway), Input::Nothing, SOON);
    assert_eq!(finished.status, Some(2), "{}", finished.err);
    assert!(finished.err.contains("must be pipes or sockets"), "{}", finished.err);
    gateway.end();
}

#[test]
fn check_says_which_grants_a_process_for_one_connection_does_not_have() {
    let setup = Setup::default().configuration(
        "[users.guest]\nplugin = \"probe\"\nauth = \"none\"\n\
         [tenants.default.grants]\ntopics = true\nkeyvalue = { bytes = \"1 MiB\" }\n",
    );
    let check = |stdio: bool| {
        let mut command = Command::new(program());
        command.arg("check").args(stdio.then_some("--stdio")).arg(setup.folder().join("whelk.toml"));
        command.env("XDG_STATE_HOME", setup.folder()).current_dir(setup.folder());
        Running::run(command, Input::Nothing, SOON)
    };
    let _ = std::fs::rename(setup.folder().join("shipped"), setup.folder().join("plugins"));
    let (plain, stdio) = (check(false), check(true));
    assert_eq!((plain.status, stdio.status), (Some(0), Some(0)), "{}{}", plain.err, stdio.err);
    assert!(!plain.out.text().contains("--stdio"), "{}", plain.out.text());
    for grant in ["tenants.default.grants.keyvalue", "tenants.default.grants.topics"] {
        assert!(stdio.out.text().contains(grant), "{grant} is not in {}", stdio.out.text());
    }
}

/// What systemd does for a socket unit: listens, and passes the socket as file 3.
const ACTIVATE: &str = "import os, socket, sys
s = socket.socket(socket.AF_INET, getattr(socket, sys.argv[1]))
s.bind(('127.0.0.1', 0))
if sys.argv[1] == 'SOCK_STREAM':
    s.listen()
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')
os.execv(sys.argv[2], sys.argv[2:])
";

#[test]
fn a_server_accepts_on_the_socket_that_systemd_listens_on() {
    let python = client_program("python");
    let python = python.to_str().expect("our paths are text");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("it is bound").to_string();
    // It could not listen there itself.
    let setup = Setup::default().listen(&taken).under(&[python, "-c", ACTIVATE, "SOCK_STREAM"]);
    let gateway = setup.start();
    let finished = Call::new(Client::OpenSsh100, &gateway, "probe").exec("exit 5").run(Input::Nothing);
    assert_eq!(finished.status, Some(5), "{}", finished.err);
    gateway.end();

    let refused = Setup::default().under(&[python, "-c", ACTIVATE, "SOCK_DGRAM"]).start_in_vain();
    assert_eq!(refused.status, Some(2), "{}", refused.err);
    assert!(refused.err.contains("socket 0 of LISTEN_FDS cannot be used"), "{}", refused.err);
}
