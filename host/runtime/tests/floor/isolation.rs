//! Sessions do not see each other and leave nothing behind.

use whelk_runtime::{Exit, SignalName};

use crate::client::Client;
use crate::guests;

#[tokio::test]
async fn two_sessions_of_one_plugin_share_nothing() {
    let mut one = Client::exec("count;count;count");
    let mut other = Client::exec("count");
    assert_eq!(one.until_stdout(3).await, "123");
    assert_eq!(other.until_stdout(1).await, "1");
}

#[tokio::test]
async fn a_crash_affects_no_other_session() {
    let mut echo = Client::exec("");
    let (recorder, _) = Client::exec("trap").end().await;
    assert!(matches!(recorder.exit(), Some(Exit::Signal { name: SignalName::Abrt, .. })));
    echo.send(b"still here");
    echo.until_stdout(10).await;
}

#[tokio::test]
async fn fresh_memory_is_cleared() {
    // W30, W47
    for _ in 0..4 {
        Client::exec("canary;finish 0").end().await;
        let (recorder, _) = Client::exec("scan;finish 0").end().await;
        assert_eq!(recorder.text(), "0");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_a_session_during_a_call_a_thousand_times_leaks_nothing() {
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
