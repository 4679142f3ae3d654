//! How sessions end, and that `closed` is called exactly once.

use std::sync::Arc;
use std::time::Duration;

use whelk_runtime::{
    ChannelEvent, Ending, Error, Exit, Facts, Grants, Limit, Limits, Output, SignalName, Tenant, session_pipes,
};

use crate::client::{Client, Heard, Recorder};
use crate::{guests, log};

/// The lines that `closed` logged.
fn closed(id: &str) -> Vec<String> {
    log::texts(id).into_iter().filter(|line| line.starts_with("closed")).collect()
}

fn hung_up(message: &str) -> Option<Exit> {
    Some(Exit::Signal { name: SignalName::Hup, core_dumped: false, message: message.to_owned() })
}

#[tokio::test]
async fn closed_comes_exactly_once_whoever_ends_the_session() {
    log::listen();
    let ends = [
        (Ending::ClientClosed, "the client closed the channel"),
        (Ending::ConnectionLost, "connection lost"),
        (Ending::Drained, "the server is shutting down"),
        (Ending::Routed, "another plugin took over"),
    ];
    for (why, message) in ends {
        let mut client = Client::exec("");
        let id = client.id.clone();
        client.until_replies(1).await;
        client.inbox.end(why);
        client.inbox.end(Ending::ConnectionLost);
        let (recorder, report) = client.end().await;
        assert_eq!(closed(&id), [format!("closed Ending::{why:?}: open, exec")]);
        assert_eq!((report.ending, recorder.exit()), (Some(why), hung_up(message)));
        assert!(report.error.is_none());
    }
    let client = Client::exec("finish 0");
    let id = client.id.clone();
    let (_, report) = client.end().await;
    assert_eq!(closed(&id), ["closed Ending::Finished: open, exec"]);
    assert_eq!(report.ending, Some(Ending::Finished));
}

#[tokio::test]
async fn a_blocked_write_fails_when_the_client_leaves() {
    log::listen();
    for why in [Ending::ClientClosed, Ending::ConnectionLost, Ending::Drained] {
        let mut client = Client::exec("fill 1000000;log after the write");
        client.recorder.room = 0;
        client.until_replies(1).await;
        let id = client.id.clone();
        client.inbox.end(why);
        let report = (&mut client.task).await.unwrap();
        assert_eq!(report.ending, Some(why));
        assert!(report.error.is_none());
        let lines = log::texts(&id);
        assert_eq!(lines, ["after the write".to_owned(), format!("closed Ending::{why:?}: open, exec, write closed")]);
    }
}

#[tokio::test]
async fn data_sent_before_close_is_still_delivered() {
    log::listen();
    let mut client = Client::new(&[("data", "")]);
    client.run("");
    client.until_replies(1).await;
    client.send(b"the last words");
    client.happen(ChannelEvent::Signal(SignalName::Int));
    client.happen(ChannelEvent::Eof);
    client.happen(ChannelEvent::Close);
    client.inbox.end(Ending::ClientClosed);
    client.send(b"too late");
    let id = client.id.clone();
    client.end().await;
    assert_eq!(closed(&id), ["closed Ending::ClientClosed: open, exec, data 14 the last words, eof, close"]);
}

#[tokio::test]
async fn queued_data_is_not_delivered_after_the_connection_is_lost() {
    log::listen();
    let mut client = Client::new(&[("data", "")]);
    client.run("");
    client.until_replies(1).await;
    client.send(b"unheard");
    client.inbox.end(Ending::ConnectionLost);
    let id = client.id.clone();
    client.end().await;
    assert_eq!(closed(&id), ["closed Ending::ConnectionLost: open, exec"]);
}

#[tokio::test]
async fn a_client_that_asks_to_close_is_announced_and_the_session_goes_on() {
    let mut client = Client::new(&[("close", "trace")]);
    client.run("");
    client.happen(ChannelEvent::Close);
    assert_eq!(client.until_stdout(10).await, "open\nexec\nclose");
    assert!(!client.task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_goes_on_after_the_end_is_stopped_after_a_second() {
    log::listen();
    // W20: `sleep` blocks in WASI, which cannot report that the client has left.
    let mut client = Client::exec("write x;sleep 3600000");
    client.until_stdout(1).await;
    let id = client.id.clone();
    let before = tokio::time::Instant::now();
    client.inbox.end(Ending::ClientClosed);
    let (recorder, report) = client.end().await;
    let waited = before.elapsed();
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_millis(1100), "{waited:?}");
    assert!(matches!(report.error, Some(Error::Limit { limit: Limit::Time, .. })), "{report:?}");
    assert!(matches!(recorder.exit(), Some(Exit::Signal { name: SignalName::Kill, .. })));
    assert_eq!(closed(&id), [] as [String; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_call_has_no_deadline_while_the_client_is_connected() {
    let (recorder, report) = Client::exec("sleep 30000;write good morning;finish 0").end().await;
    assert_eq!(recorder.text(), "good morning");
    assert!(report.error.is_none());
}

#[tokio::test(start_paused = true)]
async fn closed_has_a_second_by_the_clock() {
    // W3
    let before = tokio::time::Instant::now();
    let (recorder, report) =
        Client::new(&[("closed", "sleep 3600000"), ("shell", "finish 0")]).and(ChannelEvent::Shell).end().await;
    let waited = before.elapsed();
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_millis(1100), "{waited:?}");
    assert!(matches!(report.error, Some(Error::Limit { limit: Limit::Time, .. })), "{report:?}");
    // The client got its exit before.
    assert_eq!((recorder.exit(), report.exit), (Some(Exit::Status(0)), Some(Exit::Status(0))));
}

#[tokio::test]
async fn in_closed_nothing_can_be_sent_and_a_status_can_still_be_left() {
    let mut client = Client::new(&[("closed", "write x;err y;eof;request a b;writable;finish 6")]);
    client.run("");
    client.until_replies(1).await;
    client.inbox.end(Ending::Drained);
    let (recorder, report) = client.end().await;
    assert_eq!(recorder.heard, [Heard::Opened(true), Heard::Reply(true), Heard::Exit(Exit::Status(6))]);
    assert_eq!((report.ending, report.exit), (Some(Ending::Drained), Some(Exit::Status(6))));
}

#[tokio::test]
async fn wasi_exit_ends_the_session_with_its_status_and_without_closed() {
    log::listen();
    // Rust's library knows only success and failure here.
    let client = Client::exec("write so far;exit 42");
    let id = client.id.clone();
    let (recorder, report) = client.end().await;
    assert_eq!((recorder.text().as_str(), recorder.exit()), ("so far", Some(Exit::Status(1))));
    assert!(report.error.is_none());
    assert_eq!(closed(&id), [] as [String; 0]);
}

#[tokio::test]
async fn a_session_whose_task_is_dropped_still_has_an_exit() {
    // W43, O13
    let mut client = Client::exec("write x");
    client.until_stdout(1).await;
    client.task.abort();
    client.until(|recorder| recorder.exit().is_some()).await;
    assert_eq!(client.recorder.exit(), Some(Exit::Status(70)));

    let mut client = Client::new(&[("open", "sleep 3600000")]);
    tokio::task::yield_now().await;
    client.task.abort();
    client.until(|recorder| !recorder.heard.is_empty()).await;
    assert_eq!(client.recorder.heard, [Heard::Opened(false)]);
}

/// A client that has CLOSE may open its next session at once, whatever the last one still does.
#[tokio::test]
async fn what_a_session_keeps_is_free_when_its_exit_is_taken_and_not_before() {
    for (drains, expected) in [(true, [true, false]), (false, [false, true])] {
        let (inbox, outbox, half) = session_pipes(1 << 10, Arc::new(|| ()));
        let place = Arc::new(());
        half.keep(Arc::clone(&place));
        let facts = Facts::from_iter([("attr.closed", "spin")]);
        let tenant = Tenant::new("tests", Limits::default(), Grants::default());
        let task = tokio::spawn(guests::script().session(facts, &tenant, &guests::nothing_else(), half));
        inbox.event(ChannelEvent::Exec(b"write x;finish 3".to_vec()));
        let mut recorder = Recorder { heard: Vec::new(), room: if drains { usize::MAX } else { 0 } };
        while !recorder.heard.contains(&Heard::Reply(true)) || (drains && recorder.exit().is_none()) {
            outbox.drain(&mut recorder);
            tokio::task::yield_now().await;
        }
        // Its last call has a second.
        assert!(!task.is_finished());
        assert_eq!([Arc::strong_count(&place) == 1, Arc::strong_count(&place) == 2], expected, "{drains}");
        // Without an outbox nothing is taken any more: it is kept as long as the session runs.
        drop(outbox);
        assert_eq!([Arc::strong_count(&place) == 1, Arc::strong_count(&place) == 2], expected, "{drains}");
        task.await.unwrap();
        assert_eq!(Arc::strong_count(&place), 1);
    }
}

#[tokio::test]
async fn a_session_whose_connection_is_dropped_is_told_that_it_was_lost() {
    let mut client = Client::exec("write x");
    client.until_stdout(1).await;
    let Client { inbox, task, .. } = client;
    drop(inbox);
    assert_eq!(task.await.unwrap().ending, Some(Ending::ConnectionLost));
}

#[tokio::test]
async fn a_session_that_nobody_runs_is_refused() {
    let plugin = guests::bare();
    let (inbox, outbox, side) = whelk_runtime::session_pipes(1024, std::sync::Arc::new(|| {}));
    drop(plugin.session(
        whelk_runtime::Facts::default(),
        &Tenant::new("tests", Limits::default(), Grants::default()),
        &guests::nothing_else(),
        side,
    ));
    inbox.event(ChannelEvent::Shell);
    let mut recorder = crate::client::Recorder { heard: Vec::new(), room: usize::MAX };
    outbox.drain(&mut recorder);
    assert_eq!(recorder.heard, [Heard::Opened(false)]);
}

#[tokio::test]
async fn a_crash_sends_a_line_to_the_client() {
    let (recorder, _) = Client::exec("write partly;trap").end().await;
    assert_eq!(recorder.text(), "partly");
    assert_eq!(recorder.bytes_of(Output::Stderr), b"whelk: the plugin crashed\n");
    // After EOF only the exit can report it.
    let (recorder, _) = Client::exec("eof;trap").end().await;
    assert_eq!(recorder.bytes_of(Output::Stderr), b"");
    assert!(matches!(recorder.exit(), Some(Exit::Signal { name: SignalName::Abrt, .. })));
}
