//! What a plugin can call: our interfaces, and WASI without any resources.

use tracing::Level;
use whelk_runtime::{ChannelEvent, Ending, Exit, Grants, Limits, Pty, SignalName, Tenant, WindowSize};

use crate::client::{Client, Heard};
use crate::{guests, log};

const SIZE: WindowSize = WindowSize { columns: 80, rows: 24, width_px: 0, height_px: 0 };

fn with_terminal(scripts: &[(&str, &str)]) -> Client {
    let client = Client::new(scripts);
    let modes = vec![(1, 3), (36, 1), (42, 1), (51, 1), (53, 1)];
    client.happen(ChannelEvent::PtyReq(Pty { term: "xterm".to_owned(), size: SIZE, modes, erase_by_width: false }));
    client
}

#[tokio::test]
async fn facts_are_returned_by_name_and_all_together() {
    let (recorder, _) = Client::new(&[("user", "x")]).then("get attr.user;get nothing;facts;finish 0").await;
    let text = recorder.text();
    assert!(text.starts_with("Some(\"x\")Noneattr.user=x\nconnection-id="), "{text}");
}

#[tokio::test]
async fn a_handlers_terminal_starts_raw_and_keeps_its_modes() {
    let (recorder, _) =
        with_terminal(&[]).then("modes;set-mode 53 1;set-mode 128 9600;set-mode 200 1;modes;finish 0").await;
    let text = recorder.text();
    let (before, after) = text.split_once("Ok(())Ok(())Err(\"unknown-mode\")").unwrap();
    let has = |modes: &str, expected: &[&str]| expected.iter().all(|mode| modes.split(' ').any(|one| one == *mode));
    assert!(has(before, &["1=3", "36=0", "42=1", "50=0", "51=0", "53=0", "70=0", "91=1"]), "{before}");
    assert!(has(after, &["1=3", "36=0", "42=1", "51=0", "53=1", "128=9600"]), "{after}");
    assert_eq!(before.split(' ').count(), after.split(' ').count(), "each mode once");
}

#[tokio::test]
async fn without_a_terminal_there_are_no_modes() {
    let (recorder, _) = Client::exec("modes;size;pty;set-mode 53 1;finish 0").end().await;
    assert_eq!(recorder.text(), "NoneNoneErr(\"no-terminal\")");
}

#[tokio::test]
async fn the_size_is_the_latest_even_before_it_was_delivered() {
    let client = with_terminal(&[("shell", "size;finish 0")]);
    client.happen(ChannelEvent::Shell);
    client.happen(ChannelEvent::WindowChange(WindowSize { columns: 132, ..SIZE }));
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.text(), "Some((132, 24))");
}

#[tokio::test]
async fn a_caught_signal_interrupts_a_blocked_write() {
    let mut client = Client::exec("catch INT WINCH;fill 1000000;caught;trace;finish 0");
    client.recorder.room = 0;
    client.until_replies(1).await;
    client.happen(ChannelEvent::Signal(SignalName::Int));
    client.happen(ChannelEvent::WindowChange(SIZE));
    client.happen(ChannelEvent::Signal(SignalName::Term));
    tokio::task::yield_now().await;
    client.recorder.room = usize::MAX;
    let (recorder, _) = client.end().await;
    let output = recorder.stdout();
    let at = output.windows(7).position(|window| window == b"[Signal").unwrap();
    assert!(at < 1_000_000, "the write was not interrupted");
    let text = String::from_utf8_lossy(&output[at..]).into_owned();
    let caught = r#"[SignalName::Int, SignalName::Other("WINCH")]"#;
    assert_eq!(text, format!("{caught}open\nexec\nwrite interrupted"));
}

#[tokio::test]
async fn a_caught_signal_that_was_not_taken_is_delivered_as_a_call() {
    let client = with_terminal(&[("eof", "trace;finish 0")]);
    client.run("catch INT WINCH");
    client.happen(ChannelEvent::Signal(SignalName::Int));
    let mut client = client;
    client.until_replies(3).await;
    client.happen(ChannelEvent::Signal(SignalName::Int));
    client.happen(ChannelEvent::WindowChange(SIZE));
    client.happen(ChannelEvent::Eof);
    let (recorder, _) = client.end().await;
    let trace = "open\npty-req xterm\nexec\nsignal SignalName::Int\nsignal SignalName::Int\nwindow-change 80x24\neof";
    assert_eq!(recorder.text(), trace);
    assert_eq!(recorder.replies(), [true; 5]);
}

#[tokio::test]
async fn a_request_to_the_client_waits_for_its_reply() {
    let mut client = Client::exec("request first@x abc;request second@x;write done");
    client.until(|recorder| matches!(recorder.heard.last(), Some(Heard::Request(..)))).await;
    let heard = [Heard::Opened(true), Heard::Reply(true), Heard::Request("first@x".to_owned(), b"abc".to_vec())];
    assert_eq!(client.recorder.heard, heard);
    client.inbox.answered(true);
    client.until(|recorder| recorder.heard.len() == 5).await;
    client.inbox.answered(false);
    assert_eq!(client.until_stdout(21).await, "Ok(true)Ok(false)done");
}

#[tokio::test]
async fn an_interrupted_request_does_not_take_the_next_reply() {
    let mut client = Client::exec("catch INT;request one;caught;request two;finish 0");
    client.until(|recorder| matches!(recorder.heard.last(), Some(Heard::Request(..)))).await;
    client.happen(ChannelEvent::Signal(SignalName::Int));
    client.until(|recorder| recorder.heard.contains(&Heard::Request("two".to_owned(), Vec::new()))).await;
    client.inbox.answered(false);
    client.inbox.answered(true);
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.text(), "Err(\"interrupted\")[SignalName::Int]Ok(true)");
}

#[tokio::test]
async fn a_request_that_fits_in_no_packet_is_not_sent() {
    let name = "n".repeat(65);
    let (recorder, _) = Client::exec(&format!("request {name};request a\nb;request ü;finish 0")).end().await;
    assert_eq!(recorder.text(), "Ok(false)Ok(false)Ok(false)");
}

#[tokio::test]
async fn a_request_reserved_for_the_host_is_not_sent_and_the_log_says_why() {
    log::listen();
    let names = [
        "exit-status",
        "exit-signal",
        "xon-xoff",
        "signal",
        "window-change",
        "eow@openssh.com",
        "keepalive@openssh.com",
        "winadj@putty.projects.tartarus.org",
    ];
    let script: String = names.iter().map(|name| format!("request {name} x;")).collect();
    let client = Client::exec(&format!("{script}finish 3"));
    let id = client.id.clone();
    let (recorder, report) = client.end().await;
    assert!(report.error.is_none(), "{report:?}");
    assert_eq!(recorder.text(), "Ok(false)".repeat(names.len()));
    assert!(!recorder.heard.iter().any(|heard| matches!(heard, Heard::Request(..))), "{:?}", recorder.heard);
    assert_eq!(recorder.exit(), Some(Exit::Status(3)));
    let told = log::texts(&id);
    assert!(told.iter().any(|line| line.contains("\"exit-status\" is not sent")), "{told:?}");
}

#[tokio::test]
async fn the_exit_message_of_a_plugin_is_cut_and_escaped() {
    let message = format!("\u{1b}[2J{}", "\u{e4}".repeat(10_000));
    let (recorder, report) = Client::exec(&format!("die-of T\u{e9}RM\u{7} {message}")).end().await;
    let Some(Exit::Signal { name, message, .. }) = recorder.exit() else { panic!("{report:?}") };
    assert_eq!(name.as_str(), "TRM");
    assert!(message.starts_with("\\u{1b}[2J\u{e4}") && message.len() <= 1024, "{message}");
    assert_eq!(report.exit, recorder.exit());
}

#[tokio::test]
async fn names_of_signals_to_be_caught_are_short_few_and_charged() {
    let tenant = Tenant::new("tests", Limits::default(), Grants::default());
    let with = async |script: &str| {
        let mut client = Client::of(&tenant, &guests::script(), &[]);
        client.run(&format!("{script};write ready;sleep 3600000"));
        client.until_stdout(5).await;
        let memory = tenant.memory();
        client.task.abort();
        assert!(client.task.await.unwrap_err().is_cancelled());
        memory
    };
    let none = with("catch-many 0 0").await;
    let long = with("catch-many 60 60000").await;
    let many = with("catch-many 20000 20").await;
    // The plugin's own memory grows by whole pages for them.
    let page = 64 << 10;
    assert_eq!((long - none) % page, 0, "{none} and {long}");
    assert!((64 * 20..8 << 10).contains(&((many - none) % page)), "{none} and {many}");
    assert_eq!(tenant.memory(), 0);
}

#[tokio::test]
async fn a_request_ends_with_the_session() {
    log::listen();
    let mut client = Client::exec("request a;log went on");
    client.until(|recorder| recorder.heard.len() == 3).await;
    client.inbox.end(Ending::ClientClosed);
    let id = client.id.clone();
    let report = (&mut client.task).await.unwrap();
    assert!(report.error.is_none());
    assert_eq!(log::texts(&id)[0], "went on");
}

#[tokio::test]
async fn disconnect_and_debug_reach_the_connection_and_are_bounded() {
    let flood = "debug note\u{1b}[2J;".repeat(100);
    let mut client = Client::exec(&format!("{flood}disconnect 11 bye;disconnect 2 again;finish 0"));
    // The client takes nothing before the plugin has written everything.
    (&mut client.task).await.unwrap();
    client.drain();
    let recorder = client.recorder;
    let notes = recorder.heard.iter().filter(|heard| **heard == Heard::Debug("note\\u{1b}[2J".to_owned())).count();
    assert_eq!(notes, 16);
    let words: Vec<_> = recorder.heard.iter().filter(|heard| matches!(heard, Heard::Disconnect(..))).collect();
    assert_eq!(words, [&Heard::Disconnect(11, "bye".to_owned())]);
}

#[tokio::test]
async fn texts_for_the_client_are_cut_between_characters() {
    let long = format!("a{}", "\u{e4}".repeat(10_000));
    let mut client = Client::exec(&format!("debug {long};disconnect 2 {long};finish 0"));
    (&mut client.task).await.unwrap();
    client.drain();
    let expected = format!("a{}", "\u{e4}".repeat(511));
    let heard = &client.recorder.heard;
    assert!(heard.contains(&Heard::Debug(expected.clone())), "{heard:?}");
    assert!(heard.contains(&Heard::Disconnect(2, expected)), "{heard:?}");
}

#[tokio::test]
async fn with_one_plugin_there_is_no_target_for_a_handover() {
    let (recorder, _) = Client::exec("hand-over echo;finish 0").end().await;
    assert_eq!(recorder.text(), "Err(\"unknown-plugin\")");
}

#[tokio::test]
async fn log_lines_name_their_plugin_and_cannot_be_forged() {
    // W23
    log::listen();
    let client = Client::exec("log plain;log two\nlines \u{1b}[31mred;finish 0");
    let id = client.id.clone();
    client.end().await;
    let lines = log::lines(&id);
    let fields = &lines[0].fields;
    assert_eq!(lines[0].level, Level::INFO);
    assert_eq!(
        (fields["plugin"].as_str(), fields["channel"].as_str(), fields["message"].as_str()),
        ("script", "7", "plain")
    );
    assert_eq!(lines[1].fields["message"], "two\\nlines \\u{1b}[31mred");
}

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_and_counted() {
    // W23
    log::listen();
    let client = Client::exec(&format!("log {};logs 100000;finish 0", "x".repeat(30_000)));
    let id = client.id.clone();
    client.end().await;
    let lines = log::texts(&id);
    assert_eq!(lines[0].len(), 1024);
    assert!(lines.len() < 2000, "{} lines", lines.len());
    let dropped: usize =
        lines.iter().filter_map(|line| line.strip_suffix(" lines dropped")?.parse::<usize>().ok()).sum();
    let written = lines.iter().filter(|line| line.starts_with("line ")).count();
    let closed = lines.iter().filter(|line| line.starts_with("closed")).count();
    assert_eq!(dropped + written + closed, 100_001);
}

#[tokio::test]
async fn the_wasi_output_of_a_plugin_goes_to_the_log_only() {
    log::listen();
    let client = Client::exec("print hello from stdout;panic in the dark");
    let id = client.id.clone();
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.stdout(), b"");
    let lines = log::texts(&id);
    assert_eq!(lines[0], "hello from stdout");
    assert!(lines.iter().any(|line| line == "in the dark"), "{lines:?}");
}

#[tokio::test]
async fn arguments_and_environment_are_empty() {
    // W27, W29, W31, W32
    let (recorder, report) = Client::exec("world;finish 0").end().await;
    let denied = "files=true write=true connect=true bind=true names=true";
    assert_eq!(recorder.text(), format!("map=10 env=0 args=0 {denied} fine=0"), "{report:?}");
    assert_eq!(recorder.exit(), Some(Exit::Status(0)));
}
