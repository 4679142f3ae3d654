//! Output that a client does not take: it waits, even when its plugin has ended, and is discarded only when room runs
//! out.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::advance;
use whelk_runtime::{
    ChannelEvent, Engine, EngineSettings, Error, Exit, Grants, Limit, Limits, Output, Plugin, SignalName, Tenant,
};

use crate::client::{CAPACITY, Client, Heard};
use crate::{guests, log};

/// A session that writes this much and ends with this status, and whose client takes nothing.
async fn unread(tenant: &Arc<Tenant>, bytes: usize, status: u32) -> Client {
    let mut client = Client::of(tenant, &guests::script(), &[]);
    client.recorder.room = 0;
    client.run(&format!("fill {bytes};finish {status}"));
    let report = (&mut client.task).await.unwrap();
    assert_eq!(report.exit, Some(Exit::Status(status)));
    client
}

/// Takes everything to the end.
async fn read(client: &mut Client) -> Exit {
    client.recorder.room = usize::MAX;
    client.until(|recorder| recorder.exit().is_some()).await;
    client.recorder.exit().unwrap()
}

#[tokio::test(start_paused = true)]
async fn output_waits_for_a_client_whose_window_is_closed_for_twenty_minutes() {
    // C14, C30
    let tenant = Tenant::new("acme", Limits::default(), Grants::default());
    let mut client = unread(&tenant, CAPACITY, 7).await;
    // The instance has been dropped, and the session still counts.
    assert_eq!((tenant.sessions(), tenant.memory()), (1, 0));
    advance(Duration::from_secs(1200)).await;
    // Keepalives are answered.
    client.happen(ChannelEvent::Request { name: "keepalive@openssh.com".to_owned(), payload: Vec::new() });
    assert_eq!(client.until_replies(2).await, [true, false]);
    assert_eq!(read(&mut client).await, Exit::Status(7));
    assert_eq!(client.recorder.stdout().len(), CAPACITY);
    assert_eq!(tenant.sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_client_leaves_frees_its_place_and_its_output() {
    let tenant = Tenant::new(
        "acme",
        Limits { tenant_output: CAPACITY, user_output_share: 200, ..Limits::default() },
        Grants::default(),
    );
    let client = unread(&tenant, CAPACITY, 0).await;
    assert_eq!(tenant.sessions(), 1);
    drop(client);
    assert_eq!(tenant.sessions(), 0);
    let mut next = unread(&tenant, CAPACITY, 0).await;
    assert_eq!(read(&mut next).await, Exit::Status(0));
}

#[tokio::test(start_paused = true)]
async fn without_room_the_oldest_finished_unread_session_is_ended_with_that_reason() {
    // C14, W15
    log::listen();
    let stall = Duration::from_secs(30);
    let limits = Limits { tenant_output: 300_000, user_output_share: 200, output_stall: stall, ..Limits::default() };
    let tenant = Tenant::new("acme", limits, Grants::default());
    let mut first = unread(&tenant, 140_000, 0).await;
    let mut second = unread(&tenant, 140_000, 0).await;
    advance(Duration::from_secs(20)).await;
    // The second is read, slowly.
    second.recorder.room = 1;
    second.drain();
    // The third waits until the timeout of the first, and no longer.
    let mut third = Client::of(&tenant, &guests::script(), &[]);
    third.run("fill 100000;write end");
    third.until_stdout(100_003).await;
    assert_eq!(tenant.sessions(), 2, "the first counts no more");
    let words = "output was discarded: it was not read for too long and the server needs the room";
    let exit = Exit::Signal { name: SignalName::Kill, core_dumped: false, message: words.to_owned() };
    assert_eq!(read(&mut first).await, exit);
    let line = format!("whelk: {words}\n").into_bytes();
    assert_eq!(first.recorder.heard[2..], [Heard::Bytes(Output::Stderr, line), Heard::Exit(exit)]);
    let lines = log::lines(&first.id);
    let told = lines.iter().find(|line| line.fields["message"] == "unread output discarded").unwrap();
    assert_eq!((told.fields["bytes"].as_str(), told.fields["user"].as_str()), ("140000", "somebody"));
    // The second has lost nothing.
    assert_eq!(read(&mut second).await, Exit::Status(0));
    assert_eq!(second.recorder.stdout().len(), 140_000);
}

#[tokio::test(start_paused = true)]
async fn one_user_leaves_room_for_the_others_of_the_tenant() {
    let limits = Limits { tenant_output: 400_000, user_output_share: 25, ..Limits::default() };
    let tenant = Tenant::new("acme", limits, Grants::default());
    let client = |user: &str| Client::as_user(&guests::script(), &tenant, user, &[]);
    let mut alice = client("alice");
    alice.recorder.room = 0;
    alice.run("fill 250000;write end");
    alice.until_replies(1).await;
    let mut bob = client("bob");
    bob.run("fill 90000");
    bob.until_stdout(90_000).await;
    // Taking a user's own waiting output makes room for the rest.
    alice.recorder.room = 100_001;
    alice.until(|recorder| recorder.room == 0).await;
    alice.recorder.room = usize::MAX;
    assert!(alice.until_stdout(250_003).await.ends_with("end"));
}

#[tokio::test]
async fn a_session_without_server_memory_is_ended_with_that_reason() {
    // W5, W46
    log::listen();
    let settings = EngineSettings {
        workers: 64,
        total_memory: 100,
        ..EngineSettings::of(&Limits { instances: 4, ..Limits::default() })
    };
    let engine = Engine::new(&settings).unwrap();
    let plugin = Plugin::load(&engine, "bare", &guests::wasm("bare")).unwrap();
    let client = Client::with(&plugin, &[], &Limits::default());
    let id = client.id.clone();
    let (recorder, report) = client.and(ChannelEvent::Shell).end().await;
    let words = "out of memory: the server has no more for plugins now";
    let exit = Exit::Signal { name: SignalName::Kill, core_dumped: false, message: words.to_owned() };
    let line = format!("whelk: {words}\r\n").into_bytes();
    let heard = [Heard::Opened(true), Heard::Reply(true), Heard::Bytes(Output::Stderr, line), Heard::Exit(exit)];
    assert_eq!(recorder.heard, heard);
    assert!(matches!(report.error, Some(Error::Limit { limit: Limit::AllMemory, .. })), "{report:?}");
    let told: Vec<_> = log::lines(&id).iter().map(|line| line.fields["message"].clone()).collect();
    assert_eq!(told, ["server over limit"]);
    assert_eq!(engine.plugin_memory(), 0);
}
