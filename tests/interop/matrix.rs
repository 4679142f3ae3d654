//! Each client with each behaviour.
//!
//! Each behaviour is one function below and a test for each client. Terminals are in `terminal.rs`, ways to log in in
//! `access.rs`.

use whelk_tests::{Call, Client, Gateway, Input};

macro_rules! for_each_client {
    ($($module:ident: $client:ident,)+) => {$(
        mod $module {
            use whelk_tests::Client::$client as CLIENT;

            #[test]
            fn a_shell_receives_stdin_and_its_eof() {
                super::a_shell_receives_stdin_and_its_eof(CLIENT);
            }

            #[test]
            fn the_client_reports_the_exit_status_of_a_command() {
                super::the_client_reports_the_exit_status_of_a_command(CLIENT);
            }

            #[test]
            fn a_mebibyte_is_echoed_unchanged() {
                super::a_mebibyte_is_echoed_unchanged(CLIENT);
            }

            #[test]
            fn all_output_arrives_before_the_end() {
                super::all_output_arrives_before_the_end(CLIENT);
            }

            #[test]
            fn the_end_of_a_command_ends_a_client_whose_stdin_is_open() {
                super::the_end_of_a_command_ends_a_client_whose_stdin_is_open(CLIENT);
            }

            #[test]
            fn stderr_is_separate_from_stdout() {
                super::stderr_is_separate_from_stdout(CLIENT);
            }

            #[test]
            fn a_signal_is_not_reported_as_an_exit_status() {
                super::a_signal_is_not_reported_as_an_exit_status(CLIENT);
            }

            #[test]
            fn a_plugin_cannot_send_the_hosts_requests() {
                super::a_plugin_cannot_send_the_hosts_requests(CLIENT);
            }
        }
    )+};
}

for_each_client! {
    openssh_9_2: OpenSsh92,
    openssh_10_0: OpenSsh100,
    dbclient: Dbclient,
    plink: Plink,
    asyncssh: AsyncSsh,
    paramiko: Paramiko,
    libssh: Libssh,
    ssh2: Ssh2,
    conch: Conch,
    net_ssh2: NetSsh2,
    net_ssh: NetSsh,
    x_crypto: XCrypto,
    jsch: Jsch,
    russh: Russh,
    ours: Ours,
}

/// What a client makes of an exit status.
fn handed_on(client: Client, status: i32) -> Option<i32> {
    Some(if client == Client::Russh { 0 } else { status })
}

fn a_shell_receives_stdin_and_its_eof(client: Client) {
    let gateway = Gateway::demonstration();
    let finished = Call::new(client, &gateway, "echo").run(Input::Bytes(b"hi\n".to_vec()));
    let text = finished.out.text();
    let at = text.find(r#"echo: "hi\n""#).unwrap_or_else(|| panic!("no echo in {text:?}, stderr {}", finished.err));
    assert!(text[at..].contains("eof received"), "no end of input in {text:?}");
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    gateway.end();
}

fn the_client_reports_the_exit_status_of_a_command(client: Client) {
    let gateway = Gateway::demonstration();
    for status in [0, 7, 254] {
        let finished = Call::new(client, &gateway, "probe").exec(&format!("exit {status}")).run(Input::Nothing);
        assert_eq!(finished.status, handed_on(client, status), "{}", finished.err);
    }
    gateway.end();
}

fn a_mebibyte_is_echoed_unchanged(client: Client) {
    let gateway = Gateway::demonstration();
    let bytes: Vec<u8> = (0..1_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let finished = Call::new(client, &gateway, "probe").exec("cat").run(Input::Bytes(bytes.clone()));
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    assert_eq!(finished.out.total, 1 << 20);
    assert!(finished.out.kept == bytes, "as many bytes, but others");
    gateway.end();
}

// With 8 MiB the reply to `exec`, the windows and the last bytes all matter: a library that receives data before the
// reply drops it.
fn all_output_arrives_before_the_end(client: Client) {
    let gateway = Gateway::demonstration();
    let finished = Call::new(client, &gateway, "probe").exec("zeros 8388608").run(Input::Nothing);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    assert_eq!(finished.out.total, 8 << 20);
    assert!(finished.out.only_zeros);
    gateway.end();
}

fn the_end_of_a_command_ends_a_client_whose_stdin_is_open(client: Client) {
    let gateway = Gateway::demonstration();
    let running = Call::new(client, &gateway, "probe").exec("exit 3").start();
    let status = running.wait("end", |seen| seen.status);
    assert_eq!(status.code(), handed_on(client, 3), "{}", running.said());
    gateway.end();
}

fn stderr_is_separate_from_stdout(client: Client) {
    let gateway = Gateway::demonstration();
    let finished = Call::new(client, &gateway, "probe").exec("stderr apart").run(Input::Nothing);
    assert!(finished.err.contains("apart"), "stderr is {:?}", finished.err);
    assert_eq!(finished.out.total, 0, "stdout is {:?}", finished.out.text());
    gateway.end();
}

// dbclient ignores `exit-signal` and has no status to report; plink counts signals from 128 but knows no numbers. russh
// for node hands on neither.
fn a_signal_is_not_reported_as_an_exit_status(client: Client) {
    let (status, said) = match client {
        Client::OpenSsh92 | Client::OpenSsh100 => (255, "rtype exit-signal"),
        Client::Dbclient => (0, ""),
        Client::Plink => (128, ""),
        Client::AsyncSsh | Client::Libssh | Client::Conch | Client::NetSsh2 | Client::NetSsh | Client::XCrypto => {
            (255, "signal TERM")
        }
        Client::Ssh2 => (255, "signal SIGTERM"),
        Client::Paramiko | Client::Jsch => (255, "no exit status"),
        Client::Russh => (0, ""),
        Client::Curl => unreachable!("it runs no command"),
        Client::Ours => (255, "exit-signal TERM"),
    };
    let gateway = Gateway::demonstration();
    let call = Call::new(client, &gateway, "probe").exec("signal TERM");
    let call = if said.starts_with("rtype") { call.option("-v") } else { call };
    let finished = call.run(Input::Nothing);
    assert_eq!(finished.status, Some(status), "{}", finished.err);
    assert!(finished.err.contains(said), "stderr is {}", finished.err);
    gateway.end();
}

/// A request whose name is reserved for the host is not sent; other requests are, and each client answers them.
fn a_plugin_cannot_send_the_hosts_requests(client: Client) {
    let gateway = Gateway::demonstration();
    for name in ["exit-status", "exit-signal", "xon-xoff", "eow@openssh.com", "keepalive@openssh.com"] {
        let finished = Call::new(client, &gateway, "probe").exec(&format!("request {name} x")).run(Input::Nothing);
        assert_eq!(finished.out.text(), "false\n", "{name}: {}", finished.err);
        assert_eq!(finished.status, Some(0), "{name}: {}", finished.err);
    }
    let finished = Call::new(client, &gateway, "probe").exec("debug \u{1b}[2Ja\u{7}b").run(Input::Nothing);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    assert!(!finished.err.contains('\u{1b}') && !finished.err.contains('\u{7}'), "{:?}", finished.err);
    gateway.end();
}
