//! The shared limits of a tenant's sessions, and their timeouts.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, advance};
use whelk_runtime::{ChannelEvent, Ending, Error, Exit, Grants, Limit, Limits, Output, SignalName, Tenant};

use crate::client::{Client, Heard};
use crate::{guests, log};

fn tenant(limits: Limits) -> Arc<Tenant> {
    Tenant::new("acme", limits, Grants::default())
}

fn session(tenant: &Arc<Tenant>, command: &str) -> Client {
    let client = Client::of(tenant, &guests::script(), &[("data", "grow 256")]);
    client.run(command);
    client
}

fn ended(name: SignalName, message: &str) -> Option<Exit> {
    Some(Exit::Signal { name, core_dumped: false, message: message.to_owned() })
}

/// The events `tenant over limit` of one connection, by the limit.
fn over_limit(id: &str) -> Vec<String> {
    let lines = log::lines(id).into_iter().filter(|line| line.fields["message"] == "tenant over limit");
    lines
        .map(|line| {
            assert_eq!((line.fields["tenant"].as_str(), line.fields["plugin"].as_str()), ("acme", "script"));
            line.fields["limit"].clone()
        })
        .collect()
}

#[tokio::test]
async fn the_sessions_of_a_tenant_share_and_release_its_memory() {
    // W5, W46
    log::listen();
    let tenant = tenant(Limits { tenant_memory: 40 << 20, ..Limits::default() });
    let mut first = session(&tenant, "grow 256");
    assert_ne!(first.until_stdout(1).await, "0");
    let mut second = session(&tenant, "grow 256");
    assert_ne!(second.until_stdout(1).await, "0");
    let used = tenant.memory();
    assert!((32 << 20..=40 << 20).contains(&used), "{used}");
    // The third half is refused as often as it is requested, and the session handles that.
    let heard = second.recorder.stdout().len();
    for round in 1..=10 {
        second.send(b"x");
        second.until_stdout(heard + round).await;
    }
    assert!(second.recorder.text().ends_with("0000000000"));
    assert_eq!(over_limit(&second.id), ["tenant_memory"]);
    first.inbox.end(Ending::ClientClosed);
    first.end().await;
    let heard = second.recorder.stdout().len();
    second.send(b"x");
    assert!(!second.until_stdout(heard + 1).await.ends_with("00000000000"));
    second.inbox.end(Ending::ClientClosed);
    second.end().await;
    assert_eq!(tenant.memory(), 0);
}

#[tokio::test]
async fn a_session_ended_by_its_tenants_memory_limit_gets_that_reason() {
    let tenant = tenant(Limits { tenant_memory: 16 << 20, ..Limits::default() });
    let (recorder, report) = session(&tenant, "bomb").end().await;
    assert_eq!(recorder.exit(), ended(SignalName::Kill, "out of memory: all sessions together"));
    assert!(matches!(report.error, Some(Error::Limit { limit: Limit::TenantMemory, .. })), "{report:?}");
    assert_eq!(tenant.memory(), 0);
}

#[tokio::test]
async fn a_session_without_tenant_memory_is_ended_with_that_reason() {
    log::listen();
    let tenant = tenant(Limits { tenant_memory: 100, ..Limits::default() });
    let client = session(&tenant, "");
    let id = client.id.clone();
    let (recorder, report) = client.end().await;
    let line = b"whelk: out of memory: all sessions together\r\n".to_vec();
    let exit = ended(SignalName::Kill, "out of memory: all sessions together").unwrap();
    let heard = [Heard::Opened(true), Heard::Reply(true), Heard::Bytes(Output::Stderr, line), Heard::Exit(exit)];
    assert_eq!(recorder.heard, heard);
    assert!(matches!(report.error, Some(Error::Limit { limit: Limit::TenantMemory, .. })), "{report:?}");
    assert_eq!(over_limit(&id), ["tenant_memory"]);
    assert_eq!((tenant.sessions(), tenant.memory()), (0, 0));
}

#[tokio::test]
async fn a_plugin_that_runs_out_of_tenant_memory_in_open_leaves_no_caught_signals() {
    let tenant = tenant(Limits { tenant_memory: 16 << 20, ..Limits::default() });
    let mut client = Client::of(&tenant, &guests::script(), &[("open", "catch INT;write held;bomb")]);
    // Nobody catches it: refused, as every other request, and not queued for a process that is gone.
    client.happen(ChannelEvent::Signal(SignalName::Int));
    assert_eq!(client.until_replies(1).await, [false]);
    let (recorder, report) = client.and(ChannelEvent::Shell).end().await;
    assert_eq!(recorder.exit(), ended(SignalName::Kill, "out of memory: all sessions together"));
    assert_eq!((recorder.replies(), recorder.text()), (vec![false, true], String::new()));
    assert!(matches!(report.error, Some(Error::Limit { limit: Limit::TenantMemory, .. })), "{report:?}");
}

#[tokio::test]
async fn a_session_above_the_tenants_limit_is_ended_and_another_tenants_is_not() {
    // W52
    log::listen();
    let limits = Limits { tenant_sessions: 2, ..Limits::default() };
    let (tenant, other) = (tenant(limits.clone()), tenant(limits));
    let mut first = session(&tenant, "write x");
    let mut second = session(&tenant, "write x");
    first.until_stdout(1).await;
    second.until_stdout(1).await;
    assert_eq!(tenant.sessions(), 2);
    let mut events = Vec::new();
    for _ in 0..5 {
        let client = session(&tenant, "write x");
        let id = client.id.clone();
        let (recorder, report) = client.end().await;
        let line = b"whelk: too many sessions at once\r\n".to_vec();
        let exit = ended(SignalName::Kill, "too many sessions at once").unwrap();
        let heard = [Heard::Opened(true), Heard::Reply(true), Heard::Bytes(Output::Stderr, line), Heard::Exit(exit)];
        assert_eq!(recorder.heard, heard);
        assert!(matches!(report.error, Some(Error::Limit { limit: Limit::Sessions, .. })), "{report:?}");
        events.extend(over_limit(&id));
    }
    assert_eq!(events, ["tenant_sessions"]);
    session(&other, "write x").until_stdout(1).await;
    first.inbox.end(Ending::ClientClosed);
    first.end().await;
    session(&tenant, "write x").until_stdout(1).await;
}

#[tokio::test]
async fn a_write_waits_while_the_tenants_unsent_output_is_at_its_limit() {
    // W15, W16
    log::listen();
    let tenant = tenant(Limits { tenant_output: 100_000, user_output_share: 200, ..Limits::default() });
    let mut slow = Client::of(&tenant, &guests::script(), &[]);
    slow.recorder.room = 0;
    slow.run("fill 150000;write end");
    slow.until_replies(1).await;
    let mut waits = session(&tenant, "write hello");
    waits.until_replies(1).await;
    while over_limit(&waits.id).is_empty() && over_limit(&slow.id).is_empty() {
        tokio::task::yield_now().await;
    }
    waits.drain();
    assert_eq!(waits.recorder.text(), "");
    // Another tenant is not affected.
    Client::exec("write hello").until_stdout(5).await;
    slow.recorder.room = usize::MAX;
    slow.until_stdout(150_003).await;
    waits.until_stdout(5).await;
    // What a client that has left will never take is released.
    let mut slow = Client::of(&tenant, &guests::script(), &[]);
    slow.recorder.room = 0;
    slow.run("fill 150000");
    slow.until_replies(1).await;
    let mut waits = session(&tenant, "fill 90000");
    slow.task.abort();
    drop(slow);
    waits.until_stdout(90_000).await;
}

#[tokio::test(start_paused = true)]
async fn the_output_rate_of_a_tenant_is_limited() {
    // W16
    let tenant = tenant(Limits { tenant_output_rate: 1000, ..Limits::default() });
    let before = Instant::now();
    let mut first = session(&tenant, "fill 3000;write first");
    let mut second = session(&tenant, "fill 2000;write second");
    first.until_stdout(3005).await;
    second.until_stdout(2006).await;
    let waited = before.elapsed().as_millis();
    assert!((4000..4200).contains(&waited), "{waited} ms");
}

#[tokio::test(start_paused = true)]
async fn the_log_rate_of_a_tenant_covers_all_its_sessions() {
    // W23
    log::listen();
    let tenant = tenant(Limits { tenant_log_rate: 30, ..Limits::default() });
    let (mut ids, mut lines, mut events) = (Vec::new(), 0, 0);
    for _ in 0..4 {
        let client = session(&tenant, "logs 20;finish 0");
        ids.push(client.id.clone());
        client.end().await;
    }
    for id in ids {
        // The output of `closed` is a line too.
        lines += log::texts(&id).iter().filter(|text| text.starts_with("line ") || text.starts_with("closed ")).count();
        events += over_limit(&id).len();
    }
    assert_eq!((lines, events), (30, 1));
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_is_ended_with_that_reason() {
    // W20
    let limits = Limits { idle_time: Duration::from_secs(10), ..Limits::default() };
    let tenant = tenant(limits);
    let before = Instant::now();
    // Input and output keep it alive; a call that sleeps, or a silent client, does not.
    let mut client = session(&tenant, "");
    for round in 1..=3 {
        client.until_replies(1).await;
        advance(Duration::from_secs(8)).await;
        client.send(b"x");
        client.until_stdout(round).await;
    }
    let (recorder, report) = client.end().await;
    assert_eq!(before.elapsed().as_secs(), 34);
    assert_eq!(recorder.exit(), ended(SignalName::Hup, "idle for too long"));
    assert_eq!(recorder.bytes_of(Output::Stderr), b"whelk: idle for too long\r\n");
    assert!(matches!(report.error, Some(Error::Limit { limit: Limit::Idle, .. })), "{report:?}");

    let before = Instant::now();
    let (recorder, _) = session(&tenant, "write good night;sleep 3600000").end().await;
    assert_eq!((before.elapsed().as_secs(), recorder.text().as_str()), (10, "good night"));
    assert_eq!(recorder.exit(), ended(SignalName::Hup, "idle for too long"));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_lasts_too_long_is_ended_however_busy_it_is() {
    let limits = Limits { session_time: Duration::from_secs(30), ..Limits::default() };
    let tenant = tenant(limits);
    let before = Instant::now();
    let client = Client::of(&tenant, &guests::script(), &[("on-timer", "write x")]);
    client.run("timer 1 1000 1000");
    let (recorder, report) = client.end().await;
    assert_eq!(before.elapsed().as_secs(), 30);
    assert!(recorder.stdout().len() >= 29);
    // Its usage is known although it was aborted.
    assert!(report.peak_memory >= 64 << 10, "{}", report.peak_memory);
    assert_eq!(recorder.exit(), ended(SignalName::Kill, "the session has reached its time limit"));
    assert!(matches!(report.error, Some(Error::Limit { limit: Limit::Session, .. })), "{report:?}");
    // A session that never answers `open` is refused.
    let (recorder, _) = Client::of(&tenant, &guests::script(), &[("open", "sleep 3600000")]).end().await;
    assert_eq!(recorder.heard, [Heard::Opened(false)]);
    assert_eq!(tenant.sessions(), 0);
}
