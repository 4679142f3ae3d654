//! The events of a session, their order, and the answers.

use whelk_runtime::{ChannelEvent, Ending, Exit, Limits, Output, Pty, SignalName, WindowSize};

use crate::client::{CAPACITY, Client, Heard, out};
use crate::{guests, log};

pub(crate) fn pty() -> ChannelEvent {
    let size = WindowSize { columns: 80, rows: 24, width_px: 0, height_px: 0 };
    ChannelEvent::PtyReq(Pty {
        term: "xterm".to_owned(),
        size,
        modes: vec![(53, 1), (42, 1), (1, 3)],
        erase_by_width: false,
    })
}

pub(crate) fn resize(columns: u32) -> ChannelEvent {
    ChannelEvent::WindowChange(WindowSize { columns, rows: 24, width_px: 0, height_px: 0 })
}

pub(crate) fn env(name: &str, value: &str) -> ChannelEvent {
    ChannelEvent::Env { name: name.to_owned(), value: value.into() }
}

#[tokio::test]
async fn a_session_is_opened_started_fed_and_finished_in_the_clients_order() {
    let client = Client::new(&[("shell", "write >"), ("eof", "trace;finish 3")]);
    client.happen(env("LANG", "C"));
    client.happen(pty());
    client.happen(ChannelEvent::Shell);
    client.send(b"hello");
    client.happen(ChannelEvent::Signal(SignalName::Int));
    client.send(b"world");
    client.happen(ChannelEvent::Eof);
    let (recorder, report) = client.end().await;
    let trace = "open\nenv LANG=C\npty-req xterm\nshell\ndata 5 hello\nsignal SignalName::Int\ndata 5 world\neof";
    let output = format!(">helloworld{trace}");
    let heard = [
        Heard::Opened(true),
        Heard::Reply(true),
        Heard::Reply(true),
        Heard::Reply(true),
        out(">hello"),
        Heard::Reply(true),
        out(&output[">hello".len()..]),
        Heard::Exit(Exit::Status(3)),
    ];
    assert_eq!(recorder.heard, heard);
    assert!(report.opened && report.error.is_none());
    assert_eq!(report.exit, Some(Exit::Status(3)));
}

#[tokio::test]
async fn a_plugin_that_refuses_open_gets_no_more_calls() {
    let client = Client::new(&[("open", "false")]);
    client.happen(ChannelEvent::Shell);
    let (recorder, report) = client.end().await;
    assert_eq!(recorder.heard, [Heard::Opened(false)]);
    assert!(!report.opened && report.ending.is_none() && report.exit.is_none() && report.error.is_none());
}

#[tokio::test]
async fn accepted_environment_and_terminal_are_kept() {
    let client = Client::new(&[("subsystem", "env;pty;size;finish 0")]);
    client.happen(env("A", "1"));
    client.happen(env("B", "2"));
    client.happen(env("A", "3"));
    client.happen(pty());
    client.happen(ChannelEvent::Subsystem("any".to_owned()));
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.replies(), [true; 5]);
    assert_eq!(recorder.text(), "B=2 A=3 Some((\"xterm\", 80, 3))Some((80, 24))");
}

#[tokio::test]
async fn refused_environment_and_terminal_are_not_kept() {
    let mut client = Client::new(&[("env", "false"), ("pty-req", "false"), ("shell", "env;pty;size")]);
    client.happen(env("A", "1"));
    client.happen(pty());
    client.happen(ChannelEvent::Shell);
    assert_eq!(client.until_replies(3).await, [false, false, true]);
    assert_eq!(client.until_stdout(8).await, "NoneNone");
}

#[tokio::test]
async fn more_environment_than_the_limit_is_refused_without_a_call() {
    let mut client = Client::new(&[("shell", "trace")]);
    let value = "v".repeat(40_000);
    client.happen(env("A", &value));
    client.happen(env("B", &value));
    client.happen(ChannelEvent::Shell);
    assert_eq!(client.until_replies(3).await, [true, false, true]);
    let text = client.until_stdout(40_000).await;
    assert!(!text.contains("env B"), "B was delivered");
}

#[tokio::test]
async fn after_a_start_further_starts_and_preparations_are_refused() {
    let mut client = Client::exec("write first");
    client.happen(ChannelEvent::Shell);
    client.run("write second");
    client.happen(ChannelEvent::Subsystem("third".to_owned()));
    client.happen(env("A", "1"));
    client.happen(pty());
    assert_eq!(client.until_replies(6).await, [true, false, false, false, false, false]);
    assert_eq!(client.recorder.text(), "first");
}

#[tokio::test]
async fn a_refused_start_may_be_followed_by_another() {
    let mut client = Client::new(&[("shell", "false")]);
    client.happen(ChannelEvent::Shell);
    client.run("false");
    client.run("write yes");
    assert_eq!(client.until_replies(3).await, [false, false, true]);
    assert_eq!(client.until_stdout(3).await, "yes");
}

#[tokio::test]
async fn requests_overtake_data_that_waits_for_a_start() {
    let mut client = Client::new(&[("eof", "trace")]);
    client.send(b"early");
    client.happen(ChannelEvent::Eof);
    client.happen(resize(99));
    client.happen(ChannelEvent::Signal(SignalName::Term));
    client.until_replies(2).await;
    assert_eq!(client.inbox.take_credit(), 0);
    client.run("");
    let text = client.until_stdout(60).await;
    assert_eq!(text, "earlyopen\nwindow-change 99x24\nsignal SignalName::Term\nexec\ndata 5 early\neof");
    assert_eq!(client.inbox.take_credit(), 5);
}

#[tokio::test]
async fn eof_comes_after_all_data() {
    let client = Client::new(&[("data", ""), ("eof", "trace;finish 0")]);
    client.run("");
    for _ in 0..100 {
        client.send(&[b'x'; 1000]);
    }
    client.happen(ChannelEvent::Eof);
    let (recorder, _) = client.end().await;
    let text = recorder.text();
    let mut bytes = 0;
    for line in text.lines().filter(|line| line.starts_with("data ")) {
        let size: usize = line.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(size <= 32 << 10, "{size} bytes in one call");
        bytes += size;
    }
    assert_eq!(bytes, 100_000);
    assert!(text.ends_with("\neof"));
}

#[tokio::test]
async fn queued_pieces_are_delivered_together() {
    let client = Client::new(&[("data", ""), ("eof", "trace;finish 0")]);
    client.run("");
    for _ in 0..1000 {
        client.send(b"x");
    }
    client.happen(ChannelEvent::Eof);
    let (recorder, _) = client.end().await;
    assert!(recorder.text().contains("\ndata 1000 x"), "{}", recorder.text());
}

#[tokio::test]
async fn empty_data_is_never_delivered() {
    let client = Client::new(&[("eof", "trace;finish 0")]);
    client.run("");
    client.send(b"");
    client.inbox.data(Some(3), b"");
    client.happen(ChannelEvent::Eof);
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.text(), "open\nexec\neof");
}

#[tokio::test]
async fn extended_data_keeps_its_type_and_order() {
    let client = Client::new(&[("data", ""), ("eof", "trace;finish 0")]);
    client.run("");
    client.send(b"one");
    client.inbox.data(Some(7), b"side");
    client.inbox.data(Some(7), b"line");
    client.send(b"two");
    client.happen(ChannelEvent::Eof);
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.text(), "open\nexec\ndata 3 one\nextended-data 7 8\ndata 3 two\neof");
}

#[tokio::test]
async fn credit_returns_when_the_plugin_has_taken_the_bytes() {
    let mut client = Client::exec("");
    client.send(&[b'x'; 100_000]);
    client.until_stdout(100_000).await;
    client.happen(ChannelEvent::Signal(SignalName::Int));
    client.until_replies(2).await;
    assert_eq!(client.inbox.take_credit(), 100_000);
    assert_eq!(client.inbox.take_credit(), 0);
}

#[tokio::test]
async fn returned_credit_wakes_an_idle_connection() {
    let (mut client, mut credit) = (Client::new(&[("data", "")]), 0);
    client.run("");
    client.until_replies(1).await;
    for _ in 0..10 {
        client.send(&[b'x'; 20_000]);
        while credit < 20_000 {
            client.until_woken().await;
            credit += client.inbox.take_credit();
        }
        credit -= 20_000;
    }
}

#[tokio::test]
async fn of_many_window_changes_only_the_latest_is_delivered_and_each_is_answered() {
    let client = Client::new(&[("eof", "size;trace;finish 0")]);
    client.happen(pty());
    client.run("");
    for columns in 100..200 {
        client.happen(resize(columns));
    }
    client.happen(ChannelEvent::Eof);
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.text(), "Some((199, 24))open\npty-req xterm\nexec\nwindow-change 199x24\neof");
    assert_eq!(recorder.replies(), [true; 102]);
}

#[tokio::test]
async fn of_many_signals_sixteen_are_queued_and_each_is_answered() {
    let client = Client::new(&[("eof", "trace;finish 0")]);
    client.run("");
    for _ in 0..100 {
        client.happen(ChannelEvent::Signal(SignalName::Int));
    }
    client.happen(ChannelEvent::Eof);
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.text().matches("signal").count(), 16);
    assert_eq!(recorder.replies(), [true; 101]);
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_in_order() {
    let client = Client::new(&[("eof", "trace;finish 0")]);
    client.run("");
    for at in 0..100 {
        client.happen(ChannelEvent::Break { length_ms: at });
    }
    client.happen(ChannelEvent::Eof);
    let (recorder, _) = client.end().await;
    let replies = recorder.replies();
    assert_eq!(replies.len(), 101);
    assert_eq!(replies, [vec![true; 64], vec![false; 37]].concat());
    assert_eq!(recorder.text().matches("on-break").count(), 63);
}

#[tokio::test]
async fn a_break_and_an_unknown_request_go_to_the_optional_handlers() {
    let request = |name: &str| ChannelEvent::Request { name: name.to_owned(), payload: vec![0; 9] };
    let client = Client::new(&[("on-request", "true"), ("eof", "trace;finish 0")]);
    client.run("");
    client.happen(ChannelEvent::Break { length_ms: 500 });
    client.happen(request("x@example.com"));
    client.happen(ChannelEvent::Eof);
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.replies(), [true; 3]);
    assert_eq!(recorder.text(), "open\nexec\non-break 500\non-request x@example.com 9\neof");
}

#[tokio::test]
async fn without_the_optional_handlers_breaks_and_unknown_requests_are_refused() {
    let client = Client::with(&guests::bare(), &[], &Limits::default());
    client.happen(ChannelEvent::Shell);
    client.happen(ChannelEvent::Break { length_ms: 500 });
    client.happen(ChannelEvent::Request { name: "x@example.com".to_owned(), payload: Vec::new() });
    client.happen(resize(100));
    client.happen(ChannelEvent::Signal(SignalName::Usr1));
    client.happen(ChannelEvent::Eof);
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.replies(), [true, false, false, true, true]);
    assert_eq!(recorder.exit(), Some(Exit::Status(0)));
}

#[tokio::test]
async fn an_unknown_request_is_answered_while_the_plugin_is_inside_a_long_call() {
    let mut client = Client::with(&guests::bare(), &[], &Limits::default());
    client.happen(ChannelEvent::Shell);
    client.until_replies(1).await;
    // The plugin echoes more than fits into the outbox: it waits inside `data`, and the client's window is closed.
    client.recorder.room = 0;
    client.send(&vec![b'x'; 2 * CAPACITY]);
    let name = "winadj@putty.projects.tartarus.org";
    for _ in 0..200 {
        client.happen(ChannelEvent::Request { name: name.to_owned(), payload: Vec::new() });
    }
    assert_eq!(client.until_replies(201).await, [vec![true], vec![false; 200]].concat());
    client.recorder.room = usize::MAX;
    client.until_stdout(2 * CAPACITY).await;
}

#[tokio::test]
async fn a_command_of_the_longest_packet_reaches_the_plugin_after_a_burst_of_variables() {
    // C31, C32
    let client = Client::new(&[("env", "true")]);
    for number in 0..128 {
        client.happen(env(&format!("LC_{number}"), "x"));
    }
    for _ in 0..772 {
        client.inbox.refuse(None);
    }
    client.run(&format!("log {};finish 3", "x".repeat(255_000)));
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.replies(), [vec![true; 128], vec![false; 772], vec![true]].concat());
    assert_eq!(recorder.exit(), Some(Exit::Status(3)));
}

#[tokio::test]
async fn a_refusal_with_a_reason_is_printed_on_stderr_before_the_reply() {
    let mut client = Client::new(&[("shell", "write still here")]);
    client.until(|recorder| !recorder.heard.is_empty()).await;
    client.inbox.refuse(Some("too long"));
    client.happen(ChannelEvent::Shell);
    client.until_stdout(10).await;
    let told = Heard::Bytes(Output::Stderr, b"whelk: too long\n".to_vec());
    let heard = [Heard::Opened(true), told, Heard::Reply(false), Heard::Reply(true), out("still here")];
    assert_eq!(client.recorder.heard, heard);
}

#[tokio::test]
async fn each_refused_start_is_logged_up_to_a_few() {
    log::listen();
    let mut client = Client::new(&[("shell", "false"), ("pty-req", "false")]);
    client.happen(ChannelEvent::Shell);
    client.happen(pty());
    client.run("false;catch X\u{1b}[31m");
    client.run("write x");
    for _ in 0..20 {
        client.happen(ChannelEvent::Subsystem("sftp".to_owned()));
    }
    client.until_replies(24).await;
    let lines = log::lines(&client.id);
    let field = |at: usize, name: &str| lines[at].fields.get(name).cloned();
    let told = |at| (field(at, "what").unwrap(), field(at, "detail"), field(at, "reason").unwrap());
    let (yes, no) = ("the session has started a program before".to_owned(), "the plugin refused it".to_owned());
    assert_eq!(told(0), ("shell".to_owned(), None, no.clone()));
    assert_eq!(told(1), ("pty-req".to_owned(), Some("xterm".to_owned()), no.clone()));
    assert_eq!(told(2), ("exec".to_owned(), Some("false;catch X\\u{1b}[31m".to_owned()), no));
    assert_eq!(told(3), ("subsystem".to_owned(), Some("sftp".to_owned()), yes));
    assert_eq!(
        (lines.len(), field(0, "user"), field(0, "message")),
        (10, Some("somebody".to_owned()), Some("request refused".to_owned()))
    );
    assert!(field(8, "last").is_none() && field(9, "last").is_some());
}

#[tokio::test]
async fn output_keeps_its_streams_and_their_order() {
    let client = Client::exec("write a;write b;err c;ext 1 d;ext 9 e;write f;finish 0");
    let (recorder, _) = client.end().await;
    let heard = [
        Heard::Opened(true),
        Heard::Reply(true),
        out("ab"),
        Heard::Bytes(Output::Stderr, b"cd".to_vec()),
        Heard::Bytes(Output::Extended(9), b"e".to_vec()),
        out("f"),
        Heard::Exit(Exit::Status(0)),
    ];
    assert_eq!(recorder.heard, heard);
}

#[tokio::test]
async fn a_session_ends_when_its_connection_is_dropped_silently() {
    let mut client = Client::exec("write here");
    client.until_stdout(4).await;
    drop(client.inbox);
    let report = client.task.await.unwrap();
    assert_eq!(report.ending, Some(Ending::ConnectionLost));
}
