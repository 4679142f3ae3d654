//! Components that export `wasi:cli/run`, with OpenSSH: what the program of the runtime's tests does is seen by `ssh`.

use std::fs;
use std::path::Path;
use std::process::Command;

use whelk_tests::{Call, Client, Event, Gateway, Input, MIB, Running, SOON, Setup, build_guest};

/// A gateway whose plugin `command` is a plain `fn main`, which does what its arguments say.
fn serve() -> Gateway {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let program = build_guest("host/runtime/tests/guests/command", "command", &target);
    let setup = Setup::default();
    let plugins = setup.folder().join("programs");
    fs::create_dir(&plugins).expect("the temporary folder can be written");
    fs::write(plugins.join("command.wasm"), program).expect("the temporary folder can be written");
    let gateway = setup.plugins(plugins).start();
    gateway.wait("the program", |event| (event.message == "plugin loaded").then_some(()));
    gateway
}

fn call(client: Client, gateway: &Gateway, command: &str) -> Call {
    Call::new(client, gateway, "command").exec(command)
}

#[test]
fn openssh_runs_a_program_with_arguments_input_environment_and_status() {
    let gateway = serve();
    for client in [Client::OpenSsh92, Client::OpenSsh100] {
        let ended = call(client, &gateway, "'print one  two' 'error apart' count 'exit 42'").run(Input::Generated(MIB));
        assert_eq!(ended.out.text(), format!("one  two{MIB}\n"), "{client:?}: {}", ended.err);
        assert!(ended.err.ends_with("apart"), "{client:?}: {}", ended.err);
        assert_eq!(ended.status, Some(42), "{client:?}");
        let environment = call(client, &gateway, "'env USER' 'env SSH_ORIGINAL_COMMAND' 'env LC_ALL' tty")
            .option("-o")
            .option("SetEnv=LC_ALL=C.UTF-8")
            .run(Input::Nothing);
        let expected = "command\n'env USER' 'env SSH_ORIGINAL_COMMAND' 'env LC_ALL' tty\nC.UTF-8\nfalse false false\n";
        assert_eq!(environment.out.text(), expected, "{client:?}: {}", environment.err);
        let addresses = call(client, &gateway, "'env SSH_CLIENT' 'env SSH_CONNECTION' 'env SSH_TTY' 'env SHELL'");
        let addresses = addresses.run(Input::Nothing).out.text();
        let port = addresses.split(' ').nth(1).expect("the client's port");
        let server = gateway.port();
        let expected = format!("127.0.0.1 {port} {server}\n127.0.0.1 {port} 127.0.0.1 {server}\n-\n-\n");
        assert_eq!(addresses, expected, "{client:?}");
        let terminal = call(client, &gateway, "'env SSH_TTY'").pty().run(Input::Nothing);
        assert_eq!(terminal.out.text(), "/dev/tty\r\n", "{client:?}: {}", terminal.err);
        let crashed = call(client, &gateway, "trap").run(Input::Nothing);
        assert_eq!(crashed.status, Some(255), "{client:?}: exit-signal");
        let unclosed = call(client, &gateway, "print 'x").run(Input::Nothing);
        assert_eq!(unclosed.status, Some(2), "{client:?}");
        assert!(unclosed.err.contains("command: the command ends inside quotes"), "{}", unclosed.err);
    }
    gateway.end();
}

/// OpenSSH's client goes on when nobody reads its own output, and sends `eow@openssh.com`. The others end then.
#[test]
fn an_endless_program_ends_when_the_reader_of_its_client_has_enough() {
    let gateway = serve();
    let clients = [Client::OpenSsh92, Client::OpenSsh100, Client::AsyncSsh, Client::Plink];
    for (number, client) in clients.into_iter().enumerate() {
        let call = call(client, &gateway, "flood").command();
        let mut pipeline = Command::new("bash");
        pipeline.args(["-c", "\"$@\" | head -c 1; exit \"${PIPESTATUS[0]}\"", "bash"]);
        pipeline.arg(call.get_program()).args(call.get_args());
        pipeline.envs(call.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let finished = Running::run(pipeline, Input::Nothing, SOON);
        assert_eq!(finished.out.text(), "y", "{client:?}: {}", finished.err);
        if matches!(client, Client::OpenSsh92 | Client::OpenSsh100) {
            assert_eq!(finished.status, Some(255), "{client:?}: exit-signal: {}", finished.err);
        }
        wait_for_ends(&gateway, "PIPE", number + 1);
    }
    gateway.end();
}

#[test]
fn a_program_whose_client_is_killed_ends_by_the_signal_of_unix() {
    let gateway = serve();
    let flooding = call(Client::OpenSsh100, &gateway, "flood").start();
    flooding.wait_for_output("y\ny");
    flooding.kill_and_wait();
    wait_for_ends(&gateway, "PIPE", 1);
    let spinning = call(Client::OpenSsh100, &gateway, "'print ready' flush spin").start();
    spinning.wait_for_output("ready");
    spinning.kill_and_wait();
    wait_for_ends(&gateway, "HUP", 1);
    gateway.end();
}

/// Waits until this many sessions have ended by this signal.
fn wait_for_ends(gateway: &Gateway, signal: &str, count: usize) {
    gateway.wait_all("the ends of the sessions", |events| {
        let is_end = |event: &&Event| event.message == "session ended" && event.field("exit").contains(signal);
        (events.iter().filter(is_end).count() == count).then_some(())
    });
}
