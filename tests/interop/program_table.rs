//! The program table with OpenSSH: a program is dropped into `bin`, run by several names, and replaced while it runs.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;

use whelk_tests::{Call, Client, Event, Gateway, Input, Setup, build_guest};

/// Guest's plugin is a program, and its commands may name others. Its tenant has none of its own.
const CONFIGURATION: &str = "\
[users.guest]
plugin = \"command\"
auth = \"none\"
[tenants.default]
exec_programs = true
grants.directory = { ephemeral = true }
";

/// A gateway with one program, and the bytes of that.
fn serve() -> (Gateway, Vec<u8>) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let program = build_guest("host/runtime/tests/guests/command", "command", &target);
    let setup = Setup::default();
    let plugins = setup.folder().join("programs");
    fs::DirBuilder::new().recursive(true).mode(0o755).create(plugins.join("bin")).expect("our own folder");
    fs::write(plugins.join("bin/command.wasm"), &program).expect("our own folder");
    (setup.plugins(plugins).configuration(CONFIGURATION).start(), program)
}

fn call(client: Client, gateway: &Gateway, command: &str) -> Call {
    Call::new(client, gateway, "guest").exec(command)
}

fn wait_for_version(gateway: &Gateway, generation: &str) {
    gateway.wait("the program", |event: &Event| {
        (event.message == "program loaded" && event.field("generation") == generation).then_some(())
    });
}

#[test]
fn openssh_runs_programs_by_their_names_and_each_failure_has_the_status_of_a_shell() {
    let (gateway, program) = serve();
    let bin = gateway.plugins().join("bin");
    symlink("command.wasm", bin.join("tool.wasm")).expect("our own folder");
    symlink("../../outside.wasm", bin.join("out.wasm")).expect("our own folder");
    fs::write(bin.join("text.wasm"), "#!/bin/sh\n").expect("our own folder");
    for client in [Client::OpenSsh92, Client::OpenSsh100] {
        let ended = call(client, &gateway, "tool args 'print a  b' 'exit 42'").run(Input::Nothing);
        let expected = "[\"tool\", \"args\", \"print a  b\", \"exit 42\"]\na  b";
        assert_eq!((ended.out.text().as_str(), ended.status), (expected, Some(42)), "{client:?}: {}", ended.err);
        let ended = call(client, &gateway, "/usr/bin/command args").run(Input::Nothing);
        assert_eq!(
            (ended.out.text().as_str(), ended.status),
            ("[\"/usr/bin/command\", \"args\"]\n", Some(0)),
            "{}",
            ended.err
        );
        for (command, reason, status) in [
            ("absent -l", "absent: not found", 127),
            ("text", "text: this is text, not a WebAssembly component", 126),
            ("out", "out: it is a symbolic link to \"../../outside.wasm\"", 126),
        ] {
            let ended = call(client, &gateway, command).run(Input::Nothing);
            assert!(ended.err.contains(reason), "{client:?}: {}", ended.err);
            assert_eq!((ended.out.text().as_str(), ended.status), ("", Some(status)), "{client:?}: {command}");
        }
    }
    // `/bin` shows the names that may be run, whether a file is a program or not.
    let ended =
        call(Client::OpenSsh100, &gateway, "command 'ls /bin' 'ls /usr/bin' 'length /bin/tool'").run(Input::Nothing);
    let size = program.len();
    assert_eq!(ended.out.text(), format!("{0}{0}true {size}\n", "command\ntext\ntool\n"), "{}", ended.err);
    // Dropped in while the server runs.
    fs::write(bin.join("late.wasm"), &program).expect("our own folder");
    let ended = call(Client::OpenSsh100, &gateway, "late args").run(Input::Nothing);
    assert_eq!(ended.out.text(), "[\"late\", \"args\"]\n", "{}", ended.err);
    gateway.end();
}

#[test]
fn a_program_that_is_replaced_while_openssh_runs_it_goes_on() {
    let (gateway, mut program) = serve();
    let running = call(Client::OpenSsh100, &gateway, "command 'print ready' flush spin").start();
    running.wait_for_output("ready");
    wait_for_version(&gateway, "1");
    // A custom section: its kind, its length, the length of its name, its name, its contents.
    program.extend([0, 3, 1, b'v', 2]);
    let (new, file) = (gateway.plugins().join("new"), gateway.plugins().join("bin/command.wasm"));
    fs::write(&new, &program).and_then(|()| fs::rename(&new, &file)).expect("our own folder");
    wait_for_version(&gateway, "2");
    let ended = call(Client::OpenSsh100, &gateway, "command 'print new'").run(Input::Nothing);
    assert_eq!((ended.out.text().as_str(), ended.status), ("new", Some(0)), "{}", ended.err);
    // The first one has computed all the time.
    running.kill_and_wait();
    gateway.wait("the end of the first", |event: &Event| {
        (event.message == "session ended" && event.field("exit").contains("HUP")).then_some(())
    });
    gateway.end();
}
