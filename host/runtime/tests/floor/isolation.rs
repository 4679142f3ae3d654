//! Sessions know nothing of each other and leave nothing behind.

use std::fs;

use whelk_runtime::{Ending, Exit, Happening, SignalName};

use crate::client::Client;
use crate::guests;

/// This process's resident memory, KiB.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn two_sessions_of_one_plugin_share_nothing() {
    let mut one = Client::exec("count;count;count");
    let mut other = Client::exec("count");
    assert_eq!(one.until_stdout(3).await, "123");
    assert_eq!(other.until_stdout(1).await, "1");
}

#[tokio::test]
async fn a_crash_touches_no_other_session() {
    let mut echo = Client::exec("");
    let (recorder, _) = Client::exec("trap").end().await;
    assert!(matches!(recorder.exit(), Some(Exit::Signal { name: SignalName::Abrt, .. })));
    echo.send(b"still here");
    echo.until_stdout(10).await;
}

#[tokio::test]
async fn fresh_memory_holds_nothing_of_an_earlier_session() {
    // W30, W47
    for _ in 0..4 {
        Client::exec("canary;finish 0").end().await;
        let (recorder, _) = Client::exec("scan;finish 0").end().await;
        assert_eq!(recorder.text(), "0");
    }
}

#[tokio::test]
async fn a_thousand_sessions_one_after_the_other_leave_nothing_behind() {
    let mut after_warm_up = 0;
    for round in 0..1100 {
        let client = Client::exec("write hello");
        client.send(&[b'x'; 40_000]);
        client.happen(Happening::Eof);
        let mut client = client;
        client.until_stdout(40_005).await;
        client.inbox.end(Ending::ClientClosed);
        let (_, report) = client.end().await;
        assert!(report.error.is_none());
        if round == 100 {
            after_warm_up = resident();
        }
    }
    let grown = resident().saturating_sub(after_warm_up);
    // Other tests of this program run at the same time; a leak of one session's memory would be a thousand times 64 KiB.
    assert!(grown < 40 << 10, "grew by {grown} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_a_session_in_the_middle_of_a_call_a_thousand_times_harms_nothing() {
    // W43
    let engine = guests::engine();
    for round in 0..1000_u32 {
        let command = ["spin", "fill 1000000", "sleep 1000000", "work 100000000", "request a b"][round as usize % 5];
        let mut client = Client::exec(command);
        for _ in 0..round % 7 {
            tokio::task::yield_now().await;
        }
        client.task.abort();
        client.until(|recorder| !recorder.heard.is_empty()).await;
        assert!((&mut client.task).await.is_err());
    }
    let mut client = Client::exec("write well");
    client.until_stdout(4).await;
    assert!(engine.live() >= 1);
}
