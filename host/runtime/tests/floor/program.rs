//! Programs: components that export `wasi:cli/run`, unmodified.

use std::sync::{Arc, OnceLock};

use whelk_runtime::{
    ChannelEvent, Ending, Error, Exit, Grants, Limits, Output, Plugin, Pty, SignalName, Tenant, WindowSize,
};

use crate::client::{Client, Heard};
use crate::guests;

/// The program of the tests. Each of its arguments is something that it does.
pub(crate) fn command() -> Arc<Plugin> {
    static COMMAND: OnceLock<Arc<Plugin>> = OnceLock::new();
    Arc::clone(COMMAND.get_or_init(|| Plugin::load(guests::engine(), "command", &guests::wasm("command")).unwrap()))
}

/// A session that has started the program with this command.
pub(crate) fn exec(command_line: &str) -> Client {
    let client = Client::with(&command(), &[], &Limits::default());
    client.run(command_line);
    client
}

pub(crate) fn terminal() -> ChannelEvent {
    let size = WindowSize { columns: 80, rows: 24, width_px: 0, height_px: 0 };
    ChannelEvent::PtyReq(Pty { term: "xterm".to_owned(), size, modes: Vec::new(), erase_by_width: false })
}

pub(crate) fn signal(name: SignalName) -> Exit {
    let message = format!("ended by SIG{}", name.as_str());
    Exit::Signal { name, core_dumped: false, message }
}

#[tokio::test]
async fn the_words_of_the_command_are_the_arguments() {
    let (recorder, report) = exec("args 'a  b' \"c\\\"d\" e\\ f").end().await;
    assert_eq!(recorder.text(), "[\"command\", \"args\", \"a  b\", \"c\\\"d\", \"e f\"]\n", "{report:?}");
    // Rust's `process::exit` knows only success and failure: `exit` of WASI 0.2.0.
    assert_eq!(recorder.exit(), Some(Exit::Status(1)));
    let (recorder, _) = Client::with(&command(), &[], &Limits::default()).and(ChannelEvent::Shell).end().await;
    assert_eq!((recorder.text(), recorder.exit()), (String::new(), Some(Exit::Status(0))));
    for (bytes, status, reason) in [
        (&b"a 'b"[..], 2, "command: the command ends inside quotes or after a backslash\n"),
        (b"a \xff", 126, "command: the command is not UTF-8\n"),
    ] {
        let client = Client::with(&command(), &[], &Limits::default());
        let (recorder, _) = client.and(ChannelEvent::Exec(bytes.to_vec())).end().await;
        assert_eq!(recorder.heard[1], Heard::Reply(true));
        assert_eq!(recorder.bytes_of(Output::Stderr), reason.as_bytes());
        assert_eq!(recorder.exit(), Some(Exit::Status(status)));
    }
}

#[tokio::test]
async fn every_exit_status_arrives_behind_all_output() {
    for status in [0, 1, 42, 255] {
        let (recorder, _) = exec(&format!("'flood 300000' 'error x' 'exit {status}'")).end().await;
        assert_eq!(recorder.stdout().len(), 300_000);
        assert_eq!(recorder.bytes_of(Output::Stderr), b"x");
        assert_eq!(recorder.exit(), Some(Exit::Status(status)));
    }
    for (command, status) in [("'print a'", 0), ("fail", 1), ("'quit 0'", 0), ("'finish 300'", 300)] {
        let (recorder, report) = exec(command).end().await;
        assert_eq!((recorder.exit(), report.ending), (Some(Exit::Status(status)), Some(Ending::Finished)), "{command}");
    }
}

#[tokio::test]
async fn standard_input_is_read_to_its_end_and_credit_returns_as_it_is_read() {
    let mut client = exec("cat 'print end'");
    client.until_replies(1).await;
    let data: Vec<u8> = (0..1_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let (mut sent, mut credit) = (0, 100_000);
    while sent < data.len() {
        let piece = credit.min(30_000).min(data.len() - sent);
        client.send(&data[sent..sent + piece]);
        sent += piece;
        credit -= piece;
        client.until_stdout(sent).await;
        credit += client.inbox.take_credit();
    }
    assert_eq!(credit, 100_000, "all was read");
    client.happen(ChannelEvent::Eof);
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.stdout(), [&data[..], b"end"].concat());
}

#[tokio::test]
async fn a_program_that_reads_nothing_gives_no_credit_and_still_gets_signals() {
    let mut client = exec("'print ready' flush spin");
    client.until_stdout(5).await;
    client.send(&[b'x'; 50_000]);
    client.happen(ChannelEvent::WindowChange(WindowSize::default()));
    client.happen(ChannelEvent::Signal(SignalName::Other("WINCH".to_owned())));
    assert_eq!(client.until_replies(3).await, [true; 3]);
    assert_eq!(client.inbox.take_credit(), 0);
    client.happen(ChannelEvent::Signal(SignalName::Int));
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.exit(), Some(signal(SignalName::Int)));
}

#[tokio::test]
async fn a_terminal_is_seen_by_the_program_and_its_size_is_the_newest() {
    let client = Client::with(&command(), &[], &Limits::default()).and(terminal());
    client.run("tty 'env TERM' 'env COLUMNS' 'env LINES' size 'error e' 'sleep 5' size");
    let (recorder, _) = client.end().await;
    let text = "true true true\nxterm\n80\n24\nSome((80, 24))\neSome((80, 24))\n";
    assert_eq!(recorder.text(), text.replace('\n', "\r\n"));
    let client = Client::with(&command(), &[], &Limits::default()).and(terminal());
    client.run("'line' size 'env COLUMNS'");
    client.happen(ChannelEvent::WindowChange(WindowSize { columns: 100, rows: 50, width_px: 0, height_px: 0 }));
    client.send(b"x\n");
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.text(), "x\r\n\"x\\n\"\r\nSome((100, 50))\r\n80\r\n");
    let (recorder, _) = exec("tty 'env TERM' size").end().await;
    assert_eq!(recorder.text(), "false false false\n-\nNone\n");
}

#[tokio::test]
async fn the_environment_is_what_was_accepted_and_what_is_known() {
    let client = Client::with(&command(), &[], &Limits::default());
    client.happen(ChannelEvent::Env { name: "LANG".to_owned(), value: b"C.UTF-8".to_vec() });
    for name in ["SSH_ORIGINAL_COMMAND", "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY"] {
        client.happen(ChannelEvent::Env { name: name.to_owned(), value: b"forged".to_vec() });
    }
    client.run("envs");
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.replies(), [true, false, false, false, false, true]);
    let expected = "HOME=/\nLANG=C.UTF-8\nLOGNAME=somebody\nPATH=/usr/bin:/bin\nPWD=/\nSSH_ORIGINAL_COMMAND=envs\n\
                    USER=somebody\n";
    assert_eq!(recorder.text(), expected);
    // A handler, which may hand over to a program, has it neither.
    let mut client = Client::new(&[]);
    client.happen(ChannelEvent::Env { name: "LANG".to_owned(), value: b"C".to_vec() });
    client.happen(ChannelEvent::Env { name: "SSH_ORIGINAL_COMMAND".to_owned(), value: b"forged".to_vec() });
    assert_eq!(client.until_replies(2).await, [true, false]);
}

/// The start function of a core module runs when its instance is made, before the imports of WASI 0.1 are there: they
/// need the module's memory. One that calls them is refused with the reason.
#[tokio::test]
async fn a_start_function_of_a_core_module_runs_without_imports_and_is_refused_with_them() {
    let module = |call: &str| {
        let text = format!(
            r#"(module
                (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
                (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                (memory (export "memory") 1)
                (func $start {call} (i32.store (i32.const 0) (i32.const 7)))
                (start $start)
                (func (export "_start") (call $exit (i32.load (i32.const 0)))))"#
        );
        Plugin::load(guests::engine(), "core", &wat::parse_str(text).unwrap()).unwrap()
    };
    let client = Client::with(&module(""), &[], &Limits::default());
    client.run("");
    let (recorder, report) = client.end().await;
    assert_eq!(recorder.exit(), Some(Exit::Status(7)), "{report:?}");
    let calls = module("(drop (call $random (i32.const 8) (i32.const 8)))");
    let (recorder, report) = Client::with(&calls, &[], &Limits::default()).end().await;
    assert_eq!(recorder.heard, [Heard::Opened(false)]);
    let words = "a start function of a core module calls an import that needs the memory of the module: it is there only when \
                 all instances are made, so call it from `main` or from an export";
    assert!(matches!(&report.error, Some(Error::Refused(reason)) if reason == words), "{report:?}");
    // So it is not published.
    let error = calls.smoke(&Tenant::new("trial", Limits::default(), Grants::default())).await.unwrap_err();
    assert!(matches!(&error, Error::Refused(reason) if reason == words), "{error}");
    // A function that is not there is no such thing.
    let null = r#"(component
        (core module $m (table 1 funcref) (func $start (call_indirect (i32.const 0))) (start $start)
            (func (export "run") (result i32) i32.const 0))
        (core instance $c (instantiate $m))
        (func $run (result (result)) (canon lift (core func $c "run")))
        (instance $i (export "run" (func $run)))
        (export "wasi:cli/run@0.2.6" (instance $i)))"#;
    let null = Plugin::load(guests::engine(), "null", &wat::parse_str(null).unwrap()).unwrap();
    let (_, report) = Client::with(&null, &[], &Limits::default()).end().await;
    assert!(matches!(report.error, Some(Error::Trap { .. })), "{report:?}");
}

#[tokio::test]
async fn a_subsystem_is_refused_unless_a_route_leads_to_the_program() {
    let client = Client::with(&command(), &[], &Limits::default());
    client.happen(ChannelEvent::Subsystem("sftp".to_owned()));
    client.run("'print then'");
    let (recorder, _) = client.end().await;
    assert_eq!((recorder.replies(), recorder.text()), (vec![false, true], "then".to_owned()));
}

#[tokio::test]
async fn a_client_that_leaves_is_a_broken_pipe_or_a_hangup() {
    let mut client = exec("'flood'");
    client.recorder.room = 1000;
    client.until_stdout(1000).await;
    client.inbox.end(Ending::ClientClosed);
    let report = client.task.await.unwrap();
    assert_eq!((report.exit, report.ending), (Some(signal(SignalName::Pipe)), Some(Ending::ClientClosed)));
    // `eow@openssh.com`: it has not left, and is told how the program ended.
    let mut client = exec("'flood 1024' 'error x' 'sleep 5' line 'print y' flush");
    client.until_stdout(1024).await;
    client.inbox.output_unread();
    client.send(b"z\n");
    let (recorder, _) = client.end().await;
    assert_eq!(
        (recorder.bytes_of(Output::Stderr).as_slice(), recorder.exit()),
        (&b"x"[..], Some(signal(SignalName::Pipe)))
    );
    let mut client = exec("'print ready' flush 'line' 'line' 'exit 3'");
    client.until_stdout(5).await;
    client.send(b"last words\n");
    client.inbox.end(Ending::ClientClosed);
    let report = client.task.await.unwrap();
    assert_eq!(report.exit, Some(signal(SignalName::Pipe)), "it prints the line that it has read");
    let mut client = exec("'print ready' flush spin");
    client.until_stdout(5).await;
    client.inbox.end(Ending::Drained);
    let (recorder, report) = client.end().await;
    assert!(matches!(recorder.exit(), Some(Exit::Signal { name: SignalName::Hup, .. })), "{report:?}");
}
