//! Hand-over: one plugin ends its part and another continues. No byte, no credit and no answer is lost or duplicated.

use std::sync::Arc;

use whelk_runtime::{
    ArgumentTemplates, ChannelEvent, Drained, Ending, Error, Exit, Limits, Lookup, Output, Plugins, ProgramRequest,
    SignalName,
};

use crate::client::{CAPACITY, Client, Heard, out};
use crate::program::command;
use crate::routing::names;
use crate::session::{env, pty, resize};
use crate::{guests, log};

fn client(scripts: &[(&str, &str)]) -> Client {
    Client::among(&guests::two(), &guests::script(), scripts, &Limits::default())
}

/// This many bytes, of which each shows its position.
fn stream(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).map(|at| (at % 251) as u8).collect()
}

#[tokio::test]
async fn a_start_that_is_handed_over_is_answered_by_the_plugin_that_takes_it() {
    log::listen();
    let scripts = [("open", "write thrown away"), ("second.exec", "env;pty;trace;finish 0")];
    let client = client(&scripts).and(env("A", "1")).and(pty());
    let id = client.id.clone();
    let (recorder, report) = client.then("pass second").await;
    assert_eq!(recorder.replies(), [true; 3]);
    assert_eq!(recorder.text(), "A=1 Some((\"xterm\", 80, 3))open\nenv A=1\npty-req xterm\nexec");
    assert_eq!(names(&report), ["script", "second"]);
    assert_eq!(log::texts(&id)[0], "closed Ending::Routed: open, env A=1, pty-req xterm, exec, Ok(())");

    let mut client = self::client(&[("second.exec", "false"), ("shell", "write home")]);
    client.run("pass second");
    client.happen(ChannelEvent::Shell);
    assert_eq!(client.until_replies(2).await, [false, true]);
    assert_eq!(client.until_stdout(4).await, "home");
}

#[tokio::test]
async fn after_an_acceptance_the_next_plugins_answer_is_not_sent() {
    let (recorder, _) = client(&[("second.exec", "write two;finish 4")]).then("write one ;pass second").await;
    let heard = [Heard::Opened(true), Heard::Reply(true), out("one two"), Heard::Exit(Exit::Status(4))];
    assert_eq!(recorder.heard, heard);
    // Its refusal ends the session.
    for refusal in ["second.exec", "second.open"] {
        let (recorder, report) = client(&[(refusal, "false")]).then("write one;pass second").await;
        let heard = [Heard::Opened(true), Heard::Reply(true), out("one"), Heard::Exit(Exit::Status(1))];
        assert_eq!(recorder.heard, heard, "{refusal}: {report:?}");
    }
    for crash in ["second.exec", "second.open", "second.pty-req"] {
        let (recorder, report) = client(&[(crash, "trap")]).and(pty()).then("write one;pass second").await;
        assert_eq!(recorder.replies(), [true; 2], "{crash}");
        assert_eq!(recorder.bytes_of(Output::Stderr), b"whelk: the plugin crashed\r\n", "{crash}");
        assert!(matches!(recorder.exit(), Some(Exit::Signal { name: SignalName::Abrt, .. })), "{crash}");
        assert!(matches!(report.error, Some(Error::Trap { .. })), "{crash}");
    }
}

#[tokio::test]
async fn unread_input_goes_to_the_next_plugin_and_all_credit_returns() {
    log::listen();
    let total = 300_000;
    let mut client = client(&[("data", "pass second"), ("second.eof", "finish 0")]);
    let id = client.id.clone();
    client.run("");
    for from in (0..total).step_by(1000) {
        client.send(&stream(from, 1000));
    }
    client.happen(ChannelEvent::Eof);
    client.until(|recorder| recorder.exit().is_some()).await;
    assert_eq!(client.inbox.take_credit(), total);
    let (recorder, report) = client.end().await;
    let line = &log::texts(&id)[0];
    let read = line.split("data ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
    assert!((1..=32 << 10).contains(&read), "{line}");
    assert!(recorder.stdout() == stream(read, total - read), "of {} bytes", recorder.stdout().len());
    assert_eq!((recorder.replies(), names(&report)), (vec![true], vec!["script", "second"]));
}

/// A handler that has one of several pieces hands over to a program, which reads the others.
#[tokio::test]
async fn what_a_handler_has_not_read_is_the_input_of_the_next_program() {
    struct Cat;
    impl Plugins for Cat {
        fn lookup(&self, name: &str) -> Lookup {
            (name == "command").then(command).into()
        }
        fn route(&self, _: &ProgramRequest<'_>) -> Option<String> {
            None
        }
        fn arguments(&self, _: &str) -> Option<Arc<ArgumentTemplates>> {
            Some(Arc::new(ArgumentTemplates { exec: None, shell: vec!["cat".to_owned()] }))
        }
    }
    let (plugins, total): (Arc<dyn Plugins>, _) = (Arc::new(Cat), 200_000);
    let mut client = Client::among(&plugins, &guests::script(), &[("data", "pass command")], &Limits::default());
    client.happen(ChannelEvent::Shell);
    client.send(&stream(0, total - 1));
    client.until_replies(1).await;
    client.send(&stream(total - 1, 1));
    client.happen(ChannelEvent::Eof);
    client.until(|recorder| recorder.exit().is_some()).await;
    assert_eq!(client.inbox.take_credit(), total);
    let (recorder, report) = client.end().await;
    let read = total - recorder.stdout().len();
    assert!((1..=32 << 10).contains(&read) && recorder.stdout() == stream(read, total - read), "{read}");
    assert_eq!((recorder.replies(), names(&report)), (vec![true], vec!["script", "command"]));
    assert_eq!(recorder.exit(), Some(Exit::Status(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_handed_over_at_every_piece_is_complete() {
    let (total, mut window) = (6 << 20, 64 << 10);
    let limits = Limits { hand_overs: 200, ..Limits::default() };
    let scripts = [("data", "echo;pass second"), ("second.data", "echo;pass script")];
    let mut client = Client::among(&guests::two(), &guests::script(), &scripts, &limits);
    client.run("");
    let (mut sent, mut echoed) = (0, 0);
    while echoed < total {
        while window > 0 && sent < total {
            let length = (sent % 8_009 + 1).min(window).min(total - sent);
            client.send(&stream(sent, length));
            sent += length;
            window -= length;
        }
        client.recorder.room = 50_000;
        let drained = client.outbox.drain(&mut client.recorder);
        let stdout = client.recorder.stdout();
        assert!(stdout == stream(echoed, stdout.len()), "at {echoed}");
        echoed += stdout.len();
        client.recorder.heard.retain(|heard| !matches!(heard, Heard::Bytes(..)));
        let credit = client.inbox.take_credit();
        window += credit;
        if drained == Drained::Empty && stdout.is_empty() && credit == 0 && (window == 0 || sent == total) {
            client.until_woken().await;
        }
    }
    assert_eq!((sent, echoed), (total, total));
    // The last piece was echoed before its call returned.
    while window < 64 << 10 {
        tokio::task::yield_now().await;
        window += client.inbox.take_credit();
    }
    assert_eq!(window, 64 << 10);
    client.inbox.end(Ending::ClientClosed);
    let (recorder, report) = client.end().await;
    assert_eq!(recorder.replies(), [true]);
    assert!(report.before.len() > 50 && report.before.iter().all(|stay| stay.error.is_none()), "{report:?}");
}

#[tokio::test]
async fn a_handover_that_is_not_possible_fails_at_once_and_changes_nothing() {
    let (recorder, report) = client(&[]).then("hand-over nobody;hand-over Second;finish 0").await;
    assert_eq!(recorder.text(), "Err(\"unknown-plugin\")Err(\"unknown-plugin\")");
    assert_eq!((recorder.exit(), names(&report)), (Some(Exit::Status(0)), vec!["script"]));
}

#[tokio::test]
async fn before_a_start_there_is_nothing_to_hand_over() {
    let scripts = [("open", "pass second"), ("env", "pass second"), ("shell", "trace;finish 0")];
    let (recorder, report) = client(&scripts).and(env("A", "1")).and(ChannelEvent::Shell).end().await;
    assert_eq!(recorder.text(), "open\nErr(\"not-permitted\")\nenv A=1\nErr(\"not-permitted\")\nshell");
    assert_eq!(names(&report), ["script"]);
}

#[tokio::test]
async fn of_finish_and_hand_over_the_first_call_counts() {
    let scripts = [("second.exec", "write two;finish 0")];
    let (recorder, report) = client(&scripts).then("finish 3;pass second").await;
    assert_eq!((recorder.exit(), names(&report)), (Some(Exit::Status(3)), vec!["script"]));
    let (recorder, report) = client(&scripts).then("pass second;finish 3;pass script;false").await;
    assert_eq!((recorder.exit(), names(&report)), (Some(Exit::Status(0)), vec!["script", "second"]));
    assert_eq!((recorder.text().as_str(), recorder.replies()), ("two", vec![true]));
    let (recorder, report) = client(&scripts).then("pass second;trap").await;
    assert!(matches!(recorder.exit(), Some(Exit::Signal { name: SignalName::Abrt, .. })));
    assert_eq!(names(&report), ["script"]);
}

#[tokio::test]
async fn a_plugin_that_hands_over_to_itself_without_end_is_stopped_at_the_limit() {
    let client = client(&[("eof", "trace;finish 0")]);
    client.happen(ChannelEvent::Eof);
    let (recorder, report) = client.then("pass script").await;
    assert_eq!(recorder.text(), "open\nexec\nErr(\"not-permitted\")\neof");
    assert_eq!(recorder.replies(), [true]);
    assert_eq!(report.before.len(), 16);
}

#[tokio::test]
async fn eof_is_sent_once_across_a_handover() {
    log::listen();
    let client = client(&[("second.exec", "write late;eof;finish 0")]);
    let id = client.id.clone();
    let (recorder, _) = client.then("eof;pass second").await;
    assert_eq!(recorder.heard[1..], [Heard::Reply(true), Heard::Eof, Heard::Exit(Exit::Status(0))]);
    assert_eq!(log::texts(&id)[2], "closed Ending::Finished: open, exec, write eof-sent");
    // An EOF that was held with other output is discarded with it.
    let client = self::client(&[("open", "write x;eof"), ("second.exec", "write heard;finish 0")]);
    let (recorder, _) = client.then("pass second").await;
    assert_eq!(recorder.text(), "heard");
}

#[tokio::test]
async fn a_caught_signal_is_delivered_to_the_next_plugin_without_an_interrupt() {
    log::listen();
    let scripts = [("second.exec", "fill 300000"), ("second.eof", "trace;finish 0")];
    let mut client = client(&scripts);
    let id = client.id.clone();
    client.recorder.room = 0;
    client.run("catch INT;fill 300000;pass second");
    client.until_replies(1).await;
    client.happen(ChannelEvent::Signal(SignalName::Int));
    client.happen(ChannelEvent::Eof);
    while log::texts(&id).is_empty() {
        tokio::task::yield_now().await;
    }
    client.recorder.room = usize::MAX;
    let (recorder, report) = client.end().await;
    // Output that did not fit before the signal was not written.
    let tail = recorder.stdout().split_off(CAPACITY + 300_000);
    let tail = String::from_utf8_lossy(&tail).into_owned();
    let tail = tail.lines().filter(|line| !line.starts_with("on-writable")).collect::<Vec<_>>().join("\n");
    assert_eq!(tail, "open\nexec\nsignal SignalName::Int\neof");
    assert_eq!(names(&report), ["script", "second"]);
    assert_eq!(recorder.replies(), [true; 2]);
}

#[tokio::test]
async fn the_next_plugin_gets_the_current_window_size() {
    let scripts = [("signal", "pass second"), ("second.shell", "size;trace;finish 0")];
    let client = client(&scripts);
    client.happen(pty());
    client.happen(ChannelEvent::Shell);
    client.happen(resize(120));
    client.happen(ChannelEvent::Signal(SignalName::Usr1));
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.text(), "Some((120, 24))open\npty-req xterm\nwindow-change 120x24\nshell");
    assert_eq!(recorder.replies(), [true; 4]);
}

#[tokio::test]
async fn each_process_of_a_session_has_its_own_usage() {
    let (_, report) = client(&[("second.exec", "grow 64;finish 0")]).then("pass second").await;
    let (first, whole) = (&report.before[0], report.peak_memory);
    assert!(whole >= 64 << 16, "{report:?}");
    // The first has not grown.
    assert!(first.peak_memory > 0 && first.peak_memory < whole - (60 << 16), "{report:?}");
    assert!(first.cpu_ticks <= report.cpu_ticks, "{report:?}");
}
