//! Programs that know nothing of SSH, as the toolchains of C, Go and Rust build them: each serves a session by its
//! arguments, its standard streams and its exit status alone.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use whelk_tests::{Call, Client, Event, Gateway, Input, MIB, Output, Running, SOON, Setup, build_guest, repository};

use crate::recipe::{Recipe, loaded};

const CLIENTS: [Client; 3] = [Client::OpenSsh100, Client::AsyncSsh, Client::Plink];

/// What zig makes depends on its version.
const ZIG: Recipe = Recipe {
    name: "c-zig",
    source: "programs/report.c",
    inputs: &["tests/requirements.txt"],
    tool: "zig",
    arguments: &["cc", "-target", "wasm32-wasi", "-Os", "-s", "-o", "OUT", "SOURCE"],
};
const CLANG: Recipe = Recipe {
    name: "c-clang",
    source: "programs/report.c",
    inputs: &[],
    tool: "clang-wasip1",
    arguments: &["-Os", "-Wl,--strip-all", "-o", "OUT", "SOURCE"],
};
const GO: Recipe = Recipe {
    name: "go",
    source: "programs/report.go",
    inputs: &[],
    tool: "go-wasip1",
    arguments: &["build", "-ldflags=-s -w", "-o", "OUT", "SOURCE"],
};
const RUST: Recipe = Recipe {
    name: "rust-wasip1",
    source: "programs/report.rs",
    inputs: &[],
    tool: "rustc-wasip1",
    arguments: &["--edition", "2024", "-O", "-C", "strip=symbols", "-o", "OUT", "SOURCE"],
};

/// A gateway whose plugin `report` is this file.
fn serve(setup: Setup, program: &[u8]) -> Gateway {
    let plugins = setup.folder().join("programs");
    fs::create_dir(&plugins).expect("the temporary folder can be written");
    fs::write(plugins.join("report.wasm"), program).expect("the temporary folder can be written");
    let gateway = setup.plugins(plugins).start();
    loaded(&gateway, "report");
    gateway
}

/// Runs the program by each client.
fn show(program: &[u8]) {
    let gateway = serve(Setup::default(), program);
    for client in CLIENTS {
        let call = |command: &str| Call::new(client, &gateway, "report").exec(command);
        arguments_input_and_streams(client, &call("one 'two  words' \"th'ree\" \u{e4}"));
        for (last, status) in [("exit", 42), ("return", 43)] {
            let ended = call(last).run(Input::Nothing);
            assert_eq!(ended.status, Some(status), "{client:?} {last}: {}", ended.err);
        }
        let terminal = call("x").pty().run(Input::Bytes(vec![4]));
        let text = terminal.out.text();
        assert!(text.contains("terminal: yes"), "{client:?}: {text} {}", terminal.err);
        assert_eq!(terminal.status, Some(0), "{client:?}: {text}");
    }
    a_reader_that_leaves_ends_it(&gateway);
    gateway.end();
}

fn arguments_input_and_streams(client: Client, call: &Call) {
    let ended = call.run(Input::Generated(MIB));
    let lines = ["argument 1: one", "argument 2: two  words", "argument 3: th'ree", "argument 4: \u{e4}"];
    let expected = format!("{}\nterminal: no\n{MIB} bytes\n", lines.join("\n"));
    assert_eq!(ended.out.text(), expected, "{client:?}: {}", ended.err);
    assert_eq!((ended.err.as_str(), ended.status), ("told apart\n", Some(0)), "{client:?}");
}

/// `ssh report forever | head -1`, where both end. OpenSSH's client reads on when nobody takes its output: it would say
/// so to a server that calls itself OpenSSH. There the program ends with the client.
fn a_reader_that_leaves_ends_it(gateway: &Gateway) {
    for client in CLIENTS {
        let call = Call::new(client, gateway, "report").exec("forever");
        if client == Client::OpenSsh100 {
            let running = call.start();
            running.wait_for_output("more\nmore\n");
            running.kill_and_wait();
            continue;
        }
        let call = call.command();
        let mut pipeline = Command::new("sh");
        pipeline.args(["-c", "\"$@\" | head -1", "sh"]).arg(call.get_program()).args(call.get_args());
        pipeline.envs(call.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let ended = Running::start(pipeline, Input::Nothing, Output::Read, SOON).finish();
        assert_eq!(ended.out.text(), "argument 1: forever\n", "{client:?}: {}", ended.err);
    }
    gateway.wait_all("the ends of the sessions", |events| {
        let is_end = |event: &&Event| event.message == "session ended" && event.field("exit").contains("PIPE");
        (events.iter().filter(is_end).count() == CLIENTS.len()).then_some(())
    });
}

#[test]
fn a_program_in_c_compiled_by_zig_serves_a_session() {
    show(&fs::read(ZIG.build()).expect("it is built"));
}

#[test]
fn a_program_in_c_compiled_by_clang_serves_a_session() {
    show(&fs::read(CLANG.build()).expect("it is built"));
}

#[test]
fn a_program_in_go_serves_a_session() {
    show(&fs::read(GO.build()).expect("it is built"));
}

#[test]
fn a_program_in_rust_for_wasi_0_1_serves_a_session() {
    show(&fs::read(RUST.build()).expect("it is built"));
}

#[test]
fn a_program_in_rust_with_one_line_of_the_sdk_serves_a_session() {
    let target = repository().join("target/programs");
    show(&build_guest("tests/interop/programs/rust", "report", &target));
}

#[test]
fn the_operator_says_what_a_program_gets_from_a_request() {
    let configuration = r#"
        [programs.report]
        exec = ["-c", "{command}"]
        shell = ["-l"]
        [users.as-a-shell]
        plugin = "report"
        auth = "none"
        [users.own]
        plugin = "report"
        auth = "none"
        tenant = "acme"
        [tenants.acme.programs.report]
        exec = ["<{command}>", "exit"]
    "#;
    let gateway = serve(Setup::default().configuration(configuration), &fs::read(RUST.build()).expect("it is built"));
    let arguments = |user: &str, command: Option<&str>| {
        let call = Call::new(Client::OpenSsh100, &gateway, user);
        let ended = command.map_or(call.clone(), |command| call.exec(command)).run(Input::Nothing);
        let lines: Vec<String> = ended
            .out
            .text()
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(what, is)| if what.starts_with("argument") { is.to_owned() } else { String::new() })
            .filter(|argument| !argument.is_empty())
            .collect();
        (lines, ended.status)
    };
    let unclosed = "a 'b  c";
    assert_eq!(arguments("as-a-shell", Some(unclosed)), (vec!["-c".to_owned(), unclosed.to_owned()], Some(0)));
    assert_eq!(arguments("as-a-shell", None), (vec!["-l".to_owned()], Some(0)));
    assert_eq!(arguments("own", Some("x")), (vec!["<x>".to_owned(), "exit".to_owned()], Some(42)));
    assert_eq!(arguments("own", None), (Vec::new(), Some(0)));
    let mut not_text = Call::new(Client::OpenSsh100, &gateway, "as-a-shell").command();
    not_text.arg(OsStr::from_bytes(b"a \xff"));
    let ended = Running::run(not_text, Input::Nothing, SOON);
    assert_eq!((ended.err.as_str(), ended.status), ("report: the command is not UTF-8\n", Some(126)));
    gateway.end();
}
