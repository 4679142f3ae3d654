//! The memory of sessions, in a process of their own: an idle one is small, and nothing stays behind.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

#[expect(dead_code, reason = "the plugin floor uses the rest")]
#[path = "floor/client.rs"]
mod client;
#[expect(dead_code, reason = "the plugin floor uses the rest")]
#[path = "floor/guests.rs"]
mod guests;

use std::fs;
use std::mem::size_of_val;
use std::sync::{Arc, Mutex, PoisonError};

use client::Client;
use whelk_runtime::{
    ChannelEvent, Ending, Engine, EngineSettings, Facts, Grants, Limits, Plugin, Tenant, session_pipes,
};

/// One test at a time: they measure the memory of the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// Anonymous memory of this process in KiB.
fn anonymous() -> usize {
    let status = fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = status.lines().find(|line| line.starts_with("Anonymous:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn the_future_of_a_session_is_small() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (_inbox, _outbox, side) = session_pipes(1024, Arc::new(|| {}));
    let tenant = Tenant::new("tests", Limits::default(), Grants::default());
    let session = guests::bare().session(Facts::default(), &tenant, &guests::nothing_else(), side);
    let size = size_of_val(&session);
    assert!(size < 1 << 10, "{size} bytes");
}

#[test]
fn an_engine_for_ten_thousand_sessions_takes_little_memory_until_they_start() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut engines = Vec::new();
    // The allocator keeps what compilation used. The first that finds enough of it free shows what an engine takes.
    let smallest = (0..4).map(|_| {
        let before = anonymous();
        let engine = Engine::new(&EngineSettings::of(&Limits::default())).unwrap();
        let plugin = Plugin::load(&engine, "bare", &guests::wasm("bare")).unwrap();
        let grown = anonymous().saturating_sub(before);
        println!("engine of {} and {}: {grown} KiB", engine.capacity(), plugin.name());
        engines.push((engine, plugin));
        grown
    });
    let smallest = smallest.min().unwrap();
    assert!((1 << 10..12 << 10).contains(&smallest), "{smallest} KiB");
}

#[test]
fn an_idle_session_is_small_and_keeps_no_large_buffer() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let engine = Engine::new(&EngineSettings::of(&Limits { instances: 2000, ..Limits::default() })).unwrap();
    let plugin = Plugin::load(&engine, "bare", &guests::wasm("bare")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let before = anonymous();
        let mut clients = Vec::new();
        for _ in 0..1000 {
            let mut client = Client::with(&plugin, &[], &Limits::default());
            client.run("");
            client.send(b"sixteen letters.");
            client.until_stdout(16).await;
            clients.push(client);
        }
        let small = (anonymous() - before) / 1000;
        for client in &mut clients {
            client.send(&[b'x'; 32 << 10]);
            client.until_stdout(16 + (32 << 10)).await;
            client.recorder.heard = Vec::new();
        }
        let large = (anonymous() - before) / 1000;
        println!("idle: {small} KiB after 16 bytes, {large} KiB after 32 KiB");
        assert!(small <= 43, "{small} KiB after 16 bytes");
        assert!(large <= 80, "{large} KiB after 32 KiB");
    });
}

#[test]
fn a_thousand_consecutive_sessions_leak_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut after_warm_up = 0;
    for round in 0..1100 {
        runtime.block_on(async {
            let client = Client::exec("write hello");
            client.send(&[b'x'; 40_000]);
            let mut client = client.and(ChannelEvent::Eof);
            client.until_stdout(40_005).await;
            client.inbox.end(Ending::ClientClosed);
            let (_, report) = client.end().await;
            assert!(report.error.is_none());
        });
        if round == 100 {
            after_warm_up = anonymous();
        }
    }
    let grown = anonymous().saturating_sub(after_warm_up);
    assert!(grown < 2 << 10, "grew by {grown} KiB");
}

#[test]
fn what_a_deep_recursion_uses_of_its_stack_goes_back() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut after_warm_up = 0;
    for round in 0..50 {
        let (_, report) = runtime.block_on(async { Client::exec("recurse").end().await });
        assert!(report.error.is_some(), "the stack has an end");
        if round == 10 {
            after_warm_up = anonymous();
        }
    }
    // Each used all of its stack, 1,280 KiB, on one of the places of the pool.
    let grown = anonymous().saturating_sub(after_warm_up);
    println!("after 40 recursions: {grown} KiB");
    assert!(grown < 1 << 10, "grew by {grown} KiB");
}
