//! The shell with OpenSSH: commands, scripts, a terminal, and input that no shell should get.

mod agents;
mod hostile;
mod keyboard;
mod master;
mod quota;
mod recursion;
mod screens;
mod suites;

use master::Master;
use whelk_tests::{Access, Call, Client, Event, Gateway, Input, OPENSSH_VERSIONS, Running, SOON, Setup};

/// Alice has a shell and a home; guests a home of their connection.
const CONFIGURATION: &str = "\
[users.alice]
plugin = \"bash\"
auth = \"none\"
[users.posix]
plugin = \"sh\"
auth = \"none\"
[users.guest]
plugin = \"shell\"
auth = \"none\"
[users.other]
plugin = \"sh\"
auth = \"none\"
tenant = \"other\"
[limits]
sessions_per_user = 200
[tenants.default.grants]
process = true
directory = { ephemeral = \"connection\", files = 20000 }
mounts = { \"/data\" = \"data\" }
[tenants.other.grants]
process = true
directory = { ephemeral = \"connection\", bytes = \"1 MiB\" }
";

fn gateway() -> Gateway {
    gateway_with(&[])
}

/// A gateway with the utilities, once those that are loaded unasked are there.
fn gateway_with_utilities() -> Gateway {
    let setup = Setup::default();
    std::fs::create_dir(setup.folder().join("data")).expect("our own folder");
    let gateway = setup.configuration(CONFIGURATION).utilities().start();
    for program in ["sh", "coreutils"] {
        gateway.wait("the programs", |event: &Event| {
            (event.message == "program loaded" && event.field("plugin") == program).then_some(())
        });
    }
    gateway
}

/// A gateway whose users read these files in `/data`.
fn gateway_with(data: &[(&str, String)]) -> Gateway {
    let setup = Setup::default();
    let folder = setup.folder().join("data");
    std::fs::create_dir(&folder).expect("our own folder");
    for (name, text) in data {
        std::fs::write(folder.join(name), text).expect("our own folder");
    }
    ready(setup.configuration(CONFIGURATION).shell().start())
}

/// Waits until the shell is compiled: a session waits for that, but not for ever.
fn ready(gateway: Gateway) -> Gateway {
    gateway.wait("the shell", |event: &Event| {
        (event.message == "program loaded" && event.field("plugin") == "sh").then_some(())
    });
    gateway
}

/// What a run has written and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Ran {
    out: String,
    err: String,
    status: Option<i32>,
}

fn ran(out: &str, err: &str, status: i32) -> Ran {
    Ran { out: out.to_owned(), err: err.to_owned(), status: Some(status) }
}

fn run(call: &Call, input: Input) -> Ran {
    let finished = call.run(input);
    Ran { out: finished.out.text(), err: finished.err, status: finished.status }
}

fn script(gateway: &Gateway, user: &str, script: &str) -> Ran {
    run(&Call::new(Client::OpenSsh100, gateway, user).exec(script), Input::Nothing)
}

#[test]
fn a_command_is_a_script_and_its_status_is_exact_for_each_client() {
    let gateway = gateway();
    let pipeline = "for i in 1 2 3; do echo $i; done | { while read x; do last=$x; done; echo $last > x; }; \
                    read y < x; echo $y; exit 5";
    for client in [Client::OpenSsh92, Client::OpenSsh100, Client::AsyncSsh] {
        let call = Call::new(client, &gateway, "alice").exec(pipeline);
        assert_eq!(run(&call, Input::Nothing), ran("3\n", "", 5), "{client:?}");
    }
    let status = |command: &str| {
        let Ran { out, err, status } = script(&gateway, "posix", command);
        (out, err, status.expect("a status"))
    };
    let (_, err, code) = status("echo a\necho )");
    assert_eq!((err.as_str(), code), ("sh: line 2: syntax error near unexpected token `)'\n", 2));
    let (_, err, code) = status("no-such-command");
    assert_eq!((err.as_str(), code), ("sh: line 1: no-such-command: command not found\n", 127));
    let (_, err, code) = status("echo x > text; ./text");
    assert_eq!((err.as_str(), code), ("sh: line 1: ./text: Permission denied\n", 126));
    let (_, err, code) = status("printf '#!/bin/absent\\n' > script; ./script");
    assert!(err.contains("./script: ") && matches!(code, 126 | 127), "{err}{code}");
    assert_eq!(status("printf '#!/bin/sh\\necho $1; exit 9' > script; ./script a").2, 9);
    // A script is called as its path is written.
    let name = status("printf '#!/bin/bash\\necho $0 $BASH_SOURCE' > script; ./script; cd /tmp; ../script");
    assert_eq!(name, ("./script ./script\n../script ../script\n".to_owned(), String::new(), 0));
    for (signal, number) in [("TERM", 143), ("KILL", 137), ("PIPE", 141)] {
        assert_eq!(status(&format!("sh -c 'kill -{signal} $$'; exit $?")).2, number, "{signal}");
    }
    assert_eq!(status("while :; do echo y; done | { read x; echo $x; }").0, "y\n");
    assert_eq!(status("echo out; echo err >&2; exit 3"), ("out\n".to_owned(), "err\n".to_owned(), 3));
    gateway.end();
}

#[test]
fn pipelines_of_the_utilities_end_as_their_last_command_does() {
    let gateway = gateway_with_utilities();
    let sorted = "for i in 1 2 3; do echo $i; done | sort -r | head -1 > x; cat x; exit 5";
    assert_eq!(script(&gateway, "posix", sorted), ran("3\n", "", 5));
    assert_eq!(script(&gateway, "alice", "yes | head -n 1"), ran("y\n", "", 0));
    let endless = "yes | head -n 1; echo ${PIPESTATUS[@]}";
    assert_eq!(script(&gateway, "alice", endless), ran("y\n141 0\n", "", 0));
    gateway.end();
}

#[test]
fn a_script_is_read_from_standard_input_line_by_line() {
    let gateway = gateway();
    let input = "echo one\nread x\nthis line is data\necho got $x\nexit 4\necho never\n";
    for client in [Client::OpenSsh92, Client::OpenSsh100] {
        let call = Call::new(client, &gateway, "alice");
        let expected = ran("one\ngot this line is data\n", "", 4);
        assert_eq!(run(&call, Input::Bytes(input.as_bytes().to_vec())), expected, "{client:?}");
    }
    gateway.end();
}

#[test]
fn the_name_decides_the_language() {
    let gateway = gateway();
    let arrays = "a=(x y); echo ${a[1]} $BASH_VERSION";
    assert!(script(&gateway, "alice", arrays).out.starts_with("y 5."));
    assert!(script(&gateway, "guest", arrays).out.starts_with("y 5."));
    let shown = "set -o | while read name on; do case $name in posix) echo $on;; esac; done";
    assert_eq!(script(&gateway, "posix", shown), ran("on\n", "", 0));
    assert_eq!(script(&gateway, "posix", "bash -c '[[ a == ? ]] && echo yes'"), ran("yes\n", "", 0));
    gateway.end();
}

#[test]
fn two_commands_and_sftp_over_one_connection_have_one_home() {
    let gateway = gateway();
    for version in OPENSSH_VERSIONS {
        let command = "echo first > file; trap 'read y < file; echo $y' EXIT";
        let master = Master::open(&gateway, version, "guest", &Access::Nothing, command);
        assert_eq!(run(&master.exec("read x < file; echo $x"), Input::Nothing), ran("first\n", "", 0));
        let mut sftp = master.tool("sftp");
        sftp.args(["-b", "-", "guest@127.0.0.1"]);
        let finished = Running::run(sftp, Input::Bytes(b"rename file sent\n".to_vec()), SOON);
        assert_eq!(finished.status, Some(0), "{}", finished.err);
        assert_eq!(run(&master.exec("read x < sent; echo $x > file"), Input::Nothing), ran("", "", 0));
        assert_eq!(master.close(), "ready\nfirst\n");
        assert_eq!(script(&gateway, "guest", "test -e file || echo none"), ran("none\n", "", 0));
    }
    gateway.end();
}

#[test]
fn the_demonstration_offers_the_shell() {
    let gateway = ready(Setup::default().shell().start());
    let Ran { out, err, status } = run(&Call::new(Client::OpenSsh100, &gateway, "nobody"), Input::Nothing);
    assert!(format!("{out}{err}").contains("ssh shell@here is a shell"), "{out}{err}");
    assert_eq!(status, Some(1));
    assert_eq!(script(&gateway, "shell", "echo kept > file; cd /tmp; pwd"), ran("/tmp\n", "", 0));
    assert_eq!(script(&gateway, "shell", "read x < file; echo $x $HOME $USER"), ran("kept / shell\n", "", 0));
    gateway.end();
}
