//! Output: its order relative to replies, the room that it waits for, and what follows it.

use std::sync::atomic::Ordering;

use whelk_runtime::{ChannelEvent, Drained, Ending, Exit, Output, SignalName};

use crate::client::{CAPACITY, Client, Heard, out};
use crate::session::pty;

#[tokio::test]
async fn writing_in_a_start_accepts_it() {
    let mut client = Client::exec("fill 600000;write done");
    client.recorder.room = 10;
    // The plugin is still inside `exec`, waiting for room, and the client has its reply already.
    client.until(|recorder| recorder.room == 0).await;
    assert_eq!(client.recorder.heard[..2], [Heard::Opened(true), Heard::Reply(true)]);
    client.recorder.room = usize::MAX;
    client.until_stdout(600_004).await;
    let text = client.recorder.stdout();
    assert!(text[..600_000].iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251));
    assert_eq!(&text[600_000..], b"done");
}

#[tokio::test]
async fn eof_and_finish_in_a_start_accept_it_too() {
    for (command, last) in [("eof;finish 2", Some(Heard::Eof)), ("finish 2", None)] {
        let (recorder, _) = Client::exec(command).end().await;
        let mut heard = vec![Heard::Opened(true), Heard::Reply(true)];
        heard.extend(last);
        heard.push(Heard::Exit(Exit::Status(2)));
        assert_eq!(recorder.heard, heard);
    }
}

#[tokio::test]
async fn refusing_a_start_after_output_ends_with_status_one() {
    let (recorder, report) = Client::exec("write partly;false").end().await;
    let heard = [Heard::Opened(true), Heard::Reply(true), out("partly"), Heard::Exit(Exit::Status(1))];
    assert_eq!(recorder.heard, heard);
    assert_eq!(report.ending, Some(Ending::Finished));
}

#[tokio::test]
async fn refusing_a_start_after_finish_keeps_the_exit_of_finish() {
    let (recorder, _) = Client::exec("finish 7;false").end().await;
    assert_eq!(recorder.exit(), Some(Exit::Status(7)));
    assert_eq!(recorder.replies(), [true]);
}

#[tokio::test]
async fn output_from_before_the_start_is_sent_right_after_the_accepted_start() {
    let mut client = Client::new(&[("open", "write one "), ("env", "err two "), ("shell", "false")]);
    client.happen(ChannelEvent::Env { name: "A".to_owned(), value: Vec::new() });
    client.happen(ChannelEvent::Shell);
    assert_eq!(client.until_replies(2).await, [true, false]);
    client.run("write three");
    client.until_stdout(9).await;
    let heard = [
        Heard::Opened(true),
        Heard::Reply(true),
        Heard::Reply(false),
        Heard::Reply(true),
        out("one "),
        Heard::Bytes(Output::Stderr, b"two ".to_vec()),
        out("three"),
    ];
    assert_eq!(client.recorder.heard, heard);
}

#[tokio::test]
async fn output_before_the_start_is_limited_to_64_kib() {
    let client = Client::new(&[
        ("open", "fill 65000;fill 1000;fill 536;writable;write x"),
        ("shell", "writable;trace;finish 0"),
    ]);
    let (recorder, _) = client.and(ChannelEvent::Shell).end().await;
    let length = 65_000 + 536;
    let output = recorder.stdout();
    let rest = String::from_utf8_lossy(&output[length..]).into_owned();
    // Three writes failed; that of `writable`, which returned 0, is one of them.
    let writable = CAPACITY - length;
    let failed = "write closed\n";
    assert_eq!(rest, format!("{writable}open\n{failed}{failed}{failed}shell"));
}

#[tokio::test]
async fn held_output_is_discarded_without_a_start() {
    let client = Client::new(&[("open", "write never seen")]);
    client.inbox.end(Ending::Drained);
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.stdout(), b"");
}

#[tokio::test]
async fn finish_before_any_start_ends_the_session() {
    let client = Client::new(&[("env", "write never seen;finish 4")]);
    client.happen(ChannelEvent::Env { name: "A".to_owned(), value: Vec::new() });
    let (recorder, report) = client.end().await;
    assert_eq!(recorder.heard, [Heard::Opened(true), Heard::Reply(true), Heard::Exit(Exit::Status(4))]);
    assert_eq!(report.ending, Some(Ending::Finished));
}

#[tokio::test]
async fn finish_takes_effect_when_the_call_returns_and_the_first_call_counts() {
    let (recorder, _) = Client::exec("finish 5;write still sent;finish 6").end().await;
    let heard = [Heard::Opened(true), Heard::Reply(true), out("still sent"), Heard::Exit(Exit::Status(5))];
    assert_eq!(recorder.heard, heard);
}

#[tokio::test]
async fn a_plugin_may_end_as_if_by_a_signal() {
    let (recorder, report) = Client::exec("die of old age").end().await;
    let exit = Exit::Signal { name: SignalName::Term, core_dumped: true, message: "of old age".to_owned() };
    assert_eq!(recorder.exit(), Some(exit.clone()));
    assert_eq!(report.exit, Some(exit));
}

#[tokio::test]
async fn nothing_is_delivered_after_finish() {
    let client = Client::new(&[("data", "finish 0"), ("signal", "log a signal after the end")]);
    client.run("");
    client.send(b"x");
    client.happen(ChannelEvent::Signal(SignalName::Int));
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.heard, [Heard::Opened(true), Heard::Reply(true), Heard::Exit(Exit::Status(0))]);
}

#[tokio::test]
async fn a_megabyte_before_finish_reaches_a_slow_client_whole_and_the_exit_comes_last() {
    let mut client = Client::exec("fill 1048576;finish 9");
    client.recorder.room = 0;
    while client.recorder.exit().is_none() {
        client.recorder.room = 10_007;
        client.until(|recorder| recorder.room == 0 || recorder.exit().is_some()).await;
    }
    let output = client.recorder.stdout();
    assert_eq!(output.len(), 1 << 20);
    assert!(output.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251));
    assert_eq!(client.recorder.exit(), Some(Exit::Status(9)));
    assert!(client.outbox.output_is_drained());
}

#[tokio::test]
async fn no_more_than_the_capacity_waits_in_the_host() {
    // W15
    let mut client = Client::exec("fill 4000000");
    client.recorder.room = 0;
    client.until_replies(1).await;
    // The session runs on this thread, so whatever can be taken at once is all that waited.
    client.recorder.room = usize::MAX;
    client.drain();
    assert_eq!(client.recorder.stdout().len(), CAPACITY);
    client.until_stdout(4_000_000).await;
}

#[tokio::test]
async fn eof_is_sent_once_and_nothing_can_be_written_after_it() {
    let (recorder, _) = Client::exec("write a;eof;eof;write b;finish 0").end().await;
    let heard = [Heard::Opened(true), Heard::Reply(true), out("a"), Heard::Eof, Heard::Exit(Exit::Status(0))];
    assert_eq!(recorder.heard, heard);
}

#[tokio::test]
async fn a_plugin_with_a_drain_handler_is_called_when_there_is_room() {
    let mut client = Client::new(&[("on-writable", "trace;finish 0")]);
    client.recorder.room = 0;
    client.run("fill 200000");
    client.until_replies(1).await;
    // What is left is more than half of the capacity: not yet.
    client.recorder.room = 50_000;
    client.drain();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    client.recorder.room = usize::MAX;
    let (recorder, _) = client.end().await;
    let text = String::from_utf8_lossy(&recorder.stdout()[200_000..]).into_owned();
    assert_eq!(text, format!("open\nexec\non-writable {CAPACITY}"));
}

#[tokio::test]
async fn the_connection_is_woken_once_for_a_burst() {
    let mut client = Client::exec(&"write x;".repeat(1000));
    client.until(|recorder| recorder.stdout().len() == 1000).await;
    let wakes = client.wakes.load(Ordering::Relaxed);
    assert!(wakes <= 2, "{wakes} wakes");
}

#[tokio::test]
async fn each_drain_delivers_one_run_of_bytes() {
    let mut client = Client::exec("write a;err b;write c;finish 0");
    let report = (&mut client.task).await.unwrap();
    assert_eq!(report.exit, Some(Exit::Status(0)));
    let mut lengths = Vec::new();
    while client.outbox.drain(&mut client.recorder) == Drained::More {
        lengths.push(client.recorder.heard.len());
    }
    lengths.push(client.recorder.heard.len());
    assert_eq!(lengths, [3, 4, 5, 6]);
}

#[tokio::test]
async fn a_line_of_the_host_reaches_a_terminal_and_no_program_without_one() {
    let mut clients =
        vec![Client::new(&[]).and(pty()), Client::new(&[("pty-req", "false")]).and(pty()), Client::new(&[])];
    for client in &mut clients {
        client.inbox.tell_terminal("30 s");
        client.inbox.tell_terminal("20 s");
        client.drain();
        // Nothing may overtake the answer to the program request.
        assert_eq!(client.recorder.text(), "");
        client.run("write a");
        client.until(|recorder| recorder.text().ends_with('a')).await;
        client.inbox.tell_terminal("10 s");
        client.drain();
    }
    let texts: Vec<String> = clients.iter().map(|client| client.recorder.text()).collect();
    let line = |text: &str| format!("\r\nwhelk: {text}\r\n");
    assert_eq!(texts, [format!("{}a{}", line("20 s"), line("10 s")), "a".to_owned(), "a".to_owned()]);
}

#[tokio::test]
async fn a_line_of_the_host_stays_out_of_the_bytes_of_a_subsystem() {
    let mut client = Client::new(&[("subsystem", "write a")]).and(pty());
    client.inbox.tell_terminal("early");
    client.happen(ChannelEvent::Subsystem("any".to_owned()));
    client.until_stdout(1).await;
    client.inbox.tell_terminal("late");
    client.drain();
    assert_eq!(client.recorder.text(), "a");
}

#[tokio::test]
async fn a_line_of_the_host_follows_neither_eof_nor_the_exit() {
    for command in ["write a;eof", "write a;finish 0"] {
        let mut client = Client::new(&[]).and(pty());
        client.run(command);
        client.until(|recorder| matches!(recorder.heard.last(), Some(Heard::Eof | Heard::Exit(_)))).await;
        client.inbox.tell_terminal("stopping");
        client.drain();
        assert_eq!(client.recorder.text(), "a", "{command}");
    }
}
